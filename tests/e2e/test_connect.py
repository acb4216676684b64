"""`connect` with a real Label Studio: from nothing, from half done, with basic auth, and back to nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import httpx
import pytest

from backend.doctor_cli import doctor
from demo import servers
from demo.recordings import LABEL_CONFIG, sample_recordings
from tests.e2e.browser import Browser
from tests.e2e.commands import failures, run, run_connect, wanted_webhook, webhooks, without_a_dot
from tests.e2e.conftest import START_WITHIN, Pair
from tests.ports import free_port

CREDENTIALS = {"BASIC_AUTH_USER": "anna", "BASIC_AUTH_PASS": "secret: to all"}
HEADER = "Basic YW5uYTpzZWNyZXQ6IHRvIGFsbA=="


@dataclass(frozen=True)
class Guarded:
    """A second backend on the pair's Label Studio, which asks for basic auth."""

    url: str
    models: Path


@pytest.fixture(scope="module")
def guarded(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Guarded]:
    folder = tmp_path_factory.mktemp("guarded")
    settings = {**CREDENTIALS, "START_TRAINING_EACH_N_UPDATES": "1000"}
    with servers.backend(folder, folder, free_port(), pair.studio.url, pair.key, **settings) as server:
        server.wait_until_healthy(START_WITHIN)
        yield Guarded(server.url, folder)


def test_connecting_from_nothing_gives_a_backend_a_webhook_and_suggestions(pair: Pair) -> None:
    project = pair.studio.project_with("From nothing", LABEL_CONFIG)
    pair.studio.import_recordings(project, sample_recordings(1))

    done = run_connect(pair, project, pair.tap.url)

    assert done.exit_code == 0, done.output
    *lines, _, last = done.output.splitlines()
    assert {line.split()[0] for line in lines} == {"ok"}
    assert last.startswith(f"Project {project} is connected")
    (connection,) = pair.studio.connections(project)
    assert (connection["url"], connection["readable_state"]) == (pair.tap.url, "Connected")
    assert webhooks(pair, project) == [wanted_webhook(pair.tap.url)]
    assert pair.studio.model_version(project) == connection["title"]
    pair.studio.annotate(pair.studio.tasks(project)[0].id, sample_recordings(1)[0].annotation())
    assert [(one.event, one.accepted) for one in pair.tap.events(project)][-1] == ("ANNOTATION_CREATED", True)


def test_connecting_twice_changes_nothing(pair: Pair) -> None:
    project = pair.studio.project_with("Twice", LABEL_CONFIG)
    run_connect(pair, project, pair.tap.url)
    before = pair.studio.webhooks(project), pair.studio.model_version(project)

    done = run_connect(pair, project, f"{pair.tap.url}/")

    assert done.exit_code == 0
    assert "all was in order, nothing is changed" in done.output
    assert (pair.studio.webhooks(project), pair.studio.model_version(project)) == before  # with the times of change
    assert len(pair.studio.connections(project)) == 1


def test_removing_leaves_neither_backend_nor_webhook(pair: Pair) -> None:
    project = pair.studio.project_with("Removed", LABEL_CONFIG)
    run_connect(pair, project, pair.tap.url)
    pair.studio.make_webhook(project, "http://localhost:1/webhook")  # somebody else's

    removed, again = (run_connect(pair, project, pair.tap.url, "--remove") for _ in range(2))

    assert (removed.exit_code, removed.output) == (0, "connection removed, webhook removed\n")
    assert "neither a connection nor a webhook" in again.output
    assert pair.studio.connections(project) == []
    assert [hook["url"] for hook in webhooks(pair, project)] == ["http://localhost:1/webhook"]
    assert not pair.studio.model_version(project)


MENDED: dict[str, tuple[Callable[[Pair, int, int], None], str]] = {  # what becomes of a project's webhook; told of it
    "as Label Studio makes it": (lambda *_: None, "webhook mended"),  # for all events
    "off": (lambda pair, _, hook: pair.studio.change_webhook(hook, is_active=False), "webhook mended"),
    "no payload": (lambda pair, _, hook: pair.studio.change_webhook(hook, send_payload=False), "webhook mended"),
    "one event": (
        lambda pair, _, hook: pair.studio.change_webhook(hook, send_for_all_actions=False, actions=["TASKS_CREATED"]),
        "webhook mended",
    ),
    "twice": (
        lambda pair, project, _: pair.studio.make_webhook(project, f"{pair.tap.url}/webhook"),
        "webhooks to the same address removed",
    ),
    "deleted": (lambda pair, _, hook: pair.studio.delete_webhook(hook), "webhook made"),
}


@pytest.mark.parametrize("state", MENDED)
def test_connecting_mends_the_webhook_of_a_backend_that_was_connected_by_hand(pair: Pair, state: str) -> None:
    leave, told = MENDED[state]
    project = pair.studio.project_with("By hand", LABEL_CONFIG)
    connection = pair.studio.connect(project, pair.tap.url, "by hand")
    leave(pair, project, pair.studio.webhooks(project)[0]["id"])

    done = run_connect(pair, project, pair.tap.url)

    assert done.exit_code == 0, done.output
    assert told in done.output
    assert webhooks(pair, project) == [wanted_webhook(pair.tap.url)]
    assert [row["id"] for row in pair.studio.connections(project)] == [connection]


def test_connecting_switches_suggestions_on_where_a_project_shows_none(pair: Pair, chromium: Browser) -> None:
    recordings = sample_recordings(2)
    project = pair.studio.project_with("Suggestions off", LABEL_CONFIG)
    pair.studio.change_project(project, show_collab_predictions=False)
    pair.studio.import_recordings(project, recordings)
    assert "suggestions switched on" in run_connect(pair, project, pair.tap.url).output
    annotated, opened = (task.id for task in pair.studio.tasks(project))
    pair.studio.annotate(annotated, recordings[0].annotation())
    version = pair.wait_for_version(project, None)

    chromium.open_label_stream(project)

    drawn = chromium.drawn(at_least=1).counts()
    suggested = next(task.suggested(version) for task in pair.studio.tasks(project) if task.id == opened)
    assert drawn == [len(suggested)] * 3  # in each channel


def test_with_basic_auth_backend_and_webhook_are_let_in(pair: Pair, guarded: Guarded) -> None:
    project = pair.studio.project_with("Guarded", LABEL_CONFIG)
    pair.studio.import_recordings(project, sample_recordings(1))
    settings = {**CREDENTIALS, "MODEL_DIR": str(guarded.models)}

    refused = run_connect(pair, project, guarded.url)
    nothing = pair.studio.connections(project), webhooks(pair, project)
    done = run_connect(pair, project, guarded.url, **settings)

    assert refused.exit_code == 1
    assert refused.output.splitlines()[-1].startswith("To change: set BASIC_AUTH_USER and BASIC_AUTH_PASS")
    assert nothing == ([], [])
    assert done.exit_code == 0, done.output
    assert "nothing is changed" in run_connect(pair, project, guarded.url, **settings).output
    assert CREDENTIALS["BASIC_AUTH_PASS"] not in done.output
    assert webhooks(pair, project) == [{**wanted_webhook(guarded.url), "headers": {"Authorization": HEADER}}]
    pair.studio.annotate(pair.studio.tasks(project)[0].id, [])
    heard = httpx.get(f"{guarded.url}/projects/{project}/status", auth=tuple(CREDENTIALS.values()))
    assert heard.json()["last_event"] == "ANNOTATION_CREATED"
    pair.studio.change_webhook(pair.studio.webhooks(project)[0]["id"], **{**wanted_webhook(guarded.url), "headers": {}})
    told = failures(run(pair, doctor, "--project", str(project), "--json", **settings))
    assert told[0][0] == "webhook credentials"
    assert "has no Authorization header" in told[0][1]
    told = failures(run(pair, doctor, "--project", str(project), "--json", MODEL_DIR=str(guarded.models)))
    assert told == [("backend", f"the backend at {guarded.url} refuses the webhook's credentials")]


@pytest.mark.parametrize("broken", ["a host without a dot", "local addresses forbidden", "nobody there"])
def test_a_connection_that_cannot_be_leaves_nothing_behind_and_names_the_one_thing_to_change(
    pair: Pair, strict: str, broken: str
) -> None:
    project = pair.studio.project_with(broken, LABEL_CONFIG)
    url, host, to_change = {
        "a host without a dot": (without_a_dot(pair.tap.url), pair.studio.url, "a name with a dot"),
        "local addresses forbidden": (
            pair.tap.url,
            strict,
            "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false",
        ),
        "nobody there": (f"http://127.0.0.1:{free_port()}", pair.studio.url, "start the backend"),
    }[broken]

    done = run_connect(pair, project, url, LABEL_STUDIO_HOST=host)

    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("To change: ")
    assert to_change in done.output.splitlines()[-1]
    assert (pair.studio.connections(project), pair.studio.webhooks(project)) == ([], [])

"""`connect` and `doctor` with a real Label Studio: from nothing to green, and each way to break it named."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import click
import httpx
import jwt
import pytest
from click.testing import CliRunner, Result

from backend.connect_cli import connect
from backend.doctor_cli import doctor
from backend.service import WEBHOOK_EVENTS
from demo import servers
from demo.recordings import LABEL_CONFIG, sample_recordings
from tests.e2e.browser import Browser
from tests.e2e.conftest import START_WITHIN, Pair, TrainedProject
from tests.e2e.tap import Tap
from tests.ports import free_port

CREDENTIALS = {"BASIC_AUTH_USER": "anna", "BASIC_AUTH_PASS": "secret: to all"}
HEADER = "Basic YW5uYTpzZWNyZXQ6IHRvIGFsbA=="
UNREADABLE = LABEL_CONFIG.replace('column="pressure"', 'column="humidity"')


def run(pair: Pair, command: click.Command, *arguments: str, **settings: str) -> Result:
    """A command with the settings of the pair's backend."""
    environment = {
        "LABEL_STUDIO_HOST": pair.studio.url,
        "LABEL_STUDIO_API_KEY": pair.key,
        "MODEL_DIR": str(pair.folder / "models"),
        **settings,
    }
    return CliRunner().invoke(command, arguments, env=environment, catch_exceptions=False)


def run_connect(pair: Pair, project: int, url: str, *arguments: str, **settings: str) -> Result:
    return run(pair, connect, "--project", str(project), "--url", url, *arguments, **settings)


def wanted_webhook(url: str) -> dict[str, Any]:
    return {
        "url": f"{url}/webhook", "is_active": True, "send_payload": True, "send_for_all_actions": False,
        "actions": sorted(WEBHOOK_EVENTS), "headers": {},
    }  # fmt: skip


def webhooks(pair: Pair, project: int) -> list[dict[str, Any]]:
    """The project's webhooks, as far as connect sees to them."""
    return [
        {**{name: hook[name] for name in wanted_webhook("")}, "actions": sorted(hook["actions"])}
        for hook in pair.studio.webhooks(project)
    ]


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


@pytest.fixture(scope="module")
def strict(pair: Pair, tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The address of the same Label Studio, started as it comes: it calls no local address."""
    folder = tmp_path_factory.mktemp("strict")
    for kept in ("label-studio", "secret-key"):
        (folder / kept).symlink_to(pair.folder / kept)
    guards = {"ML_BLOCK_LOCAL_IP": "true", "SSRF_PROTECTION_ENABLED": "true"}
    with servers.label_studio(folder, free_port(), **guards) as server:
        server.wait_until_healthy(START_WITHIN)
        yield server.url


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
    assert nothing == ([], [])
    assert done.exit_code == 0, done.output
    assert CREDENTIALS["BASIC_AUTH_PASS"] not in done.output
    assert webhooks(pair, project) == [{**wanted_webhook(guarded.url), "headers": {"Authorization": HEADER}}]
    pair.studio.annotate(pair.studio.tasks(project)[0].id, [])
    heard = httpx.get(f"{guarded.url}/projects/{project}/status", auth=tuple(CREDENTIALS.values()))
    assert heard.json()["last_event"] == "ANNOTATION_CREATED"
    pair.studio.change_webhook(pair.studio.webhooks(project)[0]["id"], **{**wanted_webhook(guarded.url), "headers": {}})
    told = _failed(run(pair, doctor, "--project", str(project), "--json", **settings))
    assert told[0][0] == "webhook credentials"
    assert "has no Authorization header" in told[0][1]
    told = _failed(run(pair, doctor, "--project", str(project), "--json", MODEL_DIR=str(guarded.models)))
    assert told == [("backend", f"the backend at {guarded.url} refuses the webhook's credentials")]


@pytest.mark.parametrize("broken", ["a host without a dot", "local addresses forbidden", "nobody there"])
def test_a_connection_that_cannot_be_leaves_nothing_behind_and_names_the_one_thing_to_change(
    pair: Pair, strict: str, broken: str
) -> None:
    project = pair.studio.project_with(broken, LABEL_CONFIG)
    url, host, to_change = {
        "a host without a dot": (_without_a_dot(pair.tap.url), pair.studio.url, "a name with a dot"),
        "local addresses forbidden": (
            pair.tap.url,
            strict,
            "ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false",
        ),
        "nobody there": (f"http://127.0.0.1:{free_port()}", pair.studio.url, "Can't connect to ML backend"),
    }[broken]

    done = run_connect(pair, project, url, LABEL_STUDIO_HOST=host)

    assert done.exit_code == 1
    assert done.output.splitlines()[-1].startswith("To change: ")
    assert to_change in done.output.splitlines()[-1]
    assert (pair.studio.connections(project), pair.studio.webhooks(project)) == ([], [])


def _token(kind: str, seconds: float) -> str:
    """A token that another Label Studio might have made."""
    return jwt.encode({"token_type": kind, "exp": int(time.time() + seconds)}, "x" * 40, algorithm="HS256")


KEYS: dict[str, tuple[Callable[[Pair], str], str]] = {
    "of another Label Studio": (lambda _: _token("refresh", 9e8), "Label Studio refuses a personal access token"),
    "an old one": (lambda _: _token("refresh", -9e5), "LABEL_STUDIO_API_KEY ended on "),
    "an access token": (lambda pair: pair.studio.access_token(pair.key), "LABEL_STUDIO_API_KEY is an access token"),
    "a legacy token": (lambda pair: pair.studio.legacy_token(), "legacy tokens are switched off in its organization"),
    "anything": (lambda _: "0123456789abcdef", "Label Studio refuses the legacy token"),
    "half a token": (lambda pair: pair.key.rpartition(".")[0], "LABEL_STUDIO_API_KEY is a part of a token"),
    "none": (lambda _: "", "LABEL_STUDIO_API_KEY is not set"),
}


@pytest.mark.parametrize("key", KEYS)
def test_the_doctor_tells_what_is_wrong_with_a_key(pair: Pair, key: str) -> None:
    make, cause = KEYS[key]
    done = run(pair, doctor, "--json", LABEL_STUDIO_API_KEY=make(pair))
    ((check, found),) = _failed(done)
    assert (check, done.exit_code) == ("key", 1)
    assert cause in found


@dataclass(frozen=True)
class Broken:
    """A set-up that was connected and then broken. project, settings: what the doctor is to look at."""

    project: int
    settings: dict[str, str] = field(default_factory=dict)


Break = Callable[["Pair", int, str], Broken]  # the pair, a connected project, the address of the strict Label Studio


def _hook(**changes: Any) -> Break:
    """The webhook is changed."""

    def broken(pair: Pair, project: int, strict: str) -> Broken:
        (hook,) = pair.studio.webhooks(project)
        pair.studio.change_webhook(hook["id"], **{**wanted_webhook(pair.tap.url), **changes})
        return Broken(project)

    return broken


def _no_hook(pair: Pair, project: int, strict: str) -> Broken:
    pair.studio.delete_webhook(pair.studio.webhooks(project)[0]["id"])
    return Broken(project)


def _two_hooks(pair: Pair, project: int, strict: str) -> Broken:
    pair.studio.make_webhook(project, f"{pair.tap.url}/webhook")
    return Broken(project)


def _another(config: str, connected: bool = True, data: str | None = None) -> Break:
    """Another project, of this config."""

    def broken(pair: Pair, project: int, strict: str) -> Broken:
        other = pair.studio.project_with("Other", config)
        if connected:
            pair.studio.connect(other, pair.tap.url, "segmenter")
        if data:
            pair.studio.import_tasks(other, [{"data": {"csv": data}}])
        else:
            pair.studio.import_recordings(other, sample_recordings(1))
        return Broken(other)

    return broken


def _connected_without_a_dot(pair: Pair, project: int, strict: str) -> Broken:
    other = pair.studio.project_with("Single label", LABEL_CONFIG)
    pair.studio.connect(other, _without_a_dot(pair.tap.url), "segmenter")  # Label Studio does not complain
    return Broken(other)


def _backend_gone(pair: Pair, project: int, strict: str) -> Broken:
    other = pair.studio.project_with("Gone", LABEL_CONFIG)
    with Tap(int(pair.backend.rpartition(":")[2])) as tap:
        pair.studio.connect(other, tap.url, "segmenter")
    return Broken(other)


def _other_model_dir(pair: Pair, project: int, strict: str) -> Broken:
    return Broken(project, {"MODEL_DIR": str(pair.folder / "no-models")})


BROKEN: dict[str, tuple[Break, str, str]] = {
    "no such project": (lambda *_: Broken(987654), "project", "when asked for project 987654"),
    "not connected": (_another(LABEL_CONFIG, connected=False), "connection", "no backend is connected to the project"),
    "no webhook": (_no_hook, "webhook", "there is no webhook to "),
    "webhook off": (_hook(is_active=False), "webhook", " is switched off"),
    "no payload": (_hook(send_payload=False), "webhook", "sends no payload"),
    "other events": (_hook(actions=["TASKS_CREATED"]), "webhook events", "does not send ANNOTATIONS_CREATED"),
    "webhook twice": (_two_hooks, "webhook", "2 webhooks go to "),
    "a host without a dot": (_connected_without_a_dot, "webhook host", "because it has no dot"),
    "local addresses forbidden": (
        lambda pair, project, strict: Broken(project, {"LABEL_STUDIO_HOST": strict}),
        "local addresses",
        "ML_BLOCK_LOCAL_IP and SSRF_PROTECTION_ENABLED forbid",
    ),
    "backend gone": (_backend_gone, "reached", "Label Studio gets no answer from "),
    "nothing to label": (_another("<View/>"), "label config", "the label config has no <TimeSeriesLabels>"),
    "no such column": (_another(UNREADABLE), "recording", "humidity"),
    "no such file": (_another(LABEL_CONFIG, data="/data/upload/1/gone.csv"), "recording", "cannot be downloaded"),
    "the backend as Label Studio": (
        lambda pair, project, strict: Broken(project, {"LABEL_STUDIO_HOST": pair.backend}),
        "Label Studio",
        "but not as a Label Studio does",
    ),
    "no MODEL_DIR": (_other_model_dir, "model folder", "is not there"),
}


@pytest.fixture(scope="module")
def connected(pair: Pair) -> int:
    project = pair.studio.project_with("Connected", LABEL_CONFIG)
    pair.studio.import_recordings(project, sample_recordings(1))
    return project


@pytest.mark.parametrize("name", BROKEN)
def test_the_doctor_names_the_one_cause(pair: Pair, connected: int, strict: str, name: str) -> None:
    make, check, cause = BROKEN[name]
    assert run_connect(pair, connected, pair.tap.url).exit_code == 0  # mends what the case before broke
    broken = make(pair, connected, strict)

    done = run(pair, doctor, "--project", str(broken.project), "--json", **broken.settings)

    found = {one["check"]: one for one in json.loads(done.output)}
    assert cause in found[check]["found"]
    assert [name for name, one in found.items() if one["status"] == "failed"] in ([check], [])
    assert done.exit_code == (found[check]["status"] == "failed")


def test_the_doctor_finds_nothing_wrong_with_a_trained_project(pair: Pair, trained: TrainedProject) -> None:
    run_connect(pair, trained.id, pair.tap.url)  # as its webhook sends more than is needed, and the title is another

    done = run(pair, doctor, "--project", str(trained.id))

    assert done.exit_code == 0, done.output
    assert {line.split()[0] for line in done.output.splitlines()} == {"ok"}
    assert f"{trained.version} serves" in done.output
    assert "labels Start-up, Pumping, Cavitation; channels vibration, pressure, temperature" in done.output


def _without_a_dot(url: str) -> str:
    """The same address with a host that has no dot, like a service of docker-compose: 127.0.0.1 as one number."""
    return url.replace("localhost", str(0x7F000001))


def _failed(done: Result) -> list[tuple[str, str]]:
    return [(one["check"], one["found"]) for one in json.loads(done.output) if one["status"] == "failed"]

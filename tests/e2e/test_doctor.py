"""`doctor` against real set-ups, each broken in one way: it names the cause, and nothing else."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any

import jwt
import pytest

from backend.doctor_cli import doctor
from demo.recordings import LABEL_CONFIG, sample_recordings
from tests.e2e.commands import failures, run, run_connect, wanted_webhook, webhooks, without_a_dot
from tests.e2e.conftest import Pair, TrainedProject
from tests.e2e.tap import Tap

UNREADABLE = LABEL_CONFIG.replace('column="pressure"', 'column="humidity"')


def _token(kind: str, seconds: float) -> str:
    """A token that another Label Studio might have made."""
    return jwt.encode({"token_type": kind, "exp": int(time.time() + seconds)}, "x" * 40, algorithm="HS256")


KEYS: dict[str, tuple[Callable[[Pair], str], str]] = {
    "of another Label Studio": (
        lambda _: _token("refresh", 9e8),
        "Label Studio refuses LABEL_STUDIO_API_KEY, a personal",
    ),
    "an old one": (lambda _: _token("refresh", -9e5), "LABEL_STUDIO_API_KEY ended on "),
    "an access token": (lambda pair: pair.studio.access_token(pair.key), "LABEL_STUDIO_API_KEY is an access token"),
    "a legacy token": (lambda pair: pair.studio.legacy_token(), "legacy tokens are switched off in its organization"),
    "anything": (lambda _: "0123456789abcdef", "Label Studio refuses LABEL_STUDIO_API_KEY, a legacy token"),
    "half a token": (lambda pair: pair.key.rpartition(".")[0], "LABEL_STUDIO_API_KEY is a part of a token"),
    "none": (lambda _: "", "LABEL_STUDIO_API_KEY is not set"),
}


@pytest.mark.parametrize("key", KEYS)
def test_the_doctor_tells_what_is_wrong_with_a_key(pair: Pair, key: str) -> None:
    make, cause = KEYS[key]
    done = run(pair, doctor, "--json", LABEL_STUDIO_API_KEY=make(pair))
    ((check, found),) = failures(done)
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
    pair.studio.connect(other, without_a_dot(pair.tap.url), "segmenter")  # Label Studio does not complain
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
    if webhooks(pair, connected) != [wanted_webhook(pair.tap.url)]:  # which the case before broke
        assert run_connect(pair, connected, pair.tap.url).exit_code == 0
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


def test_the_doctor_notices_that_it_looks_at_another_model_dir_than_the_server(
    pair: Pair, trained: TrainedProject
) -> None:
    done = run(pair, doctor, "--project", str(trained.id), "--json", MODEL_DIR=str(pair.folder))
    (found,) = (one for one in json.loads(done.output) if one["check"] == "same model")
    assert found["status"] == "warning"
    assert f"told Label Studio of version {trained.version}, but in this MODEL_DIR it is untrained" in found["found"]

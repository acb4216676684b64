"""The doctor, away from Label Studio's connections: each thing that can be amiss is named, with what to do about it."""

from __future__ import annotations

import json
import shutil
from collections import namedtuple
from collections.abc import Callable, Iterator
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import pytest
from click.testing import CliRunner

from backend.cli import main
from backend.connect_cli import connect
from backend.doctor import Check, Installation, Outcome, examine
from backend.doctor_cli import CONNECTION, INSTALLATION, PROJECT, doctor
from backend.doctor_connection import answer
from backend.model_store import ModelStore
from backend.places import training_jobs
from backend.registration import Webhook
from backend.settings import current_settings, read_settings
from segmenter.model import Model
from segmenter.pipeline import LeftOut
from tests.backend.label_studio import StandIn
from tests.ports import free_port
from tests.recordings import CONFIG, activity, regions
from tests.unit.fitted import untrained

PROJECT_NUMBER = 5
# The stand-in has projects and tasks, but no backends and webhooks: those are looked at in tests/e2e/test_connect.py.
CHECKS = (*INSTALLATION, *(check for check in (*CONNECTION, *PROJECT) if check.name in (
    "project", "label config", "recording", "annotated tasks", "model")))  # fmt: skip


@dataclass
class SetUp:
    """An installation that is in order, until a test breaks it."""

    studio: StandIn
    models: Path
    monkeypatch: pytest.MonkeyPatch

    def set(self, **settings: str) -> None:
        for name, value in settings.items():
            self.monkeypatch.setenv(name, value)


@pytest.fixture
def set_up(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[SetUp]:
    studio = StandIn()
    studio.add_project(PROJECT_NUMBER, CONFIG)
    csv, spans = activity(0)
    studio.add_task(PROJECT_NUMBER, csv, regions(spans))
    found = SetUp(studio, tmp_path / "models", monkeypatch)
    ModelStore(found.models).publish(PROJECT_NUMBER, Model((untrained(),)), CONFIG)
    found.set(LABEL_STUDIO_HOST=studio.address, LABEL_STUDIO_API_KEY=studio.key, MODEL_DIR=str(found.models))
    found.set(REDIS_URL="", MIN_ANNOTATED_TASKS="1")
    yield found
    studio.close()


def findings(checks: tuple[Check, ...] = CHECKS) -> dict[str, Outcome]:
    with closing(Installation(PROJECT_NUMBER)) as installation:
        return dict(examine(installation, checks))


def test_all_is_well_with_a_set_up_that_is_in_order(set_up: SetUp) -> None:
    found = findings()
    assert {outcome.status for outcome in found.values()} <= {"ok", "warning"}
    assert found["key"].found.startswith("a personal access token until ")
    assert found["key"].found.endswith(", of anna@example.com")
    assert found["label config"].found == (
        "'label' on 'ts': labels Run, Walk; channels sensorone, sensortwo; time in 'time'"
    )
    assert found["recording"].found == "task 5001: 240 rows of 'ts'"
    assert "v1-" in found["model"].found


def _away(set_up: SetUp) -> None:
    set_up.set(LABEL_STUDIO_HOST=f"http://127.0.0.1:{free_port()}")


def _no_redis(set_up: SetUp) -> None:
    set_up.set(REDIS_URL=f"redis://:the-password@127.0.0.1:{free_port()}/0")


def _unwritable(set_up: SetUp) -> None:
    """Also for root, whom no mode of a folder keeps out."""
    if Path("/proc/self").exists():
        set_up.set(MODEL_DIR="/proc/self")
    else:
        set_up.models.chmod(0o500)


def _is_a_file(set_up: SetUp) -> None:
    shutil.rmtree(set_up.models)
    set_up.models.touch()


def _full(set_up: SetUp) -> None:
    usage = namedtuple("usage", "total used free")
    set_up.monkeypatch.setattr(shutil, "disk_usage", lambda _: usage(10**12, 10**12, 10**6))


def _no_column(set_up: SetUp) -> None:
    set_up.studio.files["/data/upload/5/5001.csv"] = b"time,sensorone\n0,1\n1,2\n"


def _no_file(set_up: SetUp) -> None:
    set_up.studio.files.clear()


def _not_annotated(set_up: SetUp) -> None:
    set_up.set(MIN_ANNOTATED_TASKS="2")


def _no_task(set_up: SetUp) -> None:
    set_up.studio.projects[PROJECT_NUMBER].tasks.clear()


def _no_channels(set_up: SetUp) -> None:
    set_up.studio.projects[PROJECT_NUMBER].label_config = CONFIG.replace("Channel", "Chanel")


def _busy(set_up: SetUp) -> None:
    set_up.studio.failing_with = 503


def _older(set_up: SetUp) -> None:
    set_up.studio.release = "1.8.2"


def _failed_training(set_up: SetUp) -> None:
    jobs = training_jobs(read_settings())
    jobs.request(PROJECT_NUMBER, "START_TRAINING", every=0)
    job = jobs.take()
    assert job is not None
    jobs.fail(job, "found no region", left_out=[LeftOut(1, "no such column")])


def _no_version(set_up: SetUp) -> None:
    shutil.rmtree(set_up.models / "projects")


CASES: list[tuple[Callable[[SetUp], None], str, str, str, str]] = [  # what is broken; check, status, found, advice
    (lambda set_up: set_up.set(PORT="abc"), "settings", "failed", "PORT is 'abc'", ""),
    (_unwritable, "model folder", "failed", "nothing can be stored in MODEL_DIR", ""),
    (_is_a_file, "model folder", "failed", "nothing can be stored in MODEL_DIR", ""),
    (_full, "disk", "failed", "1 MB are free", "make room"),
    (_away, "Label Studio", "failed", "nothing answers at http://127.0.0.1:", "set LABEL_STUDIO_HOST to its address"),
    (_busy, "key", "failed", "it is busy or being restarted", ""),
    (lambda _: None, "key", "warning", "a personal access token until ", "before that, make"),  # it lives for an hour
    (_older, "version", "warning", "Label Studio 1.8.2", "tested with 1.23"),
    (_no_redis, "Redis", "failed", "the Redis at 127.0.0.1:", "check REDIS_URL"),
    (_no_channels, "label config", "failed", "has no <Channel column=...>", ""),
    (_no_column, "recording", "failed", "sensortwo", ""),
    (_no_file, "recording", "failed", "task 5001: /data/upload/5/5001.csv cannot be downloaded", ""),
    (_no_task, "recording", "warning", "the project has no task", "import recordings"),
    (_not_annotated, "annotated tasks", "warning", "1 of 2", "annotate"),
    (_failed_training, "model", "failed", "the last training failed: found no region", "press Start Training"),
    (_no_version, "model", "warning", "no version yet", "annotate a recording"),
]  # fmt: skip


@pytest.mark.parametrize(("broken", "check", "status", "found", "advice"), CASES)
def test_what_is_amiss_is_named_with_what_to_do(
    set_up: SetUp, broken: Callable[[SetUp], None], check: str, status: str, found: str, advice: str
) -> None:
    broken(set_up)
    told = findings()
    assert told[check].status == status
    assert found in told[check].found
    assert advice in told[check].advice
    assert [name for name, outcome in told.items() if outcome.status == "failed"] in ([check], [])


def test_what_needs_a_failed_check_is_not_tried_and_names_it(set_up: SetUp) -> None:
    _away(set_up)
    told = findings()
    assert (told["recording"].status, told["recording"].found) == ("not tried", "it needs: Label Studio")
    assert told["model"].status == "ok"


def test_no_secret_is_told(set_up: SetUp) -> None:
    _no_redis(set_up)
    set_up.set(BASIC_AUTH_USER="anna", BASIC_AUTH_PASS="the-other-password")
    told = repr(findings())
    assert not any(secret in told for secret in ("the-password", "the-other-password", set_up.studio.key))


@pytest.mark.parametrize(("port", "status"), [("9090", 0), ("abc", 1)])
def test_a_script_gets_an_exit_status_and_json(set_up: SetUp, port: str, status: int) -> None:
    set_up.set(PORT=port)
    done = CliRunner().invoke(doctor, ["--json"])
    told = json.loads(done.output)
    assert (done.exit_code, told[0]["check"]) == (status, "settings")
    assert {tuple(finding) for finding in told} == {("check", "status", "found", "advice")}


@pytest.mark.parametrize(
    "command",
    ["doctor", "connect --project 5 --url http://localhost:9090", "connect --project 5 --url http://host:1 --remove"],
)
def test_wrong_settings_are_told_in_a_sentence(set_up: SetUp, command: str) -> None:
    set_up.set(PORT="abc")
    current_settings.cache_clear()
    done = CliRunner().invoke(main, command.split())
    assert done.exit_code == 1
    assert "PORT is 'abc': " in done.output.splitlines()[0]


def test_a_backend_that_only_label_studio_reaches_is_a_warning(set_up: SetUp) -> None:
    with closing(Installation(PROJECT_NUMBER, f"http://127.0.0.1:{free_port()}")) as installation:
        installation.__dict__["webhooks"] = [Webhook()]
        ((_, outcome),) = examine(installation, [Check("backend", answer)])
    assert outcome.status == "warning"
    assert outcome.found.endswith("though it does Label Studio")


def test_connect_tells_the_one_thing_to_change(set_up: SetUp) -> None:
    _away(set_up)
    done = CliRunner().invoke(connect, ["--project", "5", "--url", "http://localhost:9090"])
    lines = done.output.splitlines()
    assert done.exit_code == 1
    assert [line.split("  ")[0] for line in lines if line.startswith(("ok", "failed"))] == ["ok", "failed"]
    assert lines[-1].startswith("To change: start Label Studio, or set LABEL_STUDIO_HOST")


@pytest.mark.parametrize(
    ("url", "said"),
    [
        ("localhost:9090", "expected an address like http://192.168.1.20:9090, found 'localhost:9090'"),
        ("http://", "expected an address like"),
        ("http://anna:secret@host:9090", "credentials belong in BASIC_AUTH_USER and BASIC_AUTH_PASS"),
    ],
)
def test_connect_refuses_what_is_no_address(url: str, said: str) -> None:
    done = CliRunner().invoke(connect, ["--project", "5", "--url", url])
    assert done.exit_code == 2
    assert said in " ".join(done.output.split())
    assert "secret" not in done.output

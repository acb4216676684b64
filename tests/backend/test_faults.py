"""What goes wrong around the backend: disks, memory, stops, a Label Studio in trouble. The old version serves on."""

from __future__ import annotations

import os
import resource
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import activity, regions

UNLIMITED = (resource.RLIM_INFINITY, resource.RLIM_INFINITY)


@pytest.fixture
def studio() -> Iterator[StandIn]:
    """A Label Studio of the test's own, to be put into trouble."""
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of 3 MB."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mounted = subprocess.run(["mount", "-t", "tmpfs", "-o", "size=3m", "tmpfs", folder], capture_output=True, text=True)
    if mounted.returncode:
        pytest.skip(f"a tiny file system cannot be mounted here, which takes root: {mounted.stderr.strip()}")
    yield folder
    subprocess.run(["umount", "--lazy", folder], check=True)


def fill(disk: Path, leave: int) -> Path:
    """A file that leaves so many bytes of the file system free."""
    free = os.statvfs(disk).f_bavail * os.statvfs(disk).f_frsize
    ballast = disk / "ballast"
    ballast.write_bytes(bytes(free - leave))
    return ballast


def test_on_a_full_disk_the_old_version_serves_and_the_status_says_why(studio: StandIn, disk: Path) -> None:
    project = annotated_project(studio, 1, annotated=2, others=1)
    server = Server(studio, disk, TRAINING_EFFORT="0.1")
    try:
        old = server.train(project)
        for left, answered in ((100_000, 201), (0, 503)):  # no room for a version, none even for an event
            ballast = fill(disk, left)
            assert server.event("START_TRAINING", project).status_code == answered
            status = server.wait_for_state(project, "failed")
            assert "stored in MODEL_DIR" in status["reason"]
            assert "No space left" in status["reason"]
            assert (status["version"], status["versions"]) == (old, [old])
            assert server.predict(project, 1003)[0]["model_version"] == server.setup(project) == old
            ballast.unlink()
        assert server.event("START_TRAINING", project).status_code == 201
        server.wait(lambda: len(server.status(project)["versions"]) == 2, "the next event to try again", 90)
    finally:
        server.close()


def test_on_a_disk_that_became_read_only_the_old_version_serves_and_the_status_says_why(
    studio: StandIn, disk: Path
) -> None:
    project = annotated_project(studio, 1, annotated=2, others=1)
    server = Server(studio, disk, TRAINING_EFFORT="0.1")
    remount = ["mount", "-o", "remount,rw", disk]
    try:
        old = server.train(project)
        server.stop()
        subprocess.run(["mount", "-o", "remount,ro", disk], check=True)
        server.start()
        assert server.event("START_TRAINING", project).status_code == 503
        status = server.status(project)
        assert status["state"] == "failed"
        assert "make it writable" in status["reason"]
        assert server.predict(project, 1003)[0]["model_version"] == server.setup(project) == old
        subprocess.run(remount, check=True)
        assert server.event("START_TRAINING", project).status_code == 201
        server.wait(lambda: len(server.status(project)["versions"]) == 2, "the next event to try again", 90)
    finally:
        subprocess.run(remount, check=True)
        server.close()


def test_a_training_that_runs_out_of_memory_fails_with_that_reason(studio: StandIn, tmp_path: Path) -> None:
    project = annotated_project(studio, 1, annotated=2, others=1)
    server = Server(studio, tmp_path / "models", TRAINING_EFFORT="0.1")
    try:
        old = server.train(project)
        large = b"time,sensorone,sensortwo\n" + b"1,2,3\n" * 20_000_000
        task = studio.add_task(project, large, regions(activity(0)[1]))
        (trainer,) = server.trainers()
        used = int(Path(f"/proc/{trainer}/statm").read_text().split()[0]) * resource.getpagesize()
        resource.prlimit(trainer, resource.RLIMIT_AS, (used + 60_000_000, resource.RLIM_INFINITY))
        server.event("START_TRAINING", project)
        status = server.wait_for_state(project, "failed")
        assert "ran out of memory" in status["reason"]
        assert server.predict(project, 1003)[0]["model_version"] == server.setup(project) == old
        resource.prlimit(trainer, resource.RLIMIT_AS, UNLIMITED)
        csv, spans = activity(9)
        studio.files[f"/data/upload/{project}/{task}.csv"] = csv
        studio.projects[project].tasks[task]["annotations"][0]["result"] = regions(spans)
        server.event("ANNOTATION_UPDATED", project)
        server.wait(lambda: len(server.status(project)["versions"]) == 2, "the next event to try again", 90)
    finally:
        server.close()


def test_a_stop_lets_predictions_in_flight_finish_and_ends_a_training_within_five_seconds(
    studio: StandIn, tmp_path: Path
) -> None:
    project, other = annotated_project(studio, 1, others=1), annotated_project(studio, 2)
    server = Server(studio, tmp_path / "models", TRAINING_EFFORT="0.1", REQUEST_TIMEOUT="30")
    try:
        version = server.train(project)
        studio.file_delay = 8
        server.event("START_TRAINING", other)
        server.wait_for_state(other, "training")
        with ThreadPoolExecutor() as pool:
            answer = pool.submit(server.predict, project, 1006)
            asked = len(studio.requests)
            server.wait(
                lambda: len(studio.requests) > asked or studio.requests[-1].endswith("1006.csv"), "the download"
            )
            server.process.send_signal(signal.SIGTERM)
            began = time.monotonic()
            server.wait(lambda: not server.trainers(), "the training to stop", 5)
            assert not answer.done()
            assert answer.result()[0]["model_version"] == version
        assert time.monotonic() - began > 5
        server.process.wait(timeout=10)
        studio.file_delay = 0
        server.start()
        assert len(server.wait_for_state(other, "ready")["versions"]) == 1
    finally:
        server.close()


@pytest.fixture(scope="module")
def troubled() -> Iterator[StandIn]:
    stand_in = StandIn()
    yield stand_in
    stand_in.close()


@pytest.fixture(scope="module")
def patient(troubled: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    backend = Server(
        troubled, tmp_path_factory.mktemp("patient") / "models", TRAINING_EFFORT="0.1", REQUEST_TIMEOUT="2"
    )
    yield backend
    backend.close()


@pytest.mark.parametrize(
    ("project", "trouble", "words", "tried_again"),
    [
        (1, {"failing_with": 401}, "LABEL_STUDIO_API_KEY is not accepted", False),
        (2, {"failing_with": 403}, "the user of LABEL_STUDIO_API_KEY may not see it", False),
        (3, {"failing_with": 429}, "trying again in 5 s", True),
        (4, {"failing_with": 429, "retry_after": "7"}, "trying again in 7 s", True),
        (5, {"failing_with": 500}, "answered 500", True),
        (6, {"failing_with": 503}, "fewer TRAININGS_AT_ONCE", True),
        (7, {"delay": 4.0}, "raise REQUEST_TIMEOUT", True),
    ],
)
def test_trouble_with_label_studio_is_waited_for_where_that_helps_and_names_a_setting_where_not(
    patient: Server, troubled: StandIn, project: int, trouble: dict[str, object], words: str, tried_again: bool
) -> None:
    annotated_project(troubled, project, annotated=2, others=1)
    old = patient.train(project)
    for name, value in trouble.items():
        setattr(troubled, name, value)
    try:
        patient.event("START_TRAINING", project)
        status = patient.wait_for_state(project, "failed")
    finally:
        troubled.failing_with, troubled.retry_after, troubled.delay = None, "", 0.0
    assert words in status["reason"]
    assert ("trying again in" in status["reason"]) is tried_again
    assert status["version"] == old
    if not tried_again:
        patient.event("START_TRAINING", project)
    assert patient.wait_for_state(project, "ready", seconds=30)["version"] != old


def test_a_label_studio_that_is_away_is_waited_for(patient: Server, tmp_path: Path) -> None:
    away = StandIn()
    project = annotated_project(away, 8, annotated=2)
    address = away.address
    away.close()
    server = Server(away, tmp_path / "models", TRAINING_EFFORT="0.1")
    try:
        server.event("START_TRAINING", project)
        assert (
            "check LABEL_STUDIO_HOST and that it runs; trying again"
            in server.wait_for_state(project, "failed")["reason"]
        )
        away.open(int(address.rsplit(":", 1)[1]))
        server.wait_for_state(project, "ready", seconds=30)
    finally:
        server.close()
        away.close()


def test_what_is_asked_of_one_project_changes_nothing_of_another(patient: Server, troubled: StandIn) -> None:
    one, other = annotated_project(troubled, 21, annotated=2), annotated_project(troubled, 210, annotated=2)
    patient.train(one)
    folder = patient.model_dir / "projects" / str(one)
    patient.wait(lambda: any(folder.glob("charts/v*/charts.json")), "the charts, which come last")
    before = sorted(folder.rglob("*"))
    patient.train(other)
    patient.event("ANNOTATIONS_DELETED", other, annotations=[{"id": 1}], task={"project": one})
    patient.wait(lambda: "has learned all there is" in patient.status(other)["reason"], "the deletion to be looked at")
    assert sorted((patient.model_dir / "projects" / str(one)).rglob("*")) == before
    assert [patient.setup(project) == patient.status(project)["version"] for project in (one, other)] == [True, True]
    assert patient.status(one)["last_event"] == "START_TRAINING"

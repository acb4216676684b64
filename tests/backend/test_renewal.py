"""Suggestions renewed after a training, and on demand: which, in what order, and what is left alone."""

from __future__ import annotations

import signal
from collections.abc import Callable, Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from backend import predict_cli, renewal
from backend.local_queue import LocalPlace
from backend.model_store import ModelStore
from backend.renewal import Renewals, Renewer
from backend.settings import Settings
from backend.training_jobs import TrainingJobs
from segmenter.labeling import read_label_config
from segmenter.model import Model
from segmenter.pipeline import Task, learn
from segmenter.training import TrainingSettings
from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import CONFIG, activity, overlap, regions

PROJECT = 7
OLD, OLDER = "v2-20200101T000000", "v1-20190101T000000"
HOUR = 3600.0


@pytest.fixture(scope="module")
def model() -> Model:
    """A model to publish."""
    recordings = {str(seed): activity(seed) for seed in range(5)}
    tasks = [
        Task(int(seed), {"csv_url": seed}, ({"id": 1, "result": regions(spans), "was_cancelled": False},))
        for seed, (_, spans) in recordings.items()
    ]
    settings = TrainingSettings(threads=1, effort=0.3)
    return learn(read_label_config(CONFIG), tasks, lambda seed, _: recordings[seed][0], settings, lambda _: None).model


@pytest.fixture
def studio() -> Iterator[StandIn]:
    """A Label Studio of the test's own: a project with two annotated tasks (7001, 7002) and four others."""
    stand_in = StandIn()
    annotated_project(stand_in, PROJECT, annotated=2, others=4)
    yield stand_in
    stand_in.close()


@pytest.fixture
def settings_with(studio: StandIn, tmp_path: Path) -> Callable[..., Settings]:
    """Makes the settings of this process, for the project's Label Studio."""
    where = {"LABEL_STUDIO_HOST": studio.address, "label_studio_api_key": studio.key, "model_dir": tmp_path}
    return lambda **more: Settings(**{**where, **more})


@pytest.fixture
def version(model: Model, tmp_path: Path) -> str:
    """The version that serves the project."""
    return ModelStore(tmp_path).publish(PROJECT, model, CONFIG)


def work(renewals: Renewals) -> None:
    """Do all there is to do."""
    while renewals.work():
        pass


@pytest.fixture
def renewals(settings_with: Callable[..., Settings], tmp_path: Path, version: str) -> Iterator[Renewals]:
    """The renewals of a trainer that has just published the version."""
    with closing(Renewer(settings_with())) as renewer:
        found = Renewals(renewer, TrainingJobs(LocalPlace(tmp_path)))
        found.add(PROJECT)
        yield found


def test_tasks_without_annotations_get_good_suggestions_in_one_call(
    studio: StandIn, renewals: Renewals, version: str
) -> None:
    work(renewals)
    assert [studio.versions(task) for task in range(7001, 7007)] == [[], [], *[[version]] * 4]
    assert studio.writes == [("POST", f"/api/projects/{PROJECT}/import/predictions")]
    for number, seed in enumerate(range(100, 104), start=1):
        stored = studio.prediction(number)
        assert stored is not None
        assert overlap(stored[0]["result"], activity(seed)[1]) == len(activity(seed)[1])
        assert 0 < stored[0]["score"] <= 1


def test_a_suggestion_of_an_older_version_is_overwritten_where_it_lies_because_somebody_may_have_it_open(
    studio: StandIn, renewals: Renewals, version: str
) -> None:
    old = studio.add_prediction(7003, OLD)
    work(renewals)
    stored = studio.prediction(old)
    assert stored is not None
    assert (stored[0]["model_version"], bool(stored[0]["result"])) == (version, True)
    assert studio.versions(7003) == [version]


@pytest.mark.parametrize(
    ("before", "after"),
    [
        pytest.param([("other", 0.0)], ["other", "new"], id="another model's stays"),
        pytest.param([("v1", 0.0), (OLD, 0.0)], ["v1", "new"], id="a name that is not ours stays"),
        pytest.param([(OLDER, 3 * HOUR), ("other", 0.0), (OLD, 2 * HOUR)], ["other", "new"], id="older ones go"),
        pytest.param([(OLDER, 3 * HOUR), (OLD, 0.0)], [OLDER, "new"], id="one that may still be open stays"),
        pytest.param([(OLDER, 3 * HOUR), ("new", 2 * HOUR)], ["new"], id="one that was asked for is not made twice"),
    ],
)
def test_only_older_suggestions_of_our_own_go_and_only_those_nobody_has_open(
    studio: StandIn, renewals: Renewals, version: str, before: list[tuple[str, float]], after: list[str]
) -> None:
    for name, age in before:
        studio.add_prediction(7003, version if name == "new" else name, age=age)
    work(renewals)
    assert studio.versions(7003) == [version if name == "new" else name for name in after]


def test_annotated_and_skipped_tasks_keep_all_their_suggestions(studio: StandIn, renewals: Renewals) -> None:
    """From them a training knows annotations that nobody looked at."""
    skipped = studio.add_task(PROJECT, activity(9)[0], [], was_cancelled=True)
    for task in (7001, skipped):
        for name in (OLDER, OLD):
            studio.add_prediction(task, name, age=2 * HOUR)
    work(renewals)
    assert studio.versions(7001) == [OLDER, OLD]
    assert studio.versions(skipped)[0] == OLDER


@pytest.mark.parametrize(
    ("order", "expected"), [("oldest", [7003, 7004]), ("newest", [7006, 7005]), ("unsure", [7005, 7003])]
)
def test_as_many_tasks_are_renewed_as_is_set_in_the_order_that_is_set(
    studio: StandIn, settings_with: Callable[..., Settings], order: str, expected: list[int]
) -> None:
    for task, score in ((7003, 0.7), (7004, 0.9), (7005, 0.2)):
        studio.add_prediction(task, OLD, score)
    with closing(Renewer(settings_with(renew_suggestions=2, renew_first=order))) as renewer:
        assert renewer.next_tasks(PROJECT) == expected


def test_no_renewal_takes_place_where_it_is_switched_off(
    studio: StandIn, settings_with: Callable[..., Settings], tmp_path: Path, version: str
) -> None:
    renewals = Renewals(Renewer(settings_with(renew_suggestions=0)), TrainingJobs(LocalPlace(tmp_path)))
    renewals.add(PROJECT)
    assert not renewals.work()
    assert not studio.requests


def test_a_renewal_rests_while_a_training_of_its_project_is_due_and_goes_on_when_that_brings_nothing_new(
    studio: StandIn, renewals: Renewals, version: str, tmp_path: Path
) -> None:
    jobs = TrainingJobs(LocalPlace(tmp_path))
    assert renewals.work()
    jobs.request(PROJECT, "ANNOTATION_UPDATED")
    assert not renewals.work()
    job = jobs.take()
    assert job is not None
    assert not renewals.work()
    assert studio.writes == []
    jobs.nothing_new(job, "nothing new", True)
    work(renewals)
    assert studio.versions(7006) == [version]


@pytest.mark.parametrize("steps", [1, 2])  # before the first tasks, and before what they get is imported
def test_a_renewal_ends_when_another_version_serves(
    studio: StandIn, renewals: Renewals, model: Model, tmp_path: Path, steps: int
) -> None:
    assert [renewals.work() for _ in range(steps)] == [True] * steps
    ModelStore(tmp_path).publish(PROJECT, model, CONFIG)
    work(renewals)
    assert studio.writes == []


def test_tasks_and_suggestions_go_in_pages_so_that_memory_is_bounded(
    studio: StandIn, renewals: Renewals, version: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(renewal, "_PAGE", 3)
    work(renewals)
    assert [studio.versions(task) for task in range(7003, 7007)] == [[version]] * 4
    assert studio.writes == [("POST", f"/api/projects/{PROJECT}/import/predictions")] * 2


def test_a_recording_that_cannot_be_read_gets_no_suggestion_and_harms_no_other(
    studio: StandIn, renewals: Renewals, version: str, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level("INFO")
    del studio.files[f"/data/upload/{PROJECT}/7004.csv"]
    work(renewals)
    assert [studio.versions(task) for task in (7003, 7004, 7005)] == [[version], [], [version]]
    assert "3 of 4 tasks have new suggestions" in caplog.text
    assert "1 could not be read" in caplog.text


@pytest.mark.parametrize(("shown", "becomes"), [(OLD, "new"), ("segmenter", "segmenter"), (None, None)])
def test_a_label_stream_that_shows_an_older_version_shows_the_new_one(
    studio: StandIn, renewals: Renewals, version: str, shown: str | None, becomes: str | None
) -> None:
    studio.projects[PROJECT].model_version = shown
    work(renewals)
    assert studio.projects[PROJECT].model_version == (version if becomes == "new" else becomes)


def test_a_label_studio_that_refuses_is_told_in_one_line_and_not_asked_again(
    studio: StandIn, renewals: Renewals, caplog: pytest.LogCaptureFixture
) -> None:
    studio.failing_with, studio.failing_at = 403, "/import/predictions"
    work(renewals)
    assert len(studio.writes) == 1
    (line,) = [record.message for record in caplog.records if record.name == "backend.renewal"]
    assert "the suggestions are not renewed" in line
    assert line.endswith("the next training does it")


def test_a_label_studio_in_trouble_fails_no_training_and_gets_the_suggestions_later(
    studio: StandIn, tmp_path: Path
) -> None:
    server = Server(studio, tmp_path / "models", TRAINING_EFFORT="0.1", RENEW_SUGGESTIONS="3")
    studio.failing_with, studio.failing_at = 503, "/import/predictions"
    try:
        version = server.train(PROJECT)
        server.wait(lambda: "trying again in 5 s" in server.log_text(), "the renewal to be put off")
        assert server.status(PROJECT)["state"] == "ready"
        studio.failing_with = None
        server.wait(lambda: studio.versions(7005) == [version], "the renewal to be done after all")
        assert studio.versions(7006) == []
        assert server.log_text().count("the suggestions are not renewed") == 1
    finally:
        server.close()


def test_a_trainer_told_to_stop_leaves_a_renewal_within_five_seconds(studio: StandIn, tmp_path: Path) -> None:
    server = Server(studio, tmp_path / "models", TRAINING_EFFORT="0.1", RENEW_SUGGESTIONS="3", REQUEST_TIMEOUT="30")
    try:
        for task in (7001, 7002):  # quick to learn from, and the others take their time
            csv = studio.files.pop(f"/data/upload/{PROJECT}/{task}.csv")
            studio.projects[PROJECT].tasks[task]["data"] = {"csv_url": f"/data/upload/quick/{task}.csv"}
            studio.files[f"/data/upload/quick/{task}.csv"] = csv
        studio.slow_at, studio.file_delay = f"/upload/{PROJECT}/", 20.0
        server.train(PROJECT)
        server.wait(lambda: any(f"/upload/{PROJECT}/" in path for path in studio.requests), "the renewal to begin")
        server.process.send_signal(signal.SIGTERM)
        server.wait(lambda: not server.trainers(), "the trainer to stop", 5)
    finally:
        server.close()


@pytest.fixture
def predict(settings_with: Callable[..., Settings], monkeypatch: pytest.MonkeyPatch) -> Callable[..., Any]:
    """Runs `python -m backend predict` in this process."""
    monkeypatch.setattr(predict_cli, "current_settings", settings_with)
    return lambda *arguments: CliRunner().invoke(predict_cli.predict, arguments)


@pytest.mark.parametrize(
    ("chosen", "tasks"),
    [((), [7003, 7004, 7005, 7006]), (("--all",), [*range(7001, 7007)]), (("--ids", "7001,7004"), [7001, 7004])],
)
def test_predict_suggests_for_tasks_of_a_project_and_passes_over_those_that_have_them(
    studio: StandIn, predict: Callable[..., Any], version: str, chosen: tuple[str, ...], tasks: list[int]
) -> None:
    done = predict("--project", str(PROJECT), *chosen)
    assert done.exit_code == 0, done.output
    assert f"{len(tasks)} of {len(tasks)} tasks have new suggestions by {version}" in done.output
    assert [task for task in range(7001, 7007) if studio.versions(task) == [version]] == tasks
    again = predict("--project", str(PROJECT), *chosen)
    assert f"{len(tasks)} had them" in again.output
    assert [method for method, _ in studio.writes] == ["POST"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ((), 2, "expected either --project, or --model, --tasks and --out together"),
        (("--project", "7", "--out", "x.json"), 2, "expected either --project, or"),
        (("--all",), 2, "expected either --project, or"),
        (("--project", "7", "--all", "--ids", "1"), 2, "expected --all or --ids, found both"),
        (("--project", "7", "--ids", "1,x"), 2, "expected the ids of tasks, like 1,2,3, found '1,x'"),
        (("--project", "7", "--ids", "999"), 0, "1 are not in the project"),
        (("--project", "8"), 1, "answered 404"),
    ],
)
def test_predict_says_in_one_sentence_what_is_wrong(
    predict: Callable[..., Any], version: str, arguments: tuple[str, ...], code: int, words: str
) -> None:
    done = predict(*arguments)
    assert done.exit_code == code
    assert words in done.output


def test_predict_for_a_project_without_a_model_says_to_train_it(studio: StandIn, predict: Callable[..., Any]) -> None:
    done = predict("--project", str(PROJECT))
    assert done.exit_code == 1
    assert "has no model for its label config: train it first" in done.output

from __future__ import annotations

import os
import sqlite3
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from backend import training_jobs
from backend.training_jobs import TrainingJobs
from segmenter.pipeline import LeftOut

EVENT = "ANNOTATION_CREATED"


@pytest.fixture
def jobs(tmp_path: Path) -> TrainingJobs:
    return TrainingJobs(tmp_path)


def test_nothing_is_due_before_the_first_event(jobs: TrainingJobs) -> None:
    assert jobs.take() is None
    assert jobs.status(7)["state"] == "untrained"


def test_many_requests_before_a_training_are_one_training(jobs: TrainingJobs) -> None:
    assert [jobs.request(7, EVENT) for _ in range(3)] == [1, 2, 3]
    job = jobs.take()
    assert job is not None
    jobs.finish(job)
    assert jobs.take() is None
    assert jobs.status(7)["state"] == "ready"


def test_requests_during_a_training_are_one_more(jobs: TrainingJobs) -> None:
    jobs.request(7, EVENT)
    first = jobs.take()
    assert first is not None
    jobs.request(7, EVENT)
    jobs.request(7, EVENT)
    assert jobs.take() is None  # one at a time
    assert jobs.status(7)["one_more_due"]
    jobs.finish(first)
    assert jobs.status(7)["state"] == "queued"
    second = jobs.take()
    assert second is not None
    jobs.finish(second)
    assert jobs.take() is None


def test_every_nth_event_since_the_last_training_asks_for_one(jobs: TrainingJobs) -> None:
    assert [jobs.request(7, EVENT, every=3) for _ in range(3)] == [None, None, 1]
    job = jobs.take()
    assert job is not None
    assert jobs.request(7, EVENT, every=3) is None  # counted from the start of the training
    jobs.finish(job)
    assert [jobs.request(7, EVENT, every=3) for _ in range(2)] == [None, 2]


def test_a_forced_request_does_not_wait_for_the_nth_event(jobs: TrainingJobs) -> None:
    jobs.request(7, EVENT, every=100)
    assert jobs.take() is None
    assert jobs.request(7, "START_TRAINING", every=0) == 1
    assert jobs.take() is not None


def test_the_project_that_has_waited_longest_is_next(jobs: TrainingJobs) -> None:
    for project in (9, 3, 5):
        jobs.request(project, EVENT)
    jobs.request(9, EVENT)
    taken = [jobs.take() for _ in range(3)]
    assert [job.project for job in taken if job] == [9, 3, 5]


def test_a_training_whose_process_is_killed_is_due_again(jobs: TrainingJobs, tmp_path: Path) -> None:
    jobs.request(7, EVENT)
    child = os.fork()
    if child == 0:  # takes the training and dies without a word
        os._exit(0 if TrainingJobs(tmp_path).take() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert jobs.status(7)["state"] == "training"
    job = jobs.take()
    assert job is not None
    assert job.attempt == 2


def test_a_training_that_kills_its_process_every_time_is_given_up_with_a_reason(tmp_path: Path) -> None:
    TrainingJobs(tmp_path).request(7, EVENT)
    for _ in range(5):
        job = TrainingJobs(tmp_path).take()  # its lock goes with it
        assert job is not None
        del job
    jobs = TrainingJobs(tmp_path)
    assert jobs.take() is None
    assert (jobs.status(7)["state"], "out of memory" in jobs.status(7)["reason"]) == ("failed", True)
    jobs.request(7, EVENT)
    assert jobs.take() is not None  # the next event tries again


def test_a_passing_failure_is_tried_again_after_a_growing_pause(
    jobs: TrainingJobs, monkeypatch: pytest.MonkeyPatch
) -> None:
    now = 1000.0
    monkeypatch.setattr(training_jobs.time, "time", lambda: now)
    jobs.request(7, EVENT)
    pauses = []
    for _ in range(4):
        job = jobs.take()
        assert job is not None
        jobs.fail(job, "Label Studio is away", passing=True)
        assert jobs.take() is None
        pause = float(jobs.status(7)["reason"].split("trying again in ")[1].split(" s")[0])
        pauses.append(pause)
        now += pause
    assert pauses == [5, 10, 20, 40]
    job = jobs.take()
    assert job is not None
    jobs.fail(job, "Label Studio is away", passing=True)
    now += 10_000
    assert jobs.take() is None
    assert jobs.status(7)["reason"] == "Label Studio is away"


def test_a_lasting_failure_is_not_tried_again_by_itself(jobs: TrainingJobs) -> None:
    jobs.request(7, EVENT)
    job = jobs.take()
    assert job is not None
    jobs.fail(job, "no labels")
    assert jobs.take() is None
    assert (jobs.status(7)["state"], jobs.status(7)["reason"]) == ("failed", "no labels")


def test_a_stopped_training_is_due_again_and_no_attempt(jobs: TrainingJobs) -> None:
    jobs.request(7, EVENT)
    job = jobs.take()
    assert job is not None
    jobs.give_back(job)
    again = jobs.take()
    assert again is not None
    assert again.attempt == 1


def test_status_tells_how_far_a_training_is_and_what_was_left_out(jobs: TrainingJobs) -> None:
    jobs.request(7, EVENT)
    job = jobs.take()
    assert job is not None
    jobs.progress(job, "fitting", 3, 10, 30.0)
    status = jobs.status(7)
    assert (status["state"], status["phase"], status["epoch"], status["percent"]) == ("training", "fitting", 3, 30.0)
    jobs.finish(job, [LeftOut(5, "no such file")])
    assert jobs.status(7)["left_out"] == [{"task": 5, "reason": "no such file"}]


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """The time, in a list of one, for a test to set."""
    now = [1000.0]
    monkeypatch.setattr(training_jobs.time, "time", lambda: now[0])
    return now


def test_an_import_is_looked_at_three_times_and_is_no_training_until_something_new_is_found(
    jobs: TrainingJobs, clock: list[float]
) -> None:
    jobs.look(7, "TASKS_CREATED")
    looked = []
    for second in range(200):
        clock[0] = 1000.0 + second
        job = jobs.take()
        if job is not None:
            assert (job.asked, jobs.status(7)["state"]) == (False, "untrained")
            looked.append(second)
            jobs.nothing_new(job, "nothing", trained=False)
    assert looked == [2, 17, 137]


@pytest.mark.parametrize("end", ["finish", "fail for good", "fail for now", "stop"])
def test_a_look_that_finds_something_new_is_a_training_like_any_other(
    jobs: TrainingJobs, clock: list[float], end: str
) -> None:
    jobs.look(7, "TASKS_CREATED")
    clock[0] += 3
    job = jobs.take()
    assert job is not None
    jobs.begin_to_learn(job)
    assert jobs.status(7)["state"] == "training"
    if end == "finish":
        jobs.finish(job, learned="abc")
        assert jobs.status(7)["state"] == "ready"
        assert jobs.take() is None
    elif end == "fail for good":
        jobs.fail(job, "no labels")
        assert (jobs.status(7)["state"], jobs.take()) == ("failed", None)
    else:
        if end == "stop":
            jobs.give_back(job)
        else:
            jobs.fail(job, "Label Studio is away", passing=True)
            clock[0] += 6
        again = jobs.take()
        assert again is not None
        assert (again.asked, again.attempt) == (True, 1 if end == "stop" else 2)


def test_a_look_does_not_put_off_what_is_due(jobs: TrainingJobs) -> None:
    jobs.request(7, EVENT)
    jobs.look(7, "TASKS_CREATED")
    job = jobs.take()
    assert job is not None
    assert job.asked
    jobs.finish(job)


def test_what_the_last_version_learned_is_remembered_and_start_training_disregards_it(jobs: TrainingJobs) -> None:
    jobs.request(7, EVENT)
    job = jobs.take()
    assert job is not None
    assert (job.learned, job.always) == ("", False)
    jobs.finish(job, [LeftOut(5, "no such file")], learned="abc")
    jobs.request(7, EVENT)
    job = jobs.take()
    assert job is not None
    assert (job.learned, job.always) == ("abc", False)
    jobs.request(7, "START_TRAINING", every=0)
    jobs.nothing_new(job, "nothing new", trained=True)
    assert jobs.status(7)["left_out"] == [{"task": 5, "reason": "no such file"}]
    job = jobs.take()
    assert job is not None
    assert (job.learned, job.always) == ("abc", True)
    jobs.finish(job, learned="abc")
    jobs.request(7, EVENT)
    job = jobs.take()
    assert job is not None
    assert not job.always


def test_the_queue_of_the_first_release_is_taken_over(tmp_path: Path) -> None:
    with closing(sqlite3.connect(tmp_path / "queue.sqlite3")) as database:
        database.execute(training_jobs._SCHEMA[0])
        database.execute("INSERT INTO projects (id, requested, state) VALUES (7, 1, 'queued')")
        database.execute("PRAGMA user_version = 1")
        database.commit()
    job = TrainingJobs(tmp_path).take()
    assert job is not None
    assert (job.project, job.request) == (7, 1)


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["event", "take", "finish", "fail", "stop", "crash"]), max_size=25))
def test_whatever_happens_the_last_event_is_covered_by_a_training_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    folder = tmp_path_factory.mktemp("queue")
    jobs, job, events, covered = TrainingJobs(folder), None, 0, 0
    for step in steps:
        if step == "event":
            jobs.request(7, EVENT)
            events += 1
        elif step == "take" and job is None:
            job = jobs.take()
        elif step == "crash":
            jobs, job = TrainingJobs(folder), None
        elif job is not None and step in ("finish", "fail", "stop"):
            if step == "finish":
                jobs.finish(job)
                covered = job.request
            elif step == "fail":
                jobs.fail(job, "because")
                covered = job.request
            else:
                jobs.give_back(job)
            job = None
    if job is not None:
        jobs.finish(job)
        covered = job.request
    while (job := jobs.take()) is not None:
        jobs.finish(job)
        covered = job.request
    assert covered == events or jobs.status(7)["reason"].startswith("the trainer died")

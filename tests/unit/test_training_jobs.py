from __future__ import annotations

import os
import sqlite3
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from redis import Redis
from rq import Queue

from backend import local_queue, redis_queue, training_rules
from backend.local_queue import LocalPlace
from backend.redis_queue import RedisPlace
from backend.training_jobs import ClaimLost, QueueError, TrainingJobs
from backend.training_rules import Trainings
from segmenter.pipeline import LeftOut
from tests.redis_server import PASSWORD, RedisServer, needs_redis

EVENT = "ANNOTATION_CREATED"
AnotherProcess = Callable[[], TrainingJobs]


@pytest.fixture(scope="module", autouse=True)
def no_rest() -> Iterator[None]:
    """Trainings may follow each other at once, but where that is tested."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(training_rules, "_APART", 0)
        yield


@pytest.fixture(params=["local", pytest.param("redis", marks=needs_redis)])
def another(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> AnotherProcess:
    """The queue as one more process opens it: on this machine, or in a Redis."""
    if request.param == "local":
        return lambda: TrainingJobs(LocalPlace(tmp_path))
    server: RedisServer = request.getfixturevalue("redis")
    server.clear()
    monkeypatch.setattr(redis_queue, "_CLAIM_SECONDS", 0.5)
    return lambda: TrainingJobs(RedisPlace(server.url))


@pytest.fixture
def jobs(another: AnotherProcess) -> TrainingJobs:
    return another()


def take_in_the_end(jobs: TrainingJobs) -> Any:
    """What can be taken when the claim of a process that died has ended."""
    until = time.monotonic() + 5
    while (job := jobs.take()) is None and time.monotonic() < until:
        time.sleep(0.02)
    return job


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


def test_a_training_whose_process_is_killed_is_due_again(jobs: TrainingJobs, another: AnotherProcess) -> None:
    jobs.request(7, EVENT)
    child = os.fork()
    if child == 0:  # takes the training and dies without a word
        os._exit(0 if another().take() else 1)
    assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    assert jobs.status(7)["state"] == "training"
    job = take_in_the_end(jobs)
    assert job is not None
    assert job.attempt == 2


def test_a_training_that_kills_its_process_every_time_is_given_up_with_a_reason(another: AnotherProcess) -> None:
    jobs = another()
    jobs.request(7, EVENT)
    for _ in range(5):
        child = os.fork()
        if child == 0:
            os._exit(0 if take_in_the_end(another()) else 1)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
    time.sleep(0.6)
    assert jobs.take() is None
    assert (jobs.status(7)["state"], "out of memory" in jobs.status(7)["reason"]) == ("failed", True)
    jobs.request(7, EVENT)
    assert jobs.take() is not None  # the next event tries again


@pytest.mark.parametrize(("asked", "pauses"), [(0, [5, 10, 20, 40]), (30, [30, 30, 30, 40]), (1e9, [3600] * 4)])
def test_a_passing_failure_is_tried_again_after_a_growing_pause_and_one_that_was_asked_for(
    jobs: TrainingJobs, clock: list[float], asked: float, pauses: list[float]
) -> None:
    jobs.request(7, EVENT)
    for pause in pauses:
        job = jobs.take()
        assert job is not None
        jobs.fail(job, "Label Studio is away", passing=True, pause=asked)
        assert jobs.take() is None
        assert jobs.status(7)["reason"] == f"Label Studio is away; trying again in {pause} s"
        clock[0] += pause
    job = jobs.take()
    assert job is not None
    jobs.fail(job, "Label Studio is away", passing=True)
    clock[0] += 10_000
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
    monkeypatch.setattr(time, "time", lambda: now[0])
    return now


def test_all_processes_see_how_the_trainings_of_all_projects_ended_and_what_waits(
    jobs: TrainingJobs, another: AnotherProcess
) -> None:
    def see() -> tuple[dict[int, dict[str, int]], dict[int, str | None]]:
        known = another().of_all_projects()
        tallies = {project: {result: count for result, (count, _) in of.tally.items()} for project, of in known.items()}
        return tallies, {project: of.waits_as(time.time()) for project, of in known.items()}

    def end(end: Callable[[Any], None]) -> None:
        job = jobs.take()
        assert job is not None
        time.sleep(0.02)
        end(job)

    assert see() == ({}, {})
    for project in (3, 4):
        jobs.request(project, EVENT)
        jobs.request(project, EVENT)
    assert see() == ({3: {}, 4: {}}, {3: "queued", 4: "queued"})
    end(lambda job: jobs.finish(job, learned="all"))
    end(lambda job: jobs.fail(job, "no answer", passing=True))
    assert see() == ({3: {"published": 1}, 4: {"put_off": 1}}, {3: None, 4: "put_off"})
    jobs.look(3, "TASKS_CREATED")
    jobs.request(4, EVENT)
    assert see()[1] == {3: "look", 4: "queued"}
    end(lambda job: jobs.fail(job, "no region"))
    jobs.request(4, EVENT)
    end(lambda job: jobs.nothing_new(job, "nothing new", trained=False))
    assert see()[0] == {3: {"published": 1}, 4: {"put_off": 1, "failed": 1, "nothing_new": 1}}
    jobs.request(4, EVENT)
    job = jobs.take()
    assert job is not None
    assert see()[1][4] == "training"
    jobs.give_back(job)  # a stop is no end
    assert see()[1][4] == "queued"
    jobs.drop(jobs.take())  # type: ignore[arg-type]
    end(jobs.give_back)
    assert see()[0][4] == {"put_off": 1, "failed": 1, "nothing_new": 1, "died": 1}
    seconds = {result: seconds for result, (_, seconds) in another().of_all_projects()[4].tally.items()}
    assert seconds.pop("died") == 0
    assert all(0.02 <= took < 5 for took in seconds.values()), seconds


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
        database.execute(local_queue._SCHEMA[0])
        database.execute("INSERT INTO projects (id, requested, state) VALUES (7, 1, 'queued')")
        database.execute("PRAGMA user_version = 1")
        database.commit()
    job = TrainingJobs(LocalPlace(tmp_path)).take()
    assert job is not None
    assert (job.project, job.request) == (7, 1)


def test_trainings_that_events_ask_for_begin_some_seconds_apart_one_that_a_person_asks_for_at_once(
    jobs: TrainingJobs, clock: list[float], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(training_rules, "_APART", 6)
    begun = []
    for second in range(20):
        clock[0] = 1000.0 + second
        if second <= 10:
            jobs.request(7, EVENT)
        if (job := jobs.take()) is not None:
            begun.append(second)
            jobs.finish(job)
    assert begun == [0, 6, 12]
    jobs.request(7, "START_TRAINING", every=0)
    assert jobs.take() is not None


def test_fifty_events_at_once_are_all_counted(another: AnotherProcess) -> None:
    with ThreadPoolExecutor(8) as pool:
        numbers = list(pool.map(lambda _: another().request(7, EVENT), range(50)))
    assert sorted(number or 0 for number in numbers) == list(range(1, 51))
    job = another().take()
    assert job is not None
    assert job.request == 50


def test_two_processes_never_train_one_project_but_two_at_once(another: AnotherProcess) -> None:
    first, second = another(), another()
    first.request(7, EVENT)
    first.request(8, EVENT)
    taken = [first.take(), second.take(), second.take()]
    assert [job.project if job else None for job in taken] == [7, 8, None]


@needs_redis
def test_rq_carries_a_job_for_each_project_that_is_due(redis: RedisServer) -> None:
    redis.clear()
    jobs = TrainingJobs(RedisPlace(redis.url))
    for project in (7, 7, 8):
        jobs.request(project, EVENT)
    jobs.look(9, "TASKS_CREATED")  # not due yet
    with Redis.from_url(redis.url) as client:
        carried = Queue(redis_queue.QUEUE, connection=client).get_job_ids()
    assert carried == ["training-7", "training-8"]


@needs_redis
@pytest.mark.parametrize("lost", ["before it is popped", "after"])
def test_a_job_that_rq_loses_is_carried_again(redis: RedisServer, lost: str) -> None:
    redis.clear()
    jobs = TrainingJobs(RedisPlace(redis.url))
    jobs.request(7, EVENT)
    with Redis.from_url(redis.url) as client:
        queue = Queue(redis_queue.QUEUE, connection=client)
        if lost == "after":
            client.lmove(queue.key, queue.intermediate_queue_key)
        else:
            queue.empty()
    assert jobs.take() is not None


@needs_redis
def test_what_a_process_still_wants_to_write_after_another_took_over_is_refused(
    redis: RedisServer, monkeypatch: pytest.MonkeyPatch
) -> None:
    redis.clear()
    monkeypatch.setattr(redis_queue, "_CLAIM_SECONDS", 0.3)
    with monkeypatch.context() as stopped:  # as a machine that is suspended: its thread does not run
        stopped.setattr(redis_queue._RedisClaim, "_renew", lambda claim: None)
        slow = TrainingJobs(RedisPlace(redis.url))
        slow.request(7, EVENT)
        first = slow.take()
    assert first is not None
    fast = TrainingJobs(RedisPlace(redis.url))
    second = take_in_the_end(fast)
    assert second.attempt == 2
    for late in (slow.still_ours, lambda job: slow.progress(job, "fitting", 1, 2, 50), slow.finish):
        with pytest.raises(ClaimLost):
            late(first)
    slow.drop(first)
    assert fast.status(7)["state"] == "training"
    assert TrainingJobs(RedisPlace(redis.url)).take() is None  # the claim of the second stands
    fast.finish(second)
    assert fast.status(7)["state"] == "ready"


@needs_redis
def test_a_claim_lasts_for_as_long_as_its_process_lives(redis: RedisServer, monkeypatch: pytest.MonkeyPatch) -> None:
    redis.clear()
    monkeypatch.setattr(redis_queue, "_CLAIM_SECONDS", 0.3)
    jobs = TrainingJobs(RedisPlace(redis.url))
    jobs.request(7, EVENT)
    job = jobs.take()
    time.sleep(1)
    assert job is not None
    jobs.finish(job)
    assert jobs.status(7)["state"] == "ready"


def test_a_queue_that_cannot_be_used_is_an_error_that_says_what_to_mend_and_no_password(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    places = {
        "MODEL_DIR": LocalPlace(tmp_path / "file"),
        "127.0.0.1:9 .* check REDIS_URL": RedisPlace(f"redis://:{PASSWORD}@127.0.0.1:9/0"),
    }
    for words, place in places.items():
        with pytest.raises(QueueError, match=words) as error:
            TrainingJobs(place).request(7, EVENT)
        assert PASSWORD not in str(error.value)


def test_a_record_of_another_release_is_understood() -> None:
    record = Trainings(requested=3, left_out=(LeftOut(5, "gone"),)).record()
    assert Trainings.of_record({**record, "of_a_later_release": 1}) == Trainings.of_record(record)
    del record["looks"]
    assert Trainings.of_record(record).looks == 0


@settings(max_examples=40, deadline=None)
@given(st.lists(st.sampled_from(["event", "take", "finish", "fail", "stop", "crash"]), max_size=25))
def test_whatever_happens_the_last_event_is_covered_by_a_training_in_the_end(
    tmp_path_factory: pytest.TempPathFactory, steps: list[str]
) -> None:
    place = LocalPlace(tmp_path_factory.mktemp("queue"))
    jobs, job, events, covered = TrainingJobs(place), None, 0, 0
    for step in steps:
        if step == "event":
            jobs.request(7, EVENT)
            events += 1
        elif step == "take" and job is None:
            job = jobs.take()
        elif step == "crash":
            jobs, job = TrainingJobs(place), None
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

"""Two web hosts and two trainer hosts that share a Redis and a MODEL_DIR, and what happens when one of them dies."""

from __future__ import annotations

import secrets
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server, TrainerHost
from tests.exposition import Exposition
from tests.recordings import activity
from tests.redis_server import PASSWORD, RedisServer, needs_redis

pytestmark = needs_redis


class Machines:
    """A Redis, two web hosts, and as many trainer hosts as a test starts."""

    def __init__(self, studio: StandIn, folder: Path) -> None:
        self._studio, self._folder = studio, folder
        self.redis = RedisServer(folder)
        self._settings = {"REDIS_URL": self.redis.url, "WORKERS": "1", "START_TRAINING_EACH_N_UPDATES": "3"}
        self.webs = [Server(studio, folder / "models", **self._settings) for _ in range(2)]
        self.hosts: list[TrainerHost] = []

    def add_trainer(self) -> TrainerHost:
        """One more trainer host."""
        log = self._folder / f"trainer-{secrets.token_hex(3)}.log"
        host = TrainerHost(
            self._studio,
            self._folder / "models",
            log,
            **{**self._settings, "TRAINING_EFFORT": "1", "LOG_LEVEL": "DEBUG"},
        )
        self.hosts.append(host)
        return host

    def who_trains(self, project: int) -> TrainerHost:
        """The trainer host that has begun a project's training."""
        begun = f"project {project}: training on"
        self.webs[0].wait(lambda: any(begun in host.log.read_text() for host in self.hosts), "a trainer to begin")
        return next(host for host in self.hosts if begun in host.log.read_text())

    def kill_trainers(self) -> None:
        """Kill all trainer hosts."""
        while self.hosts:
            self.hosts.pop().kill()

    def close(self) -> None:
        """End all of them."""
        self.kill_trainers()
        for web in self.webs:
            web.close()
        self.redis.kill()


def metrics(web: Server) -> Exposition:
    return Exposition(web.http.get("/metrics").text)


@pytest.fixture(scope="module")
def machines(studio: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    machines = Machines(studio, tmp_path_factory.mktemp("machines"))
    yield machines
    machines.close()


@pytest.fixture
def two_trainers(machines: Machines) -> Iterator[Machines]:
    machines.kill_trainers()
    for _ in range(2):
        machines.add_trainer()
    yield machines
    machines.kill_trainers()


def test_web_hosts_count_events_together_and_wait_for_a_trainer_host(machines: Machines, studio: StandIn) -> None:
    project = annotated_project(studio, 80, annotated=2)
    one, other = machines.webs
    answers = [web.event("ANNOTATION_CREATED", project).status_code for web in (one, other, one)]
    assert answers == [200, 200, 201]
    assert [web.status(project)["state"] for web in machines.webs] == ["queued", "queued"]
    assert [web.trainers() for web in machines.webs] == [[], []]
    machines.add_trainer()
    one.wait_for_state(project, "ready")
    other.wait_for_state(project, "ready", seconds=0.5)
    assert one.setup(project) == other.setup(project) == one.status(project)["version"]
    task = 1000 * project + 3
    first, second = ([entry["value"] for entry in web.predict(project, task)[0]["result"]] for web in machines.webs)
    assert first == second != []


def test_every_web_host_tells_of_all_trainings_and_of_its_own_requests(machines: Machines, studio: StandIn) -> None:
    project = annotated_project(studio, 87, annotated=2)
    one, other = machines.webs
    before = [metrics(web) for web in machines.webs]
    for _ in range(5):
        assert other.http.get("/versions").status_code == 200
    one.event("START_TRAINING", project)
    machines.add_trainer()
    one.wait_for_state(project, "ready")
    after = [metrics(web) for web in machines.webs]
    for name, labels, more in (
        ("segmenter_training_seconds_count", {"result": "published"}, [1, 1]),
        ("segmenter_model_info", {"project": str(project), "version": one.setup(project)}, [1, 1]),
        ("segmenter_request_seconds_count", {"route": "/versions"}, [0, 5]),
    ):
        found = [
            now.value(name, **labels) - then.value(name, **labels) for now, then in zip(after, before, strict=True)
        ]
        assert found == more, name


def test_the_training_of_a_trainer_host_that_dies_is_taken_over_by_another(
    two_trainers: Machines, studio: StandIn
) -> None:
    project = annotated_project(studio, 81)
    web, other_web = two_trainers.webs
    assert web.event("START_TRAINING", project).json()["job"] == f"{project}-1"
    dying = two_trainers.who_trains(project)
    assert other_web.status(project)["state"] == "training"
    dying.kill()
    (survivor,) = [host for host in two_trainers.hosts if host is not dying]
    status = other_web.wait_for_state(project, "ready", seconds=90)
    assert len(status["versions"]) == 1
    assert f"project {project}: training on 5 tasks begins (attempt 2)" in survivor.log.read_text()
    assert web.setup(project) == status["version"]


def test_a_trainer_host_that_is_stopped_hands_its_training_on_at_once(two_trainers: Machines, studio: StandIn) -> None:
    project = annotated_project(studio, 82)
    web = two_trainers.webs[0]
    web.event("START_TRAINING", project)
    stopped = two_trainers.who_trains(project)
    stopped.stop()
    (other,) = [host for host in two_trainers.hosts if host is not stopped]
    begun = f"project {project}: training on 5 tasks begins (attempt 1)"
    web.wait(lambda: begun in other.log.read_text(), "the other trainer to begin", 5)
    web.wait_for_state(project, "ready")


def test_two_projects_are_trained_side_by_side_by_two_hosts(two_trainers: Machines, studio: StandIn) -> None:
    projects = [annotated_project(studio, number) for number in (83, 84)]
    web = two_trainers.webs[0]
    for project in projects:
        web.event("START_TRAINING", project)
    web.wait(lambda: [web.status(project)["state"] for project in projects] == ["training"] * 2, "both to be trained")
    for project in projects:
        web.wait_for_state(project, "ready")


def test_requests_survive_the_death_of_redis_and_those_it_misses_are_refused(
    machines: Machines, studio: StandIn
) -> None:
    project = annotated_project(studio, 85, annotated=2, others=1)
    web = machines.webs[0]
    assert web.event("START_TRAINING", project).status_code == 201
    machines.redis.kill()
    assert web.event("START_TRAINING", project).status_code == 503
    assert web.http.get(f"/projects/{project}/status").status_code == 503
    assert web.http.get("/health").status_code == 200
    told = metrics(web)
    assert (told.value("segmenter_queue_up"), told.samples("segmenter_queue_projects")) == (0, [])
    assert told.value("segmenter_request_seconds_count", route="/webhook", code="503") >= 1
    assert web.predict(project, 1000 * project + 3) == []
    machines.redis.start()
    machines.add_trainer()
    assert web.wait_for_state(project, "ready")["version"].startswith("v1-")


def test_a_broken_recording_is_told_by_the_web_host_that_was_not_asked(machines: Machines, studio: StandIn) -> None:
    project = annotated_project(studio, 86, annotated=2)
    task = studio.add_task(project, b"")
    one, other = machines.webs
    one.event("START_TRAINING", project)
    machines.add_trainer()
    one.wait_for_state(project, "ready")
    assert one.predict(project, task) == []
    assert [failure["task"] for failure in other.status(project)["failures"]] == [task]
    studio.files[f"/data/upload/{project}/{task}.csv"] = activity(100)[0]
    assert other.predict(project, task)[0]["result"]
    assert one.status(project)["failures"] == []


def test_no_log_holds_the_password_of_the_redis(machines: Machines) -> None:
    logs = list(machines.redis.folder.glob("*.log"))
    assert len(logs) > 4
    assert any("cannot be used" in log.read_text() for log in logs)
    assert not any(PASSWORD in log.read_text() for log in logs)

"""The doctor's checks of this machine: the settings, the folder of the models, Redis, the state of the model."""

from __future__ import annotations

import shutil

from redis import Redis, RedisError

from backend.doctor import Installation, Outcome, failed, ok, warning
from backend.model_store import ModelStore
from backend.places import training_jobs
from backend.service import UNTRAINED
from backend.settings import SettingsError
from backend.training_jobs import QueueError

_LITTLE_ROOM, _NO_ROOM = 1000, 20  # megabytes; a version takes 0.2, a queue and notes some more
_WAIT = 5.0  # seconds for an answer of Redis


def settings(installation: Installation) -> Outcome:
    """Whether the environment's settings are whole and possible."""
    try:
        found = installation.settings
    except SettingsError as error:
        return failed(str(error))
    shared = ", shared through Redis" if found.many_machines else ""
    return ok(f"Label Studio at {found.label_studio_host}, models in {found.model_dir.absolute()}{shared}")


def model_folder(installation: Installation) -> Outcome:
    """Whether models can be stored."""
    folder = installation.settings.model_dir.absolute()
    if not folder.exists():
        return failed(
            f"MODEL_DIR {folder} is not there",
            "set MODEL_DIR as the server has it; where no server has run yet, make the folder",
        )
    problem = ModelStore(folder).problem()
    return failed(f"{folder}: {problem}") if problem else ok(f"{folder} can be written to")


def disk_room(installation: Installation) -> Outcome:
    """Whether the disk of the models has room for more."""
    free = shutil.disk_usage(installation.settings.model_dir).free / 1e6
    found = f"{free:,.0f} MB are free on the disk of MODEL_DIR"
    advice = "make room, or lower KEEP_VERSIONS"
    if free < _NO_ROOM:
        return failed(found, advice)
    return warning(found, advice) if free < _LITTLE_ROOM else ok(found)


def redis(installation: Installation) -> Outcome | None:
    """Whether the Redis that many machines share answers."""
    url = installation.settings.redis_url.get_secret_value()
    if not url:
        return None
    with Redis.from_url(url, socket_timeout=_WAIT, socket_connect_timeout=_WAIT) as client:
        address = client.connection_pool.connection_kwargs
        where = address.get("path") or f"{address.get('host')}:{address.get('port')}"
        try:
            client.ping()
        except RedisError as error:
            return failed(f"the Redis at {where} does not answer: {error}", "check REDIS_URL, and that it runs")
    return ok(f"the Redis at {where} answers")


def model(installation: Installation) -> Outcome:
    """Which version serves the project, and how its last training ended."""
    try:
        trainings = training_jobs(installation.settings).status(installation.project)
    except QueueError as error:
        return failed(str(error))
    state, reason = trainings["state"], trainings.get("reason") or ""
    serves = "no version yet" if installation.version == UNTRAINED else f"{installation.version} serves"
    if state == "failed":
        return failed(f"{serves}; the last training failed: {reason}", "mend that, then press Start Training")
    if state in ("queued", "training"):
        return ok(f"{serves}; a training is {'under way' if state == 'training' else 'queued'}")
    found = f"{serves}; {reason}" if reason else serves
    if installation.version == UNTRAINED:
        return warning(found, "annotate a recording, or press Start Training in Settings > Model of the project")
    return ok(found if state == "ready" else serves)


def same_model(installation: Installation) -> Outcome:
    """Whether the server that Label Studio calls serves from this MODEL_DIR."""
    told, version = installation.connection.version, installation.version
    if told != version:
        return warning(
            f"the backend at {installation.url} told Label Studio of version {told or 'none'}, but in this MODEL_DIR it"
            f" is {version}",
            "run the doctor with the server's settings; else what it says of models and trainings is of another server",
        )
    return ok(f"Label Studio was told of {version}, as it is in MODEL_DIR")

"""Where the processes of this backend meet: in MODEL_DIR on one machine, in the Redis of REDIS_URL on many."""

from __future__ import annotations

from backend.last_seen import FilePad, LastSeen, RedisPad
from backend.local_queue import LocalPlace
from backend.redis_queue import RedisPlace
from backend.settings import Settings
from backend.training_jobs import TrainingJobs


def training_jobs(settings: Settings) -> TrainingJobs:
    """The training queue that the settings ask for."""
    url = settings.redis_url.get_secret_value()
    return TrainingJobs(RedisPlace(url) if url else LocalPlace(settings.model_dir))


def last_seen(settings: Settings) -> LastSeen:
    """The notes on what requests last showed, where the settings ask for them."""
    url = settings.redis_url.get_secret_value()
    return LastSeen(RedisPad(url) if url else FilePad(settings.model_dir))

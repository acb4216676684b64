"""The training queue of many machines: the state of each project in Redis, RQ carries who is to be trained next.

What a project's trainings have come to is one value, changed in a transaction; when it is next due stands in a sorted
set. RQ's queue holds a job for each project that is due: whoever pops it tries for the project's lock and looks at the
state, which alone decides. So a job may be lost, or come twice: trainers see to it that what is due has one.

A lock lives for some seconds and is renewed while its process does; after that another process may take it. What the
first then still wants to write is refused.
"""

from __future__ import annotations

import json
import logging
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any, TypeVar, cast

from redis import Redis, RedisError
from redis.backoff import ConstantBackoff
from redis.client import Pipeline
from redis.exceptions import LockError
from redis.lock import Lock
from redis.retry import Retry
from rq import Queue
from rq.serializers import JSONSerializer

from backend.training_jobs import Claim, ClaimLost, QueueError
from backend.training_rules import Trainings

logger = logging.getLogger(__name__)

QUEUE = "segmenter-trainings"  # RQ's queue, as `rq info` shows it
_CLAIM_SECONDS = 15.0  # without a sign of life for so long, a training is another's
_RENEWALS = 5  # of a claim in that time
_WAIT = 5.0  # seconds for an answer of Redis
_AT_ONCE = 1000  # records asked for at once
_STATES = "segmenter:trainings:"  # and the project's number: what its trainings have come to
_DUE = "segmenter:due"  # project -> when its next training or look is due, in seconds since 1970
_JOB = "training-"  # and the project's number: the id of its job in RQ's queue
_Answer = TypeVar("_Answer")


def train(project: int) -> None:
    """Tell whoever runs RQ's own worker on our queue that it is not the one; the training stays due."""
    raise RuntimeError(f"project {project} is trained by `python -m backend trainer`, not by `rq worker`: start that")


class RedisPlace:
    """Keeps the trainings in a Redis, for all machines that share it."""

    def __init__(self, url: str) -> None:
        again = Retry(ConstantBackoff(0.1), 1)  # a connection may have been closed from the other side meanwhile
        self._redis = Redis.from_url(url, socket_timeout=_WAIT, socket_connect_timeout=_WAIT, retry=again)
        # JSON, because RQ's usual form would have whoever writes to the Redis run code here.
        self._queue = Queue(QUEUE, connection=self._redis, serializer=JSONSerializer)

    def read(self, project: int) -> Trainings:
        """What is known of a project; raises QueueError."""
        with self._usable():
            return _trainings(self._redis.get(_state_of(project)))

    def read_all(self) -> dict[int, Trainings]:
        """What is known of every project; raises QueueError."""
        with self._usable():
            keys = sorted(set(self._redis.scan_iter(f"{_STATES}*", count=_AT_ONCE)))
            parts = [keys[first : first + _AT_ONCE] for first in range(0, len(keys), _AT_ONCE)]
            kept = [value for part in parts for value in cast(Any, self._redis.mget(part))]
        projects = (int(key.removeprefix(_STATES.encode())) for key in keys)
        return {project: _trainings(value) for project, value in zip(projects, kept, strict=True)}

    def change(
        self, project: int, step: Callable[[Trainings], tuple[Trainings, _Answer]], claim: Claim | None = None
    ) -> _Answer:
        """See Place."""
        kept = _state_of(project)

        def attempt(pipeline: Pipeline) -> _Answer:
            if claim is not None and not cast(_RedisClaim, claim).is_ours():
                raise ClaimLost(f"another trainer has taken project {project} over")
            before = _trainings(pipeline.get(kept))
            after, answer = step(before)
            wanted = claim is None and after.due_at is not None and after.due_at <= time.time()
            carry = wanted and pipeline.lpos(self._queue.key, f"{_JOB}{project}") is None
            pipeline.multi()
            if after != before:
                pipeline.set(kept, json.dumps(after.record()))
                if after.due_at is None:
                    pipeline.zrem(_DUE, project)
                else:
                    pipeline.zadd(_DUE, {str(project): after.due_at})
            if carry:
                self._enqueue(project, pipeline)
            return answer

        watched = [kept] if claim is None else [kept, _lock_of(project)]
        with self._usable():  # attempted again whenever another process was faster
            return cast(_Answer, self._redis.transaction(cast(Any, attempt), *watched, value_from_callable=True))

    def due(self, now: float) -> Iterator[int]:
        """Projects with something due, in the order in which they became so; raises QueueError."""
        with self._usable():
            self._carry(now)
            while (
                popped := Queue.dequeue_any([self._queue], None, self._redis, serializer=JSONSerializer)
            ) is not None:
                job, _ = popped
                self._redis.lrem(self._queue.intermediate_queue_key, 1, job.id)
                job.delete()
                yield int(job.id.removeprefix(_JOB))

    def claim(self, project: int) -> _RedisClaim | None:
        """The right to train a project; None while another process has it. Raises QueueError."""
        with self._usable():
            lock = self._redis.lock(_lock_of(project), timeout=_CLAIM_SECONDS, thread_local=False)
            return _RedisClaim(lock) if lock.acquire(blocking=False) else None

    def _carry(self, now: float) -> None:
        """Have RQ carry every project that is due, is not being trained, and is not yet on its way."""
        due = [int(project) for project in cast(Any, self._redis.zrangebyscore(_DUE, "-inf", now))]
        if not due:
            return
        held = cast(Any, self._redis.mget([_lock_of(project) for project in due]))
        carried = set(self._queue.get_job_ids())
        for project, holder in zip(due, held, strict=True):
            if holder is None and f"{_JOB}{project}" not in carried:
                self._enqueue(project)

    def _enqueue(self, project: int, pipeline: Pipeline | None = None) -> None:
        self._queue.enqueue_call(train, (project,), job_id=f"{_JOB}{project}", timeout=-1, pipeline=pipeline)

    @contextmanager
    def _usable(self) -> Iterator[None]:
        try:
            yield
        except RedisError as error:
            address = self._redis.connection_pool.connection_kwargs
            where = address.get("path") or f"{address.get('host')}:{address.get('port')}"
            raise QueueError(
                f"the training queue in the Redis at {where} cannot be used ({error}):"
                " check REDIS_URL, and that it runs"
            ) from error


class _RedisClaim:
    """A project's lock, renewed by a thread for as long as it is held."""

    def __init__(self, lock: Lock) -> None:
        self._lock = lock
        self._released = threading.Event()
        threading.Thread(target=self._renew, name="claim", daemon=True).start()

    def is_ours(self) -> bool:
        """Whether nobody has taken it over; raises RedisError."""
        return bool(self._lock.owned())

    def release(self) -> None:
        """Let others have it. Where Redis cannot be asked, they have it when it ends by itself."""
        self._released.set()
        try:
            self._lock.release()
        except LockError:
            pass  # it is another's by now
        except RedisError as error:
            logger.warning(
                "%(lock)s could not be released (%(reason)s): it ends by itself in %(seconds)g s",
                {"lock": self._lock.name, "reason": error, "seconds": _CLAIM_SECONDS},
            )

    def _renew(self) -> None:
        while not self._released.wait(_CLAIM_SECONDS / _RENEWALS):
            try:
                self._lock.reacquire()
            except LockError:
                return  # lost: the next change says so
            except RedisError as error:
                logger.warning("%(lock)s could not be renewed: %(reason)s", {"lock": self._lock.name, "reason": error})


def _state_of(project: int) -> str:
    return f"{_STATES}{project}"


def _lock_of(project: int) -> str:
    return f"segmenter:training:{project}"


def _trainings(stored: Any) -> Trainings:
    return Trainings() if stored is None else Trainings.of_record(json.loads(stored))

"""The folder in which the processes of one gunicorn keep their counts, so that any of its workers can tell them all.

prometheus-client maps a file for each process that counts. What a process has counted stays when it is gone.
"""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read when prometheus_client is imported: the folder has to be there first
_MEMORY = Path("/dev/shm")  # no count waits for a disk there; where there is none, another temporary folder will do
_NAME = "segmenter-metrics-"
_LOCK = "lock"  # held for as long as a process of that gunicorn lives


@lru_cache(maxsize=1)  # gunicorn reads its configuration again when it is told to reload, and goes on counting
def make_folder() -> Path:
    """Make the folder of this gunicorn, before its workers are forked; raises OSError where no file can be written."""
    place = _MEMORY if os.access(_MEMORY, os.W_OK) else Path(tempfile.gettempdir())
    _remove_those_of_the_killed(place)
    folder = Path(tempfile.mkdtemp(prefix=_NAME, dir=place))
    lock = os.open(folder / "new", os.O_RDWR | os.O_CREAT, 0o600)  # never closed: the workers inherit it
    fcntl.flock(lock, fcntl.LOCK_EX)
    (folder / "new").rename(folder / _LOCK)  # nobody sees it unlocked
    os.environ[_VARIABLE] = str(folder)  # whatever it was: somebody else's counts are not ours
    return folder


def is_shared() -> bool:
    """Whether this process counts in such a folder, with others."""
    return _VARIABLE in os.environ


def forget_worker(pid: int) -> None:
    """A worker is gone, and with it what it had in flight; what it counted stays."""
    from prometheus_client.multiprocess import mark_process_dead

    mark_process_dead(pid)  # type: ignore[no-untyped-call]


def remove_folder() -> None:
    """The last one out."""
    shutil.rmtree(make_folder(), ignore_errors=True)


def _remove_those_of_the_killed(place: Path) -> None:
    """Remove the folders of gunicorns that could not do it themselves."""
    for file in place.glob(f"{_NAME}*/{_LOCK}"):
        try:
            with file.open() as lock:
                fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
                shutil.rmtree(file.parent)
        except OSError:
            continue  # in use, another user's, or just removed by another gunicorn

"""The folder in which the processes of one gunicorn keep their counts, so that any of its workers can tell them all.

prometheus-client maps a file for each process that counts. What a process has counted stays when it is gone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from functools import lru_cache
from pathlib import Path

_VARIABLE = "PROMETHEUS_MULTIPROC_DIR"  # read when prometheus_client is imported: the folder has to be there first
_MEMORY = Path("/dev/shm")  # no count waits for a disk there; where there is none, another temporary folder will do


@lru_cache(maxsize=1)  # gunicorn reads its configuration again when it is told to reload, and goes on counting
def make_folder() -> Path:
    """Make the folder of this gunicorn, before its workers are forked; raises OSError where no file can be written."""
    folder = Path(tempfile.mkdtemp(prefix="segmenter-metrics-", dir=_MEMORY if os.access(_MEMORY, os.W_OK) else None))
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

"""How gunicorn serves the backend: `gunicorn -c gunicorn.conf.py _wsgi:app`."""

from __future__ import annotations

import gc
import resource
import sys
from typing import Any

from gunicorn.glogging import Logger

from backend import metrics_files
from backend.logs import configure_logging
from backend.settings import SettingsError, current_settings

try:
    settings = current_settings()
except SettingsError as error:
    sys.exit(f"The backend cannot start: {error}")

configure_logging(settings)


class _Log(Logger):  # type: ignore[misc]  # gunicorn has no types
    """Gunicorn's own lines, in the form of all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.handlers.clear()
        self.error_log.propagate = True


def _open_files() -> int:
    """How many files and connections a process may have open, after asking for more than the usual 1,024."""
    allowed, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = max(allowed, min(most, 4096))
    resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))
    return wanted


logger_class = _Log
bind = f"0.0.0.0:{settings.port}"
workers = settings.workers
worker_class = "backend.web_worker.WebWorker"
worker_connections = min(1000, _open_files() // 2)  # for one more, the client that has been waited for longest goes
threads = settings.threads
preload_app = True  # torch is imported once and shared by the workers
timeout = 120  # Label Studio waits 100 s for predictions
graceful_timeout = 30
keepalive = 5
forwarder_headers = ""  # no request may say at which path all begins, not even one from this machine
sendfile = False  # threads have no client's socket
loglevel = settings.log_level.lower()
accesslog = None
control_socket_disable = True  # nobody needs to steer it from beside, and the home folder may be read-only

metrics_files.make_folder()
_keepers: list[Any] = []


def when_ready(server: Any) -> None:
    """Keep what is imported out of garbage collection, which would write to it and so copy it for each worker."""
    gc.collect()
    gc.freeze()


def post_worker_init(worker: Any) -> None:
    """Keep torch to the thread that calls it, and see to it that trainers run, unless other machines train."""
    import torch

    from backend.trainer_keeper import TrainerKeeper

    torch.set_num_threads(1)
    if settings.many_machines:
        return
    # A worker that is told to stop answers what it has begun to; its trainers stop at once.
    keeper = TrainerKeeper(settings, wanted=lambda: bool(worker.alive))
    keeper.start()
    _keepers.append(keeper)


def worker_exit(server: Any, worker: Any) -> None:
    """Stop the trainers that this worker keeps."""
    for keeper in _keepers:
        keeper.stop()


def child_exit(server: Any, worker: Any) -> None:
    """A worker is gone, however it ended."""
    metrics_files.forget_worker(worker.pid)


def on_exit(server: Any) -> None:
    """Leave nothing behind."""
    metrics_files.remove_folder()

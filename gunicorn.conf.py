"""How gunicorn serves the backend: `gunicorn -c gunicorn.conf.py _wsgi:app`."""

from __future__ import annotations

import sys
from typing import Any

from backend import metrics_files
from backend.logs import log_config
from backend.settings import SettingsError, current_settings

try:
    settings = current_settings()
except SettingsError as error:
    sys.exit(f"The backend cannot start: {error}")

bind = f"0.0.0.0:{settings.port}"
workers = settings.workers
worker_class = "gthread"
threads = settings.threads
preload_app = True  # torch is imported once and shared by the workers
timeout = 120  # Label Studio waits 100 s for predictions
graceful_timeout = 30
keepalive = 5
loglevel = settings.log_level.lower()
logconfig_dict = log_config(settings)
accesslog = None
control_socket_disable = True  # nobody needs to steer it from beside, and the home folder may be read-only

metrics_files.make_folder()
_keepers: list[Any] = []


def post_worker_init(worker: Any) -> None:
    """Give the worker its share of the cores, and see to it that trainers run, unless other machines train."""
    import torch

    from backend.trainer_keeper import TrainerKeeper

    torch.set_num_threads(settings.inference_threads)
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

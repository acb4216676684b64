"""The SDK's Flask app with our model and our routes: `gunicorn -c gunicorn.conf.py _wsgi:app`, or `python _wsgi.py`."""

from __future__ import annotations

from backend.logs import configure_logging, log_what_nobody_catches
from backend.metrics import add_metrics
from backend.project_metrics import ProjectMetrics
from backend.routes import add_routes
from backend.sdk import create_app
from backend.service import service
from backend.settings import current_settings
from model import TimeSeriesSegmenter

settings = current_settings()
configure_logging(settings)
log_what_nobody_catches()
app = create_app(TimeSeriesSegmenter)
add_metrics(app, lambda: ProjectMetrics(service().jobs, service().store))
add_routes(app, TimeSeriesSegmenter, settings)

if __name__ == "__main__":
    import torch

    from backend.trainer_keeper import TrainerKeeper

    torch.set_num_threads(1)
    keeper = TrainerKeeper(settings, wanted=lambda: not settings.many_machines)
    keeper.start()
    try:
        app.run(host="0.0.0.0", port=settings.port, threaded=True)
    finally:
        keeper.stop()

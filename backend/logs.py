"""How the backend logs: one line an event that matters, to standard error."""

from __future__ import annotations

import logging

from backend.settings import Settings

_CHATTY = ("httpx", "httpcore", "urllib3", "werkzeug", "filelock", "label_studio_ml", "rq")


def configure_logging(settings: Settings) -> None:
    """Set the level and the form of this process' log. Libraries that log headers never go below WARNING."""
    logging.basicConfig(
        level=settings.log_level, format="%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s", force=True
    )
    for name in _CHATTY:
        logging.getLogger(name).setLevel(logging.WARNING)

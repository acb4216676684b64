"""How the backend logs: one line an event that matters, to standard error, as a sentence or as a JSON object.

A message names its facts, `logger.info("project %(project)d: ...", {"project": 3})`, so that the sentence and the
object's fields cannot differ. Names in use: project, task, tasks, version, event, request, attempt, seconds, reason.
"""

from __future__ import annotations

import json
import logging
import secrets
import sys
import threading
from collections.abc import Mapping
from datetime import datetime, timezone
from types import TracebackType
from typing import Any

from backend.settings import Settings

logger = logging.getLogger(__name__)

# Whose lines LOG_LEVEL is for. Libraries never go below WARNING: some log headers and bodies, secrets included.
OURS = ("backend", "segmenter", "model", "__main__", "gunicorn.error")
_TEXT = "%(asctime)s %(levelname)s %(process)d %(name)s: %(message)s"


class JsonLines(logging.Formatter):
    """One JSON object a line: time (UTC), level, logger, process, message, the message's facts, exception."""

    def format(self, record: logging.LogRecord) -> str:
        """The record as JSON, all in ASCII."""
        line: dict[str, Any] = {
            "time": datetime.fromtimestamp(record.created, timezone.utc).isoformat(timespec="milliseconds"),
            "level": record.levelname,
            "logger": record.name,
            "process": record.process,
            "message": record.getMessage(),
        }
        if isinstance(record.args, Mapping):  # those that the sentence names: a library may bring along more
            facts = {name: fact for name, fact in record.args.items() if f"%({name})" in str(record.msg)}
            line = {**facts, **line}
        if record.exc_info:
            line["exception"] = self.formatException(record.exc_info)
        return json.dumps(line, default=str)


def configure_logging(settings: Settings) -> None:
    """Set the form and the levels of this process' log, warnings included."""
    level = getattr(logging, settings.log_level)
    formatter = JsonLines() if settings.log_format == "json" else logging.Formatter(_TEXT)
    handler = logging.StreamHandler()
    handler.setFormatter(formatter)
    handler.addFilter(_may_be_told)
    logging.basicConfig(level=max(level, logging.WARNING), handlers=[handler], force=True)
    for name in OURS:
        logging.getLogger(name).setLevel(level)
    logging.captureWarnings(True)


def _may_be_told(record: logging.LogRecord) -> bool:
    """A library may set a level of its own, as werkzeug does, and is kept from telling more by this alone."""
    return record.levelno >= logging.WARNING or any(f"{record.name}.".startswith(f"{name}.") for name in OURS)


def new_incident() -> str:
    """An id by which what a client is told of an error leads to what the log has of it."""
    return secrets.token_hex(4)


def unexpected(where: str, facts: Mapping[str, Any]) -> str:
    """Log the error that is being handled, a bug, with its traceback; returns what may be told of it."""
    incident = new_incident()
    sentence = f"{where}: an error that nobody expected, with the id %(incident)s"
    logger.exception(sentence, {**facts, "incident": incident})
    return f"an error that nobody expected; the backend's log has it under the id {incident}"


def log_what_nobody_catches() -> None:
    """For the whole process: an error that ends it, or one of its threads, takes the form of the other lines, too."""
    sys.excepthook = _uncaught
    threading.excepthook = lambda uncaught: _uncaught(
        uncaught.exc_type, uncaught.exc_value or uncaught.exc_type(), uncaught.exc_traceback
    )


def _uncaught(kind: type[BaseException], error: BaseException, traceback: TracebackType | None) -> None:
    if not issubclass(kind, KeyboardInterrupt):
        facts = {"reason": error}
        logger.critical("an error that nobody expected: %(reason)s", facts, exc_info=(kind, error, traceback))

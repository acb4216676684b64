"""The two forms of the log: the same facts as a sentence and as the fields of a JSON object."""

from __future__ import annotations

import json
import logging
import subprocess
import sys
from collections.abc import Iterator
from datetime import datetime, timedelta, timezone
from pathlib import Path
from typing import Any

import pytest

from backend.logs import OURS, configure_logging
from backend.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
FACTS = {"project": 3, "task": 5, "version": "v1-20261124T093000", "seconds": 1.25}
SENTENCE = "project %(project)d, task %(task)d: suggested by %(version)s in %(seconds).1f s"
SAID = "project 3, task 5: suggested by v1-20261124T093000 in 1.2 s"


@pytest.fixture
def restored() -> Iterator[None]:
    """What a test sets up ends with it."""
    handlers, level = logging.root.handlers[:], logging.root.level
    levels = {name: logging.getLogger(name).level for name in OURS}
    yield
    logging.root.handlers[:] = handlers
    logging.root.setLevel(level)
    for name in OURS:
        logging.getLogger(name).setLevel(levels[name])
    logging.captureWarnings(False)


@pytest.fixture
def logged(restored: None, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch) -> Any:
    """Sets the log up, and gives what tells the lines that came since."""

    def set_up(form: str, level: str = "INFO") -> Any:
        monkeypatch.setenv("LOG_FORMAT", form)
        monkeypatch.setenv("LOG_LEVEL", level)
        configure_logging(Settings())
        return lambda: capsys.readouterr().err.splitlines()

    return set_up


def test_text_is_a_sentence_a_line(logged: Any) -> None:
    lines = logged("text")
    logging.getLogger("backend.service").info(SENTENCE, FACTS)
    (line,) = lines()
    assert line.endswith(f"backend.service: {SAID}")
    assert " INFO " in line


def test_json_is_the_same_sentence_with_its_facts_as_fields(logged: Any) -> None:
    lines = logged("json")
    before = datetime.now(timezone.utc)
    logging.getLogger("backend.service").info(SENTENCE, FACTS)
    (line,) = map(json.loads, lines())
    at = datetime.fromisoformat(line.pop("time"))
    assert abs(at - before) < timedelta(seconds=5)
    assert line.pop("process") > 0
    assert line == {**FACTS, "level": "INFO", "logger": "backend.service", "message": SAID}


@pytest.mark.parametrize(
    ("message", "args", "said"),
    [
        ("listening at %s", ("http://0.0.0.0:9090",), "listening at http://0.0.0.0:9090"),
        ("100 % of it", (), "100 % of it"),
        ("two\nlines, \u2028 and half a character \ud800", (), "two\nlines, \u2028 and half a character \ud800"),
        ("an error: %(reason)s", ({"reason": ValueError("no")},), "an error: no"),
        ("a fact called %(message)s", ({"message": "other"},), "a fact called other"),
        ("what a library brings along: %(a)s", ({"a": 1, "header": "secret"},), "what a library brings along: 1"),
    ],
)
def test_whatever_is_logged_is_one_line_that_json_can_read(
    logged: Any, message: str, args: tuple[Any, ...], said: str
) -> None:
    lines = logged("json")
    logging.getLogger("gunicorn.error").warning(message, *args)
    (line,) = map(json.loads, lines())
    assert line["message"] == said
    assert "secret" not in line.values()


def test_an_error_has_its_traceback_in_the_same_line(logged: Any) -> None:
    lines = logged("json")
    try:
        raise ValueError("found nothing")
    except ValueError:
        logging.getLogger("backend").exception("project %(project)d: an error", {"project": 3})
    (line,) = map(json.loads, lines())
    assert line["project"] == 3
    assert line["exception"].startswith("Traceback")
    assert line["exception"].endswith("ValueError: found nothing")


@pytest.mark.parametrize(
    ("level", "ours", "theirs"),
    [("DEBUG", ["debug", "info", "warning", "error"], ["warning", "error"]), ("ERROR", ["error"], ["error"])],
)
def test_the_level_is_for_our_own_lines_and_never_lets_a_library_say_more_than_warnings(
    logged: Any, monkeypatch: pytest.MonkeyPatch, level: str, ours: list[str], theirs: list[str]
) -> None:
    lines = logged("json", level)
    monkeypatch.setattr(logging.getLogger("headstrong"), "level", logging.DEBUG)
    for name, expected in (("backend.routes", ours), ("httpx", theirs), ("headstrong", ["warning", "error"])):
        for said in ("debug", "info", "warning", "error"):
            getattr(logging.getLogger(name), said)(said)
        assert [json.loads(line)["message"] for line in lines()] == expected


@pytest.mark.parametrize("thread", [False, True])
def test_an_error_that_nobody_catches_takes_the_form_of_the_other_lines(thread: bool) -> None:
    code = f"""
import threading, warnings
from backend.logs import configure_logging, log_what_nobody_catches
from backend.settings import current_settings
configure_logging(current_settings())
log_what_nobody_catches()
warnings.warn("old")
def fail():
    raise ValueError("nobody catches this")
{"t = threading.Thread(target=fail); t.start(); t.join()" if thread else "fail()"}
"""
    done = subprocess.run(
        [sys.executable, "-c", code],
        cwd=ROOT, env={"PATH": "", "LOG_FORMAT": "json"}, capture_output=True, text=True,
    )  # fmt: skip
    warning, error = (json.loads(line) for line in done.stderr.splitlines())
    assert (warning["level"], warning["logger"]) == ("WARNING", "py.warnings")
    assert (error["level"], error["message"]) == ("CRITICAL", "an error that nobody expected: nobody catches this")
    assert "in fail" in error["exception"]

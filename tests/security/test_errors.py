"""Clients see a short message and an id, the log has the traceback."""

from __future__ import annotations

import logging
import re

import pytest

from backend.logs import unexpected
from tests.backend.server import Server
from tests.recordings import CONFIG


@pytest.mark.parametrize("path", ["/setup", "/predict", "/projects/77/status", "/projects/77"])
def test_an_error_that_nobody_expected_is_an_id_for_the_client_and_a_traceback_in_the_log(
    server: Server, path: str
) -> None:
    folder = server.model_dir / "projects" / "77"
    folder.mkdir(parents=True, exist_ok=True)
    if not (folder / "current").is_symlink():
        (folder / "current").symlink_to(folder / "current")  # which no code foresees
    told = len(server.log_text())
    if path.startswith("/projects"):
        answer = server.http.get(path)
    else:
        answer = server.http.post(
            path, json={"project": "77.1", "tasks": [{}], "schema": CONFIG, "label_config": CONFIG}
        )
    assert answer.status_code == 500
    said = re.fullmatch(
        r"the backend failed; its log has the reason under the id ([0-9a-f]{8})", answer.json()["error"]
    )
    assert said
    assert list(answer.json()) == ["error"]
    log = server.log_text()[told:]
    assert said[1] in log
    assert "Traceback" in log
    assert "Too many levels of symbolic links" in log


def test_a_bug_in_one_task_or_training_is_told_by_its_id_alone(caplog: pytest.LogCaptureFixture) -> None:
    try:
        raise KeyError("a secret or a path")
    except KeyError:
        told = unexpected("project %(project)d", {"project": 3})
    assert "secret" not in told
    (record,) = caplog.records
    assert record.levelno == logging.ERROR
    assert told.rpartition(" ")[2] in record.getMessage()
    assert "a secret or a path" in caplog.text
    assert "Traceback" in caplog.text

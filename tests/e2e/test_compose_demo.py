"""What docker-compose's profile `demo` starts, with its environments and commands, as processes of this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from contextlib import ExitStack
from pathlib import Path

import pytest

from demo import servers
from demo.servers import ROOT, Server
from tests import compose
from tests.e2e import browser
from tests.e2e.conftest import START_WITHIN
from tests.ports import free_port

LABEL_STUDIO = ROOT / ".venv-label-studio/bin/label-studio"
GUNICORN = ["gunicorn", "-c", "gunicorn.conf.py", "_wsgi:app"]  # the image's own command


def test_it_ends_with_an_address_and_a_login_where_suggestions_are_seen(tmp_path: Path, screenshot: Path) -> None:
    if sentence := browser.missing():
        pytest.fail(sentence, pytrace=False)
    ports = {"label-studio:8080": free_port(), "demo-segmenter.internal:9090": free_port()}
    services = compose.services("demo", TRAINING_EFFORT="0.3", DEMO_PORT=str(ports["label-studio:8080"]))

    def here(text: str) -> str:
        for name, port in ports.items():
            text = text.replace(name, f"localhost:{port}")
        return text

    def environment(name: str, **others: object) -> dict[str, str]:
        given = {variable: here(value) for variable, value in compose.environment(services[name]).items()}
        return {"PATH": "/usr/bin:/bin", "HOME": str(tmp_path), **given} | {key: str(others[key]) for key in others}

    label_studio = Server(
        "Label Studio",
        [str(LABEL_STUDIO), "start", "--no-browser", "--internal-host", "127.0.0.1"],
        environment(
            "label-studio",
            LABEL_STUDIO_PORT=ports["label-studio:8080"],
            LABEL_STUDIO_BASE_DATA_DIR=tmp_path / "label-studio",
        ),
        tmp_path,
        here("http://label-studio:8080"),
    )
    backend = Server(
        "Backend",
        [sys.executable, "-m", *GUNICORN],
        environment("demo-segmenter", PORT=ports["demo-segmenter.internal:9090"], MODEL_DIR=tmp_path / "models"),
        tmp_path,
        here("http://demo-segmenter.internal:9090"),
    )
    (tmp_path / "label-studio").mkdir()
    (tmp_path / "models").mkdir()
    with ExitStack() as running:
        for server in (label_studio, backend):
            running.enter_context(server).wait_until_healthy(START_WITHIN)
        program, *arguments = (here(argument) for argument in services["demo"]["command"])
        assert program == "python"
        done = subprocess.run(
            [sys.executable, *arguments], cwd=ROOT, env=environment("demo"), capture_output=True, text=True
        )

        assert done.returncode == 0, done.stdout + done.stderr
        assert "16 of 16 recordings without an annotation have some" in done.stdout
        (address,) = re.findall(r"^Open (\S+)/projects/1/data$", done.stdout, re.MULTILINE)
        login = re.findall(r"^  (?:Login|Password) +(\S+)$", done.stdout, re.MULTILINE)
        assert login == [servers.USERNAME, servers.PASSWORD]  # with which the browser logs in
        with browser.open_browser(address, tmp_path / "chromium") as opened:
            opened.open_task(1, 9)
            counts = opened.drawn().counts()
            opened.save_screenshot(screenshot)
        assert min(counts) >= 3

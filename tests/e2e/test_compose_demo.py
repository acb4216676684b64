"""What docker-compose's profile `demo` starts, with its environments and commands, as processes of this machine."""

from __future__ import annotations

import re
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from demo import servers
from demo.servers import ROOT, Server
from tests import compose
from tests.e2e import browser
from tests.e2e.conftest import START_WITHIN
from tests.ports import free_port

LABEL_STUDIO = [str(ROOT / ".venv-label-studio/bin/label-studio"), "start", "--no-browser", "--internal-host=127.0.0.1"]
GUNICORN = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "_wsgi:app"]  # the image's own command


class Composed:
    """The profile's services; what they call each other by becomes an address of this machine."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ports = {"label-studio:8080": free_port(), "demo-segmenter.internal:9090": free_port()}
        given = {"TRAINING_EFFORT": "0.3", "DEMO_PORT": str(self.ports["label-studio:8080"])}
        self.services = compose.services("demo", **given)

    def here(self, text: str) -> str:
        for name, port in self.ports.items():
            text = text.replace(name, f"localhost:{port}")
        return text

    def environment(self, name: str, **others: object) -> dict[str, str]:
        given = compose.environment(self.services[name]) | {key: str(value) for key, value in others.items()}
        own = {"PATH": "/usr/bin:/bin", "HOME": str(self.folder)}
        return own | {variable: self.here(value) for variable, value in given.items()}

    def server(self, name: str, address: str, command: list[str], folder: str, **others: object) -> Server:
        kept = self.folder / name
        kept.mkdir()
        environment = self.environment(name, **{folder: kept}, **others)
        return Server(name, command, environment, self.folder, self.here(f"http://{address}"))


@pytest.fixture
def composed(tmp_path: Path) -> Iterator[Composed]:
    if sentence := browser.missing():
        pytest.fail(sentence, pytrace=False)
    demo = Composed(tmp_path)
    studio, backend = demo.ports
    port = {"LABEL_STUDIO_PORT": demo.ports[studio]}
    with (
        demo.server("label-studio", studio, LABEL_STUDIO, "LABEL_STUDIO_BASE_DATA_DIR", **port) as label_studio,
        demo.server("demo-segmenter", backend, GUNICORN, "MODEL_DIR", PORT=demo.ports[backend]) as segmenter,
    ):
        segmenter.wait_until_healthy(START_WITHIN)
        label_studio.wait_until_healthy(START_WITHIN)
        yield demo


def test_it_ends_with_an_address_and_a_login_that_lead_to_suggestions(composed: Composed, screenshot: Path) -> None:
    program, *arguments = (composed.here(argument) for argument in composed.services["demo"]["command"])
    assert program == "python"

    done = subprocess.run(
        [sys.executable, *arguments], cwd=ROOT, env=composed.environment("demo"), capture_output=True, text=True
    )

    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 of 16 recordings without an annotation have some" in done.stdout
    (address,) = re.findall(r"^Open (\S+)/projects/1/data$", done.stdout, re.MULTILINE)
    login = re.findall(r"^  (?:Login|Password) +(\S+)$", done.stdout, re.MULTILINE)
    assert login == [servers.USERNAME, servers.PASSWORD]  # with which this browser logs in
    with browser.open_browser(address, composed.folder / "chromium") as opened:
        opened.open_task(1, 9)
        counts = opened.drawn().counts()
        opened.save_screenshot(screenshot)
    assert min(counts) >= 3

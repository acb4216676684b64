"""Label Studio and the backend as processes: started with the settings a local pair needs, and stopped."""

from __future__ import annotations

import os
import secrets
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from types import TracebackType

import httpx

ROOT = Path(__file__).resolve().parent.parent
USERNAME, PASSWORD = "demo@example.com", "segment-the-series"

_STOP_WITHIN = 15.0  # seconds that a server gets to stop by itself
_LOG_LINES = 15  # shown of a server that failed to start
# Label Studio reads many plain names (HOST, PORT, DEBUG, ...), and a proxy would stand between it and the backend.
_PASSED_ON = ("PATH", "HOME", "LANG", "LC_ALL", "TMPDIR", "TZ")


class DemoError(Exception):
    """The demo cannot go on; the message says why and what to do."""


def check_port(port: int, whose: str, variable: str) -> None:
    """Raise DemoError when something listens on a port of this machine."""
    for family, address in ((socket.AF_INET, "127.0.0.1"), (socket.AF_INET6, "::1")):
        try:
            with socket.socket(family) as probe:
                probe.settimeout(1)
                taken = probe.connect_ex((address, port)) == 0
        except OSError:  # a machine without IPv6
            continue
        if taken:
            raise DemoError(
                f"Port {port}, meant for {whose}, is in use: stop what listens there, or choose another with "
                f"{variable}, as in: make demo {variable}={port + 1}"
            )


class Server:
    """A server process in a group of its own; as a context manager it is started on entry and stopped on exit."""

    def __init__(
        self, name: str, command: Sequence[str], environment: Mapping[str, str], folder: Path, url: str
    ) -> None:
        self.name, self.url = name, url
        self.log = folder / f"{name.lower().replace(' ', '-')}.log"
        self._command, self._environment = command, environment
        self._process: subprocess.Popen[bytes] | None = None

    def __enter__(self) -> Server:
        self.log.parent.mkdir(parents=True, exist_ok=True)
        with self.log.open("wb") as log:
            self._process = subprocess.Popen(
                self._command, cwd=ROOT, env=self._environment, stdin=subprocess.DEVNULL, stdout=log, stderr=log,
                start_new_session=True,
            )  # fmt: skip
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._process is not None
        try:
            self._process.terminate()
            with suppress(subprocess.TimeoutExpired):
                self._process.wait(timeout=_STOP_WITHIN)
        finally:
            with suppress(ProcessLookupError):  # it went in good order, with all it had started
                os.killpg(self._process.pid, signal.SIGKILL)
            self._process.wait()

    def wait_until_healthy(self, seconds: float, tell: Callable[[str], None] = lambda news: None) -> None:
        """Return once GET /health answers 200; raises DemoError when the process ends before, or it takes too long."""
        assert self._process is not None
        deadline = time.monotonic() + seconds
        while not self._healthy():
            if (code := self._process.poll()) is not None:
                raise DemoError(f"{self.name} ended with status {code} while it started; {self._last_lines()}")
            if time.monotonic() > deadline:
                raise DemoError(f"{self.name} did not answer {self.url}/health in {seconds:g} s; {self._last_lines()}")
            tell("starting")
            time.sleep(0.5)

    def _healthy(self) -> bool:
        try:
            return httpx.get(f"{self.url}/health", timeout=5, trust_env=False).status_code == httpx.codes.OK
        except httpx.TransportError:
            return False

    def _last_lines(self) -> str:
        lines = self.log.read_text(errors="replace").splitlines()[-_LOG_LINES:]
        return f"{self.log} ends with:\n" + "\n".join(f"  {line}" for line in lines)


def label_studio(folder: Path, port: int, **settings: str) -> Server:
    """A Label Studio that keeps its data in `folder` and may call a backend on this machine; other `settings` go first.

    Raises DemoError when Label Studio is not installed.
    """
    program = Path(os.environ.get("LABEL_STUDIO_BIN") or ROOT / ".venv-label-studio/bin/label-studio")
    if not program.exists():
        raise DemoError(
            f"There is no Label Studio at {program}: `make demo` and `make e2e` install it, or set LABEL_STUDIO_BIN to "
            "the label-studio program of another virtual environment"
        )
    data = folder / "label-studio"
    data.mkdir(parents=True, exist_ok=True)
    environment = {name: os.environ[name] for name in _PASSED_ON if name in os.environ} | {
        "SECRET_KEY": _secret(folder / "secret-key"),  # without it tokens do not survive the first restart
        "LABEL_STUDIO_BASE_DATA_DIR": str(data),
        "LABEL_STUDIO_USERNAME": USERNAME,
        "LABEL_STUDIO_PASSWORD": PASSWORD,
        # Both guards forbid backends on local addresses, which is where the demo's backend is.
        "ML_BLOCK_LOCAL_IP": "false",
        "SSRF_PROTECTION_ENABLED": "false",
        "COLLECT_ANALYTICS": "false",
        "LATEST_VERSION_CHECK": "false",
        "SENTRY_DSN": "",
        "FRONTEND_SENTRY_DSN": "",
        "LOG_LEVEL": "WARNING",
        **settings,
    }
    # Its password is no secret: it listens on this machine alone.
    command = [str(program), "start", "--no-browser", "--internal-host", "127.0.0.1", "--port", str(port)]
    return Server("Label Studio", command, environment, folder, f"http://localhost:{port}")


def backend(folder: Path, models: Path, port: int, studio: str, key: str, **settings: str) -> Server:
    """This repository's backend under gunicorn, for the Label Studio at the address `studio`; models go to `models`.

    The rest of its settings are taken from `settings` and the environment, basic auth from `settings` alone: the demo's
    Label Studio knows none.
    """
    unwanted = ("LABEL_STUDIO_URL", "BASIC_AUTH_USER", "BASIC_AUTH_PASS")
    environment = {name: value for name, value in os.environ.items() if name not in unwanted} | {
        "PORT": str(port),
        "MODEL_DIR": str(models),
        "LABEL_STUDIO_HOST": studio,
        "LABEL_STUDIO_API_KEY": key,
        **settings,
    }
    command = [sys.executable, "-m", "gunicorn", "-c", "gunicorn.conf.py", "_wsgi:app"]
    return Server("Backend", command, environment, folder, f"http://localhost:{port}")


def _secret(path: Path) -> str:
    if not path.exists():
        path.touch(mode=0o600)
        path.write_text(secrets.token_urlsafe(48))
    return path.read_text()

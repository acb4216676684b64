"""`make demo`: a real Label Studio, this backend and a sample project, connected and trained, with suggestions."""

from __future__ import annotations

import argparse
import os
import signal
import sys
import threading
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from types import FrameType

from backend.settings import Settings
from demo import servers
from demo.console import Step
from demo.sample import set_up, what_to_click
from demo.servers import ROOT, DemoError
from demo.studio import Studio

FOLDER = ROOT / ".demo"
_START_WITHIN = 600.0  # seconds; Label Studio's first start makes its database


@dataclass(frozen=True)
class Ports:
    """Where the two servers listen."""

    studio: int
    backend: int


def run_demo(ports: Ports, stay: bool) -> bool:
    """The whole demo, step by step. Returns whether every open recording got suggestions, or stays up for good.

    Raises DemoError. Every step looks at what is there first, so a second start goes on from where the first one ended.
    """
    servers.check_port(ports.studio, "Label Studio", "LABEL_STUDIO_PORT")
    servers.check_port(ports.backend, "the backend", "PORT")
    with ExitStack() as running:
        running.callback(print, "Stopped.", flush=True)
        step = Step("Label Studio" if (FOLDER / "token").exists() else "Label Studio, first start: makes its database")
        label_studio = running.enter_context(servers.label_studio(FOLDER, ports.studio))
        label_studio.wait_until_healthy(_START_WITHIN, step.tell)
        studio = running.enter_context(Studio(label_studio.url))
        key = studio.personal_access_token(FOLDER / "token")
        step.done(f"serves {label_studio.url}")

        step = Step("Backend")
        models = Path(os.environ.get("MODEL_DIR") or FOLDER / "models")
        backend = running.enter_context(servers.backend(FOLDER, models, ports.backend, label_studio.url, key))
        running.callback(print, "\nStopping ...", flush=True)
        backend.wait_until_healthy(_START_WITHIN, step.tell)
        step.done(f"serves {backend.url}")

        settings = Settings.model_validate(
            {"LABEL_STUDIO_HOST": studio.url, "label_studio_api_key": key, "basic_auth_user": "", "basic_auth_pass": ""}
        )
        sample = set_up(studio, settings, backend.url)
        if stay:
            print(what_to_click(studio.url, sample.project, servers.USERNAME, servers.PASSWORD), flush=True)
            logs = ", ".join(str(server.log.relative_to(ROOT)) for server in (label_studio, backend))
            print(
                f"Logs: {logs}\nThe project stays in .demo and is there at the next start; remove that folder to begin "
                "anew. Ctrl-C stops both servers.\n",
                flush=True,
            )
            threading.Event().wait()  # until a signal
    return sample.complete


def _port(variable: str, default: int) -> int:
    written = os.environ.get(variable) or str(default)
    if not written.isdigit() or not 0 < int(written) < 65536:
        raise DemoError(f"{variable} is {written!r}: expected a port number from 1 to 65535")
    return int(written)


def _stop(number: int, frame: FrameType | None) -> None:
    """Leave through the context managers, which stop the servers; a second signal does not interrupt them."""
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, signal.SIG_IGN)
    raise KeyboardInterrupt


def main() -> int:
    """Run the demo; returns the exit status."""
    parser = argparse.ArgumentParser(prog="python -m demo", description=__doc__)
    parser.add_argument(
        "--exit", action="store_true", help="stop at the end; status 1 unless every open recording got suggestions"
    )
    leave = parser.parse_args().exit
    for one in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(one, _stop)
    try:
        ports = Ports(_port("LABEL_STUDIO_PORT", 8080), _port("PORT", 9090))
        complete = run_demo(ports, stay=not leave)
    except DemoError as error:
        print(f"\n{error}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        return 0
    return 0 if complete else 1


if __name__ == "__main__":
    sys.exit(main())

"""`python -m backend`: the backend's commands."""

from __future__ import annotations

from backend.cli import main
from backend.logs import log_what_nobody_catches

log_what_nobody_catches()
main(prog_name="python -m backend")

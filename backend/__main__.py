"""`python -m backend`: the backend's commands."""

from __future__ import annotations

from backend.cli import main

main(prog_name="python -m backend")

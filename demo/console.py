"""What the demo says while it works: one line that is rewritten on a terminal, a line now and then in a log."""

from __future__ import annotations

import sys
import time

_LOG_EVERY = 10.0  # seconds between two lines of one step where lines cannot be rewritten


class Step:
    """One step of the demo, shown with the seconds it has taken so far."""

    def __init__(self, title: str) -> None:
        self._title = title
        self._began = time.monotonic()
        self._shown = -_LOG_EVERY
        self._live = sys.stdout.isatty()
        self.tell("")

    @property
    def seconds(self) -> float:
        """Seconds since the step began."""
        return time.monotonic() - self._began

    def tell(self, news: str) -> None:
        """Show how far the step is."""
        line = f"- {self._title}{': ' if news else ' ...'}{news} ({self.seconds:.0f} s)"
        if self._live:
            print(f"\r{line}\x1b[K", end="", flush=True)
        elif self.seconds - self._shown >= _LOG_EVERY:
            self._shown = self.seconds
            print(line, flush=True)

    def done(self, outcome: str) -> None:
        """Show what came of the step."""
        print(f"{chr(13) if self._live else ''}- {self._title}: {outcome} ({self.seconds:.1f} s)"
              f"{chr(27) + '[K' if self._live else ''}", flush=True)  # fmt: skip

"""A Redis of the tests' own, with a password, that keeps what it was told when it is killed."""

from __future__ import annotations

import shutil
import subprocess
import time
from pathlib import Path

import pytest
from redis import ConnectionError, Redis

from tests.ports import free_port

PASSWORD = "the-password-of-the-redis"
needs_redis = pytest.mark.skipif(
    shutil.which("redis-server") is None, reason="redis-server is not installed here (Debian: apt install redis-server)"
)


class RedisServer:
    """A running redis-server on a free port."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.port = free_port()
        self.url = f"redis://:{PASSWORD}@127.0.0.1:{self.port}/0"
        self.start()

    def start(self) -> None:
        """Start it, and wait until it answers."""
        options = {"port": self.port, "bind": "127.0.0.1", "requirepass": PASSWORD, "dir": self.folder}
        kept = {"appendonly": "yes", "appendfsync": "always", "save": ""}
        given = [word for name, value in {**options, **kept}.items() for word in (f"--{name}", str(value))]
        self._process = subprocess.Popen(["redis-server", *given], stdout=subprocess.DEVNULL)
        until = time.monotonic() + 20
        with Redis.from_url(self.url) as client:
            while True:
                try:
                    client.ping()
                    return
                except ConnectionError:  # not yet
                    assert time.monotonic() < until, "redis-server did not answer within 20 s"
                    time.sleep(0.05)

    def clear(self) -> None:
        """Forget everything."""
        with Redis.from_url(self.url) as client:
            client.flushall()

    def kill(self) -> None:
        """Kill it at once."""
        self._process.kill()
        self._process.wait(timeout=10)

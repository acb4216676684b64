"""A tap on the line from Label Studio to the backend: passes everything on unchanged, notes what went by, how fast."""

from __future__ import annotations

import http.client
import json
import threading
import time
from dataclasses import dataclass
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any


@dataclass(frozen=True)
class Exchange:
    """One request of Label Studio's and how the backend answered it."""

    method: str
    path: str
    payload: Any
    status: int
    answer: Any
    seconds: float

    @property
    def accepted(self) -> bool:
        return self.status in (200, 201)

    @property
    def event(self) -> str | None:
        return self.payload.get("action") if isinstance(self.payload, dict) else None


class Tap:
    """Listens on a free port and passes on to `backend_port`, both on this machine."""

    def __init__(self, backend_port: int) -> None:
        self._noted: list[Exchange] = []
        self._lock = threading.Lock()
        noted, lock = self._noted, self._lock

        class Handler(BaseHTTPRequestHandler):
            def _pass_on(self) -> None:
                body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
                began = time.perf_counter()
                line = http.client.HTTPConnection("127.0.0.1", backend_port, timeout=120)
                try:
                    line.request(self.command, self.path, body, dict(self.headers))
                    answer = line.getresponse()
                    content = answer.read()
                finally:
                    line.close()
                seconds = time.perf_counter() - began
                exchange = Exchange(self.command, self.path, _json(body), answer.status, _json(content), seconds)
                with lock:
                    noted.append(exchange)
                self.send_response(answer.status)
                self.send_header("Content-Type", answer.getheader("Content-Type") or "text/plain")
                self.send_header("Content-Length", str(len(content)))
                self.end_headers()
                self.wfile.write(content)

            do_GET = do_POST = _pass_on

            def log_message(self, format: str, *args: Any) -> None:
                """Keep the test's output to the test."""

        self._server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)
        self.url = f"http://localhost:{self._server.server_port}"

    def __enter__(self) -> Tap:
        threading.Thread(target=self._server.serve_forever, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self._server.shutdown()
        self._server.server_close()

    def exchanges(self, path: str) -> list[Exchange]:
        """What has gone by to a path of the backend, in the order in which it was answered."""
        with self._lock:
            return [exchange for exchange in self._noted if exchange.path == path]

    def events(self, project: int) -> list[Exchange]:
        """The webhook's events of one project."""
        return [one for one in self.exchanges("/webhook") if one.payload["project"]["id"] == project]


def _json(content: bytes) -> Any:
    return json.loads(content) if content[:1] in (b"{", b"[") else None

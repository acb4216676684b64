"""No task shows anybody what only this network may see: real servers, of which one must never be asked or read."""

from __future__ import annotations

import socket
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

import pytest

from backend.label_studio import Studio
from backend.private_addresses import is_public
from backend.settings import Settings
from segmenter.errors import RecordingError

SECRET = b"what only this network may see"


class Web(BaseHTTPRequestHandler):
    """Answers everything, and redirects where the path says so."""

    asked: list[str]

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        to = self.path.partition("?to=")[2]
        self.send_response(302 if to else 200)
        if to:
            self.send_header("Location", to)
        self.send_header("Content-Length", str(len(SECRET)))
        self.end_headers()
        self.wfile.write(SECRET)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def serve() -> Iterator[Callable[[], tuple[str, list[str]]]]:
    running = []

    def start() -> tuple[str, list[str]]:
        handler = type("Handler", (Web,), {"asked": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, daemon=True).start()
        running.append(server)
        return f"http://127.0.0.1:{server.server_address[1]}", handler.asked

    yield start
    for server in running:
        server.shutdown()
        server.server_close()


@pytest.fixture
def ours(
    serve: Callable[[], tuple[str, list[str]]], monkeypatch: pytest.MonkeyPatch
) -> Iterator[tuple[str, Studio, list[str]]]:
    """A Label Studio, so far as it is asked for a recording, and its client."""
    host, asked = serve()
    monkeypatch.setenv("LABEL_STUDIO_HOST", host)
    monkeypatch.setenv("LABEL_STUDIO_API_KEY", "a-legacy-token")
    client = Studio(Settings())
    yield host, client, asked
    client.close()


@pytest.mark.parametrize(
    "address",
    [
        "127.0.0.1", "10.1.2.3", "172.16.0.1", "192.168.1.1", "169.254.169.254", "100.64.0.1", "0.0.0.0", "224.0.0.1",
        "255.255.255.255", "::", "::1", "fe80::1", "fe80::1%eth0", "fc00::1", "ff02::1", "::ffff:127.0.0.1",
        "::ffff:10.0.0.1", "64:ff9b::7f00:1", "2002:7f00:1::", "no address",
    ],
)  # fmt: skip
def test_an_address_of_this_network_is_not_public(address: str) -> None:
    assert not is_public(address)


@pytest.mark.parametrize(
    "address", ["8.8.8.8", "93.184.216.34", "2606:4700::1111", "::ffff:8.8.8.8", "64:ff9b::808:808", "2002:808:808::"]
)
def test_an_address_of_the_internet_is_public(address: str) -> None:
    assert is_public(address)


def test_label_studio_itself_may_have_a_private_address(ours: tuple[str, Studio, list[str]]) -> None:
    host, client, _ = ours
    assert client.fetch("/data/upload/1/a.csv", 1) == SECRET
    assert client.fetch(f"{host}/data/upload/1/a.csv", 1) == SECRET


@pytest.mark.parametrize("host", ["127.0.0.1", "localhost", "[::1]", "0177.0.0.1", "2130706433", "127.1", "0x7f000001"])
def test_a_task_that_names_a_private_address_is_refused_before_it_is_asked(
    ours: tuple[str, Studio, list[str]], serve: Callable[[], tuple[str, list[str]]], host: str
) -> None:
    _, client, _ = ours
    address, asked = serve()
    port = address.rpartition(":")[2]
    with pytest.raises(RecordingError, match=r"private address .* ALLOW_PRIVATE_ADDRESSES|cannot be downloaded"):
        client.fetch(f"http://user:password@{host}:{port}/secret", 1)
    assert asked == []


def test_neither_is_it_asked_by_a_redirect(
    ours: tuple[str, Studio, list[str]], serve: Callable[[], tuple[str, list[str]]]
) -> None:
    _, client, asked_of_ours = ours
    address, asked = serve()
    with pytest.raises(RecordingError, match="private address"):
        client.fetch(f"/data/upload/1/a.csv?to={address}/secret", 1)
    assert asked_of_ours == [f"/data/upload/1/a.csv?to={address}/secret"]
    assert asked == []


def test_a_name_that_becomes_private_once_it_was_looked_up_is_not_read(
    ours: tuple[str, Studio, list[str]],
    serve: Callable[[], tuple[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, client, _ = ours
    address, _ = serve()
    port = address.rpartition(":")[2]
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), int(port)))],
    )
    with pytest.raises(RecordingError, match=r"private address 127\.0\.0\.1"):
        client.fetch(f"http://changing.example:{port}/secret", 1)


def test_a_setting_allows_it(
    ours: tuple[str, Studio, list[str]],
    serve: Callable[[], tuple[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    address, _ = serve()
    monkeypatch.setenv("ALLOW_PRIVATE_ADDRESSES", "true")
    client = Studio(Settings())
    assert client.fetch(f"{address}/recording.csv", 1) == SECRET
    client.close()

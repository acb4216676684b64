"""What a task may have this backend fetch: nothing of this host or its network, and the key is Label Studio's alone."""

from __future__ import annotations

import gzip
import socket
import tempfile
import threading
import time
import tracemalloc
from collections.abc import Callable, Iterator
from contextlib import suppress
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest

from backend.label_studio import Studio
from backend.private_addresses import is_public, watch
from backend.settings import Settings
from segmenter.errors import RecordingError

SECRET = b"what only this network may see"
PACKINGS = {"/bomb": ["gzip"], "/bomb-in-a-bomb": ["gzip, gzip"], "/bomb-in-bombs": ["gzip", "gzip", "gzip"]}
ONCE = gzip.compress(bytes(50_000_000), 1)
TWICE = gzip.compress(ONCE)


class Web(BaseHTTPRequestHandler):
    """Answers everything, redirects where the path says so, and has every trick to take memory or time."""

    asked: list[str]
    keys: list[str | None]
    body = SECRET

    def do_GET(self) -> None:
        type(self).asked.append(self.path)
        type(self).keys.append(self.headers.get("Authorization"))
        kind, to = self.path.split("?")[0], self.path.partition("?to=")[2]
        code, _, place = to.partition(",") if to[:3].isdigit() else ("302", "", to)
        self.send_response(int(code) if to else 200)
        if to:
            self.send_header("Location", place)
        for packing in PACKINGS.get(kind, ()):
            self.send_header("Content-Encoding", packing)
        if kind == "/drips-headers":
            with suppress(OSError):
                while True:
                    self.wfile.write(b"X: y\r\n")
                    time.sleep(0.05)
        if kind in ("/endless", "/drips"):
            self.send_header("Transfer-Encoding", "chunked")
            self.end_headers()
            with suppress(OSError):
                while True:
                    self.wfile.write(b"1\r\nx\r\n" if kind == "/drips" else b"10000\r\n" + b"x" * 65536 + b"\r\n")
                    time.sleep(0.05 if kind == "/drips" else 0)
        body = (ONCE if kind == "/bomb" else TWICE) if kind in PACKINGS else type(self).body
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        with suppress(OSError):
            self.wfile.write(body)

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing."""


@pytest.fixture
def running() -> list[ThreadingHTTPServer]:
    return []


@pytest.fixture
def serve(running: list[ThreadingHTTPServer]) -> Iterator[Callable[[], tuple[str, list[str]]]]:
    def start() -> tuple[str, list[str]]:
        handler = type("Handler", (Web,), {"asked": [], "keys": []})
        server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        threading.Thread(target=server.serve_forever, args=(0.02,), daemon=True).start()
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


def test_a_name_that_becomes_private_once_it_was_looked_up_is_not_asked(
    ours: tuple[str, Studio, list[str]],
    serve: Callable[[], tuple[str, list[str]]],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    _, client, _ = ours
    address, asked = serve()
    port = address.rpartition(":")[2]
    answers = iter(["93.184.216.34", "127.0.0.1", "127.0.0.1"])
    monkeypatch.setattr(
        socket,
        "getaddrinfo",
        lambda *_, **__: [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), int(port)))],
    )
    with pytest.raises(RecordingError, match=r"private address 127\.0\.0\.1"):
        client.fetch(f"http://changing.example:{port}/secret", 1)
    assert asked == []


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


Serve = Callable[[], tuple[str, list[str]]]


@pytest.fixture
def elsewhere(serve: Serve, running: list[ThreadingHTTPServer], monkeypatch: pytest.MonkeyPatch) -> tuple[Any, ...]:
    """A Label Studio and another server that may be asked: each with its address and what it was asked, and the client.

    MAX_RECORDING_MB is 1, and a download may take half a second.
    """
    for name, value in {"ALLOW_PRIVATE_ADDRESSES": "true", "MAX_RECORDING_MB": "1", "REQUEST_TIMEOUT": "0.1",
                        "LABEL_STUDIO_API_KEY": "a-legacy-token"}.items():  # fmt: skip
        monkeypatch.setenv(name, value)
    host, _ = serve()
    other, _ = serve()
    monkeypatch.setenv("LABEL_STUDIO_HOST", host)
    ours, theirs = (server.RequestHandlerClass for server in running)
    return host, ours, other, theirs, Studio(Settings())


@pytest.mark.parametrize("code", [301, 302, 303, 307, 308])
def test_the_key_does_not_go_along_with_a_redirect(elsewhere: tuple[Any, ...], code: int) -> None:
    _, ours, other, theirs, client = elsewhere
    assert client.fetch(f"/data/a.csv?to={code},{other}/there", 1) == SECRET
    assert (ours.keys, theirs.keys) == (["Token a-legacy-token"], [None])
    client.close()


def test_only_label_studios_scheme_host_and_port_get_the_key(elsewhere: tuple[Any, ...]) -> None:
    host, ours, other, theirs, client = elsewhere
    port, other_port = host.rpartition(":")[2], other.rpartition(":")[2]
    for address in (
        f"{other}/a.csv",  # the same host, another port
        f"http://127.0.0.1:{port}@127.0.0.1:{other_port}/a.csv",
        f"http://127.0.0.1:{port}%2f@127.0.0.1:{other_port}/a.csv",
        f"http://127.0.0.1:{other_port}/@127.0.0.1:{port}/a.csv",
        f"http://localhost:{port}/a.csv",  # the same server by another name
    ):
        client.fetch(address, 1)
    assert not [key for key in ours.keys + theirs.keys if key and "legacy" in key]
    assert client.fetch(f"{host}/a.csv", 1) == SECRET
    assert ours.keys[-1] == "Token a-legacy-token"
    client.close()


@pytest.mark.parametrize("scheme", ["http", "https"])
def test_the_key_goes_to_no_other_scheme_of_the_same_host(scheme: str) -> None:
    """httpx itself would let it go along from http to https."""
    request = httpx.Request("GET", f"{scheme}://127.0.0.1/a.csv", headers={"Authorization": "Token a-legacy-token"})
    (look,) = watch("http://127.0.0.1", private_allowed=True)["request"]
    look(request)
    assert ("Authorization" in request.headers) is (scheme == "http")


@pytest.mark.parametrize(
    "address",
    ["{file}", "file://{file}", "file://localhost{file}", "FILE://{file}", "file:{file}", "local-file://{file}",
     "/data/local-files/?d={up}{file}", "/data/local-files/?d={file}", "/data/upload/{up}{file}", "{up}{file}",
     "/data/upload/1/a.csv?to=file://{file}", "/data/upload/1/a.csv?to={file}", "{other}/a.csv?to=file://{file}",
     "ftp://127.0.0.1{file}", "data:text/csv,{file}", "unix://{file}", "{link}", "file://{link}"],
)  # fmt: skip
def test_no_path_of_this_host_is_read_whatever_a_task_says(
    elsewhere: tuple[Any, ...], tmp_path: Path, address: str
) -> None:
    _, _, other, _, client = elsewhere
    file, link = tmp_path / "secret.csv", tmp_path / "link.csv"
    file.write_bytes(b"time,a secret of this host\n")
    link.symlink_to(file)
    asked = address.format(file=file, up="../" * 12, other=other, link=link)
    with suppress(RecordingError):
        assert client.fetch(asked, 1) == SECRET  # Label Studio was asked, and answered
    client.close()


@pytest.mark.parametrize(
    ("address", "words"),
    [
        ("/endless", "larger than 1 MB; raise MAX_RECORDING_MB"),
        ("/bomb", "larger than 1 MB; raise MAX_RECORDING_MB"),
        ("/bomb-in-a-bomb", "packed as 'gzip, gzip'; expected it as it is"),
        ("/bomb-in-bombs", "packed as 'gzip, gzip, gzip'; expected it as it is"),
        ("/drips-headers", "cannot be downloaded"),
        ("/drips", r"did not come within 0\.5 s \(5 times REQUEST_TIMEOUT\)"),
    ],
)
def test_an_answer_without_end_takes_bounded_memory_and_time(
    elsewhere: tuple[Any, ...], address: str, words: str
) -> None:
    _, _, other, _, client = elsewhere
    for there in (address, other + address):
        tracemalloc.start()
        try:
            with pytest.raises(RecordingError, match=words):
                client.fetch(there, 1)
            assert tracemalloc.get_traced_memory()[1] < 5_000_000
        finally:
            tracemalloc.stop()
    client.close()


def test_what_comes_along_with_a_redirect_is_not_read(elsewhere: tuple[Any, ...]) -> None:
    _, _, other, _, client = elsewhere
    assert client.fetch(f"{other}/endless?to={other}/there", 1) == SECRET
    client.close()


def test_a_file_that_changes_is_read_anew_and_none_is_left_on_the_disk(
    elsewhere: tuple[Any, ...], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    _, ours, _, _, client = elsewhere
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv("HOME", str(tmp_path))
    found = []
    for ours.body in (b"first", b"second"):
        found.append(client.fetch("/data/upload/1/a.csv", 1))
    assert found == [b"first", b"second"]
    assert list(tmp_path.iterdir()) == []
    client.close()

"""Clients that are slow, idle, or many: bounded memory, and everybody else is served meanwhile."""

from __future__ import annotations

import json
import resource
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager, suppress
from pathlib import Path

import pytest

from backend.model_store import ModelStore
from segmenter.model import Model
from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import CONFIG
from tests.unit.fitted import untrained

PROJECT = 210
INLINE = """<View>
  <TimeSeriesLabels name="label" toName="ts"><Label value="Run"/><Label value="Walk"/></TimeSeriesLabels>
  <TimeSeries name="ts" valueType="json" value="$csv"><Channel column="One"/><Channel column="Two"/></TimeSeries>
</View>"""
TASK = {"id": 1, "data": {"csv": {"One": [0.1 * row % 3 for row in range(500)], "Two": list(range(500))}}}
PROMPT = 10.0  # seconds, on a busy machine; whoever is kept out waits for minutes
HEAD = b"POST /predict HTTP/1.1\r\nHost: backend\r\nContent-Type: application/json\r\n"


@pytest.fixture(scope="module")
def small(studio: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    """A backend with two threads for two workers each, and a model."""
    settings = {"WORKERS": "2", "THREADS": "2", "MAX_BODY_MB": "2", "MAX_TASKS": "1000000"}
    folder = tmp_path_factory.mktemp("slow") / "models"
    ModelStore(folder).publish(PROJECT, Model((untrained(),)), INLINE)
    backend = Server(studio, folder, **settings)
    try:
        for _ in range(10):
            _ask(backend, seconds=60)  # what it needs at all, it has by now
        yield backend
    finally:
        backend.close()


@pytest.fixture(scope="module", autouse=True)
def many_files() -> Iterator[None]:
    """The tests' own side of a thousand connections."""
    before, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    resource.setrlimit(resource.RLIMIT_NOFILE, (min(most, 4096), most))
    yield
    resource.setrlimit(resource.RLIMIT_NOFILE, (before, most))


def memory(server: Server) -> int:
    """Of all web workers, in kB."""
    lines = [line for pid in server.workers() for line in Path(f"/proc/{pid}/status").read_text().splitlines()]
    return sum(int(line.split()[1]) for line in lines if line.startswith("VmRSS"))


@contextmanager
def served_meanwhile(server: Server, more: int = 30_000) -> Iterator[None]:
    """Others are served while the block lasts, and at its end; the memory grows by less than `more` kB."""
    before = memory(server)
    yield
    _ask(server)
    assert memory(server) - before < more


def _ask(server: Server, seconds: float = PROMPT) -> None:
    with server.fresh_client(timeout=seconds) as client:
        assert client.get("/health").status_code == 200
        answer = client.post("/predict", json={"project": f"{PROJECT}.1", "label_config": INLINE, "tasks": [TASK]})
        assert len(answer.json()["results"]) == 1


def connect(server: Server, *first: bytes, stack: ExitStack) -> socket.socket:
    client = stack.enter_context(socket.create_connection(("127.0.0.1", server.port), timeout=5))
    for part in first:
        client.sendall(part)
    return client


def test_thousands_of_idle_connections_keep_nobody_out(small: Server) -> None:
    with ExitStack() as stack, served_meanwhile(small):
        clients = [connect(small, stack=stack) for _ in range(2500)]  # more than both workers hold
        _ask(small)
        clients[-1].settimeout(15)
        assert clients[-1].recv(1) == b""  # they are not kept for long


@pytest.mark.parametrize(
    "first", [b"GET /health HT", HEAD + b"X-Slow: ", HEAD + b"Content-Length: 1000000\r\n\r\n[",
              HEAD + b"Transfer-Encoding: chunked\r\n\r\nfffff\r\n["],
    ids=["a request line", "a head", "a body", "a body in chunks"],
)  # fmt: skip
def test_fifty_clients_that_send_byte_by_byte_keep_nobody_out(small: Server, first: bytes) -> None:
    done = threading.Event()

    def drip() -> None:
        while not done.wait(0.25):
            for client in clients:
                with suppress(OSError):
                    client.send(b"1")

    with ExitStack() as stack, served_meanwhile(small):
        clients = [connect(small, first, stack=stack) for _ in range(50)]
        dripping = threading.Thread(target=drip)
        dripping.start()
        try:
            for _ in range(3):
                _ask(small)
                time.sleep(0.3)
        finally:
            done.set()
            dripping.join()


def test_clients_that_do_not_take_their_answers_keep_nobody_out(small: Server) -> None:
    tasks = [{}] * 200_000  # an answer larger than what the system takes for a client
    body = {"project": "999999.1", "label_config": CONFIG, "tasks": tasks, "params": {"context": {"result": []}}}
    content = json.dumps(body).encode()
    with ExitStack() as stack, served_meanwhile(small, more=250_000):  # so many tasks take some of it
        for _ in range(8):
            client = stack.enter_context(socket.socket())
            client.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
            client.connect(("127.0.0.1", small.port))
            client.sendall(HEAD + b"Content-Length: %d\r\n\r\n" % len(content) + content)
        time.sleep(1)
        _ask(small, seconds=60)  # to make these answers takes its time


def test_large_bodies_that_do_not_end_take_bounded_memory(small: Server) -> None:
    part = HEAD + b"Content-Length: 2000000\r\n\r\n" + b" " * 1_800_000
    with ExitStack() as stack, served_meanwhile(small):
        for _ in range(60):  # 108 MB in all
            with suppress(OSError):  # whoever takes most is dropped
                connect(small, part, stack=stack)
        _ask(small)


def test_a_client_that_closes_without_listening_holds_nothing_up(small: Server) -> None:
    with ExitStack() as stack, served_meanwhile(small):
        for _ in range(50):
            connect(small, b"GET /health HTTP/1.0\r\n\r\n", stack=stack)
        began = time.monotonic()
        _ask(small)
        assert time.monotonic() - began < PROMPT


def answers(server: Server, sent: bytes, count: int) -> list[bytes]:
    """What comes back on one connection, cut before each answer's status line."""
    with ExitStack() as stack:
        client = connect(server, sent, stack=stack)
        received = b""
        while received.count(b"HTTP/1.1 ") < count or not received.endswith(b"\n"):
            received += (piece := client.recv(65536))
            if not piece:
                break
    return received.split(b"HTTP/1.1 ")[1:]


def test_requests_one_after_the_other_and_all_at_once_are_each_answered(small: Server) -> None:
    get = b"GET /health HTTP/1.1\r\nHost: backend\r\n\r\n"
    body = b'{"project": "1.1", "schema": "x"}'
    post = b"POST /setup HTTP/1.1\r\nHost: backend\r\nContent-Length: %d\r\n\r\n%s" % (len(body), body)
    chunked = b"POST /setup HTTP/1.1\r\nHost: backend\r\nTransfer-Encoding: chunked\r\n\r\n"
    chunked += b"".join(b"%x;a=b\r\n%s\r\n" % (len(part), part) for part in (body[:5], body[5:])) + b"0\r\nX: y\r\n\r\n"
    found = answers(small, get + post + chunked + get, 4)
    assert [answer[:3] for answer in found] == [b"200", b"400", b"400", b"200"]
    assert all(b"not XML" in answer for answer in found[1:3])


def test_a_client_that_waits_to_be_told_to_go_on_is_told(small: Server) -> None:
    found = answers(small, HEAD + b"Content-Length: 10\r\nExpect: 100-continue\r\n\r\n", 1)
    assert found == [b"100 Continue\r\n\r\n"]


@pytest.mark.parametrize(
    ("sent", "status"),
    [
        (b"GET / HTTP/1.1\n\n", b"400"),
        (b"\x16\x03\x01 what is no HTTP\r\n\r\n", b"400"),
        (HEAD + b"Content-Length: 2\r\nContent-Length: 3\r\n\r\n{}", b"400"),
        (HEAD + b"Content-Length: 2\r\nTransfer-Encoding: chunked\r\n\r\n{}", b"400"),
        (HEAD + b"Content-Length: " + b"9" * 40 + b"\r\n\r\n", b"413"),
        (HEAD + b"X: " + b"x" * 100_000, b"431"),
    ],
    ids=["bare line ends", "no HTTP", "two lengths", "a length and chunks", "an absurd length", "a head without end"],
)  # fmt: skip
def test_a_request_that_can_be_read_in_two_ways_is_refused_and_ends_the_connection(
    small: Server, sent: bytes, status: bytes
) -> None:
    with ExitStack() as stack:
        client = connect(small, sent, stack=stack)
        received = b"".join(iter(lambda: client.recv(65536), b""))
    assert received.startswith(b"HTTP/1.1 " + status)
    assert received.count(b"HTTP/1.1") == 1

"""Where a request ends, however its bytes come in: where gunicorn's own parser ends it."""

from __future__ import annotations

import socket
from types import SimpleNamespace

import pytest
from gunicorn.config import Config
from gunicorn.http import RequestParser
from gunicorn.http.errors import LimitRequestHeaders
from hypothesis import given
from hypothesis import strategies as st

from backend.web_worker import _push
from backend.whole_requests import Connection, Exchange

LONGEST = 1000
HEADS = st.sampled_from([b"GET /a HTTP/1.1\r\n", b"POST /b HTTP/1.1\r\nX: y\r\n", b"\r\nPUT /c HTTP/1.0\r\n"])
FIELDS = st.sampled_from([b"", b"Host: here\r\n", b"content-type:text/plain\r\n", b"X-Content-Length: 7\r\n"])
BYTES = st.binary(max_size=40)


def sized(fields: bytes, body: bytes) -> bytes:
    return fields + b"Content-Length: %d\r\n\r\n" % len(body) + body


def chunked(fields: bytes, parts: list[bytes], more: bytes) -> bytes:
    chunks = b"".join(b"%X%s\r\n%s\r\n" % (len(part), more, part) for part in parts if part)
    return fields + b"Transfer-Encoding: chunked\r\n\r\n" + chunks + b"0\r\n\r\n"


BODIES = st.one_of(
    st.builds(lambda fields: fields + b"\r\n", FIELDS),
    st.builds(sized, FIELDS, BYTES),
    st.builds(chunked, FIELDS, st.lists(BYTES, max_size=4), st.sampled_from([b"", b";a=b", b' ; a="b"'])),
)
REQUESTS = st.builds(bytes.__add__, HEADS, BODIES).filter(  # HTTP 1.0 has no chunks
    lambda request: not {b"HTTP/1.0", b"chunked"} <= {*request.split()}
)


def connection() -> Connection:
    wire, other = socket.socketpair()
    other.close()
    conn = Connection(SimpleNamespace(keepalive=5), wire, None, None, LONGEST)
    wire.close()
    return conn


def read_to_its_end(exchange: Exchange) -> tuple[str, bytes]:
    request = next(RequestParser(Config(), exchange, ("127.0.0.1", 1)))
    return request.path, request.body.read()


@given(st.lists(REQUESTS, min_size=1, max_size=3), st.integers(1, 50))
def test_requests_end_where_gunicorns_parser_ends_them(requests: list[bytes], at_once: int) -> None:
    conn, found = connection(), []
    sent = b"".join(requests)
    for place in range(0, len(sent), at_once):
        conn.received += sent[place : place + at_once]
        while conn.received and conn.is_whole():
            found.append(read_to_its_end(conn.sock))
            assert not conn.sock.overran
            assert conn.sock.held == 0
            conn.await_request(conn.received)
    assert not conn.received
    assert found == [read_to_its_end(Exchange(bytearray(request))) for request in requests]


@pytest.mark.parametrize(
    "request_",
    [
        sized(b"POST / HTTP/1.1\r\n", b"x" * (LONGEST + 1)),
        chunked(b"POST / HTTP/1.1\r\n", [b"x" * 400] * 3, b""),
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nno size\r\n" + b"x" * 99,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n-5\r\n" + b"x" * 99,
        b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n" + b"1" * 9000,
    ],
    ids=["too long", "too long in chunks", "no size", "a negative size", "a size without end"],
)
def test_what_is_refused_anyway_is_not_gathered(request_: bytes) -> None:
    conn = connection()
    conn.received += request_
    assert conn.is_whole()
    assert conn.held <= len(request_)


def test_a_head_without_end_is_refused() -> None:
    conn = connection()
    conn.received += b"GET / HTTP/1.1\r\nX: " + b"x" * 70_000
    with pytest.raises(LimitRequestHeaders):
        conn.is_whole()


def test_a_request_has_a_minute_to_arrive_and_nothing_that_is_sent_makes_it_longer() -> None:
    conn = connection()
    began, idle = conn.since, conn.patience
    for _ in range(3):
        conn.received += b"G"
        assert not conn.is_whole()
    assert (conn.since, idle, conn.patience) == (began, 5, 60)


def test_an_answer_arrives_whole_however_it_is_taken() -> None:
    wire, other = socket.socketpair()
    with other:
        conn = Connection(SimpleNamespace(keepalive=5), wire, None, None, LONGEST)
        answer = bytes(range(256)) * 20_000
        conn.unsent = bytearray(answer)
        taken = b""
        while len(taken) < len(answer):
            assert _push(conn)
            taken += other.recv(70_000)
    assert taken == answer
    assert not conn.unsent
    conn.unsent = bytearray(b"more")
    assert not _push(conn)  # the client is gone
    wire.close()

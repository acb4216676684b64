"""A client's requests, gathered as they come in: where one ends, and what a thread takes for the client's socket."""

from __future__ import annotations

import errno
import re
import socket
import time
from collections.abc import Generator
from typing import Any

from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.gthread import TConn

_WHOLE_WITHIN = 60.0  # seconds for a request to arrive
_LONGEST_HEAD = 65_536  # bytes; gunicorn's own limits of a line and a field are lower
_LONGEST_LINE = 8_190  # bytes of a line between the chunks of a body, as gunicorn has it
_HEAD_END = re.compile(rb"\r?\n\r?\n")
_CHUNKED = re.compile(rb"\r\ntransfer-encoding[ \t]*:", re.IGNORECASE)
_EXPECTS = re.compile(rb"\r\nexpect[ \t]*:[ \t]*100-continue", re.IGNORECASE)
_LENGTH = re.compile(rb"\r\ncontent-length[ \t]*:[ \t]*([0-9]{1,18})[ \t]*\r\n", re.IGNORECASE)
_CHUNK = re.compile(rb"([0-9a-f]{1,15})[ \t]*(?:;[^\r\n]*)?\r\n", re.IGNORECASE)

_Parts = Generator[bytes, None, int]


class Exchange:
    """What a thread takes for its client's socket: it holds the request, and keeps the answer.

    overran: whether more was asked for than the request, so that where the next one begins is unknown.
    """

    def __init__(self, request: bytearray) -> None:
        self._request = request
        self._place = 0
        self.answer = bytearray()
        self.overran = False

    @property
    def held(self) -> int:
        """Bytes that wait here to be read."""
        return len(self._request)

    def recv(self, size: int) -> bytes:
        """The next bytes of the request, nothing after its end."""
        piece = bytes(self._request[self._place : self._place + size])
        self._place += len(piece)
        self.overran |= not piece
        if self._place == len(self._request):  # whoever read it has a copy by now
            self._request, self._place = bytearray(), 0
        return piece

    def sendall(self, data: bytes) -> None:
        """Keep a part of the answer."""
        self.answer += data

    send = sendall

    def shutdown(self, how: int) -> None:
        """Leave closing to the event loop; raises what gunicorn takes for a client that is gone."""
        raise OSError(errno.ENOTCONN, "no connection")

    def close(self) -> None:
        """Leave closing to the event loop."""

    def setblocking(self, flag: bool) -> None:
        """It never blocks."""

    def settimeout(self, seconds: float | None) -> None:
        """It never blocks."""

    def gettimeout(self) -> float:
        """As of a socket that never blocks."""
        return 0.0


class Connection(TConn):  # type: ignore[misc]  # gunicorn has no types
    """A client. `wire` is its socket; `sock`, which gunicorn's threads use, is an Exchange.

    unsent: what is left of an answer. since, patience: when that which is waited for began, and how long it may take.
    """

    def __init__(self, config: Any, wire: socket.socket, client: Any, server: Any, longest_body: int) -> None:
        super().__init__(config, wire, client, server)
        self.wire, self.sock = wire, Exchange(bytearray())
        self.data_ready = True  # gunicorn need not wait for any
        self.unsent = bytearray()
        self._longest_body = longest_body
        self.await_request(bytearray())

    def await_request(self, received: bytearray) -> None:
        """Begin with the next request, of which some may be here already."""
        self.received = received
        self._gathering = _end_of_request(received, self._longest_body)
        self.since, self.patience = time.monotonic(), float(self.cfg.keepalive)

    @property
    def held(self) -> int:
        """Bytes of memory that it takes."""
        return len(self.received) + len(self.unsent) + int(self.sock.held)

    def is_whole(self) -> bool:
        """Look at what has been received; True once there is something for a thread to answer, in `sock`.

        Raises LimitRequestHeaders, or OSError where the client is gone.
        """
        if self.received:
            self.patience = _WHOLE_WITHIN
        try:
            told = next(self._gathering)
        except StopIteration as end:
            following = self.received[end.value :]
            del self.received[end.value :]
            self.sock, self.received = Exchange(self.received), following
            self.parser, self.initialized = None, False  # a fresh one for each request, which cannot read beyond it
            return True
        if told:
            self.wire.send(told)
        return False


def _end_of_request(received: bytearray, longest_body: int) -> _Parts:
    """Yields while a request is incomplete, each time with what is to be told to the client; returns where it ends.

    What will be refused ends where that shows: gunicorn's parser, or whoever reads the body, then says why. Should they
    take a request to end elsewhere, the connection ends with it (Exchange.overran).
    """
    looked = 0
    while (head := _HEAD_END.search(received, looked)) is None:
        if len(received) > _LONGEST_HEAD:
            raise LimitRequestHeaders("the head of the request has no end")
        looked = max(0, len(received) - 3)
        yield b""
    start = head.end()
    lines = bytes(received[:start])
    told = b"HTTP/1.1 100 Continue\r\n\r\n" if _EXPECTS.search(lines) else b""
    length = _LENGTH.search(lines)
    if _CHUNKED.search(lines):
        return start if length else (yield from _end_of_chunks(received, start, longest_body, told))
    end = start + int(length[1]) if length else start
    if end - start > longest_body:
        return start
    while len(received) < end:
        yield told
        told = b""
    return end


def _end_of_chunks(received: bytearray, start: int, longest_body: int, told: bytes) -> _Parts:
    """As _end_of_request, of a body in chunks that begins at `start`."""
    size, total = 1, 0
    while size:
        while (line := received.find(b"\n", start)) < 0:
            if len(received) - start > _LONGEST_LINE:
                return len(received)
            yield told
            told = b""
        chunk = _CHUNK.match(received, start, line + 1)
        if chunk is None:
            return len(received)
        size = int(chunk[1], 16)
        total += size
        start = line + 1 + size + 2 if size else line - 1
        if total > longest_body:
            start -= 2 + total - longest_body - 1  # the first byte too much is here
        while len(received) < start:
            yield b""
        if total > longest_body:
            return start
    while (end := received.find(b"\r\n\r\n", start)) < 0:  # fields may follow the last chunk
        if len(received) - start > _LONGEST_HEAD:
            return len(received)
        yield b""
    return end + 4

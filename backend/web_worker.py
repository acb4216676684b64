"""Gunicorn's worker of threads, with its event loop between them and the clients: none holds a thread by being slow.

Gunicorn's threads wait for what clients still have to send, and for clients to take their answers: a few slow ones, or
many that only connect, keep all others out. Here the loop alone waits. It gathers a request in memory, a thread answers
from memory into memory, and what does not go out at once the loop sends. What clients may take of this is bounded:
time, memory, and connections, of which the longest waited for makes room for a new one.
"""

from __future__ import annotations

import errno
import selectors
import socket
import time
from collections.abc import Callable
from concurrent.futures import Future
from functools import partial
from typing import Any

from gunicorn import util
from gunicorn.http.errors import LimitRequestHeaders
from gunicorn.workers.gthread import ThreadWorker

from backend.settings import current_settings
from backend.whole_requests import Connection, Exchange

_TAKEN_WITHIN = 60.0  # seconds for an answer to be taken
_LINGER = 2.0  # seconds for a client to notice that its connection ends
_AT_ONCE = 262_144  # bytes read or written
_LITTLE = 65_536  # bytes that any client may take
_SWEEP = 0.25  # seconds between two looks for those whose time is up


class WebWorker(ThreadWorker):  # type: ignore[misc]  # gunicorn has no types
    """The worker of gunicorn.conf.py. `run`, which is gunicorn's, calls what has no underscore, in the event loop."""

    def __init__(self, *arguments: Any) -> None:
        super().__init__(*arguments)
        self._longest_body = int(current_settings().max_body_mb * 1e6)
        self._all: set[Connection] = set()
        self._waiting: set[Connection] = set()  # for the client, not for a thread
        self._swept = 0.0
        self._stop_reading = float("inf")  # when nothing more is read, for the worker stops

    @classmethod
    def check_config(cls, cfg: Any, log: Any) -> None:
        """Refuse what this worker cannot do; raises RuntimeError."""
        if cfg.is_ssl:
            raise RuntimeError("this server speaks plain HTTP: let a proxy in front of it do the encryption")

    def accept(self, listener: socket.socket) -> None:
        """Take a new client."""
        try:
            wire, client = listener.accept()
        except OSError as error:
            if error.errno in (errno.EMFILE, errno.ENFILE):
                self._make_room()
            elif error.errno not in (errno.EAGAIN, errno.ECONNABORTED, errno.EWOULDBLOCK):
                raise
            return
        conn = Connection(self.cfg, wire, client, listener.getsockname(), self._longest_body)
        self._all.add(conn)
        self.nr_conns += 1
        if self.nr_conns >= self.worker_connections:
            self._make_room()
        self._receive(conn)

    def handle(self, conn: Connection) -> bool:
        """Answer a request, in a thread, and send what the client takes at once; whether another may follow."""
        keep = super().handle(conn) and not conn.sock.overran
        conn.unsent = conn.sock.answer
        _push(conn)
        return keep

    def finish_request(self, conn: Connection, answered: Future[bool]) -> None:
        """Go on with a client whose request a thread has answered."""
        keep = not answered.cancelled() and answered.exception() is None and answered.result()
        conn.since, conn.patience = time.monotonic(), _TAKEN_WITHIN
        self._send(conn, keep)

    def murder_pending(self) -> None:
        """Drop the clients whose time is up."""
        now = time.monotonic()
        if now - self._swept >= _SWEEP:
            self._swept = now
            for conn in list(self._waiting):
                stop = float("inf") if conn.unsent else self._stop_reading
                if now > min(conn.since + conn.patience, stop):
                    self._drop(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Called by `run` when the worker is to stop."""
        self._stop_reading = deadline

    def _receive(self, conn: Connection) -> None:
        try:
            piece = conn.wire.recv(_AT_ONCE)
        except BlockingIOError:
            self._wait(conn, selectors.EVENT_READ, self._receive)
            return
        except OSError:
            piece = b""
        if piece:
            conn.received += piece
            self._look_at(conn)
        else:
            self._close(conn)

    def _look_at(self, conn: Connection) -> None:
        """Hand what has been received to a thread if it is a whole request."""
        try:
            whole = conn.is_whole()
        except LimitRequestHeaders as error:
            conn.sock = Exchange(bytearray())
            self.handle_error(None, conn.sock, conn.client, error)
            conn.unsent = conn.sock.answer
            self._send(conn, False)
        except OSError:
            self._close(conn)
        else:
            if whole:
                self.enqueue_req(conn)
            else:
                self._wait(conn, selectors.EVENT_READ, self._receive)

    def _send(self, conn: Connection, keep: bool) -> None:
        """Send what is left of an answer; then the next request may come, or the connection ends."""
        if not _push(conn):
            self._close(conn)
        elif conn.unsent:
            self._wait(conn, selectors.EVENT_WRITE, partial(self._send, keep=keep))
        elif not keep:
            self._part(conn)
        else:
            conn.await_request(conn.received)
            self._look_at(conn) if conn.received else self._receive(conn)

    def _part(self, conn: Connection) -> None:
        """End a connection so that its answer arrives, which is lost where the client still sends to a closed one."""
        try:
            conn.wire.shutdown(socket.SHUT_WR)
        except OSError:
            self._close(conn)
            return
        conn.received = bytearray()
        conn.since, conn.patience = time.monotonic(), _LINGER
        self._discard(conn)

    def _discard(self, conn: Connection) -> None:
        try:
            more = bool(conn.wire.recv(_AT_ONCE))
        except BlockingIOError:
            more = True
        except OSError:
            more = False
        if more:
            self._wait(conn, selectors.EVENT_READ, self._discard)
        else:
            self._close(conn)

    def _wait(self, conn: Connection, event: int, then: Callable[[Connection], None]) -> None:
        """Go on once the client has sent something, or can be sent something."""

        def go_on(_: Any) -> None:
            if conn in self._waiting:  # it may just have been dropped for another one
                self._wait_no_more(conn)
                then(conn)

        self.poller.register(conn.wire, event, go_on)
        self._waiting.add(conn)
        if conn.held > _LITTLE:
            self._bound_memory()

    def _wait_no_more(self, conn: Connection) -> None:
        self.poller.unregister(conn.wire)
        self._waiting.remove(conn)

    def _make_room(self) -> None:
        """Drop the client that has been waited for longest."""
        if self._waiting:
            self._drop(min(self._waiting, key=lambda conn: conn.since))

    def _bound_memory(self) -> None:
        """Drop the clients that take most while all together take more than two of the longest bodies."""
        while sum(conn.held for conn in self._all) > 2 * self._longest_body:
            most = max(self._waiting, key=lambda conn: conn.held, default=None)
            if most is None or most.held <= _LITTLE:
                break
            self._drop(most)

    def _drop(self, conn: Connection) -> None:
        self._wait_no_more(conn)
        self._close(conn)

    def _close(self, conn: Connection) -> None:
        self._all.remove(conn)
        self.nr_conns -= 1
        util.close(conn.wire)


def _push(conn: Connection) -> bool:
    """Send as much of an answer as goes out at once; False where the client is gone."""
    try:
        while conn.unsent:
            with memoryview(conn.unsent) as whole, whole[:_AT_ONCE] as piece:
                sent = conn.wire.send(piece)
            del conn.unsent[:sent]
    except BlockingIOError:
        pass
    except OSError:
        conn.unsent = bytearray()
        return False
    return True

"""A download, bounded in size and time however it is packed, redirected, and however slowly it comes."""

from __future__ import annotations

import socket
import threading
import time
import zlib
from collections.abc import Iterator, Mapping
from contextlib import closing, contextmanager, suppress
from typing import Any

import httpx

from segmenter.errors import RecordingError

_REDIRECTS = 5
_PACKINGS = ("gzip", "x-gzip")  # once: each further layer could grow a thousandfold


class _Line:
    """The new connections of a download, cut off when its answer has not begun by then, however slowly it comes.

    One that is kept open is Label Studio's, which is trusted.
    """

    def __init__(self, seconds: float) -> None:
        self._socket: socket.socket | None = None
        self._timer = threading.Timer(seconds, self._cut)
        self._timer.daemon = True

    def __enter__(self) -> _Line:
        return self

    def __exit__(self, *_: object) -> None:
        self._timer.cancel()

    def trace(self, event: str, told: Mapping[str, Any]) -> None:
        """Called by httpcore with all that it does."""
        if event in ("connection.connect_tcp.complete", "connection.start_tls.complete"):
            if self._socket is None:
                self._timer.start()
            self._socket = told["return_value"].get_extra_info("socket")

    def _cut(self) -> None:
        if self._socket is not None:
            with suppress(OSError):  # it is closed already
                self._socket.shutdown(socket.SHUT_RDWR)


@contextmanager
def opened(client: httpx.Client, url: str, headers: Mapping[str, str], seconds: float) -> Iterator[httpx.Response]:
    """The answer that an address leads to, its body unread; raises httpx.HTTPError, also where it takes too long.

    `client` follows no redirects by itself: it would read what comes with them to its end, which may be none.
    """
    request = client.build_request("GET", url, headers={**headers, "Accept-Encoding": "gzip"})
    response = None
    with _Line(seconds) as line:
        for _ in range(_REDIRECTS + 1):
            request.extensions = {**request.extensions, "trace": line.trace}
            response = client.send(request, stream=True)
            if response.next_request is None:
                break
            response.close()
            request = response.next_request
        else:
            raise httpx.TooManyRedirects(f"more than {_REDIRECTS} redirects", request=request)
    with closing(response):
        yield response


def read_body(address: str, response: httpx.Response, limit: int, seconds: float) -> bytes:
    """All bytes of an answer, unpacked.

    Raises RecordingError, which names `address`, where they are more than `limit`, have not all come within `seconds`,
    or are packed in a way that is not read; httpx.DecodingError where they cannot be unpacked.
    """
    until = time.monotonic() + seconds
    body = bytearray()
    for piece in _unpacked(address, response, limit):
        body += piece
        if len(body) > limit:
            raise RecordingError(f"{address} is larger than {limit / 1e6:g} MB; raise MAX_RECORDING_MB to read it")
        if time.monotonic() > until:
            raise RecordingError(
                f"{address} did not come within {seconds:g} s (5 times REQUEST_TIMEOUT), only {len(body):,} bytes of"
                " it: put the recording where it can be downloaded faster"
            )
    return bytes(body)


def _unpacked(address: str, response: httpx.Response, limit: int) -> Iterator[bytes]:
    """The body in pieces, none much larger than the limit."""
    packing = response.headers.get("Content-Encoding", "").strip().lower()
    if packing in ("", "identity"):
        yield from response.iter_raw()
        return
    if packing not in _PACKINGS:
        raise RecordingError(f"{address} is packed as {packing[:40]!r}; expected it as it is, or packed with gzip once")
    unpacker = zlib.decompressobj(zlib.MAX_WBITS | 16)
    try:
        for raw in response.iter_raw():
            yield unpacker.decompress(raw, limit + 1)
    except zlib.error as error:
        raise httpx.DecodingError(str(error), request=response.request) from error
    if not unpacker.eof:
        raise httpx.DecodingError("it breaks off", request=response.request)

"""Where a download may go: to Label Studio, or anywhere that is not this network.

Whoever may create a task can name any address in it, and would otherwise see this network with the backend's eyes:
metadata services of clouds, routers, databases. So what is not Label Studio itself must lie on a public address: its
name is looked up before each request, redirects included, and before a byte is sent the address that was really
connected to is looked at, which a name may have changed to meanwhile. Through a proxy (HTTPS_PROXY and the like)
names are looked up by the proxy, and it is the proxy that decides.
"""

from __future__ import annotations

import ipaddress
import socket
from collections.abc import Callable, Mapping, Sequence
from functools import partial
from typing import Any
from urllib.parse import urlsplit
from urllib.request import getproxies, proxy_bypass

import httpx

from segmenter.errors import RecordingError

Trace = Callable[[str, Mapping[str, Any]], None]
Origin = tuple[str, str | None, int | None]
_PORTS = {"http": 80, "https": 443}
_NAT64 = ipaddress.ip_network("64:ff9b::/96")


def origin(url: str) -> Origin:
    """Scheme, host and port of an address; raises ValueError where the port is none."""
    parts = urlsplit(url)
    return parts.scheme, parts.hostname, parts.port or _PORTS.get(parts.scheme)


def is_public(address: str) -> bool:
    """Whether an IP address belongs to the internet, not to this machine, its networks or nobody; False for no IP."""
    try:
        found = ipaddress.ip_address(address.partition("%")[0])
    except ValueError:
        return False
    if isinstance(found, ipaddress.IPv6Address):
        inner = found.ipv4_mapped or found.sixtofour
        if found in _NAT64:
            inner = ipaddress.IPv4Address(int(found) & 0xFFFFFFFF)
        if inner is not None:
            return is_public(str(inner))
    return found.is_global and not found.is_multicast


def watch(host: str, private_allowed: bool) -> dict[str, list[Callable[..., Any]]]:
    """Event hooks for an httpx client: only the Label Studio at `host` gets the key, whatever redirects say.

    And unless private addresses are allowed, the client raises RecordingError where a request or a redirect leads to
    another one of them.
    """
    trusted = origin(host)

    def look_up(request: httpx.Request) -> None:
        url = request.url
        if origin(str(url)) == trusted:
            return
        request.headers.pop("Authorization", None)
        request.headers["Connection"] = "close"  # so that each has a connection of its own, which is looked at
        if private_allowed or _is_proxied(url):
            return
        try:
            found = socket.getaddrinfo(url.host, url.port or _PORTS[url.scheme], type=socket.SOCK_STREAM)
        except OSError as error:  # as the connection would have said
            raise httpx.ConnectError(str(error), request=request) from error
        _refuse(url, [str(address[0]) for *_, address in found])
        traced = request.extensions.get("trace")
        request.extensions = {**request.extensions, "trace": partial(_look_at_peer, url, traced)}

    return {"request": [look_up]}


def _look_at_peer(url: httpx.URL, traced: Trace | None, event: str, told: Mapping[str, Any]) -> None:
    """Called by httpcore with all that it does for a request; raises RecordingError once it has connected wrongly."""
    if traced is not None:
        traced(event, told)
    if event == "connection.connect_tcp.complete":
        stream = told["return_value"]
        try:
            _refuse(url, [str(stream.get_extra_info("server_addr")[0])])
        except RecordingError:
            stream.close()
            raise


def _refuse(url: httpx.URL, addresses: Sequence[str]) -> None:
    private = [address for address in addresses if not is_public(address)]
    if private:
        raise RecordingError(
            f"{url.scheme}://{url.netloc.decode('ascii', 'replace').rpartition('@')[2]} is the private address"
            f" {private[0]}, which a task may not name: put the recording where Label Studio has it, or set"
            " ALLOW_PRIVATE_ADDRESSES=true where everybody who may create tasks may also see this network"
        )


def _is_proxied(url: httpx.URL) -> bool:
    proxies = getproxies()
    return bool(proxies.get(url.scheme) or proxies.get("all")) and not proxy_bypass(url.host)

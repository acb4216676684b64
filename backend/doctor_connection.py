"""The doctor's checks of the line from Label Studio to this backend: connection, webhook, live suggestions."""

from __future__ import annotations

from urllib.parse import urlsplit

import httpx

from backend.doctor import Installation, Outcome, failed, ok, warning
from backend.registration import webhook_url
from backend.service import WEBHOOK_EVENTS

_WAIT = 5.0  # seconds for an answer of the backend


def connection(installation: Installation) -> Outcome:
    """Whether Label Studio has a backend in the project."""
    if not installation.connections:
        return failed(
            "no backend is connected to the project",
            f"python -m backend connect --project {installation.project} --url http://ADDRESS:9090,"
            " with the backend's address as Label Studio reaches it",
        )
    found = installation.connection
    others = len(installation.connections) - 1
    return ok(f"{found.title!r} at {installation.url}" + (f", and {others} more" if others else ""))


def webhook_host(installation: Installation) -> Outcome:
    """Whether Label Studio lets a webhook have the address: a host without a dot it never calls."""
    refused = installation.refusals.webhook
    if not refused:
        return ok(f"Label Studio takes a webhook to {installation.url}")
    host = urlsplit(installation.url).hostname or ""
    return failed(
        f"Label Studio lets no webhook have the host {host!r} ({refused})"
        + ("" if "." in host else ", because it has no dot: it would never hear of annotations"),
        "connect the backend by an IP address, `localhost` or a name with a dot, like host.docker.internal",
    )


def local_addresses(installation: Installation) -> Outcome:
    """Whether Label Studio may call the address, which it refuses by default where that is a local one."""
    refusals = installation.refusals
    if refusals.unknown:
        return failed(
            f"Label Studio cannot find the host of {installation.url} ({refusals.unknown})",
            "connect the backend by an address that Label Studio's machine knows",
        )
    if refusals.reserved:
        return failed(
            f"Label Studio may not call {installation.url}: it is a local address, which its setting"
            f" {' and '.join(refusals.reserved)} forbids",
            "start Label Studio with ML_BLOCK_LOCAL_IP=false and SSRF_PROTECTION_ENABLED=false",
        )
    return ok(f"Label Studio may call {installation.url}")


def reached(installation: Installation) -> Outcome:
    """Whether the backend answers Label Studio, which calls it now."""
    found = installation.connection
    if found.answers:
        return ok(f"the backend answers Label Studio, with version {found.version or 'none'}")
    return _no_answer(installation) if found.state == "DI" else unusable(installation, found.problem)


def unusable(installation: Installation, said: str) -> Outcome:
    """Why Label Studio has no use for the backend, by Label Studio's own words."""
    if "health check failed" in said:
        return _no_answer(installation)
    if "401 Client Error" not in said:
        return failed(
            f"Label Studio cannot use the backend at {installation.url}: {said}",
            "check that this is the backend's address, and look at its log",
        )
    settings = installation.settings
    found = f"the backend at {installation.url} refuses the credentials that Label Studio has"
    if not (settings.basic_auth_user + settings.basic_auth_pass.get_secret_value()).isascii():
        return failed(
            f"{found}, as Label Studio sends letters beyond ASCII otherwise than others do",
            "choose a BASIC_AUTH_USER and BASIC_AUTH_PASS of ASCII characters",
        )
    return failed(found, _credentials(installation))


def _no_answer(installation: Installation) -> Outcome:
    return failed(
        f"Label Studio gets no answer from {installation.url}",
        "start the backend, and check that Label Studio's machine reaches that address",
    )


def _credentials(installation: Installation) -> str:
    return f"set BASIC_AUTH_USER and BASIC_AUTH_PASS as the server has them, then {installation.connecting}"


def webhook(installation: Installation) -> Outcome:
    """Whether Label Studio tells the backend of annotations."""
    found = installation.webhooks
    address = webhook_url(installation.url)
    if not found:
        return failed(f"there is no webhook to {address}, so that annotations train nothing", installation.connecting)
    first = found[0]
    if not first.active:
        return failed(f"the webhook to {address} is switched off", installation.connecting)
    if not first.sends_payload:
        return failed(
            f"the webhook to {address} sends no payload, so that nobody knows which project it is about",
            installation.connecting,
        )
    if len(found) > 1:
        return warning(f"{len(found)} webhooks go to {address}: each event comes that often", installation.connecting)
    return ok(f"active, to {address}, with payload")


def webhook_events(installation: Installation) -> Outcome:
    """Whether the webhook sends what trainings come from."""
    first = installation.webhooks[0]
    if first.missing:
        return failed(f"the webhook does not send {', '.join(sorted(first.missing))}", installation.connecting)
    return ok("all events" if first.all_events else f"{len(WEBHOOK_EVENTS)} events, those that are acted on")


def webhook_credentials(installation: Installation) -> Outcome | None:
    """Whether the webhook carries basic auth, which Label Studio does not do by itself."""
    wanted = installation.registration.authorization
    if wanted is None:
        return None
    first = installation.webhooks[0]
    if first.authorization is None:
        return failed(
            "BASIC_AUTH_USER is set, but the webhook has no Authorization header: its events are refused",
            installation.connecting,
        )
    if first.authorization != wanted:
        return failed(
            "the webhook's Authorization header is not of BASIC_AUTH_USER and BASIC_AUTH_PASS", installation.connecting
        )
    return ok("the webhook carries the Authorization header of BASIC_AUTH_USER")


def answer(installation: Installation) -> Outcome:
    """Whether the webhook's address answers here, and lets in what the webhook carries."""
    first = installation.webhooks[0]
    headers = {"Authorization": first.authorization} if first.authorization else {}
    try:
        health = httpx.get(f"{installation.url}/health", timeout=_WAIT)
        versions = httpx.get(f"{installation.url}/versions", timeout=_WAIT, headers=headers)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        return warning(
            f"{installation.url} does not answer here ({error or type(error).__name__}), though it does Label Studio",
            "see that it does, unless Label Studio is in a network of its own with the backend",
        )
    if health.status_code != httpx.codes.OK:
        return failed(
            f"{installation.url}/health answers {health.status_code}", "see what else has that address, or the log"
        )
    if versions.status_code == httpx.codes.UNAUTHORIZED:
        return failed(
            f"the backend at {installation.url} refuses the webhook's credentials",
            _credentials(installation),
        )
    return ok(f"{installation.url} answers here")


def suggestions(installation: Installation) -> Outcome:
    """Whether a task that is opened gets suggestions of this backend."""
    if installation.registration.suggests(installation.connection):
        return ok("a task that is opened gets suggestions")
    return warning(
        "the project shows no suggestions, or another model's, to who opens a task by Label All Tasks",
        installation.connecting,
    )

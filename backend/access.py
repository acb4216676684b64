"""The checks in front of all others: who asks, and how much is sent."""

from __future__ import annotations

import base64
import hmac
import logging

from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import RequestEntityTooLarge

from backend.settings import Settings

logger = logging.getLogger(__name__)

_OPEN_PATHS = ("/", "/health")


def add_access_checks(app: Flask, settings: Settings) -> None:
    """Ask for basic auth where it is set up, and say so where it is not; refuse bodies over MAX_BODY_MB unread."""
    if settings.basic_auth_user:
        app.before_request(lambda: _check_credentials(_accepted(settings)))
    else:
        logger.warning(
            "OPEN TO ALL: whoever reaches port %(port)d of any address of this machine may use this backend; set"
            " BASIC_AUTH_USER and BASIC_AUTH_PASS, or let a firewall pass only Label Studio",
            {"port": settings.port},
        )
    app.before_request(_check_sender)
    app.config["MAX_CONTENT_LENGTH"] = int(settings.max_body_mb * 1e6)
    app.before_request(_check_size)
    app.register_error_handler(RequestEntityTooLarge, lambda _: _too_large(settings))


def _check_sender() -> None:
    """No page of another site may post here with the password that a browser has kept for ours."""
    if request.method == "POST" and request.headers.get("Sec-Fetch-Site") in ("cross-site", "same-site"):
        abort(403, "expected a request that no page of another site sends")


def _accepted(settings: Settings) -> list[bytes]:
    """User and password as clients write them: in UTF-8, or in Latin-1, as Python's requests does for Label Studio."""
    text = f"{settings.basic_auth_user}:{settings.basic_auth_pass.get_secret_value()}"
    accepted = [text.encode("utf-8", "surrogateescape")]  # as the environment holds them
    if all(ord(character) < 256 for character in text):
        accepted.append(text.encode("latin-1"))
    return accepted


def _check_credentials(accepted: list[bytes]) -> Response | None:
    """HTTP basic auth on everything but the health check; takes as long whatever is wrong with the credentials."""
    if request.path in _OPEN_PATHS:
        return None
    given = _credentials(request.headers.get("Authorization", ""))
    if sum(hmac.compare_digest(given, right) for right in accepted):  # not `any`, which stops at the first
        return None
    if request.path == "/webhook":
        logger.error(
            "an event is lost: it came without the right Authorization header; add one to the webhook in Label Studio"
        )
    return Response("Unauthorized", 401, {"WWW-Authenticate": 'Basic realm="backend", charset="UTF-8"'})


def _credentials(header: str) -> bytes:
    """What is in an Authorization header of the basic kind; nothing for any other header."""
    scheme, _, encoded = header.partition(" ")
    try:
        return base64.b64decode(encoded.strip(), validate=True) if scheme.lower() == "basic" else b""
    except ValueError:  # no base64, or characters that cannot be in it
        return b""


def _check_size() -> None:
    """Raise RequestEntityTooLarge for a body over the limit: unread where its length is told, else with the limit read.

    Werkzeug cuts a body of unknown length (chunked) off at the limit, and says so to whoever asks for more.
    """
    if request.method == "POST" and not request.routing_exception:
        request.get_data()
        request.stream.read(1)


def _too_large(settings: Settings) -> tuple[Response, int]:
    limit = f"{settings.max_body_mb:g} MB"
    return jsonify({"error": f"expected a body of at most {limit}; raise MAX_BODY_MB to take larger ones"}), 413

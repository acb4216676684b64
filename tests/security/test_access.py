"""Who may ask, and how much may be sent: every wrong header is 401, every body too large 413, and others are served."""

from __future__ import annotations

import base64
import http.client
import json
import subprocess
import sys
from collections.abc import Iterator
from contextlib import closing, suppress
from pathlib import Path
from typing import Any

import pytest
from flask import Flask

from backend import access
from tests.backend.label_studio import StandIn
from tests.backend.server import ROOT, Server
from tests.recordings import CONFIG

USER, PASSWORD = "jö", "gehéim:x"


def basic(credentials: bytes) -> bytes:
    return b"Basic " + base64.b64encode(credentials)


RIGHT = f"{USER}:{PASSWORD}".encode()
WRONG_HEADERS = {
    "empty": b"",
    "no credentials": b"Basic",
    "empty user and password": basic(b":"),
    "no colon": basic(USER.encode()),
    "only the user": basic(USER.encode() + b":"),
    "another password": basic(USER.encode() + b":falsch"),
    "a part of the password": basic(RIGHT[:-1]),
    "more than the password": basic(RIGHT + b"x"),
    "in another case": basic(RIGHT.upper()),
    "no base64": b"Basic !!",
    "base64 that breaks off": basic(RIGHT)[:-1],
    "base64 with something in it": basic(RIGHT)[:12] + b"*" + basic(RIGHT)[12:],
    "not ASCII": b"Basic \xc3\xa9\xff",
    "plain, in UTF-8": b"Basic " + RIGHT,
    "bytes that are no text": basic(b"\xff\xfe:\x80"),
    "a zero byte": basic(RIGHT + b"\0"),
    "as a bearer": b"Bearer " + base64.b64encode(RIGHT),
    "digest": b'Digest username="j", realm="backend", nonce="1", uri="/", response="2"',
    "no scheme": base64.b64encode(RIGHT),
    "long": b"Basic " + b"QUFB" * 2000,
}


@pytest.fixture(scope="module")
def guarded(studio: StandIn, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Server]:
    settings = {"BASIC_AUTH_USER": USER, "BASIC_AUTH_PASS": PASSWORD, "MAX_BODY_MB": "1.5", "WORKERS": "1"}
    backend = Server(studio, tmp_path_factory.mktemp("access") / "models", **settings)
    yield backend
    backend.close()


@pytest.mark.parametrize("header", WRONG_HEADERS.values(), ids=WRONG_HEADERS)
@pytest.mark.parametrize(("method", "path"), [("GET", "/metrics"), ("POST", "/webhook")])
def test_a_header_that_is_not_right_is_401_whatever_is_wrong_with_it(
    guarded: Server, method: str, path: str, header: bytes
) -> None:
    answer = guarded.http.request(method, path, headers={"Authorization": header}, content=b"not looked at")
    assert answer.status_code == 401
    assert answer.headers["WWW-Authenticate"].startswith("Basic ")


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook", "/versions", "/projects/1/status", "/nothing"])
def test_everything_but_health_asks_for_the_password(guarded: Server, path: str) -> None:
    assert guarded.http.get(path).status_code == 401
    assert guarded.http.post(path, json={}).status_code == 401
    assert guarded.http.get("/health").status_code == 200


@pytest.mark.parametrize("encoding", ["utf-8", "latin-1"])
@pytest.mark.parametrize("scheme", [b"Basic", b"basic", b"BASIC"])
def test_the_right_header_opens_in_either_encoding(guarded: Server, encoding: str, scheme: bytes) -> None:
    credentials = basic(f"{USER}:{PASSWORD}".encode(encoding)).removeprefix(b"Basic")
    assert guarded.http.get("/versions", headers={"Authorization": scheme + credentials}).status_code == 200


def test_a_header_without_end_is_refused_before_it_is_read(guarded: Server) -> None:
    assert guarded.http.get("/versions", headers={"Authorization": "Basic " + "A" * 100_000}).status_code in (400, 431)


def test_an_event_that_is_refused_is_told(guarded: Server) -> None:
    before = guarded.log_text().count("an event is lost")
    assert guarded.event("ANNOTATION_CREATED", 1).status_code == 401
    assert guarded.log_text().count("an event is lost") == before + 1


@pytest.mark.parametrize("guard", [True, False])
def test_a_server_that_is_open_to_all_says_so_once_at_its_start(
    guarded: Server, studio: StandIn, tmp_path: Path, guard: bool
) -> None:
    server = guarded if guard else Server(studio, tmp_path / "models")
    try:
        assert server.log_text().count("OPEN TO ALL") == (0 if guard else 1)
    finally:
        if server is not guarded:
            server.close()


def announce(server: Server, path: str, length: int) -> http.client.HTTPConnection:
    """A request of which only the head is sent so far."""
    connection = http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)
    connection.putrequest("POST", path)
    for name, value in (
        ("Authorization", basic(RIGHT)), ("Content-Type", "application/json"), ("Content-Length", length)
    ):  # fmt: skip
        connection.putheader(name, value)
    connection.endheaders()
    return connection


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
def test_a_body_over_the_limit_is_refused_before_any_of_it_is_sent(guarded: Server, path: str) -> None:
    with closing(announce(guarded, path, 200_000_000)) as connection:
        answer = connection.getresponse()
        assert answer.status == 413
        assert b"expected a body of at most 1.5 MB; raise MAX_BODY_MB" in answer.read()


def test_a_body_of_unknown_length_is_read_up_to_the_limit_alone(guarded: Server) -> None:
    def pieces() -> Iterator[bytes]:
        yield b'{"action": "'
        for _ in range(100):
            yield b"x" * 100_000

    answer = guarded.http.post("/webhook", content=pieces(), headers={"Authorization": basic(RIGHT)})
    assert answer.status_code == 413


def test_a_body_within_the_limit_is_taken(guarded: Server) -> None:
    body = {"action": "x" * 1_400_000, "project": {"id": 1}}
    assert guarded.http.post("/webhook", json=body, headers={"Authorization": basic(RIGHT)}).status_code == 200


def test_memory_stays_bounded_while_too_much_is_sent_and_others_are_served(guarded: Server) -> None:
    def memory() -> int:
        (worker,) = guarded.workers()
        return int(next(x.split()[1] for x in Path(f"/proc/{worker}/status").read_text().splitlines() if "VmRSS" in x))

    before = memory()
    for _ in range(3):
        with closing(announce(guarded, "/predict", 200_000_000)) as connection:
            with suppress(ConnectionError):  # it does not have to listen to all of it
                for _ in range(200):
                    connection.send(b" " * 1_000_000)
            assert guarded.http.get("/health").status_code == 200
    assert memory() - before < 20_000  # kB


NESTED = [900, 5_000, 100_000]


@pytest.mark.parametrize("depth", NESTED)
@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("/webhook", {"action": "ANNOTATION_CREATED", "project": {"id": 1, "x": "@"}}),
        ("/webhook", {"action": "@", "project": {"id": 1}}),
        ("/setup", {"project": "1.1", "schema": CONFIG, "x": "@"}),
        ("/predict", {"project": "1.1", "label_config": CONFIG, "tasks": [{"id": 1, "data": "@"}]}),
        ("/predict", {"project": "1.1", "label_config": CONFIG, "tasks": [{"id": 1, "data": {"csv_url": "@"}}]}),
        ("/predict", {"project": "1.1", "label_config": CONFIG, "tasks": [], "params": {"context": {"result": "@"}}}),
    ],
    ids=lambda value: "" if isinstance(value, str) else json.dumps(value)[-40:],
)
@pytest.mark.parametrize(("opened", "closed"), [("[", "]"), ('{"a":', "}")])
def test_json_however_deep_is_answered_not_died_of(
    guarded: Server, path: str, body: dict[str, Any], depth: int, opened: str, closed: str
) -> None:
    deep = json.dumps(body).replace('"@"', opened * depth + "1" + closed * depth)
    headers = {"Authorization": basic(RIGHT), "Content-Type": "application/json"}
    (worker,) = guarded.workers()
    answer = guarded.http.post(path, content=deep, headers=headers)
    assert answer.status_code in (200, 201, 400), answer.text
    assert guarded.workers() == [worker]


def test_every_route_asks_for_the_password_whatever_the_method(guarded: Server) -> None:
    # In a process of its own: the SDK's app is one a process, and takes no more routes once it has answered a request.
    listing = "from _wsgi import app; print(*app.url_map.iter_rules(), sep='\\n')"
    run = subprocess.run([sys.executable, "-c", listing], cwd=ROOT, capture_output=True, text=True, check=True)
    rules = run.stdout.splitlines()
    assert {"/metrics", "/predict"} <= set(rules)
    for rule in rules:
        path = rule.replace("<project>", "1").replace("<path:filename>", "style.css")
        assert "<" not in path
        for method in ("GET", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "HEAD"):
            if path not in ("/", "/health"):
                assert guarded.http.request(method, path).status_code == 401, (method, path)


@pytest.mark.parametrize(
    "path", ["//metrics", "/./metrics", "/health/../metrics", "/health/", "/%2e/metrics", "/health%00"]
)
def test_no_other_way_to_write_an_address_opens_it(guarded: Server, path: str) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", guarded.port, timeout=10)
    with closing(connection):
        connection.request("GET", path, headers={"SCRIPT_NAME": "/metrics", "X-Forwarded-For": "127.0.0.1"})
        assert connection.getresponse().status in (400, 401, 404)


@pytest.mark.parametrize("header", [basic(RIGHT), basic(b"x:y"), basic(b""), b"none"])
def test_credentials_are_compared_as_bytes_in_constant_time_all_of_them(
    monkeypatch: pytest.MonkeyPatch, header: bytes
) -> None:
    compared = []
    monkeypatch.setattr(access.hmac, "compare_digest", lambda *pair: compared.append(pair) or False)
    with Flask(__name__).test_request_context("/x", headers={"Authorization": header.decode()}):
        answer = access._check_credentials([RIGHT, RIGHT.decode().encode("latin-1")])
    assert answer is not None
    assert answer.status_code == 401
    assert [type(one) for pair in compared for one in pair] == [bytes] * 4


@pytest.mark.parametrize("site", ["cross-site", "same-site"])
def test_a_page_of_another_site_cannot_post_with_the_password_a_browser_kept(guarded: Server, site: str) -> None:
    headers = {"Authorization": basic(RIGHT), "Sec-Fetch-Site": site, "Content-Type": "text/plain"}
    body = b'{"action": "START_TRAINING", "project": {"id": 1}}'
    assert guarded.http.post("/webhook", content=body, headers=headers).status_code == 403
    assert guarded.http.post(
        "/webhook", content=b'{"action": "x"}', headers={**headers, "Sec-Fetch-Site": "none"}
    ).is_success

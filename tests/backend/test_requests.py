"""Requests that make no sense get one sentence."""

from __future__ import annotations

import json
from typing import Any

import pytest

from tests.backend.server import Server
from tests.recordings import CONFIG


@pytest.mark.parametrize("path", ["/predict", "/setup", "/webhook"])
@pytest.mark.parametrize("body", [b"", b"null", b"[]", b"7", b'"text"', b"{", b"\xff\xfe", b"[" * 10000])
def test_a_body_that_is_no_object_is_refused_in_a_sentence(server: Server, path: str, body: bytes) -> None:
    answer = server.http.post(path, content=body, headers={"Content-Type": "application/json"})
    assert answer.status_code == 400
    assert answer.json()["error"].startswith("expected a JSON object as the body")


@pytest.mark.parametrize("tasks", [None, {}, "tasks", 7, [None], ["task"], [[]]])
def test_tasks_that_are_no_list_of_tasks_are_refused(server: Server, tasks: Any) -> None:
    answer = server.http.post("/predict", json={"project": "1.1", "label_config": CONFIG, "tasks": tasks})
    assert (answer.status_code, answer.json()) == (400, {"error": "expected `tasks` to be a list of tasks"})


def test_a_request_without_tasks_is_refused(server: Server) -> None:
    answer = server.http.post("/predict", json={"project": "1.1", "label_config": CONFIG})
    assert (answer.status_code, answer.json()) == (400, {"error": "expected `tasks` to be a list of tasks"})


@pytest.mark.parametrize(
    "data", [None, [], "x", {}, {"csv_url": None}, {"csv_url": 7}, {"csv_url": "file:///etc/passwd"}]
)
def test_a_task_without_a_recording_is_answered_with_nothing(server: Server, trained: int, data: Any) -> None:
    body = {"project": f"{trained}.1", "label_config": CONFIG, "tasks": [{"id": 5, "data": data}]}
    answer = server.http.post("/predict", json={**body, "params": None})
    assert (answer.status_code, answer.json()["results"]) == (200, [])


@pytest.mark.parametrize("config", [7, [], {"a": 1}])
def test_a_config_that_is_no_text_is_refused(server: Server, trained: int, config: Any) -> None:
    assert server.http.post("/predict", json={"project": "1.1", "tasks": [], "label_config": config}).status_code == 400
    assert server.http.post("/setup", json={"project": "1.1", "schema": config}).status_code == 400


@pytest.mark.parametrize(
    ("config", "words"),
    [
        ("<View", "not XML"),
        ("label everything", "not XML"),
        ('{"label": "json"}', "not XML"),
        ("<View>&nbsp;</View>", "not XML"),
        ("<View>\ud800</View>", "not XML"),
        ('<!DOCTYPE v [<!ENTITY a "aaaa"><!ENTITY b "&a;&a;&a;">]><View>&b;</View>', "DOCTYPE"),
        ('<!DOCTYPE v SYSTEM "file:///etc/passwd"><View/>', "DOCTYPE"),
    ],
    ids=["cut off", "words", "JSON", "a name of HTML", "half a character", "entities", "a file of this machine"],
)
def test_a_config_that_is_no_xml_is_refused_in_a_sentence(server: Server, config: str, words: str) -> None:
    for path, body in (("/predict", {"tasks": [], "label_config": config}), ("/setup", {"schema": config})):
        content = json.dumps({"project": "61.1", **body})
        answer = server.http.post(path, content=content, headers={"Content-Type": "application/json"})
        assert answer.status_code == 400
        assert words in answer.json()["error"]
        assert "root:" not in answer.text


def test_health_and_versions_answer_label_studio(server: Server) -> None:
    assert server.http.get("/health").json()["status"] == "UP"
    assert server.http.get("/versions").json() == {"versions": []}


def test_unknown_pages_and_retired_routes_say_so(server: Server) -> None:
    assert server.http.get("/nothing").status_code == 404
    assert server.http.post("/train", json={}).status_code in (404, 410)  # 2.x of the SDK no longer has the route

"""Requests as Label Studio sends them, and what changes make of them.

An input is a request as JSON: method, path, headers, body (JSON, or text that is none), and the files of a Label Studio
that tasks may name.
"""

from __future__ import annotations

import json
import random
from typing import Any

from fuzz import configs
from fuzz.changes import SCALARS, change_json, change_lines
from tests.recordings import CONFIG, activity

SCRIPT = "<fuzz9>"  # in names: a page that holds it as it stands would run it
GOOD = "/data/upload/1/1006.csv"  # the address of the recording that can always be read
_POSTS = ("/predict", "/setup", "/webhook", "/validate", "/train", "/versions")
_GETS = (
    "/", "/health", "/metrics", "/versions", "/projects", "/projects/list", "/projects/1", "/projects/1/state",
    "/is_training",
    "/projects/1/status", "/projects/1?version=v1", f"/projects/{SCRIPT}", "/projects/2",
    "/projects/999999999999999999",
    "/pages/pages.css", "/pages/../../etc/passwd", "/projects/1?version=../../2/current", "/projects/%00",
    "/projects/١",
)  # fmt: skip
_EVENTS = (
    "START_TRAINING", "ANNOTATION_CREATED", "ANNOTATIONS_DELETED", "TASKS_CREATED", "PROJECT_UPDATED", "TASKS_DELETED",
    "ANNOTATIONS_CREATED", SCRIPT, "",
)  # fmt: skip
_ADDRESSES = (
    GOOD, "/data/upload/fuzz/a.csv", "/data/upload/fuzz/b.csv", "/data/upload/none.csv",
    "file:///etc/passwd",
    "http://127.0.0.1:1/x", "http://169.254.169.254/latest", "http://[::1]/", "http://8.8.8.8/x",
    "http://user:pw@host.invalid/a",
    "s3://b/k", "//evil", "/../x", "http://[", "http://a" + "a" * 300, "/data/x?y=1#z", "\ud800", "gs://\ud800/é",
    "/x\r\nA: b",
)  # fmt: skip
_KEYS = (
    "csv_url",
    "time",
    "sensorone",
    "sensortwo",
    "id",
    "project",
    "start",
    "drafts",
    "context",
    "result",
    "$undefined$",
)
_SCALARS = (*SCALARS, *_ADDRESSES, *_EVENTS, *_KEYS, CONFIG, "1.17", f'<View><a name="{SCRIPT}"/></View>')
_HEADERS: tuple[dict[str, str], ...] = (
    {}, {}, {}, {"Authorization": "Basic eDp5"}, {"Authorization": "Bearer x"}, {"Content-Type": "text/csv"},
    {"Content-Type": "application/json; charset=utf-16"}, {"Authorization": "Basic \xff"}, {"Accept": "text/html"},
)  # fmt: skip


def seeds() -> list[dict[str, Any]]:
    """Every kind of request once, the most telling ones first; made anew, since they are changed in place."""
    columns = {"time": [0, 1, 2, 3], "sensorone": [1, 2, 1, 2], "sensortwo": [100, 900, None, 100]}
    task = {"id": 1006, "data": {"csv_url": GOOD}, "annotations": [], "predictions": [], "project": 1}
    files = {"a.csv": activity(3, 60)[0].decode(), "b.csv": json.dumps(columns)}
    tasks = [
        task,
        *({**task, "id": number, "data": {"csv_url": address}} for number, address in enumerate(_ADDRESSES[1:4], 1)),
    ]
    region = {"id": "r", "from_name": "label", "to_name": "ts", "type": "timeserieslabels", "origin": "manual",
              "value": {"start": 3, "end": 20, "instant": False, "timeserieslabels": ["Run"]}}  # fmt: skip
    predict = {"project": "1.17", "tasks": tasks, "label_config": CONFIG, "params": {"login": None, "context": None}}
    drawing = {
        **task,
        "drafts": [{"id": number, "result": [region], "updated_at": f"2026-01-0{number}"} for number in (1, 2)],
    }
    by_json = CONFIG.replace('"url"', '"json"')
    in_data = {**task, "data": {"csv_url": columns}}
    setup = {"project": "1.17", "schema": CONFIG, "hostname": "http://localhost:8080", "access_token": "x"}
    annotation = {"id": 1, "result": [region]}
    event = {"project": {"id": 1, "label_config": CONFIG}, "annotation": annotation, "task": task}
    bodies: list[tuple[str, Any]] = [
        ("/predict", predict),
        ("/predict", {**predict, "tasks": [drawing], "params": {"context": {"result": [region]}}}),
        ("/predict", {**predict, "tasks": [in_data], "label_config": by_json}),
        ("/setup", setup),
        ("/setup", {**setup, "project": "2.17", "schema": CONFIG.replace("Run", SCRIPT.replace("<", "&lt;"))}),
        *(("/webhook", {**event, "action": action}) for action in _EVENTS),
        ("/validate", {"config": CONFIG}),
        ("/versions", {"project": "1.17"}),
    ]  # fmt: skip
    posts = [{"method": "POST", "path": path, "headers": {}, "body": body, "files": files} for path, body in bodies]
    return posts + [{"method": "GET", "path": path, "headers": {}, "body": None, "files": {}} for path in _GETS]


def change(data: bytes, chance: random.Random) -> bytes:
    """Another body, file, config, path or header; a request takes long, so several at once."""
    given = read_input(data)
    if given is None or chance.random() < 0.3:
        given = chance.choice(seeds()[: 3 if chance.random() < 0.6 else None])  # suggestions first
    for _ in range(chance.choice((1, 2, 4))):
        _change_once(given, chance)
    return json.dumps(given).encode()


def _change_once(given: dict[str, Any], chance: random.Random) -> None:
    how = chance.randrange(12)
    body, files = given["body"], given["files"]
    config = {"/predict": "label_config", "/setup": "schema"}.get(given["path"])
    if how == 0:
        given["path"] = chance.choice((*_POSTS, *_GETS))
        given["method"] = chance.choice(("GET", "POST", "POST", "HEAD", "PUT", "OPTIONS", "DELETE"))
    elif how == 1:
        given["headers"] = chance.choice(_HEADERS)
    elif how == 2:
        given["body"] = change_lines(json.dumps(body).encode(), chance).decode("latin-1")
    elif how <= 4 and files:
        name = chance.choice(list(files))
        files[name] = change_lines(files[name].encode("latin-1", "replace"), chance).decode("latin-1")
    elif how <= 6 and isinstance(body, dict) and config and isinstance(body.get(config), str):
        changed = configs.change(body[config].encode("utf-8", "replace"), chance)
        body[config] = changed.decode("utf-8", "replace")
    elif how == 7 and "?" not in given["path"]:
        given["path"] += chance.choice(
            ("?version=", "?version=" + SCRIPT, "/", "//", "/..", "%ff", "?a=b&version=\ud800")
        )
    else:
        given["body"] = change_json(body, chance, _SCALARS)


def read_input(data: bytes) -> dict[str, Any] | None:
    """The request that an input is; None where it is none."""
    try:
        given = json.loads(data)
        right = all(isinstance(given[name], str) for name in ("method", "path")) and given["path"].startswith("/")
        right = right and not given["path"].startswith("//")  # a host, for the client
        right = right and given["method"] in ("GET", "POST", "HEAD", "PUT", "OPTIONS", "DELETE")
        right = right and all(isinstance(text, str) for text in (*given["files"].values(), *given["headers"].values()))
        return given if right and "body" in given else None
    except (ValueError, KeyError, TypeError, AttributeError, RecursionError):
        return None

"""Recordings as they come: what is broken in one task stays in that task, what is odd but readable is suggested."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread
from typing import Any

import pytest

from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import CONFIG, activity, overlap, regions

GOOD, SPANS = activity(100)
LINES = GOOD.decode().splitlines()
ROWS = [line.split(",") for line in LINES[1:]]


class Web(BaseHTTPRequestHandler):
    """A web server with every bad habit, one a path."""

    def do_GET(self) -> None:
        kind, _, rest = self.path[1:].partition("/")
        if kind == "answers":
            self._answer(int(rest), b"no")
        elif kind == "redirects":
            self._answer(302, b"", Location=f"/{rest}")
        elif kind == "hangs":
            time.sleep(20)
        elif kind == "stops":
            self._answer(200, GOOD[: len(GOOD) // 2], length=len(GOOD))
            time.sleep(20)
        elif kind == "breaks":
            self._answer(200, GOOD[: len(GOOD) // 2], length=len(GOOD))
        elif kind == "large":
            self._answer(200, GOOD + b" " * 1_000_000)
        elif kind == "login":
            self._answer(200, b"<!DOCTYPE html><html><body>Please log in</body></html>")
        elif kind == "packed":
            self._answer(200, b"this is not gzip", **{"Content-Encoding": "gzip"})
        else:
            self._answer(200, GOOD)

    def _answer(self, status: int, body: bytes, length: int | None = None, **headers: str) -> None:
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        self.send_header("Content-Length", str(length or len(body)))
        self.end_headers()
        self.wfile.write(body)
        self.wfile.flush()

    def log_message(self, format: str, *args: Any) -> None:
        """Say nothing: the tests print."""


def rewritten(header: str = LINES[0], separator: str = ",", rows: list[list[str]] = ROWS, end: str = "\n") -> bytes:
    return end.join([header, *(separator.join(row) for row in rows)]).encode()


def changed(**cells: dict[int, str]) -> bytes:
    """The good file with other cells: {row: cell} by column."""
    names = LINES[0].split(",")
    rows = [[cells.get(name, {}).get(row, cell) for name, cell in zip(names, line, strict=True)]
            for row, line in enumerate(ROWS)]  # fmt: skip
    return rewritten(rows=rows)


def as_json(**more: Any) -> bytes:
    columns = zip(*[[float(cell) for cell in row] for row in ROWS], strict=True)
    return json.dumps({**dict(zip(LINES[0].split(","), columns, strict=True)), **more}).encode()


# What lies behind a task's address, and what log and status say of it. Text is an address, bytes are an uploaded file,
# an object is the task's data itself.
BROKEN: dict[str, tuple[str | bytes | dict[str, Any], list[str]]] = {
    "a file that is not there": ("/data/upload/none.csv", ["/data/upload/none.csv", "expected 200", "answered 404"]),
    "404 from another server": ("web:answers/404", ["/answers/404", "expected 200", "answered 404"]),
    "401": ("web:answers/401", ["expected 200", "answered 401"]),
    "403": ("web:answers/403", ["expected 200", "answered 403"]),
    "500": ("web:answers/500", ["expected 200", "answered 500"]),
    "204, nothing at all": ("web:answers/204", ["expected 200", "answered 204"]),
    "a redirect to a page for logging in": ("web:redirects/login", ["<!DOCTYPE html>", "web page", "CSV text"]),
    "redirects in a circle": ("web:redirects/redirects/redirects/redirects/redirects/redirects/x", ["redirects"]),
    "a server that hangs": ("web:hangs", ["did not answer within 3 s", "REQUEST_TIMEOUT"]),
    "a server that stops half way": ("web:stops", ["did not answer within 3 s"]),
    "a server that breaks off half way": ("web:breaks", ["cannot be downloaded"]),
    "a body that is not packed as it says": ("web:packed", ["cannot be downloaded"]),
    "a file larger than the limit": ("web:large", ["larger than 1 MB", "MAX_RECORDING_MB"]),
    "nobody at the address": ("http://127.0.0.1:1/a.csv", ["cannot be downloaded"]),
    "a host that does not exist": ("http://host.invalid/a.csv", ["cannot be downloaded"]),
    "a host that cannot exist": ("http://" + "a" * 300 + "/a.csv", ["cannot be downloaded"]),
    "a file of this machine": ("file:///etc/passwd", ["expected a recording's address", "file:///etc/passwd"]),
    "the text of the file for its address": (GOOD.decode(), ["expected a recording's address", "time,sensorone"]),
    "an empty address": ("", ["'csv_url'"]),
    "another key in the task's data": ({"csv": "/data/x.csv"}, ["'csv_url'", "has only 'csv'"]),
    "a list for the address": ({"csv_url": [1, 2]}, ["'csv_url'", "holds a list"]),
    "the columns themselves for the address": ({"csv_url": {"time": [0]}}, ["expected an address under 'csv_url'"]),
    "zero bytes": (b"", ["the file is empty", "rows of numbers were expected"]),
    "blank lines": (b"\n \n\t\n", ["blank lines", "rows of numbers were expected"]),
    "a header and no row": (b"time,sensorone,sensortwo\n", ["header ('time,sensorone,sensortwo')", "no rows"]),
    "a web page": (b"<html><body>no</body></html>", ["starts with '<html>", "web page", "CSV text was expected"]),
    "an XML error": (b'<?xml version="1.0"?><Error>AccessDenied</Error>', ["AccessDenied", "CSV text was expected"]),
    "binary junk": (bytes(range(256)) * 9, ["binary", "00 01 02 03", "CSV text was expected"]),
    "an Excel workbook": (b"PK\x03\x04" + bytes(99), ["zip archive or an Excel workbook", "CSV text was expected"]),
    "a gzip archive": (b"\x1f\x8b\x08" + bytes(99), ["gzip archive", "CSV text was expected"]),
    "a missing column": (rewritten("time,sensorone,other"), ["no column 'sensortwo'", "'time', 'sensorone', 'other'"]),
    "two missing columns": (rewritten("time,a,b"), ["no column 'sensorone', 'sensortwo'", "'time', 'a', 'b'"]),
    "a missing time column": (rewritten("t,sensorone,sensortwo"), ["no column 'time'", "'t', 'sensorone'"]),
    "no header": ("\n".join(LINES[1:]).encode(), ["no column 'time', 'sensorone', 'sensortwo'", "no header"]),
    "another separator": (rewritten("time;sensorone;sensortwo", ";"), ["no column", "is ',' its separator (sep)?"]),
    "decimal commas": (
        rewritten(rows=[[cell.replace(".", ",") for cell in row] for row in ROWS]),
        ["names 3 columns", "5 cells"],
    ),
    "more cells than the header names": (b"time,sensorone,sensortwo\n0,1,2,3\n", ["names 3 columns", "4 cells"]),
    "date-times where numbers belong": (
        changed(time={row: f"2020-06-15 20:{row // 60:02}:{row % 60:02}" for row in range(240)}),
        ["'time'", "'2020-06-15 20:00:00'", "a number was expected", "timeFormat"],
    ),
    "a time that is text far down": (changed(time={200: "later"}), ["row 201", "'time'", "'later'", "a number"]),
    "descending time": (changed(time={100: "3"}), ["'time' descends at row 101", "from 99 to 3"]),
    "the newest row first": (rewritten(rows=ROWS[::-1]), ["'time' descends at row 2", "from 239 to 238"]),
    "JSON with an error in it": (b'{"error": "not found"}', ["no list under 'time', 'sensorone'", "'error'"]),
    "JSON cut off": (as_json()[:-20], ["not JSON"]),
    "JSON columns of unequal length": (as_json(sensorone=[1.0]), ["differ in length", "'sensorone' 1"]),
}

# Faults that cost nothing: the suggestions are those for the file without them.
HARMLESS: dict[str, str | bytes] = {
    "nothing wrong": GOOD,
    "a redirect": "web:redirects/good",
    "a byte order mark": b"\xef\xbb\xbf" + GOOD,
    "UTF-16": GOOD.decode().encode("utf-16"),
    "lines that end as on Windows": GOOD.replace(b"\n", b"\r\n"),
    "lines that end as on old Macs": GOOD.replace(b"\n", b"\r"),
    "quotes around names": rewritten('"time","sensorone","sensortwo"'),
    "quotes around all cells": rewritten(
        '"time","sensorone","sensortwo"', rows=[[f'"{cell}"' for cell in row] for row in ROWS]
    ),
    "spaces around cells": rewritten("time, sensorone , sensortwo", " , "),
    "capitals in the header": rewritten("TIME,SensorOne,SENSORTWO"),
    "blank lines between the rows": GOOD.replace(b"\n", b"\n\n"),
    "a column nobody asked for": rewritten("time,sensorone,sensortwo,note", rows=[[*row, "x y"] for row in ROWS]),
    "text with commas in a column nobody asked for": rewritten(
        "note,time,sensorone,sensortwo", rows=[['"a, b"', *row] for row in ROWS]
    ),
    "rows with a comma too much": rewritten(rows=[[*row, ""] for row in ROWS]),
    "columns in another order": rewritten("sensortwo,time,sensorone", rows=[[row[2], row[0], row[1]] for row in ROWS]),
    "JSON behind the address": as_json(),
    "JSON with other things in it": as_json(unit="bar", version=2),
}

# Faults that cost something: what is left suffices for most segments.
BRIDGED: dict[str, bytes] = {
    "one empty cell in a segment": changed(sensorone={SPANS[1][1] + 10: ""}),
    "empty cells": changed(sensorone=dict.fromkeys(range(0, 240, 7), "")),
    "NaN, NA and null": changed(sensorone={row: ("nan", "NA", "null")[row % 3] for row in range(0, 240, 7)}),
    "infinities": changed(sensorone={row: ("inf", "-Infinity", "1e999")[row % 3] for row in range(0, 240, 7)}),
    "text in a channel": changed(sensorone=dict.fromkeys(range(0, 240, 7), "off")),
    "a gap of twenty rows": changed(sensortwo=dict.fromkeys(range(20), "")),
    "rows cut short": rewritten(rows=[row[: 2 + bool(number % 9)] for number, row in enumerate(ROWS)]),
    "a spike of 1e300": changed(sensortwo={3: "1e300"}),
    "the same time on several rows": changed(time={row: str(row // 2 * 2) for row in range(240)}),
    "bytes that are no UTF-8": changed(sensorone={3: "\ufffd"}).replace("\ufffd".encode(), b"\xe9"),
}

# Hardly a recording: answered all the same.
TINY: dict[str, bytes] = {
    "one row": b"time,sensorone,sensortwo\n0,1,2\n",
    "two rows": b"time,sensorone,sensortwo\n0,1,2\n1,2,3\n",
    "three rows at one time": b"time,sensorone,sensortwo\n5,1,2\n5,2,3\n5,1,2\n",
    "nothing measured": b"time,sensorone,sensortwo\n" + b"".join(b"%d,,\n" % row for row in range(50)),
    "constant channels": b"time,sensorone,sensortwo\n" + b"".join(b"%d,5,5\n" % row for row in range(50)),
    "one channel in 1e-300, one in 1e300": b"time,sensorone,sensortwo\n"
    + b"".join(b"%d,%de-300,%de300\n" % (row, row % 5, row % 3) for row in range(50)),
}


@pytest.fixture(scope="module")
def web() -> Iterator[str]:
    server = ThreadingHTTPServer(("127.0.0.1", 0), Web)
    server.daemon_threads = True
    Thread(target=server.serve_forever, daemon=True).start()
    yield f"http://127.0.0.1:{server.server_address[1]}/"
    server.shutdown()
    server.server_close()


class Batch:
    """One request with a task of each kind, and what came of it."""

    def __init__(self, server: Server, studio: StandIn, project: int, web: str) -> None:
        kinds = {**{name: content for name, (content, _) in BROKEN.items()}, **HARMLESS, **BRIDGED, **TINY}
        self.tasks = {name: add(studio, project, content, web) for name, content in kinds.items()}
        before = len(server.log_text())
        self.predictions = dict(zip(self.tasks, server.predict(project, *self.tasks.values()), strict=True))
        self.log = server.log_text()[before:]
        self.failures: dict[int, str] = {}
        broken = [self.tasks[name] for name in BROKEN]
        for first in range(0, len(broken), 20):  # the status keeps the last twenty
            server.predict(project, *broken[first : first + 20])
            self.failures |= {entry["task"]: entry["reason"] for entry in server.status(project)["failures"]}


def add(studio: StandIn, project: int, content: Any, web: str, annotation: list[dict[str, Any]] | None = None) -> int:
    task = studio.add_task(project, content if isinstance(content, bytes) else None, annotation)
    data = studio.projects[project].tasks[task]["data"]
    if isinstance(content, str):
        data["csv_url"] = content.replace("web:", web)
    elif isinstance(content, dict):
        data.clear()
        data.update(content)
    return task


@pytest.fixture(scope="module")
def batch(server: Server, studio: StandIn, trained: int, web: str) -> Batch:
    return Batch(server, studio, trained, web)


@pytest.mark.parametrize("name", BROKEN)
def test_a_broken_recording_is_answered_with_nothing_and_named(batch: Batch, name: str) -> None:
    task, words = batch.tasks[name], BROKEN[name][1]
    assert batch.predictions[name]["result"] == []
    (line,) = [line for line in batch.log.splitlines() if f", task {task}: " in line]
    for told in (line, batch.failures[task]):
        assert all(word in told for word in words), told


@pytest.mark.parametrize("name", HARMLESS)
def test_a_fault_that_costs_nothing_changes_nothing(batch: Batch, name: str) -> None:
    good, found = (batch.predictions[each]["result"] for each in ("nothing wrong", name))
    assert [entry["value"] for entry in found] == [entry["value"] for entry in good]
    assert overlap(found, SPANS) == len(SPANS)


@pytest.mark.parametrize("name", BRIDGED)
def test_a_recording_with_faults_is_suggested_all_the_same(batch: Batch, name: str) -> None:
    assert overlap(batch.predictions[name]["result"], SPANS) >= len(SPANS) - 1
    assert f", task {batch.tasks[name]}: no suggestions" not in batch.log


@pytest.mark.parametrize("name", TINY)
def test_hardly_a_recording_is_answered_all_the_same(batch: Batch, name: str) -> None:
    assert 0.0 <= batch.predictions[name]["score"] <= 1.0
    assert f", task {batch.tasks[name]}: no suggestions" not in batch.log


def test_a_training_goes_on_without_what_is_broken(server: Server, studio: StandIn, web: str) -> None:
    project = 80
    studio.add_project(project, CONFIG)
    broken = {add(studio, project, content, web, regions(SPANS)): words for content, words in BROKEN.values()}
    for content in (*HARMLESS.values(), *BRIDGED.values()):
        add(studio, project, content, web, regions(SPANS))
    for content in TINY.values():
        add(studio, project, content, web, [])
    server.train(project)
    left_out = {entry["task"]: entry["reason"] for entry in server.status(project)["left_out"]}
    assert left_out.keys() == broken.keys()
    for task, words in broken.items():
        assert all(word in left_out[task] for word in words), left_out[task]
    task = studio.add_task(project, GOOD)
    assert overlap(server.predict(project, task)[0]["result"], SPANS) >= len(SPANS) - 1

"""The client against real HTTP servers: what is asked of whom, with which credentials."""

from __future__ import annotations

import base64
import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from email.utils import formatdate
from typing import Any

import pytest

from backend.label_studio import LabelStudioError, Studio
from backend.settings import Settings
from segmenter.errors import RecordingError
from tests.backend.label_studio import StandIn
from tests.recordings import CONFIG


@pytest.fixture
def studio() -> Iterator[StandIn]:
    stand_in = StandIn()
    stand_in.add_project(3, CONFIG)
    yield stand_in
    stand_in.close()


MakeClient = Callable[..., Studio]


@pytest.fixture
def make_client(monkeypatch: pytest.MonkeyPatch) -> Iterator[MakeClient]:
    made: list[Studio] = []

    def make(host: str, key: str, **settings: Any) -> Studio:
        for name, value in {
            "LABEL_STUDIO_HOST": host,
            "LABEL_STUDIO_API_KEY": key,
            "REQUEST_TIMEOUT": "2",
            "ALLOW_PRIVATE_ADDRESSES": "true",  # of what stands for other hosts here
            **settings,
        }.items():
            monkeypatch.setenv(name, value)
        made.append(Studio(Settings()))
        return made[-1]

    yield make
    for client in made:
        client.close()


@pytest.fixture
def client(studio: StandIn, make_client: MakeClient) -> Studio:
    return make_client(studio.address, studio.key)


def test_threads_that_ask_first_at_once_open_one_client_between_them(client: Studio, studio: StandIn) -> None:
    address = studio.task(3, studio.add_task(3, b"x"))["data"]["csv_url"]
    together = threading.Barrier(8)

    def ask(number: int) -> tuple[Any, Any]:
        together.wait(20.0)
        assert client.fetch(address, None) == b"x"
        assert client.project(3).id == 3
        return client._downloads, client._client

    with ThreadPoolExecutor(8) as pool:
        opened = list(pool.map(ask, range(8)))
    assert len({id(downloads) for downloads, _ in opened}) == 1
    assert len({id(asked) for _, asked in opened}) == 1


def test_annotated_tasks_come_page_by_page(client: Studio, studio: StandIn, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("backend.label_studio._PAGE", 2)
    tasks = [studio.add_task(3, b"x", []) for _ in range(5)]
    studio.add_task(3, b"x")
    assert [task.id for task in client.annotated_tasks(3)] == tasks
    assert client.project(3).label_config == CONFIG


def test_tasks_are_listed_never_fetched_one_by_one(client: Studio, studio: StandIn) -> None:
    studio.add_task(3, b"x", [])
    list(client.annotated_tasks(3))
    assert not any(path.startswith("/api/tasks/3") for path in studio.requests)


def test_an_uploaded_recording_is_fetched_with_an_access_token(client: Studio, studio: StandIn) -> None:
    task = studio.add_task(3, b"time,one\n1,2\n")
    assert client.fetch(f"/data/upload/3/{task}.csv", task) == b"time,one\n1,2\n"


@pytest.mark.parametrize("address", ["s3://bucket/a b.csv", "gs://bucket/a.csv", "azure-blob://box/a.csv"])
def test_a_cloud_address_goes_through_label_studios_resolve_address(
    client: Studio, studio: StandIn, address: str
) -> None:
    studio.files["/tasks/12/resolve/"] = b"resolved"
    assert client.fetch(address, 12) == b"resolved"
    asked = base64.urlsafe_b64encode(address.encode()).decode()
    assert studio.requests[-1] == f"/tasks/12/resolve/?fileuri={asked}"


def test_a_local_files_address_keeps_its_query(client: Studio, studio: StandIn) -> None:
    studio.files["/data/local-files/"] = b"local"
    assert client.fetch("/data/local-files/?d=pump/1.csv", 12) == b"local"
    assert studio.requests[-1] == "/data/local-files/?d=pump/1.csv"


@pytest.mark.parametrize(
    "address",
    [
        *(
            "",
            "file:///etc/passwd",
            "/etc/../..",
            "ftp://host/a.csv",
            "a.csv",
            "//host/a.csv",
            "http://",
            "http://[bad",
        ),
        *("time,a\n0,1\n1,2\n" * 100, "data:text/csv,a", "http://\ud800/", "s3://bucket/\ud800", "/data/\ud800.csv"),
        *("http://" + "a" * 300 + "/", "http://host:99999999/", "http://a b/", "http://a\nb/", "http://\0/"),
    ],
    ids=lambda address: ascii(address[:30]),
)
def test_what_is_no_address_of_a_recording_is_refused_in_one_line(client: Studio, address: str) -> None:
    with pytest.raises(RecordingError) as refused:
        client.fetch(address, 12)
    message = str(refused.value)
    assert "\n" not in message
    assert len(message) < 500


@pytest.mark.parametrize(
    ("address", "shown"),
    [
        ("http://anna:secret@127.0.0.1:1/a.csv?sig=secret#secret", "http://127.0.0.1:1/a.csv?…"),
        ("http://anna:secret#secret@127.0.0.1/a.csv", "http://…"),
        ("http://anna:secret/secret@127.0.0.1/a.csv", "http://…"),
        ("http://anna:secret@[::1]:1/a.csv", "http://[::1]:1/a.csv"),
        ("ftp://anna:secret@host/a.csv", "ftp://host/a.csv"),
        ("//anna:secret@host/a.csv", "//host/a.csv"),
        ("/data/local-files/?d=a.csv", "/data/local-files/?d=a.csv"),
    ],
)
def test_an_address_that_fails_is_named_without_password_and_signature(
    client: Studio, address: str, shown: str
) -> None:
    with pytest.raises(RecordingError) as refused:
        client.fetch(address, 12)
    assert shown in str(refused.value)
    assert "secret" not in str(refused.value)


def test_a_missing_file_names_address_status_and_what_to_do(client: Studio) -> None:
    with pytest.raises(RecordingError, match=r"/data/upload/3/none\.csv .* answered 404; check that the file exists"):
        client.fetch("/data/upload/3/none.csv", 12)


def test_a_recording_over_the_limit_is_not_read_to_its_end(studio: StandIn, make_client: MakeClient) -> None:
    studio.files["/data/upload/3/big.csv"] = b"1" * 2_000_000
    client = make_client(studio.address, studio.key, MAX_RECORDING_MB="1")
    with pytest.raises(RecordingError, match="larger than 1 MB; raise MAX_RECORDING_MB"):
        client.fetch("/data/upload/3/big.csv", 12)


@pytest.mark.parametrize(
    ("status", "passing", "advice"),
    [
        (401, False, "LABEL_STUDIO_API_KEY"),
        (403, False, "access to the project"),
        (404, False, "LABEL_STUDIO_HOST"),
        (429, True, "TRAININGS_AT_ONCE"),
        (500, True, "try again later"),
        (503, True, "TRAININGS_AT_ONCE"),
    ],
)
def test_a_refusal_says_which_setting_to_change_and_whether_it_may_pass(
    client: Studio, studio: StandIn, status: int, passing: bool, advice: str
) -> None:
    studio.failing_with = status
    with pytest.raises(LabelStudioError) as error:
        client.project(3)
    assert error.value.passing is passing
    assert str(status) in str(error.value)
    assert advice in str(error.value)


@pytest.mark.parametrize(
    ("header", "seconds"),
    [("7", 7), (" 120 ", 120), ("soon", 0), ("-5", 0), ("", 0), ("Thu, 01 Jan 1970 00:00:30 GMT", 0), ("in", 3600)],
)
@pytest.mark.parametrize("asked", ["a project", "a recording"])
def test_a_busy_label_studio_says_how_long_to_wait(
    client: Studio, studio: StandIn, asked: str, header: str, seconds: float
) -> None:
    task = studio.add_task(3, b"time,one\n1,2\n")
    assert client.fetch(f"/data/upload/3/{task}.csv", task)
    studio.failing_with, studio.retry_after = (
        429,
        formatdate(time.time() + 3600, usegmt=True) if header == "in" else header,
    )
    with pytest.raises(LabelStudioError) as error:
        client.project(3) if asked == "a project" else client.fetch(f"/data/upload/3/{task}.csv", task)
    assert error.value.passing
    assert error.value.retry_after == pytest.approx(seconds, abs=3)


def test_a_label_studio_that_does_not_answer_in_time_names_the_setting(client: Studio, studio: StandIn) -> None:
    studio.delay = 3
    with pytest.raises(LabelStudioError, match=r"within 2 s .* raise REQUEST_TIMEOUT") as error:
        list(client.annotated_tasks(3))
    assert error.value.passing


def test_a_label_studio_that_is_away_may_come_back(make_client: MakeClient) -> None:
    client = make_client("http://127.0.0.1:9", "a-legacy-token")
    with pytest.raises(LabelStudioError, match="check LABEL_STUDIO_HOST") as error:
        client.project(3)
    assert error.value.passing


@pytest.mark.parametrize("key", ["", "   "])
def test_a_missing_key_is_named(make_client: MakeClient, studio: StandIn, key: str) -> None:
    with pytest.raises(LabelStudioError, match="LABEL_STUDIO_API_KEY is not set"):
        make_client(studio.address, key).project(3)

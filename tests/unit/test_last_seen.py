"""What one process notes of a project, the others see; where it cannot be noted, nothing else suffers."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import pytest

from backend.last_seen import FilePad, LastSeen, RedisPad
from tests.redis_server import PASSWORD, RedisServer, needs_redis

AnotherProcess = Callable[[], LastSeen]


@pytest.fixture(params=["local", pytest.param("redis", marks=needs_redis)])
def another(request: pytest.FixtureRequest, tmp_path: Path) -> AnotherProcess:
    """The notes as one more process opens them: on this machine, or in a Redis."""
    if request.param == "local":
        return lambda: LastSeen(FilePad(tmp_path))
    server: RedisServer = request.getfixturevalue("redis")
    server.clear()
    return lambda: LastSeen(RedisPad(server.url))


@pytest.fixture
def notes(another: AnotherProcess) -> LastSeen:
    return another()


def told(notes: LastSeen, project: int) -> list[tuple[int | None, str]]:
    return [(failure["task"], failure["reason"]) for failure in notes.failures(project)]


def test_of_a_new_project_nothing_is_known(notes: LastSeen) -> None:
    assert notes.label_config(7) is None
    assert notes.failures(7) == []


def test_the_last_label_config_of_each_project_is_known_to_every_process(
    notes: LastSeen, another: AnotherProcess
) -> None:
    notes.note_label_config(7, "<View>old</View>")
    notes.note_label_config(7, "<View>new</View>")
    notes.note_label_config(8, "<View/>")
    process = another()
    assert (process.label_config(7), process.label_config(8)) == ("<View>new</View>", "<View/>")


def test_failures_are_told_by_project_the_newest_first(notes: LastSeen, another: AnotherProcess) -> None:
    notes.note_tasks(7, [(1, "it is empty"), (2, None), (None, "it has no id")])
    notes.note_tasks(8, [(1, "it is gone")])
    notes.note_tasks(7, [(3, "it hangs")])
    assert told(another(), 7) == [(3, "it hangs"), (None, "it has no id"), (1, "it is empty")]


def test_a_task_is_told_once_with_its_last_reason(notes: LastSeen) -> None:
    notes.note_tasks(7, [(1, "it is empty"), (2, "it is gone")])
    notes.note_tasks(7, [(1, "it hangs")])
    assert told(notes, 7) == [(1, "it hangs"), (2, "it is gone")]


def test_a_task_that_can_be_read_again_is_no_longer_told(notes: LastSeen) -> None:
    notes.note_tasks(7, [(1, "it is empty"), (2, "it is gone")])
    notes.note_tasks(7, [(1, None)])
    assert told(notes, 7) == [(2, "it is gone")]


def test_the_last_twenty_are_kept(notes: LastSeen) -> None:
    notes.note_tasks(7, [(task, "it is empty") for task in range(500)])
    notes.note_tasks(7, [(500, "it is empty")])
    assert [task for task, _ in told(notes, 7)] == list(range(500, 480, -1))


def test_text_with_half_a_character_is_kept_without_it(notes: LastSeen) -> None:
    notes.note_label_config(7, "<View>\ud800</View>")
    notes.note_tasks(7, [(1, "no column '\udfff'")])
    assert notes.label_config(7) == "<View>?</View>"
    assert told(notes, 7) == [(1, "no column '?'")]


@pytest.mark.parametrize("obstacle", ["a file where the folder should be", "a folder in its place", "another file"])
def test_where_it_cannot_be_written_the_log_says_so_once(
    tmp_path: Path, obstacle: str, caplog: pytest.LogCaptureFixture
) -> None:
    folder = tmp_path / "models"
    if obstacle == "a file where the folder should be":
        folder.write_text("x")
    else:
        folder.mkdir()
        place = folder / "seen.sqlite3"
        place.mkdir() if obstacle == "a folder in its place" else place.write_bytes(b"no database" * 100)
    notes = LastSeen(FilePad(folder))
    for _ in range(3):
        notes.note_label_config(7, "<View/>")
        notes.note_tasks(7, [(1, "it is empty")])
    assert (notes.label_config(7), notes.failures(7)) == (None, [])
    (record,) = caplog.records
    assert "seen.sqlite3 cannot be used" in record.message


def test_where_the_redis_is_away_the_log_says_so_once_without_the_password(caplog: pytest.LogCaptureFixture) -> None:
    notes = LastSeen(RedisPad(f"redis://:{PASSWORD}@127.0.0.1:9/0"))
    for _ in range(3):
        notes.note_label_config(7, "<View/>")
    assert notes.label_config(7) is None
    (record,) = caplog.records
    assert "Redis cannot be used" in record.message
    assert PASSWORD not in record.message


def test_what_lies_on_a_read_only_disk_is_still_told(tmp_path: Path) -> None:
    LastSeen(FilePad(tmp_path)).note_tasks(7, [(1, "it is empty")])
    (tmp_path / "seen.sqlite3").chmod(0o444)  # root may write all the same: then nothing is lost either
    notes = LastSeen(FilePad(tmp_path))
    notes.note_tasks(7, [(2, "it is gone")])
    assert (1, "it is empty") in told(notes, 7)

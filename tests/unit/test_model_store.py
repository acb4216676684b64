from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner
from safetensors import SafetensorError

from backend import model_store
from backend.cli import main
from backend.model_store import ModelStore, VersionError
from backend.settings import current_settings
from segmenter.model import Model
from tests.unit.fitted import untrained

CONFIG = "<View/>"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path, keep_versions=3)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model((untrained(),))


@contextmanager
def fresh_settings() -> Iterator[None]:
    """The settings are read anew, before and after."""
    current_settings.cache_clear()
    yield
    current_settings.cache_clear()


def test_a_project_without_a_model_is_untrained(store: ModelStore) -> None:
    assert (store.current_version(7), store.load(7), store.versions(7)) == (None, None, [])


def test_a_published_model_serves_in_every_process(store: ModelStore, model: Model, tmp_path: Path) -> None:
    version = store.publish(7, model, CONFIG)
    for reader in (store, ModelStore(tmp_path)):
        stored = reader.load(7)
        assert stored is not None
        assert stored.version == version == reader.current_version(7)
    assert (tmp_path / "projects" / "7" / version / "label_config.xml").read_text() == CONFIG


def test_versions_are_numbered_and_never_repeat(store: ModelStore, model: Model) -> None:
    versions = [store.publish(7, model, CONFIG) for _ in range(3)]
    assert [version.split("-")[0] for version in versions] == ["v1", "v2", "v3"]


def test_a_model_that_is_loaded_is_not_read_again_until_another_is_published(store: ModelStore, model: Model) -> None:
    store.publish(7, model, CONFIG)
    first = store.load(7)
    assert store.load(7) is first
    store.publish(7, model, CONFIG)
    assert store.load(7) is not first


def test_only_the_newest_versions_are_kept(store: ModelStore, model: Model) -> None:
    versions = [store.publish(7, model, CONFIG) for _ in range(12)]
    assert store.versions(7) == versions[-3:]  # by number: v9 comes before v10
    assert store.current_version(7) == versions[-1]


def test_projects_do_not_see_each_other(store: ModelStore, model: Model) -> None:
    store.publish(7, model, CONFIG)
    assert store.load(8) is None


def test_a_failed_publish_changes_nothing(
    store: ModelStore, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = store.publish(7, model, CONFIG)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(os, "fsync", full)
    with pytest.raises(OSError, match="No space"):
        store.publish(7, model, CONFIG)
    assert store.current_version(7) == version
    assert sorted(path.name for path in (tmp_path / "projects" / "7").iterdir()) == ["current", version]


def test_what_a_killed_trainer_left_half_written_never_serves_and_is_removed(
    store: ModelStore, model: Model, tmp_path: Path
) -> None:
    folder = tmp_path / "projects" / "7"
    (folder / ".v1-20200101T000000").mkdir(parents=True)
    (folder / ".v1-20200101T000000" / "model.json").write_text("{")
    os.utime(folder / ".v1-20200101T000000", (0, 0))
    assert store.load(7) is None
    version = store.publish(7, model, CONFIG)
    assert sorted(path.name for path in folder.iterdir()) == ["current", version]


def test_two_machines_that_publish_at_the_same_time_harm_neither_version(
    model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A trainer whose claim has run out does not know yet that another has taken over."""
    one, other, between = ModelStore(tmp_path), ModelStore(tmp_path), []
    save = Model.save

    def publish_meanwhile(model: Model, folder: Path) -> None:
        save(model, folder)
        if not between:
            between.append("")
            between[0] = other.publish(7, model, CONFIG)

    monkeypatch.setattr(Model, "save", publish_meanwhile)
    try:
        mine = one.publish(7, model, CONFIG)
    except OSError:  # of one number and second: the first to be whole stays
        mine = between[0]
    for version in {mine, between[0]}:
        other.use(7, version)  # raises ModelError for one that is not whole
    assert sorted(other.versions(7)) == sorted({mine, between[0]})
    assert not list((tmp_path / "projects" / "7").glob(".v*"))


def test_loaded_models_stay_bounded_with_many_projects(store: ModelStore, model: Model) -> None:
    for project in range(1, 101):
        store.publish(project, model, CONFIG)
    for project in range(1, 101):
        assert store.load(project) is not None
    assert sorted(store._loaded) == list(range(101 - model_store._LOADED_MODELS, 101))
    assert store.load(100) is store.load(100)
    assert store.load(1) is not None


def test_a_full_disk_is_an_os_error_whoever_finds_it(
    store: ModelStore, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*_: object) -> None:
        raise SafetensorError("I/O error: No space left on device (os error 28)")

    monkeypatch.setattr(Model, "save", full)
    with pytest.raises(OSError, match="No space left"):
        store.publish(7, model, CONFIG)
    assert list((tmp_path / "projects" / "7").iterdir()) == []


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "report.json"])
@pytest.mark.parametrize("damage", ["truncated", "removed", "rubbish", "one bit turned"])
def test_a_damaged_version_is_set_aside_not_deleted(
    store: ModelStore, model: Model, tmp_path: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = store.publish(7, model, CONFIG), store.publish(7, model, CONFIG)
    path = tmp_path / "projects" / "7" / second / name
    if damage == "removed":
        path.unlink()
    else:
        whole = path.read_bytes()
        turned = whole[:-3] + bytes([whole[-3] ^ 1]) + whole[-2:]
        path.write_bytes({"truncated": whole[:-20], "rubbish": b"rubbish", "one bit turned": turned}[damage])
    reader = ModelStore(tmp_path)
    with caplog.at_level(logging.ERROR):
        stored = reader.load(7)
    assert stored is not None
    assert stored.version == reader.current_version(7) == first
    assert (tmp_path / "projects" / "7" / f"{second}.damaged").is_dir()
    assert second in caplog.text
    assert reader.damaged(7) == [second]
    assert reader.publish(7, model, CONFIG).startswith("v3-")


def test_a_project_whose_only_version_is_damaged_is_untrained(store: ModelStore, model: Model, tmp_path: Path) -> None:
    version = store.publish(7, model, CONFIG)
    (tmp_path / "projects" / "7" / version / "model.json").write_text("{}")
    reader = ModelStore(tmp_path)
    assert reader.load(7) is None
    assert reader.current_version(7) is None


def test_a_model_that_cannot_be_opened_for_a_while_is_not_taken_for_damaged(
    store: ModelStore, model: Model, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    version = store.publish(7, model, CONFIG)
    reader = ModelStore(tmp_path)

    read_text = Path.read_text

    def too_many(path: Path, *arguments: str) -> str:
        if path.name == "model.json":
            raise OSError(24, "Too many open files")
        return read_text(path, *arguments)

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", too_many)
        with pytest.raises(OSError, match="Too many open files"):
            reader.load(7)
    stored = reader.load(7)
    assert stored is not None
    assert stored.version == version


def test_a_version_an_operator_chose_serves_until_the_newest_may_again(store: ModelStore, model: Model) -> None:
    first, _ = store.publish(7, model, CONFIG), store.publish(7, model, CONFIG)
    store.use(7, first)
    newest = [store.publish(7, model, CONFIG) for _ in range(4)][-1]
    assert (store.current_version(7), store.is_pinned(7)) == (first, True)
    stored = store.load(7)
    assert stored is not None
    assert stored.version == first  # kept, although it is older than the last three
    assert store.unpin(7) == newest
    assert (store.current_version(7), store.is_pinned(7)) == (newest, False)


def test_a_version_that_serves_cannot_be_deleted_others_can(store: ModelStore, model: Model) -> None:
    first, second = store.publish(7, model, CONFIG), store.publish(7, model, CONFIG)
    with pytest.raises(VersionError, match=f"{second} of project 7 serves"):
        store.delete(7, second)
    store.delete(7, first)
    assert store.versions(7) == [second]


@pytest.mark.parametrize("name", ["v9-20200101T000000", "current", "..", "../8", ""])
def test_only_versions_that_are_there_can_be_named(store: ModelStore, model: Model, name: str) -> None:
    version = store.publish(7, model, CONFIG)
    for action in (store.use, store.delete):
        with pytest.raises(VersionError, match=f"it has {version}"):
            action(7, name)


def test_the_commands_of_an_operator(store: ModelStore, model: Model, tmp_path: Path) -> None:
    first, second = store.publish(7, model, CONFIG), store.publish(7, model, CONFIG)
    run = functools.partial(CliRunner().invoke, main, env={"MODEL_DIR": str(tmp_path)})
    with fresh_settings():
        assert first in (listed := run(["models", "list"]).output)
        assert f"{second}  1           -         -          *" in listed
        assert run(["models", "use", "--project", "7", first]).exit_code == 0
        assert "* pinned" in run(["models", "list", "--project", "7"]).output
        refused = run(["models", "delete", "--project", "7", first])
        assert (refused.exit_code, "serves" in refused.output) == (1, True)
        assert run(["models", "use", "--project", "7", "newest"]).exit_code == 0
        assert run(["models", "delete", "--project", "7", first]).exit_code == 0
        assert json.loads(run(["models", "show", "--project", "7", second]).output)["label_config"] == CONFIG
        assert "has no version" in run(["models", "show", "--project", "7", "v1-20200101T000000"]).output
    assert store.versions(7) == [second]

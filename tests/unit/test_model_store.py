from __future__ import annotations

import logging
import os
from pathlib import Path

import pytest

from backend.model_store import ModelStore
from segmenter.model import Model
from tests.unit.fitted import untrained

CONFIG = "<View/>"


@pytest.fixture
def store(tmp_path: Path) -> ModelStore:
    return ModelStore(tmp_path, keep_versions=3)


@pytest.fixture(scope="module")
def model() -> Model:
    return Model((untrained(),))


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
    assert store.load(7) is None
    version = store.publish(7, model, CONFIG)
    assert sorted(path.name for path in folder.iterdir()) == ["current", version]


@pytest.mark.parametrize("name", ["model.safetensors", "model.json", "report.json"])
@pytest.mark.parametrize("damage", ["truncated", "removed", "rubbish"])
def test_a_damaged_version_is_set_aside_not_deleted(
    store: ModelStore, model: Model, tmp_path: Path, name: str, damage: str, caplog: pytest.LogCaptureFixture
) -> None:
    first, second = store.publish(7, model, CONFIG), store.publish(7, model, CONFIG)
    path = tmp_path / "projects" / "7" / second / name
    if damage == "removed":
        path.unlink()
    else:
        path.write_bytes(path.read_bytes()[:-20] if damage == "truncated" else b"rubbish")
    reader = ModelStore(tmp_path)
    with caplog.at_level(logging.ERROR):
        stored = reader.load(7)
    assert stored is not None
    assert stored.version == reader.current_version(7) == first
    assert (tmp_path / "projects" / "7" / f"{second}.damaged").is_dir()
    assert second in caplog.text
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

    def too_many(*_: object, **__: object) -> str:
        raise OSError(24, "Too many open files")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "read_text", lambda path, *_: too_many() if path.name == "model.json" else version)
        with pytest.raises(OSError, match="Too many open files"):
            reader.load(7)
    stored = reader.load(7)
    assert stored is not None
    assert stored.version == version

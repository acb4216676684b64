"""Loading a model from a folder that somebody else made can fail, with the store's own error, and nothing else."""

from __future__ import annotations

import json
import logging
import os
import pickle
import struct
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import torch
from safetensors.torch import load_file, save_file

from backend.charts_store import read_charts
from backend.model_store import ModelStore
from segmenter.errors import ModelError
from segmenter.model import Model
from segmenter.prediction import suggest
from tests.unit.fitted import LABELING, recording, untrained

PROJECT = 7


class Exploit:
    """Leaves a trace where a pickle of it is loaded."""

    def __init__(self, trace: Path) -> None:
        self.trace = trace

    def __reduce__(self) -> Any:
        return os.mkdir, (str(self.trace),)


def header(text: bytes, length: int | None = None) -> bytes:
    return struct.pack("<Q", len(text) if length is None else length) + text


def weights(**changes: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        tensors = load_file(folder / "model.safetensors")
        tensors = {name: tensor for name, tensor in tensors.items() if name not in changes}
        save_file(tensors | {name: tensor for name, tensor in changes.items() if tensor is not None},
                  folder / "model.safetensors")  # fmt: skip

    return change


def content(name: str, data: bytes | str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(data if isinstance(data, bytes) else data.encode())


def described(*path: Any, value: Any) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        place = whole = json.loads((folder / "model.json").read_text())
        for step in path[:-1]:
            place = place[step]
        place[path[-1]] = value
        (folder / "model.json").write_text(json.dumps(whole))

    return change


def replaced_by(name: str, make: Callable[[Path], Any]) -> Callable[[Path], None]:
    def change(folder: Path) -> None:
        (folder / name).unlink()
        make(folder / name)

    return change


def pickled(name: str) -> Callable[[Path], Any]:
    return lambda folder: (folder / name).write_bytes(pickle.dumps(Exploit(folder.parent / "trace")))


HEAD = "0.network.0.head.weight"
FIRST = ("segmenters", 0)


def complex_weights(folder: Path) -> None:
    """Written by hand, since safetensors 0.4 knows no such type."""
    weights(**{HEAD: torch.ones(3, 16, dtype=torch.float64)})(folder)
    file, entry = folder / "model.safetensors", f'"{HEAD}":{{"dtype":"F64"'.encode()
    assert entry in file.read_bytes()
    file.write_bytes(file.read_bytes().replace(entry, entry.replace(b"F64", b"C64")))


FOLDERS: dict[str, Callable[[Path], Any]] = {
    "a pickle in place of weights": pickled("model.safetensors"),
    "torch's own format": lambda f: torch.save(Exploit(f.parent / "trace"), f / "model.safetensors"),
    "a pickle in place of the description": pickled("model.json"),
    "a link to another file": replaced_by("model.json", lambda path: path.symlink_to("/etc/passwd")),
    "a link to a file without end": replaced_by("model.safetensors", lambda path: path.symlink_to("/dev/zero")),
    "a pipe": replaced_by("report.json", os.mkfifo),
    "a pipe beside it": lambda f: os.mkfifo(f / "more"),
    "a folder": replaced_by("model.json", Path.mkdir),
    "a folder beside it": lambda f: (f / "more").mkdir(),
    "a file with holes": lambda f: os.truncate(f / "model.safetensors", 2**40),
    "a header longer than the file": content("model.safetensors", header(b"{}", 2**40)),
    "a header that fills the memory": lambda f: content("model.safetensors", header(
        b'{"a":{"dtype":"F32","shape":[' + b"1," * 10_000_000 + b'1],"data_offsets":[0,4]}}'))(f),
    "huge shapes": content("model.safetensors", header(
        b'{"0.scaling.center":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,64]}}') + bytes(64)),
    "shapes that do not fit": content("model.safetensors", header(
        b'{"a":{"dtype":"F32","shape":[2],"data_offsets":[0,800]}}') + bytes(800)),
    "deep JSON": content("model.json", "[" * 100_000),
    "a number without end": content("model.json", '{"format":' + "9" * 100_000 + "}"),
    "weights that are no numbers": weights(**{HEAD: torch.full((3, 16), torch.nan)}),
    "weights of another type": complex_weights,
    "weights that are whole numbers of another shape": weights(**{HEAD: torch.ones(5, dtype=torch.int8)}),
    "a weight too few": weights(**{HEAD: None}),
    "a weight too many": weights(**{"0.network.0.more": torch.ones(1)}),
    "a scaling of no numbers": weights(**{"0.scaling.scale": torch.tensor([torch.inf, 1.0])}),
    "a network larger than any": described(*FIRST, "network", "hidden", value=2**31),
    "states without end": described(*FIRST, "states", value=[{"labels": [], "instant": False}] * 5000),
    "a path as a label": described(*FIRST, "states", 0, "labels", value=["../../etc/passwd"]),
    "a path as a format": described("format", value="../../etc/passwd"),
    "text for a number": described(*FIRST, "temperature", value="__import__('os').mkdir('x')"),
    "a report that is none": content("report.json", '"text"'),
}  # fmt: skip


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    Model((untrained(),)).save(tmp_path / "model")
    return tmp_path / "model"


@pytest.mark.parametrize("change", FOLDERS.values(), ids=FOLDERS)
def test_a_foreign_folder_is_refused_with_one_kind_of_error(folder: Path, change: Callable[[Path], Any]) -> None:
    change(folder)
    tracemalloc.start()
    try:
        with pytest.raises(ModelError, match=r"train again|use another version"):
            Model.load(folder)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert not (folder.parent / "trace").exists()


CHECKSUMS = {"checksums that are no text": content("SHA256SUMS", b"\xff\xfe\x00")}


@pytest.mark.parametrize("change", (FOLDERS | CHECKSUMS).values(), ids=FOLDERS | CHECKSUMS)
def test_in_the_store_it_is_set_aside_and_the_version_before_serves(
    tmp_path: Path, change: Callable[[Path], Any], caplog: pytest.LogCaptureFixture
) -> None:
    store = ModelStore(tmp_path)
    first, second = (store.publish(PROJECT, Model((untrained(),)), "<View/>") for _ in range(2))
    version = store.version_folder(PROJECT, second)
    (version / "SHA256SUMS").unlink()  # whoever can write the files can write these
    change(version)
    with caplog.at_level(logging.ERROR):
        stored = ModelStore(tmp_path).load(PROJECT)
    assert stored is not None
    assert stored.version == store.current_version(PROJECT) == first
    assert store.damaged(PROJECT) == [second]
    assert not (version.parent / "trace").exists()


def test_a_version_that_is_a_link_out_of_the_store_is_not_loaded(tmp_path: Path, folder: Path) -> None:
    store = ModelStore(tmp_path)
    version = "v1-20260101T000000"
    (tmp_path / "projects" / "7").mkdir(parents=True)
    (tmp_path / "projects" / "7" / version).symlink_to(folder)
    with pytest.raises(ModelError, match="is a link"):
        store.use(PROJECT, version)


@pytest.mark.parametrize("current", [b"../../../etc", b"/etc/passwd", b"\xff\xfe", b"v1-20260101T000000/../x", b""])
def test_what_names_the_version_that_serves_leads_nowhere_else(tmp_path: Path, current: bytes) -> None:
    (tmp_path / "projects" / "7").mkdir(parents=True)
    (tmp_path / "projects" / "7" / "current").write_bytes(current)
    assert ModelStore(tmp_path).load(PROJECT) is None


@pytest.mark.parametrize("name", ["/etc/passwd", "../secret", "../../7/current", "link.svg", 7, None])
def test_a_list_of_charts_names_no_file_outside(tmp_path: Path, name: Any) -> None:
    store = ModelStore(tmp_path)
    version = store.publish(PROJECT, Model((untrained(),)), "<View/>")
    charts = store.charts_folder(PROJECT, version)
    charts.mkdir(parents=True)
    (charts.parent / "secret").write_text("secret")
    (charts / "link.svg").symlink_to(charts.parent / "secret")
    entry = {"segmenter": 0, "kind": "training", "file": name, "told": {}}
    (charts / "charts.json").write_text(json.dumps([entry]))
    with pytest.raises(ModelError):
        read_charts(store, PROJECT, version)


@pytest.mark.parametrize(
    "change",
    [
        described(*FIRST, "widths", value=[2**31 - 1, 2**31]),
        described(*FIRST, "decoding", "instant_radius", value=2**31),
        described(*FIRST, "decoding", "switch_cost", value=1e4),
        described(*FIRST, "temperature", value=1e-3),
        weights(**{HEAD: torch.full((3, 16), 3e38)}),
    ],
    ids=["endless windows", "an endless radius", "a huge cost", "a tiny temperature", "huge weights"],
)
def test_numbers_at_the_edge_of_what_is_taken_suggest_in_bounded_memory(
    folder: Path, change: Callable[[Path], Any]
) -> None:
    change(folder)
    try:
        (segmenter,) = Model.load(folder).segmenters
    except ModelError:
        return
    tracemalloc.start()
    try:
        suggestion = suggest(segmenter, recording(500), LABELING)
        assert tracemalloc.get_traced_memory()[1] < 50_000_000
    finally:
        tracemalloc.stop()
    assert 0.0 <= suggestion.score <= 1.0

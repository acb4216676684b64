"""What a training leaves behind, and its place on disk: safetensors and JSON, nothing that could run code."""

from __future__ import annotations

import json
import math
import stat
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import torch
from safetensors import SafetensorError
from safetensors.torch import load_file, save_file

from segmenter.decoding import Decoding
from segmenter.durations import PLACES, Duration
from segmenter.errors import ModelError
from segmenter.features import VIEWS, Scaling, View, count_ranged
from segmenter.labeling import Labeling
from segmenter.network import NetworkShape, SegmentNetwork
from segmenter.regions import BACKGROUND, State

# Raised when a stored model would be read wrongly by older or newer code.
FORMAT = 2
WEIGHTS_FILE, DESCRIPTION_FILE, REPORT_FILE = "model.safetensors", "model.json", "report.json"
CHART_DATA_FILE = "chart_data.json"  # of no use to a model, so that `load` leaves it alone
SCALING_ARRAYS = ("center", "scale", "relative_scale", "movement_center", "movement_scale", "lowest", "highest")
# Larger than any honest model: what a foreign file asks for is not allocated.
MOST_BYTES, MOST_HEADER = 100_000_000, 1_000_000  # of a file, and of what safetensors has in front of the weights
MOST_CHANNELS, MOST_STATES, MOST_WIDTHS, MOST_UNITS, MOST_MEMBERS = 4096, 4096, 16, 1024, 16


@dataclass(frozen=True, eq=False)
class FittedSegmenter:
    """A trained segmenter of one control on one time series: everything that suggesting needs.

    channels: the names that the features were learned from, in the order of the scaling's arrays. states: what the
    network's outputs mean, states[0] is BACKGROUND. view: what the networks are shown. networks: whose probabilities
    are averaged, in evaluation mode. temperature: what logits are divided by, so that probabilities are as sure as they
    are right. report, chart_data: plain data; the latter is empty when the model was loaded.
    """

    control: str
    object: str
    channels: tuple[str, ...]
    states: tuple[State, ...]
    scaling: Scaling
    view: View
    networks: tuple[SegmentNetwork, ...]
    decoding: Decoding
    temperature: float
    report: Mapping[str, Any]
    chart_data: Mapping[str, Any] = field(default_factory=dict)

    def fits(self, labeling: Labeling) -> str | None:
        """None when it can suggest for this labeling, else the sentence that says why not."""
        present = {name.casefold() for name in labeling.channels}
        absent = [name for name in self.channels if name.casefold() not in present]
        if absent:
            return (
                f"The model was trained on the channel {absent[0]!r}, which the label config no longer has"
                f" (it has {', '.join(map(repr, labeling.channels))}): train again."
            )
        known = {label for state in self.states for label in state.labels}
        if not known & set(labeling.labels):
            return (
                f"None of the labels that the model was trained on ({', '.join(map(repr, sorted(known)))})"
                f" is in the label config any more: train again."
            )
        return None


@dataclass(frozen=True)
class Model:
    """One fitted segmenter for each control and time series of a label config."""

    segmenters: tuple[FittedSegmenter, ...]

    def save(self, folder: Path) -> None:
        """Write model.safetensors and three files of JSON into `folder`, which is made if need be."""
        folder.mkdir(parents=True, exist_ok=True)
        tensors: dict[str, torch.Tensor] = {}
        for index, segmenter in enumerate(self.segmenters):
            for name in SCALING_ARRAYS:
                tensors[f"{index}.scaling.{name}"] = torch.tensor(getattr(segmenter.scaling, name))
            for member, network in enumerate(segmenter.networks):
                for name, value in network.state_dict().items():
                    tensors[f"{index}.network.{member}.{name}"] = value.detach().cpu().contiguous().clone()
        description = {"format": FORMAT, "segmenters": [_describe(segmenter) for segmenter in self.segmenters]}
        save_file(tensors, folder / WEIGHTS_FILE)
        (folder / DESCRIPTION_FILE).write_text(json.dumps(description, indent=1, ensure_ascii=False), "utf-8")
        reports = [dict(segmenter.report) for segmenter in self.segmenters]
        (folder / REPORT_FILE).write_text(json.dumps(reports, indent=1, ensure_ascii=False, allow_nan=False), "utf-8")
        pictures = [dict(segmenter.chart_data) for segmenter in self.segmenters]
        (folder / CHART_DATA_FILE).write_text(json.dumps(pictures, ensure_ascii=False, allow_nan=False), "utf-8")

    @classmethod
    def load(cls, folder: Path) -> Model:
        """Read what `save` wrote. Raises ModelError on anything incomplete, damaged, foreign or of another format.

        An OSError that says nothing about the model itself (too many open files, no permission) passes through.
        """
        try:
            check_files(folder)
            description = json.loads((folder / DESCRIPTION_FILE).read_text("utf-8"))
            reports = json.loads((folder / REPORT_FILE).read_text("utf-8"))
            tensors = load_file(folder / WEIGHTS_FILE)
        except (FileNotFoundError, NotADirectoryError, ValueError, RecursionError, SafetensorError) as error:
            raise ModelError(
                f"The model in {folder} cannot be read ({error}): train again or use an older version."
            ) from error
        if not isinstance(description, dict) or description.get("format") != FORMAT:
            found = description.get("format") if isinstance(description, dict) else None
            raise ModelError(
                f"The model in {folder} has the format {found!r}, this program reads {FORMAT}: train again."
            )
        try:
            described = description["segmenters"]
            if len(described) != len(reports):
                raise ValueError(f"{len(described)} segmenters but {len(reports)} reports")
            return cls(
                tuple(
                    _restore(f"{index}.", part, report, tensors)
                    for index, (part, report) in enumerate(zip(described, reports, strict=True))
                )
            )
        except (KeyError, TypeError, ValueError, AttributeError, RuntimeError, OverflowError) as error:
            raise ModelError(
                f"The model in {folder} is damaged ({error}): train again or use an older version."
            ) from error


def check_files(folder: Path) -> None:
    """Raise ModelError where a folder holds more than plain files of an honest size, or OSError where it is none.

    A foreign folder may hold links to anywhere, pipes that never end, and headers that fill the memory.
    """
    for path in folder.iterdir():
        found = path.lstat()
        if not stat.S_ISREG(found.st_mode):
            raise ModelError(f"{path} is no plain file: a model has no others, use another version.")
        if found.st_size > MOST_BYTES:
            raise ModelError(f"{path} has {found.st_size:,} bytes, no model's file has: use another version.")
    if (folder / WEIGHTS_FILE).exists():
        with (folder / WEIGHTS_FILE).open("rb") as file:
            header = int.from_bytes(file.read(8), "little")
        if header > MOST_HEADER:
            raise ModelError(
                f"The header of {WEIGHTS_FILE} in {folder} is too long: train again or use another version."
            )


def _describe(segmenter: FittedSegmenter) -> dict[str, Any]:
    return {
        "control": segmenter.control,
        "object": segmenter.object,
        "channels": list(segmenter.channels),
        "states": [{"labels": list(state.labels), "instant": state.instant} for state in segmenter.states],
        "view": segmenter.view,
        "widths": list(segmenter.scaling.widths),
        "network": asdict(segmenter.networks[0].shape),
        "members": len(segmenter.networks),
        "decoding": asdict(segmenter.decoding),
        "temperature": segmenter.temperature,
    }


def _restore(
    prefix: str, part: Mapping[str, Any], report: Mapping[str, Any], tensors: Mapping[str, torch.Tensor]
) -> FittedSegmenter:
    """One segmenter from its description and tensors; raises KeyError, TypeError, ValueError or RuntimeError."""
    channels = tuple(_text(name) for name in _list(part["channels"], 1, MOST_CHANNELS))
    states = tuple(
        State(tuple(_text(label) for label in _list(state["labels"], 0, MOST_STATES)), _truth(state["instant"]))
        for state in _list(part["states"], 1, MOST_STATES)
    )
    if states[0] != BACKGROUND or len(set(states)) != len(states):
        raise ValueError("its states do not begin with background, or repeat")
    widths = tuple(_whole(width, 1, 2**31) for width in _list(part["widths"], 1, MOST_WIDTHS))
    scaling = Scaling(
        **{
            name: _array(tensors[f"{prefix}scaling.{name}"], name, len(channels), len(widths))
            for name in SCALING_ARRAYS
        },
        widths=widths,
    )
    given = dict(part["network"])
    shape = NetworkShape(**{name: _whole(size, 1, 2**31) for name, size in given.items()})
    if (shape.inputs, shape.states) != (scaling.size, len(states)):
        raise ValueError(f"its network takes {shape.inputs} features to {shape.states} states, not as described")
    if max(shape.stem, shape.hidden) > MOST_UNITS or shape.stride > 64:
        raise ValueError("its network is larger than any this program makes")
    networks = tuple(
        _network(shape, f"{prefix}network.{member}.", tensors)
        for member in range(_whole(part["members"], 1, MOST_MEMBERS))
    )
    return FittedSegmenter(
        control=_text(part["control"]),
        object=_text(part["object"]),
        channels=channels,
        states=states,
        scaling=scaling,
        view=_view(part["view"]),
        networks=networks,
        decoding=_decoding(part["decoding"], len(states)),
        temperature=_number(part["temperature"], 1e-3, 1e3),
        report=dict(report),
    )


def _decoding(given: Mapping[str, Any], states: int) -> Decoding:
    """A version from before durations has none, and decodes as it did."""
    durations = tuple(
        Duration(
            _whole(usual["state"], 0, states - 1),
            PLACES[PLACES.index(usual["place"])],
            _number(usual["middle"], -1e3, 1e3),
            _number(usual["spread"], 1e-6, 1e3),
        )
        for usual in _list(given.get("durations", []), 0, len(PLACES) * states)
    )
    return Decoding(
        _number(given["switch_cost"], 0.0, 1e4),
        _whole(given["instant_radius"], 0, 2**31),
        durations,
        _number(given.get("duration_weight", 0.0), 0.0, 1e4),
        _text(given.get("time_unit", "rows")),
    )


def _network(shape: NetworkShape, prefix: str, tensors: Mapping[str, torch.Tensor]) -> SegmentNetwork:
    weights = {name[len(prefix) :]: value for name, value in tensors.items() if name.startswith(prefix)}
    for name, value in weights.items():
        if not torch.isfinite(value).all():
            raise ValueError(f"its weights {name} are not finite")
    network = SegmentNetwork(shape)
    network.load_state_dict(weights)
    return network


def _array(tensor: torch.Tensor, name: str, channels: int, widths: int) -> np.ndarray:
    expected: tuple[int, ...] = (channels,)
    if name.startswith("movement"):
        expected = (widths + 1, channels)
    elif name in ("lowest", "highest"):
        expected = (count_ranged(channels, widths),)
    array: np.ndarray = tensor.numpy().astype(np.float64)
    if array.shape != expected or not np.isfinite(array).all():
        raise ValueError(f"its {name} has the shape {array.shape}, expected {expected}, all finite")
    if name.endswith("scale") and not (array > 0).all():
        raise ValueError(f"its {name} is not positive")
    return array


def _list(value: object, least: int, most: int) -> list[Any]:
    if not isinstance(value, list) or not least <= len(value) <= most:
        raise ValueError(f"found {type(value).__name__}, expected a list of {least} to {most} entries")
    return value


def _text(value: object) -> str:
    if not isinstance(value, str):
        raise ValueError(f"found {value!r}, expected text")
    return value


def _view(value: object) -> View:
    for view in VIEWS:
        if value == view:
            return view
    raise ValueError(f"found {value!r}, expected one of {', '.join(VIEWS)}")


def _truth(value: object) -> bool:
    if not isinstance(value, bool):
        raise ValueError(f"found {value!r}, expected true or false")
    return value


def _whole(value: object, least: int, most: int) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or not least <= value <= most:
        raise ValueError(f"found {value!r}, expected a whole number from {least} to {most}")
    return value


def _number(value: object, least: float, most: float) -> float:
    if not isinstance(value, int | float) or not math.isfinite(value) or not least <= value <= most:
        raise ValueError(f"found {value!r}, expected a number from {least} to {most}")
    return float(value)

"""The label config, read once: what is to be labelled, on which recording, by which channels and time axis."""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import islice
from typing import Any, Literal, NoReturn

from segmenter.d3patterns import finest_step
from segmenter.errors import LabelConfigError, NotXml, RecordingError
from segmenter.limits import LONGEST_CONFIG, USUAL, Limits

# The editor's names for separators; of any other text longer than one character it takes the first.
_SEPARATOR_NAMES = {"tab": "\t", "\\t": "\t", "space": " ", "auto": "auto", "comma": ",", "dot": "."}
_VARIABLE = re.compile(r"\$[\w\[\].{}]+", re.ASCII)
_UNDEFINED_KEY = "$undefined$"  # where Label Studio keeps a file that was uploaded before there was a label config


@dataclass(frozen=True)
class Labeling:
    """One `<TimeSeriesLabels>` control on one `<TimeSeries>` object: the unit that is learned and suggested.

    A config with several controls or several objects gives several of them, in document order.
    """

    control: str  # the control's name: `from_name` of a result entry
    object: str  # the time series' name: `to_name` of a result entry
    labels: tuple[str, ...]  # as results store them: the alias where a label has one, else its value
    channels: tuple[str, ...]  # `column` of each <Channel>, as written, each once, in document order
    value_key: str  # what the time series' `value` names in the task's data, without "$"; "" is the whole data
    value_type: Literal["url", "json"] = "url"
    separator: str = ","  # one character, or "auto"
    time_column: str | None = None  # as written; None: the axis is the row index
    time_format: str | None = None  # d3 pattern; None: plain numbers
    multiple: bool = False  # choice="multiple": a region may carry several labels
    synonyms: tuple[tuple[str, str], ...] = ()  # (value, alias) of labels that have an alias

    def stored_label(self, name: str) -> str | None:
        """The name under which results store `name` (a label's value or alias); None for a label not in the config."""
        if name in self.labels:
            return name
        return next((alias for value, alias in self.synonyms if value == name), None)

    def task_value(self, data: Mapping[str, Any]) -> Any:
        """What a task's data holds for this time series: a url, JSON text or an object.

        Raises RecordingError if it holds nothing, or something else.
        """
        if not self.value_key:
            return data
        found = _look_up(data, self.value_key)
        if found is None and "$" in self.value_key:
            found = _VARIABLE.sub(lambda match: str(_look_up(data, match[0][1:]) or ""), self.value_key)
        if found is None:
            found = data.get(_UNDEFINED_KEY)
        if found is None and ("://" in self.value_key or self.value_key.startswith("/")):
            return self.value_key  # the editor takes a value without "$" as it stands
        where = f"the task's data, of which the time series {self.object!r} is to show {self.value_key!r}"
        if found is None or found == "":
            has = ", ".join([ascii(key)[:40] for key in islice(data, 8)] + ["…"] * (len(data) > 8)) or "nothing"
            raise RecordingError(f"{where}, has only {has}: mend the task's data, or the value of the time series")
        if not isinstance(found, str | Mapping):
            kind = type(found).__name__
            raise RecordingError(
                f"{where}, holds a {kind} there: give a url, or with valueType json {{column: [values]}}"
            )
        return found


def read_label_config(xml: str, limits: Limits = USUAL) -> tuple[Labeling, ...]:
    """Every pair of a time series and a control on it, in document order; () where the config has none.

    Controls that point to nothing or to something other than a time series, and controls without a `<Label>` of their
    own, are left out. A time series of a pair that has no `<Channel>` is refused: the editor would draw nothing, and
    which of the file's columns it means cannot be guessed.

    Raises NotXml when the text is not XML or holds entities, LabelConfigError when a time series contradicts itself, or
    where there is more than the limits allow.
    """
    if len(xml) > LONGEST_CONFIG:
        raise LabelConfigError(
            f"the label config has {len(xml):,} characters, at most {LONGEST_CONFIG:,} are read: make it shorter"
        )
    elements = list(_walk(_parse(xml)))
    series = {_attributes(element).get("name", ""): element for element in elements if _tag(element) == "timeseries"}
    labelings = []
    for control in elements:
        attributes = _attributes(control)
        if _tag(control) == "timeserieslabels" and attributes.get("name") and any(_labels(control)):
            for target in dict.fromkeys(part.strip() for part in attributes.get("toname", "").split(",")):
                if target and target in series:
                    labelings.append(_labeling(control, series[target]))
                    _check_size(labelings, limits)
    return tuple(labelings)


def _check_size(labelings: Sequence[Labeling], limits: Limits) -> None:
    channels = len(labelings[-1].channels)
    if channels > limits.channels:
        raise LabelConfigError(
            f"the time series {labelings[-1].object!r} has {channels:,} channels, at most {limits.channels:,} are read:"
            " name fewer, or raise MAX_CHANNELS"
        )
    if sum(len(labeling.labels) for labeling in labelings) > limits.labels:
        raise LabelConfigError(
            f"the label config has more than {limits.labels:,} labels (those of a control once for each time series):"
            " make them fewer, or raise MAX_LABELS"
        )


class _NoDoctype(ET.TreeBuilder):
    """Refuses a document type before any entity in it is read: entities could expand without end."""

    def doctype(self, name: str, pubid: str | None, system: str | None) -> NoReturn:
        raise NotXml(
            "the label config has a DOCTYPE, which may define entities and is not read: "
            "remove it from the labeling interface"
        )


def _parse(xml: str) -> ET.Element:
    try:
        return ET.fromstring(xml.strip().lstrip("\ufeff"), parser=ET.XMLParser(target=_NoDoctype()))
    except (ET.ParseError, ValueError) as error:
        start = " ".join(xml.split())[:60]
        raise NotXml(
            f"the label config is not XML ({error}), it begins with {start!r}: mend the labeling interface"
        ) from error


def _walk(root: ET.Element) -> Iterator[ET.Element]:
    """An element and all below it in document order, but for what a `<HyperText>` holds: that is text, not tags."""
    waiting = [root]
    while waiting:
        element = waiting.pop()
        yield element
        if _tag(element) != "hypertext":
            waiting.extend(reversed(element))


def _tag(element: ET.Element) -> str:
    return _local(element.tag)


def _attributes(element: ET.Element) -> dict[str, str]:
    return {_local(name): value for name, value in element.attrib.items()}


def _local(name: str) -> str:
    """A tag's or an attribute's name as the editor sees it: without regard to case."""
    return name.rpartition("}")[2].lower()


def _labels(control: ET.Element) -> tuple[tuple[str, ...], tuple[tuple[str, str], ...]]:
    """The labels of a control as results store them, and (value, alias) of those with an alias."""
    stored, synonyms = [], []
    for element in _walk(control):
        attributes = _attributes(element)
        inside = (element.text or "").strip() if not len(element) else ""
        value, alias = inside or attributes.get("value", ""), attributes.get("alias", "")
        if _tag(element) == "label" and value:
            stored.append(alias or value)
            if alias:
                synonyms.append((value, alias))
    return tuple(dict.fromkeys(stored)), tuple(synonyms)


def _labeling(control: ET.Element, series: ET.Element) -> Labeling:
    attributes = _attributes(series)
    target = attributes["name"]
    columns = (_attributes(element).get("column", "") for element in _walk(series) if _tag(element) == "channel")
    channels = tuple(dict.fromkeys(column for column in columns if column))
    if not channels:
        raise LabelConfigError(
            f"the time series {target!r} has no <Channel column=...>: "
            f"name the columns to learn from in the labeling interface"
        )
    value_type = attributes.get("valuetype", "").lower() or "url"
    if value_type not in ("url", "json"):
        raise LabelConfigError(f"the time series {target!r} has valueType {value_type!r}: it must be 'url' or 'json'")
    value_key = _value_key(attributes.get("value", ""))
    if value_type == "url" and not value_key:
        raise LabelConfigError(f'the time series {target!r} has no value: name the data it shows, as in value="$csv"')
    time_column, time_format = attributes.get("timecolumn") or None, attributes.get("timeformat") or None
    if time_format and not time_column and finest_step(time_format) != 1:
        raise LabelConfigError(
            f"the time series {target!r} has timeFormat {time_format!r} but no timeColumn, so that its regions are "
            f"stored as dates that tell no rows apart: add the timeColumn or remove the timeFormat"
        )
    labels, synonyms = _labels(control)
    return Labeling(
        control=_attributes(control)["name"],
        object=target,
        labels=labels,
        channels=channels,
        value_key=value_key,
        value_type="json" if value_type == "json" else "url",
        separator=_separator(attributes.get("sep", "")),
        time_column=time_column,
        time_format=time_format,
        multiple=_attributes(control).get("choice", "").lower() == "multiple",
        synonyms=synonyms,
    )


def _value_key(value: str) -> str:
    """`$key` as key; anything else (text around variables, a fixed address) as it stands."""
    plain = value.startswith("$") and "$" not in value[1:] and "/" not in value
    return value[1:] if plain else value


def _separator(written: str) -> str:
    if not written:
        return ","
    return _SEPARATOR_NAMES.get(written, written[0])


def _look_up(data: Any, path: str) -> Any:
    """`a.b[0]` in nested data; a key that is spelt like a path goes first, as in the editor."""
    if isinstance(data, Mapping) and path in data:
        return data[path]
    for step in re.findall(r"[^.\[\]]+", path):
        if isinstance(data, Mapping):
            data = data.get(step)
        elif isinstance(data, list) and step.isascii() and step.isdigit() and int(step) < len(data):
            data = data[int(step)]
        else:
            return None
    return data

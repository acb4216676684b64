"""Label configs: an input is the XML; pairs found in it are asked what they want of tasks, and served by a model."""

from __future__ import annotations

import json
import random
import xml.etree.ElementTree as ET
from dataclasses import astuple
from typing import Any

import torch

from fuzz.changes import change_lines
from fuzz.part import Part, hold, one_sentence
from segmenter.errors import LabelConfigError, NotXml, RecordingError
from segmenter.labeling import Labeling, read_label_config
from segmenter.model import Model
from segmenter.pipeline import Task, learn, misfits, pairs, predict
from segmenter.training import TrainingSettings
from tests.recordings import CONFIG, activity, regions

_TAGS = (
    "View", "TimeSeries", "TimeSeriesLabels", "Channel", "MultiChannel", "Label", "HyperText", "Labels", "Choices",
    "Choice",
    "TimeSeriesOverview", "Text", "timeseries", "TIMESERIESLABELS", "x:Label", "Style", "a",
)  # fmt: skip
_VALUES: dict[str, tuple[str, ...]] = {
    "name": ("ts", "label", "ts2", "", " ", "ts,label", "é", "<b>"),
    "toName": ("ts", "ts,ts2", "label", "", " ts , ts ", "no"),
    "value": ("$csv_url", "$a.b[0]", "", "$", "Run", "http://x/$id.csv", "$a$b", "/data/$x", "Run", "Walk",
    "$x[99999999999]"),
    "valueType": ("url", "json", "JSON", "", "file"), "sep": (",", "tab", "\\t", "auto", "space", "dot", "ab", "\n",
    " ", "é"),
    "timeColumn": ("time", "0", "", " ", "TIME", "9" * 30), "column": ("sensorone", "sensortwo", "0", "1", "",
    "Sensorone", "7" * 20),
    "timeFormat": ("%Y-%m-%d", "%Q", "%s", "%", "", "%H:%M", "abc"), "choice": ("multiple", "single", ""),
    "alias": ("w", "Run", "Walk", ""), "hotkey": ("1",), "background": ("red",), "visibleWhen": ("x",),
    "xml:lang": ("de",),
}  # fmt: skip
_NAMES = (*_VALUES, *(name.upper() for name in _VALUES), "xmlns", "xmlns:x")
_TEXTS = (
    "&amp;", "&#65;", "&#0;", "&nbsp;", "&a;", "<![CDATA[ <Label/> ]]>", "<!-- <Label/> -->", "<?xml version='1.0'?>",
    '<!DOCTYPE a [<!ENTITY a "aaaa">]>', '<!DOCTYPE a SYSTEM "file:///etc/passwd">', "<Label value='Run'>Walk</Label>",
    "</View>", "<View>", "<", ">", "'", '"', "\0", "\ufeff", "\ud800", "\n", "é",
    '<?xml version="1.0" encoding="utf-16"?>',
    "<" + "View><" * 500 + "Label value='x'/>", "<x:Label value='Run'/>", "]]>",
)  # fmt: skip
_DATA: tuple[dict[str, Any], ...] = (
    {"csv_url": "/good"}, {"csv_url": {"time": [0, 1, 2], "sensorone": [1, 2, 3], "sensortwo": [3, 2, 1]}},
    {"a": {"b": ["/good", None]}, "x": 7, "id": "\ud800"}, {}, {"$undefined$": "/good"},
)  # fmt: skip
_GOOD = activity(7, 60)[0]


def part() -> Part:
    """Configs as projects have them, a model that was trained for the first, and what changes make of them."""
    torch.set_num_threads(1)
    model = learn(
        read_label_config(CONFIG),
        [
            Task(seed, {"csv_url": str(seed)}, ({"id": seed, "result": regions(activity(seed)[1])},))
            for seed in range(3)
        ],
        lambda address, _: activity(int(address))[0],
        TrainingSettings(threads=1, effort=0.05),
        lambda step: None,
    ).model

    def attempt(data: bytes) -> str:
        """Read it, hold it to all laws; "no XML", "refused", "no pair", or "pairs"."""
        xml = (
            data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace")
            if _decodes(data)
            else data.decode("latin-1")
        )
        try:
            labelings = read_label_config(xml)
        except NotXml as refusal:
            one_sentence(refusal)
            return "no XML"
        except LabelConfigError as refusal:
            one_sentence(refusal)
            return "refused"
        _are_pairs(labelings)
        _case_means_nothing(xml, labelings)
        hold(
            all(len(reason) < 2_000 and "\n" not in reason for reason in misfits(model, labelings)), "misfits are short"
        )
        for data_of_task in _DATA:
            _ask(labelings, data_of_task)
        served = pairs(model, labelings)
        for data_of_task in _DATA[:2] if served else ():
            _serve(model, labelings, data_of_task)
        return ("pairs" if served else "unlearned pairs") if labelings else "no pair"

    return Part(tuple(config.encode() for config in _configs()), change, attempt, longest=8_000)


def _serve(model: Model, labelings: tuple[Labeling, ...], data: dict[str, Any]) -> None:
    found = predict(model, labelings, Task(1, data), _fetch)
    json.dumps(found.result, allow_nan=False)
    hold(0.0 <= found.score <= 1.0, "a score is 0..1")
    hold(found.read or not found.result, "nothing is suggested for what was not read")
    names = {(one.control, one.object): set(one.labels) for one in labelings}
    for entry in found.result:
        labels = names.get((entry["from_name"], entry["to_name"]), set())
        hold(set(entry["value"]["timeserieslabels"]) <= labels, "only labels of the config are suggested")


def _configs() -> tuple[str, ...]:
    json_config = CONFIG.replace('"url"', '"json"')
    nested = CONFIG.replace("<Channel", '<MultiChannel><View><Channel column="0"/></View></MultiChannel><Channel', 1)
    second = CONFIG.replace("<View>", "").replace("</View>", "")
    several = f"<View>{second}{second.replace('ts', 'ts2').replace('label', 'label2')}</View>"
    many = CONFIG.replace('toName="ts"', 'toName="ts" choice="multiple"').replace('"Run"', '"Run" alias="r"')
    stamps = CONFIG.replace('timeColumn="time"', 'timeColumn="time" timeFormat="%Q" sep="auto"')
    upper = CONFIG.replace("TimeSeries", "TIMESERIES").replace("column=", "COLUMN=").replace("toName", "toname")
    return (CONFIG, json_config, nested, several, many, stamps, upper, "<View/>", '<x:View xmlns:x="a"/>')


def _ask(labelings: tuple[Labeling, ...], data: dict[str, Any]) -> None:
    for labeling in labelings:
        try:
            hold(isinstance(labeling.task_value(data), str | dict), "a task's value is text or an object")
        except RecordingError as refusal:
            one_sentence(refusal)


def _decodes(data: bytes) -> bool:
    try:
        data.decode("utf-8", "surrogatepass" if b"\xed" in data else "replace")
    except UnicodeDecodeError:
        return False
    return True


def _fetch(address: str, task: object) -> bytes:
    if address == "/good":
        return _GOOD
    raise RecordingError("it is not there")


def _are_pairs(labelings: tuple[Labeling, ...]) -> None:
    for one in labelings:
        hold(one.control and one.object, "control and object have names")
        hold(one.labels and all(one.labels) and len(set(one.labels)) == len(one.labels), "labels are there, each once")
        hold(one.channels and all(one.channels) and len(set(one.channels)) == len(one.channels), "channels likewise")
        hold(len(one.separator) == 1 or one.separator == "auto", "a separator is a character")
        hold(one.value_type in ("url", "json"), "a value is an address or JSON")
        hold(all(one.stored_label(label) == label for label in one.labels), "a stored label is stored as itself")


def _case_means_nothing(xml: str, labelings: tuple[Labeling, ...]) -> None:
    """Tags and attributes in capitals give the same pairs, as the editor has it."""
    root = ET.fromstring(xml.strip().lstrip("\ufeff"))
    for element in root.iter():
        names = [name.upper() if "}" not in name else name for name in element.attrib]
        if len(set(names)) < len(names) or not isinstance(element.tag, str):
            return
        element.tag = element.tag if "}" in element.tag else element.tag.upper()
        values = list(element.attrib.values())
        element.attrib.clear()
        element.attrib.update(zip(names, values, strict=True))
    try:
        again = read_label_config(ET.tostring(root, encoding="unicode"))
    except LabelConfigError as refusal:
        hold(False, f"case means nothing: {refusal}")
        return
    hold(list(map(astuple, again)) == list(map(astuple, labelings)), "case means nothing")


def change(data: bytes, chance: random.Random) -> bytes:
    """Another tree where it is one, else other text."""
    text = data.decode("utf-8", "replace")
    if chance.random() < 0.75:
        try:
            return ET.tostring(_change_tree(ET.fromstring(text), chance), encoding="unicode").encode("utf-8", "replace")
        except (ET.ParseError, ValueError, RecursionError):
            pass
    if chance.random() < 0.3:
        return change_lines(data, chance)
    at = chance.randrange(len(text) + 1)
    return (text[:at] + chance.choice(_TEXTS) + text[at + chance.choice((0, 0, 1, 9)) :]).encode(
        "utf-8", "surrogatepass"
    )


def _change_tree(root: ET.Element, chance: random.Random) -> ET.Element:
    for _ in range(chance.choice((1, 1, 2, 3))):
        elements = list(root.iter())
        one, other = chance.choice(elements), chance.choice(elements)
        how = chance.randrange(9)
        if how <= 2:
            name = chance.choice(_NAMES if chance.random() < 0.3 else [*one.attrib] or _NAMES)
            one.set(name, chance.choice(_VALUES.get(name, _VALUES["name"] + _VALUES["value"])))
        elif how == 3 and one.attrib:
            del one.attrib[chance.choice(list(one.attrib))]
        elif how == 4:
            one.tag = chance.choice(_TAGS).replace("x:", "")
        elif how == 5 and len(one):
            one.remove(chance.choice(list(one)))
        elif how == 6 and len(elements) < 60:
            other.append(ET.fromstring(ET.tostring(one)))
        elif how == 7:
            ET.SubElement(one, chance.choice(_TAGS).replace("x:", ""), {"value": chance.choice(_VALUES["value"])})
        else:
            one.text = chance.choice((None, " ", "Run", "Walk", "é", "<&>", "\n"))
    return root

"""Charts: whatever names and values there are, a page gets a picture that is whole, harmless and without styles."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from typing import Any

import pytest

from backend.charts import draw_confusion, draw_reliability, draw_training
from backend.charts_recording import differences, draw_recording
from backend.charts_svg import printable

WILD = [
    "<script>alert(1)</script>", "$x^2$", r"$\frac{", "a & b", '"quoted"', "]]>", "日本語 🙂", "\x00\x1b[0m", "\ud800",
    "x" * 5_000, "_hidden", "two\nlines", "", "%s {0}",
]  # fmt: skip
STATES: list[dict[str, Any]] = [{"labels": [], "instant": False}, {"labels": ["Walk"], "instant": False}]


def recording(**changes: Any) -> dict[str, Any]:
    return {
        "task": "7",
        "stamps": False,
        "time_column": "time",
        "times": [0.0, 1.0, 2.0, 3.0],
        "channels": [{"name": "one", "values": [1.0, 2.0, None, 3.0]}],
        "annotated": [[1.0, 2.0, 1]],
        "suggested": [[1.0, 3.0, 1]],
        "judged": [[0.0, 3.0]],
        **changes,
    }


def parse(svg: str) -> ET.Element:
    """The picture, once it is sure that a page may hold it."""
    root = ET.fromstring(svg)
    assert root.get("role") == "img"
    identities = [element.get("id") for element in root.iter() if element.get("id")]
    assert len(set(identities)) == len(identities)
    for element in root.iter():
        assert element.tag.rpartition("}")[2] in {
            "circle", "clipPath", "defs", "g", "line", "path", "rect", "svg", "text", "title", "tspan", "use",
        }, element.tag  # fmt: skip
        assert not {name for name in element.attrib if name == "style" or name.startswith("on")}
        for name in ("href", "clip-path"):
            if element.get(name):
                assert element.get(name, "").removeprefix("url(").rstrip(")").removeprefix("#") in identities
        assert "#0" not in element.get("fill", "") + element.get("stroke", ""), "a colour that is not the page's"
    return root


def texts(root: ET.Element) -> list[str]:
    return [element.text or "" for element in root.iter() if element.tag.endswith(("}text", "}title"))]


@pytest.mark.parametrize("name", WILD)
def test_names_are_drawn_as_they_are(name: str) -> None:
    states = [STATES[0], {"labels": [name], "instant": False}]
    shown = printable(name)
    svg = draw_recording(recording(task=name, channels=[{"name": name, "values": [1.0] * 4}]), states, "r")
    assert "<script" not in svg
    if shown:
        assert shown in texts(parse(svg))
    svg = draw_confusion({"states": [0, 1], "rows": [[3, 1], [0, 2]]}, states, "c")
    assert "<script" not in svg
    parse(svg)


@pytest.mark.parametrize(
    "changes",
    [
        {"times": [5.0] * 4},
        {"times": [0.0], "channels": [{"name": "one", "values": [None]}], "annotated": [], "suggested": []},
        {"channels": []},
        {"channels": [{"name": "one", "values": [-1e100, 1e100, 0.0, None]}]},
        {"channels": [{"name": "flat", "values": [2.0] * 4}]},
        {"stamps": True, "times": [0.0, 1e3, 2e3, 3e3]},
        {"stamps": True, "times": [-9e15, 0.0, 1.0, 9e15]},
        {"stamps": True, "times": [-6.2e13, 0.0, 1.0, 2.5e14]},
        {"times": [-1e300, 0.0, 1.0, 1e300]},
        {"judged": []},
    ],
    ids=lambda changes: ", ".join(changes),
)
def test_a_recording_of_any_kind_is_drawn(changes: dict[str, Any]) -> None:
    parse(draw_recording(recording(**changes), STATES, "r"))


@pytest.mark.parametrize(
    ("low", "high", "told"),
    [
        (0.0, 1.0, "0 to 1"),
        (101_324.6, 101_325.4, "101 324.6 to 101 325.4"),
        (-17.7914, 29.1253, "-17.79 to 29.13"),
        (93_000.0, 413_000.0, "93 000 to 413 000"),
        (1e-7, 2.5e9, "1e-07 to 2.5e+09"),
        (2.0, 2.0, "2"),
    ],
)
def test_the_range_of_a_channel_is_told_in_as_many_digits_as_it_takes(low: float, high: float, told: str) -> None:
    root = parse(draw_recording(recording(channels=[{"name": "one", "values": [low, high] * 2}]), STATES, "r"))
    assert told in [text.replace("\N{NO-BREAK SPACE}", " ") for text in texts(root)]


def test_an_instant_and_a_region_of_one_label_are_told_apart_under_the_pointer() -> None:
    states = [*STATES, {"labels": ["Walk"], "instant": True}]
    svg = draw_recording(recording(annotated=[[0.0, 1.0, 1], [2.0, 2.0, 2]]), states, "r")
    assert {"Walk", "Walk (instant)"} <= set(texts(parse(svg)))


@pytest.mark.parametrize("size", [1, 2, 10, 11, 20])
def test_a_matrix_of_any_size_is_drawn(size: int) -> None:
    states = [STATES[0], *({"labels": [f"a long label {number}"], "instant": False} for number in range(size))]
    rows = [[row + column + 1 for column in range(size)] for row in range(size)]
    root = parse(draw_confusion({"states": [*range(size - 1), -1], "rows": rows}, states, "c"))
    numbered = [text for text in texts(root) if text.endswith("%") and len(text) < 5]
    assert bool(numbered) == (size <= 10)


def test_the_matrix_says_which_part_of_a_label_is_suggested_as_what() -> None:
    root = parse(draw_confusion({"states": [0, 1], "rows": [[75, 25], [0, 10]]}, STATES, "c"))
    assert [text for text in texts(root) if text.endswith("%")][-3:] == ["75%", "25%", "100%"]


@pytest.mark.parametrize("reliability", [[[0.9, 1.0, 5]], [[0.1, 0.0, 1], [0.55, 0.5, 10], [0.99, 0.98, 100_000]]])
def test_reliability_is_drawn_and_told(reliability: list[list[float]]) -> None:
    root = parse(draw_reliability(reliability, "s"))
    assert f"{reliability[-1][0]:.0%} sure: {reliability[-1][1]:.0%} right" in texts(root)[0]


@pytest.mark.parametrize("held_out", [[], [[60, 0.5]], [[60, 0.5], [120, 0.3]]])
def test_a_training_is_drawn_with_and_without_held_out_rows(held_out: list[list[float]]) -> None:
    losses = [{"phase": "fitting", "kept": kept, "steps": [1, 2], "losses": [0.9, 0.1]} for kept in (True, False)]
    parse(draw_training({"losses": losses, "held_out_losses": held_out}, 120, "t"))


def test_differences_are_where_the_labels_differ_and_both_are_known() -> None:
    annotated, suggested = [[0.0, 4.0, 1], [6.0, 8.0, 2]], [[2.0, 6.0, 1], [6.0, 9.0, 1]]
    assert differences(annotated, suggested, [[0.0, 10.0]]) == [(0.0, 2.0), (4.0, 9.0)]
    assert differences(annotated, suggested, [[0.0, 1.0], [7.0, 8.0]]) == [(0.0, 1.0), (7.0, 8.0)]
    assert differences(annotated, annotated, [[0.0, 10.0]]) == []

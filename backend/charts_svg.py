"""matplotlib's SVG -> SVG to be put into a page: colours by class, so that the page's style sheet chooses them.

The page forbids styles within it, so each `style` becomes attributes. Names within a picture get a prefix, for many
pictures lie in one page.
"""

from __future__ import annotations

import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping
from functools import partial
from typing import Any

LABEL_COLOURS = 8
# What charts paint with, to be told apart here; what a class looks like is said in the page's style sheet.
INK, MUTED, GRID, ACCENT = "#000001", "#000002", "#000003", "#000004"
LABELS = tuple(f"#0001{number:02x}" for number in range(LABEL_COLOURS))
_CLASSES = {INK: "ink", MUTED: "muted", GRID: "grid", ACCENT: "accent"} | {
    colour: f"label-{number}" for number, colour in enumerate(LABELS)
}
_NAMESPACE, _LINK = "{http://www.w3.org/2000/svg}", "{http://www.w3.org/1999/xlink}href"
_KEPT = frozenset(
    {"fill-opacity", "fill-rule", "opacity", "stroke-dasharray", "stroke-dashoffset", "stroke-linecap",
     "stroke-linejoin", "stroke-opacity", "stroke-width", "text-anchor"}
)  # fmt: skip
_NUMBER = re.compile(r"-?\d+\.\d+(?:e-?\d+)?")
_NOT_SHOWN = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\ud800-\udfff\ufffe\uffff]")


def printable(text: str, most: int = 40) -> str:
    """A name as a picture can bear it: no character that XML has none for, in one line, no longer than `most`."""
    clean = " ".join(_NOT_SHOWN.sub("\N{REPLACEMENT CHARACTER}", text).split())
    return clean if len(clean) <= most else clean[: most - 1] + "…"


def themed(svg: bytes, name: str, title: str, hints: Mapping[str, str]) -> str:
    """The picture for a page.

    name: a prefix that no other picture of the page has. title: what it shows, for those who do not see it. hints: what
    is told of a part under the pointer, by the id that the part was drawn with.
    """
    ET.register_namespace("", _NAMESPACE[1:-1])
    root = ET.fromstring(svg)
    for parent in root.iter():
        for child in list(parent):
            if child.tag in (f"{_NAMESPACE}metadata", f"{_NAMESPACE}style"):
                parent.remove(child)
    for element in root.iter():
        hint = hints.get(element.get("id", ""))
        _restyle(element)
        _shorten(element)
        _rename(element, name)
        if hint is not None:
            _put_first(element, "title", hint)
    for attribute in ("width", "height", "version"):
        root.attrib.pop(attribute, None)
    root.set("role", "img")
    root.set("aria-labelledby", f"{name}-title")
    _put_first(root, "title", title).set("id", f"{name}-title")
    return ET.tostring(root, encoding="unicode")


def _restyle(element: ET.Element) -> None:
    """What `style` says, as attributes and classes."""
    classes = []
    for declaration in element.attrib.pop("style", "").split(";"):
        key, _, value = (part.strip() for part in declaration.partition(":"))
        if key in ("fill", "stroke"):
            if value in _CLASSES:
                classes.append(f"{key}-{_CLASSES[value]}")
            else:
                element.set(key, value)
        elif key in ("font", "font-size"):  # the one or the other, as matplotlib's release has it
            size = re.search(r"([\d.]+)px", value)
            element.set("font-size", size[1] if size else "11")
        elif key in _KEPT:
            element.set(key, value)
    for key in ("fill", "stroke"):  # which matplotlib sometimes says without a style
        if element.get(key, "") in _CLASSES:
            classes.append(f"{key}-{_CLASSES[element.attrib.pop(key)]}")
    if classes:
        element.set("class", " ".join(classes))


def _shorten(element: ET.Element) -> None:
    """A tenth of a pixel is more than the eye sees of a curve, a hundredth of anything else."""
    for key in ("d", "x", "y", "points", "transform", "width", "height"):
        if (text := element.get(key)) is not None:
            digits = 1 if len(text) > 500 else 2
            short = " ".join(_NUMBER.sub(partial(_round, digits), text).split())
            # The letter of a line need not be repeated where there are only lines.
            straight = key == "d" and set(re.findall("[A-Za-z]", short)) <= {"M", "L", "z"}
            element.set(key, short.replace(" L ", " ") if straight else short)


def _round(digits: int, number: re.Match[str]) -> str:
    return f"{round(float(number[0]), digits):g}"


def _rename(element: ET.Element, name: str) -> None:
    if element.get("id"):
        element.set("id", f"{name}-{element.get('id')}")
    if element.get("clip-path", "").startswith("url(#"):
        element.set("clip-path", element.get("clip-path", "").replace("url(#", f"url(#{name}-", 1))
    if _LINK in element.attrib:
        element.set("href", f"#{name}-{element.attrib.pop(_LINK).removeprefix('#')}")


def _put_first(element: ET.Element, tag: str, text: str) -> Any:
    made = ET.Element(f"{_NAMESPACE}{tag}")
    made.text = text
    element.insert(0, made)
    return made

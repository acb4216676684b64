"""d3's time patterns, taken apart: what reading and writing stamps have in common.

Label Studio's editor reads and writes stamps by d3's `utcParse` and `utcFormat` in their English locale; the rules are
those of the documentation and behaviour of d3-time-format, https://d3js.org/d3-time-format.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

DAY = 86_400_000  # milliseconds
_DAYS = ("Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday")
_MONTHS = (
    "January", "February", "March", "April", "May", "June",
    "July", "August", "September", "October", "November", "December",
)  # fmt: skip
NAMES = {
    "A": _DAYS,
    "a": tuple(name[:3] for name in _DAYS),
    "B": _MONTHS,
    "b": tuple(name[:3] for name in _MONTHS),
    "p": ("AM", "PM"),
}
_LOCALE = {"c": "%-m/%-d/%Y, %-I:%M:%S %p", "x": "%-m/%-d/%Y", "X": "%-I:%M:%S %p"}
# The smallest step of each directive in milliseconds.
_STEPS = {
    "f": 1, "L": 1, "Q": 1, "s": 1000, "S": 1000, "M": 60_000, "H": 3_600_000, "I": 3_600_000, "p": 12 * 3_600_000,
    "d": DAY, "e": DAY, "j": DAY, "a": DAY, "A": DAY, "u": DAY, "w": DAY, "U": 7 * DAY, "V": 7 * DAY, "W": 7 * DAY,
    "m": 28 * DAY, "b": 28 * DAY, "B": 28 * DAY, "q": 90 * DAY, "y": 365 * DAY, "Y": 365 * DAY, "g": 364 * DAY,
    "G": 364 * DAY,
}  # fmt: skip


@dataclass(frozen=True)
class Item:
    """A piece of a pattern: a directive with its padding ("-", "_" or "0" as written), or a literal character."""

    text: str
    directive: bool = False
    pad: str | None = None


@lru_cache(maxsize=64)
def pattern_items(pattern: str) -> tuple[Item, ...]:
    """The pieces of a pattern, those of the locale (%c, %x, %X) spelt out."""
    items: list[Item] = []
    at = 0
    while at < len(pattern):
        char, at = pattern[at], at + 1
        if char != "%":
            items.append(Item(char))
            continue
        letter, at = pattern[at : at + 1], at + 1
        pad = letter if letter in ("-", "_", "0") else None
        if pad:
            letter, at = pattern[at : at + 1], at + 1
        items.extend(pattern_items(_LOCALE[letter]) if letter in _LOCALE else (Item(letter, True, pad),))
    return tuple(items)


def finest_step(pattern: str) -> float:
    """The smallest step in milliseconds that stamps of this pattern can tell apart; infinite where it holds no time."""
    return min((_STEPS.get(item.text, math.inf) for item in pattern_items(pattern) if item.directive), default=math.inf)

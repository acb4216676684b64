"""Numbers of milliseconds since 1970 UTC as stamps in a d3 time pattern."""

from __future__ import annotations

import numpy as np

from segmenter.d3patterns import DAY, NAMES, Item, pattern_items


def write_stamp(pattern: str, time: float) -> str:
    """A time in milliseconds since 1970 UTC as text in the pattern."""
    date = _Date(int(time))
    return "".join(date.write(item) if item.directive else item.text for item in pattern_items(pattern))


class _Date:
    """A moment, taken apart for writing."""

    def __init__(self, time: int) -> None:
        self.time = time
        self.day, self.clock = divmod(time, DAY)
        self.year, self.month, self.year_day = _calendar(self.day)
        self.weekday = (self.day + 4) % 7
        # The week's Thursday decides which year an ISO week belongs to.
        self.iso_year, _, thursday = _calendar(self.day + 3 - (self.weekday + 6) % 7)
        self.iso_week = thursday // 7 + 1

    def write(self, item: Item) -> str:
        letter = item.text
        if letter in NAMES:
            index = {"a": self.weekday, "A": self.weekday, "p": int(self.clock >= DAY // 2)}.get(letter, self.month)
            return NAMES[letter][index]
        if letter == "Z":
            return "+0000"
        if letter == "f":
            return self.write(Item("L", True, item.pad)) + "000"
        known = self._number(letter)
        if known is None:
            return letter
        value, width = known
        fill = {"-": "", "_": " ", "0": "0", None: " " if letter == "e" else "0"}[item.pad]
        digits = str(abs(value))
        return ("-" if value < 0 else "") + fill * (width - len(digits)) + digits

    def _number(self, letter: str) -> tuple[int, int] | None:
        """A directive's number and to how many digits it is filled up; None for a directive that is not one."""
        if letter in ("Q", "s"):
            return (self.time if letter == "Q" else self.time // 1000), 0
        if letter in ("d", "e", "j", "m", "q", "u", "w", "U", "V", "W"):
            return self._day_number(letter)
        if letter in ("Y", "y", "G", "g"):
            year = self.year if letter in "Yy" else self.iso_year
            width = 4 if letter in "YG" else 2
            return (-1 if year < 0 else 1) * (abs(year) % 10**width), width
        hour = self.clock // 3_600_000
        clock = {
            "H": (hour, 2),
            "I": (hour % 12 or 12, 2),
            "M": (self.clock // 60_000 % 60, 2),
            "S": (self.clock // 1000 % 60, 2),
            "L": (self.clock % 1000, 3),
        }
        return clock.get(letter)

    def _day_number(self, letter: str) -> tuple[int, int]:
        first_of_month = _month_start(self.year, self.month)
        numbers = {
            "d": (self.day - first_of_month + 1, 2),
            "e": (self.day - first_of_month + 1, 2),
            "j": (self.year_day + 1, 3),
            "m": (self.month + 1, 2),
            "q": (self.month // 3 + 1, 0),
            "u": (self.weekday or 7, 0),
            "w": (self.weekday, 0),
            "U": ((self.year_day + 7 - self.weekday) // 7, 2),
            "V": (self.iso_week, 2),
            "W": ((self.year_day + 7 - (self.weekday + 6) % 7) // 7, 2),
        }
        return numbers[letter]


def _month_start(year: int, month: int) -> int:
    return int(np.datetime64((year - 1970) * 12 + month, "M").astype("M8[D]").astype(int))


def _calendar(day: int) -> tuple[int, int, int]:
    """Year, month (0 is January) and day of the year (0 is the first) of a day since 1970."""
    months = int(np.datetime64(day, "D").astype("M8[M]").astype(int))
    year = 1970 + months // 12
    return year, months % 12, day - _month_start(year, 0)

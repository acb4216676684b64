"""Numbers as JavaScript reads and writes them: the editor decides by these rules what in a file is a number."""

from __future__ import annotations

import math
import re
from decimal import Decimal

_DECIMAL = re.compile(r"[+-]?([0-9]+\.?[0-9]*(e[+-]?[0-9]+)?|\.[0-9]+(e[+-]?[0-9]+)?)", re.IGNORECASE)
_INTEGER = re.compile(r"0(x[0-9a-f]+|o[0-7]+|b[01]+)", re.IGNORECASE)
_SPACE = " \t\n\v\f\r\u00a0\u1680\u2028\u2029\u202f\u205f\u3000\ufeff" + "".join(map(chr, range(0x2000, 0x200B)))
_INFINITIES = {"Infinity": math.inf, "+Infinity": math.inf, "-Infinity": -math.inf}


def js_number(text: str) -> float:
    """Text as JavaScript's `Number` has it: nothing is 0, what is no number is NaN."""
    text = js_trim(text)
    if not text:
        return 0.0
    if _DECIMAL.fullmatch(text):
        return float(text)
    if _INTEGER.fullmatch(text):
        return js_float(int(text, 0))
    return _INFINITIES.get(text, math.nan)


def js_float(number: float) -> float:
    """A number as JavaScript holds it: a whole number too large for a float is infinite."""
    try:
        return float(number)
    except OverflowError:
        return math.inf if number > 0 else -math.inf


def js_text(number: float) -> str:
    """A finite number as JavaScript writes it: the shortest digits that tell it from its neighbours."""
    if number == 0:
        return "0"
    shortest = repr(float(number)).removesuffix(".0")
    if 1e-6 <= abs(number) < 1e21:
        return format(Decimal(shortest), "f")
    mantissa, _, exponent = shortest.partition("e")
    return f"{mantissa}e{int(exponent):+d}"


def js_trim(text: str) -> str:
    """Text without the white space at its ends; a byte order mark counts as such."""
    return text.strip(_SPACE)

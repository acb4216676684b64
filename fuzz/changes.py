"""Changes of an input that keep most of its form: of text by lines and cells, of JSON by its nodes."""

from __future__ import annotations

import copy
import random
from collections.abc import Callable, Sequence
from typing import Any

CELLS = (
    b"", b" ", b"nan", b"NA", b"null", b"off", b"true", b"0", b"-0", b"1", b"2.5", b"-1e3", b"1e999", b"1e-400",
    b"0x1F",
    b"0b", b"Infinity", b"-inf", b"+", b".", b".5", b"5.", b"1_000", b"1,5", b"1.2.3", b"9" * 400, b"0" * 300 + b"1",
    b"2020-06-15", b"2020-06-15 20:24:32.5", b"1592250751.923", b"9007199254740993", b"8640000000000001", b'"', b'""',
    b'"1"', b'"a,b"', b'"a""b"', b"'", b"\xff", b"\xc2\xa0", b"\xef\xbb\xbf", b"\xe2\x80\xa8", b"\x85", b"\x1f",
    b"\x1c",
    b"\0", b"\r", b"\v", b"\xd9\xa3", b"\xed\xa0\x80", b"=1+1", b"#", b"x" * 300, b"{", b"[1]", b"time", b"a",
)  # fmt: skip
_SEPARATORS = (b",", b";", b"\t", b" ", b"|", b".", b"\x1f", b":")
SCALARS: tuple[Any, ...] = (
    None, True, False, 0, -1, 1, 7, 0.5, -2.5, 1e308, 10**400, -(2**63), 2**53 + 1, float("nan"), float("inf"), "", " ",
    "0", "1", "1.5", "nan", "x", "\ud800", "\0", "\x1f", "\u2028", "<b>", "{{7*7}}", "%s", "$a", "../../etc/passwd",
    "9" * 500, [], {}, [[]], [None], [0, 1, 2], ["a"], {"a": 1},
)  # fmt: skip


def change_lines(text: bytes, chance: random.Random, cells: Sequence[bytes] = CELLS) -> bytes:
    """A text of lines of cells with one to four things different."""
    for _ in range(chance.choice((1, 1, 1, 2, 4))):
        text = chance.choice(_OF_LINES)(text, chance, cells)
    return text


def _cut(text: bytes, chance: random.Random, cells: Sequence[bytes]) -> bytes:
    start, stop = sorted(chance.randrange(len(text) + 1) for _ in range(2))
    return chance.choice((text[:start] + text[stop:], text[:stop], text[start:]))


def _insert(text: bytes, chance: random.Random, cells: Sequence[bytes]) -> bytes:
    at = chance.choice((0, len(text), chance.randrange(len(text) + 1)))
    return text[:at] + chance.choice((*cells, *_SEPARATORS, b"\n", b"\r\n")) + text[at:]


def _replace_one(text: bytes, chance: random.Random, cells: Sequence[bytes]) -> bytes:
    if not text:
        return text
    at = chance.randrange(len(text))
    near = text[at] ^ (1 << chance.randrange(8)) if chance.random() < 0.5 else 48 + chance.randrange(10)
    return text[:at] + bytes([near]) + text[at + 1 :]


def _move_lines(text: bytes, chance: random.Random, cells: Sequence[bytes]) -> bytes:
    lines = text.split(b"\n")
    one, other = chance.randrange(len(lines)), chance.randrange(len(lines))
    how = chance.randrange(4)
    if how == 0:
        lines[one], lines[other] = lines[other], lines[one]
    elif how == 1:
        del lines[one]
    elif how == 2:
        lines.insert(other, lines[one])
    else:
        lines.insert(one, chance.choice((b"", b" ", b"\t", b",", b",,", b"#", b"\xc2\xa0", b'""')))
    return b"\n".join(lines)


def _change_cells(text: bytes, chance: random.Random, cells: Sequence[bytes]) -> bytes:
    """Other cells in a line, or in all lines in the same column."""
    separator = max(_SEPARATORS[:5], key=text.count)
    lines = [line.split(separator) for line in text.split(b"\n")]
    column = chance.randrange(max(len(lines[0]), 1))
    rows = range(len(lines)) if chance.random() < 0.2 else [chance.randrange(len(lines))]
    cell, how = chance.choice(cells), chance.randrange(7)
    for row in rows:
        line = lines[row]
        if column >= len(line):
            continue
        written = line[column]
        if how == 3:
            del line[column]
        elif how == 4:
            line.insert(column, cell)
        else:
            line[column] = (cell, b'"' + written + b'"', b" " + written + b" ", b"", b"", written + cell, written[1:])[
                how
            ]
    return b"\n".join(separator.join(line) for line in lines)


def _rewrite(text: bytes, chance: random.Random, cells: Sequence[bytes]) -> bytes:
    how = chance.randrange(6)
    if how == 0:
        return text.replace(chance.choice(_SEPARATORS), chance.choice(_SEPARATORS))
    if how == 1:
        return text.replace(b"\n", chance.choice((b"\r\n", b"\r", b"\n\n", b" \n", b",\n")))
    if how == 2:
        return text.replace(chance.choice((b'"', b" ", b"0", b"1", b".", b"-", b"\r")), chance.choice(cells))
    if how == 3:
        return b"\xef\xbb\xbf" + text
    if how == 4:
        return text.decode("utf-8", "replace").encode(
            chance.choice(("utf-16", "utf-16-be", "latin-1", "utf-32")), "replace"
        )
    return text.lower() if chance.random() < 0.5 else text.upper()


_OF_LINES: tuple[Callable[[bytes, random.Random, Sequence[bytes]], bytes], ...] = (
    _cut, _insert, _replace_one, _move_lines, _move_lines, _change_cells, _change_cells, _change_cells, _rewrite,
)  # fmt: skip


def change_json(value: Any, chance: random.Random, scalars: Sequence[Any] = SCALARS) -> Any:
    """A JSON value with one to four of its nodes different."""
    value = copy.deepcopy(value)
    for _ in range(chance.choice((1, 1, 2, 4))):
        places = list(_places(value))
        if not places:
            return chance.choice(scalars)
        holder, key = chance.choice(places)
        _change_node(holder, key, chance, scalars, places)
    return value


def _places(value: Any) -> list[tuple[Any, Any]]:
    """Every node but the outermost, as what holds it and under which key."""
    places, waiting = [], [value]
    while waiting:
        holder = waiting.pop()
        keys = list(holder) if isinstance(holder, dict) else range(len(holder)) if isinstance(holder, list) else ()
        places += [(holder, key) for key in keys]
        waiting += [holder[key] for key in keys]
    return places


def _change_node(
    holder: Any, key: Any, chance: random.Random, scalars: Sequence[Any], places: Sequence[tuple[Any, Any]]
) -> None:
    if key not in (holder if isinstance(holder, dict) else range(len(holder))):
        return  # the change before took it away
    node, how = holder[key], chance.randrange(9)
    if how <= 1:
        holder[key] = copy.deepcopy(chance.choice(scalars))
    elif how == 2:
        del holder[key]
    elif how == 3 and isinstance(holder, list):
        holder.insert(chance.randrange(len(holder) + 1), copy.deepcopy(node))
    elif how == 3:
        holder[str(chance.choice(places)[1])] = holder.pop(key)
    elif how == 4:
        from_holder, from_key = chance.choice(places)
        if not isinstance(from_holder, list) or from_key < len(from_holder):
            holder[key] = copy.deepcopy(
                from_holder.get(from_key) if isinstance(from_holder, dict) else from_holder[from_key]
            )
    elif how == 5:
        holder[key] = chance.choice(([node], {str(chance.choice(places)[1]): node}, [node, node]))
    elif isinstance(node, str):
        changed = change_lines(node.encode("utf-8", "replace"), chance)
        holder[key] = changed.decode("utf-8", "replace")
    elif isinstance(node, int | float) and not isinstance(node, bool):
        holder[key] = chance.choice(
            (
                node + 1,
                node - 1,
                -node,
                node * 0.1 if abs(node) < 1e300 else 0.1,
                node * 1000,
                f"{node:.20}" if isinstance(node, float) else hex(node),
            )
        )

"""What a part of the fuzzing is: where it starts from, how it changes an input, and what has to hold for each."""

from __future__ import annotations

import random
from collections.abc import Callable
from dataclasses import dataclass

from segmenter.errors import SegmenterError

_LONGEST = 2_000  # characters of a refusal: it goes into logs, pages and answers


class Broken(Exception):
    """Something that has to hold does not; the first words, up to a colon, name it."""


@dataclass(frozen=True)
class Part:
    """One part.

    seeds: inputs to start from. change: (input, randomness) -> another one. attempt: tries one input and says in a word
    what came of it; raises Broken, or lets any error pass that nobody expects. longest: bytes of an input.
    """

    seeds: tuple[bytes, ...]
    change: Callable[[bytes, random.Random], bytes]
    attempt: Callable[[bytes], str]
    longest: int


def hold(condition: object, law: str) -> None:
    """Raise Broken with the law's name unless the condition is met."""
    if not condition:
        raise Broken(law)


def one_sentence(refusal: SegmenterError) -> str:
    """The text of a refusal; raises Broken where it is no sentence that a log or a page could hold."""
    text = str(refusal)
    hold(text and "\n" not in text and "\r" not in text, f"a refusal is one line: {text[:200]!r}")
    hold(len(text) <= _LONGEST, f"a refusal is short: {len(text)} characters, {text[:200]!r}")
    text.encode()  # a log or a page must be able to hold it
    return text

"""What `/metrics` answers, read and judged: Prometheus' own parser, and what `promtool check metrics` objects to."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterator

from prometheus_client import Metric
from prometheus_client.parser import text_string_to_metric_families
from prometheus_client.samples import Sample

_NO_BASE_UNITS = {"milliseconds", "minutes", "hours", "days", "kilobytes", "megabytes", "percent", "ms", "sec"}
_PARTS = ("_count", "_sum", "_bucket")


class Exposition:
    """The metrics of one answer."""

    def __init__(self, text: str) -> None:
        self._text = text
        self.families: list[Metric] = list(text_string_to_metric_families(text))

    def value(self, name: str, **labels: str) -> float:
        """The sum of the samples of a name that have these labels, 0 where there are none."""
        return sum(sample.value for sample in self.samples(name, **labels))

    def samples(self, name: str, **labels: str) -> list[Sample]:
        """The samples of a name that have these labels."""
        found = (sample for family in self.families for sample in family.samples if sample.name == name)
        return [sample for sample in found if labels.items() <= sample.labels.items()]

    def problems(self) -> Iterator[str]:
        """What Prometheus would refuse, and what `promtool check metrics` would call bad style."""
        if not self._text.endswith("\n"):
            yield "the last line does not end"
        named = Counter(re.findall(r"^# (?:HELP|TYPE) \S+", self._text, re.MULTILINE))
        yield from (f"twice: {line}" for line, count in named.items() if count > 1)
        samples = Counter(
            (sample.name, *sorted(sample.labels.items())) for family in self.families for sample in family.samples
        )
        yield from (f"twice: {sample}" for sample, count in samples.items() if count > 1)
        for family in self.families:
            full = f"{family.name}_total" if family.type == "counter" else family.name
            yield from (f"{full}: {problem}" for problem in _problems(family, full, named))


def _problems(family: Metric, name: str, named: Counter[str]) -> Iterator[str]:
    if not named[f"# HELP {name}"] or not family.documentation:
        yield "no HELP"
    if not named[f"# TYPE {name}"] or family.type == "unknown":
        yield "no TYPE"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name):
        yield "not in snake case"
    if family.type != "counter" and name.endswith("_total"):
        yield "_total, and no counter"
    if name.endswith(_PARTS):
        yield "the suffix of a histogram's part"
    if _NO_BASE_UNITS & set(name.split("_")):
        yield "no base unit"
    for sample in family.samples:
        if family.type == "counter" and not sample.name.endswith("_total"):
            yield "a counter without _total"
        if family.type == "histogram" and sample.name.endswith("_bucket") and "le" not in sample.labels:
            yield "a bucket without its bound"
        if family.type not in ("histogram", "summary") and {"le", "quantile"} & set(sample.labels):
            yield "a label that is a histogram's"

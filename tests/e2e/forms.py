"""The forms in which projects write their recordings and config down, as a table: FORMS."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from datetime import datetime, timedelta, timezone
from typing import Any

from tests.e2e.stories import (
    LOAD,
    PEAK,
    ROWS,
    SPEED,
    STORIES,
    Clock,
    Content,
    Span,
    Table,
    csv,
    epoch_ms,
    json_file,
    json_object,
    numbers,
    stamps,
    table,
)

VALUE_KEY = "recording"
SHOWN = {SPEED: "Fast", LOAD: "Heavy", PEAK: "Knock"}  # the label that the annotator sees
COLOURS = {SPEED: "#e69f00", LOAD: "#0072b2", PEAK: "#cc3311"}
_WITH_HEADER = csv("time,speed,load")


def _control(name: str, *labels: str, on: str = "ts") -> str:
    return f'<TimeSeriesLabels name="{name}" toName="{on}">{"".join(labels)}</TimeSeriesLabels>'


def _label(kind: str, more: str = "") -> str:
    return f'<Label value="{SHOWN[kind]}" background="{COLOURS[kind]}" {more}/>'


@dataclass(frozen=True)
class Form:
    """How recordings, their config and their regions are written.

    series: attributes of <TimeSeries>. beside: what else is in the config. labels: the control and the label that an
    annotation stores for a kind. objects: the time series of a kind that is not on "ts". plots: the time series that
    each plot of the editor belongs to.
    """

    name: str
    clock: Clock
    series: str
    file: Callable[[Table], Content] = _WITH_HEADER
    channels: str = '<Channel column="speed"/><Channel column="load"/>'
    controls: str = _control("label", _label(SPEED), _label(LOAD))
    labels: Mapping[str, tuple[str, str]] = field(
        default_factory=lambda: {SPEED: ("label", "Fast"), LOAD: ("label", "Heavy")}
    )
    beside: str = ""
    objects: Mapping[str, str] = field(default_factory=dict)
    plots: tuple[str, ...] = ("ts", "ts")

    @property
    def config(self) -> str:
        return (
            f'<View>{self.controls}<TimeSeries name="ts" value="${VALUE_KEY}" overviewWidth="100%" {self.series}>'
            f"{self.channels}</TimeSeries>{self.beside}</View>"
        )

    def object(self, kind: str) -> str:
        return self.objects.get(kind, "ts")

    def story(self, number: int) -> list[Span]:
        """What happens in a recording of this form: as much of the story as there are labels for."""
        return [span for span in STORIES[number] if span.kind in self.labels]

    def recording(self, number: int) -> Content:
        return self.file(table(self.story(number), self.clock, seed=number))

    def annotation(self, number: int) -> list[dict[str, Any]]:
        """Result entries as the editor itself would store them."""
        return [
            {
                "id": f"span-{place}",
                "from_name": self.labels[span.kind][0],
                "to_name": self.object(span.kind),
                "type": "timeserieslabels",
                "origin": "manual",
                "value": {
                    "start": self.clock.stored(span.first),
                    "end": self.clock.stored(span.last),
                    "instant": span.kind == PEAK,
                    "timeserieslabels": [self.labels[span.kind][1]],
                },
            }
            for place, span in enumerate(self.story(number))
        ]

    def kind(self, control: str, label: str) -> str:
        return next(kind for kind, stored in self.labels.items() if stored == (control, label))

    def stored_span(self, entry: Mapping[str, Any]) -> Span:
        """The rows of a result entry, whose ends are to be what is stored for a row, to the letter."""
        value, rows = entry["value"], [self.clock.stored(row) for row in range(ROWS)]
        (label,) = value["timeserieslabels"]
        kind = self.kind(entry["from_name"], label)
        assert (entry["to_name"], value["instant"]) == (self.object(kind), kind == PEAK)
        return Span(kind, rows.index(value["start"]), rows.index(value["end"]))


def _strftime(pattern: str) -> Callable[[datetime], str]:
    return lambda moment: moment.strftime(pattern)


_INDEX = Clock(stored=int, in_file=int, axis=float)
_NUMBERS = numbers(first=12.5, period=0.25)
_SECOND, _MILLISECONDS = timedelta(seconds=1), timedelta(milliseconds=7)
_SECONDS = stamps(_SECOND, _strftime("%Y-%m-%d %H:%M:%S"))
_IN_SECONDS = 'timeColumn="time" timeFormat="%Y-%m-%d %H:%M:%S"'

FORMS = (
    Form("numbers as time", _NUMBERS, 'timeColumn="time"'),
    Form("no timeColumn", _INDEX, "", csv("speed,load", places=(1, 2))),
    Form("stamps of whole seconds", _SECONDS, _IN_SECONDS),
    Form(
        "%L, milliseconds",
        stamps(_MILLISECONDS, lambda moment: moment.strftime("%Y-%m-%d %H:%M:%S.%f")[:-3]),
        'timeColumn="time" timeFormat="%Y-%m-%d %H:%M:%S.%L"',
    ),
    Form(
        "time of day, which the editor takes for 1900",
        stamps(_SECOND, _strftime("%H:%M:%S"), day=datetime(1900, 1, 1, tzinfo=timezone.utc)),
        'timeColumn="time" timeFormat="%H:%M:%S"',
    ),
    Form(
        "%f, of which the editor keeps milliseconds",
        stamps(
            _MILLISECONDS,
            stored=_strftime("%Y-%m-%d %H:%M:%S.%f"),
            in_file=lambda moment: (moment + timedelta(microseconds=321)).strftime("%Y-%m-%d %H:%M:%S.%f"),
        ),
        'timeColumn="time" timeFormat="%Y-%m-%d %H:%M:%S.%f"',
    ),
    Form(
        "%s, seconds since 1970",
        stamps(_SECOND, lambda moment: str(epoch_ms(moment) // 1000)),
        'timeColumn="time" timeFormat="%s"',
    ),
    Form(
        "%Q, milliseconds since 1970",
        stamps(_MILLISECONDS, lambda moment: str(epoch_ms(moment))),
        'timeColumn="time" timeFormat="%Q"',
    ),
    Form(
        "the day first, and no seconds",
        stamps(timedelta(minutes=10), _strftime("%d/%m/%Y %H:%M")),
        'timeColumn="time" timeFormat="%d/%m/%Y %H:%M"',
    ),
    Form(
        "%Z, an offset in the file, UTC in the regions",
        stamps(
            _SECOND,
            stored=_strftime("%Y-%m-%dT%H:%M:%S+0000"),
            in_file=lambda moment: (moment + timedelta(hours=2)).strftime("%Y-%m-%dT%H:%M:%S+02:00"),
        ),
        'timeColumn="time" timeFormat="%Y-%m-%dT%H:%M:%S%Z"',
    ),
    Form("JSON in the task", _NUMBERS, 'valueType="json" timeColumn="time"', json_object),
    Form("JSON behind a url", _SECONDS, _IN_SECONDS, json_file),
    Form("semicolons", _NUMBERS, 'timeColumn="time" sep=";"', csv("time;speed;load", ";")),
    Form(
        "columns by index in a file without a header",
        _SECONDS,
        'timeColumn="0" timeFormat="%Y-%m-%d %H:%M:%S"',
        csv(None),
        '<Channel column="1"/><Channel column="2"/>',
    ),
    Form(
        "names in any case",
        _SECONDS,
        'TIMECOLUMN="time" timeformat="%Y-%m-%d %H:%M:%S" VALUETYPE="url"',
        csv("Time,SPEED,Load"),
        '<channel Column="Speed"/><CHANNEL column="LOAD"/>',
    ),
    Form(
        "MultiChannel",
        _SECONDS,
        _IN_SECONDS,
        channels='<MultiChannel><Channel column="speed"/><Channel column="load"/></MultiChannel>',
        plots=("ts",),
    ),
    Form(
        "instants beside regions",
        _SECONDS,
        _IN_SECONDS,
        controls=_control("label", _label(SPEED), _label(PEAK)),
        labels={SPEED: ("label", "Fast"), PEAK: ("label", "Knock")},
    ),
    Form(
        "two controls",
        _SECONDS,
        _IN_SECONDS,
        controls=_control("motion", _label(SPEED)) + _control("burden", _label(LOAD)),
        labels={SPEED: ("motion", "Fast"), LOAD: ("burden", "Heavy")},
    ),
    Form(
        "labels with an alias",
        _NUMBERS,
        'timeColumn="time"',
        controls=_control("label", _label(SPEED, 'alias="f"'), _label(LOAD, 'alias="h"')),
        labels={SPEED: ("label", "f"), LOAD: ("label", "h")},
    ),
    Form(
        "two time series of one file",
        _SECONDS,
        _IN_SECONDS,
        channels='<Channel column="speed"/>',
        controls=_control("motion", _label(SPEED)) + _control("burden", _label(LOAD), on="scales"),
        beside=(
            f'<TimeSeries name="scales" value="${VALUE_KEY}" overviewWidth="100%" {_IN_SECONDS}>'
            '<Channel column="load"/></TimeSeries>'
        ),
        labels={SPEED: ("motion", "Fast"), LOAD: ("burden", "Heavy")},
        objects={LOAD: "scales"},
        plots=("ts", "scales"),
    ),
)

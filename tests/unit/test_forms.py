"""Every form a config and its data can take: the same rows are suggested, in the form an annotation would have.

One segmenter looks at one recording. What differs from row to row of the table is how the config names it and how the
file writes it; what is suggested has to be the same stretches, at the times that Python's own calendar gives.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import datetime, timedelta, timezone
from typing import Any

import pytest

from segmenter.decoding import Decoding
from segmenter.labeling import Labeling, read_label_config
from segmenter.model import FittedSegmenter, Model
from segmenter.pipeline import Task, predict, read_task
from segmenter.prediction import suggest
from segmenter.regions import BACKGROUND, State
from tests.unit.fitted import LABELING, recording, untrained

BASE = recording(300)
# Without durations: these count in the unit of a form's times.
SEGMENTER = replace(untrained(), decoding=Decoding(switch_cost=0.5))
SEGMENTS = suggest(SEGMENTER, BASE, LABELING).segments
BEGIN = datetime(2020, 6, 15, 20, 24, 32, 81_000, tzinfo=timezone.utc)

HEADER = "Time,One,Two"
TIME = 'value="$csv" timeColumn="Time"'
MILLISECONDS = timedelta(milliseconds=20)
CHANNELS = '<Channel column="One"/><Channel column="Two"/>'
SERIES = f'<TimeSeries name="ts" {TIME}>{CHANNELS}</TimeSeries>'
WALK, RUN = '<Label value="Walk"/>', '<Label value="Run"/>'
LABELS = f'<TimeSeriesLabels name="label" toName="ts">{WALK}{RUN}</TimeSeriesLabels>'
SECOND = LABELS.replace('"label"', '"second"')
OTHER_SERIES = SERIES.replace('"ts"', '"ts2"')
OTHER_LABELS = SECOND.replace('"ts"', '"ts2"')

Stamp = Callable[[int], Any]


def moments(pattern: str, step: timedelta = timedelta(seconds=1)) -> Stamp:
    """Stamps by Python's own calendar; %L, which it lacks, are the milliseconds."""

    def stamp(row: int) -> str:
        moment = BEGIN + row * step
        return moment.strftime(pattern.replace("%L", f"{moment.microsecond // 1000:03}"))

    return stamp


def csv(rows: Sequence[Sequence[Any]], header: str | None, separator: str = ",") -> bytes:
    lines = [separator.join(map(str, row)) for row in rows]
    return "\n".join(lines if header is None else [header, *lines]).encode()


def table(stamp: Stamp, order: str = "t12") -> list[list[Any]]:
    """The recording's rows: "t" is the time, "1" and "2" are the channels."""
    values = BASE.values.tolist()
    return [[{"t": stamp(row), "1": one, "2": two}[cell] for cell in order] for row, (one, two) in enumerate(values)]


def columns(stamp: Stamp, time: str = "Time") -> dict[str, list[Any]]:
    return dict(zip([time, "One", "Two"], map(list, zip(*table(stamp), strict=True)), strict=True))


@dataclass(frozen=True)
class Form:
    """A config, the task's data (`csv`: "file" for what `content` holds), and what is stored for a row's time."""

    xml: str
    content: bytes
    stored: Stamp
    data: Any = None


def numbers(row: int) -> int:
    return row


def form(attributes: str, content: bytes, stored: Stamp, channels: str = CHANNELS, data: Any = None) -> Form:
    """A time series with these attributes, labelled by one control."""
    series = f'<TimeSeries name="ts" {attributes}>{channels}</TimeSeries>'
    return Form(f"<View>{series}{LABELS}</View>", content, stored, data)


def stamped(pattern: str, step: timedelta = timedelta(seconds=1), python: str | None = None) -> Form:
    """A config with this timeFormat and a file written by it; `python`: the same pattern in Python's spelling."""
    stamp = moments(python or pattern, step)
    content = csv(table(stamp), HEADER.replace(",", ";"), ";")
    return form(f'{TIME} timeFormat="{pattern}" sep=";"', content, stamp)


def since_1970(pattern: str, first: int, step: int) -> Form:
    content = csv(table(lambda row: first + step * row), HEADER)
    return form(f'{TIME} timeFormat="{pattern}"', content, lambda row: str(first + step * row))


def separated(sep: str, separator: str) -> Form:
    content = csv(table(numbers), HEADER.replace(",", separator), separator)
    return form(f'{TIME} sep="{sep}"', content, numbers)


def config(xml: str) -> Form:
    return Form(xml, PLAIN, numbers)


PLAIN = csv(table(numbers), HEADER)

FORMS = {
    # The time axis.
    "plain numbers": form(TIME, PLAIN, numbers),
    "numbers with fractions": form(TIME, csv(table(lambda row: row / 4), HEADER), lambda row: row / 4),
    "no time column": form('value="$csv"', PLAIN, numbers),
    "stamps in a column that is not asked for": form('value="$csv"', csv(table(moments("%Y-%m-%d")), HEADER), numbers),
    "date and time with milliseconds": stamped("%Y-%m-%d %H:%M:%S.%L", MILLISECONDS),
    "date and time with microseconds": stamped("%Y-%m-%d %H:%M:%S.%f", MILLISECONDS),
    "date and time with a T": stamped("%Y-%m-%dT%H:%M:%S"),
    "date and time with a zone": stamped("%Y-%m-%dT%H:%M:%S%Z", python="%Y-%m-%dT%H:%M:%S+0000"),
    "the day first, with dots": stamped("%d.%m.%Y %H:%M:%S"),
    "American, half a day": stamped("%m/%d/%Y %I:%M:%S %p"),
    "digits alone": stamped("%y%m%d %H%M%S"),
    "short names of days and months": stamped("%a %d %b %Y %H:%M:%S"),
    "long names of days and months": stamped("%A, %d. %B %Y, %H:%M:%S"),
    "the day of the year": stamped("%Y-%j %H:%M:%S"),
    "the day filled up with a space": stamped("%e %B %Y %H:%M:%S", timedelta(hours=7)),
    "a day a row": stamped("%Y-%m-%d", timedelta(days=1)),
    "an hour a row": stamped("%Y-%m-%d %Hh", timedelta(hours=1)),
    "times of a day": stamped("%H:%M:%S", timedelta(seconds=30)),
    "seconds since 1970": since_1970("%s", 1592252672, 1),
    "milliseconds since 1970": since_1970("%Q", 1592252672081, 20),
    # The file.
    "separator: semicolon": separated(";", ";"),
    "separator: tab by name": separated("tab", "\t"),
    "separator: tab, escaped": separated("\\t", "\t"),
    "separator: tab itself": separated("&#9;", "\t"),
    "separator: space by name": separated("space", " "),
    "separator: space itself": separated(" ", " "),
    "separator: comma by name": separated("comma", ","),
    "separator: auto": separated("auto", ";"),
    "separator: bar": separated("|", "|"),
    "headless, by index": form(
        'value="$csv" timeColumn="1"',
        csv(table(numbers, "1t2"), None),
        numbers,
        '<Channel column="0"/><Channel column="2"/>',
    ),
    "headless, no time column": form(
        'value="$csv"', csv(table(numbers, "12"), None), numbers, '<Channel column="0"/><Channel column="1"/>'
    ),
    "channels by index below a header": form(TIME, PLAIN, numbers, '<Channel column="1"/><Channel column="2"/>'),
    "a header in another case": form(TIME, csv(table(numbers), "TIME,oNE,tWO"), numbers),
    "columns in another order": form(TIME, csv(table(numbers, "2t1"), "Two,Time,One"), numbers),
    "a file with a byte order mark": form(TIME, b"\xef\xbb\xbf" + PLAIN, numbers),
    "a url whose content is JSON": form(TIME, json.dumps(columns(numbers)).encode(), numbers),
    # Data without a file.
    "JSON: an object": form(f'{TIME} valueType="json"', b"", numbers, data={"csv": columns(numbers)}),
    "JSON: an object as text": form(
        f'{TIME} valueType="json"', b"", numbers, data={"csv": json.dumps(columns(numbers))}
    ),
    "JSON: the whole data": form('timeColumn="Time" valueType="json"', b"", numbers, data=columns(numbers)),
    "JSON: stamps": form(
        f'{TIME} valueType="json" timeFormat="%Y-%m-%d %H:%M:%S.%L"',
        b"",
        moments("%Y-%m-%d %H:%M:%S.%L"),
        data={"csv": columns(moments("%Y-%m-%d %H:%M:%S.%L"))},
    ),
    "JSON: milliseconds since 1970": form(
        f'{TIME} valueType="json" timeFormat="%Q"', b"", str, data={"csv": columns(numbers)}
    ),
    "JSON: no time column": form('value="$csv" valueType="json"', b"", numbers, data={"csv": columns(numbers)}),
    # Where the task has it.
    "a path in the task's data": form(
        'value="$a.b[1]" timeColumn="Time"', PLAIN, numbers, data={"a": {"b": ["x", "file"]}}
    ),
    "an address with a variable in it": form('value="fi$rest" timeColumn="Time"', PLAIN, numbers, data={"rest": "le"}),
    "a file from before there was a config": form(TIME, PLAIN, numbers, data={"$undefined$": "file"}),
    # The config.
    "channels in a MultiChannel": form(TIME, PLAIN, numbers, f"<MultiChannel>{CHANNELS}</MultiChannel>"),
    "channels in a View": form(TIME, PLAIN, numbers, f"<View><MultiChannel>{CHANNELS}</MultiChannel></View>"),
    "channels in capitals": form(TIME, PLAIN, numbers, CHANNELS.upper()),
    "tags and attributes in lower case": config(
        '<view><timeseries name="ts" value="$csv" timecolumn="Time"><channel column="One"/><channel column="Two"/>'
        '</timeseries><timeserieslabels name="label" toname="ts"><label value="Walk"/><label value="Run"/>'
        "</timeserieslabels></view>"
    ),
    "tags and attributes in upper case": config(
        '<VIEW><TIMESERIES NAME="ts" VALUE="$csv" TIMECOLUMN="Time"><CHANNEL COLUMN="One"/><CHANNEL COLUMN="Two"/>'
        '</TIMESERIES><TIMESERIESLABELS NAME="label" TONAME="ts"><LABEL VALUE="Walk"/><LABEL VALUE="Run"/>'
        "</TIMESERIESLABELS></VIEW>"
    ),
    "the control before the time series": config(f"<View>{LABELS}{SERIES}</View>"),
    "both deep in the layout": config(f"<View><View><View>{LABELS}</View></View><View>{SERIES}</View></View>"),
    "labels in another order": config(f"<View>{SERIES}{LABELS}</View>".replace(WALK + RUN, RUN + WALK)),
    "labels grouped": config(f"<View>{SERIES}{LABELS}</View>".replace(WALK, f"<View>{WALK}</View>")),
    "labels with an alias": config(f"<View>{SERIES}{LABELS}</View>".replace('"Run"', '"Run" alias="r"')),
    "several labels a region": config(f"<View>{SERIES}{LABELS}</View>".replace("toName", 'choice="multiple" toName')),
    "two controls": config(f"<View>{SERIES}{LABELS}{SECOND}</View>"),
    "two time series, a control each": config(f"<View>{SERIES}{OTHER_SERIES}{LABELS}{OTHER_LABELS}</View>"),
    "two time series, one control": config(
        f"<View>{SERIES}{OTHER_SERIES}{LABELS}</View>".replace('"ts">', '"ts,ts2">')
    ),
    "other controls beside it": config(
        f'<View>{SERIES}{LABELS}<Choices name="c" toName="ts"><Choice value="Good"/></Choices>'
        '<TextArea name="t" toName="ts" perRegion="true"/><Relations><Relation value="after"/></Relations></View>'
    ),
    "a control on something else": config(
        f'<View>{SERIES}{LABELS}<Text name="x" value="$x"/>'
        '<Labels name="y" toName="x"><Label value="Z"/></Labels></View>'
    ),
}


def segmenter_for(labeling: Labeling) -> FittedSegmenter:
    """The one segmenter, under the names that a labeling has."""
    walk, run = (labeling.stored_label(name) or name for name in ("Walk", "Run"))
    states = (BACKGROUND, State((walk,)), State((run,)))
    channels = labeling.channels
    return replace(SEGMENTER, control=labeling.control, object=labeling.object, states=states, channels=channels)


@pytest.mark.parametrize("name", FORMS)
def test_the_same_rows_are_suggested_in_the_form_of_an_annotation(name: str) -> None:
    form = FORMS[name]
    labelings = read_label_config(form.xml)
    assert labelings
    model = Model(tuple(map(segmenter_for, labelings)))
    data = {"csv": "file"} if form.data is None else form.data

    def fetch(address: str, task: Any) -> bytes:
        assert address == "file"
        return form.content

    prediction = predict(model, labelings, Task(1, data), fetch)
    assert prediction.failure is None
    result = json.loads(json.dumps(prediction.result, allow_nan=False))
    assert len({entry["id"] for entry in result}) == len(result) == len(SEGMENTS) * len(labelings)
    for labeling in labelings:
        entries = [
            entry for entry in result if (entry["from_name"], entry["to_name"]) == (labeling.control, labeling.object)
        ]
        for entry, segment in zip(entries, SEGMENTS, strict=True):
            start, end = form.stored(segment.first), form.stored(segment.last)
            label = labeling.stored_label(segment.state.labels[0])
            assert entry["value"] == {"start": start, "end": end, "instant": False, "timeserieslabels": [label]}
        example = read_task(Task(1, data, ({"id": 1, "result": result},)), labeling, fetch)
        assert example is not None
        states = [example.targets.states[code] for code in example.targets.codes]
        for segment in SEGMENTS:
            label = labeling.stored_label(segment.state.labels[0])
            assert states[segment.first : segment.last + 1] == [State((label or "",))] * (
                segment.last - segment.first + 1
            )
        labelled = sum(segment.last - segment.first + 1 for segment in SEGMENTS)
        assert states.count(BACKGROUND) == len(BASE) - labelled > 0

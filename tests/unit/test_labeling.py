"""What is to be labelled: every form of label config that Label Studio's editor accepts, and those it does not."""

from __future__ import annotations

import pytest

from segmenter.errors import LabelConfigError, RecordingError
from segmenter.labeling import Labeling, read_label_config

SERIES = '<TimeSeries name="ts" value="$csv" timeColumn="time"><Channel column="a"/></TimeSeries>'
LABELS = '<TimeSeriesLabels name="label" toName="ts"><Label value="Run"/><Label value="Walk"/></TimeSeriesLabels>'


def one(xml: str) -> Labeling:
    (labeling,) = read_label_config(f"<View>{xml}</View>")
    return labeling


def series(attributes: str = 'value="$csv"', children: str = '<Channel column="a"/>') -> Labeling:
    return one(f'<TimeSeries name="ts" {attributes}>{children}</TimeSeries>{LABELS}')


def control(attributes: str = "", children: str = '<Label value="Run"/>') -> Labeling:
    return one(f'{SERIES}<TimeSeriesLabels name="label" toName="ts" {attributes}>{children}</TimeSeriesLabels>')


def test_the_readme_example() -> None:
    labeling = one("""
        <Header value="Mark what the person does"/>
        <TimeSeriesLabels name="label" toName="ts"><Label value="Run"/><Label value="Walk"/></TimeSeriesLabels>
        <TimeSeries name="ts" valueType="url" value="$csv_url" timeColumn="time">
          <Channel column="sensorone"/><Channel column="sensortwo"/>
        </TimeSeries>""")
    assert labeling == Labeling(
        control="label",
        object="ts",
        labels=("Run", "Walk"),
        channels=("sensorone", "sensortwo"),
        value_key="csv_url",
        time_column="time",
    )


@pytest.mark.parametrize(
    ("attributes", "field", "expected"),
    [
        ('value="$csv"', "value_type", "url"),
        ('value="$csv" valueType="url"', "value_type", "url"),
        ('value="$csv" valueType="json"', "value_type", "json"),
        ('value="$csv" VALUETYPE="json"', "value_type", "json"),
        ('valueType="json"', "value_key", ""),
        ('value="" valueType="json"', "value_key", ""),
        ('value="$any_key"', "value_key", "any_key"),
        ('value="$a.b[0]"', "value_key", "a.b[0]"),
        ('value="$my-key"', "value_key", "my-key"),
        ('value="https://host/$file"', "value_key", "https://host/$file"),
        ('value="$csv"', "time_column", None),
        ('value="$csv" timeColumn=""', "time_column", None),
        ('value="$csv" timeColumn="Time"', "time_column", "Time"),
        ('value="$csv" timecolumn="Time"', "time_column", "Time"),
        ('value="$csv" TIMECOLUMN="0"', "time_column", "0"),
        ('value="$csv" timeColumn="t" timeFormat=""', "time_format", None),
        ('value="$csv" timeColumn="t" timeFormat="%Y-%m-%d"', "time_format", "%Y-%m-%d"),
        ('value="$csv" timeColumn="t" TimeFormat="%s"', "time_format", "%s"),
        ('value="$csv" timeFormat="%Q"', "time_format", "%Q"),
        ('value="$csv"', "separator", ","),
        ('value="$csv" sep=""', "separator", ","),
        ('value="$csv" sep=";"', "separator", ";"),
        ('value="$csv" sep="|"', "separator", "|"),
        ('value="$csv" sep="tab"', "separator", "\t"),
        ('value="$csv" sep="\\t"', "separator", "\t"),
        ('value="$csv" sep="&#9;"', "separator", "\t"),
        ('value="$csv" sep="space"', "separator", " "),
        ('value="$csv" sep=" "', "separator", " "),
        ('value="$csv" sep="comma"', "separator", ","),
        ('value="$csv" sep="dot"', "separator", "."),
        ('value="$csv" sep="auto"', "separator", "auto"),
        ('value="$csv" SEP=";;"', "separator", ";"),
    ],
)
def test_attributes_of_the_time_series(attributes: str, field: str, expected: object) -> None:
    assert getattr(series(attributes), field) == expected


@pytest.mark.parametrize(
    ("children", "channels"),
    [
        ('<Channel column="a"/>', ("a",)),
        ('<Channel column="B"/><Channel column="a"/>', ("B", "a")),
        ('<channel COLUMN="a"/><CHANNEL Column="b"/>', ("a", "b")),
        ('<Channel column="a"/><Channel column="a"/>', ("a",)),
        ('<Channel column="0"/><Channel column="1"/>', ("0", "1")),
        ('<Channel column="flow rate" units="l/s" legend="Flow"/>', ("flow rate",)),
        ('<MultiChannel><Channel column="a"/><Channel column="b"/></MultiChannel>', ("a", "b")),
        ('<View><Channel column="a"/></View><Channel column="b"/>', ("a", "b")),
        ('<View><MultiChannel><Channel column="a"/></MultiChannel></View>', ("a",)),
        ('<HyperText><Channel column="b"/></HyperText><Channel column="a"/>', ("a",)),
        ('<TimeSeriesOverview channels="a"/><Channel column="a"/>', ("a",)),
        ('<Channel/><Channel column="a"/>', ("a",)),
    ],
)
def test_channels(children: str, channels: tuple[str, ...]) -> None:
    assert series(children=children).channels == channels


@pytest.mark.parametrize(
    ("children", "labels", "synonyms"),
    [
        ('<Label value="Run"/><Label value="Walk"/>', ("Run", "Walk"), ()),
        ('<Label value="Run" alias="r"/><Label value="Walk"/>', ("r", "Walk"), (("Run", "r"),)),
        ('<Label value="Run" alias=""/>', ("Run",), ()),
        ('<label VALUE="Run" ALIAS="r"/>', ("r",), (("Run", "r"),)),
        ('<View><Labels><Label value="Run"/></Labels><Label value="Walk"/></View>', ("Run", "Walk"), ()),
        ('<Label value="Run"/><Label value="Run"/>', ("Run",), ()),
        ("<Label>Run</Label>", ("Run",), ()),
        ('<Label value="Ü &amp; 步行"/>', ("Ü & 步行",), ()),
        ('<Label value="Run"/><Label/>', ("Run",), ()),
        ('<Label value="Run"/><Choice value="Sure"/>', ("Run",), ()),
    ],
)
def test_labels(children: str, labels: tuple[str, ...], synonyms: tuple[tuple[str, str], ...]) -> None:
    labeling = control(children=children)
    assert (labeling.labels, labeling.synonyms) == (labels, synonyms)


@pytest.mark.parametrize(
    ("attributes", "multiple"),
    [("", False), ('choice="single"', False), ('choice="multiple"', True), ('CHOICE="multiple"', True)],
)
def test_several_labels_a_region(attributes: str, multiple: bool) -> None:
    assert control(attributes).multiple is multiple


SECOND_SERIES = '<TimeSeries name="ts2" value="$other"><Channel column="b"/></TimeSeries>'


@pytest.mark.parametrize(
    ("xml", "pairs"),
    [
        (SERIES + LABELS, [("label", "ts")]),
        (LABELS + SERIES, [("label", "ts")]),
        (f"<View><View>{LABELS}</View></View><View>{SERIES}</View>", [("label", "ts")]),
        (SERIES + LABELS + LABELS.replace('"label"', '"second"'), [("label", "ts"), ("second", "ts")]),
        (SERIES + SECOND_SERIES + LABELS, [("label", "ts")]),
        (SERIES + SECOND_SERIES + LABELS.replace('"ts"', '"ts,ts2"'), [("label", "ts"), ("label", "ts2")]),
        (SERIES + SECOND_SERIES + LABELS.replace('"ts"', '"ts2, ts"'), [("label", "ts2"), ("label", "ts")]),
        (SERIES + LABELS.replace('"ts"', '"ts,ts"'), [("label", "ts")]),
        (SERIES + LABELS.replace("toName", "TONAME"), [("label", "ts")]),
        ((SERIES + LABELS).replace("TimeSeries", "timeseries"), [("label", "ts")]),
        (SERIES + LABELS + '<Choices name="c" toName="ts"><Choice value="ok"/></Choices>', [("label", "ts")]),
        (SERIES + LABELS + '<TextArea name="t" toName="ts" perRegion="true"/><Relations/>', [("label", "ts")]),
        (SERIES + LABELS + '<Text name="x" value="$x"/>' + LABELS.replace('"ts"', '"x"'), [("label", "ts")]),
        (f"<!-- old: {SECOND_SERIES} -->" + SERIES + LABELS, [("label", "ts")]),
        # Nothing to learn or suggest.
        ("", []),
        (SERIES, []),
        (LABELS, []),
        (SERIES + LABELS.replace('"ts"', '"gone"'), []),
        (SERIES + LABELS.replace(' toName="ts"', ""), []),
        (SERIES + LABELS.replace(' name="label"', ""), []),
        (SERIES + '<TimeSeriesLabels name="label" toName="ts" value="$labels"/>', []),
        (SERIES + '<Labels name="label" toName="ts"><Label value="Run"/></Labels>', []),
        ('<Audio name="ts" value="$a"/>' + LABELS, []),
        ('<HyperText name="h" value="$h">' + SERIES + "</HyperText>" + LABELS, []),
    ],
)
def test_pairs_of_control_and_time_series(xml: str, pairs: list[tuple[str, str]]) -> None:
    found = read_label_config(f"<View>{xml}</View>")
    assert [(labeling.control, labeling.object) for labeling in found] == pairs


def test_time_series_without_channels_is_no_matter_where_nothing_labels_it() -> None:
    assert one('<TimeSeries name="idle" value="$x"/>' + SERIES + LABELS).object == "ts"


def pair(attributes: str, channels: str = '<Channel column="a"/>') -> str:
    return f"<View><TimeSeries {attributes}>{channels}</TimeSeries>{LABELS}</View>"


BOMB = '<!DOCTYPE v [<!ENTITY a "aaaaaaaaaa"><!ENTITY b "&a;&a;&a;&a;&a;&a;&a;&a;">]><View>&b;</View>'


@pytest.mark.parametrize(
    ("xml", "words"),
    [
        ("", ["not XML"]),
        ("label all of it", ["not XML", "label all of it"]),
        ("<View>", ["not XML"]),
        ("<View><TimeSeries></View>", ["not XML"]),
        ("<View/><View/>", ["not XML"]),
        ("<View>&nbsp;</View>", ["not XML", "entity"]),
        ('{"label": "json"}', ["not XML"]),
        (BOMB, ["DOCTYPE"]),
        ('<!DOCTYPE v SYSTEM "file:///etc/passwd"><View/>', ["DOCTYPE"]),
        (pair('name="ts" value="$csv"', channels=""), ["'ts'", "<Channel"]),
        (pair('name="ts" value="$csv" valueType="csv"'), ["valueType 'csv'"]),
        (pair('name="ts"'), ["'ts'", "no value"]),
        (pair('name="ts" value="$csv" timeFormat="%H:%M"'), ["timeFormat '%H:%M'", "timeColumn"]),
    ],
)
def test_refused_configs(xml: str, words: list[str]) -> None:
    with pytest.raises(LabelConfigError) as refused:
        read_label_config(xml)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(
    "around", ["\n  {}\n", "\ufeff{}", '<?xml version="1.0" encoding="utf-16"?>{}', "<!-- x -->{}"]
)
def test_what_may_stand_around_a_config(around: str) -> None:
    assert len(read_label_config(around.format(f"<View>{SERIES}{LABELS}</View>"))) == 1


def test_a_config_nested_ten_thousand_deep() -> None:
    depth = 10_000
    assert len(read_label_config("<View>" * depth + SERIES + LABELS + "</View>" * depth)) == 1


@pytest.mark.parametrize(
    ("name", "stored"),
    [("r", "r"), ("Run", "r"), ("Walk", "Walk"), ("run", None), ("Gone", None), ("", None)],
)
def test_the_name_results_store(name: str, stored: str | None) -> None:
    assert control(children='<Label value="Run" alias="r"/><Label value="Walk"/>').stored_label(name) == stored


@pytest.mark.parametrize(
    ("value", "data", "expected"),
    [
        ("$csv", {"csv": "/data/upload/1/x.csv"}, "/data/upload/1/x.csv"),
        ("$csv", {"csv": {"a": [1]}}, {"a": [1]}),
        ("$a.b", {"a": {"b": "x"}}, "x"),
        ("$a.b[1]", {"a": {"b": ["x", "y"]}}, "y"),
        ("$a.b", {"a.b": "flat", "a": {"b": "deep"}}, "flat"),
        ("$my-key", {"my-key": "x"}, "x"),
        ("$with space", {"with space": "x"}, "x"),
        ("https://host/$dir/$file", {"dir": "d", "file": "f.csv"}, "https://host/d/f.csv"),
        ("https://host/fixed.csv", {}, "https://host/fixed.csv"),
        ("/data/local-files/?d=x.csv", {}, "/data/local-files/?d=x.csv"),
        ("$csv", {"$undefined$": "/data/upload/1/x.csv"}, "/data/upload/1/x.csv"),
    ],
)
def test_what_a_task_holds_for_the_time_series(value: str, data: dict[str, object], expected: object) -> None:
    assert series(f'value="{value}"').task_value(data) == expected


def test_the_whole_data_of_a_task() -> None:
    assert series('valueType="json"').task_value({"a": [1, 2]}) == {"a": [1, 2]}


@pytest.mark.parametrize(
    ("data", "words"),
    [
        ({}, ["'csv'", "nothing"]),
        ({"other": "x", "CSV": "y"}, ["'csv'", "has only 'other', 'CSV'"]),
        ({"csv": None}, ["has only 'csv'"]),
        ({"csv": ""}, ["has only 'csv'"]),
        ({"csv": [{"time": 0, "a": 1}]}, ["holds a list", "{column: [values]}"]),
        ({"csv": 5}, ["holds a int"]),
    ],
)
def test_a_task_that_holds_nothing_of_use(data: dict[str, object], words: list[str]) -> None:
    with pytest.raises(RecordingError) as refused:
        series().task_value(data)
    assert all(word in str(refused.value) for word in words), refused.value

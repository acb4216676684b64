"""Recordings as they come: read as the editor reads them, and past what it stumbles over where that makes sense."""

from __future__ import annotations

import json
import math
import time
from typing import Any

import numpy as np
import pytest

from segmenter.errors import RecordingError
from segmenter.labeling import Labeling
from segmenter.recording import Recording, read_recording

NONE = math.nan


def labeling(
    channels: str = "a",
    time_column: str | None = "time",
    time_format: str | None = None,
    separator: str = ",",
    value_type: Any = "url",
) -> Labeling:
    return Labeling(
        control="label",
        object="ts",
        labels=("Run",),
        channels=tuple(channels.split("|")),
        value_key="csv",
        value_type=value_type,
        separator=separator,
        time_column=time_column,
        time_format=time_format,
    )


def assert_holds(recording: Recording, times: list[float], values: list[list[float]]) -> None:
    assert recording.times.dtype == recording.values.dtype == np.float64
    assert recording.times.tolist() == times
    np.testing.assert_array_equal(recording.values.T, values)  # one list a channel


@pytest.mark.parametrize(
    ("what", "text", "how", "times", "values"),
    [
        # Columns by name, in any case, in any order, with others between them.
        ("columns by name", "time,a\n0,1\n1,2\n", {}, [0, 1], [[1, 2]]),
        ("a header in another case than the config", "Time,A\n0,1\n1,2\n", {}, [0, 1], [[1, 2]]),
        (
            "a config in another case than the header",
            "time,a\n0,1\n1,2\n",
            {"channels": "A", "time_column": "TIME"},
            [0, 1],
            [[1, 2]],
        ),
        ("other columns between", "a,x,time\n1,9,0\n2,9,1\n", {}, [0, 1], [[1, 2]]),
        ("two channels", "time,b,a\n0,3,1\n1,4,2\n", {"channels": "a|b"}, [0, 1], [[1, 2], [3, 4]]),
        (
            "channels in the config's order, not the file's",
            "time,b,a\n0,3,1\n1,4,2\n",
            {"channels": "b|a"},
            [0, 1],
            [[3, 4], [1, 2]],
        ),
        (
            "two headers that differ in case: the one as written",
            "time,a,A\n0,1,5\n1,2,6\n",
            {"channels": "A"},
            [0, 1],
            [[5, 6]],
        ),
        ("two headers that differ in case: the other", "time,a,A\n0,1,5\n1,2,6\n", {"channels": "a"}, [0, 1], [[1, 2]]),
        ("a name with spaces", "time,Volume Flow RateRMS\n0,1\n", {"channels": "volume flow rateRMS"}, [0], [[1]]),
        ("a name that is not ASCII", "time,Größe µ\n0,1\n1,2\n", {"channels": "größe µ"}, [0, 1], [[1, 2]]),
        ("the time column as a channel", "a,time\n1,0\n2,1\n", {"channels": "time|a"}, [0, 1], [[0, 1], [1, 2]]),
        # Channels by index, in files with a header and without.
        ("a channel by index below a header", "time,a\n0,1\n1,2\n", {"channels": "1"}, [0, 1], [[1, 2]]),
        (
            "a header that is another column's index: the index wins",
            "time,x,1\n0,1,7\n1,2,8\n",
            {"channels": "1"},
            [0, 1],
            [[1, 2]],
        ),
        (
            "a header of digits that are no column's index",
            "time,x,7\n0,1,7\n1,2,8\n",
            {"channels": "7"},
            [0, 1],
            [[7, 8]],
        ),
        ("headless, time and channel by index", "0,1\n1,2\n", {"channels": "1", "time_column": "0"}, [0, 1], [[1, 2]]),
        (
            "headless, the time in the middle",
            "5,0,7\n6,1,8\n",
            {"channels": "0|2", "time_column": "1"},
            [0, 1],
            [[5, 6], [7, 8]],
        ),
        ("headless, no time column", "1,2\n3,4\n", {"channels": "0|1", "time_column": None}, [0, 1], [[1, 3], [2, 4]]),
        (
            "headless, first row like the others",
            "0,1\n1,2\n2,3\n",
            {"channels": "1", "time_column": "0"},
            [0, 1, 2],
            [[1, 2, 3]],
        ),
        ("time by index below a header", "time,a\n0,1\n1,2\n", {"time_column": "0"}, [0, 1], [[1, 2]]),
        # No time column: the row number, header and blank lines not counted.
        ("no time column: rows are counted", "a,b\n5,1\n6,2\n\n7,3\n", {"time_column": None}, [0, 1, 2], [[5, 6, 7]]),
        ("one column alone", "a\n5\n6\n", {"time_column": None}, [0, 1], [[5, 6]]),
        ("one column alone, blank lines", "a\n\n5\n\n6\n", {"time_column": None}, [0, 1], [[5, 6]]),
        (
            "one column alone, empty quotes",
            'a\n600\n""\n\x1f\n',
            {"time_column": None, "channels": "a"},
            [0, 1, 2],
            [[600, NONE, NONE]],
        ),
        # Time as plain numbers.
        ("time negative and in powers of ten", "time,a\n-1.5,1\n1e3,2\n", {}, [-1.5, 1000], [[1, 2]]),
        (
            "time in fractions of seconds since 1970",
            "time,a\n1592250751.923,1\n1592250751.924,2\n",
            {},
            [1592250751.923, 1592250751.924],
            [[1, 2]],
        ),
        ("the same time on several rows", "time,a\n0,1\n0,2\n0,3\n1,4\n", {}, [0, 0, 0, 1], [[1, 2, 3, 4]]),
        ("no time in the first row", "time,a\n,1\n1,2\n", {}, [0, 1], [[1, 2]]),
        ("one row", "time,a\n5,1\n", {}, [5], [[1]]),
        # Time by timeFormat.
        (
            "date-times with milliseconds and with tenths",
            "time,a\n2020-06-15 20:24:32.081,1\n2020-06-15 20:24:33.5,2\n",
            {"time_format": "%Y-%m-%d %H:%M:%S.%L"},
            [1592252672081, 1592252673500],
            [[1, 2]],
        ),
        (
            "times of the day",
            "time,a\n01:00:00,1\n01:00:01,2\n",
            {"time_format": "%H:%M:%S"},
            [-2208985200000, -2208985199000],
            [[1, 2]],
        ),
        ("seconds since 1970", "time,a\n12,1\n13,2\n", {"time_format": "%s"}, [12000, 13000], [[1, 2]]),
        ("milliseconds since 1970", "time,a\n12,1\n13,2\n", {"time_format": "%Q"}, [12, 13], [[1, 2]]),
        (
            "the locale's date-times in quotes",
            'time,a\n"1/2/2020, 3:04:05 PM",1\n',
            {"time_format": "%c"},
            [1577977445000],
            [[1]],
        ),
        (
            "quotes in the time format",
            'time,a\n"1970-01-02",1\n"1970-01-03",2\n',
            {"time_format": '"%Y-%m-%d"'},
            [86400000, 172800000],
            [[1, 2]],
        ),
        (
            "headless, stamps by index",
            "5,2020-06-15\n6,2020-06-16\n",
            {"channels": "0", "time_column": "1", "time_format": "%Y-%m-%d"},
            [1592179200000, 1592265600000],
            [[5, 6]],
        ),
        # Separators.
        ("separator: semicolon", "time;a\n0;1\n1;2\n", {"separator": ";"}, [0, 1], [[1, 2]]),
        ("separator: tab", "time\ta\n0\t1\n1\t2\n", {"separator": "\t"}, [0, 1], [[1, 2]]),
        ("separator: space", "time a\n0 1\n1 2\n", {"separator": " "}, [0, 1], [[1, 2]]),
        ("separator: bar", "time|a\n0|1\n1|2\n", {"separator": "|"}, [0, 1], [[1, 2]]),
        (
            "separator: space, more of them around the rows",
            " time a \n  0 1\n 1 2 \n",
            {"separator": " "},
            [0, 1],
            [[1, 2]],
        ),
        (
            "separator: tab, the header moved by one",
            "\ttime\ta\n0\t5\t1\n1\t6\t2\n",
            {"separator": "\t"},
            [5, 6],
            [[1, 2]],
        ),
        (
            "separator: tab, one too many in the header",
            "time\ta\t\n0\t1\n1\t2\n",
            {"separator": "\t"},
            [0, 1],
            [[1, 2]],
        ),
        (
            "separator: tab, empty cells at the end of a row",
            "time\ta\tb\n0\t1\t5\n\t\t\n1\t2\t\n",
            {"separator": "\t", "channels": "a|b"},
            [0, 1],
            [[1, 2], [5, NONE]],
        ),
        (
            "separator: tab, a tab before every row, columns by index",
            "\t5\t1\n\t6\t2\n",
            {"separator": "\t", "channels": "1", "time_column": "0"},
            [5, 6],
            [[1, 2]],
        ),
        (
            "a hexadecimal number without end",
            "time,a\n0,1\n1,0x" + "9" * 400 + "\n",
            {},
            [0, 1],
            [[1, NONE]],
        ),
        ("separator: auto, it is a comma", "time,a\n0,1\n1,2\n", {"separator": "auto"}, [0, 1], [[1, 2]]),
        ("separator: auto, it is a semicolon", "time;a\n0;1\n1;2\n", {"separator": "auto"}, [0, 1], [[1, 2]]),
        ("separator: auto, it is a tab", "time\ta\n0\t1\n1\t2\n", {"separator": "auto"}, [0, 1], [[1, 2]]),
        (
            "separator: auto, spaces in the stamps",
            "time,a\n01:00 1/2/2020,1\n",
            {"separator": "auto", "time_format": "%H:%M %d/%m/%Y"},
            [1580518800000],
            [[1]],
        ),
        # What may stand around and between the rows.
        ("a byte order mark", "\ufefftime,a\n0,1\n1,2\n", {}, [0, 1], [[1, 2]]),
        ("lines that end as on Windows", "time,a\r\n0,1\r\n1,2\r\n", {}, [0, 1], [[1, 2]]),
        ("lines that end as on old Macs", "time,a\r0,1\r1,2\r", {}, [0, 1], [[1, 2]]),
        ("no end of line after the last row", "time,a\n0,1\n1,2", {}, [0, 1], [[1, 2]]),
        ("blank lines between and after the rows", "time,a\n0,1\n\n1,2\n   \n\n", {}, [0, 1], [[1, 2]]),
        ("blank lines before the header", "\n\ntime,a\n0,1\n1,2\n", {}, [0, 1], [[1, 2]]),
        ("a blank line below the header", "time,a\n\n0,1\n1,2\n", {}, [0, 1], [[1, 2]]),
        # White space and quotes around names and cells.
        ("spaces before the cells", "time, a\n0, 1\n1, 2\n", {}, [0, 1], [[1, 2]]),
        ("quotes around the names", '"time","a"\n0,1\n1,2\n', {}, [0, 1], [[1, 2]]),
        ("quotes around names and cells", '"time","a"\n"0","1"\n"1","2"\n', {}, [0, 1], [[1, 2]]),
        ("separators and quotes in quotes", 'time,note,a\n0,"x, y",1\n1,"5"" pipe",2\n', {}, [0, 1], [[1, 2]]),
        ("quotes within cells", 'time,note,a\n0,5" pipe,1\n1,x"y",2\n', {}, [0, 1], [[1, 2]]),
        ("a quote that never ends", 'time,note,a\n0,"open,1\n1,y,2\n', {}, [0, 1], [[1, 2]]),
        ("doubled quotes next to a separator", 'time,note,a\n0,"a"", b",1\n1,"",2\n', {}, [0, 1], [[1, 2]]),
        ("separators in a quoted name", '"a, b",time,a\n"x, y",0,1\n,1,2\n', {"channels": "a"}, [0, 1], [[1, 2]]),
        (
            "a thousand spaces around the rows",
            "time,a\n" + " " * 1000 + "0,1\n1,2" + " " * 1000 + "\n",
            {"time_column": None},
            [0, 1],
            [[1, 2]],
        ),
        # A header of names over text, which the editor takes for a row, is a header if it names what is wanted.
        ("a header over text only", "time,a\n2020-06-15,on\n", {"time_format": "%Y-%m-%d"}, [1592179200000], [[NONE]]),
        (
            "a header in capitals over text only",
            "TIME,A\n2020-06-15,on\n",
            {"time_format": "%Y-%m-%d"},
            [1592179200000],
            [[NONE]],
        ),
        # Ragged rows.
        (
            "rows with fewer cells",
            "time,a,b\n0,1,5\n1,2\n2\n",
            {"channels": "a|b"},
            [0, 1, 2],
            [[1, 2, NONE], [5, NONE, NONE]],
        ),
        ("rows with more cells", "time,a\n0,1\n1,2,9,9\n", {}, [0, 1], [[1, 2]]),
        ("a separator after each row", "time,a\n0,1,\n1,2,\n", {}, [0, 1], [[1, 2]]),
        ("an empty name", ",a,b\n0,1,5\n", {"channels": "a|b", "time_column": None}, [0], [[1], [5]]),
        (
            "rows with fewer and with more cells",
            "time,a,b\n0,1,5\n1,2,6,9\n2,3\n",
            {"channels": "b"},
            [0, 1, 2],
            [[5, 6, NONE]],
        ),
        (
            "separator: space, a row with fewer cells",
            "time a b\n0 1 5\n 1 2\n",
            {"channels": "a|b", "separator": " "},
            [0, 1],
            [[1, 2], [5, NONE]],
        ),
        ("separator: tab, a row moved by one", "time\ta\n\t0\t1\n1\t2\n", {"separator": "\t"}, [0, 1], [[1, 2]]),
        ("all of a row in quotes", 'time,a,b,c\n0,"7,8,9"\n1,"7,8,9"\n', {"channels": "b"}, [0, 1], [[NONE, NONE]]),
        # Cells of a channel.
        ("an empty cell", "time,a\n0,\n1,2\n", {}, [0, 1], [[NONE, 2]]),
        ("a cell of white space", "time,a,b\n0, ,5\n1,2,6\n", {}, [0, 1], [[NONE, 2]]),
        (
            "words for nothing measured",
            "time,a\n0,nan\n1,NaN\n2,NA\n3,null\n4,None\n5,6\n",
            {},
            [0, 1, 2, 3, 4, 5],
            [[NONE] * 5 + [6]],
        ),
        (
            "infinities and what overflows",
            "time,a\n0,inf\n1,-Infinity\n2,1e999\n3,4\n",
            {},
            [0, 1, 2, 3],
            [[NONE] * 3 + [4]],
        ),
        ("text in a channel", "time,a\n0,off\n1,2\n", {}, [0, 1], [[NONE, 2]]),
        ("truth values", "time,a\n0,true\n1,false\n", {}, [0, 1], [[NONE, NONE]]),
        (
            "numbers as JavaScript writes them",
            "time,a\n0,1_000\n1,1e3\n2,0x10\n3,+4\n4,.5\n",
            {},
            [0, 1, 2, 3, 4],
            [[NONE, 1000, 16, 4, 0.5]],
        ),
        ("a huge and a tiny number", "time,a\n0,1e300\n1,-1e-300\n", {}, [0, 1], [[1e300, -1e-300]]),
        ("a constant channel", "time,a\n0,5\n1,5\n", {}, [0, 1], [[5, 5]]),
    ],
)
def test_a_file_is_read_as_the_editor_reads_it(
    what: str, text: str, how: dict[str, Any], times: list[float], values: list[list[float]]
) -> None:
    assert_holds(read_recording(text.encode(), labeling(**how)), times, values)


@pytest.mark.parametrize(
    ("what", "content", "how", "times", "values"),
    [
        ("columns by name", {"time": [0, 1], "a": [1, 2]}, {}, [0, 1], [[1, 2]]),
        ("keys in capitals", {"Time": [0, 1], "A": [1, 2]}, {}, [0, 1], [[1, 2]]),
        (
            "two keys that differ in case",
            {"time": [0, 1], "a": [1, 2], "A": [3, 4]},
            {"channels": "A"},
            [0, 1],
            [[3, 4]],
        ),
        ("no time column", {"a": [5, 6, 7]}, {"time_column": None}, [0, 1, 2], [[5, 6, 7]]),
        ("keys of digits", {"0": [0, 1], "1": [5, 6]}, {"channels": "1", "time_column": "0"}, [0, 1], [[5, 6]]),
        ("numbers as text", {"time": ["0", "1.5"], "a": ["1", " 2 "]}, {}, [0, 1.5], [[1, 2]]),
        ("null among whole numbers", {"time": [0, 1, 2], "a": [1, None, 3]}, {}, [0, 1, 2], [[1, NONE, 3]]),
        ("null among fractions", {"time": [0, 1, 2], "a": [1.5, None, 3.5]}, {}, [0, 1, 2], [[1.5, NONE, 3.5]]),
        ("truth values and text", {"time": [0, 1, 2], "a": [True, False, "x"]}, {}, [0, 1, 2], [[1, 0, NONE]]),
        (
            "a number beyond all floats, an object",
            {"time": [0, 1], "a": [10**400, {"b": 1}]},
            {},
            [0, 1],
            [[NONE, NONE]],
        ),
        ("stamps", {"time": ["2020-06-15"], "a": [1]}, {"time_format": "%Y-%m-%d"}, [1592179200000], [[1]]),
        ("milliseconds since 1970", {"time": [1592252672081], "a": [1]}, {"time_format": "%Q"}, [1592252672081], [[1]]),
        ("keys that are no columns", {"time": [0], "a": [1], "unit": "bar", "n": 3, "empty": []}, {}, [0], [[1]]),
        ("lists nobody asked for", {"t": [[0], [1]], "a": [1, 2]}, {"time_column": None}, [0, 1], [[1, 2]]),
    ],
)
@pytest.mark.parametrize("form", ["object", "text", "file", "file with a mark"])
def test_json_comes_in_several_forms(
    what: str, content: dict[str, Any], how: dict[str, Any], times: list[float], values: list[list[float]], form: str
) -> None:
    text = json.dumps(content)
    read = {
        "object": lambda: read_recording(content, labeling(**how, value_type="json")),
        "text": lambda: read_recording(text, labeling(**how, value_type="json")),
        "file": lambda: read_recording(text.encode(), labeling(**how)),
        "file with a mark": lambda: read_recording(b"\xef\xbb\xbf\n" + text.encode(), labeling(**how)),
    }
    assert_holds(read[form](), times, values)


HTML = "\n<!DOCTYPE html>\n<html><body>Please log in</body></html>"


@pytest.mark.parametrize(
    ("what", "content", "how", "words"),
    [
        ("zero bytes", b"", {}, ["empty"]),
        ("a byte order mark and nothing else", b"\xef\xbb\xbf", {}, ["empty"]),
        ("blank lines", b" \n\t\n", {}, ["blank lines"]),
        ("a header alone", b"time,a", {}, ["header", "'time,a'", "no rows"]),
        ("a header and blank lines", b"time,a\n\n \n", {}, ["header", "no rows"]),
        ("a web page", HTML.encode(), {}, ["starts with '<!DOCTYPE html>", "url"]),
        ("the start of a web page", b"<html>", {}, ["starts with '<html>'"]),
        (
            "an XML error",
            b'<?xml version="1.0"?><Error>AccessDenied</Error>',
            {},
            ["starts with '<?xml", "AccessDenied"],
        ),
        ("all bytes there are", bytes(range(256)), {}, ["binary", "00 01 02"]),
        ("an Excel workbook", b"PK\x03\x04rest", {}, ["zip archive or an Excel workbook"]),
        ("a gzip archive", b"\x1f\x8brest", {}, ["gzip"]),
        ("a Parquet file", b"PAR1rest", {}, ["Parquet"]),
        ("an image", b"\xff\xd8\xff\xe0", {}, ["image"]),
        ("a zero byte in the middle", b"time,a\n0,1\n1,\x002\n", {}, ["binary"]),
        ("another separator, the default asked for", b"time;a\n0;1\n", {}, ["'time', 'a'", "'time;a'", "','", "sep"]),
        (
            "another separator, a semicolon asked for",
            b"time\ta\n0\t1\n",
            {"separator": ";"},
            ["'time', 'a'", "';'", "sep"],
        ),
        (
            "another separator, commas in the numbers",
            b"time;a\n0;1,5\n",
            {},
            ["no column 'time', 'a'", "'time;a'", "sep"],
        ),
        ("no such channel", b"time,b\n0,1\n", {}, ["no column 'a'", "'time', 'b'"]),
        ("no such time column", b"t,a\n0,1\n", {}, ["no column 'time'", "'t', 'a'"]),
        ("three columns missing", b"t,b\n0,1\n", {"channels": "a|c"}, ["no column 'time', 'a', 'c'"]),
        ("a channel's index beyond the columns", b"t,a\n0,1\n", {"channels": "2"}, ["'time', '2'"]),
        ("no header", b"0,1\n1,2\n", {}, ["no column 'time', 'a'", "first line '0,1' is no header"]),
        (
            "no header, an index beyond the columns",
            b"0,1\n1,2\n",
            {"channels": "7", "time_column": "0"},
            ["no column '7'", "first line '0,1'"],
        ),
        (
            "more columns than a message lists",
            b"c0,c1,c2,c3,c4,c5,c6,c7,c8,c9\n" + b"1," * 9 + b"1\n",
            {"time_column": None},
            ["'c7' and 2 more"],
        ),
        ("a long name in a message", b"x" * 300 + b",time\n1,2\n", {}, ["xxx...'"]),
        ("a comment before the header", b"# made by X\ntime,a\n0,1\n", {}, ["# made by X"]),
        ("more cells than names", b"time,a\n0,1,5\n", {}, ["names 2 columns", "'time,a'", "3 cells", "'0,1,5'"]),
        ("time descends", b"time,a\n0,1\n2,2\n1,3\n", {}, ["'time' descends at row 3", "from 2 to 1", "sort"]),
        ("one name, two cells", b"time\n0;1\n", {"separator": ";"}, ["names 1 columns", "2 cells", "sep"]),
        (
            "stamps descend",
            b"time,a\n2020-06-15,1\n2020-06-14,2\n",
            {"time_format": "%Y-%m-%d"},
            ["descends at row 2", "from '2020-06-15' to '2020-06-14'"],
        ),
        (
            "stamps without a time format",
            b"time,a\n2020-06-15,1\n2020-06-16,2\n",
            {},
            ["row 1", "'2020-06-15'", "timeFormat"],
        ),
        (
            "stamps in another format",
            b"time,a\n2020-06-15,1\n2020-06-16,2\n",
            {"time_format": "%d/%m/%Y"},
            ["'2020-06-15'", "timeFormat '%d/%m/%Y'"],
        ),
        ("text in the time column", b"time,a\n0,1\nx,2\n2,3\n", {}, ["row 2", "'time'", "'x'"]),
        ("a hole in the time column", b"time,a\n5,1\n,2\n7,3\n", {}, ["row 2", "nothing"]),
        ("infinity in the time column", b"time,a\n5,1\ninf,2\n", {}, ["row 2", "'inf'"]),
        ("a time of 400 digits", b"time,a\n0,1\n" + b"9" * 400 + b",2\n", {}, ["row 2", "'9999"]),
        ("JSON cut off", b'{"time": [0], "a": [1', {}, ["not JSON", "begins with"]),
        ("JSON with an error in it", b'{"error": "not found"}', {}, ["no list under 'time', 'a'", "'error'"]),
        ("JSON without a channel", b'{"time": [0]}', {}, ["no list under 'a'"]),
        ("JSON columns of unequal length", b'{"time": [0, 1], "a": [1]}', {}, ["'time' 2", "'a' 1"]),
        ("JSON columns without values", b'{"time": [], "a": []}', {}, ["no values"]),
        ("JSON, time descends", b'{"time": [1, 0], "a": [1, 2]}', {}, ["descends at row 2", "from 1 to 0"]),
        ("JSON, text in the time column", b'{"time": [0, "x"], "a": [1, 2]}', {}, ["row 2", "'x'"]),
        ("JSON, an empty object", b"{}", {}, ["no list under", "nothing"]),
        (
            "JSON records instead of columns",
            b'[{"time": 0, "a": 1}]',
            {"value_type": "json"},
            ["list", "{column: [values]}"],
        ),
        ("JSON, a text", b'"text"', {"value_type": "json"}, ["str"]),
        ("CSV where JSON was promised", b"time,a\n0,1\n", {"value_type": "json"}, ["not JSON", "'time,a", "valueType"]),
        (
            "an address where JSON was promised",
            b"https://a:b@host/x.csv?sig=c",
            {"value_type": "json"},
            ["begins with 'https':", "for a url set valueType"],
        ),
        ("nothing where JSON was promised", b"", {"value_type": "json"}, ["not JSON"]),
        ("a hundred thousand brackets", b"[" * 100_000, {"value_type": "json"}, ["not JSON"]),
    ],
)
def test_what_cannot_be_read_says_what_is_there_instead(
    what: str, content: bytes, how: dict[str, Any], words: list[str]
) -> None:
    with pytest.raises(RecordingError) as refused:
        read_recording(content, labeling(**how))
    message = str(refused.value)
    assert all(word in message for word in words), message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("text", "remarks"),
    [
        ("time,a\n0,1\n1,2\n", []),
        ("time,a\n0,\n1,nan\n2,3\n", []),
        ("time,a\n0,off\n1,on\n2,3\n", [["'a'", "2 of 3 rows", "'off'"]]),
        ("time,a\n0,NA\n1,\n2,inf\n3,-\n4,null\n", [["'a'", "1 of 5 rows", "'-'"]]),
        ("time,a\n0,1\n1,2,3\n", [["1 of 2 rows", "more than 2 cells"]]),
        ("time,a\n0,1\n1\n2\n", [["2 of 3 rows", "fewer than 2 cells"]]),
        ('time,a\n0,"x"\n1\n', [["fewer"], ["'a'", "'x'"]]),
        ('{"time": [0, 1], "a": ["off", []]}', [["'a'", "2 of 2 rows", "'off'"]]),
        ("time,a\n" + "0," + "x" * 500 + "\n", [["xxx...'"]]),
    ],
)
def test_what_was_bridged_is_told(text: str, remarks: list[list[str]]) -> None:
    told = read_recording(text, labeling()).remarks
    assert len(told) == len(remarks)
    assert all(word in remark for remark, words in zip(told, remarks, strict=True) for word in words), told


def test_text_far_down_a_long_file_is_counted_in_the_channel_that_has_it() -> None:
    lines = [f"{row},{row / 2},{row}" for row in range(140_000)]
    lines[1_000] = "1000,broken,1000"
    lines[139_000] = "139000,broken,"
    recording = read_recording("\n".join(["time,a,b", *lines]).encode(), labeling("b|a"))
    assert recording.values.shape == (140_000, 2)
    assert np.flatnonzero(np.isnan(recording.values[:, 1])).tolist() == [1_000, 139_000]
    assert recording.remarks == ("channel 'a' has text in 2 of 140000 rows, as 'broken', taken as no value",)


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig"])
def test_a_file_with_a_byte_order_mark(encoding: str) -> None:
    assert_holds(read_recording("time,ä\n0,1\n1,2\n".encode(encoding), labeling("ä")), [0, 1], [[1, 2]])


def test_bytes_that_are_no_utf8_spoil_only_the_cells_they_are_in() -> None:
    assert_holds(read_recording(b"time,note,a\n0,caf\xe9,1\n1,x,2\n", labeling()), [0, 1], [[1, 2]])


@pytest.mark.parametrize("separator", [",", "\t"])
@pytest.mark.parametrize("filling", ["x", " ", '"', "9", '"\t,'])
def test_one_cell_of_a_megabyte_costs_neither_time_nor_memory(filling: str, separator: str) -> None:
    long = filling * (1_000_000 // len(filling))
    lines = [f"{row}{separator}{row}" for row in range(20_000)]
    lines.insert(10_000, separator.join(["9999.5", long]))
    lines.insert(15_000, separator.join([long, "1"]))
    start = time.process_time()
    with pytest.raises(RecordingError, match=r"time column .* row 1500[12]|row 15001 of the time column"):
        read_recording("\n".join([f"time{separator}a", *lines]), labeling(separator=separator))
    assert time.process_time() - start < 3


def test_text_that_is_no_unicode() -> None:
    with pytest.raises(RecordingError, match="no list under"):
        read_recording('{"\ud800": [1]}', labeling(value_type="json"))


def test_numbers_are_read_to_the_last_digit() -> None:
    random = np.random.default_rng(0)
    numbers = np.sort(random.uniform(0, 2e9, 2_000))
    text = "time,a\n" + "".join(f"{number!r},1\n" for number in numbers.tolist())
    assert read_recording(text, labeling()).times.tolist() == numbers.tolist()


def test_what_a_recording_carries() -> None:
    recording = read_recording("time,a,b\n2020,1,2\n", labeling("b|A", time_format="%Y"))
    assert (recording.channels, recording.axis.column, recording.axis.format) == (("b", "A"), "time", "%Y")
    assert len(recording) == 1


@pytest.mark.parametrize("time_format", [None, "%Y-%m-%d %H:%M:%S.%L"])
def test_two_hundred_thousand_rows_take_less_than_two_seconds(time_format: str | None) -> None:
    rows = np.arange(200_000)
    stamps = np.datetime_as_string(np.datetime64("2020-06-15T20:24:32.000") + rows * np.timedelta64(20, "ms"))
    shown = [stamp.replace("T", " ") for stamp in stamps.tolist()] if time_format else rows.tolist()
    text = "time,a,b\n" + "".join(f"{stamp},{row}.25,-{row}\n" for row, stamp in enumerate(shown))
    content, start = text.encode(), time.process_time()
    recording = read_recording(content, labeling("a|b", time_format=time_format))
    assert time.process_time() - start < 2
    assert np.diff(recording.times).min() == np.diff(recording.times).max() == (20 if time_format else 1)

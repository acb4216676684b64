"""Stamps and numbers. What d3 makes of a stamp was taken down from d3-time-format itself, as the editor ships it."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from segmenter.errors import RecordingError
from segmenter.jsnumber import js_text
from segmenter.timeaxis import TimeAxis

NAN = math.nan
NUMBERS = TimeAxis("t")
MONDAY = 1592252672081  # 2020-06-15 20:24:32.081 UTC


def stamps(pattern: str) -> TimeAxis:
    return TimeAxis("t", pattern)


@pytest.mark.parametrize(
    ("pattern", "text", "milliseconds"),
    [
        ("%Y-%m-%d %H:%M:%S", "2020-06-15 20:24:32", 1592252672000),
        ("%Y-%m-%d %H:%M:%S.%L", "2020-06-15 20:24:32.081", MONDAY),
        ("%Y-%m-%dT%H:%M:%S.%LZ", "2020-06-15T20:24:32.081Z", MONDAY),
        ("%Y-%m-%dT%H:%M:%S%Z", "2020-06-15T20:24:32Z", 1592252672000),
        ("%Y-%m-%dT%H:%M:%S%Z", "2020-06-15T20:24:32+02", 1592245472000),
        ("%Y-%m-%dT%H:%M:%S%Z", "2020-06-15T20:24:32+02:00", 1592245472000),
        ("%Y-%m-%d %H:%M %Z", "2020-06-15 20:24 -0530", 1592272440000),
        ("%H:%M:%S.%f", "00:00:01.123456", -2208988798877),
        ("%Q", "1592250751923", 1592250751923),
        ("%s", "1592250751", 1592250751000),
        ("%s.%L", "1592250751.923", 1592250751923),
        ("%e %B %Y", " 5 June 2020", 1591315200000),
        ("%d %b %y", "05 jun 20", 1591315200000),
        ("%y", "69", -31536000000),
        ("%y", "68", 3092601600000),
        ("%j %Y", "167 2020", 1592179200000),
        ("%j/%Y", "366/2019", 1577836800000),
        ("%I:%M %p", "12:05 AM", -2208988500000),
        ("%I:%M %p", "12:05 pm", -2208945300000),
        ("%H:%M:%S", "00:00:00", -2208988800000),
        ("%H:%M:%S", "23:59:59", -2208902401000),
        ("%M:%S", "59:59", -2208985201000),
        ("%m/%d/%Y", "6/5/2020", 1591315200000),
        ("%m/%d/%Y", "02/31/2020", 1583107200000),
        ("%Y-%m-%d", "2020-13-01", 1609459200000),
        ("%H:%M", "25:61", -2208895140000),
        ("%A, %d. %B %Y", "Monday, 15. June 2020", 1592179200000),
        ("%a %d %b %Y", "Tue 15 Jun 2020", 1592179200000),
        ("%Y %U %w", "2020 24 1", 1592179200000),
        ("%Y %W %u", "2020 24 7", 1592697600000),
        ("%Y-W%V-%w", "2020-W25-1", 1592179200000),
        ("%G-W%V", "2020-W01", 1577664000000),
        ("%Y-Q%q", "2020-Q3", 1593561600000),
        ("%x", "6/15/2020", 1592179200000),
        ("%X", "8:24:32 PM", -2208915328000),
        ("%c", "6/15/2020, 8:24:32 PM", 1592252672000),
        ("%-d.%-m.%Y", "5.6.2020", 1591315200000),
        ("%_d.%_m.%Y", " 5. 6.2020", 1591315200000),
        ("%0d/%0m/%Y", "05/06/2020", 1591315200000),
        ("%Y%m%d", "20200615", 1592179200000),
        ("%d.%m.%Y %H:%M", "15.06.2020 20:24", 1592252640000),
        ("100%% %Y", "100% 2020", 1577836800000),
        ("%Y年%m月%d日", "2020年06月15日", 1592179200000),
        ("%Y", "0099", -59042995200000),
        ("%Y", "9999", 253370764800000),
        ("%Y-%m-%d", "0004-02-29", -62035804800000),
    ],
)
def test_a_stamp_means_what_d3_says(pattern: str, text: str, milliseconds: float) -> None:
    assert stamps(pattern).read_bound(text) == milliseconds


@pytest.mark.parametrize(
    ("pattern", "text"),
    [
        ("%Y-%m-%d", "2020-06-15 20:24"),
        ("%Y-%m-%d %H:%M", "2020-06-15"),
        ("%Y-%m-%d", "15.06.2020"),
        ("%Y-%m-%d", "2020-06-15x"),
        ("%Y-%m-%d", "2020-06-15\0"),
        ("%Q", "0" * 256 + "5"),
        ("%z", "+0200"),
        ("%Y", "year"),
        ("%Q", "-5"),
        ("%Q", "9999999999999999"),
        ("%B", "Juny"),
        ("%p", "xm"),
        ("%V %Y", "54 2020"),
        ("%Y%", "2020"),
        ("%E", "E"),
        ("%Y-%m-%d", "٢٠٢٠-٠٦-١٥"),
    ],
)
def test_a_stamp_that_d3_refuses(pattern: str, text: str) -> None:
    with pytest.raises(ValueError, match="is not a number or a stamp in the format"):
        stamps(pattern).read_bound(text)


def test_a_digit_of_the_format_itself_has_to_be_there_in_each_stamp() -> None:
    times = stamps("20%y").read_bounds(["1920", "2020", "2021", "2120"])
    np.testing.assert_array_equal(times, [NAN, 1577836800000, 1609459200000, NAN])


@pytest.mark.parametrize(
    ("pattern", "milliseconds", "text"),
    [
        ("%Y-%m-%d %H:%M:%S", MONDAY, "2020-06-15 20:24:32"),
        ("%Y-%m-%d %H:%M:%S.%L", MONDAY, "2020-06-15 20:24:32.081"),
        ("%a %A %b %B", MONDAY, "Mon Monday Jun June"),
        ("%d|%e|%-d|%_m|%0m", MONDAY, "15|15|15| 6|06"),
        ("%f", MONDAY, "081000"),
        ("%g %G %V", MONDAY, "20 2020 25"),
        ("%H %I %p", MONDAY, "20 08 PM"),
        ("%j", MONDAY, "167"),
        ("%-L %_L", MONDAY, "81  81"),
        ("%q %Q %s", MONDAY, "2 1592252672081 1592252672"),
        ("%u %U %w %W", MONDAY, "1 24 1 24"),
        ("%x %X %c", MONDAY, "6/15/2020 8:24:32 PM 6/15/2020, 8:24:32 PM"),
        ("%y %Y", MONDAY, "20 2020"),
        ("%Z %%", MONDAY, "+0000 %"),
        ("%E", MONDAY, "E"),
        ("%I:%M %p", 0, "12:00 AM"),
        ("%H:%M", -60000, "23:59"),
        ("%Y", -62198755200000, "-0001"),
        ("%Y-%m-%d", 253402300800000, "0000-01-01"),
        ("%s", -1, "-1"),
        ("%L", -1, "999"),
        ("%V %G", 1609459200000, "53 2020"),
        ("%e", 345600000, " 5"),
    ],
)
def test_a_time_is_written_as_d3_writes_it(pattern: str, milliseconds: float, text: str) -> None:
    assert stamps(pattern).write_bound(float(milliseconds)) == text


@pytest.mark.parametrize(
    ("pattern", "cells", "milliseconds"),
    [
        ("%Y-%m-%d %H:%M:%S", ["2020-06-15 20:24:32", "2020-06-15 20:24:33"], [1592252672000, 1592252673000]),
        # The first fraction is filled up to three digits.
        (
            "%H:%M:%S.%L",
            ["00:00:01.5", "00:00:01.52", "00:00:02.123"],
            [-2208988798500, -2208988798480, -2208988797877],
        ),
        ("%Y-%m-%dT%H:%M:%S.%L%Z", ["2020-06-15T20:24:32.5+00:00"], [1592252672500]),
        # %f is read as milliseconds, six digits are cut to three.
        ("%H:%M:%S.%f", ["00:00:01.12", "00:00:01.123456"], [-2208988798880, -2208988798877]),
        ("%Y-%m-%d %H:%M:%S.%f", ["2020-06-15 20:24:32.081500"], [MONDAY]),
        # Numbers of a JSON list are read by the digits JavaScript gives them, fractions as they are.
        ("%Q", [1592250751923, 1592250751923.0], [1592250751923, 1592250751923]),
        ("%s", [12, 12.0], [12000, 12000]),
        ("%s.%L", [1592250751.9], [1592250751009]),
        ("%Y", [2020, "2021"], [1577836800000, 1609459200000]),
        ("%H%M", ["0905"], [-2208956100000]),
        # What fractions spoil for the editor is read as it stands.
        ("%d.%m.%Y %H:%M", ["15.06.2020 20:24", "15.06.2020 20:25"], [1592252640000, 1592252700000]),
        ("%Y-%m-%dT%H:%M:%S.%LZ", ["2020-06-15T20:24:32.081Z"] * 2, [MONDAY, MONDAY]),
        ("%Y-%m-%d", ['"2020-06-15"', " 2020-06-16 "], [1592179200000, 1592265600000]),
        # A stamp that does not fit is 1970 for the editor, where the order bears it.
        ("%Y-%m-%d", ["[date]", "2020-06-15", "2020-06-16"], [0, 1592179200000, 1592265600000]),
        ("%Q", [None, 5, 6], [0, 5, 6]),
    ],
)
def test_a_column_of_stamps(pattern: str, cells: list[Any], milliseconds: list[float]) -> None:
    assert stamps(pattern).read_column(cells).tolist() == milliseconds


@pytest.mark.parametrize(
    ("pattern", "cells", "milliseconds"),
    [
        # In CSV whatever looks like a number has become one before its stamp is read.
        ("%s", [b"1592250751", b"1592250752"], [1592250751000, 1592250752000]),
        ("%Q", [b"1592250751923", b"1592250751924.0"], [1592250751923, 1592250751924]),
        ("%s.%L", [b"1592250751.9", b"1592250751.91"], [1592250751009, 1592250751091]),
        ("%H%M", [b"0905", b"1005"], [-2208956100000, -2208952500000]),
        ("%Y", [b"2020", b"2021"], [1577836800000, 1609459200000]),
        ("%Q", [b"", b"5"], [0, 5]),
        ("%Y\u5e74", ["2020\u5e74".encode(), "2021\u5e74".encode()], [1577836800000, 1609459200000]),
    ],
)
def test_raw_cells_of_a_csv_file(pattern: str, cells: list[bytes], milliseconds: list[float]) -> None:
    assert stamps(pattern).read_column(np.array(cells)).tolist() == milliseconds


def test_a_column_of_many_shapes_is_read_like_each_of_its_cells() -> None:
    axis = stamps("%-d %B %Y %-I:%M %p")
    times = np.arange(0, 3_000, 7) * 3_600_000.0 * 24 + 1592252640000.0
    cells = [str(axis.write_bound(time)) for time in times]
    assert len({len(cell) for cell in cells}) > 5
    assert axis.read_column(cells).tolist() == [axis.read_bound(cell) for cell in cells] == times.tolist()


@pytest.mark.parametrize(
    ("number", "text"),
    [
        (0.0, "0"),
        (-0.0, "0"),
        (5.0, "5"),
        (-0.25, "-0.25"),
        (1592250751.9, "1592250751.9"),
        (0.000001, "0.000001"),
        (-0.0000125, "-0.0000125"),
        (0.0000001, "1e-7"),
        (1.5e-7, "1.5e-7"),
        (123456789012345680000.0, "123456789012345680000"),
        (1e20, "100000000000000000000"),
        (1e21, "1e+21"),
        (1.5e300, "1.5e+300"),
    ],
)
def test_numbers_are_written_as_javascript_writes_them(number: float, text: str) -> None:
    assert js_text(number) == text


@pytest.mark.parametrize(
    ("cells", "numbers"),
    [
        ([1, 2.5, 3], [1, 2.5, 3]),
        (["1", " 2 ", '"3"'], [1, 2, 3]),
        (["9", "10"], [9, 10]),
        ([None, 1, 2], [0, 1, 2]),
        (["", "1"], [0, 1]),
        (["1e3", "0x7D0", "+2.5e3"], [1000, 2000, 2500]),
        ([-5, -5, 0], [-5, -5, 0]),
        ([1592250751.923, 1592250751.924], [1592250751.923, 1592250751.924]),
        (np.array([b"1592250751.923", b".5e10"]), [1592250751.923, 5e9]),
        (np.array([b"", b"1"]), [0, 1]),
        (np.array([b" 1", b'"2"', b"3"]), [1, 2, 3]),
    ],
)
def test_a_column_of_numbers(cells: Any, numbers: list[float]) -> None:
    assert NUMBERS.read_column(cells).tolist() == numbers


@pytest.mark.parametrize(
    ("axis", "cells", "words"),
    [
        (NUMBERS, ["2020-06-15", "2020-06-16"], ["row 1", "'t'", "'2020-06-15'", "timeFormat"]),
        (NUMBERS, ["1", "x", "3"], ["row 2", "'x'"]),
        (NUMBERS, [1, 2, None, 4], ["row 3", "'null'"]),
        (NUMBERS, ["1", "", "3"], ["row 2", "nothing"]),
        (NUMBERS, ["1", "1_0"], ["row 2", "'1_0'"]),
        (NUMBERS, ["1", "1,5"], ["row 2", "'1,5'"]),
        (NUMBERS, ["1", "NaN"], ["row 2", "'NaN'"]),
        (NUMBERS, [1.0, math.inf], ["row 2", "'inf'"]),
        (NUMBERS, [math.inf, math.inf, -math.inf], ["row 1", "'inf'"]),
        (NUMBERS, [1, [2]], ["row 2", "'[2]'"]),
        (NUMBERS, np.array([b"1", b"x"]), ["row 2", "'x'"]),
        (stamps("%Y-%m-%d"), ["15/06/2020", "16/06/2020"], ["row 1", "'15/06/2020'", "timeFormat '%Y-%m-%d'"]),
        (stamps("%Y-%m-%d"), ["2020-06-15", "2020-06-16", "?", "2020-06-18"], ["row 3", "'?'"]),
        (stamps("%Y-%m-%d"), ["2020-06-15", None, "2020-06-18"], ["row 2", "'null'"]),
        (stamps("%Y-%m-%d"), [1592252672081, 1592252672082], ["row 1", "'1592252672081'"]),
        (stamps("%Y-%m-%d"), ["x" * 200, "y"], ["row 1", "..."]),
        (stamps("%Q"), ["a", "b"], ["row 1"]),
    ],
)
def test_a_column_that_cannot_be_read(axis: TimeAxis, cells: Any, words: list[str]) -> None:
    with pytest.raises(RecordingError) as refused:
        axis.read_column(cells)
    assert all(word in str(refused.value) for word in words), refused.value


@pytest.mark.parametrize(
    ("axis", "bound", "time"),
    [
        (TimeAxis(), 5, 5),
        (TimeAxis(), 99.5, 99.5),
        (TimeAxis(), "17", 17),
        (NUMBERS, 12.5, 12.5),
        (NUMBERS, "-1e3", -1000),
        (stamps("%Y-%m-%d"), 1592179200000, 1592179200000),
        (stamps("%Q"), "17", 17),
        (stamps("%s"), 17, 17),
        (stamps("%H:%M:%S.%L"), "00:00:01.123", -2208988798877),
        (stamps("%H:%M:%S.%L"), "00:00:01.5", -2208988798995),
        (stamps("%H:%M:%S.%f"), "00:00:01.123000", -2208988798877),
        (TimeAxis(None, "%Y-%m-%d %H:%M:%S.%L"), "1970-01-01 00:00:00.099", 99),
        (TimeAxis(None, "%Y-%m-%d %H:%M:%S.%L"), 99, 99),
    ],
)
def test_a_bound_is_text_or_a_number(axis: TimeAxis, bound: Any, time: float) -> None:
    assert axis.read_bound(bound) == time


def test_many_bounds_at_once() -> None:
    bounds = ["2020-06-15", 1592179200000, None, "15.06.2020", "1970-01-02", [], True]
    read = stamps("%Y-%m-%d").read_bounds(bounds)
    np.testing.assert_array_equal(read, [1592179200000, 1592179200000, NAN, NAN, 86_400_000, NAN, NAN])
    np.testing.assert_array_equal(NUMBERS.read_bounds(["1", 2, "x", 2.5]), [1, 2, NAN, 2.5])
    assert NUMBERS.read_bounds([]).tolist() == stamps("%Y").read_bounds([]).tolist() == []


@pytest.mark.parametrize("bound", [None, True, "", "  ", [], {}, math.nan, math.inf, 10**400, "x", "NaN", "1,5"])
@pytest.mark.parametrize("axis", [NUMBERS, stamps("%Y-%m-%d")])
def test_what_is_no_bound(axis: TimeAxis, bound: Any) -> None:
    with pytest.raises(ValueError, match="is not a number"):
        axis.read_bound(bound)


@pytest.mark.parametrize(
    ("axis", "time", "written"),
    [
        (TimeAxis(), 99.0, "99"),
        (NUMBERS, 12.5, "12.5"),
        (NUMBERS, 40.0, "40"),
        (NUMBERS, -0.0, "0"),
        (NUMBERS, 1e300, "1e+300"),
        (NUMBERS, 1592250751.923, "1592250751.923"),
        (TimeAxis(None, "%H:%M:%S.%L"), 99.0, "99"),
        (stamps("%s"), 17000.0, "'17'"),
        (stamps("%Q"), np.float64(17), "'17'"),
    ],
)
def test_what_an_annotation_would_hold(axis: TimeAxis, time: float, written: str) -> None:
    assert repr(axis.write_bound(time)) == written


@pytest.mark.parametrize(
    ("axis", "step"),
    [
        (TimeAxis(), 0),
        (NUMBERS, 0),
        (TimeAxis(None, "%H:%M:%S.%L"), 0),
        (stamps("%Y-%m-%d %H:%M:%S.%L"), 1),
        (stamps("%H:%M:%S.%f"), 1),
        (stamps("%Q"), 1),
        (stamps("%s"), 1000),
        (stamps("%s.%L"), 1),
        (stamps("%Y-%m-%d %H:%M:%S"), 1000),
        (stamps("%c"), 1000),
        (stamps("%H:%M"), 60_000),
        (stamps("%-I %p"), 3_600_000),
        (stamps("%x"), 86_400_000),
        (stamps("%j %Y"), 86_400_000),
        (stamps("%Y-W%V"), 7 * 86_400_000),
        (stamps("%b %Y"), 28 * 86_400_000),
        (stamps("%Y"), 365 * 86_400_000),
    ],
)
def test_the_smallest_step_a_format_tells_apart(axis: TimeAxis, step: float) -> None:
    assert axis.resolution() == step

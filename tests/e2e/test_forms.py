"""Forms of recordings and configs: the editor draws suggestions where they belong, and its regions come back."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from demo.training import wait_for_version
from segmenter.labeling import read_label_config
from segmenter.pipeline import Task, read_task
from segmenter.regions import State
from tests.e2e.browser import Browser, EditorRegion
from tests.e2e.conftest import TRAIN_WITHIN, Pair
from tests.e2e.forms import COLOURS, FORMS, SHOWN, VALUE_KEY, Form
from tests.e2e.stories import PEAK, ROWS, STORIES, Content, Span

DRAWN_ROWS = (205, 228)  # where nothing happens
_OFF = 3  # rows by which a suggestion may miss the story
_PIXEL = 0.0012  # of a plot's width
_WITHIN = 30.0  # seconds


@dataclass(frozen=True)
class FormProject:
    """A project in one form, of which all recordings are annotated but the last: `task`, holding `data`."""

    id: int
    task: int
    data: Mapping[str, Any]


@pytest.fixture(scope="module")
def projects(pair: Pair, hasty_backend: str) -> dict[str, FormProject]:
    """By the form's name. All are made at once, so that the backend trains for one while another is looked at."""
    return {form.name: _make_project(pair, hasty_backend, form) for form in FORMS}


@pytest.fixture
def watched(request: pytest.FixtureRequest, chromium: Browser, screenshot: Path) -> Iterator[Browser]:
    """The browser; what it shows when the test fails is kept as a picture."""
    failed = request.session.testsfailed
    yield chromium
    if request.session.testsfailed > failed:
        chromium.save_screenshot(screenshot)


@pytest.mark.parametrize("form", FORMS, ids=lambda form: form.name)
def test_what_is_suggested_and_what_is_drawn_by_hand_are_the_same_rows_to_editor_and_backend(
    pair: Pair, hasty_backend: str, projects: dict[str, FormProject], watched: Browser, form: Form
) -> None:
    project = projects[form.name]
    suggested = _suggested(pair, hasty_backend, form, project)
    _assert_tells(form.story(len(STORIES) - 1), suggested)

    watched.open_task(project.id, project.task)
    watched.wait_until_steady()
    _assert_shown(form, watched, suggested)

    drawn = _draw(form, watched)
    _assert_shown(form, watched, [*suggested, drawn])

    watched.submit()
    annotation = _submitted(pair, project.task)
    assert sorted(map(form.stored_span, annotation["result"]), key=_place) == [*suggested, drawn]
    assert _rows_read(pair, form, project, annotation) == _rows(form, [*suggested, drawn])


def _make_project(pair: Pair, backend: str, form: Form) -> FormProject:
    studio = pair.studio
    project = studio.project_with(form.name, form.config)
    data = _task_data(pair, project, [form.recording(number) for number in range(len(STORIES))])
    annotated = [
        {"data": values, "annotations": [{"result": form.annotation(number)}]}
        for number, values in enumerate(data[:-1])
    ]
    studio.import_tasks(project, [*annotated, {"data": data[-1]}])
    studio.start_training(studio.connect(project, backend, "segmenter"))
    return FormProject(project, studio.tasks(project)[-1].id, data[-1])


def _task_data(pair: Pair, project: int, contents: Sequence[Content]) -> list[dict[str, Any]]:
    """Files are uploaded, and the tasks hold their addresses."""
    files = {
        f"recording-{number}.{_ending(content)}": content
        for number, content in enumerate(contents)
        if isinstance(content, bytes)
    }
    values = pair.studio.upload(project, files) if files else contents
    return [{VALUE_KEY: value} for value in values]


def _ending(content: bytes) -> str:
    return "json" if content.startswith(b"{") else "csv"


def _suggested(pair: Pair, backend: str, form: Form, project: FormProject) -> list[Span]:
    """What Label Studio has as suggestions for the project's last recording."""
    version = wait_for_version(backend, project.id, TRAIN_WITHIN)
    pair.studio.retrieve_predictions(project.id, [project.task])
    (task,) = (task for task in pair.studio.tasks(project.id) if task.id == project.task)
    return sorted(map(form.stored_span, task.suggested(version)), key=_place)


def _assert_tells(story: Sequence[Span], suggested: Sequence[Span]) -> None:
    """Each suggestion is about something that happened, and nothing is missing: it is no right answer by accident."""
    assert [span.kind for span in suggested] == [span.kind for span in story]
    for span, happened in zip(suggested, story, strict=True):
        assert abs(span.first - happened.first) <= _OFF
        assert abs(span.last - happened.last) <= _OFF


def _assert_shown(form: Form, browser: Browser, spans: Sequence[Span]) -> None:
    """The editor holds these spans and no other, at their time to the digit, and draws them so in every plot."""
    plots = browser.plots(marks=sum(form.object(span.kind) == object for span in spans for object in form.plots))
    assert len(plots) == len(form.plots)
    for plot, object in zip(plots, form.plots, strict=True):
        visible = [span for span in spans if form.object(span.kind) == object]
        assert [mark.colour for mark in plot.marks] == [_rgba(span) for span in visible]
        for mark, span in zip(plot.marks, visible, strict=True):
            assert mark.start == pytest.approx(_part(form, span.first), abs=_PIXEL)
            assert mark.end == pytest.approx(_part(form, span.last), abs=_PIXEL * (2 if span.kind == PEAK else 1))
    assert sorted(browser.regions(), key=lambda region: region.start) == [_region(form, span) for span in spans]


def _region(form: Form, span: Span) -> EditorRegion:
    name, label = form.labels[span.kind]
    return EditorRegion(name, (label,), form.clock.axis(span.first), form.clock.axis(span.last), span.kind == PEAK)


def _rgba(span: Span) -> str:
    red, green, blue = bytes.fromhex(COLOURS[span.kind][1:])
    return f"rgba({red}, {green}, {blue}, 1)"


def _part(form: Form, row: float) -> float:
    """Where a row, or a place between two, is in a plot: in parts of its width, which shows the whole recording."""
    first, last = form.clock.axis(0), form.clock.axis(ROWS - 1)
    before, after = form.clock.axis(int(row)), form.clock.axis(min(int(row) + 1, ROWS - 1))
    return (before + row % 1 * (after - before) - first) / (last - first)


def _draw(form: Form, browser: Browser) -> Span:
    """Draw a region of the form's last label, and tell what it is to be.

    The mouse is a quarter of the way from a row to the next one: the editor is to go back to the row.
    """
    kind = list(form.labels)[-1]
    first, last = DRAWN_ROWS if kind != PEAK else DRAWN_ROWS[:1] * 2
    browser.choose_label(SHOWN[kind])
    plot = browser.plots()[form.plots.index(form.object(kind))]
    if kind == PEAK:
        browser.double_click(plot, _part(form, first + 0.25))
    else:
        browser.drag(plot, _part(form, first + 0.25), _part(form, last + 0.25))
    return Span(kind, first, last)


def _submitted(pair: Pair, task: int) -> dict[str, Any]:
    deadline = time.monotonic() + _WITHIN
    while not (annotations := pair.studio.annotations(task)):
        assert time.monotonic() < deadline, f"nothing was submitted for task {task}"
        time.sleep(0.1)
    (annotation,) = annotations
    return annotation


def _rows_read(pair: Pair, form: Form, project: FormProject, annotation: dict[str, Any]) -> dict[str, list[State]]:
    """What the backend would learn from the annotation, a state for each row, by control."""
    task = Task(project.task, project.data, (annotation,))
    read = {}
    for labeling in read_label_config(form.config):
        example = read_task(task, labeling, lambda address, _: pair.studio.download(address))
        assert example is not None
        read[labeling.control] = [example.targets.states[code] for code in example.targets.codes]
    return read


def _rows(form: Form, spans: Sequence[Span]) -> dict[str, list[State]]:
    rows = {control: [State()] * ROWS for control, _ in form.labels.values()}
    for span in spans:
        control, label = form.labels[span.kind]
        for row in range(span.first, span.last + 1):
            rows[control][row] = State((label,), span.kind == PEAK)
    return rows


def _place(span: Span) -> int:
    return span.first

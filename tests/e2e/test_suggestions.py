"""From an annotation in a real Label Studio to segments that an annotator sees in a real browser."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from demo.comparison import Comparison, compare
from demo.servers import ROOT
from tests.e2e.browser import Browser
from tests.e2e.conftest import Pair, TrainedProject

COLOURS = {"Start-up": "rgba(230, 159, 0, 1)", "Pumping": "rgba(0, 114, 178, 1)", "Cavitation": "rgba(204, 51, 17, 1)"}
CHANNELS = 3


def test_connecting_gives_the_project_a_webhook_and_an_untrained_version(pair: Pair) -> None:
    project = pair.studio.project("Connection")

    pair.studio.connect(project, pair.tap.url, "segmenter")

    assert [hook["url"] for hook in pair.studio.webhooks(project)] == [f"{pair.tap.url}/webhook"]
    setup = pair.tap.exchanges("/setup")[-1]
    assert (setup.status, setup.payload["project"].split(".")[0]) == (200, str(project))
    assert setup.seconds < 1


def test_an_annotation_makes_a_version_that_setup_gives_as_well(pair: Pair, trained: TrainedProject) -> None:
    (event,) = pair.tap.events(trained.id)
    assert (event.event, event.accepted) == ("ANNOTATION_CREATED", True)

    pair.studio.connection(trained.connection)  # Label Studio calls /setup whenever it looks at a connection

    setup = pair.tap.exchanges("/setup")[-1]
    assert setup.answer["model_version"] == trained.version


def test_every_open_task_gets_suggestions_close_to_the_truth(pair: Pair, trained: TrainedProject) -> None:
    opened = [task.id for task in pair.studio.tasks(trained.id) if not task.annotations]

    pair.studio.retrieve_predictions(trained.id, opened)

    tasks = [task for task in pair.studio.tasks(trained.id) if task.id in opened]
    assert [version for task in tasks for version, _ in task.predictions] == [trained.version] * len(opened)
    compared = [compare(task.suggested(trained.version), trained.recordings[task.recording]) for task in tasks]
    assert all(one.matched for one in compared)
    total = sum(compared, Comparison())
    assert total.matched >= 0.8 * total.true, total
    assert total.matched >= 0.8 * total.suggested, total


def test_retrieving_again_adds_no_second_prediction(pair: Pair, trained: TrainedProject) -> None:
    task = _open_task(pair, trained, "pump-11")
    for _ in range(2):
        pair.studio.retrieve_predictions(trained.id, [task])

    (seen,) = (one for one in pair.studio.tasks(trained.id) if one.id == task)
    assert len(seen.predictions) == 1


def test_as_many_regions_are_drawn_as_were_suggested(
    pair: Pair, trained: TrainedProject, chromium: Browser, screenshot: Path
) -> None:
    task = _open_task(pair, trained, "pump-07")
    pair.studio.retrieve_predictions(trained.id, [task])

    chromium.open_task(trained.id, task)

    _assert_drawn(pair, trained, chromium, task)
    chromium.save_screenshot(screenshot)
    if os.environ.get("SAVE_SCREENSHOT") == "1":
        shutil.copyfile(screenshot, ROOT / "docs/images/suggestions.png")


def test_a_task_opened_in_the_data_manager_gets_suggestions_at_once(
    pair: Pair, unopened: TrainedProject, chromium: Browser
) -> None:
    task = _open_task(pair, unopened, "pump-12")

    chromium.open_task(unopened.id, task)

    _assert_drawn(pair, unopened, chromium, task)


def test_the_next_task_of_the_label_stream_gets_suggestions_at_once(
    pair: Pair, unopened: TrainedProject, chromium: Browser
) -> None:
    chromium.open_label_stream(unopened.id)

    _assert_drawn(pair, unopened, chromium, _open_task(pair, unopened, "pump-11"))


def test_an_interactive_request_answers_with_the_segments_not_drawn_yet_and_stores_none(
    pair: Pair, trained: TrainedProject
) -> None:
    name = "pump-10"
    task = next(one for one in pair.studio.tasks(trained.id) if one.recording == name)
    drawn = trained.recordings[name].annotation()[:1]

    answer = pair.studio.interactive_suggestion(trained.connection, task.id, {"result": drawn})

    assert "errors" not in answer
    suggested = answer["data"]["result"]
    ends = [entry["value"]["end"] for entry in drawn]
    assert all(entry["value"]["start"] > max(ends) or entry["value"]["end"] < min(ends) for entry in suggested)
    compared = compare([*drawn, *suggested], trained.recordings[name])
    assert compared.matched >= 0.8 * compared.true, compared
    after = next(one for one in pair.studio.tasks(trained.id) if one.id == task.id)
    assert after.predictions == task.predictions


def _open_task(pair: Pair, project: TrainedProject, name: str) -> int:
    return next(task.id for task in pair.studio.tasks(project.id) if task.recording == name and not task.annotations)


def _assert_drawn(pair: Pair, project: TrainedProject, chromium: Browser, task: int) -> None:
    """Every channel of the opened task shows the suggested segments, each in its label's colour."""
    (seen,) = (one for one in pair.studio.tasks(project.id) if one.id == task)
    suggested = seen.suggested(project.version)
    assert suggested
    drawn = chromium.drawn(at_least=len(suggested))
    assert drawn.counts() == [len(suggested)] * CHANNELS
    expected = sorted(COLOURS[entry["value"]["timeserieslabels"][0]] for entry in suggested)
    assert [sorted(channel) for channel in drawn.channels] == [expected] * CHANNELS

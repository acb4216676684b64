"""With auto-annotation on, mending a region by hand brings the rest of the recording, and nothing on top of it."""

from __future__ import annotations

from pathlib import Path

from demo.recordings import LABEL_CONFIG, sample_recordings
from tests.e2e.browser import Browser
from tests.e2e.conftest import Pair, train


def test_the_rest_of_a_recording_appears_around_what_is_drawn(pair: Pair, chromium: Browser, screenshot: Path) -> None:
    annotated, *_, open_one = sample_recordings(3)
    project = train(pair, "Finishing", [annotated, open_one], imported_annotated=0)
    smart = LABEL_CONFIG.replace("<TimeSeriesLabels ", '<TimeSeriesLabels smart="true" ')
    pair.studio.change_project(project.id, label_config=smart, show_collab_predictions=False)
    (task,) = (task.id for task in pair.studio.tasks(project.id) if task.recording == open_one.name)
    chromium.open_task(project.id, task)
    chromium.wait_until_steady()
    chromium.switch_auto_annotation()
    first, *others = open_one.truth
    rows, plot = len(open_one.times) - 1, chromium.plots()[0]

    chromium.choose_label(first.label)
    chromium.drag(plot, first.first / rows, (first.last - 5) / rows)
    assert len(chromium.regions()) == 1  # Label Studio asks when a region is mended, not when it is new
    chromium.drag(plot, (first.last - 5) / rows, first.last / rows)

    chromium.drawn(at_least=len(others) // 2)
    chromium.save_screenshot(screenshot)
    drawn, *suggested = sorted(chromium.regions(), key=lambda region: region.start)
    answered = pair.tap.exchanges("/predict")[-1].answer["results"][0]["result"]
    assert [region.labels for region in suggested] == [tuple(entry["value"]["timeserieslabels"]) for entry in answered]
    assert {label for region in suggested for label in region.labels} == {segment.label for segment in others}
    assert all(region.start > drawn.end for region in suggested)

"""The label config changes after the training: what still fits by name is suggested, nothing by position."""

from __future__ import annotations

from typing import Any

import pytest

from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import CONFIG, activity, overlap, regions

RUN, WALK = '<Label value="Run"/>', '<Label value="Walk"/>'
ONE, TWO = '<Channel column="sensorone"/>', '<Channel column="sensortwo"/>'
NO_CHANNEL = CONFIG.replace(ONE, "").replace(TWO, "")


@pytest.mark.parametrize(
    ("change", "config", "suggested"),
    [
        ("labels in another order", CONFIG.replace(RUN, "#").replace(WALK, RUN).replace("#", WALK), {"Run", "Walk"}),
        ("a label removed", CONFIG.replace(WALK, ""), {"Run"}),
        ("a label added", CONFIG.replace(WALK, WALK + '<Label value="Swim"/>'), {"Run", "Walk"}),
        ("a label renamed", CONFIG.replace(WALK, '<Label value="Stroll"/>'), {"Run"}),
        ("channels in another order", CONFIG.replace(ONE, "#").replace(TWO, ONE).replace("#", TWO), {"Run", "Walk"}),
        ("a channel added", CONFIG.replace(TWO, TWO + '<Channel column="time"/>'), {"Run", "Walk"}),
        (
            "channels grouped",
            CONFIG.replace(ONE, f"<MultiChannel>{ONE}").replace(TWO, f"{TWO}</MultiChannel>"),
            {"Run", "Walk"},
        ),
        ("channels in capitals", CONFIG.replace("sensorone", "SensorOne"), {"Run", "Walk"}),
    ],
)
def test_what_still_fits_is_suggested(
    server: Server, studio: StandIn, trained: int, change: str, config: str, suggested: set[str]
) -> None:
    task, spans = 1000 * trained + 6, [span for span in activity(100)[1] if span[0] in suggested]
    (prediction,) = server.predict(trained, task, config=config)
    assert {label for entry in prediction["result"] for label in entry["value"]["timeserieslabels"]} == suggested
    assert overlap(prediction["result"], spans) == len(spans)


@pytest.mark.parametrize(
    ("change", "config"),
    [
        ("a channel removed", CONFIG.replace(ONE, "")),
        ("all labels renamed", CONFIG.replace("Run", "Sprint").replace("Walk", "Stroll")),
        ("the control renamed", CONFIG.replace('name="label"', 'name="activity"')),
        ("no channel left", NO_CHANNEL),
        ("the time series gone", '<View><Text name="t" value="$t"/></View>'),
    ],
)
def test_what_does_not_fit_is_never_guessed(server: Server, trained: int, change: str, config: str) -> None:
    assert server.predict(trained, 1000 * trained + 6, config=config) == []


@pytest.mark.parametrize("schema", [CONFIG, "", "<View/>", NO_CHANNEL, None])
def test_setup_answers_whatever_the_config(server: Server, trained: int, schema: Any) -> None:
    answer = server.http.post("/setup", json={"project": f"{trained}.1", "schema": schema, "extra_params": {"a": 1}})
    assert answer.status_code == 200
    assert answer.json()["model_version"] == server.setup(trained)


def test_each_of_two_controls_is_learned_and_suggested_on_its_own(server: Server, studio: StandIn) -> None:
    second = '<TimeSeriesLabels name="effort" toName="ts"><Label value="High"/></TimeSeriesLabels>'
    studio.add_project(50, CONFIG.replace("<View>", f"<View>{second}"))
    for seed in range(4):
        csv, spans = activity(seed)
        high = [("High", first, last) for label, first, last in spans if label == "Run"]
        studio.add_task(50, csv, regions(spans) + regions(high, control="effort"))
    csv, spans = activity(100)
    task = studio.add_task(50, csv)
    server.train(50)
    result = server.predict(50, task)[0]["result"]
    by_control = {name: [e for e in result if e["from_name"] == name] for name in ("label", "effort")}
    high = [("High", first, last) for label, first, last in spans if label == "Run"]
    assert overlap(by_control["label"], spans) == len(spans) == len(by_control["label"])
    assert overlap(by_control["effort"], high) == len(high) == len(by_control["effort"])
    assert len({entry["id"] for entry in result}) == len(result)

"""docs/monitoring.md and docs/grafana.json name all the metrics, only those, and expressions that can be read."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import promql_parser
import pytest
import yaml
from prometheus_client import Metric

from backend.local_queue import LocalPlace
from backend.metrics import COUNTED_HERE
from backend.model_store import ModelStore
from backend.project_metrics import SHOWN_PROJECTS, ProjectMetrics
from backend.training_jobs import TrainingJobs

DOCS = Path(__file__).resolve().parents[2] / "docs"
MONITORING = (DOCS / "monitoring.md").read_text()
DASHBOARD = json.loads((DOCS / "grafana.json").read_text())
PARTS = {"histogram": ("_bucket", "_sum", "_count"), "summary": ("_sum", "_count"), "counter": ("_total",)}


def panels() -> Iterator[tuple[str, dict[str, Any]]]:
    """Each panel, with the title of the row it stands in."""
    row = ""
    for panel in DASHBOARD["panels"]:
        if panel["type"] == "row":
            row = panel["title"]
        else:
            yield row, panel


YAML = [yaml.safe_load(block) for block in re.findall(r"```yaml\n(.*?)```", MONITORING, re.DOTALL)]
RULES = [rule for block in YAML for group in block.get("groups", []) for rule in group["rules"]]
EXPRESSIONS = [
    *(pytest.param(rule["expr"], id=rule["alert"]) for rule in RULES),
    *(pytest.param(target["expr"], id=panel["title"]) for _, panel in panels() for target in panel["targets"]),
]


@pytest.fixture
def families(tmp_path: Path) -> list[Metric]:
    """Every metric there is."""
    jobs = TrainingJobs(LocalPlace(tmp_path))
    return [*COUNTED_HERE.collect(), *ProjectMetrics(jobs, ModelStore(tmp_path)).collect()]


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_can_be_read_and_asks_for_metrics_that_exist(expression: str, families: list[Metric]) -> None:
    promql_parser.parse(expression.replace("$instance", ".*"))  # raises ValueError
    series = {family.name + part for family in families for part in PARTS.get(family.type, ("",))}
    asked = set(re.findall(r"\bsegmenter_\w+", expression))
    assert asked
    assert asked - series == set()


@pytest.mark.parametrize("expression", EXPRESSIONS)
def test_an_expression_asks_for_labels_and_states_that_exist(expression: str) -> None:
    table = {f"`{word}`" for word in re.findall(r"\b(\w+) *(?:=~|=)\"", expression)}
    table |= {f"`{word}`" for by in re.findall(r"by \(([^)]*)\)", expression) for word in by.split(", ")}
    known = {"`le`", "`instance`"}  # a histogram's own, and what Prometheus adds
    assert [label for label in table - known if label not in MONITORING] == []
    named = re.findall(r"(?:state|result)=~?\"([^\"]*)\"", expression)
    assert [word for words in named for word in words.split("|") if f"`{word}`" not in MONITORING] == []


def test_the_table_lists_every_metric_with_its_type_and_labels(families: list[Metric]) -> None:
    rows = re.findall(r"^\| `(\w+)` \| (\w+) \| ([^|]*)\| (this host|all hosts) \|", MONITORING, re.MULTILINE)
    told = {name: kind for name, kind, _, _ in rows}
    assert told == {f.name + ("_total" if f.type == "counter" else ""): f.type for f in families}
    assert f"{SHOWN_PROJECTS} projects" in MONITORING


def test_there_are_three_alerts_and_a_scrape_with_the_password() -> None:
    assert [rule["alert"] for rule in RULES] == [
        "SegmenterTrainingsFail",
        "SegmenterQueueStandsStill",
        "SegmenterErrors",
    ]
    assert all(rule["annotations"]["summary"] for rule in RULES)
    (scrape,) = [job for block in YAML for job in block.get("scrape_configs", [])]
    assert set(scrape["basic_auth"]) == {"username", "password"}


def test_the_dashboard_has_a_row_for_each_concern_and_no_two_panels_in_one_place() -> None:
    assert list(dict.fromkeys(row for row, _ in panels())) == ["Requests", "Suggestions", "Trainings", "Models"]
    taken = [
        (x, y)
        for _, panel in panels()
        for place in [panel["gridPos"]]
        for x in range(place["x"], place["x"] + place["w"])
        for y in range(place["y"], place["y"] + place["h"])
    ]
    assert len(taken) == len(set(taken))
    assert max(x for x, _ in taken) < 24
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])

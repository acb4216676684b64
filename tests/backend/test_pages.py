"""The pages, as a browser gets them: complete, valid, harmless whatever labels are called, behind the same password."""

from __future__ import annotations

import json
import re
import shutil
from collections.abc import Iterator
from html import escape
from itertools import pairwise
from pathlib import Path
from typing import Any

import html5lib
import httpx
import pytest

from tests.backend.conftest import annotated_project
from tests.backend.label_studio import StandIn
from tests.backend.server import Server
from tests.recordings import CONFIG, activity, regions

LINKS = {"href", "src", "action", "data", "srcset", "poster", "formaction"}
WILD = '<script>alert("x")</script> & $y^2$'
WILD_CONFIG = CONFIG.replace('value="Run"', f'value="{escape(WILD)}"')


def page(server: Server, address: str, status: int = 200) -> Any:
    """A page as an element tree, once it is sure that it is valid and asks for nothing from elsewhere."""
    answer = server.http.get(address)
    assert (answer.status_code, answer.headers["content-type"]) == (status, "text/html; charset=utf-8"), answer.text
    return valid(answer)


def valid(answer: httpx.Response) -> Any:
    assert "default-src 'none'" in answer.headers["content-security-policy"]
    assert answer.headers["cache-control"] == "no-store"
    parser = html5lib.HTMLParser(strict=True, namespaceHTMLElements=False)
    tree = parser.parse(answer.text)
    identities = [element.get("id") for element in tree.iter() if element.get("id")]
    assert len(set(identities)) == len(identities)
    for element in tree.iter():
        assert element.get("style") is None, "the page's own policy forbids it"
        for name in LINKS & set(element.keys()):
            assert re.match(r"#|/(?!/)", element.get(name))
        for name in ("aria-labelledby", "for"):
            assert element.get(name) is None or element.get(name) in identities
    levels = [int(element.tag[1]) for element in tree.iter() if element.tag in ("h1", "h2", "h3", "h4")]
    assert levels[0] == 1
    assert all(after <= before + 1 for before, after in pairwise(levels)), levels
    assert all(cell.get("scope") for cell in tree.iter("th"))
    return tree


def text(tree: Any) -> str:
    return " ".join("".join(tree.itertext()).split())


def wait_for_charts(server: Server, project: int) -> Any:
    server.wait(lambda: "Not drawn yet" not in server.http.get(f"/projects/{project}").text, "charts")
    return page(server, f"/projects/{project}")


def charts(tree: Any) -> list[str]:
    """What each picture tells those who do not see it."""
    svg = "{http://www.w3.org/2000/svg}"
    return ["".join(found.find(f"{svg}title").itertext()) for found in tree.iter(f"{svg}svg") if found.get("role")]


def test_a_trained_project_is_shown_with_its_charts(server: Server, trained: int) -> None:
    tree = wait_for_charts(server, trained)
    shown = text(tree)
    assert server.status(trained)["version"] in shown
    for told in ("Ready", "Macro F1", "Edits saved", "Run", "Walk", "background", "the oldest that is kept"):
        assert told in shown
    kinds = [title.split()[0] for title in charts(tree)]
    assert kinds == ["Training", "Confusion", "Reliability", "Task", "Task", "Task", "Task"]
    assert "of 240 rows differ" in shown
    assert f"/projects/{trained}" in text_of_links(page(server, "/projects"))


def text_of_links(tree: Any) -> list[str]:
    return [link.get("href") for link in tree.iter("a")]


def test_the_page_moves_on_while_it_trains_and_names_what_was_left_out(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 80, annotated=2, others=0)
    broken = studio.add_task(project, b"", [])
    seen: list[str] = []

    def news() -> str:
        answer = server.http.get(f"/projects/{project}/state")
        if answer.status_code == 200:
            state = html5lib.parseFragment(answer.text, namespaceHTMLElements=False)
            bar = state.find(".//progress")
            word = state.find(".//*[@data-news]").text + (" with a bar" if bar is not None else "")
            seen.extend([word] if word not in seen else [])
        return seen[-1] if seen else ""

    studio.delay = 0.5
    try:
        server.event("ANNOTATION_CREATED", project)
        news()
        server.wait(lambda: news() == "Ready", "the page to say Ready")
    finally:
        studio.delay = 0.0
    assert seen == ["Queued", "Training with a bar", "Ready"]
    shown = text(wait_for_charts(server, project))
    assert f"Task {broken}" in shown
    assert "the file is empty" in shown


def test_the_next_version_says_what_changed_and_the_one_before_can_be_looked_at(
    server: Server, studio: StandIn
) -> None:
    project = annotated_project(studio, 81, annotated=2, others=0)
    first = server.train(project)
    csv, spans = activity(9)
    added = studio.add_task(project, csv, regions(spans))
    server.train(project)
    assert f"task {added} added" in text(wait_for_charts(server, project))
    before = text(page(server, f"/projects/{project}?version={first}"))
    assert f"Version {first} does not serve" in before
    assert "No such version" in text(page(server, f"/projects/{project}?version=v9-<b>", 404))


def test_a_label_is_shown_as_it_is_called_and_does_nothing(server: Server, studio: StandIn) -> None:
    project = annotated_project(studio, 82, annotated=0, others=0, config=WILD_CONFIG)
    for seed in range(2):
        csv, spans = activity(seed)
        named = [(WILD if label == "Run" else label, first, last) for label, first, last in spans]
        studio.add_task(project, csv, regions(named))
    server.train(project)
    tree = wait_for_charts(server, project)
    assert [script.get("src") for script in tree.iter("script")] == ["/pages/live.js"]
    svg = "{http://www.w3.org/2000/svg}"
    assert WILD in text(tree)
    assert any(WILD[:10] in (found.text or "") for found in tree.iter(f"{svg}text"))
    assert any(found.text == WILD for found in tree.iter(f"{svg}title"))


def test_a_project_that_has_just_been_connected_says_what_to_do(server: Server, studio: StandIn) -> None:
    studio.add_project(83, CONFIG)
    server.setup(83)
    shown = text(page(server, "/projects/83"))
    assert "No model yet" in shown
    assert "Annotate a region" in shown
    assert "Versions" not in shown


@pytest.mark.parametrize(
    ("project", "sentence"),
    [
        ("4711", "Nobody has heard of project 4711"),
        ("x", "No such project"),
        ("-1", "No such project"),
        ("1.5", "No such project"),
        ("9" * 30, "No such project"),
        ("%3Cscript%3E", "found <script>"),
    ],
)
@pytest.mark.parametrize("part", ["", "/state"])
def test_an_unknown_project_gets_a_page_that_says_so(server: Server, project: str, sentence: str, part: str) -> None:
    assert sentence in text(page(server, f"/projects/{project}{part}", 404))


@pytest.mark.parametrize("kept", ["rows alone", "no pictures", "damaged report"])
def test_a_version_of_an_older_release_still_has_a_page(
    server: Server, studio: StandIn, trained: int, kept: str
) -> None:
    """As this release would find what another one has left: without what it adds, and with what it cannot read."""
    project = 84 + ["rows alone", "no pictures", "damaged report"].index(kept)
    folder, version = server.model_dir / "projects", server.status(trained)["version"]
    wait_for_charts(server, trained)
    copied = folder / str(project) / version
    shutil.copytree(folder / str(trained) / version, copied)
    (folder / str(project) / "current").write_text(version)
    if kept == "rows alone":
        reports = json.loads((copied / "report.json").read_text())
        (copied / "chart_data.json").unlink()
        (copied / "report.json").write_text(json.dumps([{**reports[0], "labels": None, "held_out": None}]))
        (copied / "SHA256SUMS").unlink()
    if kept == "damaged report":
        (copied / "report.json").write_text("{")
    shown = text(page(server, f"/projects/{project}"))
    assert ("Not drawn yet" in shown) == (kept != "damaged report")
    assert ("damaged and is set aside" in shown) == (kept == "damaged report")
    assert ("None could be held out" in shown) == (kept == "rows alone")
    assert f"/projects/{project}" in text_of_links(page(server, "/projects"))


@pytest.mark.parametrize(("file", "kind"), [("style.css", "text/css"), ("live.js", "javascript"), ("icon.svg", "svg")])
def test_the_pages_bring_their_own_style_and_script(server: Server, file: str, kind: str) -> None:
    answer = server.http.get(f"/pages/{file}")
    assert kind in answer.headers["content-type"]
    assert "url(" not in answer.text


@pytest.fixture
def guarded(studio: StandIn, tmp_path: Path) -> Iterator[Server]:
    backend = Server(studio, tmp_path / "models", BASIC_AUTH_USER="me", BASIC_AUTH_PASS="secret", WORKERS="1")
    yield backend
    backend.close()


def test_no_page_is_shown_without_the_password(guarded: Server) -> None:
    addresses = (
        "/projects",
        "/projects/list",
        "/projects/1",
        "/projects/1/state",
        "/pages/style.css",
        "/pages/live.js",
    )
    assert [guarded.http.get(address).status_code for address in addresses] == [401] * len(addresses)
    guarded.http.auth = ("me", "secret")
    assert [guarded.http.get(address).status_code for address in addresses] == [200, 200, 404, 404, 200, 200]
    assert "Nothing has been trained yet" in text(page(guarded, "/projects"))

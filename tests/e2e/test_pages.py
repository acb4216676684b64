"""What somebody sees who leaves a project's page open while a colleague annotates, in a real browser."""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from selenium import webdriver
from selenium.webdriver.support.ui import WebDriverWait

from demo.recordings import sample_recordings
from tests.e2e.browser import open_driver
from tests.e2e.conftest import TRAIN_WITHIN, Pair

# Keeps each state that the page shows, with how far a bar is, for as long as nobody loads the page again.
_WATCH = """
window.seen = [];
const look = () => {
    const word = document.querySelector('[data-news]').textContent, bar = document.querySelector('main progress');
    window.seen.push(bar ? `${word} ${bar.value}` : word);
};
new MutationObserver(look).observe(document.body, {childList: true, subtree: true});
look();
"""
_CHARTS = "return [...document.querySelectorAll('main svg[role=img]')].map(svg => svg.getBoundingClientRect().toJSON())"
_COLOURS = """
const text = document.querySelector('main svg text'), page = document.body;
return [getComputedStyle(text).fill, getComputedStyle(page).backgroundColor];
"""


@pytest.fixture
def browser(tmp_path: Path) -> Iterator[webdriver.Chrome]:
    with open_driver(tmp_path / "chromium", logged=True) as driver:
        yield driver


def look_as(browser: webdriver.Chrome, width: int, theme: str) -> None:
    """Make the window that of a phone or a desk, by day or by night."""
    browser.execute_cdp_cmd(
        "Emulation.setEmulatedMedia", {"features": [{"name": "prefers-color-scheme", "value": theme}]}
    )
    metrics = {"width": width, "height": 900, "deviceScaleFactor": 1, "mobile": width < 500}
    browser.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", metrics)


def requested(browser: webdriver.Chrome) -> set[str]:
    """The addresses of all that the browser has asked for since this was last called."""
    messages = [json.loads(entry["message"])["message"] for entry in browser.get_log("performance")]
    sent = [message["params"] for message in messages if message["method"] == "Network.requestWillBeSent"]
    addresses = {one["request"]["url"] for one in sent}
    return {address for address in addresses if not address.startswith(("chrome:", "data:"))}


def in_order(seen: list[str]) -> list[str]:
    """The states without how far the bar was, each once for as long as it lasted."""
    words = [word.rstrip("0123456789. ") for word in seen]
    return [word for place, word in enumerate(words) if place == 0 or words[place - 1] != word]


def test_the_page_goes_from_nothing_to_charts_by_itself(
    pair: Pair, browser: webdriver.Chrome, screenshot: Path
) -> None:
    recordings = sample_recordings(4)
    busy, project = pair.studio.project("Trained first"), pair.studio.project("Looked at")
    for number in (busy, project):
        pair.studio.import_recordings(number, recordings, [recording.name for recording in recordings[:3]])
        pair.studio.connect(number, pair.tap.url, "segmenter")
    browser.get(f"{pair.backend}/projects/{project}")
    browser.execute_script(_WATCH)

    for number in (busy, project):  # while the first one is trained, the second one waits in line
        pair.studio.annotate(pair.studio.tasks(number)[3].id, recordings[3].annotation())
    WebDriverWait(browser, TRAIN_WITHIN).until(lambda driver: len(driver.execute_script(_CHARTS)) == 7)

    seen = browser.execute_script("return window.seen")
    assert seen, "the page was loaded again"
    states = in_order(seen)
    assert states[0] in ("No model yet", "Queued")
    assert states[-3:] == ["Queued", "Training", "Ready"]
    percents = [float(word.split()[-1]) for word in seen if word.startswith("Training ")]
    assert percents == sorted(percents)
    assert len(set(percents)) > 2
    assert all(chart["width"] > 250 and chart["height"] > 150 for chart in browser.execute_script(_CHARTS))
    assert {address for address in requested(browser) if not address.startswith(f"{pair.backend}/")} == set()
    assert [entry for entry in browser.get_log("browser") if entry["level"] == "SEVERE"] == []

    colours = []
    for width, theme in ((1280, "light"), (390, "dark")):
        look_as(browser, width, theme)
        assert browser.execute_script("return document.documentElement.scrollWidth") <= width
        colours.append(tuple(browser.execute_script(_COLOURS)))
        browser.save_screenshot(str(screenshot.with_stem(f"{screenshot.stem}-{theme}")))
    assert len({ink for ink, _ in colours}) == len({paper for _, paper in colours}) == 2


def test_without_javascript_the_page_asks_for_itself_again(pair: Pair, browser: webdriver.Chrome) -> None:
    project = pair.studio.project("Without a script")
    pair.studio.connect(project, pair.tap.url, "segmenter")
    browser.execute_cdp_cmd("Emulation.setScriptExecutionDisabled", {"value": True})
    browser.get(f"{pair.backend}/projects/{project}")
    first = requested(browser)
    assert not [address for address in first if address.endswith("/state")]
    address = f"{pair.backend}/projects/{project}"
    WebDriverWait(browser, 20).until(lambda driver: address in requested(driver))

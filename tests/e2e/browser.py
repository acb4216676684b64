"""An annotator's browser: logs in to Label Studio, opens a task, looks at what is drawn in the editor."""

from __future__ import annotations

import shutil
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from selenium import webdriver
from selenium.webdriver.chrome.service import Service
from selenium.webdriver.common.actions.action_builder import ActionBuilder
from selenium.webdriver.common.by import By
from selenium.webdriver.remote.webelement import WebElement
from selenium.webdriver.support.ui import WebDriverWait

from demo.servers import PASSWORD, USERNAME

_CHROMIUM, _DRIVER = "/usr/bin/chromium", "/usr/bin/chromedriver"
_SWITCHES = (
    "--headless=new",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--disable-dev-shm-usage",
    "--no-first-run",
    "--no-proxy-server",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--window-size=1500,1040",
)
_WITHIN = 60  # seconds for a page to show what it should
_PUT = 0.7  # seconds without an exchange of elements, even for the same, after which the page can be clicked on
_STEADY = 2.0  # seconds without a change after which the editor has drawn all it will
_ROWS = (By.CSS_SELECTOR, ".lsf-table-row")

# What the eye sees: the coloured rectangles in each channel's plot. The editor's own store is not asked.
_DRAWN = """
return [...document.querySelectorAll('.htx-timeseries-channel')].map(channel =>
    [...channel.querySelectorAll('g.brush rect.selection')]
        .filter(region => Number(region.getAttribute('width')) > 0)
        .map(region => region.getAttribute('fill')));
"""

# The same with where they lie, in parts of the plot's width, and where the plot is in the window.
_PLOTS = """
return [...document.querySelectorAll('.htx-timeseries-channel')].map(channel => {
    const overlay = channel.querySelector('.new_brush .overlay');
    const {left, top, width, height} = overlay.getBoundingClientRect();
    const part = (rect, name) => Number(rect.getAttribute(name)) / Number(overlay.getAttribute('width'));
    const marks = [...channel.querySelectorAll('g.brush')]
        .filter(brush => brush.style.display !== 'none')
        .map(brush => brush.querySelector('rect.selection'))
        .filter(rect => Number(rect.getAttribute('width')) > 0)
        .map(rect => [part(rect, 'x'), part(rect, 'x') + part(rect, 'width'), rect.getAttribute('fill')]);
    return [left, top, width, height, marks];
});
"""
# What the editor holds, and will store when the annotator submits.
_REGIONS = """
return window.Htx.annotationStore.selected.regions.map(region =>
    [region.results[0].from_name.name, [...region.labels], region.start, region.end, region.instant]);
"""


@dataclass(frozen=True, order=True)
class Mark:
    """A coloured rectangle in a plot: from where to where, in parts of the plot's width."""

    start: float
    end: float
    colour: str


@dataclass(frozen=True)
class Plot:
    """One channel's plot (or a MultiChannel's), in pixels of the window, and the marks in it from left to right."""

    left: float
    top: float
    width: float
    height: float
    marks: tuple[Mark, ...]

    def pixel(self, part: float) -> int:
        """The pixel of the window at a part of the plot's width."""
        return round(self.left + part * self.width)


@dataclass(frozen=True)
class EditorRegion:
    """A region as the editor's own store has it; start and end in milliseconds since 1970, or as plain numbers."""

    control: str
    labels: tuple[str, ...]
    start: float
    end: float
    instant: bool


@dataclass(frozen=True)
class Drawn:
    """The fill colours of the regions in each channel's plot, from left to right in time as the editor keeps them."""

    channels: tuple[tuple[str, ...], ...]

    def counts(self) -> list[int]:
        """How many regions each channel shows."""
        return [len(channel) for channel in self.channels]


class Browser:
    """One window, logged in."""

    def __init__(self, driver: webdriver.Chrome, studio: str) -> None:
        self._driver, self._studio = driver, studio
        driver.get(f"{studio}/user/login/")
        driver.find_element(By.NAME, "email").send_keys(USERNAME)
        driver.find_element(By.NAME, "password").send_keys(PASSWORD)
        driver.find_element(By.CSS_SELECTOR, "form button[type=submit]").click()
        WebDriverWait(driver, _WITHIN).until(lambda driver: "/user/login" not in driver.current_url)

    def open_task(self, project: int, task: int) -> None:
        """Open a task as a click in the Data Manager does, and wait for its plots."""
        self._open(f"{self._studio}/projects/{project}/data?task={task}")

    def tasks_ordered_by(self, project: int, column: str) -> list[int]:
        """The ids of the Data Manager's rows, after a click on "Order by" and on a column's name."""
        self._driver.get(f"{self._studio}/projects/{project}/data")
        wait = WebDriverWait(self._driver, _WITHIN)
        wait.until(lambda driver: driver.find_elements(*_ROWS))
        self._driver.find_element(By.XPATH, "//button[.='Order by']").click()
        wait.until(lambda driver: driver.find_element(By.XPATH, f"//span[text()='{column}']")).click()
        wait.until(lambda driver: driver.find_elements(By.XPATH, f"//button[.='{column}']"))
        time.sleep(_STEADY)
        return [int(row.text.split("\n")[0]) for row in self._driver.find_elements(*_ROWS)]

    def open_label_stream(self, project: int) -> None:
        """Open the next task as "Label All Tasks" does, and wait for its plots."""
        self._open(f"{self._studio}/projects/{project}/data?labeling=1")

    def _open(self, address: str) -> None:
        self._driver.get("about:blank")
        self._driver.get(address)
        WebDriverWait(self._driver, _WITHIN).until(lambda _: self._look().channels)

    def drawn(self, at_least: int = 1) -> Drawn:
        """The regions on the screen, once each plot shows that many (or after a minute) and nothing is added."""
        deadline = time.monotonic() + _WITHIN
        last, since = self._look(), time.monotonic()
        while time.monotonic() < deadline:
            now = self._look()
            if now != last:
                last, since = now, time.monotonic()
            if min(now.counts(), default=0) >= at_least and time.monotonic() - since > _STEADY:
                break
            time.sleep(0.2)
        return last

    def wait_until_steady(self) -> None:
        """Return once the editor has put its labels and plots on the page for good: it does so several times over."""
        deadline = time.monotonic() + _WITHIN
        last, since = self._parts(), time.monotonic()
        while time.monotonic() - since < _PUT:
            assert time.monotonic() < deadline, "the editor does not come to rest"
            time.sleep(0.1)
            if (now := self._parts()) != last:
                last, since = now, time.monotonic()

    def plots(self, marks: int = 0) -> list[Plot]:
        """The plots with what is drawn in them, as soon as it is that many marks in all (or after a minute)."""
        deadline = time.monotonic() + _WITHIN
        while True:
            plots = [
                Plot(left, top, width, height, tuple(sorted(Mark(*mark) for mark in drawn)))
                for left, top, width, height, drawn in self._driver.execute_script(_PLOTS)
            ]
            if sum(len(plot.marks) for plot in plots) >= marks or time.monotonic() > deadline:
                return plots
            time.sleep(0.1)

    def regions(self) -> list[EditorRegion]:
        """The regions of the annotation that is open, as the editor holds them now."""
        return [
            EditorRegion(control, tuple(labels), start, end, instant)
            for control, labels, start, end, instant in self._driver.execute_script(_REGIONS)
        ]

    def choose_label(self, shown: str) -> None:
        """Click a label, for the next region to be drawn."""
        (label,) = (
            label
            for label in self._driver.find_elements(By.CSS_SELECTOR, ".lsf-label")
            if label.find_element(By.CSS_SELECTOR, ".lsf-label__text").text == shown
        )
        label.click()

    def switch_auto_annotation(self) -> None:
        """Press the switch "Auto-Annotation", which is there when a control is smart and the backend interactive."""
        self._driver.find_element(By.XPATH, "//*[text()='Auto-Annotation']").click()

    def drag(self, plot: Plot, start: float, end: float) -> None:
        """Press the mouse at a part of a plot's width and let go at another."""
        mouse, height = self._mouse_at(plot, start), round(plot.top + plot.height / 2)
        mouse.pointer_action.pointer_down()
        for part in (start + (end - start) / 2, end):
            mouse.pointer_action.move_to_location(plot.pixel(part), height)
        mouse.pointer_action.pointer_up()
        mouse.perform()

    def double_click(self, plot: Plot, at: float) -> None:
        """Click twice at a part of a plot's width."""
        mouse = self._mouse_at(plot, at)
        mouse.pointer_action.double_click()
        mouse.perform()

    def submit(self) -> None:
        """Press "Submit"."""
        self._driver.find_element(By.CSS_SELECTOR, "[data-testid=bottombar-submit-button]").click()

    def _mouse_at(self, plot: Plot, part: float) -> ActionBuilder:
        mouse = ActionBuilder(self._driver, duration=50)
        mouse.pointer_action.move_to_location(plot.pixel(part), round(plot.top + plot.height / 2))
        return mouse

    def save_screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self._driver.save_screenshot(str(path)), f"the screenshot could not be written to {path}"

    def _parts(self) -> list[WebElement]:
        return self._driver.find_elements(By.CSS_SELECTOR, ".lsf-label, .htx-timeseries-channel svg, g.brush")

    def _look(self) -> Drawn:
        return Drawn(tuple(tuple(channel) for channel in self._driver.execute_script(_DRAWN)))


def missing() -> str | None:
    """What has to be installed before a browser can be opened, None when all is there."""
    absent = [program for program in (_CHROMIUM, _DRIVER) if shutil.which(program) is None]
    if not absent:
        return None
    return (
        f"The end-to-end tests look at Label Studio in a real Chromium, and {' and '.join(absent)} "
        "cannot be found: install both (Debian: apt-get install chromium chromium-driver)"
    )


@contextmanager
def open_driver(folder: Path, logged: bool = False) -> Iterator[webdriver.Chrome]:
    """A headless Chromium with a new profile in `folder`; logged: it can tell of every request that it sends."""
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for switch in (*_SWITCHES, f"--user-data-dir={folder}"):
        options.add_argument(switch)
    if logged:
        options.set_capability("goog:loggingPrefs", {"browser": "ALL", "performance": "ALL"})
    driver = webdriver.Chrome(options=options, service=Service(_DRIVER))
    try:
        yield driver
    finally:
        driver.quit()


@contextmanager
def open_browser(studio: str, folder: Path) -> Iterator[Browser]:
    """A browser that is logged in at the Label Studio at `studio`."""
    with open_driver(folder) as driver:
        yield Browser(driver, studio)

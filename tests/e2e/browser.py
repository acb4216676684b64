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
from selenium.webdriver.common.by import By
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
_STEADY = 2.0  # seconds without a change after which the editor has drawn all it will

# What the eye sees: the coloured rectangles in each channel's plot. The editor's own store is not asked.
_DRAWN = """
return [...document.querySelectorAll('.htx-timeseries-channel')].map(channel =>
    [...channel.querySelectorAll('g.brush rect.selection')]
        .filter(region => Number(region.getAttribute('width')) > 0)
        .map(region => region.getAttribute('fill')));
"""


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

    def save_screenshot(self, path: Path) -> None:
        path.parent.mkdir(parents=True, exist_ok=True)
        assert self._driver.save_screenshot(str(path)), f"the screenshot could not be written to {path}"

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
def open_browser(studio: str, folder: Path) -> Iterator[Browser]:
    """A headless Chromium with a new profile in `folder`, logged in at the Label Studio at `studio`."""
    options = webdriver.ChromeOptions()
    options.binary_location = _CHROMIUM
    for switch in (*_SWITCHES, f"--user-data-dir={folder}"):
        options.add_argument(switch)
    driver = webdriver.Chrome(options=options, service=Service(_DRIVER))
    try:
        yield Browser(driver, studio)
    finally:
        driver.quit()

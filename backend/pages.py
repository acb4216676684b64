"""Pages for people: what a project's training is at, how good its versions are, and where they still err."""

from __future__ import annotations

import logging
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any, NoReturn

from flask import Blueprint, Response, abort, make_response, render_template, request

from backend.charts_store import Chart, are_drawn, read_charts
from backend.charts_svg import LABEL_COLOURS
from backend.model_store import VersionError
from backend.pages_versions import SCORES, Part, published_at, read_parts, tell_versions, worst_scores
from backend.service import service
from backend.training_jobs import QueueError
from segmenter.errors import ModelError

logger = logging.getLogger(__name__)

pages = Blueprint("pages", __name__, template_folder="templates", static_folder="static", static_url_path="/pages")

_LISTED = 200  # projects
_PROJECT = re.compile(r"[0-9]{1,18}")
_HEADERS = {
    # Nothing but our own style sheet, script and icon; labels and names in the page can do nothing.
    "Content-Security-Policy": "default-src 'none'; style-src 'self'; script-src 'self'; connect-src 'self';"
    " img-src 'self'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    "Referrer-Policy": "no-referrer",
    "X-Content-Type-Options": "nosniff",
}


@pages.after_request
def _protect(response: Response) -> Response:
    response.headers.update(_HEADERS)
    if not request.path.startswith(f"{pages.static_url_path}/"):
        response.headers["Cache-Control"] = "no-store"
    return response


@pages.get("/projects")
def projects() -> str:
    """All projects, the lately trained ones first."""
    return render_template("projects.html", **_list())


@pages.get("/projects/list")
def project_list() -> str:
    """The part of the list's page that is renewed."""
    return render_template("list.html", **_list())


@pages.get("/projects/<project>")
def project(project: str) -> str | Response:
    """All about one project and one of its versions, by default the one that serves."""
    if (heard := _hear_of(project)) is None:
        return _not_found(project, None)
    number, status = heard
    versions, serving = tell_versions(service().store, number), service().store.current_version(number)
    shown = request.args.get("version", serving)
    if shown is not None and shown not in [version.name for version in versions]:
        if shown != serving:
            return _not_found(project, shown)
        shown = None
    return render_template(
        "project.html", **_live(number, status, serving), scores=SCORES, versions=versions, shown=shown,
        pinned=service().store.is_pinned(number), **(_version(number, shown) if shown else {}),
    )  # fmt: skip


@pages.get("/projects/<project>/state")
def state(project: str) -> str | Response:
    """The part of a project's page that is renewed while somebody looks at it."""
    if (heard := _hear_of(project)) is None:
        return _not_found(project, None)
    number, status = heard
    return render_template("state.html", **_live(number, status, service().store.current_version(number)))


def _live(number: int, status: Mapping[str, Any], serving: str | None) -> dict[str, Any]:
    """What changes while a page is looked at. edition: when it changes, there is more to show than the state."""
    drawn = serving is not None and are_drawn(service().store, number, serving)
    edition = f"{serving} {drawn} {len(status['versions'])} {status.get('last_training_at')}"
    return {"project": number, "status": status, "serving": serving, "edition": edition}


def _version(number: int, version: str) -> dict[str, Any]:
    """What is shown of one version."""
    try:
        parts = read_parts(service().store, number, version)
        charts = read_charts(service().store, number, version)
    except (ModelError, VersionError, OSError) as error:  # it has just been deleted, or moved aside
        _not_shown(number, version, error)
        return {"parts": [], "drawn": False}
    return {
        "parts": [(part, _charts_of(place, charts or [])) for place, part in enumerate(parts)],
        "drawn": charts is not None,
        "worst": worst_scores(parts),
    }


def _charts_of(place: int, charts: list[Chart]) -> dict[str, list[Chart]]:
    """The charts of one control by their kind."""
    found: dict[str, list[Chart]] = {}
    for chart in charts:
        if chart.segmenter == place:
            found.setdefault(chart.kind, []).append(chart)
    return found


def _list() -> dict[str, Any]:
    store = service().store
    serving = {number: store.current_version(number) for number in store.projects()}
    lately = sorted(serving, key=lambda number: (serving[number] or "").partition("-")[2], reverse=True)
    rows = [_row(number, serving[number]) for number in lately[:_LISTED]]
    return {"rows": rows, "scores": SCORES, "not_listed": max(len(lately) - _LISTED, 0)}


def _row(number: int, version: str | None) -> dict[str, Any]:
    parts: tuple[Part, ...] = ()
    if version is not None:
        try:
            parts = read_parts(service().store, number, version)
        except (ModelError, VersionError, OSError) as error:
            _not_shown(number, version, error)
    try:
        status = service().jobs.status(number)
    except QueueError as error:
        _no_status(number, error)
    known = version is not None and status["state"] == "untrained"
    return {
        "project": number,
        "state": "ready" if known else status["state"],
        "percent": status.get("percent"),
        "version": version,
        "scores": worst_scores(parts),
        "recordings": max((len(part.report["recordings"]) for part in parts), default=None),
    }


def _hear_of(project: str) -> tuple[int, dict[str, Any]] | None:
    """The number and status of a project that is known: something is stored of it, or Label Studio told of it."""
    if not _PROJECT.fullmatch(project):
        return None
    number = int(project)
    try:
        status = service().status(number)
    except QueueError as error:
        _no_status(number, error)
    known = status.get("last_event") or status["versions"] or status["damaged"] or status["failures"]
    return (number, status) if known or service().seen.label_config(number) is not None else None


def _not_shown(number: int, version: str, error: Exception) -> None:
    logger.warning(
        "project %(project)d: version %(version)s cannot be shown: %(reason)s",
        {"project": number, "version": version, "reason": error},
    )


def _no_status(number: int, error: QueueError) -> NoReturn:
    logger.error("project %(project)d: there is no status: %(reason)s", {"project": number, "reason": error})
    abort(503, "the training queue cannot be read; the backend's log has the reason")


def _not_found(project: str, version: str | None) -> Response:
    digits = _PROJECT.fullmatch(project) is not None
    return make_response(render_template("unknown.html", asked=project[:40], digits=digits, version=version), 404)


@pages.app_template_filter("moment")
def _moment(at: datetime | float | str) -> datetime:
    """A time from seconds since 1970 or from a version's name."""
    if isinstance(at, str):
        return published_at(at)
    return at if isinstance(at, datetime) else datetime.fromtimestamp(at, timezone.utc)


@pages.app_template_filter("ago")
def _ago(at: float) -> str:
    """How long ago a time is, in one unit."""
    seconds = max(time.time() - at, 0)
    for unit, length in (("day", 86400), ("hour", 3600), ("minute", 60)):
        if seconds >= length:
            count = int(seconds // length)
            return f"{count} {unit}{'s' if count > 1 else ''} ago"
    return f"{int(seconds)} s ago" if seconds >= 1 else "just now"


@pages.app_template_filter("score")
def _score(value: Any, name: str = "") -> str:
    """A score of 0..1; edits saved are a part of the work, and told as one."""
    if not isinstance(value, int | float):
        return "–"
    text = f"{100 * value:.0f}\N{NO-BREAK SPACE}%" if name == "edits_saved" else f"{value:.2f}"
    return text.replace("-", "\N{MINUS SIGN}")


@pages.app_template_filter("grouped")
def _grouped(number: int) -> str:
    """A large number in groups of three digits."""
    return f"{number:,}".replace(",", "\N{NO-BREAK SPACE}")


@pages.app_template_filter("label_class")
def _label_class(code: int) -> str:
    """The class that a state's colour has, in charts and tables alike."""
    return f"label-{(code - 1) % LABEL_COLOURS}" if code else "background"

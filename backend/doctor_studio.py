"""The doctor's checks of Label Studio: that it answers and takes the key, and what it has of the project."""

from __future__ import annotations

import json
import re
import time
from collections.abc import Mapping
from datetime import datetime, timezone
from typing import Any

import httpx
import jwt
from label_studio_sdk.core.api_error import ApiError

from backend.doctor import Installation, Outcome, failed, ok, warning
from backend.label_studio import ANNOTATED
from segmenter.errors import LabelConfigError, RecordingError
from segmenter.labeling import Labeling
from segmenter.pipeline import NO_PAIR, Task, recording_of

_TESTED = (1, 23)  # Label Studio's release that the end-to-end tests run against
_TOKEN = "make a personal access token in Label Studio (Account & Settings) and set LABEL_STUDIO_API_KEY to it"
_BACKENDS = frozenset({"model_class", "model_dir"})  # what a backend's /health tells besides, Label Studio's does not
_SOON = 14 * 86400.0  # seconds before its end at which a token is worth a warning


def label_studio(installation: Installation) -> Outcome:
    """Whether a Label Studio answers at LABEL_STUDIO_HOST."""
    host, timeout = installation.settings.label_studio_host, installation.settings.request_timeout
    try:
        answer = httpx.get(f"{host}/health", timeout=min(timeout, 10.0), follow_redirects=True)
    except (httpx.HTTPError, httpx.InvalidURL, UnicodeError) as error:
        return failed(
            f"nothing answers at {host} ({error or type(error).__name__})",
            "start Label Studio, or set LABEL_STUDIO_HOST to its address as this machine reaches it; inside a container"
            " `localhost` is the container itself",
        )
    health = _json(answer)
    if health.get("status") == "UP" and not _BACKENDS & health.keys():
        return ok(f"answers at {host}")
    return failed(
        f"{host} answers {answer.status_code}, but not as a Label Studio does",
        "check LABEL_STUDIO_HOST: a backend, another program or a proxy has that address",
    )


def key(installation: Installation) -> Outcome:
    """Whether Label Studio takes the key, and what kind of key it is."""
    written = installation.settings.label_studio_api_key.get_secret_value().strip()
    if not written:
        return failed("LABEL_STUDIO_API_KEY is not set", _TOKEN)
    claims = _claims(written)
    if claims is None:
        if written.startswith("eyJ"):
            return failed("LABEL_STUDIO_API_KEY is a part of a token", f"copy the whole of it, or {_TOKEN}")
        return _accepted(installation, "a legacy token")
    if claims.get("token_type") == "access":
        return failed(
            "LABEL_STUDIO_API_KEY is an access token, which lives for minutes and cannot be renewed",
            f"{_TOKEN} as it is: the backend exchanges it by itself",
        )
    ends = claims.get("exp")
    if not isinstance(ends, int | float):
        return failed("LABEL_STUDIO_API_KEY is a token without an end, which is none of Label Studio's", _TOKEN)
    if ends < time.time():
        return failed(f"LABEL_STUDIO_API_KEY ended on {_day(ends)}", _TOKEN)
    outcome = _accepted(installation, f"a personal access token until {_day(ends)}")
    if outcome.status == "ok" and ends < time.time() + _SOON:
        return warning(outcome.found, f"before that, {_TOKEN}")
    return outcome


def version(installation: Installation) -> Outcome:
    """Which Label Studio it is."""
    with installation.studio.client("its version") as client:
        release = str(client.versions.get().release)
    numbers = tuple(int(part) for part in re.findall(r"\d+", release)[:2])
    if numbers < _TESTED:
        return warning(f"Label Studio {release}", "this backend is tested with 1.23: upgrade where something is amiss")
    return ok(f"Label Studio {release}")


def project(installation: Installation) -> Outcome:
    """Whether the key's user sees the project."""
    installation.studio.project(installation.project)
    return ok(f"project {installation.project} is there")


def label_config(installation: Installation) -> Outcome:
    """Whether there is something to label in the label config, and what."""
    try:
        labelings = installation.labelings
    except LabelConfigError as error:
        return failed(str(error))
    if not labelings:
        return failed(NO_PAIR)
    return ok("; ".join(map(_described, labelings)))


def recording(installation: Installation) -> Outcome:
    """Whether a recording of the project can be fetched and read, an annotated one if there is any."""
    task = next(iter(installation.studio.annotated_tasks(installation.project)), None) or _any_task(installation)
    if task is None:
        return warning("the project has no task", "import recordings")
    lengths = {}
    for labeling in installation.labelings:
        try:
            lengths[labeling.object] = len(
                recording_of(task, labeling, installation.studio.fetch, installation.settings.limits)
            )
        except RecordingError as error:
            return failed(f"task {task.id}: {error}")
    return ok(f"task {task.id}: " + ", ".join(f"{rows:,} rows of {name!r}" for name, rows in lengths.items()))


def annotated_tasks(installation: Installation) -> Outcome:
    """Whether enough is annotated for a training."""
    with installation.studio.client("the number of annotated tasks") as client:
        page: Any = client.tasks.list(
            project=installation.project, page_size=1, query=json.dumps(ANNOTATED), include="id", resolve_uri=False
        )
    number, wanted = int(page.response.total), installation.settings.min_annotated_tasks
    if number < wanted:
        return warning(f"{number} of {wanted} that a training needs (MIN_ANNOTATED_TASKS)", "annotate and submit")
    return ok(f"{number}")


def _accepted(installation: Installation, what: str) -> Outcome:
    """Show the key to Label Studio."""
    with installation.studio.client("the user of LABEL_STUDIO_API_KEY") as client:
        try:
            user = client.users.whoami()
        except ApiError as error:
            if error.status_code != 401:
                raise
            return failed(f"Label Studio refuses LABEL_STUDIO_API_KEY, {what}: {_reason(error)}", _TOKEN)
    return ok(f"{what}, of {user.email or user.username}")


def _reason(error: ApiError) -> str:
    said = str(error.body.get("detail", "")) if isinstance(error.body, Mapping) else ""
    if "legacy token authentication has been disabled" in said:
        return "legacy tokens are switched off in its organization"
    if "blacklisted" in said:
        return "it was revoked"
    return f"it says {said!r}, so it is of another Label Studio, or was deleted" if said else "it does not say why"


def _claims(token: str) -> Mapping[str, Any] | None:
    """What a token says of itself; None where it is no JWT, as legacy tokens are not."""
    try:
        return dict(jwt.decode(token, options={"verify_signature": False}))
    except jwt.InvalidTokenError:
        return None


def _any_task(installation: Installation) -> Task | None:
    with installation.studio.client("a task of the project") as client:
        page: Any = client.tasks.list(project=installation.project, page_size=1, include="id,data", resolve_uri=False)
        return next((Task(task.id, task.data) for task in page.items or ()), None)


def _described(labeling: Labeling) -> str:
    if labeling.time_column is None:
        axis = "rows counted, as there is no timeColumn"
    else:
        axis = f"time in {labeling.time_column!r}" + (f" as {labeling.time_format}" if labeling.time_format else "")
    labels, channels = ", ".join(labeling.labels), ", ".join(labeling.channels)
    return f"{labeling.control!r} on {labeling.object!r}: labels {labels}; channels {channels}; {axis}"


def _json(answer: httpx.Response) -> Mapping[str, Any]:
    try:
        body = answer.json()
    except ValueError:
        return {}
    return body if isinstance(body, dict) else {}


def _day(seconds: float) -> str:
    return f"{datetime.fromtimestamp(seconds, timezone.utc):%Y-%m-%d}"

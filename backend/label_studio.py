"""The client of Label Studio: a project's config, its annotated tasks, the bytes of a recording.

Built on label-studio-sdk, which knows both kinds of keys: a personal access token is a refresh token, exchanged for
access tokens that live five minutes; anything else goes out as a legacy token.
"""

from __future__ import annotations

import base64
import json
import logging
import re
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from email.utils import parsedate_to_datetime
from functools import cached_property
from threading import Lock
from typing import Any, NoReturn
from urllib.parse import urljoin, urlsplit

import httpx
from label_studio_sdk.client import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from backend.downloads import opened, read_body
from backend.private_addresses import origin, watch
from backend.settings import Settings
from segmenter.errors import RecordingError
from segmenter.pipeline import Task

logger = logging.getLogger(__name__)

_PAGE = 200  # annotated tasks asked for at once
# Queries of the Data Manager; an annotation that was skipped does not count.
ANNOTATED, WITHOUT_ANNOTATION = (
    {
        "filters": {
            "conjunction": "and",
            "items": [{"filter": "filter:tasks:total_annotations", "operator": operator, "type": "Number", "value": 0}],
        }
    }
    for operator in ("greater", "equal")
)
# Label Studio applies the list to the annotations inside the tasks as well: what is not named there is left out.
_FIELDS = "id,data,annotations,result,was_cancelled,ground_truth,created_at,updated_at,parent_prediction,lead_time"
_OVERLOADED = (429, 502, 503, 504)  # answers of a server, or of the proxy before it, that has too much to do
_ABSOLUTE = re.compile(r"([^/?#]*//)(?:[^/?#]*@)?([^/?#]*)([^?#]*)(.*)", re.DOTALL)  # scheme, host, path, the rest
_HOST = re.compile(r"(\[[^\]]*\]|[^:\[\]]*)(:[0-9]*)?")
_CLOUD_SCHEMES = ("s3", "s3s", "gs", "azure-blob", "azure_spi", "redis")


class LabelStudioError(Exception):
    """Label Studio did not give what was asked for; the message names the setting to change.

    `passing`: worth a retry, after `retry_after` seconds at least.
    """

    def __init__(self, message: str, passing: bool, retry_after: float = 0.0) -> None:
        super().__init__(message)
        self.passing = passing
        self.retry_after = retry_after


@dataclass(frozen=True)
class Project:
    """What a training needs to know of a project."""

    id: int
    label_config: str


class Studio:
    """One Label Studio, reached with one key. Connects on first use, so it may be made before a process forks."""

    def __init__(self, settings: Settings) -> None:
        self._host = settings.label_studio_host
        self._key = settings.label_studio_api_key.get_secret_value().strip()
        self._timeout = settings.request_timeout
        self._limit = int(settings.max_recording_mb * 1e6)
        self._private_allowed = settings.allow_private_addresses
        self._opening = Lock()  # a cached_property no longer keeps threads apart, from Python 3.12 on

    @contextmanager
    def client(self, wanted: str) -> Iterator[LabelStudio]:
        """The SDK's client, to ask for what `wanted` names; what goes wrong inside comes out as LabelStudioError."""
        try:
            yield self._client
        except (ApiError, httpx.HTTPError, ValueError) as error:
            self._explain(error, wanted)

    def project(self, project: int) -> Project:
        """A project's label config; raises LabelStudioError."""
        with self.client(f"project {project}") as client:
            found = client.projects.get(id=project)
        return Project(project, found.label_config or "")

    def annotated_tasks(self, project: int) -> Iterator[Task]:
        """All tasks with at least one annotation that was not skipped, page by page; raises LabelStudioError.

        The tasks are listed, never fetched one by one: that would make Label Studio call this backend's /predict.
        """
        with self.client(f"the annotated tasks of project {project}") as client:
            found: Iterable[Any] = client.tasks.list(
                project=project,
                page_size=_PAGE,
                query=json.dumps(ANNOTATED),
                include=_FIELDS,
                resolve_uri=False,
            )
            for task in found:
                yield Task(id=task.id, data=task.data, annotations=tuple(_as_dicts(task.annotations)))

    def fetch(self, address: str, task: int | str | None) -> bytes:
        """The bytes behind a recording's address, as a task's data holds it.

        `/data/…` is asked of Label Studio, `s3://…` and the like through its resolve address (which needs the task's
        id), any other http(s) address without the key. Raises RecordingError, or LabelStudioError when Label Studio
        itself is the reason and no other recording could be had either.
        """
        shown = _shown(address)
        try:
            url = self._resolve(address, task)
            ours = origin(url) == origin(self._host)
        except ValueError:  # which may quote a part of a password
            raise RecordingError(
                f"{shown} cannot be downloaded: it is no address; mend it in the task's data"
            ) from None
        try:
            headers = {"Authorization": self._authorization()} if ours else {}
            with opened(self._downloads, url, headers, 5 * self._timeout) as response:
                if ours and response.status_code in _OVERLOADED:
                    self._busy(shown, response.status_code, response.headers)
                if response.status_code != httpx.codes.OK:
                    raise RecordingError(_refusal(shown, response.status_code, ours))
                return read_body(shown, response, self._limit, 5 * self._timeout)
        except httpx.TimeoutException:
            raise RecordingError(
                f"{shown} did not answer within {self._timeout:g} s (REQUEST_TIMEOUT); check that it is reachable"
            ) from None
        except (httpx.InvalidURL, UnicodeError):  # the last for a host that cannot be
            raise RecordingError(
                f"{shown} cannot be downloaded: it is no address; mend it in the task's data"
            ) from None
        except httpx.HTTPError as error:
            raise RecordingError(
                f"{shown} cannot be downloaded: {error}; check that the backend can reach it"
            ) from None

    def close(self) -> None:
        """Close all connections; the next call opens new ones."""
        with self._opening:
            if "_open_downloads" in self.__dict__:
                self.__dict__.pop("_open_downloads").close()
            if "_open_client" in self.__dict__:
                self.__dict__.pop("_open_client")._client_wrapper.httpx_client.httpx_client.close()

    def _resolve(self, address: str, task: int | str | None) -> str:
        parts = urlsplit(address)
        if parts.scheme in _CLOUD_SCHEMES:
            if task is None:
                raise RecordingError(
                    f"{_shown(address)} lies in a cloud storage, which Label Studio opens only for a stored task"
                )
            uri = base64.urlsafe_b64encode(address.encode()).decode()
            return f"{self._host}/tasks/{task}/resolve/?fileuri={uri}"
        if parts.scheme in ("http", "https"):
            return address
        if address.startswith("/") and not address.startswith("//"):
            # A Label Studio below a path (https://host/studio) writes that path into its addresses, or not.
            base = urlsplit(self._host).path
            return urljoin(self._host, address) if base and address.startswith(base + "/") else self._host + address
        raise RecordingError(
            f"expected a recording's address (/data/…, http://…, s3://…) in the task's data, found {_shown(address)!r}"
        )

    def _authorization(self) -> str:
        with self.client("a recording") as client:
            return str(client._client_wrapper.get_headers()["Authorization"])

    @property
    def _client(self) -> LabelStudio:
        with self._opening:
            return self._open_client

    @property
    def _downloads(self) -> httpx.Client:
        with self._opening:
            return self._open_downloads

    @cached_property
    def _open_client(self) -> LabelStudio:
        if not self._key:
            raise LabelStudioError(
                "LABEL_STUDIO_API_KEY is not set: create a personal access token in Label Studio (Account & Settings) "
                "and start the backend with it",
                passing=False,
            )
        try:
            # The slash keeps the path of a Label Studio that is not at the root of its host.
            return LabelStudio(  # type: ignore[no-untyped-call]
                base_url=self._host + "/", api_key=self._key, timeout=self._timeout, max_retries=0
            )
        except ApiError as error:
            self._explain(error, "an access token")

    @cached_property
    def _open_downloads(self) -> httpx.Client:
        hooks = watch(self._host, self._private_allowed)
        return httpx.Client(timeout=self._timeout, event_hooks=hooks)

    def _explain(self, error: ApiError | httpx.HTTPError | ValueError, wanted: str) -> NoReturn:
        if isinstance(error, httpx.TimeoutException):
            raise LabelStudioError(
                f"Label Studio at {self._host} did not answer within {self._timeout:g} s when asked for {wanted}; check"
                " LABEL_STUDIO_HOST, or raise REQUEST_TIMEOUT",
                passing=True,
            ) from error
        if not isinstance(error, ApiError):
            raise LabelStudioError(
                f"Label Studio at {self._host} gave no usable answer when asked for {wanted} ({type(error).__name__}); "
                "check LABEL_STUDIO_HOST and that it runs",
                passing=True,
            ) from error
        status = error.status_code or 0
        if status in _OVERLOADED:
            self._busy(wanted, status, error.headers or {})
        advice = {
            401: "LABEL_STUDIO_API_KEY is not accepted: use a personal access token, legacy tokens are off by default",
            403: "the user of LABEL_STUDIO_API_KEY may not see it: give the user access to the project",
            404: "it is not there: check LABEL_STUDIO_HOST, and that the key's user is in the project's organization",
        }.get(status, "try again later")
        raise LabelStudioError(
            f"Label Studio at {self._host} answered {status} when asked for {wanted}; {advice}",
            passing=status >= 500,
        ) from error

    def _busy(self, wanted: str, status: int, headers: Mapping[str, str]) -> NoReturn:
        raise LabelStudioError(
            f"Label Studio at {self._host} answered {status} when asked for {wanted}: it is busy or being restarted;"
            " fewer TRAININGS_AT_ONCE ask less of it",
            passing=True,
            retry_after=_seconds(httpx.Headers(headers).get("Retry-After", "")),
        )


def _seconds(retry_after: str) -> float:
    """How long a Retry-After header asks to wait: it holds seconds, or a date. 0 where it holds neither."""
    try:
        if retry_after.strip().isdecimal():
            return float(retry_after)
        return max(0.0, parsedate_to_datetime(retry_after).timestamp() - time.time())
    except ValueError:
        return 0.0


def _refusal(address: str, status: int, ours: bool) -> str:
    advice = "check the address"
    if ours and status in (401, 403, 404):
        advice = (
            "check that the file exists and that the user of LABEL_STUDIO_API_KEY can open the task in Label Studio"
            " (files under /data/local-files/ and cloud addresses need a storage of the project that covers them)"
        )
    return f"{address} cannot be downloaded: expected 200, the server answered {status}; {advice}"


def _shown(address: str) -> str:
    """An address for a sentence: on one line, not of any length, and without what may be a secret in it.

    That is what goes before an @ in the host, and what comes after a ?. Label Studio's own addresses have no secrets.
    """
    absolute = _ABSOLUTE.fullmatch(address)
    if absolute:
        scheme, host, path, more = absolute.groups()
        address = f"{scheme}{host}{path}{'?…' if more else ''}" if _HOST.fullmatch(host) else f"{scheme}…"
    text = "".join(char if char.isprintable() else "?" for char in address[:201])
    return text if len(text) <= 200 else text[:199] + "…"


def _as_dicts(annotations: Any) -> Iterator[dict[str, Any]]:
    for annotation in annotations or ():
        yield annotation if isinstance(annotation, dict) else annotation.model_dump()

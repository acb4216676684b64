"""What Label Studio knows of this backend in a project: the connection, and the webhook beside it.

By the connection (Label Studio calls it an ML backend) it asks for suggestions, by the webhook it tells of annotations.
Label Studio makes a webhook with each new connection, but without the credentials and for all events, and does not say
when it could not; removing a connection leaves the webhook behind. So the webhook is put in order here, before the
connection, and goes with it.
"""

from __future__ import annotations

import base64
import re
from collections.abc import Callable, Iterable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from typing import Any
from urllib.parse import urlsplit

from label_studio_sdk.client import LabelStudio
from label_studio_sdk.core.api_error import ApiError

from backend.label_studio import LabelStudioError, Studio
from backend.service import WEBHOOK_EVENTS
from backend.settings import Settings

_HEADER = "Authorization"
_NOWHERE = 0  # no project has this id: Label Studio looks at what else a request holds, and stores nothing
_TAG = re.compile(r"<[^>]*>")
# How Label Studio refuses an address, beside a 400: 403 for a reserved one, 500 for a host that it cannot find.
_ADDRESS_REFUSED = re.compile(r"reserved network address|URL was not allowed|Can't resolve hostname")


@dataclass(frozen=True)
class Connection:
    """A backend that Label Studio asks for suggestions. The state is Label Studio's: CO where it answers."""

    id: int
    url: str
    title: str
    state: str
    problem: str  # what Label Studio says of a state ER
    version: str | None  # the model version that it last told Label Studio
    user: str | None  # of basic auth; None without it

    @property
    def answers(self) -> bool:
        """Whether Label Studio got an answer when it last looked, which it does whenever it is asked for this."""
        return self.state not in ("DI", "ER")


@dataclass(frozen=True)
class Webhook:
    """An address that Label Studio tells of a project's events."""

    active: bool = True
    sends_payload: bool = True
    all_events: bool = False
    events: frozenset[str] = WEBHOOK_EVENTS
    headers: Mapping[str, str] = field(default_factory=dict, repr=False)

    @property
    def authorization(self) -> str | None:
        """The header that lets it through basic auth."""
        return next((value for name, value in self.headers.items() if name.lower() == _HEADER.lower()), None)

    @property
    def missing(self) -> frozenset[str]:
        """Events that it ought to tell of and does not."""
        return frozenset() if self.all_events else WEBHOOK_EVENTS - self.events

    def authorized(self, header: str | None) -> Webhook:
        """With this Authorization header, or as it is where there is none to add."""
        if header is None:
            return self
        others = {name: value for name, value in self.headers.items() if name.lower() != _HEADER.lower()}
        return replace(self, headers={**others, _HEADER: header})


@dataclass(frozen=True)
class Refusals:
    """What Label Studio has against an address. All empty where nothing."""

    webhook: str = ""  # why no webhook may have it
    reserved: tuple[str, ...] = ()  # settings of Label Studio that forbid it, because it is a local one
    unknown: str = ""  # what it says of a host that it cannot find


class Registration:
    """This backend in one project of Label Studio. All methods raise LabelStudioError."""

    def __init__(self, studio: Studio, project: int, settings: Settings) -> None:
        self._studio = studio
        self._project = project
        self._user = settings.basic_auth_user
        self._password = settings.basic_auth_pass.get_secret_value()

    @property
    def authorization(self) -> str | None:
        """The Authorization header that this backend asks for; None where it asks for none."""
        if not self._user:
            return None
        return "Basic " + base64.b64encode(f"{self._user}:{self._password}".encode()).decode()

    def connections(self, url: str | None = None) -> list[Connection]:
        """The project's backends, at an address or all of them; Label Studio calls each of all before it answers."""
        with self._ask("the backends of the project") as client:
            found = [_connection(row) for row in client.ml.list(project=self._project)]
        return [one for one in found if url is None or one.url.rstrip("/") == url]

    def connection(self, url: str) -> Connection | None:
        """The backend at an address."""
        return next(iter(self.connections(url)), None)

    def webhooks(self, url: str) -> dict[int, Webhook]:
        """The project's webhooks to the backend at `url`, by id."""
        with self._ask("the webhooks of the project") as client:
            rows = client.webhooks.list(project=str(self._project))
            return {int(row.id or 0): _webhook(row) for row in rows if row.url == webhook_url(url)}

    def suggests(self, connection: Connection) -> bool:
        """Whether a task that is opened, in the task list or by Label All Tasks, is suggested by this backend."""
        with self._ask("the project's settings") as client:
            project = client.projects.get(id=self._project)
        return bool(project.show_collab_predictions) and project.model_version == connection.title

    def refusals(self, url: str) -> Refusals:
        """Ask Label Studio what it has against an address, without storing anything."""
        with self._studio.client(f"what it has against {url}") as client:
            webhook = _objection(lambda: client.webhooks.create(url=webhook_url(url), project=_NOWHERE))
            backend = _objection(lambda: client.ml.create(url=url, project=_NOWHERE))
        by_setting = {"ML_BLOCK_LOCAL_IP": backend, "SSRF_PROTECTION_ENABLED": webhook}
        return Refusals(
            webhook=webhook.fields.get("url", ""),
            reserved=tuple(name for name, objection in by_setting.items() if objection.status == 403),
            unknown=next((one.detail for one in by_setting.values() if one.status >= 500), ""),
        )

    def connect(self, url: str) -> list[str]:
        """Put the webhook, the connection and the live suggestions in order; tells what was changed, [] for nothing.

        The webhook comes first: where Label Studio refuses one, it is to keep no connection that never hears of
        annotations.
        """
        told, made = self._put_webhook(url)
        try:
            told += self._put_connection(url)
        except LabelStudioError:
            if made is not None:
                self._remove_webhooks([made])
            raise
        return told + self._put_suggestions(url)

    def disconnect(self, url: str) -> list[str]:
        """Remove the connection to an address and the webhook; tells what was removed, [] for nothing."""
        connections = self.connections(url)
        with self._ask("to remove the connection") as client:
            for connection in connections:
                client.ml.delete(connection.id)
        webhooks = self.webhooks(url)
        self._remove_webhooks(webhooks)
        return ["connection removed"] * bool(connections) + ["webhook removed"] * bool(webhooks)

    def _put_webhook(self, url: str) -> tuple[list[str], int | None]:
        """What was changed, and the id of a webhook that there was not before."""
        found = self.webhooks(url)
        if not found:
            return ["webhook made"], self._make_webhook(url)
        (number, webhook), *others = found.items()
        told = []
        # Other headers stay, and so does an Authorization where this backend asks for none: a proxy may.
        wanted = Webhook(headers=webhook.headers).authorized(self.authorization)
        if webhook != wanted:
            with self._ask("to mend the webhook") as client:
                client.webhooks.update(number, url=webhook_url(url), **_as_asked(wanted))
            told.append("webhook mended")
        if others:
            self._remove_webhooks([number for number, _ in others])
            told.append("webhooks to the same address removed, so that events come once")
        return told, None

    def _make_webhook(self, url: str) -> int:
        with self._ask(f"a webhook to {webhook_url(url)}") as client:
            wanted = Webhook().authorized(self.authorization)
            made = client.webhooks.create(url=webhook_url(url), project=self._project, **_as_asked(wanted))
        return int(made.id or 0)

    def _remove_webhooks(self, numbers: Iterable[int]) -> None:
        with self._ask("to remove a webhook") as client:
            for number in numbers:
                client.webhooks.delete(number)

    def _put_connection(self, url: str) -> list[str]:
        connection = self.connection(url)
        credentials: dict[str, Any] = {}
        if self._user:
            credentials = {
                "auth_method": "BASIC_AUTH", "basic_auth_user": self._user, "basic_auth_pass": self._password
            }  # fmt: skip
        with self._ask(f"the backend at {url}") as client:
            if connection is None:
                title = f"Segmenter at {urlsplit(url).netloc}"  # one title an address: Label Studio chooses by it
                client.ml.create(project=self._project, url=url, title=title, **credentials)
                return ["connection made"]
            # The password cannot be read; where it is another one, Label Studio gets no answer.
            if credentials and (connection.user != self._user or not connection.answers):
                client.ml.update(connection.id, project=self._project, url=connection.url, **credentials)
                return ["credentials of the connection set"]
        return []

    def _put_suggestions(self, url: str) -> list[str]:
        connection = self.connection(url)
        if connection is None or self.suggests(connection):
            return []
        with self._ask("to show suggestions") as client:
            client.projects.update(self._project, show_collab_predictions=True, model_version=connection.title)
        return ["suggestions switched on"]

    @contextmanager
    def _ask(self, wanted: str) -> Iterator[LabelStudio]:
        """The client, with Label Studio's own words where it refuses what `wanted` names."""
        with self._studio.client(wanted) as client:
            try:
                yield client
            except ApiError as error:
                objection = _Objection.of(error)
                if objection.status in (401, 404) or not objection.detail:
                    raise
                raise LabelStudioError(f"Label Studio refused {wanted}: {objection.detail}", passing=False) from error


@dataclass(frozen=True)
class _Objection:
    """What Label Studio has against a request: its status, what it says of each field, and all of that as a text."""

    status: int
    fields: Mapping[str, str]
    detail: str

    @classmethod
    def of(cls, error: ApiError) -> _Objection:
        body = error.body if isinstance(error.body, Mapping) else {}
        problems = body.get("validation_errors") or {}
        fields = {name: _text(said) for name, said in problems.items()} if isinstance(problems, Mapping) else {}
        return cls(error.status_code or 0, fields, " ".join(fields.values()) or _text(body.get("detail", "")))


def _objection(ask: Callable[[], object]) -> _Objection:
    """What Label Studio says to something that it cannot store; what else it is against is raised as it is."""
    try:
        ask()
    except ApiError as error:
        objection = _Objection.of(error)
        if objection.status == 400 or _ADDRESS_REFUSED.search(objection.detail):
            return objection
        raise
    return _Objection(200, {}, "")


def webhook_url(url: str) -> str:
    """Where the backend at an address hears of events."""
    return f"{url}/webhook"


def _connection(row: Any) -> Connection:
    return Connection(
        id=int(row.id),
        url=row.url,
        title=row.title or "",
        state=row.state or "",
        problem=_text(row.error_message or ""),
        version=row.model_version or None,
        user=row.basic_auth_user or "" if row.auth_method == "BASIC_AUTH" else None,
    )


def _webhook(row: Any) -> Webhook:
    return Webhook(
        active=bool(row.is_active),
        sends_payload=bool(row.send_payload),
        all_events=bool(row.send_for_all_actions),
        events=frozenset(row.actions or ()),
        headers=dict(row.headers or {}),
    )


def _as_asked(webhook: Webhook) -> dict[str, Any]:
    return {
        "is_active": webhook.active,
        "send_payload": webhook.sends_payload,
        "send_for_all_actions": webhook.all_events,
        "actions": sorted(webhook.events),
        "headers": dict(webhook.headers),
    }


def _text(said: Any) -> str:
    """Label Studio's words on one line, without its links."""
    parts = said if isinstance(said, list) else [said]
    return " ".join(_TAG.sub("", " ".join(map(str, parts))).split())

"""What the doctor is made of: checks that look at one thing each, and what came of them.

A check is a small function in one of the `doctor_*` modules. The tables in `doctor_cli` and `connect_cli` say in which
order they are tried, and which make sense only after which others.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from typing import Literal

from backend.label_studio import LabelStudioError, Studio
from backend.model_store import ModelStore
from backend.registration import Connection, Refusals, Registration, Webhook
from backend.service import UNTRAINED
from backend.settings import Settings, read_settings
from segmenter.labeling import Labeling, read_label_config

Status = Literal["ok", "warning", "failed", "not tried"]


@dataclass(frozen=True)
class Outcome:
    """What a check found, and what is to be done about it ("" where nothing is, or `found` says so itself)."""

    status: Status
    found: str
    advice: str = ""


@dataclass(frozen=True)
class Check:
    """One line of the list. look: None where there is nothing to check. needs: checks that must not have failed."""

    name: str
    look: Callable[[Installation], Outcome | None]
    needs: tuple[str, ...] = ()


def ok(found: str) -> Outcome:
    """All is well."""
    return Outcome("ok", found)


def warning(found: str, advice: str) -> Outcome:
    """It works, though perhaps not as wanted."""
    return Outcome("warning", found, advice)


def failed(found: str, advice: str = "") -> Outcome:
    """It does not work."""
    return Outcome("failed", found, advice)


class Installation:
    """What the checks look at: the settings, and Label Studio's side of one project. Each is asked for once.

    url: the backend's address as Label Studio reaches it; None for that of the connection that there is.
    """

    def __init__(self, project: int | None = None, url: str | None = None) -> None:
        self._project = project
        self._url = url

    @property
    def project(self) -> int:
        """The project's id. Only checks of a project ask for it."""
        assert self._project is not None
        return self._project

    @cached_property
    def settings(self) -> Settings:
        """The settings of this process' environment; raises SettingsError."""
        return read_settings()

    @cached_property
    def studio(self) -> Studio:
        """The Label Studio of the settings."""
        return Studio(self.settings)

    @cached_property
    def registration(self) -> Registration:
        """This backend in the project."""
        return Registration(self.studio, self.project, self.settings)

    @cached_property
    def labelings(self) -> tuple[Labeling, ...]:
        """What the project's label config has to learn; raises LabelStudioError or LabelConfigError."""
        return read_label_config(self.studio.project(self.project).label_config, self.settings.limits)

    @cached_property
    def connections(self) -> list[Connection]:
        """The project's backends: those at the address, or all where none is given; raises LabelStudioError."""
        return self.registration.connections(self._url)

    @cached_property
    def version(self) -> str:
        """The version of the project's model that serves from this MODEL_DIR."""
        settings = self.settings
        return ModelStore(settings.model_dir, settings.keep_versions).current_version(self.project) or UNTRAINED

    @property
    def connection(self) -> Connection:
        """Of several backends the one that serves from this MODEL_DIR. For checks that need a connection only."""
        return next((one for one in self.connections if one.version == self.version), self.connections[0])

    @property
    def url(self) -> str:
        """Its address, as Label Studio reaches it."""
        return self._url or self.connection.url.rstrip("/")

    @cached_property
    def webhooks(self) -> list[Webhook]:
        """The project's webhooks to the address; raises LabelStudioError."""
        return list(self.registration.webhooks(self.url).values())

    @cached_property
    def refusals(self) -> Refusals:
        """What Label Studio has against the address; raises LabelStudioError."""
        return self.registration.refusals(self.url)

    @property
    def connecting(self) -> str:
        """The command that connects the backend."""
        return f"python -m backend connect --project {self.project} --url {self.url}"

    def close(self) -> None:
        """Close all connections."""
        if "studio" in self.__dict__:
            self.studio.close()


def examine(installation: Installation, checks: Sequence[Check]) -> Iterator[tuple[str, Outcome]]:
    """(check's name, what it found), in their order; a check that needs a failed one is not tried, and says so."""
    failures: dict[str, str] = {}  # a check without a result, and the failed one that is the reason
    for check in checks:
        cause = next((failures[need] for need in check.needs if need in failures), None)
        outcome = Outcome("not tried", f"it needs: {cause}") if cause else _tried(check, installation)
        if outcome is None:
            continue
        if outcome.status in ("failed", "not tried"):
            failures[check.name] = cause or check.name
        yield check.name, outcome


def _tried(check: Check, installation: Installation) -> Outcome | None:
    try:
        return check.look(installation)
    except LabelStudioError as error:
        return failed(str(error))

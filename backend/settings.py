"""Every environment variable of the backend: typed, checked at start, secrets never printed."""

from __future__ import annotations

import os
import re
from functools import lru_cache
from pathlib import Path
from typing import Literal

import torch
from pydantic import AliasChoices, Field, SecretStr, ValidationError, field_validator, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict
from redis import Redis

from segmenter.limits import Limits
from segmenter.training import TrainingSettings

_USER = re.compile("//[^/]*@")  # in an address


class SettingsError(Exception):
    """A setting is missing or wrong; the message names it, what it holds and what it takes."""


class Settings(BaseSettings):
    """The settings, read from the environment once at start. The README's table lists the same ones."""

    model_config = SettingsConfigDict(frozen=True, extra="ignore", env_ignore_empty=True)

    label_studio_host: str = Field(
        default="http://localhost:8080",
        validation_alias=AliasChoices("LABEL_STUDIO_HOST", "LABEL_STUDIO_URL"),
        description="Address of Label Studio as this backend reaches it. LABEL_STUDIO_URL means the same.",
    )
    label_studio_api_key: SecretStr = Field(
        default=SecretStr(""), description="A personal access token of Label Studio (or a legacy token, where enabled)."
    )
    model_dir: Path = Field(default=Path("."), description="Folder of the stored models and of the training queue.")
    redis_url: SecretStr = Field(
        default=SecretStr(""),
        description="The Redis that a backend on many machines shares, like redis://:password@host:6379/0.",
    )
    start_training_each_n_updates: int = Field(
        default=1, ge=1, description="Train after every N annotation events since the last training."
    )
    min_annotated_tasks: int = Field(default=1, ge=1, description="Fewer annotated tasks than this: no training.")
    keep_versions: int = Field(default=5, ge=2, description="How many model versions of a project are kept.")
    renew_suggestions: int = Field(
        default=200,
        ge=0,
        description="After a training, so many tasks without annotations get its suggestions. 0: none.",
    )
    renew_first: Literal["oldest", "newest", "unsure"] = Field(
        default="oldest",
        description="Which of these come first: `oldest` and `newest` by id, `unsure` by the lowest prediction score.",
    )
    unlabeled: Literal["background", "ignore"] = Field(
        default="background",
        description="Rows of an annotated recording outside all regions: `background` is learned and never suggested; "
        "`ignore` leaves them out of training, every row then gets a label.",
    )
    seed: int = Field(default=0, ge=0, description="Seed of the training: same data and seed, same model.")
    training_threads: int = Field(
        default=os.cpu_count() or 1, ge=1, description="Networks that a training fits at once, each on a core."
    )
    trainings_at_once: int = Field(default=1, ge=1, description="Trainings of different projects that a machine runs.")
    training_effort: float = Field(
        default=1.0, gt=0, le=10, description="Factor on the steps of a training: 0.5 takes about half the time."
    )
    device: Literal["auto", "cpu", "cuda"] = Field(
        default="auto", description="Where trainings run: `cuda` is a GPU, `auto` takes one where there is one."
    )
    request_timeout: float = Field(
        default=20.0,
        gt=0,
        description="Seconds without an answer after which a download or a Label Studio call fails; a whole download"
        " may take 5 times as long.",
    )
    max_recording_mb: float = Field(default=200.0, gt=0, description="Larger recordings are refused, in megabytes.")
    max_rows: int = Field(default=10_000_000, ge=1, description="Recordings with more rows are refused.")
    max_channels: int = Field(
        default=1000, ge=1, description="Recordings with more columns and time series with more channels are refused."
    )
    max_labels: int = Field(default=1000, ge=1, description="Label configs with more labels are refused.")
    max_tasks: int = Field(
        default=5000, ge=1, description="Requests for suggestions for more tasks at once are refused."
    )
    allow_private_addresses: bool = Field(
        default=False,
        description="Whether tasks may name recordings on private or local addresses other than Label Studio's.",
    )
    max_body_mb: float = Field(default=50.0, gt=0, description="Larger requests are refused unread, in megabytes.")
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = Field(default="INFO", description="How much is logged.")
    log_format: Literal["text", "json"] = Field(
        default="text", description="`text` logs sentences, `json` one JSON object a line with their facts as fields."
    )
    port: int = Field(default=9090, ge=1, le=65535, description="Port that the backend listens on.")
    workers: int = Field(default=2, ge=1, description="Web worker processes.")
    threads: int = Field(default=4, ge=1, description="Requests a worker handles at once.")
    basic_auth_user: str = Field(default="", description="User of HTTP basic auth; with BASIC_AUTH_PASS.")
    basic_auth_pass: SecretStr = Field(default=SecretStr(""), description="Password of HTTP basic auth.")

    @field_validator("label_studio_host")
    @classmethod
    def _http_address(cls, host: str) -> str:
        if not host.startswith(("http://", "https://")):
            raise ValueError("expected an address that starts with http:// or https://, like http://localhost:8080")
        if _USER.search(host):  # which would take the place of the key
            raise ValueError("expected an address without user and password: the key goes into LABEL_STUDIO_API_KEY")
        return host.rstrip("/")

    @field_validator("redis_url")
    @classmethod
    def _redis_address(cls, url: SecretStr) -> SecretStr:
        if not url.get_secret_value():
            return url
        if not url.get_secret_value().startswith(("redis://", "rediss://", "unix://")):
            raise ValueError(
                "expected an address that starts with redis://, rediss:// or unix://, like redis://host:6379/0"
            )
        try:
            Redis.from_url(url.get_secret_value())
        except ValueError:  # which may quote a part of the password
            raise ValueError(
                "expected an address like redis://:password@host:6379/0; write # / ? @ % in the password as %23 %2F"
                " %3F %40 %25"
            ) from None
        return url

    @field_validator("log_level", mode="before")
    @classmethod
    def _upper_case(cls, level: object) -> object:
        return level.upper() if isinstance(level, str) else level

    @field_validator("log_format", mode="before")
    @classmethod
    def _lower_case(cls, form: object) -> object:
        return form.lower() if isinstance(form, str) else form

    @model_validator(mode="after")
    def _both_or_none(self) -> Settings:
        if bool(self.basic_auth_user) != bool(self.basic_auth_pass.get_secret_value()):
            raise ValueError("BASIC_AUTH_USER and BASIC_AUTH_PASS go together: set both, or neither")
        return self

    @model_validator(mode="after")
    def _a_gpu_where_one_is_asked_for(self) -> Settings:
        if self.device == "cuda" and not torch.cuda.is_available():
            raise ValueError(
                f"DEVICE is cuda, but torch {torch.__version__} finds no GPU: install a build for CUDA,"
                " mend the driver, or set DEVICE=auto"
            )
        return self

    def training(self, seed: int | None = None) -> TrainingSettings:
        """How the engine is to train."""
        return TrainingSettings(
            seed=self.seed if seed is None else seed,
            threads=self.training_threads,
            unlabeled=self.unlabeled,
            effort=self.training_effort,
            limits=self.limits,
            device="cuda" if self.device != "cpu" and torch.cuda.is_available() else "cpu",
        )

    @property
    def limits(self) -> Limits:
        """What is refused as too large to read."""
        return Limits(self.max_rows, self.max_channels, self.max_labels)

    @property
    def many_machines(self) -> bool:
        """Whether other machines share the work, through the Redis of REDIS_URL."""
        return bool(self.redis_url.get_secret_value())

    @property
    def inference_threads(self) -> int:
        """Processor threads of one recording: all workers together ask for no more cores than there are."""
        return max(1, (os.cpu_count() or 1) // self.workers)


def read_settings() -> Settings:
    """The settings of this process' environment; raises SettingsError with a line for every wrong one."""
    try:
        return Settings()
    except ValidationError as error:
        raise SettingsError("; ".join(_sentence(problem) for problem in error.errors(include_input=True))) from None


@lru_cache(maxsize=1)
def current_settings() -> Settings:
    """The settings this process started with."""
    return read_settings()


def _sentence(problem: object) -> str:
    assert isinstance(problem, dict)
    message = str(problem["msg"]).removeprefix("Value error, ")
    if not problem["loc"]:
        return message
    name = str(problem["loc"][0]).upper()
    field = Settings.model_fields.get(name.lower())
    given = _USER.sub("//…@", str(problem["input"]))
    shown = "" if field is None or field.annotation is SecretStr else f" is {given!r}"
    return f"{name}{shown}: {message}"

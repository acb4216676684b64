"""The only module that knows which generation of label-studio-ml is installed.

Both come out alike: a base class with 2.x's contract (`__init__(project_id, label_config)`, `fit(event, data)`,
`predict(tasks, context)`, one instance a request) and the SDK's own Flask app, serving that class.

1.0.9 (the newest on the package index) keeps a manager of models in `api._manager`; ours takes its place.
2.x (from its repository) keeps the class in `api.MODEL_CLASS`, which its `init_app` sets.
"""

from __future__ import annotations

import logging
import os
from abc import abstractmethod
from functools import cached_property
from typing import Any

from flask import Flask, Response, jsonify
from label_studio_sdk.label_interface.interface import LabelInterface

from backend.logs import new_incident

if os.environ.get("MODEL_DIR") == "":
    del os.environ["MODEL_DIR"]  # 2.x opens a cache there as it is imported, and would stumble over an empty name

try:
    from label_studio_ml import api
    from label_studio_ml import model as sdk
except ImportError as error:
    raise SystemExit(
        f"label-studio-ml cannot be imported ({error}); install it with: "
        "pip install --no-deps --require-hashes -r locks/serve.txt"
    ) from error

logger = logging.getLogger(__name__)

FIRST_GENERATION = hasattr(sdk, "LabelStudioMLManager")


class ModelBase(sdk.LabelStudioMLBase):  # type: ignore[misc]  # the SDK has no types
    """label-studio-ml's base class with the contract of 2.x, whichever generation is installed."""

    def __init__(self, project_id: str | None = None, label_config: str | None = None) -> None:
        # The SDK's own constructors refuse configs they do not know, and 2.x's writes a cache next to the models.
        self.project_id = project_id or ""
        self._label_config = label_config or ""
        self._extra: dict[str, Any] = {}

    @property
    def label_config(self) -> str:
        """The project's label config, as the request brought it."""
        return self._label_config

    @cached_property
    def label_interface(self) -> LabelInterface:
        """The SDK's own view of the label config; raises what the SDK raises for one it does not understand."""
        return LabelInterface(config=self._label_config)

    @property
    @abstractmethod
    def model_version(self) -> str:
        """The version that predictions of this project carry."""

    def get(self, key: str) -> Any:
        """What 2.x's server asks of its cache."""
        return self.model_version if key == "model_version" else self._extra.get(key)

    def set(self, key: str, value: Any) -> None:
        """What 2.x's server would keep: for this request only."""
        self._extra[key] = value

    def has(self, key: str) -> bool:
        """Whether `get` has an answer."""
        return self.get(key) is not None


def create_app(model_class: type[ModelBase]) -> Flask:
    """The SDK's Flask app, serving `model_class`."""
    if FIRST_GENERATION:
        api._manager = _one_model_a_request(model_class)
        app: Flask = api.init_app(model_class)
    else:
        app = api.init_app(model_class)
    # The SDK's own hooks log headers and bodies, tokens included; 2.x's basic auth fails on names that are not ASCII.
    app.before_request_funcs.clear()
    app.after_request_funcs.clear()
    app.error_handler_spec.clear()  # which tell the client what the exception says, paths included
    app.after_request(_keep_tracebacks_here)
    return app


def _one_model_a_request(model_class: type[ModelBase]) -> Any:
    """1.0.9's manager, made to do what 2.x does: a fresh instance of the class for every request, nothing cached."""

    class Manager(sdk.LabelStudioMLManager):  # type: ignore[misc]
        @classmethod
        def initialize(cls, model_class: type[ModelBase], **_: Any) -> None:
            cls.model_class = model_class

        @classmethod
        def fetch(cls, project: Any = None, label_config: str | None = None, *_: Any, **__: Any) -> Any:
            model = model_class(project_id=str(project).split(".", 1)[0], label_config=label_config)
            return sdk.ModelWrapper(model=model, model_version=model.model_version)

        @classmethod
        def predict(
            cls, tasks: Any, project: Any = None, label_config: str | None = None, *_: Any, **params: Any
        ) -> tuple[Any, Any]:
            wrapper = cls.fetch(project, label_config)
            return wrapper.model.predict(tasks, **params), wrapper

    return Manager()


def _keep_tracebacks_here(response: Response) -> Response:
    """The SDK answers an error with its traceback and logs it; the client gets an id to look it up by instead."""
    if response.status_code < 500:
        return response
    incident = new_incident()
    logger.error(
        "the request answered %(code)d above has the id %(incident)s",
        {"code": response.status_code, "incident": incident},
    )
    answer = jsonify({"error": f"the backend failed; its log has the reason under the id {incident}"})
    answer.status_code = response.status_code
    return answer

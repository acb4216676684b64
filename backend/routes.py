"""Our routes beside the SDK's, and the checks in front of all: whether somebody may ask, and whether it makes sense."""

from __future__ import annotations

import logging
import re
from collections.abc import Mapping
from typing import Any

from flask import Flask, Response, abort, jsonify, request
from werkzeug.exceptions import HTTPException

from backend.access import add_access_checks
from backend.pages import pages
from backend.sdk import ModelBase
from backend.service import service
from backend.settings import Settings
from backend.training_jobs import QueueError
from segmenter.errors import NotXml
from segmenter.limits import LONGEST_CONFIG

logger = logging.getLogger(__name__)

_PROJECT = re.compile(r"([0-9]{1,18})(\.[0-9]+)?")  # Label Studio writes "<id>.<when it was created>"


def add_routes(app: Flask, model_class: type[ModelBase], settings: Settings) -> None:
    """Put our routes and checks onto the SDK's app."""
    add_access_checks(app, settings)
    app.before_request(lambda: _check_body(settings.max_tasks))
    app.before_request(_note_label_config)
    app.register_error_handler(HTTPException, _in_one_sentence)
    # Neither generation's own /webhook can answer Label Studio's real events: lists, ids only, no payload at all.
    app.view_functions["webhook"] = lambda: _webhook(model_class)
    app.view_functions["_train"] = lambda: _no_longer("/train", "Label Studio posts START_TRAINING to /webhook")
    app.view_functions["_is_training"] = lambda: _no_longer("/is_training", "ask /projects/<id>/status")
    app.add_url_rule("/versions", "versions_of_all", lambda: jsonify({"versions": []}), methods=["GET"])
    app.add_url_rule("/projects/<project>/status", "status", _status)
    app.register_blueprint(pages)


def _webhook(model_class: type[ModelBase]) -> tuple[Response, int]:
    """Answer an event at once: 201 with the job when it asked for a training, 200 when it did not."""
    body = request.get_json()
    event, project = body.get("action"), body.get("project")
    number = _project_number(project.get("id")) if isinstance(project, Mapping) else None
    if not isinstance(event, str) or number is None:
        logger.info(
            "an event without a project is ignored (action %(event)r); let the webhook send its payload",
            {"event": event},
        )
        return jsonify({"status": "ignored"}), 200
    try:
        asked = model_class(project_id=str(number)).fit(event, body)
    except QueueError as error:
        facts = {"project": number, "event": event, "reason": error}
        logger.error("project %(project)d: %(event)s is lost: %(reason)s", facts)
        return jsonify({"error": "the event cannot be stored; the backend's log has the reason"}), 503
    if asked is None:
        return jsonify({"status": "ok"}), 200
    return jsonify({"status": "ok", "job": f"{number}-{asked}"}), 201


def _status(project: str) -> Response:
    number = _project_number(project)
    if number is None:
        abort(404, f"expected a project's id, like 12, in the address, found {project[:40]!r}")
    try:
        return jsonify(service().status(number))
    except QueueError as error:
        facts = {"project": number, "reason": error}
        logger.error("project %(project)d: there is no status: %(reason)s", facts)
        abort(503, "the training queue cannot be read; the backend's log has the reason")


def _note_label_config() -> None:
    """The status wants to know the project's label config; a request with one that is not XML is refused."""
    key = {"/predict": "label_config", "/setup": "schema"}.get(request.path)
    body = request.get_json() if key and request.method == "POST" else {}
    if key and body.get(key):
        problem = service().remember(int(body["project"]), body[key])
        if isinstance(problem, NotXml):
            abort(400, str(problem))


def _check_body(max_tasks: int) -> None:
    """Refuse what the SDK's routes would stumble over, and hand them a body in the one form they all take."""
    if request.method != "POST" or request.routing_exception:
        return
    try:
        body = request.get_json(force=True, silent=True)
    except RecursionError:
        abort(400, "expected a JSON object as the body, found one nested too deeply to read")
    if not isinstance(body, dict):
        found = f"a JSON {type(body).__name__}" if body else "nothing that is one"
        abort(400, f"expected a JSON object as the body, found {found}")
    if request.path in ("/predict", "/setup"):
        number = _project_number(body.get("project"))
        if number is None:
            abort(400, "expected `project` to be a project's id, like '12.1700000000'")
        body["project"] = str(number)
    if request.path == "/setup":
        body["schema"] = _text(body, "schema")
    if request.path == "/predict":
        tasks = body.get("tasks")
        if not isinstance(tasks, list) or not all(isinstance(task, dict) for task in tasks):
            abort(400, "expected `tasks` to be a list of tasks")
        if len(tasks) > max_tasks:
            abort(400, f"expected at most {max_tasks:,} tasks at once, found {len(tasks):,}; raise MAX_TASKS for more")
        body["label_config"] = _text(body, "label_config")
        params = body.get("params")
        context = params.get("context") if isinstance(params, dict) else None
        body["params"] = {"context": context if isinstance(context, dict) else None}


def _text(body: Mapping[str, Any], key: str) -> str:
    text = body.get(key)
    if text is not None and not isinstance(text, str):
        abort(400, f"expected `{key}` to be text, found a JSON {type(text).__name__}")
    if text and len(text) > LONGEST_CONFIG:
        abort(400, f"expected a label config of at most {LONGEST_CONFIG:,} characters as `{key}`, found {len(text):,}")
    return text or ""


def _project_number(project: object) -> int | None:
    match = (
        _PROJECT.fullmatch(str(project)) if isinstance(project, int | str) and not isinstance(project, bool) else None
    )
    return int(match[1]) if match else None


def _in_one_sentence(error: HTTPException) -> tuple[Response, int]:
    return jsonify({"error": error.description}), error.code or 500


def _no_longer(route: str, instead: str) -> tuple[Response, int]:
    return jsonify({"error": f"{route} is of an older Label Studio; {instead}"}), 410

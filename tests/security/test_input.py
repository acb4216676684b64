"""Input from requests never reaches a path, a shell, a template or a pickle."""

from __future__ import annotations

import ast
import http.client
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from urllib.parse import quote

import pytest

from tests.backend.server import Server
from tests.recordings import CONFIG

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = [ROOT / "model.py", ROOT / "_wsgi.py", ROOT / "gunicorn.conf.py"] + [
    file for folder in ("segmenter", "backend") for file in sorted((ROOT / folder).rglob("*.py"))
]
NEVER_IMPORTED = {"pickle", "cPickle", "marshal", "shelve", "dill", "cloudpickle", "joblib", "yaml", "pty", "code"}
NEVER_CALLED = {
    "eval", "exec", "compile", "__import__", "os.system", "os.popen", "os.execv", "os.execvp", "torch.load", "np.load",
    "pd.read_pickle", "render_template_string", "from_string", "jit.load",
}  # fmt: skip


def called(file: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node


@pytest.mark.parametrize("file", PRODUCT, ids=lambda file: file.name)
def test_no_module_can_unpickle_run_or_render_what_it_is_given(file: Path) -> None:
    tree = ast.parse(file.read_text())
    imported = {
        name.split(".")[0]
        for node in ast.walk(tree)
        for name in ([alias.name for alias in node.names] if isinstance(node, ast.Import)
                     else [node.module or ""] if isinstance(node, ast.ImportFrom) else [])
    }  # fmt: skip
    assert imported & NEVER_IMPORTED == set()
    for name, call in called(file):
        assert name not in NEVER_CALLED, name
        assert not name.endswith((".load_module", ".from_string")), name
        assert not any(keyword.arg in ("shell", "allow_pickle") for keyword in call.keywords), name
        if name == "render_template":  # which template is not for a request to say
            assert isinstance(call.args[0], ast.Constant)
        if name.startswith("subprocess."):  # nor is what is run
            assert ast.unparse(call.args[0]) == "[sys.executable, '-m', 'backend.trainer']"


NAMES = ["..", "../..", "../1", "1/../../x", "/etc/passwd", "1\0", "1;touch x", "$(touch x)", "`touch x`", "{{7*7}}",
         "%2e%2e", "..%2f..%2fetc%2fpasswd", "1" * 30, "-1", "\u0661", "1e3", "<script>alert(1)</script>"]  # fmt: skip


def everything(server: Server) -> set[Path]:
    return {path for path in server.model_dir.parent.rglob("*") if "seen.sqlite3" not in path.name}


@pytest.mark.parametrize("name", NAMES, ids=ascii)
def test_a_project_that_is_no_number_is_refused_and_leads_to_no_file(server: Server, name: str) -> None:
    before = everything(server)
    assert server.http.post("/predict", json={"project": name, "tasks": [], "label_config": CONFIG}).status_code == 400
    assert server.http.post("/setup", json={"project": name, "schema": CONFIG}).status_code == 400
    event = server.http.post("/webhook", json={"action": "START_TRAINING", "project": {"id": name}})
    assert (event.status_code, event.json()["status"]) == (200, "ignored")
    for path in (f"/projects/{name}", f"/projects/{name}/status", f"/projects/{name}/state", f"/pages/{name}"):
        with closing(http.client.HTTPConnection("127.0.0.1", server.port, timeout=10)) as connection:
            connection.putrequest("GET", quote(path, safe="/;$(){}*`"), skip_accept_encoding=True)
            connection.endheaders()
            answer = connection.getresponse()
            body = answer.read()
        assert answer.status in (308, 400, 404), path
        assert b"root:" not in body
        assert b"Project 49" not in body
        assert b"<script>alert" not in body
    assert everything(server) == before


@pytest.mark.parametrize(
    "version", ["..", "../../8", "/etc", "v1-20260101T000000/..", "current", "{{7*7}}", "<script>alert(1)"]
)
def test_a_version_that_a_page_is_asked_for_leads_to_no_file(server: Server, trained: int, version: str) -> None:
    answer = server.http.get(f"/projects/{trained}", params={"version": version})
    assert answer.status_code == 404
    assert "<script>alert" not in answer.text
    assert "has no version" in answer.text


@pytest.mark.parametrize(
    "event",
    ["../x", "START_TRAINING; touch x", "{{7*7}}", "%(project)s %s %d", "x" * 10_000, "\r\n2026 ERROR"],
    ids=lambda event: ascii(event)[:30],
)
def test_an_event_of_any_name_is_only_a_name(server: Server, event: str) -> None:
    before, told = everything(server), len(server.log_text())
    assert server.http.post("/webhook", json={"action": event, "project": {"id": 1}}).status_code == 200
    assert server.http.post("/webhook", json={"action": event}).status_code == 200
    assert everything(server) == before
    assert "\n2026 ERROR" not in server.log_text()[told:]

"""The rules of the house that can be counted: sizes, arrows between folders, nothing unused, nothing unnamed."""

from __future__ import annotations

import ast
import re
from functools import cache
from pathlib import Path

import pytest

from backend.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
ENGINE, SERVICE = sorted((ROOT / "segmenter").glob("*.py")), sorted((ROOT / "backend").glob("*.py"))
PRODUCT = [*ENGINE, *SERVICE, ROOT / "model.py", ROOT / "_wsgi.py", ROOT / "gunicorn.conf.py"]
OURS = [
    *ROOT.glob("*.py"),
    *(
        file
        for folder in ROOT.iterdir()
        if folder.name[0] != "." and folder.name != "build"
        for file in folder.rglob("*.py")
    ),
]
ARCHITECTURE = (ROOT / "docs/architecture.md").read_text()


def named(files: list[Path]) -> list[str]:
    return [str(file.relative_to(ROOT)) for file in files]


@cache
def parts(file: Path) -> list[ast.AST]:
    return list(ast.walk(ast.parse(file.read_text())))


def imported(file: Path) -> set[str]:
    """Modules that a file imports, anywhere in it, by their first name."""
    names = {alias.name for node in parts(file) if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "." for node in parts(file) if isinstance(node, ast.ImportFrom)}
    return {name.split(".")[0] for name in names}


def test_no_module_has_more_than_300_lines() -> None:
    long = {file for file in OURS if len(file.read_text().splitlines()) > 300}
    assert [name for name in named(sorted(long)) if not name.startswith("tests/")] == []  # where cases stand in tables


def test_no_function_has_more_than_50_lines() -> None:
    functions = [
        (f"{file.relative_to(ROOT)}: {node.name}", (node.end_lineno or 0) - node.lineno + 1)
        for file in OURS
        for node in parts(file)
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef)
    ]
    assert [name for name, lines in functions if lines > 50] == []


@pytest.mark.parametrize("file", ENGINE, ids=lambda file: file.name)
def test_the_engine_knows_nothing_of_the_web(file: Path) -> None:
    web = {"backend", "model", "flask", "werkzeug", "requests", "httpx", "label_studio_ml", "label_studio_sdk", "redis"}
    assert imported(file) & web == set()


@pytest.mark.parametrize("file", PRODUCT, ids=lambda file: str(file.relative_to(ROOT)))
def test_the_product_knows_nothing_of_what_shows_and_measures_it(file: Path) -> None:
    assert imported(file) & {"demo", "bench", "stress", "fuzz", "tests"} == set()


@pytest.mark.parametrize("name", sorted(Settings.model_fields))
def test_every_setting_is_used(name: str) -> None:
    read = {node.attr for file in PRODUCT for node in parts(file) if isinstance(node, ast.Attribute)}
    assert name in read


@pytest.mark.parametrize(
    "file", [file for file in ENGINE + SERVICE if file.name != "__init__.py"], ids=lambda f: f.name
)
def test_the_architecture_says_what_a_module_is_for(file: Path) -> None:
    picture, way = ARCHITECTURE.split("## The way of an annotation")
    assert f"{file.name}`" in way or re.search(rf"\b{file.stem}\b", picture)

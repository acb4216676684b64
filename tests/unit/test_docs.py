"""What the documents tell people to type, open and look at is there."""

from __future__ import annotations

import json
import re
import shlex
from collections.abc import Iterator
from pathlib import Path

import click
import pytest
from click.testing import CliRunner

from backend.cli import main
from backend.settings import current_settings
from tests import compose
from tests.recordings import CONFIG, activity, overlap, regions

ROOT = Path(__file__).resolve().parents[2]
DOCUMENTS = sorted([*ROOT.glob("*.md"), *ROOT.glob("docs/*.md")])
TOLD = [
    *DOCUMENTS,
    *sorted(ROOT.glob("deploy/*")),
    compose.FILE,
    ROOT / "Makefile",
    *sorted(ROOT.glob("requirements*.txt")),
]
README = (ROOT / "README.md").read_text()
COMMAND = re.compile(r"python -m backend(?: +(?!#|  )[^\s`]+)*")
TARGETS = set(re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))


def name(file: Path) -> str:
    return str(file.relative_to(ROOT))


def commands(text: str) -> Iterator[list[str]]:
    """The words after `python -m backend` wherever they stand in a text."""
    for found in COMMAND.findall(text):
        yield shlex.split(found)[3:]


def headings(file: Path) -> set[str]:
    """The anchors that a Markdown page gives its headings."""
    titles = re.findall(r"^#+ (.*)$", file.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", title.lower()).replace(" ", "-") for title in titles}


@pytest.mark.parametrize("file", TOLD, ids=name)
def test_every_command_that_is_named_exists_with_its_options(file: Path) -> None:
    for words in commands(file.read_text()):
        command: click.Command = main
        while words and words != ["..."] and isinstance(command, click.Group):
            assert words[0] in command.commands, f"python -m backend {words[0]}"
            command = command.commands[words.pop(0)]
        known = {option for parameter in command.params for option in parameter.opts}
        assert {word for word in words if word.startswith("--")} - known == set()


@pytest.mark.parametrize("file", TOLD, ids=name)
def test_every_make_target_and_profile_that_is_named_exists(file: Path) -> None:
    text = file.read_text()
    assert set(re.findall(r"(?:^ +|`)make (\w+)", text, re.MULTILINE)) - TARGETS == set()
    assert set(re.findall(r"docker-compose --profile (\w+)", text)) <= {"scale", "demo"}


@pytest.mark.parametrize("file", DOCUMENTS, ids=name)
def test_every_link_leads_somewhere(file: Path) -> None:
    for target in re.findall(r"\]\((?!https?://)([^)]+)\)", file.read_text()):
        path, _, anchor = target.partition("#")
        there = file.parent / path if path else file
        assert there.exists(), target
        assert not anchor or anchor in headings(there), target


@pytest.mark.parametrize("file", [ROOT / "CONTRIBUTING.md", ROOT / "docs/architecture.md"], ids=name)
def test_every_file_and_name_that_a_developer_is_sent_to_exists(file: Path) -> None:
    sources = {path.name: path.read_text() for path in [*ROOT.glob("segmenter/*.py"), *ROOT.glob("backend/*.py")]}
    told = re.findall(r"`([\w./]+)`", file.read_text())
    paths = {one for one in told if one.endswith((".py", ".yml", ".md", ".txt", "/"))}
    assert {one for one in paths if not (ROOT / one).exists() and one not in sources} == set()
    names = {one.rpartition(".")[2] for one in told if one not in paths and "/" not in one}
    code = "\n".join([*sources.values(), README, compose.FILE.read_text()])
    assert {one for one in names if not re.search(rf"\b{one}\b", code)} == set()


def test_the_commands_for_files_do_what_the_readme_says(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    tasks = []
    for number in range(4):
        csv, spans = activity(number)
        (tmp_path / f"{number}.csv").write_bytes(csv)
        tasks.append({"data": {"csv_url": f"{number}.csv"}, "annotations": [{"id": 1, "result": regions(spans)}]})
    (tmp_path / "label_config.xml").write_text(CONFIG)
    for file, chosen in {"train": tasks[:3], "dev": tasks[3:], "new": [{"data": tasks[3]["data"]}]}.items():
        (tmp_path / f"{file}.json").write_text(json.dumps([{"id": 7, **task} for task in chosen]))
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("TRAINING_EFFORT", "0.1")
    current_settings.cache_clear()

    section = README.partition("## Without a server")[2].partition("\n## ")[0]
    for words in commands(section):
        done = CliRunner().invoke(main, words, catch_exceptions=False)
        assert done.exit_code == 0, done.output

    (told,) = json.loads((tmp_path / "predictions.json").read_text())
    assert (told["id"], told["data"]) == (7, {"csv_url": "3.csv"})
    assert overlap(told["predictions"][0]["result"], activity(3)[1]) >= 2
    current_settings.cache_clear()

"""What is installed, shipped and documented fits what is imported, read and offered."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import files, version
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement

from backend.cli import main
from backend.settings import Settings

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = [ROOT / "model.py", ROOT / "_wsgi.py", ROOT / "gunicorn.conf.py"] + [
    file for folder in ("segmenter", "backend") for file in sorted((ROOT / folder).rglob("*.py"))
]
ENGINE = [file for file in PRODUCT if file.is_relative_to(ROOT / "segmenter")]  # whatever the checkout is called
README = (ROOT / "README.md").read_text()
COMPOSE = (ROOT / "docker-compose.yml").read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
SETTINGS = [name.upper() for name in Settings.model_fields]


DIRECT = sorted(path.name for path in ROOT.glob("requirements*.txt"))
LOCKS = sorted(path.name for path in (ROOT / "locks").glob("*.txt"))
PYTHONS = ["3.10", "3.11", "3.12", "3.13"]


def requirements(file: str) -> list[Requirement]:
    """The direct dependencies of a file beside the README."""
    lines = [line.partition("#")[0].strip() for line in (ROOT / file).read_text().splitlines()]
    return [Requirement(line) for line in lines if line]


def pins(lock: str) -> list[tuple[Requirement, list[str]]]:
    """What a file of locks/ pins, each with the SHA-256 of its files."""
    text = re.sub(r"^ *#.*\n", "", (ROOT / "locks" / lock).read_text(), flags=re.MULTILINE).replace("\\\n", "")
    split = [line.split("--hash=sha256:") for line in text.splitlines()]
    return [(Requirement(pin.strip()), [found.strip() for found in hashes]) for pin, *hashes in split]


def locked(lock: str, python: str) -> dict[str, Requirement]:
    """The pins of a lock that Python 3.x takes on Linux, by name."""
    here = {"python_version": python, "python_full_version": f"{python}.9", "sys_platform": "linux"}
    found = [pin for pin, _ in pins(lock) if pin.marker is None or pin.marker.evaluate(here)]
    names = [project_name(pin.name) for pin in found]
    assert len(set(names)) == len(names)
    return dict(zip(names, found, strict=True))


def imported(file: Path) -> Iterator[str]:
    """Top-level names of the modules that a file imports, anywhere in it."""
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            yield from (alias.name.split(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module.split(".")[0]


def project_name(distribution: str) -> str:
    return re.sub(r"[-_.]+", "-", distribution).lower()


def test_every_library_that_the_product_imports_is_required() -> None:
    provided = {
        file.parts[0].removesuffix(".py")
        for asked in ("requirements.txt", "requirements-base.txt")
        for found in requirements(asked)
        for file in files(found.name) or ()
    }
    ours = {"segmenter", "backend", "model"}
    flask = {"werkzeug"}  # Flask's other half, in the version that Flask asks for
    modules = {name for file in PRODUCT for name in imported(file)} - set(sys.stdlib_module_names)
    assert modules - provided - ours - flask == set()


@pytest.mark.parametrize("file", DIRECT)
def test_a_direct_dependency_has_a_lowest_release(file: str) -> None:
    assert [str(found) for found in requirements(file) if not re.search(r">=|==", str(found.specifier))] == []


@pytest.mark.parametrize("lock", LOCKS)
def test_a_lock_pins_each_package_with_hashes_and_names_no_address(lock: str) -> None:
    for pin, hashes in pins(lock):
        assert re.fullmatch(r"==[\w.+]+", str(pin.specifier)), pin
        assert hashes, pin
        assert all(re.fullmatch("[0-9a-f]{64}", found) for found in hashes), pin
    assert "://" not in (ROOT / "locks" / lock).read_text()


@pytest.mark.parametrize("python", PYTHONS)
@pytest.mark.parametrize(
    ("asked", "lists"),
    [
        (["requirements.txt", "requirements-base.txt"], ["serve.txt", "torch-cpu.txt"]),
        (["requirements.txt", "requirements-base.txt"], ["serve.txt", "torch-cuda.txt"]),
        (["requirements.txt", "requirements-base.txt", "requirements-test.txt"], ["test.txt", "torch-cpu.txt"]),
        (["requirements-label-studio.txt"], ["label-studio.txt"]),
    ],
)
def test_the_locks_hold_what_is_required(asked: list[str], lists: list[str], python: str) -> None:
    pinned = {name: pin for lock in lists for name, pin in locked(lock, python).items()}
    for file in asked:
        for found in requirements(file):
            (version_locked,) = pinned[project_name(found.name)].specifier
            assert found.specifier.contains(version_locked.version), f"{found}: run `make lock`"


@pytest.mark.parametrize("python", PYTHONS)
def test_tests_run_with_the_releases_that_serve(python: str) -> None:
    serve, test = locked("serve.txt", python), locked("test.txt", python)
    assert [str(pin) for name, pin in serve.items() if pin.specifier != test[name].specifier] == []


def test_nothing_is_installed_without_its_hash() -> None:
    makefile = (ROOT / "Makefile").read_text()
    installed = re.findall(r".*\bpip install .*", DOCKERFILE + makefile)
    assert len(installed) >= 5
    assert [line for line in installed if "--require-hashes" not in line] == []


@pytest.mark.parametrize("found", requirements("requirements-base.txt"), ids=str)
def test_what_others_pin_to_a_vulnerable_release_is_installed_as_we_ask_for_it(found: Requirement) -> None:
    assert found.specifier.contains(version(found.name), prereleases=True)


def test_the_licence_of_each_package_is_listed() -> None:
    listed = re.findall(r"^\| (\S+) +\| +(\S.*?) +\|$", (ROOT / "docs/licences.md").read_text(), re.MULTILINE)
    licences = {project_name(name): licence for name, licence in listed}
    shipped = {project_name(pin.name) for lock in ("serve.txt", "torch-cuda.txt") for pin, _ in pins(lock)}
    assert shipped - set(licences) == set()
    assert {name for name in shipped if licences[name] == "UNKNOWN"} == {"cuda-toolkit", "label-studio-sdk"}  # in words


@pytest.mark.parametrize("file", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda file: file.name)
def test_github_would_take_the_workflow(file: Path) -> None:
    schema = ["--builtin-schema", "vendor.github-workflows"]
    checked = subprocess.run(
        [sys.executable, "-m", "check_jsonschema", *schema, str(file)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout
    for job in yaml.safe_load(file.read_text())["jobs"].values():
        for step in job["steps"]:
            assert re.search(r"@[0-9a-f]{40}$", step.get("uses", "@" + 40 * "0")), "an action is named by its commit"
            program = step.get("run", "make").split()[0]
            assert program in ("make", "apt-get") or (ROOT / program).is_file()


def test_ci_runs_on_the_oldest_the_images_and_the_newest_python() -> None:
    jobs = yaml.safe_load((ROOT / ".github/workflows/ci.yml").read_text())["jobs"]
    image = re.findall(r"^ARG PYTHON_VERSION=(.*)$", DOCKERFILE, re.MULTILINE)
    assert jobs["run"]["strategy"]["matrix"]["python"] == [PYTHONS[0], *image, PYTHONS[-1]]
    assert [step["run"] for step in jobs["run"]["steps"] if "run" in step] == [".ci/run"]


@pytest.mark.parametrize("file", ENGINE, ids=lambda file: file.name)
def test_the_engine_knows_nothing_of_the_web(file: Path) -> None:
    web = {"backend", "model", "flask", "werkzeug", "requests", "httpx", "label_studio_ml", "label_studio_sdk"}
    assert set(imported(file)) & web == set()


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"PORT", "MODEL_DIR"}))  # fixed inside the container
def test_docker_compose_passes_a_setting_on(name: str) -> None:
    assert re.search(rf"^    {name}: \$\{{{name}:-", COMPOSE, re.MULTILINE)
    for service in ("segmenter", "web", "trainer"):
        assert name in yaml.safe_load(COMPOSE)["services"][service]["environment"]


@pytest.mark.parametrize(
    ("profile", "started"),
    [(None, {"segmenter": 1}), ("scale", {"segmenter": 1, "web": 1, "trainer": 2, "redis": 1})],
)
def test_docker_compose_starts_one_backend_or_two_web_hosts_with_two_trainers(
    profile: str | None, started: dict[str, int]
) -> None:
    services = yaml.safe_load(COMPOSE)["services"]
    running = {name: service for name, service in services.items() if profile in service.get("profiles", [profile])}
    assert {name: service.get("deploy", {}).get("replicas", 1) for name, service in running.items()} == started
    backends = [service for name, service in running.items() if name != "redis"]
    assert all("models:/data" in service["volumes"] for service in backends)
    assert len({port for service in running.values() for port in service.get("ports", [])}) == len(
        [name for name in started if name in ("segmenter", "web")]
    )
    if profile:
        assert all("redis" in service["depends_on"] for service in backends)
        assert {services[name]["environment"]["REDIS_URL"] for name in ("web", "trainer")} == {
            "${REDIS_URL:-redis://redis:6379/0}"
        }


def test_kubernetes_would_take_the_example() -> None:
    documents = list(yaml.safe_load_all((ROOT / "deploy/kubernetes.yml").read_text()))
    assert [document["kind"] for document in documents].count("Deployment") == 2
    newest = kubernetes_validate.latest_version()
    for document in documents:
        kubernetes_validate.validate(document, newest, strict=True)
    settings = documents[0]["data"]
    pods = [document["spec"]["template"]["spec"] for document in documents if "template" in document.get("spec", {})]
    given = {entry["name"] for pod in pods for entry in pod["containers"][0]["env"]} - {"REDIS_PASSWORD"}
    assert {*settings, *given} <= set(SETTINGS)


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="systemd-analyze is not installed")
def test_systemd_would_take_the_unit(tmp_path: Path) -> None:
    unit = (ROOT / "deploy/segmenter.service").read_text()
    here = tmp_path / "segmenter.service"
    here.write_text(unit.replace("/opt/segmenter/.venv/bin/gunicorn", sys.executable))  # which is there, and executable
    checked = subprocess.run(["systemd-analyze", "verify", str(here)], capture_output=True, text=True)
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_the_image_holds_every_file_of_the_product() -> None:
    copied = [name for line in re.findall(r"^COPY (.*)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]]
    let_through = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    copied = sorted({Path(name).parts[0] for name in copied})
    assert {file.relative_to(ROOT).parts[0] for file in PRODUCT} <= set(copied)
    assert copied == sorted(let_through)


def test_the_readme_gives_the_defaults() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .* \|$", README, re.MULTILINE))
    described = {"MODEL_DIR": "the current folder", "TRAINING_THREADS": "half the cores"}
    assert sorted(table) == sorted(SETTINGS)
    for name, field in Settings.model_fields.items():
        default = getattr(field.default, "get_secret_value", lambda field=field: field.default)()
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert table[name.upper()].strip() == described.get(name.upper(), shown), name


def test_the_readme_names_commands_that_exist() -> None:
    targets = set(re.findall(r"^(\w+):.*##", (ROOT / "Makefile").read_text(), re.MULTILINE))
    assert set(re.findall(r"(?:^    |`)make (\w+)", README, re.MULTILINE)) - targets == set()
    assert set(re.findall(r"python -m backend (\w+)", README)) - set(main.commands) == set()


def test_the_readme_links_to_files_that_exist() -> None:
    links = re.findall(r"\]\((?!https?://)([^)#]+)\)", README)
    assert [link for link in links if not (ROOT / link).exists()] == []

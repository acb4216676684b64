"""What is installed, shipped and documented fits what is imported, read and offered."""

from __future__ import annotations

import ast
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from importlib.metadata import packages_distributions, version
from pathlib import Path

import kubernetes_validate
import pytest
import yaml
from packaging.requirements import Requirement
from packaging.version import Version

from backend.settings import Settings
from tests import compose

ROOT = Path(__file__).resolve().parents[2]
PRODUCT = [ROOT / "model.py", ROOT / "_wsgi.py", ROOT / "gunicorn.conf.py"] + [
    file for folder in ("segmenter", "backend") for file in sorted((ROOT / folder).rglob("*.py"))
]
README = (ROOT / "README.md").read_text()
COMPOSE = compose.FILE.read_text()
DOCKERFILE = (ROOT / "Dockerfile").read_text()
LABEL_STUDIO = (ROOT / "requirements-label-studio.txt").read_text()
SETTINGS = [name.upper() for name in Settings.model_fields]


def requirements(file: str) -> list[str]:
    lines = (ROOT / file).read_text().splitlines()
    return [line for line in lines if line and not line.startswith(("#", "-r "))]


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
    required = {
        project_name(re.split(r"[=;\s]", line)[0])
        for file in ("requirements.txt", "requirements-base.txt")
        for line in requirements(file)
    }
    ours = {"segmenter", "backend", "model"}
    flask = {"werkzeug"}  # Flask's other half, in the version that Flask asks for
    distributions = packages_distributions()
    modules = {name for file in PRODUCT for name in imported(file)} - set(sys.stdlib_module_names) - ours - flask
    missing = {
        name for name in modules if not {project_name(found) for found in distributions.get(name, ["?"])} & required
    }
    assert missing == set()


@pytest.mark.parametrize("file", sorted(path.name for path in ROOT.glob("requirements*.txt")))
def test_every_requirement_is_pinned(file: str) -> None:
    assert [line for line in requirements(file) if not re.match(r"[\w.-]+==[\w.]+(\s*;|\s*#|\s*$)", line)] == []


@pytest.mark.parametrize("line", requirements("requirements-base.txt"))
def test_what_others_pin_to_a_vulnerable_release_is_installed_as_we_pin_it(line: str) -> None:
    (pinned,) = Requirement(line).specifier
    assert Version(version(Requirement(line).name)) >= Version(pinned.version)


@pytest.mark.parametrize("name", sorted(set(SETTINGS) - {"PORT", "MODEL_DIR"}))  # fixed inside the container
def test_docker_compose_passes_a_setting_on(name: str) -> None:
    assert re.search(rf"^    {name}: \$\{{{name}:-", COMPOSE, re.MULTILINE)
    for service in ("segmenter", "web", "trainer", "demo-segmenter"):
        assert name in yaml.safe_load(COMPOSE)["services"][service]["environment"]


@pytest.mark.parametrize(
    ("profile", "started"),
    [
        (None, {"segmenter": 1}),
        ("scale", {"segmenter": 1, "web": 1, "trainer": 2, "redis": 1}),
        ("demo", {"segmenter": 1, "label-studio": 1, "demo-segmenter": 1, "demo": 1}),
    ],
)
def test_docker_compose_starts_one_backend_or_many_or_beside_it_a_demo(
    profile: str | None, started: dict[str, int]
) -> None:
    running = compose.services(profile)
    assert {name: service.get("deploy", {}).get("replicas", 1) for name, service in running.items()} == started
    ports = [port for service in running.values() for port in service.get("ports", [])]
    assert len(ports) == len({port.rpartition(":")[0] for port in ports})


@pytest.mark.parametrize("profile", ["scale", "demo"])
def test_docker_compose_gives_its_backends_nothing_to_write_but_models_and_tmp(profile: str) -> None:
    backends = [one for one in compose.services(profile).values() if one["image"] == "time-series-segmenter"]
    assert len(backends) == 3
    for service in backends:
        assert (service["read_only"], service["tmpfs"], service["cap_drop"]) == (True, ["/tmp"], ["ALL"])
        writable = [volume for volume in service["volumes"] if not volume.endswith(":ro")]
        assert {volume.partition(":")[2] for volume in writable} <= {"/data"}


def test_docker_compose_lets_the_backends_of_the_profile_scale_share_models_and_redis() -> None:
    services = compose.services("scale")
    for name in ("segmenter", "web", "trainer"):
        assert "models:/data" in services[name]["volumes"]
        assert "redis" in services[name]["depends_on"]
    assert {services[name]["environment"]["REDIS_URL"] for name in ("web", "trainer")} == {"redis://redis:6379/0"}


def test_docker_compose_keeps_the_profile_demo_apart_and_to_this_machine() -> None:
    given = compose.services(REDIS_URL="redis://elsewhere", BASIC_AUTH_USER="a", BASIC_AUTH_PASS="b")
    services = compose.services("demo", REDIS_URL="redis://elsewhere", BASIC_AUTH_USER="a", BASIC_AUTH_PASS="b")
    added = {name: services[name] for name in services.keys() - given.keys()}
    (release,) = re.findall(r"^label-studio==([\d.]+)", LABEL_STUDIO, re.MULTILINE)
    assert services["label-studio"]["image"] == f"heartexlabs/label-studio:{release}"
    assert all(port.startswith("127.0.0.1:") for service in added.values() for port in service.get("ports", []))
    kept = {volume for service in added.values() for volume in service["volumes"]}
    assert all(volume.startswith("demo-") for volume in kept)
    key = services["label-studio"]["environment"]["LABEL_STUDIO_USER_TOKEN"]
    for name in ("demo-segmenter", "demo"):
        environment = compose.environment(services[name])
        assert environment["LABEL_STUDIO_API_KEY"] == key
        assert not {"REDIS_URL", "BASIC_AUTH_USER", "BASIC_AUTH_PASS"} & environment.keys()


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
    copies = re.findall(r"^COPY (?!--from)(.*)$", DOCKERFILE, re.MULTILINE)
    copied = [name for line in copies for name in line.split()[:-1]]
    let_through = re.findall(r"^!(.*)$", (ROOT / ".dockerignore").read_text(), re.MULTILINE)
    assert {file.relative_to(ROOT).parts[0] for file in PRODUCT} <= set(copied)
    assert sorted(copied) == sorted(let_through)


def test_the_readme_gives_the_defaults() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .* \|$", README, re.MULTILINE))
    described = {"MODEL_DIR": "the current folder", "TRAINING_THREADS": "half the cores"}
    assert sorted(table) == sorted(SETTINGS)
    for name, field in Settings.model_fields.items():
        default = getattr(field.default, "get_secret_value", lambda field=field: field.default)()
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert table[name.upper()].strip() == described.get(name.upper(), shown), name

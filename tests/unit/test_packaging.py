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


def validate(schema: str, file: Path) -> None:
    """Fail where a file is not as the schema of those who read it wants it."""
    command = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", schema, str(file)]
    checked = subprocess.run(command, capture_output=True, text=True)
    assert checked.returncode == 0, checked.stdout + checked.stderr


@pytest.mark.parametrize("file", sorted((ROOT / ".github/workflows").glob("*.yml")), ids=lambda file: file.name)
def test_github_would_take_the_workflow(file: Path) -> None:
    validate("vendor.github-workflows", file)
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


def test_docker_compose_would_take_the_file() -> None:
    validate("vendor.compose-spec", compose.FILE)


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
    copied = sorted({Path(name).parts[0] for name in copied})
    assert {file.relative_to(ROOT).parts[0] for file in PRODUCT} <= set(copied)
    assert copied == sorted(let_through)


def test_the_readme_gives_the_defaults() -> None:
    table = dict(re.findall(r"^\| `(\w+)` \| (.*?) \| .* \|$", README, re.MULTILINE))
    described = {"MODEL_DIR": "the current folder", "TRAINING_THREADS": "the cores"}
    assert sorted(table) == sorted(SETTINGS)
    for name, field in Settings.model_fields.items():
        default = getattr(field.default, "get_secret_value", lambda field=field: field.default)()
        shown = f"{default:g}" if isinstance(default, float) else str(default)
        assert table[name.upper()].strip() == described.get(name.upper(), shown), name

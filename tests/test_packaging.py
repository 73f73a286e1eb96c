"""pyproject.toml, requirements.lock, environment.yml and the Makefile say the same, and nothing of one machine."""

import os
import re
import shutil
import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
PYPROJECT = tomllib.loads((PROJECT / "pyproject.toml").read_text())
LOCK = (PROJECT / "requirements.lock").read_text()


def requirements():
    """Name and lowest version of each direct dependency, those of the tests included."""
    extras = PYPROJECT["project"]["optional-dependencies"]
    own, *others = extras["test"]
    # The extras that the tests take along.
    named = re.fullmatch(r"gaaplib\[(.+)\]", own)[1].split(",")
    listed = PYPROJECT["project"]["dependencies"] + others + [line for name in named for line in extras[name]]
    return [re.fullmatch(r"([a-z0-9-]+)>=([\d.]+)", line).groups() for line in listed]


def locked(lock=LOCK):
    """Name and version of each line of the lock."""
    return dict(re.findall(r"^([a-z0-9.-]+)==(\S+)", lock, re.MULTILINE))


def version(text):
    return tuple(int(part) for part in re.findall(r"\d+", text)[:3])


@pytest.mark.parametrize(("name", "lowest"), requirements())
def test_the_lock_has_every_dependency_in_an_allowed_version(name, lowest):
    assert version(locked()[name]) >= version(lowest)


def test_the_users_packages_are_dependencies():
    wanted = {"jupyterlab", "papermill", "tensorflow", "keras", "seaborn", "numpy", "nbval"}
    assert wanted <= {name for name, _ in requirements()}


def test_every_locked_version_has_a_hash():
    blocks = re.split(r"\n(?=[a-z0-9])", LOCK)
    assert len(blocks) > 100
    assert all("--hash=sha256:" in block for block in blocks if "==" in block)


def test_the_backends_lock_adds_what_it_is_for_and_changes_nothing():
    lock = (PROJECT / "requirements-backends.lock").read_text()
    assert all("--hash=sha256:" in block for block in re.split(r"\n(?=[a-z0-9])", lock) if "==" in block)
    for name in ("jax", "openvino"):
        (extra,) = PYPROJECT["project"]["optional-dependencies"][name]
        assert version(locked(lock)[name]) >= version(extra)
    shared = locked().keys() & locked(lock).keys()
    assert {name: locked(lock)[name] for name in shared} == {name: locked()[name] for name in shared}
    assert locked(lock).keys() - shared == {"jax", "jaxlib", "openvino", "openvino-telemetry"}


def test_conda_gets_python_and_the_same_lock():
    text = (PROJECT / "environment.yml").read_text()
    assert "-r requirements.lock" in text
    assert "--require-hashes" in text
    conda = re.search(r"^  - python=([\d.]+)$", text, re.MULTILINE).group(1)
    lowest = PYPROJECT["project"]["requires-python"].removeprefix(">=")
    assert version(conda) >= version(lowest)
    # Nothing but Python and pip comes from conda: a second version of a locked package would win or lose by chance.
    listed = text.split("dependencies:")[1]
    assert re.findall(r"^  - ([a-z]+)", listed, re.MULTILINE) == ["python", "pip", "pip"]


def test_the_version_is_one():
    citation = (PROJECT / "CITATION.cff").read_text()
    from gaaplib import __version__

    assert __version__ == PYPROJECT["project"]["version"]
    assert f"\nversion: {__version__}\n" in citation
    assert f"## {__version__}" in (PROJECT / "CHANGELOG.md").read_text()
    assert f"version = {{{__version__}}}" in (PROJECT / "README.md").read_text()


def test_every_package_is_listed():
    listed = PYPROJECT["tool"]["setuptools"]["packages"]
    folders = {path.parent.relative_to(PROJECT) for path in (PROJECT / "gaaplib").rglob("__init__.py")}
    shipped = PYPROJECT["tool"]["setuptools"]["package-dir"]
    assert listed == sorted({".".join(folder.parts) for folder in folders} | {*shipped})
    assert all((PROJECT / folder).is_dir() for folder in shipped.values())


def test_the_wheel_works_outside_the_checkout(tmp_path):
    """Notebooks and tables travel in it: a run by name writes to ./outputs."""
    pip = [sys.executable, "-m", "pip", "--quiet", "--disable-pip-version-check"]
    # From a copy, as building leaves folders behind.
    ignored = shutil.ignore_patterns(".git", ".venv", "outputs", "build", "*.egg-info", "__pycache__")
    shutil.copytree(PROJECT, tmp_path / "source", ignore=ignored)
    build = [*pip, "wheel", "--no-deps", "--no-build-isolation", "--wheel-dir", tmp_path, tmp_path / "source"]
    subprocess.run(build, check=True)
    (wheel,) = tmp_path.glob("*.whl")
    subprocess.run([*pip, "install", "--no-deps", "--target", tmp_path / "installed", wheel], check=True)
    shutil.rmtree(tmp_path / "source")
    user = tmp_path / "user"
    user.mkdir()
    environment = {name: text for name, text in os.environ.items() if name != "GAAP_OUTPUTS"}
    environment["PYTHONPATH"] = str(tmp_path / "installed")
    command = [sys.executable, "-c", "from gaaplib.cli import main; main()"]
    run = [*command, "run", "02_train", "-p", "profile", "smoke"]
    done = subprocess.run(run, cwd=user, env=environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stdout + done.stderr
    assert len(list((user / "outputs" / "runs").glob("*/metrics.json"))) == 2
    audit = "from gaaplib.paper import audit; print(len(audit.read('claims')))"
    counted = subprocess.run([sys.executable, "-c", audit], cwd=user, env=environment, capture_output=True, text=True)
    assert int(counted.stdout) > 10, counted.stderr


def test_ci_calls_the_readmes_command():
    assert "make test" in (PROJECT / ".ci/run").read_text().splitlines()
    assert "make test" in (PROJECT / "README.md").read_text()


def test_make_help_lists_every_target():
    makefile = (PROJECT / "Makefile").read_text()
    phony = set(re.search(r"^\.PHONY: (.*)$", makefile, re.MULTILINE).group(1).split())
    shown = subprocess.run(["make", "-s", "help"], cwd=PROJECT, capture_output=True, text=True, check=True).stdout
    assert phony == set(re.findall(r"^  make (\S+)", shown, re.MULTILINE))


def committed_files():
    listed = subprocess.run(["git", "ls-files"], cwd=PROJECT, capture_output=True, text=True)
    if listed.returncode:
        pytest.skip("not a git checkout")
    return [PROJECT / name for name in listed.stdout.splitlines() if (PROJECT / name).is_file()]


def test_no_address_and_no_path_of_a_machine_is_committed():
    paths = re.compile(r"""["'\s(=]/(?:work|farm|root|home|Users)/""")
    registries = re.compile(r"--(?:extra-)?index-url|--find-links|files\.pythonhosted|/simple/?\s")
    for path in committed_files():
        if path.suffix in (".png", ".npz", ".keras", ".ico") or path == Path(__file__):
            continue
        text = path.read_text()
        assert not paths.search(text), path
        if path.name.startswith(("requirements", "environment")):
            assert not registries.search(text), path

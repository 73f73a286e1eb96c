"""The structure that docs/design.md promises: wings, directions of imports, registries, no junk drawers."""

import ast
import subprocess
import sys
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
LIBRARY = PROJECT / "gaaplib"
FILES = sorted(LIBRARY.rglob("*.py"))

GROUND = {
    *("quiet", "threads", "options", "matlab", "project", "plots", "distances", "clustering", "network", "attention"),
    "pooling",
}
SCORES = GROUND | {"metrics", "datasets"}
PARTS = SCORES | {"evaluation", "training", "methods"}
RUNS = PARTS | {"config", "runs"}
STUDY = RUNS | {"experiment"}

# Of each wing or module at the top: what it may import besides itself. Imports go down only.
MAY_IMPORT = {
    "quiet": set(),
    "threads": set(),
    "matlab": set(),
    "project": set(),
    "plots": set(),
    "options": {"project"},
    "distances": set(),
    "clustering": set(),
    "network": {"project"},
    "attention": {"network"},
    "pooling": {"network"},
    "metrics": {"distances"},
    "datasets": {"project", "plots", "matlab", "threads"},
    "evaluation": {"project", "matlab", "distances", "metrics"},
    "methods": GROUND | {"metrics", "evaluation"},
    "training": SCORES,
    "config": PARTS,
    "runs": PARTS | {"config"},
    "experiment": RUNS,
    "explain": STUDY,
    "paper": STUDY,
    "batch": {"config", "project", "quiet"},
    "variants": {"batch", "config", "datasets"},
    "cli": {"batch", "variants"} | STUDY | {"explain", "paper"},
}


def wing_of(path):
    """The entry of MAY_IMPORT that a file belongs to; None for the package's own __init__."""
    first = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    return None if first == "__init__" else first


def imported(path):
    """Modules of the library that a file imports, as dotted names behind ``gaaplib.``."""
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gaaplib":
            below = node.module.removeprefix("gaaplib").removeprefix(".")
            yield from [below] if below else [alias.name for alias in node.names if alias.name != "__version__"]
        elif isinstance(node, ast.Import):
            yield from (
                alias.name.removeprefix("gaaplib.") for alias in node.names if alias.name.startswith("gaaplib.")
            )


def names_of(path):
    return str(path.relative_to(LIBRARY))


def test_every_wing_has_its_place():
    assert {wing_of(path) for path in FILES} - {None} == set(MAY_IMPORT)


@pytest.mark.parametrize("path", FILES, ids=names_of)
def test_imports_go_down(path):
    wing = wing_of(path)
    allowed = {"quiet", "threads"} if wing is None else MAY_IMPORT[wing] | {wing}
    assert {name.split(".")[0] for name in imported(path)} <= allowed


def test_the_directions_have_no_circle():
    order = []
    while len(order) < len(MAY_IMPORT):
        free = [wing for wing in MAY_IMPORT if wing not in order and MAY_IMPORT[wing] <= set(order)]
        assert free, f"these import each other: {sorted(set(MAY_IMPORT) - set(order))}"
        order += free


def test_the_paper_can_be_deleted():
    """Nothing but the command, the graph and the benchmarks knows of the study."""
    for path in FILES:
        if wing_of(path) not in ("paper", "cli"):
            assert not any(name.split(".")[0] == "paper" for name in imported(path)), path


@pytest.mark.parametrize("path", FILES, ids=names_of)
def test_backends_are_imported_in_one_place_only(path):
    names = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.Import):
            names |= {alias.name.split(".")[0] for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module:
            names.add(node.module.split(".")[0])
        if isinstance(node, ast.ImportFrom):
            assert not any(alias.name == "*" for alias in node.names)
    assert "pickle" not in names
    assert not names & {"tensorflow", "jax", "torch"} or path.name == "layers.py"


@pytest.mark.parametrize("path", FILES, ids=names_of)
def test_private_names_stay_in_their_module(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == "gaaplib":
            assert not [name for name in (alias.name for alias in node.names) if name[0] == "_" != name[1]]


@pytest.mark.parametrize("path", sorted((PROJECT / "tests").rglob("*.py")), ids=lambda path: path.stem)
def test_no_test_imports_another(path):
    for node in ast.walk(ast.parse(path.read_text())):
        assert not (isinstance(node, ast.ImportFrom) and (node.module or "").startswith("test_"))


@pytest.mark.parametrize("path", FILES, ids=names_of)
def test_a_function_fits_on_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node) or ""
            lines = node.end_lineno - node.lineno + 1 - len(docstring.splitlines())
            assert lines <= 50, f"{node.name} has {lines} lines without its docstring"


def test_light_modules_do_not_import_keras():
    light = [names_of(path).removesuffix(".py").replace("/", ".") for path in FILES]
    light = [name for name in light if name.startswith("evaluation.") and not name.endswith("__init__")]
    light += ["config", "runs", "runs.scores", "metrics", "plots", "datasets.inspection", "datasets.synthetic", "cli"]
    light += ["explain.localisation", "explain.plots"]
    light += ["paper.table_plots", "paper.published_plots", "paper.architecture_plots", "paper.audit", "paper.sota"]
    modules = ", ".join(f"gaaplib.{name}" for name in light)
    code = f"import {modules}, sys; sys.exit(bool({{'keras', 'tensorflow'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


@pytest.mark.parametrize("path", [path for path in FILES if path.name != "__init__.py"], ids=names_of)
def test_every_module_has_a_test(path):
    """``tests/<wing>/test_<module>.py``; the methods share one."""
    wing = path.relative_to(LIBRARY).parent
    name = "methods" if wing.name == "methods" else path.stem
    folder = Path(wing.parts[0]) if wing.parts else Path()
    assert (PROJECT / "tests" / folder / f"test_{name}.py").is_file()


def test_public_names_have_docstrings():
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"

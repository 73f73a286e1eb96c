"""The structure that DESIGN.md promises: floors, light imports, registries, no junk drawers."""

import ast
import io
import subprocess
import sys
import tokenize
from pathlib import Path

import pytest

PROJECT = Path(__file__).parents[1]
LIBRARY = PROJECT / "gaaplib"

# From the ground up; within a floor in the order in which modules may import each other.
FLOORS = (
    (
        "folders",
        "sources",
        "layers",
        "devices",
        "attention",
        "pooling",
        "backbones",
        "losses",
        "metrics",
        "verification",
        "reranking",
        "statistics",
        "localisation",
        "embeddings",
        "plots",
        "map_plots",
        "table_plots",
        "audit_plots",
        "architecture_plots",
        "datasets",
    ),
    ("images", "batches", "inspection", "methods", "config"),
    ("training", "openvino", "heatmaps", "runs"),
    (
        "experiment",
        "plan",
        "estimates",
        "tables",
        "histories",
        "ablations",
        "costs",
        "explanations",
        "audit",
        "verdicts",
        "comparison",
    ),
    ("explorer", "verify", "cli"),
)
LOOKING = ("heatmaps", "localisation", "map_plots", "explanations", "explorer")
PAPER = ("plan", "estimates", "tables", "table_plots", "audit_plots", "architecture_plots", "ablations", "histories")
PAPER += ("costs", "audit", "verdicts", "comparison", "verify")
ORDER = [module for floor in FLOORS for module in floor]
FILES = sorted(LIBRARY.rglob("*.py"))


def module_of(path):
    """The entry of FLOORS that a file belongs to; None for the package's own __init__."""
    first = path.relative_to(LIBRARY).parts[0].removesuffix(".py")
    return None if first == "__init__" else first


def imported(path):
    """Modules of the library that a file imports, by their entry of FLOORS."""
    found = set()
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.ImportFrom) and node.module == "gaaplib":
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and (node.module or "").startswith("gaaplib."):
            found.add(node.module.split(".")[1])
        elif isinstance(node, ast.Import):
            found |= {alias.name.split(".")[1] for alias in node.names if alias.name.startswith("gaaplib.")}
    return found


def test_every_module_has_its_floor():
    assert {module_of(path) for path in FILES} - {None} == set(ORDER)


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_imports_go_down(path):
    module = module_of(path)
    allowed = set() if module is None else {*ORDER[: ORDER.index(module)], module}
    assert imported(path) <= allowed


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
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


def code_lines(path):
    """Lines that hold code: blank lines, comments and docstrings are no weight."""
    text = path.read_text()
    documented = set()
    for node in ast.walk(ast.parse(text)):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node):
            documented |= set(range(node.body[0].lineno, node.body[0].end_lineno + 1))
    empty = (tokenize.COMMENT, tokenize.NL, tokenize.NEWLINE, tokenize.INDENT, tokenize.DEDENT, tokenize.ENDMARKER)
    tokens = [token for token in tokenize.generate_tokens(io.StringIO(text).readline) if token.type not in empty]
    return len({line for token in tokens for line in range(token.start[0], token.end[0] + 1)} - documented)


def test_the_library_is_thin():
    thin = [path for path in FILES if module_of(path) not in ("methods", "datasets")]
    # What trains and scores a model; apart from it what only looks at one, and what sets the paper beside runs.
    looking = sum(code_lines(path) for path in thin if module_of(path) in LOOKING)
    paper = sum(code_lines(path) for path in thin if module_of(path) in PAPER)
    assert looking < 1000
    assert paper < 1700
    assert sum(code_lines(path) for path in thin) - looking - paper < 3700
    # The heart is to be read as a whole.
    heart = [path for path in thin if module_of(path) in ("attention", "pooling", "metrics")]
    assert sum(code_lines(path) for path in heart) < 700


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_a_function_fits_on_a_screen(path):
    for node in ast.walk(ast.parse(path.read_text())):
        if isinstance(node, ast.FunctionDef):
            docstring = ast.get_docstring(node) or ""
            lines = node.end_lineno - node.lineno + 1 - len(docstring.splitlines())
            assert lines <= 50, f"{node.name} has {lines} lines without its docstring"


def test_light_modules_do_not_import_keras():
    light = ("metrics", "statistics", "localisation", "reranking", "embeddings", "plots", "map_plots", "inspection")
    light += ("table_plots", "audit_plots", "architecture_plots", "datasets.synthetic", "cli")
    modules = ", ".join(f"gaaplib.{name}" for name in light)
    code = f"import {modules}, sys; sys.exit(bool({{'keras', 'tensorflow'}} & set(sys.modules)))"
    assert subprocess.run([sys.executable, "-c", code], cwd=PROJECT).returncode == 0


@pytest.mark.parametrize("path", FILES, ids=lambda path: str(path.relative_to(LIBRARY)))
def test_every_module_has_a_test(path):
    if path.name == "__init__.py":
        return
    tests = {test.stem.removeprefix("test_") for test in (PROJECT / "tests").glob("test_*.py")}
    names = {path.stem, path.parent.name}
    assert names & tests, f"tests/test_{path.stem}.py is missing"


def test_public_names_have_docstrings():
    for path in FILES:
        for node in ast.parse(path.read_text()).body:
            if isinstance(node, ast.FunctionDef | ast.ClassDef) and not node.name.startswith("_"):
                assert ast.get_docstring(node), f"{path.name}: {node.name} has no docstring"

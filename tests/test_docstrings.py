"""Examples in docstrings run as they stand, and the names that users meet first have one."""

import doctest
import importlib
import re
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

LIBRARY = Path(__file__).parents[1] / "gaaplib"
MODULES = [path for path in sorted(LIBRARY.rglob("*.py")) if ">>> " in path.read_text()]
FLAGS = doctest.ELLIPSIS | doctest.NORMALIZE_WHITESPACE

FIRST = {
    "attention": ("CrossFeatureAttention",),
    "config": ("RunConfig",),
    "datasets": ("published",),
    "datasets.records": ("make_records",),
    "datasets.splits": ("protocol_split",),
    "datasets.synthetic.generate": ("spec_for",),
    "distances": ("EmbeddingDistances", "pairwise_distances"),
    "evaluation.embedding_files": ("read_npz",),
    "evaluation.embedding_scores": ("evaluate",),
    "evaluation.reranking": ("expand_queries", "rerank"),
    "evaluation.single_shot": ("evaluate_single_shot",),
    "evaluation.statistics": ("bootstrap_mean", "mean_and_spread", "paired_difference", "sign_flip_test"),
    "evaluation.verification": ("evaluate_open_set", "evaluate_verification"),
    "explain.localisation": ("centre_prior",),
    "metrics": ("evaluate_classification", "evaluate_distances", "evaluate_embeddings", "expected_by_chance"),
    "network.losses": ("BatchHardTriplet", "CrossEntropy"),
    "pooling": ("AveragePooling", "GeMPooling"),
    "training.augmentation": ("Augmentation",),
    "training.samplers": ("identity_balanced",),
}
"""The thirty names that users meet first, by module."""


def name_of(path):
    parts = ("gaaplib", *path.relative_to(LIBRARY).with_suffix("").parts)
    return ".".join(part for part in parts if part != "__init__")


@pytest.mark.parametrize("name", [name_of(path) for path in MODULES])
def test_examples_run_as_they_stand(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, optionflags=FLAGS)
    assert result.attempted
    assert not result.failed


@pytest.mark.parametrize(("module", "name"), [(module, name) for module, names in FIRST.items() for name in names])
def test_the_names_that_users_meet_first_have_an_example(module, name):
    assert ">>> " in getattr(importlib.import_module(f"gaaplib.{module}"), name).__doc__


def test_no_file_refers_to_what_is_not_in_the_project():
    for path in [*LIBRARY.rglob("*.py"), *LIBRARY.parent.glob("*.md"), *(LIBRARY.parent / "docs").glob("*.md")]:
        assert not any(name in path.read_text() for name in ("READING.md", "DESIGN.md", "SENTENCES.md")), path


def test_the_readmes_python_runs_as_it_stands(capsys):
    block = (LIBRARY.parent / "README.md").read_text().split("```python\n")[1].split("```")[0]
    exec(compile(block, "README.md", "exec"), {})
    assert capsys.readouterr().out.startswith("mAP 0.")


def test_the_readme_is_short_and_its_links_lead_somewhere():
    text = (LIBRARY.parent / "README.md").read_text()
    assert len(text.splitlines()) <= 150
    pages = [*LIBRARY.parent.glob("*.md"), *(LIBRARY.parent / "docs").glob("*.md")]
    for page in pages:
        for link in re.findall(r"\]\((?!http)([^)#]+)", page.read_text()):
            assert (page.parent / link).exists(), f"{page.name}: {link}"


TRAINED = """
import sys
from gaaplib import experiment
from gaaplib.config import RunConfig

run = experiment.run(RunConfig("smoke", method="circle", options="scale=32"), outputs=sys.argv[1])
print(run.metrics["status"], run.metrics["config"]["options"])
"""


def test_the_method_that_the_guide_adds_is_whole_and_trains(tmp_path):
    shutil.copytree(LIBRARY, tmp_path / "gaaplib", ignore=shutil.ignore_patterns("__pycache__"))
    guide = (LIBRARY.parent / "docs" / "adding-a-method.md").read_text()
    (tmp_path / "gaaplib" / "methods" / "circle.py").write_text(re.search(r"```python\n(.*?)```", guide, re.DOTALL)[1])
    line = re.search(r"```text\n(.*?)```", guide, re.DOTALL)[1]
    registry = tmp_path / "gaaplib" / "methods" / "__init__.py"
    text = registry.read_text().replace("METHODS = {\n", f"METHODS = {{\n{line}")
    registry.write_text(f"from gaaplib.methods.circle import CircleLoss\n{text}")
    command = [sys.executable, "-c", TRAINED, str(tmp_path / "outputs")]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True)
    assert done.stdout.endswith("done scale=32.0\n"), done.stderr[-2000:]

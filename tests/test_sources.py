"""The digest follows what decides a run, and nothing else."""

import shutil

import pytest

from gaaplib import sources


@pytest.fixture
def copy(tmp_path, monkeypatch):
    """A copy of the package whose files a test may change; answers the digest of it."""
    folder = tmp_path / "gaaplib"
    shutil.copytree(sources.FOLDER, folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(sources, "FOLDER", folder)
    monkeypatch.setattr(sources, "ROOT", folder / "experiment.py")

    def digest_with(name=None, old="", new=""):
        if name:
            text = (folder / name).read_text()
            assert old in text
            (folder / name).write_text(text.replace(old, new, 1))
        return sources.digest.__wrapped__()

    return digest_with


def test_what_decides_a_run_is_all_that_trains_and_scores_it():
    names = {str(path.relative_to(sources.FOLDER)) for path in sources.deciding()}
    assert {"experiment.py", "training.py", "layers.py", "metrics.py", "batches.py", "config.py"} <= names
    assert {"datasets/__init__.py", "datasets/pedestrians.py", "methods/gaap.py", "methods/__init__.py"} <= names
    assert not names & {"runs.py", "plots.py", "cli.py", "heatmaps.py", "explorer.py", "audit.py"}


def test_the_code_changes_the_digest(copy):
    before = copy()
    assert copy() == before
    assert copy("methods/gaap.py", "import", "import math\nimport") != before


@pytest.mark.parametrize(
    ("name", "old", "new"),
    [
        ("training.py", "import json", "# A comment.\nimport json"),
        ("training.py", '"""Train a method in place', '"""Teach a method in place'),
        ("plots.py", "import", "import math\nimport"),
        ("runs.py", "import", "import math\nimport"),
    ],
)
def test_words_and_what_only_looks_do_not(copy, name, old, new):
    before = copy()
    assert copy(name, old, new) == before

"""The digest follows what decides a run, and nothing else."""

import json
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


def test_code_passes_for_todays_where_that_was_seen(tmp_path, monkeypatch):
    monkeypatch.setattr(sources, "SAME", tmp_path / "same_code.json")
    # The last two went back and forth.
    seen = [("a", "b"), ("b", "c"), ("d", "e"), ("e", "d")]
    sources.SAME.write_text(json.dumps([{"code": code, "same_as": same_as} for code, same_as in seen]))
    for today, others in (("c", "ab"), ("b", "a"), ("d", "e"), ("e", "d"), ("f", "")):
        monkeypatch.setattr(sources, "digest", lambda today=today: today)
        assert {code for code in "abcdef" if sources.is_todays(code)} == {today, *others}
        assert not sources.is_todays(None)


def test_the_committed_record_names_committed_runs():
    reference = sources.FOLDER.parent / "outputs" / "reference" / "runs"
    for entry in json.loads(sources.SAME.read_text()):
        assert entry["runs"] and all((reference / run_id).is_dir() for run_id in entry["runs"])


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

import json
import os
import subprocess
import sys
import tarfile
from pathlib import Path

import pytest
from made_runs import finish

from gaaplib import runs
from gaaplib.paper.plan import Plan
from gaaplib.runs.provenance import RESULTS

PROJECT = Path(__file__).parents[2]
SETTINGS = {"profile": "smoke", "precision": "float32", "datasets": "cuhk03", "seeds": "3"}


def call(*arguments, cwd, **environment):
    program = [sys.executable, PROJECT / "workflow" / "gpu.py", *map(str, arguments)]
    done = subprocess.run(program, cwd=cwd, env=os.environ | environment, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.fixture
def packed(tmp_path):
    """A folder with what is missing of the part ``block``, of which one run is finished and one is out of date."""
    finished, old = Plan.parse(**SETTINGS).block()[:2]
    finish(runs.begin(finished, tmp_path / "outputs"))
    finish(stale := runs.begin(old, tmp_path / "outputs"))
    metrics = stale.metrics
    metrics["provenance"]["results"] = RESULTS - 1
    (stale.folder / "metrics.json").write_text(json.dumps(metrics))
    folder = tmp_path / "folder"
    (folder / "notebooks").mkdir(parents=True)
    (folder / "gaaplib").symlink_to(PROJECT / "gaaplib")
    words = [f"{name}={value}" for name, value in SETTINGS.items()]
    printed = call("pack", folder, "parts=block", *words, cwd=PROJECT, GAAP_OUTPUTS=str(tmp_path / "outputs"))
    assert printed.startswith("3 of 4 runs are still to be made")
    return folder, finished


def test_what_is_finished_is_left_out_and_the_rest_keeps_its_order(packed):
    folder, finished = packed
    cells = json.loads((folder / "cells.json").read_text())["runs"]
    assert cells == [run.portable() for run in Plan.parse(**SETTINGS).block() if run != finished]


def test_no_run_is_started_after_the_minutes_are_over(packed):
    folder, _ = packed
    call("run", "0", cwd=folder, PYTHONPATH=str(folder))
    assert not (folder / "outputs").exists() and not (folder / "small.tar").exists()


def test_runs_are_made_at_once_and_their_small_files_packed(packed):
    """Two at once; an error in one is told and does not stop the others."""
    folder, _ = packed
    cells = json.loads((folder / "cells.json").read_text())
    cells["runs"][1]["data"] = "data/nowhere"
    (folder / "cells.json").write_text(json.dumps(cells | {"commit": "c0ffee"}))
    said = call("run", "5", "2", cwd=folder, PYTHONPATH=str(folder))
    assert "data/nowhere" in said and said.count("training accuracy") == 2
    made = sorted(path.parent for path in (folder / "outputs" / "runs").glob("*/metrics.json"))
    assert len(made) == 2
    with tarfile.open(folder / "small.tar") as archive:
        names = set(archive.getnames())
    files = ("config.json", "metrics.json", "history.csv", "per_query.npz")
    assert {f"{one.name}/{file}" for one in made for file in files} <= names
    assert {Path(name).name for name in names} <= {*files, "per_image.npz"}
    assert [runs.Run(one).metrics["provenance"]["commit"] for one in made] == ["c0ffee"] * 2
    assert all((folder / "logs" / f"{one.name}.txt").read_text().count("epoch 1/1") == 1 for one in made)


def test_the_shell_script_says_how_it_is_called():
    done = subprocess.run([PROJECT / "workflow" / "gpu.sh"], capture_output=True, text=True)
    assert done.returncode == 2
    assert "workflow/gpu.sh pack FOLDER [NAME=VALUE ...]" in done.stdout
    assert "FOLDER/gpu.sh run MINUTES" in done.stdout

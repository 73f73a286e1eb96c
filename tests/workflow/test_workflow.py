"""The graph makes each run once, keeps the logs of failures, and resumes after being killed.

The runs are made by a fast stand-in; tests/workflow/test_survival.py and `make test-slurm` use real ones.
"""

import importlib.util
import json
import os
import shutil
import signal
import subprocess
import sys
import time
from argparse import Namespace
from collections import Counter
from pathlib import Path

import estimates
import pytest

from gaaplib.config import RunConfig
from gaaplib.paper import committed
from gaaplib.paper.plan import BACKBONES, DATA_SETS, PARTS, Plan
from gaaplib.runs.provenance import RESULTS

PROJECT = Path(__file__).parents[2]
GRAPH = [sys.executable, PROJECT / "workflow" / "graph.py"]
STAND_IN = f"{sys.executable} {PROJECT / 'tests' / 'stand_in.py'}"
SETTINGS = {"profile": "smoke", "backbones": "resnet18", "datasets": "market1501", "precision": "float32"}
RUNS = {config.attention + config.pooling: config for config in Plan.parse(**SETTINGS).matrix()}
SPEC = importlib.util.spec_from_file_location("graph", GRAPH[1])
SCRIPT = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(SCRIPT)


@pytest.fixture
def graph(outputs):
    """Return a function that runs a command on the matrix of one backbone and one data set and returns the process."""
    cache = outputs / "cache"
    cache.mkdir(parents=True)
    times = {estimates.kind(config): [0.1, 0.01, 1.0] for config in RUNS.values()}
    (cache / "step_times.json").write_text(json.dumps({estimates._machine(): times}))

    def run(*command, **environment):
        return subprocess.run(command, env=os.environ | environment, capture_output=True, text=True, timeout=300)

    return run


def settings(**more):
    return [f"{name}={value}" for name, value in {**SETTINGS, "gaap": STAND_IN, **more}.items()]


def alone(outputs, *options, configs=None):
    """Return the Snakemake command for the matrix, or for other runs, without planning and notebooks."""
    runs = {config.run_id: config for config in configs or RUNS.values()}
    graph = {"runs": SCRIPT.described(runs, {}), "parts": {"matrix": list(runs)}, "notebooks": {}, "gaap": STAND_IN}
    file = outputs / "cache" / "graph.json"
    file.write_text(json.dumps(graph))
    command = [SCRIPT.SNAKEMAKE, "--snakefile", SCRIPT.FOLDER / "Snakefile", "--directory", outputs]
    profile = SCRIPT.FOLDER / "profiles" / "local"
    return [*command, "--configfile", file, "--workflow-profile", profile, *options, "--", "matrix"]


def folder(outputs, model):
    return outputs / "runs" / RUNS[model].run_id


def asked(outputs):
    """Return how often each run was started, by model."""
    names = {config.run_id: model for model, config in RUNS.items()}
    lines = [Path(line) for line in (outputs / "asked").read_text().splitlines()]
    return Counter(names[path.parent.name] for path in lines if path.parts[0] == "runs")


def test_a_failed_run_does_not_stop_the_others(graph, outputs):
    command = [*GRAPH, "tables", "--parts", "matrix", *settings()]
    first = graph(*command, STAND_IN_FAILS="_class_max", STAND_IN_KILLED="_class_avg")
    assert first.returncode == 1
    assert "\nmatrix             3       0       0       3 " in first.stdout
    failed = {model: folder(outputs, model) / "notebook.ipynb" for model in ("classavg", "classmax")}
    assert f"ValueError: as asked\n        {failed['classmax']}" in first.stdout
    assert f"no traceback\n        {failed['classavg']}" in first.stdout
    assert "2 failed" in first.stdout
    assert (folder(outputs, "noneavg") / "metrics.json").exists()
    # The tables are made of the finished runs.
    (made,) = outputs.glob("notebooks/10_paper_audit.ipynb")
    before = made.stat().st_mtime_ns
    second = graph(*command)
    assert second.returncode == 0, second.stderr
    assert "all 3 runs are finished" in second.stdout
    assert asked(outputs) == {"noneavg": 1, "classavg": 2, "classmax": 2}
    assert not [*outputs.glob("notebooks/unfinished/*.ipynb")]
    # Their inputs changed.
    assert made.stat().st_mtime_ns > before


def test_after_its_death_the_same_command_finishes_the_rest(graph, outputs):
    driver = subprocess.Popen(alone(outputs), env=os.environ | {"STAND_IN_WAITS": "_class_avg"})
    while not (outputs / "asked").exists() or asked(outputs)["classavg"] == 0:
        assert driver.poll() is None
        time.sleep(0.05)
    driver.send_signal(signal.SIGKILL)
    driver.wait()
    assert (folder(outputs, "noneavg") / "metrics.json").exists()
    # Its child process stays alive and finishes.
    (outputs / "go").touch()
    done = folder(outputs, "classavg") / "metrics.json"
    while not done.exists():
        time.sleep(0.05)
    assert graph(*alone(outputs)).returncode == 0
    assert asked(outputs) == {"noneavg": 1, "classavg": 1, "classmax": 1}
    # A run with another results number is made again; the rest is not.
    metrics = json.loads(done.read_text())
    metrics["provenance"]["results"] = 0
    done.write_text(json.dumps(metrics))
    assert graph(*alone(outputs)).returncode == 0
    assert asked(outputs) == {"noneavg": 1, "classavg": 2, "classmax": 1}
    assert json.loads(done.read_text())["provenance"]["results"] == RESULTS


def test_runs_that_were_copied_are_not_made_again(graph, outputs):
    crossings = Plan.parse(**SETTINGS | {"datasets": "market1501,raid"}).crossings()
    scored = next(config for config in crossings if config.train_dataset)
    command = alone(outputs, configs=[scored.training(), scored])
    assert graph(*command).returncode == 0
    begun = (outputs / "asked").read_text()
    assert begun.splitlines() == [f"runs/{run.run_id}/notebook.ipynb" for run in (scored.training(), scored)]
    # Copying may give the source a later time than the run made from it, and does not copy Snakemake's records.
    copied = outputs / "runs" / scored.training().run_id / "metrics.json"
    shutil.rmtree(outputs / ".snakemake")
    os.utime(copied, (time.time() + 60, time.time() + 60))
    assert graph(*command).returncode == 0
    assert (outputs / "asked").read_text() == begun


def planned_photographs(outputs, parts, monkeypatch, **more):
    monkeypatch.setattr(
        estimates, "step_times", lambda runs, *_, **__: {estimates.kind(run): [1, 1, 1] for run in runs}
    )
    return SCRIPT.photographs(Namespace(parts=parts, settings=more), outputs)


def test_notebooks_of_tables_show_all_that_was_made(outputs):
    """Also what is not shown by default, which is what the committed runs are of."""
    found = SCRIPT.of_tables(Plan("smoke", precision="float32"), outputs)
    everything = {"backbones": ",".join(BACKBONES), "datasets": ",".join(DATA_SETS), "data": "synthetic"}
    assert found["04_attention_ablation"] == {
        **everything,
        **{"profile": "smoke", "precision": "float32", "images": "datasets", "folds": "0", "seeds": "0,1,2"},
        "runs_folder": str(outputs),
    }
    assert everything.items() <= found["05_pooling_ablation"].items()
    assert found["07_metric_learning"]["datasets"] == everything["datasets"]
    # Notebooks that train for themselves keep their own backbones.
    assert "backbones" not in found["06_attention_maps"]


def test_runs_beside_the_photographs_are_a_graph_with_their_sources(outputs, monkeypatch, capsys):
    graph = planned_photographs(outputs, ["occluded"], monkeypatch, gpus="1")
    (part,), runs = graph["parts"].values(), {run.run_id for run in committed.occluded()}
    assert graph["notebooks"] == {} and graph["gpus"] == "1" and runs <= set(part)
    assert all(source in graph["runs"] for run in graph["runs"].values() for source in run["needed"])
    assert f"occluded{len(part):12}" in capsys.readouterr().out


def test_photographs_that_are_not_there_are_named_before_anything_is_timed(outputs, monkeypatch):
    asked = RunConfig("long", dataset="cuhk03", data=str(outputs / "nowhere"))
    monkeypatch.setattr(committed, "everything", lambda: {"block": {asked.run_id: asked}})
    with pytest.raises(ValueError, match="nowhere is missing, so 1 runs are left out: put your copy there, or a link"):
        planned_photographs(outputs, [], monkeypatch)


def test_only_the_runs_on_missing_photographs_are_left_out(outputs, monkeypatch, capsys):
    source, lacking = {"train_dataset": "cuhk03", "train_data": str(outputs)}, str(outputs / "pku")
    outputs.mkdir()
    made = RunConfig("smoke", dataset="raid")
    left_out = [RunConfig("long", data=lacking, seed=seed, **source) for seed in (0, 1)]
    left_out.append(RunConfig("long", dataset="raid", train_dataset="market1501", train_data=lacking))
    parts = {"block": [made], "across": left_out}
    monkeypatch.setattr(
        committed, "everything", lambda: {name: {run.run_id: run for run in runs} for name, runs in parts.items()}
    )
    graph = planned_photographs(outputs, [], monkeypatch)
    assert graph["parts"] == {"block": [made.run_id]} and list(graph["runs"]) == [made.run_id]
    assert f"{lacking} is missing, so 3 runs are left out: put your copy there" in capsys.readouterr().out


def test_tables_make_what_is_shown_and_the_rest_if_it_is_named(outputs, monkeypatch, capsys):
    monkeypatch.setattr(
        estimates, "step_times", lambda runs, *_, **__: {estimates.kind(run): [1, 1, 1] for run in runs}
    )
    parts = {
        parts: list(SCRIPT.planned(Namespace(parts=list(parts), settings=SETTINGS), outputs)["parts"])
        for parts in ((), ("why", "tricks"))
    }
    assert parts["why", "tricks"] == ["why", "tricks"]
    assert parts[()] == [name for name in PARTS if name not in ("why", "tricks")]


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["photographs", "--parts", "crowds"], "part 'crowds' is not known; known: block, matrix"),
        (["photographs", "profile=demo"], "unknown setting 'profile'; known: gpus, gaap"),
        (["plan", "profil=demo"], "unknown setting 'profil'; known: profile, data,"),
        (["plan", "backbones=resnet19"], "backbone='resnet19' is not known"),
        (["plan", "folds=one"], "folds='one': expected whole numbers with commas"),
        (["plan", "--parts", "matrx"], "part 'matrx' is not known; known: block, matrix, all_folds"),
        (["plan", "data=nowhere", "datasets=raid"], "raid is left out: missing folder "),
        (["plan", "--on", "moon"], "no profile 'moon'; known: local, slurm"),
    ],
)
def test_wrong_settings_are_reported(outputs, words, message, monkeypatch, capsys):
    monkeypatch.setattr(sys, "argv", ["graph.py", *words])
    with pytest.raises(SystemExit) as ended:
        SCRIPT.main()
    # argparse prints its own messages; Python prints an exit code that is a string.
    assert message in f"{ended.value.code} {capsys.readouterr().err}"
    assert not outputs.exists()

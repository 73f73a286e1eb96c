"""A training that is watched: another thread writes what a training would."""

import threading
import time

import pandas as pd
import pytest
from click.testing import CliRunner
from made_runs import write_run

from gaaplib import runs
from gaaplib.cli import main
from gaaplib.project import write_whole
from gaaplib.runs import watch

ROWS = pd.DataFrame({"epoch": [1, 2, 3], "loss": [2.0, 1.0, 0.5], "accuracy": [0.1, 0.5, 0.9], "seconds": [3.0, 6, 9]})


@pytest.fixture
def going_on(outputs):
    """A run whose metrics are put aside, as if it were not finished."""
    run = write_run(outputs, [0.5, 0.6])
    (run.folder / "history.csv").unlink(missing_ok=True)
    (run.folder / "metrics.json").rename(run.folder / "later.json")
    return run


@pytest.fixture
def training(going_on):
    """Something that appends the rows and finishes the run."""

    def train():
        for rows in (1, 3):
            time.sleep(0.05)
            write_whole(going_on.folder / "history.csv", ROWS[:rows].to_csv(index=False))
        (going_on.folder / "later.json").rename(going_on.folder / "metrics.json")

    thread = threading.Thread(target=train)
    yield thread
    thread.join()


def test_each_epoch_is_seen_once_and_the_end_ends_it(going_on, training):
    training.start()
    *_, last = histories = list(watch.epochs(going_on, every=0.01))
    assert last.epoch.tolist() == [1, 2, 3]
    assert [len(history) for history in histories] == sorted({len(history) for history in histories})


def test_the_command_prints_lines_and_draws_the_curves(going_on, training, tmp_path, monkeypatch):
    monkeypatch.setattr(watch, "epochs", lambda run, really=watch.epochs: really(run, every=0.01))
    training.start()
    result = CliRunner().invoke(main, ["watch", "-o", str(tmp_path / "curves.png")])
    assert result.exit_code == 0, result.output
    first, *lines, end = result.output.splitlines()
    assert first == going_on.folder.name and end == "finished: done"
    assert lines[-1] == "epoch 3  loss 0.500  accuracy 0.900  9 s" and len(lines) == 3
    assert (tmp_path / "curves.png").stat().st_size > 1000


def test_without_a_name_it_is_the_one_that_is_not_finished(going_on, outputs):
    write_run(outputs, [0.5], seed=1)
    assert runs.begun().folder == going_on.folder
    assert runs.begun("seed1").folder.name != going_on.folder.name
    (going_on.folder / "later.json").rename(going_on.folder / "metrics.json")
    with pytest.raises(ValueError, match="is being made; give the name of a finished one"):
        runs.begun()
    result = CliRunner().invoke(main, ["watch", "nothing"])
    assert result.exit_code == 1 and "no run 'nothing'; runs:" in result.output

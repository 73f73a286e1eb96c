"""Training that is interrupted and resumed."""

import numpy as np
import pytest
from tiny_training import Flat, TinyInRounds, assert_same, tiny

from gaaplib.training import checkpoint, fit
from gaaplib.training.checkpoint import Checkpoint

pytestmark = pytest.mark.usefixtures("without_graphs")


@pytest.fixture
def interrupted(monkeypatch):
    """Train until an epoch, counted from 0, begins."""

    def train(epoch, *arguments, **keywords):
        def stop(self, number, logs=None):
            if number == epoch:
                raise KeyboardInterrupt
            begin(self, number, logs)

        begin = fit._Recorder.on_epoch_begin
        with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
            patch.setattr(fit._Recorder, "on_epoch_begin", stop)
            tiny(*arguments, **keywords)

    return train


@pytest.mark.parametrize(
    "changes",
    [
        {"schedule": "plateau"},
        {"schedule": "cosine"},
        {"schedule": "constant", "averaged_epochs": 5},
        {"schedule": "constant", "dropout": 0.5},
    ],
    ids=" ".join,
)
def test_an_interrupted_training_ends_like_a_whole_one(tmp_path, monkeypatch, interrupted, changes):
    monkeypatch.setattr(fit, "PlateauSchedule", Flat)
    whole = tiny(**changes)
    assert len(whole[1]) == (6 if changes["schedule"] == "plateau" else 8)
    path = tmp_path / "kept" / "last.zip"
    for epoch in (2, 4):
        interrupted(epoch, path, **changes)
    assert_same(tiny(path, **changes), whole)
    # If training was finished, no epoch is added, not even one that the schedule would have skipped.
    assert_same(tiny(path, **changes), whole)
    assert [file.name for file in path.parent.iterdir()] == ["last.zip"]


@pytest.mark.parametrize("averaged", [0, 1])
def test_an_interrupted_training_in_rounds_ends_like_a_whole_one(tmp_path, monkeypatch, interrupted, averaged):
    """Interrupted in a round, between two, and twice in one; the labels of a round are not made again within it."""
    changes = {"kind": TinyInRounds, "schedule": "cosine", "dropout": 0.5, "averaged_epochs": averaged}
    monkeypatch.setattr(checkpoint, "SECONDS", 0)
    made, next_round = [], TinyInRounds.next_round
    whole = tiny(**changes)
    monkeypatch.setattr(
        TinyInRounds, "next_round", lambda self, number, *rest: made.append(number) or next_round(self, number, *rest)
    )
    path = tmp_path / "last.zip"
    for epoch, rounds in ((1, [0]), (2, [1]), (3, [1]), (3, [])):
        made.clear()
        interrupted(epoch, path, **changes)
        assert made == rounds
    assert_same(tiny(path, **changes), whole)
    assert_same(tiny(path, **changes), whole)


def test_a_damaged_checkpoint_is_left_with_a_warning(tmp_path):
    path = tmp_path / "last.zip"
    tiny(path)
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(len(whole), size=12):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        with pytest.warns(UserWarning, match="last.zip is damaged .* from the beginning"):
            assert Checkpoint(path, {"key": "k"}).read() is None
    path.write_bytes(whole[:-100])
    with pytest.warns(UserWarning, match="damaged"):
        assert_same(tiny(path), tiny())


def test_the_checkpoint_of_another_training_is_left_with_a_warning(tmp_path, interrupted):
    path = tmp_path / "last.zip"
    interrupted(1, path, key="another")
    with pytest.warns(UserWarning, match="by a training with other key: .* from the beginning"):
        assert_same(tiny(path), tiny())

"""Training that is interrupted and resumed."""

import numpy as np
import pytest
from tiny_training import Flat, TinyInRounds, assert_same, tiny

from gaaplib.training import fit
from gaaplib.training.checkpoint import Checkpoint


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


def test_a_later_round_is_taken_up_at_the_end_of_the_first(tmp_path, interrupted):
    path = tmp_path / "last.zip"
    whole = tiny(kind=TinyInRounds)
    interrupted(3, path, kind=TinyInRounds)
    assert_same(tiny(path, kind=TinyInRounds), whole)


def test_a_damaged_checkpoint_is_left_with_a_warning(tmp_path):
    path = tmp_path / "last.zip"
    method, _ = tiny(path)
    whole = path.read_bytes()
    for place in np.random.default_rng(0).integers(len(whole), size=12):
        path.write_bytes(whole[:place] + bytes([whole[place] ^ 255]) + whole[place + 1 :])
        rows, before = [], method.training_model.get_weights()
        with pytest.warns(UserWarning, match="last.zip is damaged .* from the beginning"):
            assert not Checkpoint(path, {"key": "k"}).restore(method.training_model, rows)
        assert not rows
        assert all(map(np.array_equal, before, method.training_model.get_weights()))
    path.write_bytes(whole[:-100])
    with pytest.warns(UserWarning, match="damaged"):
        assert_same(tiny(path), tiny())


def test_the_checkpoint_of_another_training_is_left_with_a_warning(tmp_path, interrupted):
    path = tmp_path / "last.zip"
    interrupted(1, path, key="another")
    with pytest.warns(UserWarning, match="by a training with other key: .* from the beginning"):
        assert_same(tiny(path), tiny())

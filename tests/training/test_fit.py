import json

import keras
import numpy as np
import pandas as pd
import pytest
from tiny_training import LABELS, Tiny, TinyInRounds, images, tiny

from gaaplib.config import RunConfig
from gaaplib.methods import METHODS
from gaaplib.methods.method import Round
from gaaplib.training import fit
from gaaplib.training.fit import PlateauSchedule

pytestmark = pytest.mark.usefixtures("without_graphs")


def make(**changes):
    arguments = {"batch_size": 8, "images_per_identity": 2, "learning_rate": 1e-3, "epochs": 3, **changes}
    config = RunConfig("smoke", **arguments)
    return METHODS[config.method](config, 4)


def fitted(method, validation=6):
    rows = np.arange(len(LABELS))
    held_out = rows[::4][:validation]
    train = np.setdiff1d(rows, held_out)
    return fit.fit(method, images(), (train, LABELS[train]), (held_out, LABELS[held_out]))


def test_fit_learns_and_records_a_row_an_epoch():
    keras.utils.set_random_seed(0)
    history = fitted(make(epochs=4))
    assert history.epoch.tolist() == [1, 2, 3, 4]
    assert history.loss.iloc[-1] < history.loss.iloc[0]
    assert history.accuracy.iloc[-1] > 0.6
    assert {"val_loss", "val_accuracy", "learning_rate", "seconds", "partnered_share"} <= set(history)
    assert history.seconds.is_monotonic_increasing
    assert fit.trouble(history) is None


def test_without_validation_images_training_goes_on():
    history = fitted(make(epochs=1, schedule="plateau"), validation=0)
    assert len(history) == 1
    assert "val_loss" not in history


def test_the_cosine_schedule_warms_up_and_comes_down():
    rates = fitted(make(schedule="cosine", warmup_epochs=1, epochs=4)).learning_rate
    assert rates.iloc[0] == pytest.approx(1e-3)
    assert rates.is_monotonic_decreasing
    assert rates.iloc[-1] < 1e-5


def test_a_loss_that_leaves_the_finite_numbers_stops_and_is_told():
    method = make(learning_rate=1e-3, epochs=3)
    method._classifier.kernel.assign(np.full((512, 4), np.inf))
    history = fitted(method)
    assert len(history) == 1
    assert "loss is nan in epoch 1" in fit.trouble(history)


def test_trouble_reads_losses_only():
    assert fit.trouble(pd.DataFrame()) is None
    assert fit.trouble([{"epoch": 1, "loss": 1.0, "note": np.nan}]) is None
    found = fit.trouble([{"epoch": 1, "loss": 1.0, "val_loss": 2.0}, {"epoch": 2, "loss": 0.5, "val_loss": np.inf}])
    assert found == "val_loss is inf in epoch 2"


@pytest.mark.parametrize(("steps", "lower"), [("2", [True, True, False, False]), ("4", [False, False, True, True])])
def test_steps_count_over_all_rounds_and_each_begins_with_the_whole_rate(steps, lower):
    """The rounds have two epochs each; the history has the rate that follows an epoch."""
    _, history = tiny(kind=TinyInRounds, schedule="steps", steps=steps)
    assert (history.learning_rate < 5e-3).tolist() == lower


def test_rounds_follow_each_other_and_may_relabel():
    class TwoRounds(METHODS["gaap"]):
        def next_round(self, number, labels, embed):
            if number == 1:
                seen.append(embed(self.model)["embedding"].shape)
                return Round(np.where(labels == 3, -1, labels), 2)
            return None if number else Round(labels, 1)

    seen = []
    config = make(sampler="shuffled").config
    method = TwoRounds(config, 4)
    rows = np.arange(len(LABELS))
    history = fit.fit(method, images(), (rows, LABELS), (rows[:0], LABELS[:0]))
    assert history.epoch.tolist() == [1, 2, 3]
    assert seen == [(24, 512)]


def test_embed_answers_every_output_for_the_rows_asked_for():
    method = make()
    rows = np.array([5, 3, 20, 7, 1])
    found = fit.embed(method.model, images(), rows, batch_size=2)
    whole = fit.embed(method.model, images(), np.arange(24))
    assert set(found) == {"pooled", "embedding", "logits"}
    assert np.allclose(found["embedding"], whole["embedding"][rows], rtol=1e-4, atol=1e-4)
    with pytest.raises(ValueError, match="empty"):
        fit.embed(method.model, images(), rows[:0])


def run_schedule(losses, **changes):
    """The learning rate after each epoch with these validation losses; shorter if training stops."""
    schedule = PlateauSchedule(**changes)
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(1.0), loss="mse")
    model.stop_training = False
    schedule.set_model(model)
    rates = []
    for epoch, loss in enumerate(losses):
        schedule.on_epoch_end(epoch, {"loss": 0.0, "val_loss": loss})
        rates.append(round(float(model.optimizer.learning_rate), 4))
        if model.stop_training:
            break
    return rates


def test_the_rate_falls_when_flat_for_more_than_four_epochs():
    assert run_schedule([1.0] * 5) == [1.0] * 5
    assert run_schedule([1.0] * 6) == [1.0] * 5 + [0.9]
    assert run_schedule([1.0] * 5 + [0.5] + [0.5] * 4) == [1.0] * 10


def test_training_ends_when_flat_for_more_than_five_epochs_after_two_decreases():
    rates = run_schedule([1.0] * 40)
    # Best in the first epoch; decreases in epochs 6 and 11; then flat for a sixth epoch in epoch 17.
    assert rates[10] == 0.81
    assert len(rates) == 17


def test_an_improvement_delays_the_end():
    losses = [1.0] * 14 + [0.5] * 40
    assert len(run_schedule(losses)) > 17


def test_each_epoch_trains_on_its_own_batches(monkeypatch):
    """On every backend: all of an epoch's, in order, and none of another's."""

    def eagerly(method, *arguments):
        compiled(method, *arguments)
        method.training_model.run_eagerly = True
        step = method.training_model.train_step

        def watched(*arguments):
            seen.append(keras.ops.convert_to_numpy(arguments[-1][0]["images"]))
            return step(*arguments)

        method.training_model.train_step = watched

    compiled, seen, wanted, rows = fit._compile, [], [], np.arange(len(LABELS))
    monkeypatch.setattr(fit, "_compile", eagerly)
    method = Tiny(RunConfig("smoke", sampler="shuffled", batch_size=2, epochs=2), 4)
    fit.fit(method, images(), (rows, LABELS), (rows[:0], LABELS[:0]))
    batches = fit._training_batches(method, images(), rows, LABELS, 0)
    for epoch in (1, 2):  # Keras ends one before the first.
        batches.start(epoch)
        wanted += [batches[index][0]["images"] for index in range(len(batches))]
    assert np.array_equal(seen, wanted)


@pytest.mark.parametrize("cut", range(1, 17))
def test_the_plateau_schedule_goes_on_from_its_state(cut):
    losses = [1.0] * 4 + [0.9] + [1.0] * 40
    whole, state = PlateauSchedule(), PlateauSchedule()
    for schedule in (whole, state):
        schedule.set_model(keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)]))
        schedule.model.compile(keras.optimizers.SGD(1.0))
    for epoch, loss in enumerate(losses[:cut]):
        whole.on_epoch_end(epoch, {"loss": loss})
    vars(state).update(json.loads(json.dumps(whole.state)))
    for epoch, loss in enumerate(losses[cut : cut + 12]):
        for schedule in (whole, state):
            schedule.on_epoch_end(epoch, {"loss": loss})
        assert state.state == whole.state
        assert bool(state.model.stop_training) == bool(whole.model.stop_training)


def test_verbose_2_prints_a_line_per_epoch_with_the_seconds_left(capsys):
    config = RunConfig("smoke", batch_size=8, images_per_identity=2, epochs=2)
    rows = np.arange(len(LABELS))
    fit.fit(Tiny(config, 4), images(), (rows, LABELS), (rows, LABELS), verbose=2)
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[:2] for line in lines] == [["epoch", "1/2"], ["epoch", "2/2"]]
    assert "val_loss" in lines[0] and lines[1].endswith("about 0 s left")


def test_epochs_are_added_until_there_are_enough_batches():
    steps = len(LABELS[::2]) // 8
    with pytest.warns(UserWarning, match=f"trained for 10 epochs instead of 8, so that there are {10 * steps}"):
        _, more = tiny(min_steps=10 * steps)
    assert len(more) == 10
    _, enough = tiny(min_steps=8 * steps)
    assert enough.equals(tiny()[1])


def test_the_history_file_grows_with_each_epoch(tmp_path):
    config = RunConfig("smoke", batch_size=8, images_per_identity=2, epochs=2)
    rows, file, lengths = np.arange(len(LABELS)), tmp_path / "history.csv", []
    look = keras.callbacks.LambdaCallback(on_epoch_end=lambda epoch, logs: lengths.append(len(pd.read_csv(file))))
    sides = (rows, LABELS), (rows[:0], LABELS[:0])
    history = fit.fit(Tiny(config, 4), images(), *sides, history_file=file, callbacks=[look])
    assert lengths == [1, 2]
    pd.testing.assert_frame_equal(pd.read_csv(file), history, check_exact=False)

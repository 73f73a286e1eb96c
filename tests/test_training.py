import keras
import numpy as np
import pandas as pd
import pytest

from gaaplib import training
from gaaplib.config import RunConfig
from gaaplib.methods import METHODS
from gaaplib.methods.method import Round
from gaaplib.training import PlateauSchedule

LABELS = np.repeat(np.arange(4), 6)
# Identities by colour, so that a few steps are enough to see that something is learnt.
COLOURS = np.array([(220, 30, 30), (30, 220, 30), (30, 30, 220), (220, 220, 30)])


def images():
    noise = np.random.default_rng(0).integers(-30, 30, (len(LABELS), 64, 32, 3))
    return np.clip(COLOURS[LABELS][:, None, None, :] + noise, 0, 255).astype(np.uint8)


def make(**changes):
    arguments = {"batch_size": 8, "images_per_identity": 2, "learning_rate": 1e-3, "epochs": 3, **changes}
    config = RunConfig("smoke", **arguments)
    return METHODS[config.method](config, 4)


def fit(method, validation=6):
    rows = np.arange(len(LABELS))
    held_out = rows[::4][:validation]
    train = np.setdiff1d(rows, held_out)
    return training.fit(method, images(), (train, LABELS[train]), (held_out, LABELS[held_out]))


def test_fit_learns_and_records_a_row_an_epoch():
    keras.utils.set_random_seed(0)
    history = fit(make(epochs=4))
    assert history.epoch.tolist() == [1, 2, 3, 4]
    assert history.loss.iloc[-1] < history.loss.iloc[0]
    assert history.accuracy.iloc[-1] > 0.6
    assert {"val_loss", "val_accuracy", "learning_rate", "seconds", "partnered_share"} <= set(history)
    assert history.seconds.is_monotonic_increasing
    assert training.trouble(history) is None


def test_without_validation_images_training_goes_on():
    history = fit(make(epochs=1, schedule="plateau"), validation=0)
    assert len(history) == 1
    assert "val_loss" not in history


def test_the_cosine_schedule_warms_up_and_comes_down():
    rates = fit(make(schedule="cosine", warmup_epochs=1, epochs=4)).learning_rate
    assert rates.iloc[0] == pytest.approx(1e-3)
    assert rates.is_monotonic_decreasing
    assert rates.iloc[-1] < 1e-5


def test_a_loss_that_leaves_the_finite_numbers_stops_and_is_told():
    method = make(learning_rate=1e-3, epochs=3)
    method._classifier.kernel.assign(np.full((512, 4), np.inf))
    history = fit(method)
    assert len(history) == 1
    assert "loss is nan in epoch 1" in training.trouble(history)


def test_trouble_reads_losses_only():
    assert training.trouble(pd.DataFrame()) is None
    assert training.trouble([{"epoch": 1, "loss": 1.0, "note": np.nan}]) is None
    found = training.trouble(
        [{"epoch": 1, "loss": 1.0, "val_loss": 2.0}, {"epoch": 2, "loss": 0.5, "val_loss": np.inf}]
    )
    assert found == "val_loss is inf in epoch 2"


def test_rounds_follow_each_other_and_may_relabel():
    class TwoRounds(METHODS["gaap"]):
        def rounds(self, labels, embed):
            yield Round(labels, 1)
            seen.append(embed()["embedding"].shape)
            yield Round(np.where(labels == 3, -1, labels), 2)

    seen = []
    config = make(sampler="shuffled").config
    method = TwoRounds(config, 4)
    rows = np.arange(len(LABELS))
    history = training.fit(method, images(), (rows, LABELS), (rows[:0], LABELS[:0]))
    assert history.epoch.tolist() == [1, 2, 3]
    assert seen == [(24, 512)]


def test_embed_answers_every_output_for_the_rows_asked_for():
    method = make()
    rows = np.array([5, 3, 20, 7, 1])
    found = training.embed(method.model, images(), rows, batch_size=2)
    whole = training.embed(method.model, images(), np.arange(24))
    assert set(found) == {"pooled", "embedding", "logits"}
    assert np.allclose(found["embedding"], whole["embedding"][rows], atol=1e-5)
    with pytest.raises(ValueError, match="empty"):
        training.embed(method.model, images(), rows[:0])


def run_schedule(losses, **changes):
    """The learning rate after each epoch with these validation losses; shorter where training stops."""
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

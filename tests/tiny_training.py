"""A method that trains fast, on images of four colours."""

import keras
import numpy as np

from gaaplib.config import RunConfig
from gaaplib.methods.method import Method, Round
from gaaplib.network.losses import CrossEntropy
from gaaplib.training import fit
from gaaplib.training.checkpoint import Checkpoint
from gaaplib.training.fit import PlateauSchedule

LABELS = np.repeat(np.arange(4), 6)


# Identities by colour, so that a few steps are enough to see that something is learnt.
COLOURS = np.array([(220, 30, 30), (30, 220, 30), (30, 30, 220), (220, 220, 30)])


def images():
    noise = np.random.default_rng(0).integers(-30, 30, (len(LABELS), 64, 32, 3))
    return np.clip(COLOURS[LABELS][:, None, None, :] + noise, 0, 255).astype(np.uint8)


class Tiny(Method):
    """A batch normalisation, for its moving statistics, dropout, for its seeds, and a classifier."""

    def __init__(self, config, num_classes):
        super().__init__(config, num_classes)
        pixels = keras.Input((config.height, config.width, 3), name="images")
        small = keras.layers.AveragePooling2D(16)(keras.layers.Rescaling(1 / 255)(pixels))
        features = keras.layers.BatchNormalization(momentum=0.5)(keras.layers.Flatten()(small))
        kept = keras.layers.Dropout(config.dropout)(features)
        logits = keras.layers.Dense(num_classes, name="logits")(kept)
        self.training_model = keras.Model({"images": pixels}, {"logits": logits})
        self.model = keras.Model(pixels, {"logits": logits})
        self.losses = {"logits": (CrossEntropy(0.0), 1.0)}


class TinyInRounds(Tiny):
    """The labels of the second round come from the network after the first, as in clustering."""

    def next_round(self, number, labels, embed):
        if number < 2:
            return Round(embed(self.model)["logits"].argmax(axis=1) if number else labels, 2)
        return None


class Flat(PlateauSchedule):
    """Gets the same loss in each epoch: it decreases the rate in the third and fifth, and stops in the sixth."""

    def __init__(self):
        super().__init__(patience=1, stop_patience=2, decreases_before_stop=1)

    def on_epoch_end(self, epoch, logs=None):
        super().on_epoch_end(epoch, {"loss": 1.0})


def tiny(path=None, kind=Tiny, key="k", **changes):
    """A method freshly made and trained, and its history, without the seconds."""
    config = RunConfig("smoke", sampler="shuffled", batch_size=8, epochs=8, learning_rate=1e-2, **changes)
    keras.utils.set_random_seed(1)
    method = kind(config, 4)
    rows = np.arange(len(LABELS))
    train, validation = (rows[::2], LABELS[::2]), (rows[1::2], LABELS[1::2])
    checkpoint = None if path is None else Checkpoint(path, {"key": key})
    history = fit.fit(method, images(), train, validation, checkpoint=checkpoint)
    assert history.seconds.is_monotonic_increasing
    return method, history.drop(columns="seconds")


def assert_same(one, other):
    (method, history), (expected, expected_history) = one, other
    assert history.equals(expected_history)
    one, other = method.training_model, expected.training_model
    for variable, wanted in zip(
        [*one.variables, *one.optimizer.variables], [*other.variables, *other.optimizer.variables], strict=True
    ):
        assert np.array_equal(variable, wanted), variable.path

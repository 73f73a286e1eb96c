"""The mean of the weights over the last epochs."""

import keras
import numpy as np
import pytest
from tiny_training import Tiny, TinyInRounds, images, tiny

from gaaplib.config import RunConfig
from gaaplib.training.averaging import WeightAverage

pytestmark = pytest.mark.usefixtures("without_graphs")


class Watched(Tiny):
    """Keeps its weights at the end of each epoch."""

    def __init__(self, config, num_classes):
        super().__init__(config, num_classes)
        self.kept = []
        fit = self.training_model.fit
        keep = keras.callbacks.LambdaCallback(
            on_epoch_end=lambda epoch, logs: self.kept.append(self.training_model.get_weights())
        )
        self.training_model.fit = lambda *arguments, callbacks, **others: fit(
            *arguments, callbacks=[*callbacks, keep], **others
        )


def assert_mean(model, kept):
    """The trained weights are the mean of those kept; the moving statistics are not."""
    trained = {id(variable) for variable in model.trainable_weights}
    for variable, *ends in zip(model.weights, *kept, strict=True):
        same = np.allclose(variable, np.mean(ends, axis=0, dtype=float), rtol=1e-5, atol=1e-7)
        assert same == (id(variable) in trained), variable.path


@pytest.mark.parametrize("averaged, counting", [(1, 1), (3, 3), (8, 8), (100, 8)])
def test_the_weights_are_the_mean_of_the_last_epochs(averaged, counting):
    method, _ = tiny(kind=Watched, schedule="constant", averaged_epochs=averaged)
    assert len(method.kept) == 8
    assert_mean(method.training_model, method.kept[-counting:])


def test_without_it_the_weights_are_the_last():
    method, _ = tiny(kind=Watched, schedule="constant")
    assert all(map(np.array_equal, method.training_model.get_weights(), method.kept[-1]))


def test_each_round_ends_with_its_own_mean():
    class WatchedInRounds(Watched, TinyInRounds):
        pass

    method, _ = tiny(kind=WatchedInRounds, schedule="constant", averaged_epochs=2)
    assert_mean(method.training_model, method.kept[2:])


def test_no_epoch_that_counts_changes_nothing():
    method, _ = tiny(schedule="constant")
    before = method.training_model.get_weights()
    WeightAverage(0).apply(method.training_model, [])
    assert all(map(np.array_equal, before, method.training_model.get_weights()))


def test_the_moving_statistics_are_the_means_over_the_batches():
    method, _ = tiny(schedule="constant")
    average, model = WeightAverage(0), method.training_model
    average.set_model(model)
    average.on_epoch_end(0)
    batches = [({"images": images()[part]}, None) for part in (slice(0, 8), slice(8, 16), slice(16, 24))]
    average.apply(model, batches)
    normalisation = next(layer for layer in model.layers if isinstance(layer, keras.layers.BatchNormalization))
    seen = keras.Model(model.input, normalisation.input)
    inputs = [np.asarray(seen(parts)) for parts, _ in batches]
    for found, statistic in ((normalisation.moving_mean, np.mean), (normalisation.moving_variance, np.var)):
        np.testing.assert_allclose(found, np.mean([statistic(x, axis=0) for x in inputs], axis=0), rtol=1e-4)
    assert normalisation.momentum == 0.5


def test_the_moving_statistics_are_those_of_the_images_without_augmentation():
    method, _ = tiny(schedule="constant", averaged_epochs=2, shift_x=0.5, shift_y=0.5, erase=1.0)
    normalisation = next(layer for layer in method.model.layers if isinstance(layer, keras.layers.BatchNormalization))
    seen = np.asarray(keras.Model(method.model.input, normalisation.input)(images()[::2]))
    np.testing.assert_allclose(normalisation.moving_mean, seen.mean(axis=0), rtol=1e-4)
    np.testing.assert_allclose(normalisation.moving_variance, seen.var(axis=0), rtol=1e-4)


def test_a_schedule_that_may_end_at_any_epoch_is_refused():
    with pytest.raises(ValueError, match="averaged_epochs=2 with schedule='plateau'.*choose"):
        RunConfig("smoke", schedule="plateau", averaged_epochs=2)

"""The mean of the weights over the last epochs."""

import keras
import numpy as np
import pytest
from tiny_training import Tiny, TinyInRounds, tiny

from gaaplib.config import RunConfig
from gaaplib.training.averaging import WeightAverage


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


@pytest.mark.parametrize("averaged, counting", [(1, 1), (3, 3), (8, 8), (100, 8)])
def test_the_weights_are_the_mean_of_the_last_epochs(averaged, counting):
    method, _ = tiny(kind=Watched, schedule="constant", averaged_epochs=averaged)
    assert len(method.kept) == 8
    for weight, *ends in zip(method.training_model.get_weights(), *method.kept[-counting:], strict=True):
        np.testing.assert_allclose(weight, np.mean(ends, axis=0, dtype=float), rtol=1e-5, atol=1e-7)


def test_without_it_the_weights_are_the_last():
    method, _ = tiny(kind=Watched, schedule="constant")
    assert all(map(np.array_equal, method.training_model.get_weights(), method.kept[-1]))


def test_each_round_ends_with_its_own_mean():
    class WatchedInRounds(Watched, TinyInRounds):
        pass

    method, _ = tiny(kind=WatchedInRounds, schedule="constant", averaged_epochs=2)
    expected = [np.mean(ends, axis=0) for ends in zip(*method.kept[2:], strict=True)]
    for weight, mean in zip(method.training_model.get_weights(), expected, strict=True):
        np.testing.assert_allclose(weight, mean, rtol=1e-5, atol=1e-7)


def test_no_epoch_that_counts_changes_nothing():
    method, _ = tiny(schedule="constant")
    before = method.training_model.get_weights()
    WeightAverage(0).apply(method.training_model)
    assert all(map(np.array_equal, before, method.training_model.get_weights()))


def test_a_schedule_that_may_end_at_any_epoch_is_refused():
    with pytest.raises(ValueError, match="averaged_epochs=2 with schedule='plateau'.*choose"):
        RunConfig("smoke", schedule="plateau", averaged_epochs=2)

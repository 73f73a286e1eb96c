from types import SimpleNamespace

import keras
import numpy as np
import pytest
from made_methods import LABELS, batch_of, make, predict

from gaaplib import options
from gaaplib.config import RunConfig
from gaaplib.methods.pvpm import Pvpm
from gaaplib.training import fit
from gaaplib.training.optimizers import optimizer_of


def learning(method):
    return {weight.path for weight in method.training_model.trainable_weights}


def test_the_epochs_are_divided_into_stripes_and_poses():
    method = make(method="pvpm", epochs=30)
    rounds = [method.next_round(number, LABELS, None) for number in range(3)]
    assert [round_.epochs for round_ in rounds[:2]] == [20, 10] and rounds[2] is None
    assert make(method="pvpm", epochs=1).next_round(1, LABELS, None) is None


def test_first_the_stripes_learn_and_then_the_poses_alone():
    method = make(method="pvpm")
    first = learning(method)
    assert {name: weight for name, (_, weight) in method.losses.items() if weight} == {"stripes": 6.0}
    method.begin(1)
    second = learning(method)
    assert {name: weight for name, (_, weight) in method.losses.items() if weight} == {
        "parts": 6.0, "paired": 1.0, "visible": 1.0,
    }  # fmt: skip
    poses = {weight.path for weight in method._pose_network.weights}
    assert second and second <= poses and not first & poses


def test_in_the_second_round_what_is_learnt_stands_still():
    keras.utils.set_random_seed(0)
    method = make(method="pvpm", schedule="constant")
    method.begin(1)
    fit._compile(method, steps=1)
    before = [np.array(weight) for weight in method._lower.weights]
    poses = [np.array(weight) for weight in method._pose_network.trainable_weights]
    for seed in range(2):
        method.training_model.train_on_batch(batch_of(method, seed), dict.fromkeys(method.losses, LABELS))
    # Statistics as well.
    assert all(map(np.array_equal, before, map(np.array, method._lower.weights)))
    after = [np.array(weight) for weight in method._pose_network.trainable_weights]
    assert not any(map(np.array_equal, poses, after))


def test_a_part_that_is_invisible_does_not_count():
    method = make(method="pvpm")
    outputs = predict(method)
    hidden = {name: array.copy() for name, array in outputs.items()}
    hidden["visibility"][:, 3:] = 0
    parts = hidden["embedding"].reshape(8, 6, 512)
    parts[:, 3:] = 0
    elsewhere = {name: array.copy() for name, array in outputs.items()}
    elsewhere["embedding"].reshape(8, 6, 512)[:, 3:] *= -1
    one, other = (method.distances(hidden, side, "cosine").matrix() for side in (outputs, elsewhere))
    np.testing.assert_allclose(one, other, atol=1e-6)
    np.testing.assert_allclose(np.diag(one), 0, atol=1e-4)


@pytest.mark.parametrize("setting", [{"last_stride": 2}, {"neck": "bnneck"}, {"dropout": 0.5}])
def test_settings_that_it_has_of_its_own_are_refused(setting):
    with pytest.raises(ValueError, match="method='pvpm' has its own or none; leave"):
        make(method="pvpm", **setting)


def test_the_rate_falls_in_each_round_where_theirs_does():
    config = RunConfig("own", method="pvpm")
    lengths = [Pvpm.next_round(planned(config), number, None, None).epochs for number in range(2)]
    assert lengths == [60, 30]
    rates = [
        [round(float(optimizer_of(config, 1, epochs, begun=begun)._learning_rate(epoch)), 6) for epoch in range(epochs)]
        for begun, epochs in ((0, 60), (60, 30))
    ]
    # After 25 and 50 epochs of the stripes, and after 15 and 25 of the poses, which begin with the whole rate again.
    assert rates == [
        [0.02] * 25 + [0.002] * 25 + [0.0002] * 10,
        [0.02] * 15 + [0.002] * 10 + [0.0002] * 5,
    ]


def planned(config):
    return SimpleNamespace(config=config, options=options.parsed("pvpm", config.options))


def test_the_stripes_always_have_an_epoch():
    config = RunConfig("smoke", method="pvpm", epochs=3, options="poses=0.99")
    lengths = [Pvpm.next_round(planned(config), number, None, None).epochs for number in range(2)]
    assert lengths == [1, 2]

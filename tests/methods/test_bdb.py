import numpy as np
import pytest
from made_methods import batch_of, make, predict


def test_two_vectors_with_two_losses_each():
    method = make(method="bdb")
    weights = {name: weight for name, (_, weight) in method.losses.items()}
    # That of "identities" is the mean of two.
    assert weights == {"identities": 2.0, "logits": 0.0, "whole": 1.0, "part": 1.0}
    assert method.losses["whole"][0].margin == "soft"
    assert method.losses["identities"][0].label_smoothing == 0.1
    assert method.config.distance == "euclidean"
    assert predict(method)["embedding"].shape == (8, 512 + 1024)


def test_the_band_is_dropped_in_training_alone():
    method = make(method="bdb")
    inputs = batch_of(method)
    for model in (method._drop,):
        features = np.ones((3, 6, 2, 4), "float32")
        assert np.array_equal(model(features, training=False), features)
        dropped = np.asarray(model(features, training=True))
        assert (dropped == 0).all(axis=(2, 3)).sum(axis=1).tolist() == [2, 2, 2]
    one, two = (np.asarray(method.training_model(inputs, training=False)["part"]) for _ in range(2))
    assert np.array_equal(one, two)


def test_other_shares_and_sizes_can_be_given():
    method = make(method="bdb", options="height=0.5 width=0.5 whole=32 part=64")
    assert predict(method)["embedding"].shape == (8, 96)
    assert (method._drop.height, method._drop.width) == (0.5, 0.5)
    with pytest.raises(ValueError, match="height=1.5"):
        make(method="bdb", options="height=1.5")

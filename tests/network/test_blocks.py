import math

import keras
import numpy as np
from layer_checks import check_layer

from gaaplib.network.blocks import BranchAttention, InteractionAggregation

MAPS = np.random.default_rng(0).normal(size=(2, 3, 2, 4)).astype("float32")


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


def softmax(row):
    exponents = [math.exp(value - max(row)) for value in row]
    return [value / sum(exponents) for value in exponents]


def interaction(feature_map):
    """IANet's block for one map as lists, without normalisation: (x, y, channels)."""
    height, width, _ = np.shape(feature_map)
    places = [(y, x) for y in range(height) for x in range(width)]
    vectors = [list(feature_map[y][x]) for y, x in places]
    channels, mixed = len(vectors[0]), []
    for (y, x), one in zip(places, vectors, strict=True):
        apart = [((y - v) / (0.625 * height)) ** 2 / 2 + ((x - u) / (0.625 * width)) ** 2 / 2 for v, u in places]
        near = softmax([-value for value in apart])
        alike = softmax([sum(a * b for a, b in zip(one, two, strict=True)) / channels**0.5 for two in vectors])
        weights = softmax([a * b for a, b in zip(near, alike, strict=True)])
        mixed.append([sum(w * two[c] for w, two in zip(weights, vectors, strict=True)) for c in range(channels)])
    spatial = [[a + b for a, b in zip(one, two, strict=True)] for one, two in zip(vectors, mixed, strict=True)]
    by_channel = list(zip(*spatial, strict=True))
    kernel = [softmax([sum(a * b for a, b in zip(one, two, strict=True)) for two in by_channel]) for one in by_channel]
    return [
        [sum(w * v for w, v in zip(row, one, strict=True)) + one[c] for c, row in enumerate(kernel)] for one in spatial
    ]


def test_both_pass_the_shared_check():
    check_layer(InteractionAggregation, [MAPS])
    layer = BranchAttention()
    assert layer.compute_output_shape([MAPS.shape, (2, 1, 1, 4)]) == MAPS.shape
    assert type(layer).from_config(layer.get_config()).key_dim is None


def test_both_start_as_the_identity():
    np.testing.assert_array_equal(arrays(InteractionAggregation()(MAPS, training=True)), MAPS)
    np.testing.assert_array_equal(arrays(BranchAttention()([MAPS, MAPS[:, :1]], training=True)), MAPS)


def test_the_interaction_equals_the_oracle():
    layer = InteractionAggregation()
    layer.build(MAPS.shape)
    for normalization in (layer.spatial, layer.channel):
        # At inference, with these, the normalisation changes nothing.
        normalization.set_weights([np.full(4, (1 + 1e-5) ** 0.5), np.zeros(4), np.zeros(4), np.ones(4)])
    for found, one in zip(arrays(layer(MAPS)), MAPS, strict=True):
        np.testing.assert_allclose(found.reshape(6, 4), interaction(one.tolist()), rtol=1e-4, atol=1e-5)


def test_branch_attention_equals_its_definition():
    other = np.random.default_rng(1).normal(size=(2, 2, 1, 4)).astype("float32")
    layer = BranchAttention(key_dim=3)
    layer([MAPS, other])
    layer.normalization.set_weights([np.full(4, (1 + 1e-5) ** 0.5), np.zeros(4), np.zeros(4), np.ones(4)])
    query, key, value, output = (
        arrays(part.kernel) for part in (layer.query, layer.key, layer.value, layer.output_projection)
    )
    for found, own, second in zip(arrays(layer([MAPS, other])), MAPS, other, strict=True):
        positions = np.concatenate([own.reshape(6, 4), second.reshape(2, 4)])
        products = own.reshape(6, 4) @ query @ (positions @ key).T / 3**0.5
        weights = np.array([softmax(row) for row in products.tolist()])
        expected = own.reshape(6, 4) + weights @ positions @ value @ output
        np.testing.assert_allclose(found.reshape(6, 4), expected, rtol=1e-4, atol=1e-5)

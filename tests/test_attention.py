import keras
import numpy as np
import pytest
from layer_checks import check_layer, gradient
from oracles.attention import average_pool, cross_feature_attention

from gaaplib.attention import ATTENTION, CrossFeatureAttention, NonLocalAttention

MAPS = np.random.default_rng(0).normal(size=(4, 3, 2, 8)).astype("float32")
PARTNERS = np.array([2, 3, 0, 3], "int32")


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


def kernels(layer):
    """The four kernels of a cross-feature layer as NumPy arrays: query, key, value, output."""
    parts = (layer.query, layer.key, layer.value, layer.output_projection)
    return [to_numpy(part.kernel) for part in parts]


@pytest.mark.parametrize("partners", [False, True], ids=["alone", "with partners"])
@pytest.mark.parametrize("name", ATTENTION)
def test_every_entry_passes_the_layer_check(name, partners):
    check_layer(
        lambda: ATTENTION[name](key_dim=4, value_dim=6),
        (MAPS, PARTNERS) if partners else (MAPS,),
        rtol=1e-4,
    )


@pytest.mark.parametrize("name", ATTENTION)
def test_all_entries_have_the_same_call_and_keep_the_shape(name):
    layer = ATTENTION[name]()
    assert layer(MAPS, partners=PARTNERS, training=True).shape == MAPS.shape
    assert layer(MAPS, partners=None, training=False).shape == MAPS.shape
    assert layer.attention_map(MAPS, partners=PARTNERS).shape == (4, 6, 6)


@pytest.mark.parametrize("name", ATTENTION)
def test_a_block_can_start_as_the_identity(name):
    layer = ATTENTION[name](output_initializer="zeros")
    assert np.array_equal(to_numpy(layer(MAPS, partners=PARTNERS)), MAPS)
    assert "Zeros" in str(layer.get_config()["output_initializer"])


def test_the_nonlocal_block_keeps_its_own_start():
    # With both W and the scale at zero, no gradient would reach either.
    layer = NonLocalAttention(output_initializer="zeros")
    layer(MAPS)
    assert np.abs(to_numpy(layer.output_projection.kernel)).max() > 0


@pytest.mark.parametrize("name", [name for name in ATTENTION if name != "nonlocal"])
def test_rows_of_the_map_sum_to_one(name):
    layer = ATTENTION[name]()
    layer(MAPS)
    rows = to_numpy(layer.attention_map(MAPS, PARTNERS)).sum(axis=-1)
    assert np.allclose(rows, 1.0, atol=1e-6)


@pytest.mark.parametrize("alpha", [0.0, 0.3, 0.5, 1.0])
@pytest.mark.parametrize("partner", CrossFeatureAttention.PARTNERS)
def test_equals_the_slow_oracle(partner, alpha):
    layer = CrossFeatureAttention(key_dim=4, value_dim=5, alpha=alpha, partner=partner)
    output = to_numpy(layer(MAPS, partners=PARTNERS))
    matrix = to_numpy(layer.attention_map(MAPS, PARTNERS))
    expected = cross_feature_attention(MAPS, *kernels(layer), alpha, partner, PARTNERS)
    assert np.allclose(matrix, expected[0], atol=1e-6)
    assert np.allclose(output, expected[1], atol=1e-5)


@pytest.mark.parametrize(("channels", "key_dim", "value_dim"), [(64, 8, 32), (47, 4, 23), (8, 2, 4), (1, 2, 1)])
@pytest.mark.parametrize("partner", CrossFeatureAttention.PARTNERS)
def test_the_default_dimensions(partner, channels, key_dim, value_dim):
    layer = CrossFeatureAttention(partner=partner)
    layer.build((None, 4, 2, channels))
    query = (channels, key_dim)
    assert [kernel.shape for kernel in kernels(layer)] == [query, query, (channels, value_dim), (value_dim, channels)]


@pytest.mark.parametrize(
    ("given", "channels", "key_dim", "value_dim"),
    [({}, 8, 4, 4), ({}, 1, 1, 1), ({"key_dim": 1, "value_dim": 1}, 8, 1, 1), ({"key_dim": 3}, 8, 3, 4)],
)
def test_the_dimensions_of_nonlocal_and_uniform(given, channels, key_dim, value_dim):
    layer = NonLocalAttention(**given)
    layer.build((None, 4, 2, channels))
    query = (channels, key_dim)
    assert [kernel.shape for kernel in kernels(layer)] == [query, query, (channels, value_dim), (value_dim, channels)]
    layer = ATTENTION["uniform"](**given)
    layer.build((None, 4, 2, channels))
    assert [weight.shape for weight in layer.weights] == [(channels, value_dim), (value_dim, channels)]


@pytest.mark.parametrize("name", [name for name in ATTENTION if name != "none"])
def test_projections_have_a_bias_only_if_wanted(name):
    for use_bias, biases in (({}, 0), ({"use_bias": False}, 0), ({"use_bias": True}, 2 if name == "uniform" else 4)):
        layer = ATTENTION[name](**use_bias)
        layer(MAPS)
        assert sum(weight.name == "bias" for weight in layer.weights) == biases


@pytest.mark.parametrize("name", [name for name in ATTENTION if name != "none"])
def test_what_is_saved_fits_any_batch_and_size(name):
    layer = ATTENTION[name](value_dim=5)
    layer.build((None, 3, 2, 8))
    layers = [part for part in vars(layer).values() if isinstance(part, keras.layers.Layer)]
    parts = {part.name: part.get_build_config()["input_shape"] for part in layers}
    assert parts.pop("output") == (None, None, 5)
    assert set(parts.values()) == {(None, None, 8)}


@pytest.mark.parametrize("name", ATTENTION)
def test_saved_models_name_the_package(name):
    layer = type(ATTENTION[name]())
    assert keras.saving.get_registered_name(layer) == f"gaaplib>{layer.__name__}"


def test_class_without_partners_is_self():
    layer = CrossFeatureAttention(partner="class")
    control = CrossFeatureAttention(partner="self")
    expected = layer(MAPS)
    control.build(MAPS.shape)
    control.set_weights(layer.get_weights())
    assert np.allclose(to_numpy(control(MAPS)), to_numpy(expected), atol=1e-6)
    with_partners = to_numpy(layer(MAPS, partners=PARTNERS))
    assert not np.allclose(with_partners, to_numpy(expected), atol=1e-3)


def test_class_with_alpha_one_is_self():
    layer = CrossFeatureAttention(partner="class", alpha=1.0)
    control = CrossFeatureAttention(partner="self")
    output = layer(MAPS, partners=PARTNERS)
    control.build(MAPS.shape)
    control.set_weights(layer.get_weights())
    assert np.allclose(to_numpy(control(MAPS)), to_numpy(output), atol=1e-6)


def test_channel_with_alpha_one_half_is_self_at_another_temperature():
    layer = CrossFeatureAttention(key_dim=4, partner="channel", alpha=0.5)
    layer(MAPS)
    matrix = to_numpy(layer.attention_map(MAPS))
    control = CrossFeatureAttention(key_dim=4, partner="self")
    control(MAPS)
    # 0.5 / sqrt(d_k / 2) = (1 / sqrt(2)) / sqrt(d_k), so the query is divided by sqrt(2).
    query, key, value, output = kernels(layer)
    control.set_weights([query / np.sqrt(2.0), key, value, output])
    assert np.allclose(to_numpy(control.attention_map(MAPS)), matrix, atol=1e-6)


@pytest.mark.parametrize("name", ["class", "channel", "self", "uniform", "none"])
def test_the_pooled_output_is_the_weighted_mean_of_the_features(name):
    """docs/paper.md: mean(F) + W_a W_v sum_n w_n F_n, where w is the column mean of the softmax matrix."""
    layer = ATTENTION[name](value_dim=5)
    pooled = average_pool(to_numpy(layer(MAPS, partners=PARTNERS)))
    weights = to_numpy(layer.attention_map(MAPS, PARTNERS)).mean(axis=1)
    features = MAPS.reshape(4, 6, 8)
    attended = np.einsum("bn,bnc->bc", weights, features)
    expected = features.mean(axis=1)
    if name != "none":
        value, output = layer.value.kernel, layer.output_projection.kernel
        expected = expected + attended @ to_numpy(value) @ to_numpy(output)
    assert np.allclose(pooled, expected, atol=1e-5)


def test_gradients_reach_the_partner():
    layer = CrossFeatureAttention(partner="class", alpha=0.5)
    layer(MAPS)

    def first_output(maps):
        return keras.ops.sum(keras.ops.square(layer(maps, partners=PARTNERS)[0]))

    reached = np.abs(gradient(first_output, MAPS)).sum(axis=(1, 2, 3))
    assert reached[0] > 0 and reached[2] > 1e-4
    assert reached[1] == 0 and reached[3] == 0


def test_nonlocal_starts_as_the_identity_and_equals_its_formula():
    layer = NonLocalAttention(key_dim=3, value_dim=5)
    assert np.array_equal(to_numpy(layer(MAPS)), MAPS)
    layer.normalization.gamma.assign(np.linspace(0.5, 2.0, 8))
    theta, phi, value, output = kernels(layer)
    features = MAPS.reshape(4, 6, 8)
    products = (features @ theta) @ (features @ phi).transpose(0, 2, 1) / 6
    residual = products @ (features @ value) @ output
    # The initial moving statistics: mean 0, variance 1.
    expected = MAPS + (residual * np.linspace(0.5, 2.0, 8) / np.sqrt(1 + 1e-5)).reshape(MAPS.shape)
    assert np.allclose(to_numpy(layer(MAPS, training=False)), expected, atol=1e-4)


def test_nonlocal_moves_its_statistics_by_a_tenth():
    layer = NonLocalAttention()
    layer(MAPS, training=True)
    # Of a batch with the variance v, moved from 1.
    moved = to_numpy(layer.normalization.moving_variance)
    theta, phi, value, output = kernels(layer)
    features = MAPS.reshape(4, 6, 8)
    residual = (features @ theta) @ (features @ phi).transpose(0, 2, 1) / 6 @ (features @ value) @ output
    assert np.allclose(moved, 0.9 + 0.1 * residual.var(axis=(0, 1)), rtol=1e-3)


def test_projections_of_equal_shape_start_differently():
    layer = CrossFeatureAttention(key_dim=4)
    layer(MAPS)
    query, key, *_ = kernels(layer)
    assert not np.allclose(query, key)


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"partner": "other"}, "class, channel, self"),
        ({"alpha": 1.5}, "alpha=1.5"),
        ({"alpha": -0.5}, "alpha=-0.5"),
        ({"key_dim": 0}, "key_dim=0"),
        ({"key_dim": -2}, "key_dim=-2"),
        ({"value_dim": 2.5}, "value_dim=2.5"),
    ],
)
def test_wrong_arguments_are_named(arguments, words):
    with pytest.raises(ValueError, match=words):
        CrossFeatureAttention(**arguments)


def test_channel_needs_an_even_key_dim():
    with pytest.raises(ValueError, match="key_dim=3"):
        CrossFeatureAttention(key_dim=3, partner="channel")(MAPS)
    for partner in ("class", "self"):
        assert CrossFeatureAttention(key_dim=3, partner=partner)(MAPS).shape == MAPS.shape

import keras
import numpy as np
import pytest
from layer_checks import check_layer, gradient
from oracles import losses as oracle

from gaaplib.network.heads import Centres, MarginClassifier

FEATURES = np.random.default_rng(0).normal(size=(6, 4)).astype("float32")
LABELS = np.array([0, 2, 2, 1, 0, 2], "int32")


def arrays(tensor):
    return keras.ops.convert_to_numpy(tensor)


def test_both_pass_the_shared_check_and_stay_in_float32():
    check_layer(lambda: Centres(3), [FEATURES, LABELS], half=False)
    check_layer(lambda: MarginClassifier(3), [FEATURES], half=False)
    check_layer(lambda: MarginClassifier(3, kind="cos"), [FEATURES, LABELS], half=False)


def test_a_centre_moves_by_the_stated_step_and_only_in_training():
    layer = Centres(5)
    layer.build(FEATURES.shape, LABELS.shape)
    centres = arrays(layer.centres)
    expected, moved = oracle.centre(LABELS, FEATURES.tolist(), centres.tolist())
    assert arrays(layer(FEATURES, LABELS)).mean() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_array_equal(arrays(layer.centres), centres)
    assert arrays(layer(FEATURES, LABELS, training=True)).mean() == pytest.approx(expected, rel=1e-5)
    np.testing.assert_allclose(arrays(layer.centres), moved, rtol=1e-5)
    # Identities that are not in the batch stay.
    np.testing.assert_array_equal(arrays(layer.centres)[3:], centres[3:])
    assert layer.trainable_weights == []


def test_the_gradient_draws_a_feature_to_its_centre():
    layer = Centres(3)
    layer.build(FEATURES.shape, LABELS.shape)
    slope = gradient(lambda features: keras.ops.mean(layer(features, LABELS)), FEATURES)
    np.testing.assert_allclose(slope, 2 * (FEATURES - arrays(layer.centres)[LABELS]) / 6, rtol=1e-4)


@pytest.mark.parametrize("kind", ["arc", "cos"])
def test_margin_logits_equal_the_oracle(kind):
    layer = MarginClassifier(3, kind=kind, scale=8.0, margin=0.2)
    layer.build(FEATURES.shape)
    expected = oracle.margin_logits(LABELS, FEATURES.tolist(), arrays(layer.kernel).tolist(), 8.0, 0.2, kind)
    np.testing.assert_allclose(arrays(layer(FEATURES, LABELS)), expected, rtol=1e-4, atol=1e-4)
    # Without labels there is no margin.
    plain = oracle.margin_logits([-1] * 6, FEATURES.tolist(), arrays(layer.kernel).tolist(), 8.0, 0.2, kind)
    np.testing.assert_allclose(arrays(layer(FEATURES)), plain, rtol=1e-4, atol=1e-4)


def test_a_feature_on_its_class_vector_has_a_finite_gradient():
    layer = MarginClassifier(2)
    layer.build((None, 2))
    layer.set_weights([np.eye(2, dtype="float32")])
    features = np.array([[1, 0], [-1, 0]], "float32")
    slope = gradient(lambda f: keras.ops.sum(layer(f, np.array([0, 0], "int32"))), features)
    assert np.isfinite(slope).all()


@pytest.mark.parametrize("kind", ["arc", "cos"])
def test_margin_logits_are_the_same_in_mixed_precision(kind):
    whole = MarginClassifier(3, kind=kind)
    whole.build(FEATURES.shape)
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        mixed = MarginClassifier(3, kind=kind)
        mixed.build(FEATURES.shape)
    finally:
        keras.config.set_dtype_policy("float32")
    mixed.set_weights(whole.get_weights())
    assert mixed.compute_dtype == "float32"
    np.testing.assert_array_equal(arrays(mixed(FEATURES, LABELS)), arrays(whole(FEATURES, LABELS)))


@pytest.mark.parametrize(("settings", "message"), [({"kind": "x"}, "known: arc, cos"), ({"scale": 0}, "scale=0")])
def test_wrong_arguments_are_named(settings, message):
    with pytest.raises(ValueError, match=message):
        MarginClassifier(2, **settings)

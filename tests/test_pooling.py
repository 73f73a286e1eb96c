import keras
import numpy as np
import pytest
from layer_checks import check_layer
from oracles.attention import average_pool

from gaaplib.pooling import POOLING, AveragePooling, GeMPooling, MaxPooling

MAPS = np.random.default_rng(0).uniform(0.1, 2.0, size=(5, 3, 2, 7)).astype("float32")
GROUPS = np.array([3, 1, 3, 3, 0], "int32")


def to_numpy(tensor):
    return keras.ops.convert_to_numpy(tensor)


@pytest.mark.parametrize("pool_over", ["positions", "class"])
@pytest.mark.parametrize("name", POOLING)
def test_every_entry_passes_the_layer_check(name, pool_over):
    check_layer(lambda: POOLING[name](pool_over=pool_over), (MAPS,))


def test_average_equals_equation_6():
    assert np.allclose(to_numpy(AveragePooling()(MAPS)), average_pool(MAPS), atol=1e-6)


def test_maximum_equals_the_largest_position():
    expected = np.stack([[image[..., c].max() for c in range(7)] for image in MAPS])
    assert np.array_equal(to_numpy(MaxPooling()(MAPS)), expected)


def test_gem_lies_between_its_limits_and_equals_its_formula():
    assert np.allclose(to_numpy(GeMPooling(p=1.0)(MAPS)), average_pool(MAPS), atol=1e-5)
    expected = (MAPS.astype("float64") ** 3).mean(axis=(1, 2)) ** (1 / 3)
    assert np.allclose(to_numpy(GeMPooling()(MAPS)), expected, rtol=1e-5)
    assert np.allclose(to_numpy(GeMPooling(p=60.0)(MAPS)), MAPS.max(axis=(1, 2)), rtol=0.05)


def test_gem_trains_its_exponent_and_accepts_zeros():
    layer = GeMPooling()
    assert np.isfinite(to_numpy(layer(np.zeros_like(MAPS)))).all()
    assert [weight.name for weight in layer.trainable_weights] == ["p"]


@pytest.mark.parametrize("name", POOLING)
def test_over_the_class_is_the_mean_of_the_identity_in_training_only(name):
    layer = POOLING[name](pool_over="class")
    own = to_numpy(POOLING[name]()(MAPS))
    assert np.allclose(to_numpy(layer(MAPS, groups=GROUPS, training=False)), own, atol=1e-6)
    trained = to_numpy(layer(MAPS, groups=GROUPS, training=True))
    mean = own[[0, 2, 3]].mean(axis=0)
    assert np.allclose(trained, [mean, own[1], mean, mean, own[4]], atol=1e-6)


def test_over_positions_ignores_groups():
    layer = AveragePooling()
    assert np.array_equal(to_numpy(layer(MAPS, groups=GROUPS, training=True)), to_numpy(layer(MAPS)))


def test_over_the_class_without_groups_is_an_error():
    with pytest.raises(ValueError, match="groups"):
        AveragePooling(pool_over="class")(MAPS, training=True)


def test_a_wrong_pool_over_is_named():
    with pytest.raises(ValueError, match="pool_over='image'.*positions, class"):
        AveragePooling(pool_over="image")


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        ({"p": 0}, "p=0, epsilon=1e-06"),
        ({"p": -1.0}, "p=-1.0"),
        ({"epsilon": 0}, "epsilon=0"),
        ({"epsilon": -0.5}, "epsilon=-0.5"),
    ],
)
def test_gem_needs_positive_numbers(arguments, words):
    with pytest.raises(ValueError, match=words):
        GeMPooling(**arguments)
    assert GeMPooling(p=0.5, epsilon=0.5).get_config().items() >= {"p": 0.5, "epsilon": 0.5}.items()


def test_gem_raises_small_values_to_epsilon():
    pooled = to_numpy(GeMPooling(p=2.0, epsilon=0.5)(np.array([-1.0, 2.0], "float32").reshape(1, 2, 1, 1)))
    assert np.allclose(pooled, [[((0.5**2 + 2**2) / 2) ** 0.5]])


@pytest.mark.parametrize("layer", [type(make()) for make in POOLING.values()])
def test_saved_models_name_the_package(layer):
    assert keras.saving.get_registered_name(layer) == f"gaaplib>{layer.__name__}"


def test_a_fixed_exponent_is_no_trained_weight():
    layer = POOLING["gem3"]()
    learned = POOLING["gem"]()
    np.testing.assert_array_equal(layer(MAPS), learned(MAPS))
    assert layer.trainable_weights == [] and len(learned.trainable_weights) == 1

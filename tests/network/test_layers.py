"""The fast layers and the optimiser against Keras' own: values, gradients, statistics, files."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from layer_checks import check_layer

from gaaplib.network import layers

tensorflow_only = pytest.mark.skipif(
    keras.backend.backend() != "tensorflow", reason="the stock layers are all there is elsewhere"
)
SWITCH = "GAAPLIB_STOCK_LAYERS"


def maps(*shape, seed=0):
    return np.random.default_rng(seed).normal(2.0, 3.0, shape).astype("float32")


def pair(name, *arguments, shape=(4, 7, 5, 6), **options):
    """Ours and Keras' own layer of that name with equal random weights."""
    ours = getattr(layers, name)(*arguments, **options)
    stock = getattr(keras.layers, name)(*arguments, **options)
    rng = np.random.default_rng(1)
    stock.build(shape)
    stock.set_weights([rng.uniform(0.5, 1.5, weight.shape) for weight in stock.weights])
    ours.build(shape)
    ours.set_weights(stock.get_weights())
    return ours, stock


def outputs_and_gradients(layer, inputs, **call):
    import tensorflow as tf

    inputs = tf.constant(inputs)
    with tf.GradientTape() as tape:
        tape.watch(inputs)
        outputs = layer(inputs, **call)
        weighted = tf.reduce_sum(outputs * tf.constant(maps(*outputs.shape, seed=3)))
    variables = [weight.value for weight in layer.trainable_weights]
    return outputs, *tape.gradient(weighted, [inputs, *variables])


def assert_alike(ours, stock, inputs, **call):
    got, expected = (outputs_and_gradients(layer, inputs, **call) for layer in (ours, stock))
    assert len(got) == len(expected)
    for value, wanted in zip(got, expected, strict=True):
        np.testing.assert_allclose(value.numpy(), wanted.numpy(), rtol=1e-4, atol=2e-4)
    for weight, wanted in zip(ours.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_allclose(weight, wanted, rtol=1e-5, atol=1e-6)


def operations(layer, inputs):
    """The kinds of operation that the layer is traced to."""
    import tensorflow as tf

    function = tf.function(lambda x: layer(x, training=True))
    graph = function.get_concrete_function(tf.constant(inputs)).graph
    return {operation.type for operation in graph.get_operations()}


def network(module, optimizer):
    """A small network of the layers and the optimiser of `module`: gaaplib's or Keras' own.

    No bias stands before a batch normalisation: its gradient is 0 but for rounding, which Adam scales up.
    """
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((8, 4, 3)),
            module.Conv2D(8, 3, padding="same", use_bias=False),
            module.BatchNormalization(momentum=0.9),
            keras.layers.Activation("relu"),
            module.Conv2D(6, 1, strides=2, use_bias=False),
            module.BatchNormalization(momentum=0.9),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4),
        ]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    # What JAX does not compile it runs operation by operation, slowly.
    model.compile(optimizer, loss, jit_compile=False if layers.on_tensorflow() else "auto")
    return model


def train(model, steps, first=0):
    """The losses of `steps` steps; each step has its own images, from number `first` on."""
    labels = np.arange(16) % 4
    return [float(model.train_on_batch(maps(16, 8, 4, 3, seed=first + i), labels)) for i in range(steps)]


# Batch normalisation


@tensorflow_only
@pytest.mark.parametrize("training", [True, False])
@pytest.mark.parametrize("options", [{}, {"center": False}, {"scale": False}, {"epsilon": 1e-5, "momentum": 0.9}])
def test_batch_normalization_equals_keras(options, training):
    ours, stock = pair("BatchNormalization", **options)
    assert_alike(ours, stock, maps(4, 7, 5, 6), training=training)


@tensorflow_only
def test_batch_normalization_of_few_values():
    """With two values, the sample variance is twice the batch's, which Keras uses; with one it is undefined."""
    for batch in (1, 2):
        ours, stock = pair("BatchNormalization", shape=(batch, 1, 1, 6))
        assert_alike(ours, stock, maps(batch, 1, 1, 6), training=True)


@tensorflow_only
def test_frozen_batch_normalization_uses_its_moving_statistics():
    ours, stock = pair("BatchNormalization")
    ours.trainable = stock.trainable = False
    before = ours.get_weights()
    assert_alike(ours, stock, maps(4, 7, 5, 6), training=True)
    for weight, old in zip(ours.get_weights(), before, strict=True):
        np.testing.assert_array_equal(weight, old)


@tensorflow_only
@pytest.mark.parametrize(("shape", "options"), [((4, 6), {}), ((4, 5, 6), {}), ((4, 7, 5, 6), {"axis": 1})])
def test_batch_normalization_leaves_other_shapes_to_keras(shape, options):
    ours, stock = pair("BatchNormalization", shape=shape, **options)
    assert_alike(ours, stock, maps(*shape), training=True)
    assert "FusedBatchNormV3" not in operations(ours, maps(*shape))


@tensorflow_only
def test_batch_normalization_in_bfloat16_keeps_its_parameters_in_float32():
    ours, stock = pair("BatchNormalization", dtype="mixed_bfloat16")
    inputs = maps(4, 7, 5, 6)
    got, expected = ours(inputs, training=True), stock(inputs, training=True)
    assert keras.backend.standardize_dtype(got.dtype) == "bfloat16"
    got, expected = (keras.ops.convert_to_numpy(keras.ops.cast(x, "float32")) for x in (got, expected))
    np.testing.assert_allclose(got, expected, rtol=2e-2, atol=2e-2)
    for weight, wanted in zip(ours.weights, stock.weights, strict=True):
        assert weight.dtype == "float32"
        np.testing.assert_allclose(weight.numpy(), wanted.numpy(), rtol=1e-3, atol=1e-3)


# Convolution


@tensorflow_only
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize("strides", [1, 2, (2, 1)])
@pytest.mark.parametrize("padding", ["same", "valid"])
def test_pointwise_convolution_equals_keras(strides, use_bias, padding):
    ours, stock = pair("Conv2D", 9, 1, strides=strides, use_bias=use_bias, padding=padding)
    assert "MatMul" in operations(ours, maps(4, 7, 5, 6))
    assert_alike(ours, stock, maps(4, 7, 5, 6))


@tensorflow_only
def test_pointwise_convolution_in_bfloat16_is_a_product():
    ours, stock = pair("Conv2D", 9, 1, strides=2, dtype="mixed_bfloat16")
    inputs = maps(4, 7, 5, 6)
    assert "MatMul" in operations(ours, inputs)
    got, expected = (keras.ops.cast(layer(inputs), "float32") for layer in (ours, stock))
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=2e-2, atol=2e-1)
    assert ours.kernel.dtype == "float32"


class OfPatches(layers.Conv2D):
    """Uses the product with patches on larger maps too."""

    convolution_op = layers.Conv2D._with_patches


@tensorflow_only
@pytest.mark.parametrize("use_bias", [True, False])
@pytest.mark.parametrize(
    ("size", "strides", "padding"),
    [(3, 1, "same"), (3, 1, "valid"), (2, 1, "same"), ((3, 2), 1, "same"), (3, 2, "valid"), (2, 2, "valid")],
)
@pytest.mark.parametrize("shape", [(4, 7, 5, 6), (4, 8, 6, 6), (3, 3, 4, 2)])
def test_convolution_of_patches_equals_keras(shape, size, strides, padding, use_bias):
    assert_patches_equal_keras(shape, size, strides=strides, padding=padding, use_bias=use_bias)


@tensorflow_only
@pytest.mark.parametrize("size", [3, (3, 1), (1, 3), (3, 2), 2, 1])
@pytest.mark.parametrize("shape", [(4, 4, 2, 6), (3, 2, 4, 5), (2, 1, 1, 3)])
def test_convolution_of_patches_of_very_small_maps_equals_keras(shape, size):
    assert shape[1] * shape[2] <= layers.FEW_POSITIONS
    assert_patches_equal_keras(shape, size, padding="same")


def assert_patches_equal_keras(shape, size, **options):
    _, stock = pair("Conv2D", 9, size, shape=shape, **options)
    ours = OfPatches(9, size, **options)
    ours.build(shape)
    ours.set_weights(stock.get_weights())
    assert_alike(ours, stock, maps(*shape))


@tensorflow_only
@pytest.mark.parametrize("options", [{"padding": "same"}, {"strides": 2}], ids=str)
def test_small_maps_are_convolved_as_patches_in_bfloat16(options):
    ours, stock = pair("Conv2D", 9, 3, dtype="mixed_bfloat16", **options)
    inputs = maps(4, 7, 5, 6) if "strides" in options else maps(4, 4, 5, 6)
    assert "MatMul" in operations(ours, inputs)
    got, expected = (keras.ops.cast(layer(inputs), "float32") for layer in (ours, stock))
    np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=2e-2, atol=2e-1)


@tensorflow_only
@pytest.mark.parametrize(
    "options",
    [
        {"kernel_size": 1, "dtype": "float64"},
        {"kernel_size": 3},
        {"kernel_size": 3, "dtype": "mixed_bfloat16"},
        {"kernel_size": 3, "strides": 2, "padding": "same", "dtype": "mixed_bfloat16"},
        {"kernel_size": 3, "dilation_rate": 2, "dtype": "mixed_bfloat16"},
        {"kernel_size": 5, "strides": 2, "dtype": "mixed_bfloat16"},
        {"kernel_size": 1, "groups": 3, "dtype": "mixed_bfloat16"},
        {"kernel_size": 3, "groups": 3, "dtype": "mixed_bfloat16"},
    ],
    ids=str,
)
def test_other_convolutions_are_those_of_keras(options):
    layer = layers.Conv2D(9, **options)
    assert "MatMul" not in operations(layer, maps(4, 9, 8, 6))


@tensorflow_only
def test_patches_of_a_map_of_open_size_are_left_to_keras():
    inputs = keras.Input((None, None, 6))
    layer = layers.Conv2D(9, 3, strides=2, dtype="mixed_bfloat16")
    assert keras.Model(inputs, layer(inputs))(maps(2, 7, 6, 6)).shape == (2, 3, 2, 9)


@tensorflow_only
def test_pointwise_convolution_of_maps_of_any_size():
    inputs = keras.Input((None, None, 6))
    layer = layers.Conv2D(9, 1, strides=2, dtype="mixed_bfloat16")
    model = keras.Model(inputs, layer(inputs))
    assert model.output_shape == (None, None, None, 9)
    for size in ((7, 5), (8, 2)):
        assert model(maps(2, *size, 6)).shape == (2, *layer.compute_output_shape((2, *size, 6))[1:])


# Adam


ADAM_OPTIONS = [
    {},
    {"beta_1": 0.8, "epsilon": 1e-3},
    {"weight_decay": 0.1},
    {"clipnorm": 0.5},
    {"use_ema": True, "ema_overwrite_frequency": 3},
    {"gradient_accumulation_steps": 2},
    {"amsgrad": True},
]


@pytest.mark.parametrize("options", ADAM_OPTIONS, ids=str)
def test_adam_equals_keras(options):
    """Gradients over many powers of ten, so that a misplaced epsilon would be detected."""
    optimizers = [cls(learning_rate=0.01, **options) for cls in (layers.Adam, keras.optimizers.Adam)]
    start = [maps(3, 4), maps(5, seed=1)]
    names = ("kernel", "bias")
    variables = [
        [keras.Variable(value, name=name) for value, name in zip(start, names, strict=True)] for _ in optimizers
    ]
    for step in range(12):
        scale = 10.0 ** -(step % 6)
        gradients = [scale * maps(3, 4, seed=step), scale * maps(5, seed=50 + step)]
        for optimizer, mine in zip(optimizers, variables, strict=True):
            optimizer.apply([keras.ops.convert_to_tensor(g) for g in gradients], mine)
    ours, stock = optimizers
    assert [v.name for v in ours.variables] == [v.name for v in stock.variables]
    for got, expected in zip(variables[0] + ours.variables, variables[1] + stock.variables, strict=True):
        np.testing.assert_allclose(got.numpy(), expected.numpy(), rtol=1e-5, atol=1e-6)


@tensorflow_only
def test_adam_leaves_sparse_gradients_to_keras():
    import tensorflow as tf

    results = []
    for cls in (layers.Adam, keras.optimizers.Adam):
        variable = keras.Variable(maps(5, 3))
        rows = tf.IndexedSlices(tf.constant(maps(2, 3, seed=1)), tf.constant([0, 3]), (5, 3))
        cls(0.1).apply([rows], [variable])
        results.append(variable.numpy())
    np.testing.assert_array_equal(*results)


# All of it together


@tensorflow_only
@pytest.mark.parametrize("jit_compile", [False, True])
def test_training_equals_keras(jit_compile):
    models = [
        network(layers, layers.Adam(0.01)),
        network(keras.layers, keras.optimizers.Adam(0.01)),
    ]
    for model in models:
        model.jit_compile = jit_compile
    losses = [train(model, 5) for model in models]
    np.testing.assert_allclose(losses[0], losses[1], rtol=1e-3)
    for got, expected in zip(*(model.get_weights() for model in models), strict=True):
        np.testing.assert_allclose(got, expected, rtol=1e-2, atol=1e-3)


def test_a_saved_model_trains_on_as_if_it_had_not_stopped(tmp_path):
    model = network(layers, layers.Adam(0.01))
    train(model, 3)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert type(loaded.optimizer) is layers.Adam
    assert [type(layer) for layer in loaded.layers] == [type(layer) for layer in model.layers]
    assert train(loaded, 2, first=3) == train(model, 2, first=3)


def test_weights_go_to_stock_layers_and_back(tmp_path):
    ours = network(layers, layers.Adam(0.01))
    train(ours, 2)
    ours.save_weights(tmp_path / "ours.weights.h5")
    stock = network(keras.layers, keras.optimizers.Adam(0.01))
    stock.load_weights(tmp_path / "ours.weights.h5")
    inputs = maps(2, 8, 4, 3, seed=9)
    np.testing.assert_allclose(ours.predict_on_batch(inputs), stock.predict_on_batch(inputs), rtol=1e-4, atol=1e-5)
    stock.save_weights(tmp_path / "stock.weights.h5")
    again = network(layers, layers.Adam(0.01))
    again.load_weights(tmp_path / "stock.weights.h5")
    for got, expected in zip(again.get_weights(), ours.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


@tensorflow_only
def test_the_switch_gives_the_numbers_of_keras(monkeypatch):
    monkeypatch.setenv(SWITCH, "1")
    assert not layers.fast()
    ours = network(layers, layers.Adam(0.01))
    stock = network(keras.layers, keras.optimizers.Adam(0.01))
    assert train(ours, 3) == train(stock, 3)
    for got, expected in zip(ours.get_weights(), stock.get_weights(), strict=True):
        np.testing.assert_array_equal(got, expected)


@tensorflow_only
@pytest.mark.parametrize(("value", "expected"), [(None, True), ("0", True), ("1", False)])
def test_the_switch_decides_what_is_traced(monkeypatch, value, expected):
    import tensorflow as tf

    monkeypatch.delenv(SWITCH, raising=False)
    if value is not None:
        monkeypatch.setenv(SWITCH, value)
    inputs = maps(4, 7, 5, 6)
    assert ("FusedBatchNormV3" in operations(layers.BatchNormalization(), inputs)) is expected
    assert ("MatMul" in operations(layers.Conv2D(9, 1, dtype="mixed_bfloat16"), inputs)) is expected
    variable, optimizer = keras.Variable(maps(3)), layers.Adam(0.1)
    optimizer.build([variable])
    step = tf.function(lambda: optimizer.apply([tf.ones(3)], [variable]))
    kinds = {operation.type for operation in step.get_concrete_function().graph.get_operations()}
    assert ("ResourceApplyAdam" in kinds) is expected


@tensorflow_only
def test_training_repeats_to_the_bit_under_op_determinism():
    """In a separate process, because TensorFlow cannot leave this mode."""
    script = (
        "import numpy as np; from test_layers import layers, network, train;"
        "layers.make_deterministic();"
        "models = [network(layers, layers.Adam(0.01)) for _ in range(2)];"
        "assert train(models[0], 4) == train(models[1], 4);"
        "a, b = (model.get_weights() for model in models);"
        "assert all(np.array_equal(x, y) for x, y in zip(a, b)); print('equal')"
    )
    done = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        text=True,
        timeout=300,
        env={
            **os.environ,
            "GAAP_THREADS": "2",
            "PYTHONPATH": os.pathsep.join([str(Path(__file__).parent), *sys.path]),
        },
    )
    assert done.stdout.strip().endswith("equal"), done.stderr


# Gradients


def test_the_gradient_is_that_of_the_sum():
    """Of x^2 times a fixed slope, through a layer: 2 x (kernel's row), and nothing from other images of the batch."""
    dense = keras.layers.Dense(3)
    inputs = maps(4, 5)
    dense.build(inputs.shape)
    found = layers.gradient(lambda x: dense(keras.ops.square(x)), inputs)
    expected = 2.0 * inputs * keras.ops.convert_to_numpy(dense.kernel).sum(axis=1)
    np.testing.assert_allclose(keras.ops.convert_to_numpy(found), expected, rtol=1e-5, atol=1e-6)


def test_the_gradient_equals_finite_differences():
    inputs = maps(2, 3, 2, 4).astype("float32") / 10.0
    slopes = maps(2, 4, seed=1)

    def function(x):
        return keras.ops.multiply(keras.ops.tanh(keras.ops.mean(x, axis=(1, 2))), slopes)

    found = keras.ops.convert_to_numpy(layers.gradient(function, inputs))
    for place in np.ndindex(inputs.shape):
        values = []
        for step in (1e-2, -1e-2):
            moved = inputs.copy()
            moved[place] += step
            values.append((np.tanh(moved.astype("float64").mean(axis=(1, 2))) * slopes).sum())
        assert np.isclose(found[place], (values[0] - values[1]) / 2e-2, rtol=1e-2, atol=1e-4)


def test_half_instance_normalisation_passes_the_shared_check_and_equals_its_definition():
    features = maps(4, 7, 5, 6)
    check_layer(layers.InstanceBatchNormalization, [features], rtol=1e-4)
    layer = layers.InstanceBatchNormalization()
    found = np.asarray(layer(features, training=True))
    for axes, part in (((1, 2), slice(0, 3)), ((0, 1, 2), slice(3, 6))):
        half = features[..., part]
        expected = (half - half.mean(axes, keepdims=True)) / np.sqrt(half.var(axes, keepdims=True) + 1e-5)
        np.testing.assert_allclose(found[..., part], expected, rtol=1e-3, atol=1e-4)

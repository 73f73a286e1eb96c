"""Backbones: published parameter counts, map shapes, weights of keras.applications."""

import keras
import numpy as np
import pytest
from layer_checks import randomise
from made_methods import make

from gaaplib.network import backbones
from gaaplib.network.backbones import BACKBONES, copy_application_weights

# Trainable parameters with a classifier of 1000 classes: torchvision's model table, which for VGG
# is Table 2 of Simonyan and Zisserman to the digit.
PUBLISHED = {
    "vgg16": 138_357_544,
    "vgg19": 143_667_240,
    "vgg16_bn": 138_365_992,
    "vgg19_bn": 143_678_248,
    "resnet18": 11_689_512,
    "resnet34": 21_797_672,
    "resnet50": 25_557_032,
    "resnet101": 44_549_160,
    "resnet152": 60_192_808,
    # Half of the normalisations' weights are those of an instance normalisation.
    "resnet18_ibn": 11_689_512,
    "resnet50_ibn": 25_557_032,
}
# The authors' code, torchreid, with a layer of 512 and its normalisation. Its table of models has 2.2 and 0.2 million.
OSNETS = {"osnet_x1_0": 2_169_508, "osnet_x0_25": 201_864}
DEEP = ("resnet101", "resnet152")


def dense_parameters(*widths):
    """Weights and biases of a chain of dense layers."""
    return sum((a + 1) * b for a, b in zip(widths, widths[1:], strict=False))


def trainable_parameters(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def images(height=64, width=32, batch=2):
    rng = np.random.default_rng(0)
    return rng.integers(0, 256, (batch, height, width, 3)).astype("float32")


@pytest.fixture(scope="module", params=list(BACKBONES))
def entry(request):
    """(name, model) of every entry, built once, with height and width left open."""
    return request.param, BACKBONES[request.param](height=None, width=None)


def last_map(maps):
    return list(maps.values())[-1]


# Every entry of BACKBONES


def test_parameters_are_the_published_ones(entry):
    name, model = entry
    channels = last_map(model.output).shape[-1]
    if name in OSNETS:
        assert trainable_parameters(model) + dense_parameters(channels, 512) + 2 * 512 == OSNETS[name]
        return
    if name.startswith("vgg"):
        head = dense_parameters(7 * 7 * channels, 4096, 4096, 1000)
    else:
        head = dense_parameters(channels, 1000)
    assert trainable_parameters(model) + head == PUBLISHED[name]


@pytest.mark.parametrize("size", [(128, 64), (256, 128), (130, 70)])
def test_every_stage_halves_the_map(entry, size):
    name, model = entry
    shapes = {
        stage: spec.shape[1:3] for stage, spec in model.compute_output_spec(keras.KerasTensor((1, *size, 3))).items()
    }
    first = 2 if name.startswith("vgg") else 4
    rounding = np.floor if name.startswith("vgg") else np.ceil
    expected = tuple(int(rounding(side / first)) for side in size)
    for stage in sorted(shapes):
        assert shapes[stage] == expected
        # OSNet's later stages begin with a pooling, which does not pad.
        half = np.floor if name in OSNETS else rounding
        expected = tuple(int(half(side / 2)) for side in expected)
    assert list(shapes) == [f"stage{i + 1}" for i in range(5 if name.startswith("vgg") else 4)]


def test_maps_are_finite_and_follow_the_batch(entry):
    name, model = entry
    maps = model(images(), training=False)
    for value in maps.values():
        assert value.shape[0] == 2
        assert np.isfinite(keras.ops.convert_to_numpy(value)).all()
    assert list(maps) == sorted(maps)
    assert model.name == name


@pytest.mark.parametrize("name", [name for name in BACKBONES if name not in DEEP])
def test_last_stride_1_doubles_the_last_map(name):
    model = BACKBONES[name](last_stride=1)
    assert model.input_shape == (None, 128, 64, 3)
    assert last_map(model.output).shape[1:3] == (8, 4)  # the test above has 4 x 2 for 2


# Options


def test_last_stride_keeps_the_parameters():
    one, two = (BACKBONES["resnet18"](last_stride=stride) for stride in (1, 2))
    assert [weight.path for weight in one.weights] == [weight.path for weight in two.weights]


def test_v1_5_strides_in_the_3x3_and_v1_in_the_1x1():
    for variant, strides, use_bias in (("v1.5", (1, 2), False), ("v1", (2, 1), True)):
        model = BACKBONES["resnet50"](variant=variant)
        first, second = (model.get_layer(f"conv3_block1_{i}_conv") for i in (1, 2))
        assert (first.strides[0], second.strides[0]) == strides
        assert first.use_bias is use_bias


def test_strided_convolutions_pad_both_sides():
    """Where each kernel sees the border shows the padding: TensorFlow's "same" has it reversed."""
    model = BACKBONES["resnet18"]()
    layer = model.get_layer("conv3_block1_1_conv")
    layer.set_weights([np.ones_like(layer.get_weights()[0])])
    ones = np.ones((1, 8, 8, 64), "float32")
    taps = keras.ops.convert_to_numpy(layer(model.get_layer("conv3_block1_1_pad")(ones))) / 64
    assert (taps[0, 0, 0, 0], taps[0, 0, -1, 0], taps[0, -1, -1, 0]) == (4, 6, 9)


def test_input_is_normalised_inside():
    model = BACKBONES["vgg16"](height=32, width=32)
    grey = np.broadcast_to(np.array(backbones.MEAN, "float32"), (1, 32, 32, 3))
    np.testing.assert_allclose(model.get_layer("normalisation")(grey), 0, atol=1e-5)
    deviation = model.get_layer("normalisation")(grey + np.array(backbones.STD, "float32"))
    np.testing.assert_allclose(deviation, 1, atol=1e-5)


@pytest.mark.parametrize("given", ["he_normal", keras.initializers.RandomNormal(0.0, 0.1)])
def test_layers_of_one_shape_start_apart(given):
    model = BACKBONES["resnet18"](kernel_initializer=given)
    first, second = (model.get_layer(f"conv2_block{i}_1_conv").get_weights()[0] for i in (1, 2))
    assert not np.array_equal(first, second)
    assert first.std() == pytest.approx(0.1 if given != "he_normal" else (2 / 576) ** 0.5, rel=0.05)


def test_one_seed_gives_one_network():
    kernels = []
    for _ in range(2):
        keras.utils.set_random_seed(7)
        kernels.append(BACKBONES["resnet18"]().get_layer("conv5_block2_2_conv").get_weights()[0])
    np.testing.assert_array_equal(*kernels)


# Stages as models


@pytest.mark.parametrize(("name", "stage"), [("resnet18", "stage2"), ("vgg16", "stage3")])
def test_a_backbone_can_be_taken_apart_at_a_stage(name, stage):
    model = BACKBONES[name](height=64, width=32)
    lower = keras.Model(model.input, model.output[stage])
    upper = keras.Model(model.output[stage], last_map(model.output))
    expected = last_map(model(images(), training=False))
    found = upper(lower(images(), training=False), training=False)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)
    doubled = upper(2.0 * lower(images(), training=False), training=False)
    assert not np.allclose(doubled, expected)


# Weights


@pytest.mark.parametrize(("name", "application"), [("resnet50", "ResNet50"), ("vgg16", "VGG16")])
def test_application_weights_give_the_application_outputs(name, application):
    source = getattr(keras.applications, application)(weights=None, include_top=False)
    randomise(source)
    model = BACKBONES[name](height=64, width=32, variant="v1")
    copy_application_weights(model, source)
    pixels = images()
    module = keras.applications.resnet if name == "resnet50" else keras.applications.vgg16
    expected = source(module.preprocess_input(pixels.copy()), training=False)
    np.testing.assert_allclose(last_map(model(pixels, training=False)), expected, rtol=1e-3, atol=1e-4)


def test_application_weights_need_the_same_layers():
    source = keras.applications.VGG16(weights=None, include_top=False)
    with pytest.raises(ValueError, match="block1_conv1"):
        copy_application_weights(BACKBONES["resnet18"](), source)


def test_imagenet_takes_the_application(monkeypatch):
    source = keras.applications.VGG16(weights=None, include_top=False)
    monkeypatch.setattr(keras.applications, "VGG16", lambda weights, include_top: source)
    model = BACKBONES["vgg16"](weights="imagenet")
    np.testing.assert_array_equal(
        model.get_layer("block5_conv3").get_weights()[0],
        source.get_layer("block5_conv3").get_weights()[0],
    )
    assert list(model.get_layer("normalisation").offset) == [-m for m in backbones.CAFFE_MEAN]


def test_imagenet_offline_says_what_to_do(monkeypatch):
    def offline(weights, include_top):
        raise Exception("URL fetch failure on https://example.org: None")

    monkeypatch.setattr(keras.applications, "ResNet50", offline)
    with pytest.raises(OSError, match="ResNet50.*URL fetch failure.*weights=None") as caught:
        BACKBONES["resnet50"](weights="imagenet")
    assert caught.value.__cause__ is not None


def test_weights_from_a_file(tmp_path):
    model = BACKBONES["resnet18"]()
    randomise(model)
    path = tmp_path / "resnet18.weights.h5"
    model.save_weights(path)
    again = BACKBONES["resnet18"](weights=path)
    for saved, loaded in zip(model.get_weights(), again.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, loaded)


def test_weights_from_a_run(tmp_path):
    method = make(method="bot", last_stride=1)
    randomise(method.model)
    method.save(tmp_path)
    again = make(method="triplet", last_stride=1, weights=str(tmp_path / "model.keras"))
    for saved, loaded in zip(method._lower.get_weights(), again._lower.get_weights(), strict=True):
        np.testing.assert_array_equal(saved, loaded)
    with pytest.raises(ValueError, match="model.keras: its backbone does not have the weights of a resnet34"):
        BACKBONES["resnet34"](weights=tmp_path / "model.keras")
    (tmp_path / "model.keras").write_bytes(b"not a model")
    with pytest.raises(ValueError, match="model.keras is not the model of a run that can be loaded"):
        BACKBONES["resnet18"](weights=tmp_path / "model.keras")


def test_saving_and_loading(tmp_path):
    model = BACKBONES["resnet50"](height=64, width=32)
    randomise(model)
    model.save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    expected, maps = model(images(), training=False), loaded(images(), training=False)
    assert list(maps) == list(expected)
    for key in expected:
        np.testing.assert_array_equal(maps[key], expected[key])


# What is refused


@pytest.mark.parametrize(
    ("name", "options", "message"),
    [
        ("resnet18", {"last_stride": 3}, "last_stride=3.*1 or 2"),
        ("resnet18", {"height": 31}, "height=31.*32 pixels"),
        ("vgg16", {"width": 15, "last_stride": 1}, "width=15.*16 pixels"),
        ("resnet18", {"weights": "imagenet"}, "resnet18.*vgg16.*resnet152"),
        ("resnet34", {"variant": "v1"}, "resnet34.*resnet50"),
        ("resnet50", {"variant": "v2"}, "v2.*v1.5"),
        ("resnet50", {"variant": "v1.5", "weights": "imagenet"}, 'variant="v1"'),
        ("resnet18", {"weights": "no/such.weights.h5"}, "no/such.weights.h5.*imagenet"),
    ],
)
def test_bad_arguments_are_named(name, options, message):
    with pytest.raises(ValueError, match=message):
        BACKBONES[name](**options)


def test_a_linear_stem_has_no_relu_and_pads_with_nothing_that_could_be_a_maximum():
    model = BACKBONES["resnet18"](height=32, width=32, stem="linear")
    names = [layer.name for layer in model.layers]
    assert "conv1_relu" not in names and "conv1_relu" in [layer.name for layer in BACKBONES["resnet18"]().layers]
    assert model.count_params() == BACKBONES["resnet18"](height=32, width=32).count_params()
    # With an offset that makes every value negative, the pooled map is negative, also at the edges.
    model.get_layer("conv1_bn").beta.assign(np.full(64, -100.0))
    pooled = keras.Model(model.input, model.get_layer("pool1_pool").output)(np.zeros((1, 32, 32, 3), "float32"))
    assert keras.ops.min(pooled) > -200 and keras.ops.max(pooled) < -50


def test_a_vgg_has_no_stem():
    with pytest.raises(ValueError, match="stem='linear': a VGG has no stem"):
        BACKBONES["vgg16"](stem="linear")
    with pytest.raises(ValueError, match="stem='none'"):
        BACKBONES["resnet18"](stem="none")


def test_half_of_the_channels_are_normalised_over_the_image_except_in_the_last_stage():
    model = BACKBONES["resnet18_ibn"](height=32, width=32)
    halves = [layer for layer in model.layers if hasattr(layer, "instance")]
    assert [layer.name for layer in halves] == [f"conv{s}_block{b}_1_bn" for s in (2, 3, 4) for b in (1, 2)]
    assert [layer.half for layer in halves] == [32, 32, 64, 64, 128, 128]

import math

import keras
import pytest
from oracles import costs as oracle

from gaaplib.attention import ATTENTION
from gaaplib.config import RunConfig
from gaaplib.network.backbones import BACKBONES
from gaaplib.paper import costs

# In 10^9 at 224 x 224, with ImageNet classifiers, from torchvision's model tables.
PUBLISHED = {"resnet18": 1.81, "resnet34": 3.66, "resnet50": 4.09, "vgg16": 15.47, "vgg19": 19.63}


@pytest.mark.parametrize("name", PUBLISHED)
def test_a_backbone_costs_what_its_paper_lists(name):
    channels = 2048 if name == "resnet50" else 512
    heads = {"vgg": 7 * 7 * 512 * 4096 + 4096 * 4096 + 4096 * 1000, "resnet": channels * 1000}
    assert oracle.count(name, 224, 224) + heads[name[:-2]] == pytest.approx(PUBLISHED[name] * 1e9, abs=6e6)
    for height, width in ((224, 224), (128, 64)):
        assert costs.multiply_adds(BACKBONES[name](height=height, width=width)) == oracle.count(name, height, width)


@pytest.mark.parametrize("name", ATTENTION)
def test_a_block_costs_the_products_that_it_makes(name, monkeypatch):
    """The matrix products of a real call are recorded with the sizes of their factors."""
    made = []

    def matmul(one, two, multiply=keras.src.ops.matmul):
        product = multiply(one, two)
        made.append(math.prod(product.shape[1:]) * one.shape[-1])
        return product

    images = keras.Input((4, 2, 32))
    block = ATTENTION[name](key_dim=6, value_dim=10)
    found = costs.multiply_adds(keras.Model(images, block(images)))
    for module in (keras.ops, keras.src.ops):
        monkeypatch.setattr(module, "matmul", matmul)
    block(keras.ops.ones((1, 4, 2, 32)))
    assert found == sum(made)
    assert (found > 0) == (name != "none")


def test_parameters_and_products_by_part():
    parts = costs.by_part(costs.model(RunConfig("paper", backbone="resnet18")))
    assert list(parts.index) == ["backbone", "attention"]
    # Query and key have C // 8 channels, value and output C // 2, without bias: C * C * (1/8 + 1/8 + 1/2 + 1/2).
    assert parts.parameters["attention"] == 512 * 512 * 5 // 4
    assert parts.multiply_adds["attention"] == 8 * 512 * 512 * 5 // 4 + 8 * 8 * (64 + 256)
    assert parts.multiply_adds["backbone"] == oracle.count("resnet18", 128, 64)
    none = costs.by_part(costs.model(RunConfig("paper", backbone="resnet18", attention="none")))
    assert none.equals(parts.drop("attention"))


def test_layers_that_cannot_be_counted_are_refused():
    images = keras.Input((8, 8, 3))
    with pytest.raises(ValueError, match="'odd' is a SeparableConv2D, whose products are not counted"):
        costs.multiply_adds(keras.Model(images, keras.layers.SeparableConv2D(4, 3, name="odd")(images)))
    # 6 x 6 positions, 3 x 3 x 3 weights.
    assert costs.multiply_adds(keras.Model(images, keras.layers.DepthwiseConv2D(3)(images))) == 36 * 27
    anything = keras.Input((None, None, 3))
    with pytest.raises(ValueError, match="has an open size: build the model for images of one size"):
        costs.multiply_adds(keras.Model(anything, keras.layers.Conv2D(4, 3)(anything)))


def test_latency_is_the_median_per_image_without_the_first_call(monkeypatch):
    calls = []

    def predict(images):
        calls.append((images.shape, str(images.dtype)))

    model = type("Model", (), {"input_shape": (None, 8, 4, 3), "predict_on_batch": staticmethod(predict)})
    # Two clock readings per call; calls take 90 (not counted), then 1, 2 and 9 s, for each size.
    ticks = iter([tick for seconds in (90, 1, 2, 9) * 2 for tick in (100.0, 100.0 + seconds)])
    monkeypatch.setattr(costs.time, "perf_counter", lambda: next(ticks))
    assert costs.latency(model, batch_sizes=(1, 4), repeats=3).to_dict() == {1: 2000.0, 4: 500.0}
    assert calls == [((1, 8, 4, 3), "uint8")] * 4 + [((4, 8, 4, 3), "uint8")] * 4

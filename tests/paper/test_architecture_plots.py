import pytest

from gaaplib.config import RunConfig
from gaaplib.network.backbones import BACKBONES
from gaaplib.paper import architecture_plots, costs


@pytest.fixture(scope="module")
def model():
    return costs.model(RunConfig("paper", backbone="resnet18", alpha=0.25))


def boxes(figure):
    """Return the lines of text of each box and of the labels next to boxes."""
    return [text.get_text().split("\n") for axis in figure.axes for text in axis.texts if text.get_text()]


def test_the_network_is_drawn_as_it_is_built(model):
    drawn = boxes(architecture_plots.network(model))
    assert drawn[::2] == [
        ["images", "Input Layer", "no parameters"],
        ["backbone", "11.19 M parameters"],
        ["attention", "Cross Feature", "Attention", "0.33 M parameters"],
        ["pooling", "Average Pooling", "no parameters"],
        ["classifier", "Dense", "1,026 parameters"],
    ]
    assert sum(drawn[1::2], []) == ["128 × 64 × 3", "4 × 2 × 512", "4 × 2 × 512", "512", "2"]
    smaller = costs.model(RunConfig("paper", backbone="resnet18", height=64, width=32, attention="none"))
    assert ["2 × 1 × 512"] in boxes(architecture_plots.network(smaller))


def test_the_block_has_the_four_convolutions_of_equations_4_and_5(model):
    drawn = boxes(architecture_plots.block(model.get_layer("attention")))
    for box in (
        ["F", "4 × 2 × 512", "N = 8"],
        ["Q: query, 1 × 1", "512 → 64", "8 × 64"],
        ["K: key, 1 × 1", "512 → 64", "8 × 64"],
        ["V: value, 1 × 1", "512 → 256", "8 × 256"],
        ["Eq. 4: A", "softmax, α = 0.25", "8 × 8"],
        ["A V", "8 × 256"],
        ["Wₐ: output, 1 × 1", "256 → 512", "8 × 512"],
        ["Eq. 5: + F", "4 × 2 × 512"],
    ):
        assert box in drawn


@pytest.mark.parametrize(
    ("name", "third", "maps"),
    [
        (
            "resnet50",
            ["conv3", "1 × 1, 128", "3 × 3, 128", "1 × 1, 512", "4 such blocks"],
            ["64 × 32 × 64", "32 × 16 × 256", "16 × 8 × 512", "8 × 4 × 1024", "4 × 2 × 2048"],
        ),
        (
            "vgg16",
            ["block3", "3 × 3, 256", "3 × 3, 256", "3 × 3, 256"],
            ["64 × 32 × 64", "32 × 16 × 128", "16 × 8 × 256", "8 × 4 × 512", "4 × 2 × 512"],
        ),
    ],
)
def test_the_stages_have_their_blocks_and_maps(name, third, maps):
    drawn = boxes(architecture_plots.stages(BACKBONES[name](height=128, width=64)))
    assert third in drawn
    assert [line for box in drawn for line in box if line in maps] == maps
    assert ["128 × 64 × 3"] in drawn

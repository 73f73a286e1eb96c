import keras
import numpy as np
import pytest
from layer_checks import randomise

from gaaplib.network.backbones import BACKBONES


def test_an_osnet_block_sees_four_sizes():
    """Streams of one to four 3 x 3 convolutions see 3, 5, 7 and 9 positions across."""
    model = BACKBONES["osnet_x0_25"](height=64, width=64)
    randomise(model)
    starts = model.get_layer("conv2_block1_1_out").output
    for stream in range(1, 5):
        part = keras.Model(starts, model.get_layer(f"conv2_block1_stream{stream}_{stream}_relu").output)
        before = np.random.default_rng(0).random((1, 16, 16, 16)).astype("float32") + 1
        changed = before.copy()
        changed[0, 8, 8] += 10
        moved = np.abs(part(changed) - part(before)).max(axis=(0, 3)) > 0
        assert moved.any(axis=0).sum() <= 2 * stream + 1 and moved.any(axis=1).sum() <= 2 * stream + 1
        rows = np.flatnonzero(moved.any(axis=1))
        assert rows.min() >= 8 - stream and rows.max() <= 8 + stream
    gates = [layer for layer in model.layers if layer.name.startswith("conv2_block1_gate")]
    # One gate for all streams.
    assert [len(layer._inbound_nodes) for layer in gates] == [4, 4]


@pytest.mark.parametrize(("name", "width"), [("osnet_x1_0", 1.0), ("osnet_x0_25", 0.25)])
def test_the_width_multiplies_all_channels(name, width):
    maps = BACKBONES[name](height=64, width=32, last_stride=1).output
    assert [spec.shape[1:] for spec in maps.values()] == [
        (16, 8, 256 * width),
        (8, 4, 384 * width),
        (4, 2, 512 * width),
        (4, 2, 512 * width),
    ]


def test_blocks_are_offered_to_methods_that_insert_something():
    seen = []

    def insert(x, stage, left):
        seen.append((stage, left))
        return x

    BACKBONES["osnet_x0_25"](height=64, width=32, insert=insert)
    assert seen == [(1, 1), (1, 0), (2, 1), (2, 0), (3, 1), (3, 0), (4, 0)]


def test_an_osnet_has_no_linear_stem():
    with pytest.raises(ValueError, match="stem='linear': it is for ResNets, not for OSNet"):
        BACKBONES["osnet_x0_25"](stem="linear")

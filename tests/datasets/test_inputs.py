import numpy as np
import pytest

from gaaplib.datasets import inputs
from gaaplib.datasets.inputs import Inputs

IMAGES = np.arange(4 * 2 * 2 * 3, dtype=np.uint8).reshape(4, 2, 2, 3)
BOTH = Inputs(IMAGES, {"keypoints": np.arange(4.0)})


class Network:
    input = {"images": None, "keypoints": None}


def test_images_and_what_is_beside_them_are_indexed_together():
    some = BOTH[np.array([3, 1])]
    assert len(some) == 2 and some.beside["keypoints"].tolist() == [3, 1]
    assert np.array_equal(some.images, IMAGES[[3, 1]])
    assert set(inputs.as_arrays(some, Network())) == {"images", "keypoints"}


@pytest.mark.parametrize("whole", [IMAGES, BOTH])
def test_functions_take_either(whole):
    assert np.array_equal(inputs.pixels(whole), IMAGES)
    again = inputs.joined([whole[:1], whole[1:]])
    assert type(again) is type(whole) and np.array_equal(inputs.pixels(again), IMAGES)
    other = inputs.with_pixels(whole, 0 * IMAGES)
    assert type(other) is type(whole) and not inputs.pixels(other).any()


def test_a_network_gets_what_it_takes_and_no_more():
    both = Inputs(IMAGES, {"keypoints": np.arange(4.0), "masks": np.zeros(4)})
    assert set(inputs.as_arrays(both, Network())) == {"images", "keypoints"}
    assert inputs.as_arrays(both, object()) is IMAGES and inputs.as_arrays(IMAGES, object()) is IMAGES


def test_images_alone_are_refused_where_more_is_needed():
    inputs.check(Network(), BOTH)
    inputs.check(object(), IMAGES)
    with pytest.raises(ValueError, match="sees keypoints beside each image: give both"):
        inputs.check(Network(), IMAGES)

import numpy as np
import pandas as pd
import pytest
from made_methods import make

from gaaplib.methods.gml import clips


def test_clips_are_of_one_camera_and_one_sequence():
    method = make(method="gml", options="clip=3")
    paths = [
        f"train/{pid:04d}_c{camid}s{part}_0001_01.jpg" for pid in range(8) for camid, part in ((1, 1), (1, 2), (2, 1))
    ]
    table = pd.DataFrame({"path": paths, "camid": [1, 1, 2] * 8})
    assert np.array_equal(method.drawn_by(np.arange(24)), np.arange(24))
    method.given(table)
    found = method.drawn_by(np.arange(24))
    assert len(np.unique(found)) == 9 and np.bincount(found).max() == 3
    for clip in np.unique(found):
        assert len({path.split("_")[1] for path in table.path[found == clip]}) == 1


def test_clips_are_random_and_cover_all_images():
    one, other = (clips(["a"] * 40, 16, np.random.default_rng(seed)) for seed in (0, 1))
    assert np.bincount(one).tolist() in ([16, 16, 8], [16, 8, 16], [8, 16, 16]) and not np.array_equal(one, other)


def test_its_document_says_that_it_is_not_the_papers():
    assert "NOT the method of the paper" in type(make(method="gml")).__doc__


def test_the_second_loss_has_the_weight_that_is_given():
    weights = {name: weight for name, (_, weight) in make(method="gml", options="aligned=0.5").losses.items()}
    assert weights == {"present": 1.0, "aligned": 0.5, "logits": 0.0}


def test_a_sampler_of_single_images_is_refused():
    with pytest.raises(ValueError, match="sampler='shuffled'"):
        make(method="gml", sampler="shuffled")

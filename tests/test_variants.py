"""What `gaap compare` varies."""

import pytest
from made_images import save_colour

from gaaplib import batch, variants


@pytest.fixture(scope="module")
def known():
    return batch.parameters(batch.find("02_train"))


def attentions(found):
    return [(config.attention, config.seed, config.fold) for _, config in found]


def test_every_combination_is_made_variant_after_variant(known):
    found = variants.parse(["attention=none,class"], "0,1", "2", {"profile": "smoke"}, known)
    assert attentions(found) == [("none", 0, 2), ("none", 1, 2), ("class", 0, 2), ("class", 1, 2)]
    assert all(config.profile == "smoke" and values["profile"] == "smoke" for values, config in found)
    found = variants.parse(["attention=none,class", "pooling=avg,max"], None, None, {}, known)
    assert [config.pooling for _, config in found] == ["avg", "max", "avg", "max"]


@pytest.mark.parametrize(
    ("vary", "seeds", "given", "message"),
    [
        ([], "0,1", {}, "nothing varies: give --vary"),
        (["attention=none"], None, {}, "nothing varies: give --vary"),
        (["attention"], None, {}, "expected NAME=VALUE,VALUE"),
        (["attenton=none,class"], None, {}, "no parameter 'attenton' .did you mean attention"),
        (["attention=none,clas"], None, {}, "attention='clas' is not known"),
        (["alpha=0.5,half"], None, {}, "alpha='half': expected float"),
        (["attention=none,none"], None, {}, "none is given twice"),
        (["attention=none,class"], None, {"attention": "self"}, "leave out -p attention"),
        (["attention=none,class"], "0,x", {}, "seed='x': expected int"),
        (["attention=none,class", "seed=0,1"], "0,1", {}, "seed is given twice"),
    ],
)
def test_what_cannot_be_varied_is_refused(vary, seeds, given, message, known):
    with pytest.raises(ValueError, match=message):
        variants.parse(vary, seeds, None, given, known)


def test_images_that_a_run_could_not_score_are_refused(known, tmp_path):
    for person in range(3):
        save_colour(tmp_path / f"person {person}" / "1.png", person, 1)
    given = {"dataset": "folder", "data": str(tmp_path)}
    found = variants.parse(["attention=none,class"], None, None, given, known)
    with pytest.raises(ValueError, match="fold 0, seed 0: none of the 1 identities to be tested on has enough images"):
        variants.check_data(config for _, config in found)

import numpy as np
from made_methods import copy_weights, make, predict


def test_stripes_overlap_their_neighbours():
    method = make(method="hmbn", height=192)
    assert [[(rows.start, rows.stop) for rows in branch] for branch in method._stripes] == [
        [(0, 6)],
        [(0, 8), (4, 12)],
        [(0, 5), (3, 9), (7, 12)],
    ]


def test_without_overlap_it_starts_as_mgn():
    hmbn, mgn = make(method="hmbn", options="overlap=0"), make(method="mgn")
    # The branches' layers have equal names, so they are copied one by one.
    for mine, other in zip([hmbn._lower, *hmbn._branches], [mgn._lower, *mgn._branches], strict=True):
        mine.set_weights(other.get_weights())
    for name in ("_reduction", "_whole_classifiers", "_part_classifiers"):
        copy_weights(getattr(mgn, name), getattr(hmbn, name))
    np.testing.assert_allclose(predict(hmbn)["embedding"], predict(mgn)["embedding"], rtol=1e-4, atol=1e-5)


def test_each_branch_attends_to_all():
    method = make(method="hmbn")
    for attend in method._across:
        attend.normalization.gamma.assign(np.ones(512))
    maps = [
        np.random.default_rng(0).random((1, *branch.output.shape[1:])).astype("float32") for branch in method._branches
    ]
    before = [
        np.asarray(attend([maps[own], *maps[:own], *maps[own + 1 :]])) for own, attend in enumerate(method._across)
    ]
    maps[2] = 2 * maps[2]
    after = [
        np.asarray(attend([maps[own], *maps[:own], *maps[own + 1 :]])) for own, attend in enumerate(method._across)
    ]
    assert all(np.abs(one - two).max() > 1e-6 for one, two in zip(before, after, strict=True))


def test_the_triplet_loss_is_the_harder_one():
    losses = make(method="hmbn").losses
    assert losses["whole1"][0].both_sides and not make(method="mgn").losses["whole1"][0].both_sides

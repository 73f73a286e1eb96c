"""Measures of maps: known values for masks used as maps, agreement with the oracle, baselines, verdicts and errors."""

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gaaplib.evaluation.statistics import bootstrap_mean, paired_difference, sign_flip_test
from gaaplib.explain import localisation
from gaaplib.explain.localisation import centre_prior, deletion_insertion, mean_mask, measures, table, uniform, versus
from tests.oracles import localisation as slow

# A person of 2 x 2 pixels in the centre of 4 x 4, and one in the upper half.
MASKS = np.zeros((2, 4, 4), bool)
MASKS[0, 1:3, 1:3] = MASKS[1, :2] = True


def normalised(maps):
    maps = np.asarray(maps, float)
    return maps / maps.sum(axis=(1, 2), keepdims=True)


def drawn(seed, n=3, h=4, w=2):
    """Random maps with few different values, so that there are ties, and random masks."""
    rng = np.random.default_rng(seed)
    maps, masks = rng.integers(1, 4, (n, h, w)), rng.random((n, h, w)) < 0.5
    masks[:, 0, 0] = True
    return normalised(maps), masks


def test_masks_as_maps_have_the_highest_values():
    for name, values in measures(normalised(MASKS), MASKS).items():
        np.testing.assert_allclose(values, 1, err_msg=name)


def test_what_is_not_the_person_has_the_lowest_values():
    for name, values in measures(normalised(~MASKS), MASKS).items():
        np.testing.assert_allclose(values, 0, err_msg=name)


def test_a_uniform_map_has_the_share_of_the_pixels_in_each_measure():
    for name, values in measures(uniform(2, 4, 4), MASKS).items():
        np.testing.assert_allclose(values, [4 / 16, 8 / 16], rtol=1e-6, err_msg=name)


def test_known_values_between():
    heat = np.zeros((1, 4, 4))
    # 0.5 on a pixel of the person, 0.3 on the background, 0.2 on another pixel of the person.
    heat[0, 1, 1], heat[0, 0, 0], heat[0, 2, 2] = 0.5, 0.3, 0.2
    assert localisation.share_on_person(heat, MASKS[:1]) == pytest.approx(0.7)
    assert localisation.pointing_game(heat, MASKS[:1]) == 1
    # At half of the maximum: (1, 1) and (0, 0), so one of five. At 0.4 of it also (2, 2), so two of five.
    assert localisation.iou(heat, MASKS[:1]) == pytest.approx(1 / 5)
    assert localisation.iou(heat, MASKS[:1], threshold=0.4) == pytest.approx(2 / 5)


def test_rounding_makes_no_maximum():
    heat = uniform(1, 4, 4).astype(float)
    heat[0, 0, 0] *= 1 + 1e-9
    assert localisation.pointing_game(heat, MASKS[:1]) == pytest.approx(4 / 16)
    heat[0, 0, 0] *= 1 + 1e-4
    assert localisation.pointing_game(heat, MASKS[:1]) == 0


@settings(max_examples=40, deadline=None)
@given(seed=st.integers(0, 10_000), threshold=st.sampled_from([0.3, 0.5, 1.0]))
def test_measures_agree_with_the_oracle(seed, threshold):
    maps, masks = drawn(seed)
    found = measures(maps, masks, threshold=threshold)
    for row, (heat, mask) in enumerate(zip(maps.tolist(), masks.tolist(), strict=True)):
        expected = slow.share_on_person(heat, mask), slow.pointing_game(heat, mask), slow.iou(heat, mask, threshold)
        assert [values[row] for values in found.values()] == pytest.approx([float(value) for value in expected])


def test_the_centre_prior_is_the_oracles_and_does_not_change_with_the_grid():
    np.testing.assert_allclose(centre_prior(3, 4, 2, spread=0.2)[2], slow.centre_prior(4, 2, 0.2), atol=1e-5)
    fine = centre_prior(1, 8, 4)
    np.testing.assert_allclose(fine.reshape(1, 4, 2, 2, 2).sum(axis=(2, 4)), centre_prior(1, 4, 2), rtol=1e-5)
    assert fine[0].argmax() in (3 * 4 + 1, 3 * 4 + 2, 4 * 4 + 1, 4 * 4 + 2)


def test_the_mean_mask_counts_the_persons_pixels():
    masks = np.random.default_rng(0).random((5, 8, 6)) < 0.3
    np.testing.assert_allclose(
        mean_mask(2, 4, 2, masks)[1], np.array(slow.mean_mask(masks.tolist(), 4, 2), float), 1e-6
    )
    # 5 rows of pixels in 2 rows of cells: the first cell has three of them, the second two.
    assert mean_mask(1, 2, 1, np.ones((1, 5, 3), bool)).ravel() == pytest.approx([3 / 5, 2 / 5])


def test_every_baseline_is_a_map():
    for maps in (uniform(3, 4, 2), centre_prior(3, 4, 2), mean_mask(3, 4, 2, MASKS)):
        assert maps.shape == (3, 4, 2)
        assert (maps >= 0).all()
        np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1, rtol=1e-6)


def grey_score(images):
    """Weights the pixels, so that the score depends on which of them are removed."""
    weights = np.arange(1, images[0, :, :, 0].size + 1).reshape(images.shape[1:3])
    return (images[..., 0].astype(float) * weights).sum(axis=(1, 2))


@settings(max_examples=20, deadline=None)
@given(seed=st.integers(0, 10_000))
def test_deletion_and_insertion_agree_with_the_oracle(seed):
    maps, _ = drawn(seed)
    grey = np.random.default_rng(seed).integers(0, 256, (3, 8, 4), np.uint8)
    images = np.repeat(grey[..., None], 3, axis=3)
    deletion, insertion = deletion_insertion(images, maps, grey_score, fill=(7, 7, 7))

    def score(image):
        return grey_score(np.repeat(np.array([image])[..., None], 3, axis=3))[0]

    for row in range(3):
        expected = slow.deletion(grey[row].tolist(), maps[row].tolist(), score, 7)
        assert deletion[row].tolist() == expected
        assert localisation.auc(deletion)[row] == pytest.approx(slow.auc(expected))
    # The remaining and the inserted pixels together are the image, and the score is linear.
    whole = np.broadcast_to(deletion[:, :1] + insertion[:, :1], deletion.shape)
    np.testing.assert_allclose(deletion + insertion, whole)


def test_deletion_of_what_the_score_rests_on_falls_first():
    images = np.full((1, 4, 4, 3), 200, np.uint8)
    images[0, 1:3, 1:3] = 90
    dark = MASKS[:1]

    def score(changed):
        return (changed[:, 1:3, 1:3, 0] == 90).mean(axis=(1, 2))

    good = deletion_insertion(images, normalised(dark), score, fill=(0, 0, 0))
    bad = deletion_insertion(images, normalised(~dark), score, fill=(0, 0, 0))
    # Four of the sixteen steps remove the person: 1, 3/4, 1/2, 1/4, then 0.
    assert localisation.auc(good[0]) == pytest.approx([(0.5 + 0.75 + 0.5 + 0.25) / 16])
    assert localisation.auc(good[1]) == pytest.approx([1 - (0.5 + 0.75 + 0.5 + 0.25) / 16])
    assert localisation.auc(bad[0]) > localisation.auc(good[0])
    assert localisation.auc(bad[1]) < localisation.auc(good[1])


def test_steps_take_equally_many_cells_and_ties_go_in_reading_order():
    images = np.full((1, 8, 4, 3), 100, np.uint8)
    seen = []

    def score(changed):
        seen.append((changed[0, ::2, ::2, 0] == 0).ravel().tolist())
        return np.ones(len(changed))

    deletion, _ = deletion_insertion(images, uniform(1, 4, 2), score, steps=4, fill=(0, 0, 0))
    assert deletion.shape == (1, 5)
    assert seen[::2] == [[True] * 2 * step + [False] * (8 - 2 * step) for step in range(5)]


def test_what_is_filled_in():
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (2, 8, 4, 3), np.uint8)
    seen = []

    def score(changed):
        seen.append(changed)
        return np.ones(len(changed))

    deletion_insertion(images, uniform(2, 4, 2), score)
    np.testing.assert_array_equal(seen[0], images)
    # Step 0 of insertion is only the fill: each image's own mean colour.
    np.testing.assert_allclose(seen[1], np.broadcast_to(images.mean((1, 2), keepdims=True), images.shape), atol=0.5)
    fill = images[::-1] // 2
    deletion_insertion(images, uniform(2, 4, 2), score, fill=fill)
    np.testing.assert_array_equal(seen[19], fill)


def measured(gain, n=60):
    """A map and a baseline whose values differ by ``gain`` on average; both vary with the difficulty of the image."""
    rng = np.random.default_rng(1)
    hardness = rng.random(n)
    kind = hardness + gain + rng.normal(0, 0.05, n)
    return {"received": {"share": kind}, "centre prior": {"share": hardness}}


def test_a_table_has_the_bootstrap_intervals_of_identities():
    values, pids = measured(0.1), np.repeat(np.arange(20), 3)
    found = table(values, pids)
    assert list(found.index) == ["received", "centre prior"]
    assert found.loc["received", "share"] == bootstrap_mean(values["received"]["share"], pids)
    assert found.loc["received", "share"] != table(values).loc["received", "share"]
    # Notebooks show tables as HTML.
    assert str(found.loc["received", "share"]) in found.to_html()


@pytest.mark.parametrize(
    ("gain", "lower_is_better", "words"),
    [
        (0.1, False, "gain"),
        (-0.1, False, "loss"),
        (-0.1, True, "gain"),
        (0.1, True, "loss"),
        (0.0, False, "no clear difference"),
    ],
)
def test_a_verdict_follows_the_differences(gain, lower_is_better, words):
    found = versus(measured(gain), "received", "share", lower_is_better=lower_is_better)
    assert found.verdict == words
    assert str(found).startswith(f"received against centre prior, share: {words}; difference")
    assert "60 images" in str(found)


def test_a_verdict_rests_on_identities_where_they_are_given():
    values, pids = measured(0.1), np.repeat(np.arange(20), 3)
    found = versus(values, "received", "share", pids)
    pair = values["received"]["share"], values["centre prior"]["share"]
    assert found.difference == paired_difference(*pair, pids)
    assert found.p_value == sign_flip_test(*pair, pids).p_value
    assert "20 identities" in str(found)
    # All differences have the same sign, but five identities are too few for a verdict.
    few = versus(values, "received", "share", np.repeat(np.arange(5), 12))
    assert few.verdict == "too few identities"
    assert "[" not in str(few) and "5 identities" in str(few)


def heat(change):
    maps = uniform(2, 4, 4).astype(float)
    change(maps)
    return maps


def negative(maps):
    maps[1, 0, 0], maps[1, 0, 1] = -0.5, 0.5 + 2 / 16


def not_a_number(maps):
    maps[1, 0, 0] = np.nan


def halved(maps):
    maps[1] /= 2


EMPTY = MASKS & np.array([True, False])[:, None, None]


@pytest.mark.parametrize("measure", [localisation.share_on_person, localisation.pointing_game, localisation.iou])
@pytest.mark.parametrize(
    ("maps", "masks", "words"),
    [
        (heat(negative), MASKS, "map 1 has the minimum -0.5"),
        (heat(not_a_number), MASKS, "map 1 has the minimum nan"),
        (heat(halved), MASKS, "the sum 0.5"),
        (uniform(2, 4, 2), MASKS, r"\(2, 4, 2\) and masks \(2, 4, 4\)"),
        (uniform(2, 4, 4)[0], MASKS, r"maps have shape \(4, 4\)"),
        (uniform(2, 4, 4), MASKS.astype(np.uint8), "masks are uint8"),
        (uniform(2, 4, 4), EMPTY, "mask 1 is empty"),
    ],
)
def test_measures_refuse_what_is_no_map_or_no_mask(measure, maps, masks, words):
    with pytest.raises(ValueError, match=words):
        measure(maps, masks)


IMAGES = np.zeros((2, 8, 4, 3), np.uint8)


@pytest.mark.parametrize(
    ("call", "words"),
    [
        (lambda: localisation.iou(uniform(2, 4, 4), MASKS, threshold=0), "threshold is 0"),
        (lambda: centre_prior(1, 4, 2, spread=0), "spread is 0"),
        (lambda: mean_mask(1, 4, 2, MASKS & False), "none of the 2 masks"),
        (lambda: mean_mask(1, 5, 2, MASKS), "5 x 2 cells are finer than images of 4 x 4"),
        (lambda: deletion_insertion(IMAGES[:1], uniform(2, 4, 2), len), r"give uint8 \(2, height"),
        (lambda: deletion_insertion(IMAGES / 255, uniform(2, 4, 2), len), "images are float64"),
        (lambda: deletion_insertion(IMAGES, uniform(2, 4, 2), len, steps=3), "must divide the 8 cells"),
        (lambda: deletion_insertion(IMAGES, uniform(2, 4, 2), len), "one finite number for each"),
        (lambda: deletion_insertion(IMAGES, uniform(2, 4, 2), len, fill=(1, 2)), r"fill has shape \(2,\)"),
        (lambda: versus(measured(0), "received", "shares"), "no 'shares' of 'received'; known: received: share"),
        (lambda: versus(measured(0), "rollout", "share"), "of 'rollout'"),
    ],
)
def test_what_else_is_refused(call, words):
    with pytest.raises(ValueError, match=words):
        call()

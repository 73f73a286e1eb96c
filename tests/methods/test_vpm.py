import numpy as np
import pytest
from made_methods import IMAGES, LABELS, make, predict


def test_the_share_that_is_kept_is_drawn_in_training_alone():
    method = make(method="vpm")
    kept = method.batch_inputs(np.zeros(4000, int), np.random.default_rng(0))["kept"]
    assert kept.min() >= 0.5 and kept.max() == 1.0
    # From 0.5 to 1.0833: a seventh is above 1.
    assert (kept == 1.0).mean() == pytest.approx(1 / 7, abs=0.02)
    assert (method.batch_inputs(LABELS, None)["kept"] == 1.0).all()


def test_the_losses_have_the_released_weights():
    method = make(method="vpm")
    weights = {name: weight for name, (_, weight) in method.losses.items()}
    assert weights == {"logits": 1.0, "identified": 1.0, "located": 0.5, "compared": 3.0}
    assert method._region_losses.margin == 1.0


def test_a_whole_image_in_training_gives_what_inference_gives():
    method = make(method="vpm")
    trained = method.training_model({"images": IMAGES, **method.batch_inputs(LABELS, None)}, training=False)
    np.testing.assert_allclose(trained["logits"], predict(method)["logits"], rtol=1e-3, atol=1e-5)


def test_all_regions_visible_and_equal_give_the_cosine_distance():
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(7, 6, 5)).astype("float32")
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    outputs = {"embedding": 2 * parts.reshape(7, -1), "visibility": np.full((7, 6), 2.0, "float32")}
    method = make(method="vpm")
    flat = parts.reshape(7, -1) / 6**0.5
    np.testing.assert_allclose(
        method.distances(outputs, outputs, "cosine").matrix(), 1 - flat @ flat.T, rtol=1e-4, atol=1e-5
    )


def test_a_half_is_compared_with_the_whole_by_what_both_show():
    """The lower regions of the whole image differ from anything: they must not count for a query that lacks them."""
    rng = np.random.default_rng(0)
    parts = rng.normal(size=(3, 6, 5)).astype("float32")
    parts /= np.linalg.norm(parts, axis=2, keepdims=True)
    half, other = np.array([1, 1, 1, 0, 0, 0], "float32"), parts.copy()
    other[:, 3:] = -other[:, 3:]
    query = {"embedding": (parts * half[:, None]).reshape(3, -1), "visibility": np.tile(half, (3, 1))}
    gallery = {"embedding": other.reshape(3, -1), "visibility": np.ones((3, 6), "float32")}
    distances = make(method="vpm").distances(query, gallery, "cosine").matrix()
    np.testing.assert_allclose(np.diag(distances), 0, atol=1e-6)
    assert (distances.argmin(axis=1) == np.arange(3)).all()


@pytest.mark.parametrize("setting", [{"distance": "euclidean"}, {"neck": "bnneck"}])
def test_settings_that_it_has_of_its_own_are_refused(setting):
    with pytest.raises(ValueError, match="method='vpm' has its own or none; leave"):
        make(method="vpm", **setting)


def test_too_few_rows_are_refused():
    with pytest.raises(ValueError, match="6 stripes of a feature map of 3 rows"):
        make(method="vpm", last_stride=2)

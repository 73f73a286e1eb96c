import numpy as np
import pytest
from made_methods import IMAGES, POINTS, batch_of, make, predict

from gaaplib.config import RunConfig
from gaaplib.datasets.synthetic import spec_for, write
from gaaplib.runs.data import load_data


def test_the_losses_are_shared_by_stripes_and_the_whole():
    weights = {name: weight for name, (_, weight) in make(method="pgfa").losses.items()}
    # That of "parts" is the mean of three.
    assert weights == pytest.approx({"parts": 0.2 * 3, "logits": 0.8})


def test_a_stripe_without_key_points_does_not_count():
    method, points = make(method="pgfa"), np.zeros_like(POINTS)
    points[:, :5] = [[10, 5, 1], [20, 10, 1], [10, 20, 1], [20, 40, 1], [15, 60, 1]]
    outputs = predict(method, IMAGES, points)
    assert outputs["visibility"].tolist() == [[1, 1, 0, 1]] * 8
    assert outputs["embedding"].shape == (8, 3 * 512 + 256)
    parts = outputs["embedding"][:, : 3 * 512].reshape(8, 3, 512)
    assert not parts[:, 2].any() and parts[:, :2].any()
    # Whatever the other image shows there, if it shows it.
    other = {name: array.copy() for name, array in outputs.items()}
    other["visibility"][:, 2] = 1
    seen = np.random.default_rng(0).normal(size=(8, 512)).astype("float32")
    other["embedding"][:, 1024:1536] = seen / np.linalg.norm(seen, axis=1, keepdims=True)
    for one, two in ((outputs, other), (other, outputs)):
        distances = method.distances(one, two, "cosine").matrix()
        np.testing.assert_allclose(np.diag(distances), 0, atol=1e-5)
    assert np.abs(method.distances(other, other, "cosine").matrix() - distances).max() > 0.01


def test_distances_are_the_means_over_what_both_show():
    method = make(method="pgfa")
    points = POINTS.copy()
    points[:4, :, 1] *= 0.3
    outputs = predict(method, IMAGES, points)
    found = method.distances(outputs, outputs, "cosine").matrix()
    vectors = [outputs["embedding"][:, start : start + 512] for start in (0, 512, 1024)]
    vectors.append(outputs["embedding"][:, 1536:])
    for one, other in [(0, 5), (5, 0), (6, 7), (1, 2)]:
        both = outputs["visibility"][one] * outputs["visibility"][other]
        apart = [1 - v[one] @ v[other] for v in vectors]
        assert found[one, other] == pytest.approx((both * apart).sum() / both.sum(), abs=1e-5)


def test_the_network_sees_the_key_points():
    method = make(method="pgfa")
    moved = POINTS.copy()
    moved[:, :, 1] = 95 - moved[:, :, 1]
    assert not np.allclose(predict(method)["logits"], predict(method, IMAGES, moved)["logits"], atol=1e-6)


def test_training_without_dropout_gives_what_inference_gives():
    method = make(method="pgfa")
    trained = method.training_model(batch_of(method), training=False)
    np.testing.assert_allclose(trained["logits"], predict(method)["logits"], rtol=1e-3, atol=1e-6)


def test_key_points_are_read_and_noise_is_added_if_asked_for(tmp_path):
    settings = {"method": "pgfa", "scale": 0.01, "height": 96}
    exact, noisy = (
        load_data(RunConfig("smoke", **settings, options=text), outputs=tmp_path) for text in (None, "noise=network")
    )
    points = exact.inputs.beside["keypoints"]
    assert points.shape == (len(exact.store.images), 17, 3) and points[:, :, 1].max() > 64
    changed = noisy.inputs.beside["keypoints"]
    assert 0.02 < (changed[:, :, 2] < points[:, :, 2]).mean() < 0.1
    with pytest.raises(ValueError, match="noise='loud' is not known; known: none, network"):
        load_data(RunConfig("smoke", **settings, options="noise=loud"), outputs=tmp_path)
    assert load_data(RunConfig("smoke", scale=0.01, height=96), outputs=tmp_path).beside == {}


def test_photographs_without_key_points_are_refused_by_file(tmp_path):
    root = write(tmp_path / "set", spec_for("market1501", 0.01), progress=False)
    (root / "keypoints.npz").unlink()
    with pytest.raises(FileNotFoundError, match="keypoints.npz is missing: this method needs"):
        load_data(RunConfig("smoke", method="pgfa", data=str(root)), outputs=tmp_path)

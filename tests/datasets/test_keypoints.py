import numpy as np
import pytest
from PIL import Image

from gaaplib.datasets import keypoints
from gaaplib.datasets.keypoints import MIRRORED, NAMES

RNG = np.random.default_rng(0)
PATHS = ["a/1.jpg", "a/2.jpg", "b/3.jpg"]


@pytest.fixture
def points(tmp_path):
    found = RNG.random((3, 17, 3)) * [20, 40, 1]
    keypoints.write(tmp_path, PATHS, found)
    return found


def test_mirrored_points_are_those_of_the_other_side():
    for name, other in zip(NAMES, MIRRORED, strict=True):
        assert NAMES[other] == {"l": name.replace("left", "right"), "r": name.replace("right", "left")}.get(
            name[0], name
        )


def test_points_are_read_by_path_in_pixels_of_the_resized_images(tmp_path, points):
    found = keypoints.read(tmp_path, PATHS[::-1], [(40, 20), (40, 20), (80, 10)], height=80, width=40)
    np.testing.assert_allclose(found[0], points[2] * [2, 2, 1], rtol=1e-6)
    np.testing.assert_allclose(found[2], points[0] * [4, 1, 1], rtol=1e-6)


def test_nobody_is_seen_on_images_that_the_file_does_not_have(tmp_path, points):
    with pytest.warns(UserWarning, match="has no points of 1 of 2 images"):
        found = keypoints.read(tmp_path, ["a/1.jpg", "new.jpg"], [(40, 20)] * 2, 40, 20)
    assert found[1].max() == 0 and found[0].max() > 0
    with pytest.raises(ValueError, match="points of 3 images, but of none of this data set, such as new.jpg"):
        keypoints.read(tmp_path, ["new.jpg"], [(40, 20)], 40, 20)


@pytest.mark.parametrize(
    ("arrays", "message"),
    [
        ({"path": ["a"]}, "cannot be read .*expected the arrays path and points"),
        ({"path": ["a"], "points": np.zeros((1, 14, 3))}, r"have the shape \(1, 14, 3\) for 1 paths; expected finite"),
        ({"path": ["a"], "points": np.full((1, 17, 3), np.nan)}, "expected finite numbers"),
        ({"path": ["a"], "points": np.full((1, 17, 3), 2.0)}, "confidences are from 0 to 1"),
        ({"path": np.array(["a"], object), "points": np.zeros((1, 17, 3))}, "cannot be read .*allow_pickle"),
    ],
)
def test_other_files_are_refused_by_name(tmp_path, arrays, message):
    np.savez(tmp_path / "keypoints.npz", **arrays)
    with pytest.raises(ValueError, match=f"keypoints.npz.*{message}"):
        keypoints.read(tmp_path, ["a"], [(4, 2)], 4, 2)


def test_a_missing_or_damaged_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match="keypoints.npz is missing: this method needs the key points"):
        keypoints.read(tmp_path, ["a"], [(4, 2)], 4, 2)
    (tmp_path / "keypoints.npz").write_bytes(b"no zip")
    with pytest.raises(ValueError, match="keypoints.npz cannot be read"):
        keypoints.read(tmp_path, ["a"], [(4, 2)], 4, 2)


def test_sizes_are_those_of_the_upright_image(tmp_path):
    image = Image.new("RGB", (30, 50))
    image.save(tmp_path / "upright.jpg")
    turned = image.getexif()
    turned[274] = 6
    image.save(tmp_path / "turned.jpg", exif=turned)
    assert keypoints.image_sizes(tmp_path, ["upright.jpg", "turned.jpg"]).tolist() == [[50, 30], [30, 50]]


def test_noise_moves_points_by_some_pixels_and_misses_some():
    points = np.zeros((400, 17, 3))
    points[:, :, 0], points[:, :, 1] = 30, np.linspace(10, 110, 17)
    points[:, :, 2] = 1
    points[:, 3, 2] = 0
    found = keypoints.noisy(points, np.random.default_rng(0))
    seen = found[:, :, 2] > 0
    assert not seen[:, 3].any()
    assert 1 - np.delete(seen, 3, axis=1).mean() == pytest.approx(0.07, abs=0.01)
    # A fiftieth of the 100 pixels from the highest to the lowest point.
    assert (found - points)[seen][:, 0].std() == pytest.approx(2, rel=0.05)
    assert (found[~seen] == 0).all() and points[0, 0, 0] == 30

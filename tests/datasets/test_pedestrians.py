"""One synthetic pedestrian, for a given look, stance and camera."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gaaplib.datasets.synthetic.cameras import Camera, make_camera
from gaaplib.datasets.synthetic.pedestrians import JOINTS, Stance, make_look, paint

SIZE = (128, 64)
GREY = (120, 120, 120)
FRONT, BACK, RIGHT = 0.0, np.pi, np.pi / 2


@pytest.fixture(scope="module")
def camera() -> Camera:
    """A neutral camera with a grey scene, without blur, grain or shadow."""
    drawn = make_camera(np.random.default_rng(0), 0, 6, SIZE[0], cast=0.0, quality=1.0)
    scene = Image.new("RGB", drawn.scene.size, GREY)
    return replace(drawn, scene=scene, resolution=1.0, blur=0.0, grain=0.0, sun=0.0)


def look(number: int, **changes):
    return replace(make_look(np.random.default_rng(number)), **changes)


def stance(view: float = FRONT, phase: float = 1.0, **changes) -> Stance:
    usual = {"x": 64.0, "top": 8.0, "size": 240.0, "stride": 0.3, "lift": 0.0, "tilt": 0.2}
    return Stance(view=view, phase=phase, **usual | changes)


def drawn(who, camera, where, seed: int = 0, **extra):
    return paint(who, camera, where, np.random.default_rng(seed), SIZE, **extra)


@pytest.mark.parametrize("view", np.linspace(0, 2 * np.pi, 9))
@pytest.mark.parametrize("number", range(6))
def test_whole_person_is_in_the_mask_with_its_joints(camera, number, view):
    drawing = drawn(look(number, stride=0.2), camera, stance(view))
    assert drawing.image.shape == (*SIZE, 3) and drawing.image.dtype == np.uint8
    assert drawing.mask.shape == SIZE and drawing.mask.dtype == bool
    assert drawing.keypoints.shape == (len(JOINTS), 3)
    assert 0.15 < drawing.mask.mean() < 0.6
    assert drawing.keypoints[:, 2].mean() > 0.9


def test_joints_are_in_anatomical_order(camera):
    y = dict(zip(JOINTS, drawn(look(1), camera, stance()).keypoints[:, 1], strict=True))
    down = [y["head"], y["neck"], y["left_shoulder"], y["left_hip"], y["left_knee"]]
    assert down == sorted(down) and y["left_knee"] < y["left_ankle"]


def test_left_is_on_the_right_of_the_image_from_the_front_only(camera):
    left, right = JOINTS.index("left_shoulder"), JOINTS.index("right_shoulder")
    front = drawn(look(1), camera, stance(FRONT)).keypoints[:, 0]
    back = drawn(look(1), camera, stance(BACK)).keypoints[:, 0]
    assert front[left] > front[right] + 5 and back[left] < back[right] - 5


def test_side_view_is_narrower(camera):
    still = {"stride": 0.0, "phase": 0.0}
    who = look(2, bag="none", skirt=False)
    rows = slice(30, 55)
    front = drawn(who, camera, stance(FRONT, **still)).mask[rows].sum()
    side = drawn(who, camera, stance(RIGHT, **still)).mask[rows].sum()
    assert side < 0.85 * front


def test_backpack_shows_from_behind(camera):
    def red(view):
        who = look(3, bag="backpack", bag_colour=(220, 20, 20), upper=(30, 30, 30))
        who = replace(who, upper_pattern="plain", lower=(30, 30, 30), lower_pattern="plain")
        image = drawn(who, camera, stance(view)).image.astype(int)
        return (image[..., 0] > image[..., 1] + 70)[25:70].sum()

    assert red(BACK) > 200 and red(BACK) > 3 * red(FRONT)


@pytest.mark.parametrize("pattern", ["rows", "columns", "checks", "spots", "logo", "halves", "sleeves", "band"])
def test_pattern_shows_its_second_colour(camera, pattern):
    def green(kind):
        who = look(4, upper=(30, 30, 30), upper_accent=(20, 200, 20), upper_pattern=kind)
        who = replace(who, bag="none", sleeve=1.0, jacket_open=False, lower=(30, 30, 30))
        image = drawn(replace(who, lower_pattern="plain"), camera, stance()).image.astype(int)
        return (image[..., 1] > image[..., 0] + 50).sum()

    assert green("plain") == 0 and green(pattern) > 40


def test_what_stands_in_front_takes_from_the_mask(camera):
    free = drawn(look(5), camera, stance())
    hidden = drawn(look(5), camera, stance(), in_front=(look(6), stance(x=90.0)))
    behind = drawn(look(5), camera, stance(), behind=(look(6), stance(x=90.0)))
    assert hidden.mask.sum() < 0.9 * free.mask.sum()
    assert not (hidden.mask & ~free.mask).any()
    assert hidden.keypoints[:, 2].sum() < free.keypoints[:, 2].sum()
    np.testing.assert_array_equal(behind.mask, free.mask)


def test_obstacles_hide_something(camera):
    free = drawn(look(5), camera, stance()).mask.sum()
    seen = [drawn(look(5), camera, stance(), seed, obstacle=True).mask.sum() for seed in range(10)]
    assert np.mean(seen) < 0.95 * free and max(seen) <= free


def test_scene_without_person_has_no_mask(camera):
    drawing = drawn(None, camera, stance())
    assert not drawing.mask.any() and not drawing.keypoints.any()


def test_light_comes_from_the_cameras_side(camera):
    from_left, from_right = (drawn(look(7), replace(camera, light=light), stance()) for light in (1.0, -1.0))
    gain = from_left.image.mean(-1) - from_right.image.mean(-1)
    edges = [np.flatnonzero(row)[[0, -1]] for row in from_left.mask[20:110]]
    left, right = np.array([gain[y, x] for y, x in enumerate(edges, 20)]).mean(0)
    assert left > 5 and right < -5

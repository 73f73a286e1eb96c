"""The synthetic cameras: their scenes, and the images they make of light."""

from dataclasses import replace

import numpy as np
import pytest
from PIL import Image

from gaaplib.datasets.synthetic.cameras import (
    HORIZON,
    SCENES,
    Camera,
    background,
    develop,
    make_camera,
    smooth_noise,
    tone,
)

HEIGHT, WIDTH = 64, 32
RED, GREEN, BLUE = range(3)
NOBODY = Image.new("L", (WIDTH, HEIGHT))


def camera(order: int = 0, *, seed: int = 0, cast: float = 0.0, quality: float = 1.0) -> Camera:
    return make_camera(np.random.default_rng([seed, order]), order, 6, HEIGHT, cast, quality)


@pytest.fixture(scope="module")
def cameras() -> list[Camera]:
    """One camera per scene, without colour cast."""
    return [camera(order) for order in range(len(SCENES))]


def clean(drawn: Camera) -> Camera:
    """A camera with its colours and exposure only, without blur and grain."""
    return replace(drawn, resolution=1.0, blur=0.0, grain=0.0)


def grey(value: float) -> np.ndarray:
    return np.full((HEIGHT, WIDTH, 3), value, np.float32)


def developed(drawn: Camera, light: np.ndarray, exposure: float = 1.0, seed: int = 0) -> np.ndarray:
    return develop(drawn, np.random.default_rng(seed), light, exposure)


def behind_nobody(drawn: Camera, place: float = 0.5, seed: int = 0) -> np.ndarray:
    return background(drawn, np.random.default_rng(seed), place, NOBODY, None)


# -- the camera --------------------------------------------------------------------------------------------------------


def test_equal_generators_give_equal_cameras_and_pixels():
    first, again, other = camera(), camera(), camera(seed=1)
    assert replace(first, scene=None) == replace(again, scene=None) != replace(other, scene=None)
    for pixels in (lambda c: np.asarray(c.scene), behind_nobody, lambda c: developed(c, behind_nobody(c))):
        np.testing.assert_array_equal(pixels(first), pixels(again))
        assert (pixels(first) != pixels(other)).mean() > 0.5


def test_indoors_is_another_scene_with_weaker_shadows():
    def made(indoor):
        return make_camera(np.random.default_rng(0), 1, 6, HEIGHT, cast=1.0, quality=1.0, indoor=indoor)

    assert made(True).sun < 0.5 * made(False).sun
    assert (np.asarray(made(True).scene) != np.asarray(made(False).scene)).mean() > 0.5


def test_each_image_has_its_own_place_and_grain(cameras):
    assert (behind_nobody(cameras[0], seed=1) != behind_nobody(cameras[0], seed=2)).mean() > 0.5
    assert (developed(cameras[0], grey(120), seed=1) != developed(cameras[0], grey(120), seed=2)).mean() > 0.5


def test_without_cast_colours_are_neutral(cameras):
    for drawn in cameras:
        np.testing.assert_allclose(np.reshape(drawn.matrix, (3, 4)), np.eye(3, 4), atol=1e-12)
        assert (drawn.brightness, drawn.contrast, drawn.gamma) == (1, 1, 1)
        for value in (20, 90, 160):
            np.testing.assert_allclose(developed(clean(drawn), grey(value)), value, atol=1)


def test_less_quality_is_more_blur_grain_and_coarseness():
    good, poor = camera(), camera(quality=0.4)
    assert poor.blur > good.blur and poor.grain > good.grain and poor.resolution < good.resolution
    np.testing.assert_array_equal(good.scene, poor.scene)


# -- the background ----------------------------------------------------------------------------------------------------


def test_scenes_differ_and_have_a_wall_above_the_ground(cameras):
    for drawn in cameras:
        assert drawn.scene.size == (4 * HEIGHT, 2 * HEIGHT) and drawn.scene.mode == "RGB"
    scenes = np.array([np.asarray(drawn.scene, float) for drawn in cameras])
    for one in range(len(scenes)):
        for other in range(one):
            assert np.abs(scenes[one] - scenes[other]).mean() > 10
    base = round(2 * HEIGHT * HORIZON)
    for scene, (_, _, _, ground) in zip(scenes, SCENES, strict=True):
        wall, floor = (part.mean(axis=(0, 1)) for part in (scene[: base - 4], scene[base + 4 :]))
        assert np.abs(wall - floor).max() > 5
        assert np.abs(floor - ground).max() < 40


@pytest.mark.parametrize("size", [(64, 32), (64, 64), (48, 16)])
@pytest.mark.parametrize("place", [0.0, 0.3, 0.7, 1.0])
def test_crops_have_the_asked_size_and_lie_in_the_scene(cameras, size, place):
    """Pillow refuses a box that leaves the scene."""
    height, width = size
    for seed in range(5):
        crop = background(cameras[0], np.random.default_rng(seed), place, Image.new("L", (width, height)), None)
        assert crop.shape == (height, width, 3) and crop.dtype == np.float32
        assert 0 <= crop.min() < crop.max() <= 255


def test_crops_differ_between_cameras_and_places(cameras):
    crops = [behind_nobody(drawn) for drawn in cameras] + [behind_nobody(cameras[0], place) for place in (0.0, 1.0)]
    for one in range(len(crops)):
        for other in range(one):
            assert np.abs(crops[one] - crops[other]).mean() > 5


def test_the_shadow_lies_at_the_feet_on_the_side_away_from_the_light(cameras):
    alpha = Image.new("L", (WIDTH, HEIGHT))
    alpha.paste(255, (12, 10, 20, 56))

    def shade(light, sun=0.5):
        lit = replace(cameras[0], light=light, sun=sun)
        cast = background(lit, np.random.default_rng(0), 0.5, alpha, (16.0, 56.0))
        return (behind_nobody(lit) - cast).mean(axis=-1)

    assert not shade(1.0, sun=0.0).any()
    for light in (1.0, -1.0):
        dark = shade(light)
        assert dark.min() >= 0
        assert dark[54:58, 14:19].mean() > 10
        assert dark[:30].max() == 0
        left, right = dark[45:53, :10].mean(), dark[45:53, 22:].mean()
        assert (right - left) * light > 3


# -- development -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("order", "strongest"), [(0, RED), (2, BLUE), (4, GREEN)])
def test_the_cast_of_a_camera_is_what_its_number_says(order, strongest):
    for seed in range(5):
        colour = developed(clean(camera(order, seed=seed, cast=1.0)), grey(120)).mean(axis=(0, 1))
        assert colour.argmax() == strongest
        assert 3 < np.ptp(colour) < 40


def test_cameras_differ_in_colour_only_when_told():
    def mean_colours(cast):
        return np.array([developed(camera(order, cast=cast), grey(120)).mean(axis=(0, 1)) for order in range(6)])

    assert mean_colours(1.0).std(axis=0).min() > 4
    assert mean_colours(0.0).std(axis=0).max() < 0.5


def test_more_light_is_brighter_up_to_compressed_highlights(cameras):
    levels = [developed(clean(cameras[0]), grey(value)).mean() for value in range(10, 256, 5)]
    assert (np.diff(levels) > 0).all() and levels[-1] < 245
    exposed = [developed(clean(cameras[0]), grey(90), exposure).mean() for exposure in (0.5, 1.0, 1.5)]
    np.testing.assert_allclose(exposed, [45, 90, 135], atol=1)


def test_blur_and_coarseness_take_detail_and_grain_adds_noise(cameras):
    checks = np.repeat(np.indices((HEIGHT, WIDTH)).sum(axis=0)[..., np.newaxis] % 2 * 100.0 + 50, 3, axis=-1)
    sharp = clean(cameras[0])
    detail = developed(sharp, checks).std()
    assert detail == pytest.approx(50, abs=1)
    assert developed(replace(sharp, blur=1.0), checks).std() < 0.6 * detail
    assert developed(replace(sharp, resolution=0.5), checks).std() < 0.6 * detail
    assert developed(replace(sharp, grain=4.0), grey(120)).std() == pytest.approx(4, rel=0.1)


def test_images_are_bytes_of_the_lights_size_whatever_the_light(cameras):
    for value in (-50, 0, 255, 900):
        image = developed(cameras[0], np.full((50, 20, 3), value, np.float32), exposure=2.0)
        assert image.shape == (50, 20, 3) and image.dtype == np.uint8


# -- what others draw with ---------------------------------------------------------------------------------------------


def test_smooth_noise_is_smooth_and_standard():
    noise = smooth_noise(np.random.default_rng(0), (300, 200), (10, 5))
    assert noise.shape == (200, 300)
    assert abs(noise.mean()) < 0.1 and noise.std() == pytest.approx(1, abs=0.15)
    assert np.abs(np.diff(noise, axis=1)).mean() < np.abs(np.diff(noise, axis=0)).mean() < 0.4


def test_tone_stays_in_range():
    assert tone((100, 200, 10), 0.5) == (50, 100, 5)
    assert tone((100, 200, 10), 2.0) == (200, 255, 20)
    assert tone((100, 200, 10), -1.0) == (0, 0, 0)

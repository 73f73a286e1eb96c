"""Augmentation of training images, with NumPy and Pillow alone."""

from dataclasses import dataclass

import numpy as np
from PIL import Image, ImageEnhance

from gaaplib.datasets.images import BORDER
from gaaplib.datasets.keypoints import MIRRORED

# ImageNet's mean as a normalised value, (m + m * s) * 255: what BoT's code fills erased rectangles with.
NORMALISED_MEAN = (152, 142, 127)


@dataclass(frozen=True)
class Augmentation:
    """The paper's four augmentations and those of other methods, with random parameters for each image.

    They come in this order: jitter, the paper's four and the flip in one step, pad-crop, erasing.

    Attributes:
        shift_x, shift_y: largest shift, as a share of width and of height.
        zoom: largest change of size, as a share; in or out, about the centre.
        crop: largest share of height and width that is cropped, at a random position; the rest is enlarged again.
        flip: probability of a horizontal flip (not in the paper).
        erase: probability that a rectangle is erased (Zhong et al. 2020; not in the paper).
        eraser: which: ``"small"`` fills 2-20 % of the image, of the image's own aspect ratio, with the mean colour.
            ``"bot"`` is that of BoT's code: 2-40 % of the image, an aspect ratio from 0.3 to 1 / 0.3, filled with
            ImageNet's mean after normalisation, which is lighter than the mean colour. ``"cutout"`` fills a square of
            a sixth of the height with the mean colour: 64 of BDB's 384 pixels.
        pad_crop: width in pixels of a black frame, out of which a random part of the image's size is taken.
        jitter: largest change of brightness, contrast and saturation, as a share, each drawn on its own.

    Raises:
        ValueError: a share or probability out of range, an unknown eraser.

    Example:
        >>> image = np.zeros((2, 4, 3), "uint8")
        >>> image[:, 0] = 255  # a white left edge
        >>> flip = Augmentation(shift_x=0, shift_y=0, zoom=0, crop=0, flip=1.0)
        >>> print(flip(image, np.random.default_rng(0))[:, :, 0])
        [[  0   0   0 255]
         [  0   0   0 255]]
    """

    shift_x: float = 0.1
    shift_y: float = 0.1
    zoom: float = 0.1
    crop: float = 0.1
    flip: float = 0.0
    erase: float = 0.0
    eraser: str = "small"
    pad_crop: int = 0
    jitter: float = 0.0

    def __post_init__(self):
        if self.eraser not in ERASERS:
            raise ValueError(f"eraser={self.eraser!r} is not known; known: {', '.join(ERASERS)}")
        if self.pad_crop < 0:
            raise ValueError(f"augmentation pad_crop={self.pad_crop!r}: expected pixels from 0")
        for name in ("shift_x", "shift_y", "zoom", "crop", "flip", "erase", "jitter"):
            value, top = getattr(self, name), 1.0 if name in ("flip", "erase") else 0.9
            if not 0.0 <= value <= top:
                raise ValueError(f"augmentation {name}={value!r}: expected a share from 0 to {top}")

    def __call__(self, image, rng):
        """The augmented image, uint8 (height, width, 3).

        Args:
            image: uint8 (height, width, 3).
            rng: numpy generator for the random parameters.
        """
        return self.with_beside(image, {}, rng)[0]

    def with_beside(self, image, beside, rng):
        """The augmented image, and what is beside it on the same pixels.

        What is erased from the image stays beside it: a network for poses has seen the whole image.

        Args:
            image, rng: as above.
            beside: a dict with any of ``"keypoints"``, (17, 3), x, y and confidence as in
                :mod:`gaaplib.datasets.keypoints`, and ``"masks"``, uint8 (height, width), 0 where the person is not. A
                flip swaps left and right key points; those that leave the image get confidence 0. What is beyond the
                image is not the person.

        Returns:
            The image, and a dict with the same names: float32 (17, 3), and uint8 (height, width).
        """
        # Always the same number of draws, so that no setting changes the random numbers of another. What came later
        # draws from a generator of its own.
        draws = rng.random(11)
        later = rng.spawn(1)[0] if self.jitter or self.pad_crop or self.eraser == "bot" else None
        if self.jitter:
            image = _jittered(image, self.jitter, later)
        box = self._box(image, draws)
        corner = later.integers(0, 2 * self.pad_crop, 2, endpoint=True) if self.pad_crop else None
        moved = {name: _BESIDE[name](array, box, self.pad_crop, corner, image.shape) for name, array in beside.items()}
        image = _moved(image, box, BORDER)
        if self.pad_crop:
            image = _padded_and_cropped(image, self.pad_crop, corner)
        if draws[7] < self.erase:
            ERASERS[self.eraser](image, draws[8:], later)
        return image, moved

    def _box(self, image, draws):
        """Left, top, right and bottom of what is seen; left and right are swapped if it is mirrored."""
        height, width = image.shape[:2]
        signed = 2.0 * draws - 1.0
        scale = (1.0 + self.zoom * signed[0]) * (1.0 - self.crop * draws[1])
        spare = self.crop * draws[1]
        centre_x = 0.5 + self.shift_x * signed[2] + spare * (draws[3] - 0.5)
        centre_y = 0.5 + self.shift_y * signed[4] + spare * (draws[5] - 0.5)
        left, right = (centre_x - scale / 2) * width, (centre_x + scale / 2) * width
        top, bottom = (centre_y - scale / 2) * height, (centre_y + scale / 2) * height
        if draws[6] < self.flip:
            left, right = right, left
        return left, top, right, bottom


def _moved(image, box, border):
    """The part of the image in a box, at the image's size: zoomed, cropped, shifted and flipped."""
    height, width = image.shape[:2]
    seen = Image.fromarray(image).transform(
        (width, height), Image.Transform.EXTENT, box, Image.Resampling.BILINEAR, fillcolor=border
    )
    # A copy, because Pillow's buffer is read-only.
    return np.array(seen)


def _points_moved(points, box, frame, corner, shape):
    """The key points after :func:`_moved`, and after :func:`_padded_and_cropped` if there is a frame."""
    left, top, right, bottom = box
    points = points[list(MIRRORED)] if right < left else points
    x, y = (points[:, 0] - left) / (right - left) * shape[1], (points[:, 1] - top) / (bottom - top) * shape[0]
    found = _inside(np.stack([x, y, points[:, 2]], axis=1), shape)
    if not frame:
        return found
    down, right = frame - corner
    return _inside(found + np.array([right, down, 0], "float32"), shape)


def _mask_moved(mask, box, frame, corner, shape):
    """Likewise of a mask."""
    found = _moved(mask, box, 0)
    return _padded_and_cropped(found, frame, corner) if frame else found


_BESIDE = {"keypoints": _points_moved, "masks": _mask_moved}


def _inside(points, shape):
    """The points, with confidence 0 for those that are not on the image, and 0 for all of their numbers."""
    x, y, confidence = points.T
    seen = (confidence > 0) & (x >= 0) & (x < shape[1]) & (y >= 0) & (y < shape[0])
    return np.where(seen[:, None], points, 0.0).astype("float32")


def _jittered(image, most, rng):
    picture = Image.fromarray(image)
    for kind in (ImageEnhance.Brightness, ImageEnhance.Contrast, ImageEnhance.Color):
        picture = kind(picture).enhance(rng.uniform(1.0 - most, 1.0 + most))
    return np.array(picture)


def _padded_and_cropped(image, frame, corner):
    height, width = image.shape[:2]
    padded = np.pad(image, ((frame, frame), (frame, frame), *[(0, 0)] * (image.ndim - 2)))
    top, left = corner
    return padded[top : top + height, left : left + width].copy()


# Erasers change the image, by three draws of the first generator or by the second one.


def _erase_small(image, draws, rng):
    height, width = image.shape[:2]
    area = 0.02 + 0.18 * draws[0]
    # The same share of height and width, so the rectangle has the image's aspect ratio.
    rows, columns = max(1, int(height * area**0.5)), max(1, int(width * area**0.5))
    _fill(image, rows, columns, draws[1:], BORDER)


def _erase_bot(image, draws, rng):
    height, width = image.shape[:2]
    for _ in range(100):
        area, aspect = rng.uniform(0.02, 0.4) * height * width, rng.uniform(0.3, 1 / 0.3)
        rows, columns = round((area * aspect) ** 0.5), round((area / aspect) ** 0.5)
        if rows < height and columns < width:
            _fill(image, rows, columns, rng.random(2), NORMALISED_MEAN)
            return


def _cut_out(image, draws, rng):
    side = round(image.shape[0] / 6)
    _fill(image, side, min(side, image.shape[1]), draws[1:], BORDER)


def _fill(image, rows, columns, place, colour):
    """Fill a rectangle whose place is given by two shares of the room that it has."""
    height, width = image.shape[:2]
    top, left = int(place[0] * (height - rows + 1)), int(place[1] * (width - columns + 1))
    image[top : top + rows, left : left + columns] = colour


ERASERS = {"small": _erase_small, "bot": _erase_bot, "cutout": _cut_out}

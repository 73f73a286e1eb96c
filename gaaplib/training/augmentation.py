"""Augmentation of training images, with NumPy and Pillow alone."""

from dataclasses import dataclass

import numpy as np
from PIL import Image

from gaaplib.datasets.images import BORDER


@dataclass(frozen=True)
class Augmentation:
    """The paper's four augmentations and two common ones, with random parameters for each image.

    Attributes:
        shift_x, shift_y: largest shift, as a share of width and of height.
        zoom: largest change of size, as a share; in or out, about the centre.
        crop: largest share of height and width that is cropped, at a random position; the rest is enlarged again.
        flip: probability of a horizontal flip (not in the paper).
        erase: probability that a random rectangle of 2-20 % of the image is blanked (Zhong et al. 2020; not in the
            paper).

    Raises:
        ValueError: a share or probability out of range.

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

    def __post_init__(self):
        for name, value in vars(self).items():
            top = 1.0 if name in ("flip", "erase") else 0.9
            if not 0.0 <= value <= top:
                raise ValueError(f"augmentation {name}={value!r}: expected a share from 0 to {top}")

    def __call__(self, image, rng):
        """The augmented image, uint8 (height, width, 3).

        Args:
            image: uint8 (height, width, 3).
            rng: numpy generator for the random parameters.
        """
        height, width = image.shape[:2]
        # Always the same number of draws, so that no setting changes the random numbers of another.
        draws = rng.random(11)
        signed = 2.0 * draws - 1.0
        scale = (1.0 + self.zoom * signed[0]) * (1.0 - self.crop * draws[1])
        spare = self.crop * draws[1]
        centre_x = 0.5 + self.shift_x * signed[2] + spare * (draws[3] - 0.5)
        centre_y = 0.5 + self.shift_y * signed[4] + spare * (draws[5] - 0.5)
        left, right = (centre_x - scale / 2) * width, (centre_x + scale / 2) * width
        top, bottom = (centre_y - scale / 2) * height, (centre_y + scale / 2) * height
        if draws[6] < self.flip:
            left, right = right, left
        moved = Image.fromarray(image).transform(
            (width, height),
            Image.Transform.EXTENT,
            (left, top, right, bottom),
            Image.Resampling.BILINEAR,
            fillcolor=BORDER,
        )
        # A copy, because Pillow's buffer is read-only.
        return self._erased(np.array(moved), draws[7:])

    def _erased(self, image, draws):
        if draws[0] >= self.erase:
            return image
        height, width = image.shape[:2]
        area = 0.02 + 0.18 * draws[1]
        # The same share of height and width, so the rectangle has the image's aspect ratio.
        rows, columns = max(1, int(height * area**0.5)), max(1, int(width * area**0.5))
        top, left = int(draws[2] * (height - rows + 1)), int(draws[3] * (width - columns + 1))
        image[top : top + rows, left : left + columns] = BORDER
        return image

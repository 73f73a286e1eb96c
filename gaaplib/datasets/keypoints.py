"""Key points of the persons on images, from a file that a pose network or the generator has written.

``keypoints.npz`` lies in the data set's folder, beside what its parser reads. It has two arrays:

- ``path``, n texts: paths of images, as in the parser's records;
- ``points``, (n, 17, 3): the key points of COCO in the order of ``NAMES``, each x and y in pixels of the image and a
  confidence from 0 (not seen) to 1. x is 0 at the left edge of the image, y is 0 at its top.

Images that the file does not have get points of confidence 0, as if a pose network had found nobody.
"""

import warnings
from pathlib import Path

import numpy as np
from PIL import Image

from gaaplib.datasets.images import LYING, turned
from gaaplib.project import written_whole

FILE = "keypoints.npz"

NAMES = (
    *("nose", "left_eye", "right_eye", "left_ear", "right_ear", "left_shoulder", "right_shoulder", "left_elbow"),
    *("right_elbow", "left_wrist", "right_wrist", "left_hip", "right_hip", "left_knee", "right_knee", "left_ankle"),
    "right_ankle",
)
"""The key points of COCO, in its order."""

MIRRORED = tuple(
    NAMES.index(name.replace("left", "right") if "left" in name else name.replace("right", "left")) for name in NAMES
)
"""The place of each point's counterpart on the other side."""


def read(folder, paths, sizes, height, width):
    """The key points of images, in pixels of the size to which they are resized.

    Args:
        folder: of the data set.
        paths: n paths of images, as in its records.
        sizes: (n, 2) heights and widths of these images; see :func:`image_sizes`.
        height, width: to which the images are resized.

    Returns:
        float32 (n, 17, 3).

    Raises:
        FileNotFoundError: there is no such file.
        ValueError: it is not what it should be, or has none of the images.
    """
    file = Path(folder) / FILE
    if not file.is_file():
        raise FileNotFoundError(
            f"{file} is missing: this method needs the key points of the images; its arrays are path (n texts) and "
            f"points (n, {len(NAMES)}, 3), x, y and confidence of COCO's points in pixels"
        )
    known, points = _loaded(file)
    place = {path: index for index, path in enumerate(known)}
    found = np.array([place.get(path, -1) for path in paths])
    missing = np.count_nonzero(found < 0)
    if missing == len(paths):
        raise ValueError(f"{file} has points of {len(known)} images, but of none of this data set, such as {paths[0]}")
    if missing:
        warnings.warn(f"{file} has no points of {missing} of {len(paths)} images: nobody is seen there", stacklevel=2)
    chosen = np.where(found[:, None, None] >= 0, points[found], 0.0)
    scale = np.array([width, height]) / np.asarray(sizes, float)[:, ::-1]
    chosen[:, :, :2] *= scale[:, None, :]
    return chosen.astype("float32")


def of_store(folder, store, sizes):
    """The key points of the images of a store, float32 (n, 17, 3), in the order of its images and in their pixels.

    Args:
        folder: of the data set, with the file.
        store: a :class:`gaaplib.datasets.images.ImageStore`.
        sizes: a function of the folder and the paths, which returns the sizes of the images: :func:`image_sizes`.
    """
    paths, (height, width) = store.records.path.tolist(), store.images.shape[1:3]
    found = np.zeros((len(store.images), len(NAMES), 3), "float32")
    found[store.records.row] = read(folder, paths, sizes(folder, paths), height, width)
    return found


def _loaded(file):
    try:
        with np.load(file, allow_pickle=False) as arrays:
            known, points = arrays["path"].tolist(), np.asarray(arrays["points"], float)
    except Exception as error:  # On damaged files NumPy and zipfile raise errors of many types.
        raise ValueError(f"{file} cannot be read ({error}): expected the arrays path and points") from error
    if points.shape != (len(known), len(NAMES), 3) or not np.isfinite(points).all():
        raise ValueError(
            f"{file}: points have the shape {points.shape} for {len(known)} paths; expected finite numbers "
            f"({len(known)}, {len(NAMES)}, 3)"
        )
    if points.size and not 0 <= points[:, :, 2].min() <= points[:, :, 2].max() <= 1:
        raise ValueError(f"{file}: confidences are from 0 to 1, but some are not")
    return known, points


def write(folder, paths, points):
    """Write ``keypoints.npz`` to a folder: paths (n texts) and points (n, 17, 3), as :func:`read` takes them."""
    file = Path(folder) / FILE
    with written_whole(file) as part, open(part, "wb") as opened:
        np.savez_compressed(opened, path=np.array(paths), points=np.asarray(points, "float32"))


def image_sizes(folder, paths):
    """(n, 2) heights and widths of image files, upright, from their headers."""
    sizes = []
    for path in paths:
        with Image.open(Path(folder) / path) as image:
            lies = turned(image) in LYING
            sizes.append((image.width, image.height) if lies else (image.height, image.width))
    return np.array(sizes).reshape(-1, 2)


def noisy(points, rng, jitter=0.02, missed=0.07):
    """Key points as a pose network would give them.

    Args:
        points: (n, 17, 3), which stay as they are.
        rng: numpy generator.
        jitter: deviation of each coordinate, as a share of the distance between a person's highest and lowest point.
        missed: share of the points that it does not find.

    Returns:
        The changed points; what was not seen still is not.
    """
    found = np.array(points)
    seen = found[:, :, 2] > 0
    y = found[:, :, 1]
    size = np.where(seen, y, -np.inf).max(axis=1) - np.where(seen, y, np.inf).min(axis=1)
    deviation = jitter * np.where(np.isfinite(size), size, 0.0)[:, None, None]
    found[:, :, :2] += deviation * rng.normal(size=(*seen.shape, 2))
    found[rng.random(seen.shape) < missed] = 0.0
    found[~seen] = 0.0
    return found

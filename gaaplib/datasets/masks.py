"""Masks of the persons on images, from PNG files that the generator or a segmentation has written.

The masks lie in the folder ``masks`` of the data set, beside what its parser reads, under the paths of their images
with the ending .png: ``masks/bounding_box_train/0002_c1s1_000451_03.png``. White, or any value but 0, is the person.
"""

from pathlib import Path

import numpy as np
from PIL import Image
from tqdm import tqdm

from gaaplib.datasets.keypoints import image_sizes

FOLDER = "masks"


def file_of(folder, path):
    """The file of the mask that belongs to an image with this path."""
    return (Path(folder) / FOLDER / path).with_suffix(".png")


def read(folder, path):
    """The mask of an image, bool (height, width), True on the person.

    Args:
        folder: of the data set.
        path: of the image, as in the data set's records.

    Raises:
        FileNotFoundError: it has no mask.
        ValueError: the file is not a picture of one channel.
    """
    file = file_of(folder, path)
    if not file.is_file():
        raise FileNotFoundError(
            f"no mask of {path!r} in {folder}: looked for {file}, a PNG of one channel in which the person is not 0"
        )
    try:
        with Image.open(file) as opened:
            found = np.asarray(opened)
    except Exception as error:  # On damaged files Pillow raises errors of many types.
        raise ValueError(f"{file} cannot be read ({error}): expected a PNG of one channel") from error
    if found.ndim != 2:
        raise ValueError(f"{file} has {found.shape[2]} channels; a mask has one, in which the person is not 0")
    return found != 0


def of_files(folder, paths):
    """Yield the masks of images in files, as :func:`read` and with its errors.

    Raises:
        ValueError: a mask is of another size than its image.
    """
    for path in paths:
        found, (size,) = read(folder, path), image_sizes(folder, [path])
        if found.shape != tuple(size):
            there, expected = (" x ".join(map(str, sides)) for sides in (found.shape, size))
            raise ValueError(f"{file_of(folder, path)} has {there} pixels, but its image has {expected}")
        yield found


def of_store(store, wanted, masks, *, progress=False):
    """The masks of the images of a store at its size, uint8 (n, height, width), 255 on the person.

    Args:
        store: a :class:`gaaplib.datasets.images.ImageStore`.
        wanted: the rows of its records whose masks are read; those of the other images stay 0.
        masks: a function of paths, which yields the mask of each, bool (height, width), such as :func:`of_files`.
        progress: show a bar.
    """
    _, height, width, _ = store.images.shape
    found = np.zeros((len(store.images), height, width), np.uint8)
    records = store.records[store.records.row.isin(wanted)]
    paths = records.path.tolist()
    bar = tqdm(masks(paths), desc="reading masks", unit="mask", total=len(paths), disable=not progress)
    for row, mask in zip(records.row, bar, strict=True):
        picture = Image.fromarray(np.where(mask, np.uint8(255), np.uint8(0)))
        found[row] = picture.resize((width, height), Image.Resampling.BILINEAR)
    return found

"""What a network sees: images, and for some methods something beside each image, such as its key points.

Most networks take images alone, as an array. A network with further inputs takes a dict, and its images travel as
:class:`Inputs`. The functions here take either.
"""

from dataclasses import dataclass

import numpy as np


@dataclass(frozen=True, eq=False)
class Inputs:
    """Images and what is beside each of them, indexed together like an array.

    Attributes:
        images: uint8 (n, height, width, 3), such as a memory map.
        beside: ``{name: array (n, ...)}``, named as the network's inputs.

    Example:
        >>> inputs = Inputs(np.zeros((3, 2, 2, 3), np.uint8), {"number": np.arange(3)})
        >>> inputs[[2, 0]].beside["number"].tolist(), len(inputs)
        ([2, 0], 3)
    """

    images: np.ndarray
    beside: dict

    def __len__(self):
        return len(self.images)

    def __getitem__(self, rows):
        return Inputs(self.images[rows], {name: array[rows] for name, array in self.beside.items()})


def pixels(inputs):
    """The images alone."""
    return inputs.images if isinstance(inputs, Inputs) else inputs


def with_pixels(inputs, images):
    """The same with other images."""
    return Inputs(images, inputs.beside) if isinstance(inputs, Inputs) else images


def as_arrays(inputs, model):
    """What a network takes: the images, or a dict of them and those arrays beside them that it sees."""
    wanted = getattr(model, "input", None)
    if not isinstance(wanted, dict):
        return pixels(inputs)
    return {"images": inputs.images, **{name: inputs.beside[name] for name in wanted if name != "images"}}


def joined(parts):
    """One after the other.

    Example:
        >>> part = Inputs(np.zeros((1, 2, 2, 3), np.uint8), {"number": np.array([7])})
        >>> joined([part, part]).beside["number"].tolist()
        [7, 7]
    """
    images = np.concatenate([pixels(part) for part in parts])
    if not isinstance(parts[0], Inputs):
        return images
    return Inputs(images, {name: np.concatenate([part.beside[name] for part in parts]) for name in parts[0].beside})


def check(model, inputs):
    """Refuse images alone where a network needs something beside them.

    Raises:
        ValueError: it does; the message names what.
    """
    wanted = getattr(model, "input", None)
    if isinstance(wanted, dict) and not isinstance(inputs, Inputs):
        beside = ", ".join(name for name in wanted if name != "images")
        raise ValueError(
            f"this network sees {beside} beside each image: give both, as gaaplib.datasets.inputs.Inputs; the images "
            "of its run have them"
        )

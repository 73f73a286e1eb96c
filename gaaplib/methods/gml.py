"""A stand-in for GML (Meng et al., TPAMI 2022): learns from bags of images, of which it is known who is among them."""

import re

import numpy as np

from gaaplib.clustering import in_order
from gaaplib.methods.gaap import Gaap
from gaaplib.methods.triplet import check_batches
from gaaplib.network.losses import CrossEntropy, Mean
from gaaplib.network.weak import BagLosses

DEFAULTS = {
    "attention": "none",
    "neck": "bnneck",
    "sampler": "identity_balanced",
    "label_smoothing": 0.0,
    "dropout": 0.0,
}
OPTIONS = {"aligned": 1.0, "clip": 16}
LIMITS = {"aligned": (0.0, 100.0), "clip": (1, 10_000)}
ONLY = {"label_smoothing": 0.0, "margin": 0.3}

SEQUENCE = re.compile(r"_c\d+s(\d+)_")
"""Market-1501's number of a camera's sequence in a file name."""


class Gml(Gaap):
    """Is told which persons are in a group of images of one camera, but not which is which.

    NOT the method of the paper, of which only the abstract was found: it learns from untrimmed videos with several
    persons in a frame, by graphs of the persons in consecutive frames. Data sets of single persons have no such frames.
    This stands in its place: what the abstract calls weakly supervised regularisation, without the graphs.

    The training images of a camera, and of a sequence where file names tell it, are divided at random into clips of
    ``clip`` images. A batch has bags of ``images_per_identity`` images, each out of one clip. The network is BoT's
    without its losses. A bag's highest logit of each identity learns whether the person is in the bag, and the images
    that two bags have of one person are pulled together (:class:`gaaplib.network.weak.BagLosses`). Images are compared
    by the normalised vectors.

    ``attention`` and ``pooling`` are GAAP's and may be given. It needs P x K batches, whose P are bags here.

    Options:
        aligned: weight of the second loss.
        clip: images of a clip; of the last one of a camera, fewer.
    """

    def __init__(self, config, num_classes):
        check_batches(config)
        self._bags = None
        super().__init__(config, num_classes)

    def given(self, table):
        sequences = [SEQUENCE.search(path.rsplit("/", 1)[-1]) for path in table.path]
        names = [f"{camid} {found[1] if found else ''}" for camid, found in zip(table.camid, sequences, strict=True)]
        self._bags = clips(names, self.options["clip"], np.random.default_rng(self.config.seed))

    def drawn_by(self, labels):
        return labels if self._bags is None else self._bags

    def _make_losses(self):
        self._bag_losses = BagLosses(self.config.images_per_identity, name="bag_losses")
        # "logits" are only watched.
        watched = (CrossEntropy(self.config.label_smoothing), 0.0)
        return {"present": (Mean(), 1.0), "aligned": (Mean(), self.options["aligned"]), "logits": watched}

    def _head(self, features, groups=None):
        outputs = super()._head(features, groups)
        if groups is None:
            return outputs
        return outputs | self._bag_losses([outputs["logits"], outputs["embedding"], groups])


def clips(names, size, rng):
    """The clip of each image, (n,) integers: images of one name, in a random order, so many in each.

    Example:
        >>> clips(["a", "b", "a", "a"], 2, np.random.default_rng(0)).tolist()
        [0, 1, 2, 0]
    """
    names = np.asarray(names)
    found, first = np.empty(len(names), int), 0
    for name in np.unique(names):
        members = rng.permutation(np.flatnonzero(names == name))
        found[members] = first + np.arange(len(members)) // size
        first = found[members].max() + 1
    return in_order(found)

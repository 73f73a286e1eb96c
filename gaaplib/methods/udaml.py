"""A stand-in for UDAML (Pierre and Qi, CTISC 2021): from a labelled data set to another one without labels."""

from gaaplib.methods.hct import Hct
from gaaplib.network.losses import BatchHardTriplet

DEFAULTS = "hct"
OPTIONS = {"rounds": 10, "merged": 0.91}
LIMITS = "hct"
ONLY = {"neck": "none", "dropout": 0.0, "label_smoothing": 0.0, "margin": 0.5}
# That of the other method that adapts in rounds of clusters. BoT's, with its falls and its warm-up, is for one training
# of 120 epochs: its warm-up would fill most of each round. The run on the source has it.
RECIPE = "mebnet"
START = {"method": "bot", "options": "centre=0.0"}


class Udaml(Hct):
    """Starts from a supervised run on ``train_dataset`` and goes on without identities, in rounds of clustering.

    NOT the method of the paper, of which nothing was found, neither text nor code: its name, "unsupervised domain
    adaptation with metric learning", is all there is. This stands in its place. It is the usual baseline of the
    problem, in two steps: cross-entropy and triplet loss on the labelled source (:class:`gaaplib.methods.bot.Bot`
    without its centre loss), then HCT's rounds of clusters on the target with the soft-margin triplet loss. The run on
    the source is made first if it is missing. Without ``train_dataset`` it starts like HCT.

    Nothing is known of the rate. In the profile ``own`` it is constant in the rounds, as MEB-Net's.

    Options:
        rounds, merged: as HCT's.
    """

    def _make_losses(self):
        return {"pooled": (BatchHardTriplet("soft"), 1.0)}

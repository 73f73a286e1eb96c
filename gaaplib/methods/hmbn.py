"""HMBN, after its abstract alone: a horizontal multi-branch network (Tang and Huang, ACM TOMM 2022).

The paper's Table IV calls it TLE. Neither code nor numbers of branches, stripes and weights were found.
"""

from gaaplib.methods import mgn
from gaaplib.network.blocks import BranchAttention
from gaaplib.network.losses import BatchHardTriplet
from gaaplib.network.parts import stripes

DEFAULTS = "mgn"
OPTIONS = {"dim": 256, "identified": "pooled", "overlap": 0.5}
LIMITS = {"dim": (1, 65536), "identified": ("pooled", "reduced"), "overlap": (0.0, 4.0)}
ONLY = "mgn"


class Hmbn(mgn.Mgn):
    """MGN with overlapping stripes, attention between its branches, and a harder triplet loss.

    That there are branches with stripes that overlap, attention across branches and a harder triplet loss is what the
    abstract says. The rest is MGN's (:class:`gaaplib.methods.mgn.Mgn`) or ours: a stripe is half as high again as the
    rows that are its own; each branch attends to the positions of all three
    (:class:`gaaplib.network.blocks.BranchAttention`); the negative's distance is the smaller of those to the anchor
    and to the positive. So its scores say little about the paper's method.

    ``attention`` and ``pooling`` are as for MGN. It needs P x K batches.

    Options:
        dim, identified: as for MGN.
        overlap: how much higher a stripe is than the rows that are its own.
    """

    def _make_head(self):
        super()._make_head()
        self._across = [BranchAttention(name=f"across{number + 1}") for number in range(len(self._branches))]

    def _parts_of(self, rows, count):
        return stripes(rows, count, self.options["overlap"])

    def _metric_loss(self):
        return BatchHardTriplet(self.config.margin, both_sides=True)

    def _maps(self, features):
        maps = super()._maps(features)
        # Each branch's own map comes first.
        return [attend([maps[own], *maps[:own], *maps[own + 1 :]]) for own, attend in enumerate(self._across)]

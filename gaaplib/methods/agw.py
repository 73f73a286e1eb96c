"""AGW: BoT with non-local blocks, generalised mean pooling and a weighted triplet loss (Ye et al., TPAMI 2021)."""

from gaaplib.attention import ATTENTION
from gaaplib.methods.bot import Bot
from gaaplib.network.losses import WeightedTriplet

DEFAULTS = {
    "attention": "none",
    "neck": "bnneck",
    "pooling": "gem",
    "sampler": "identity_balanced",
    "label_smoothing": 0.1,
    "dropout": 0.0,
}
OPTIONS = {"centre": 5e-4, "channels": "half"}
LIMITS = {"centre": (0.0, 100.0), "channels": ("half", "one")}
ONLY = {"margin": 0.3}
RECIPE = "bot"

BLOCKS = {2: 2, 3: 3}
"""After how many of the last blocks of a stage there is a non-local block; He et al. number these stages 3 and 4."""

CHANNELS = {"half": None, "one": 1}
"""Channels of the blocks' projections: half of the map's, as the paper has it, or one, as the released code."""


class Agw(Bot):
    """BoT with non-local blocks after the last blocks of the second and third stage, GeM and a weighted triplet loss.

    A stage of fewer blocks than that has a non-local block after each. The blocks start as the identity, so an
    untrained AGW is an untrained BoT with GeM pooling. ``attention`` is GAAP's, behind the backbone, and may be given.

    Options:
        centre: weight of the centre loss; 0 leaves it out.
        channels: ``half`` or ``one``; the released code (mangye16/ReID-Survey) divides the reduction by itself, and so
            has one channel.
    """

    def __init__(self, config, num_classes):
        self._inserted = 0
        super().__init__(config, num_classes)

    def _metric_loss(self):
        return WeightedTriplet()

    def _insert(self, x, stage, left):
        if left >= BLOCKS.get(stage, 0):
            return x
        channels = CHANNELS[self.options["channels"]]
        self._inserted += 1
        name = f"nonlocal{self._inserted}"
        return ATTENTION["nonlocal"](key_dim=channels, value_dim=channels, use_bias=True, name=name)(x)

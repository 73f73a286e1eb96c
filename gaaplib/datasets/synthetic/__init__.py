"""Synthetic pedestrians: a generated twin of each data set, in that data set's folder layout."""

from gaaplib.datasets.synthetic.generate import (
    SPECS,
    VARIANTS,
    VERSION,
    SyntheticSpec,
    draw,
    mask,
    num_images,
    plan,
    spec_for,
    write,
)

__all__ = ["SPECS", "VARIANTS", "VERSION", "SyntheticSpec", "draw", "mask", "num_images", "plan", "spec_for", "write"]

"""Synthetic pedestrians: a twin of each data set, in its own layout."""

from gaaplib.datasets.synthetic.generate import (
    SPECS,
    VERSION,
    SyntheticSpec,
    draw,
    mask,
    num_images,
    plan,
    spec_for,
    write,
)

__all__ = ["SPECS", "VERSION", "SyntheticSpec", "draw", "mask", "num_images", "plan", "spec_for", "write"]

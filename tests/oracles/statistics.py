"""Reference implementation of the sign-flip test: loops and fractions, no code shared with gaaplib."""

from fractions import Fraction
from itertools import product


def sign_flip_p_value(a, b, groups):
    """The share of all sign combinations with a mean difference at least as far from 0."""
    names = sorted(set(groups))

    def distance(signs):
        sign = dict(zip(names, signs, strict=True))
        return abs(sum(sign[group] * (Fraction(x) - Fraction(y)) for x, y, group in zip(a, b, groups, strict=True)))

    seen = distance([1] * len(names))
    choices = list(product((1, -1), repeat=len(names)))
    return sum(distance(signs) >= seen for signs in choices) / len(choices)

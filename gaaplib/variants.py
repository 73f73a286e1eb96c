"""The configurations of a comparison: settings that vary, with every other setting the same (``gaap compare``).

Importing this module does not import Keras, so that a wrong setting is refused at once.
"""

import warnings
from itertools import product

from gaaplib import batch
from gaaplib.config import SYNTHETIC, RunConfig
from gaaplib.datasets import read
from gaaplib.datasets.splits import no_match, protocol_split


def parse(vary, seeds, folds, given, known):
    """Configurations that differ in some settings, those of one variant together.

    Args:
        vary: texts such as ``"attention=none,class"``; several give every combination.
        seeds, folds: texts such as ``"0,1,2"``; None: one run, with the seed or fold of ``given``.
        given: ``{name: value}``, the settings that all have.
        known: the parameters of ``02_train``, as :func:`gaaplib.batch.parameters` returns them.

    Returns:
        A list of ``(values, config)``: the parameters of ``02_train``, and the :class:`gaaplib.config.RunConfig`.

    Raises:
        ValueError: nothing varies; an unknown setting or value; or a setting that is given twice.

    Example:
        >>> setting = {"inferred_type_name": "str", "default": "class", "help": ""}
        >>> [config.attention for _, config in parse(["attention=none,class"], None, None, {}, {"attention": setting})]
        ['none', 'class']
    """
    repeated = [f"{name}={texts}" for name, texts in (("seed", seeds), ("fold", folds)) if texts is not None]
    choices = [_choices(text, given, known) for text in (*vary, *repeated)]
    if not vary or any(len(each) < 2 for each in choices[: len(vary)]):
        raise ValueError("nothing varies: give --vary NAME=VALUE,VALUE with two values or more, or two or more --run")
    names = [name for each in choices for name in {name for name, _ in each}]
    twice = [name for name in names if names.count(name) > 1]
    if twice:
        raise ValueError(f"{twice[0]} is given twice, in --vary, --seeds or --folds: give it once, with all values")
    found = []
    for combination in product(*choices):
        values = batch.with_whole_paths(given | dict(combination))
        found.append((values, RunConfig(**values)))
    return found


def _choices(text, given, known):
    """``[(name, value), ...]`` of a text such as ``"attention=none,class"``."""
    name, equals, values = text.partition("=")
    if not equals or not values:
        raise ValueError(f"--vary {text!r}: expected NAME=VALUE,VALUE such as attention=none,class")
    if name in given:
        raise ValueError(f"{name} is given by -p and varies, too: leave out -p {name}")
    words = [word.strip() for word in values.split(",")]
    repeated = [word for word in words if words.count(word) > 1]
    if repeated:
        raise ValueError(f"{text}: {repeated[0]} is given twice")
    return [(name, batch.parse_parameters([(name, word)], known, "02_train.ipynb")[name]) for word in words]


def check_data(configs):
    """Refuse images that a run could not score, before any is made; nothing is decoded.

    Raises:
        FileNotFoundError, ValueError: the parser or the split refuses the folder, or no query has a match; the message
            says what is needed.
    """
    sources = {(c.dataset, c.data, c.variant, c.pattern, c.fold, c.seed) for c in configs if c.data != SYNTHETIC}
    with warnings.catch_warnings():
        # The runs say them again.
        warnings.simplefilter("ignore")
        for dataset, data, variant, pattern, fold, seed in sorted(sources, key=str):
            nothing = no_match(protocol_split(read(dataset, data, variant, pattern), fold, seed=seed))
            if nothing:
                raise ValueError(f"{data}, fold {fold}, seed {seed}: {nothing}")

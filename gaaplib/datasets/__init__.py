"""The data sets: one module each, whose ``read`` returns the record table of :mod:`gaaplib.datasets.records`.

A module has ``read(root, expected)`` and the published counts in ``EXPECTED``. If its images are not separate files, it
also has ``images(root, paths)``, which yields Pillow images. If the data set comes in ``VARIANTS``, ``read`` takes a
further argument ``variant``, and ``published(root, variant)`` returns the counts. If it has no training set, or too few
images for the closed protocol, ``TRAINED_ON`` or ``CLOSED_ON`` names the data set to use instead. A data set whose
files need no code of its own is a row of :mod:`gaaplib.datasets.patterns` instead of a module.
"""

from pathlib import Path

from gaaplib.datasets import cuhk03, folder, ilids, market1501, partial_ilids, patterns, raid, rpifield
from gaaplib.project import literal

DATASETS = {
    "market1501": market1501,
    "raid": raid,
    "partial_ilids": partial_ilids,
    "ilids": ilids,
    "rpifield": rpifield,
    "cuhk03": cuhk03,
    **{name: layout for name, layout in patterns.LAYOUTS.items() if name != "market1501"},
    "folder": folder,
}
"""The parser of each data set: a module with ``read`` and what else CONTRIBUTING lists."""


def read(name, root, variant=None, pattern=None):
    """The record table of a copy on disk.

    Args:
        name: a key of ``DATASETS``.
        root: the data set's folder.
        variant: one of the data set's ``VARIANTS``, or None.
        pattern: of ``folder`` only: see :func:`gaaplib.datasets.folder.read`.

    Raises:
        FileNotFoundError, ValueError: the folder is not what the data set's parser expects; the message says what is,
            and which other data set the folder looks like.
    """
    given = {"variant": variant, "pattern": pattern}
    try:
        return DATASETS[name].read(root, **{key: value for key, value in given.items() if value is not None})
    except (FileNotFoundError, ValueError) as error:
        others = [f"{other} ({about(other)})" for other in looks_like(root) if other != name]
        if not others:
            raise
        # Not type(error), as some kinds of ValueError take more than a message.
        kind = FileNotFoundError if isinstance(error, FileNotFoundError) else ValueError
        raise kind(f"{error}\nThe folder looks like {' or '.join(others)}: give this name instead") from error


def looks_like(root):
    """Names of the data sets whose layout a folder has, by its folders and the names of a few images."""
    root = Path(root).expanduser()
    try:
        return [name for name, layout in patterns.LAYOUTS.items() if layout.fits(root)] if root.is_dir() else []
    except (OSError, ValueError):
        return []


def about(name):
    """One line on a data set.

    Example:
        >>> about("viper")
        'VIPeR: 632 identities with one image from each of two cameras (Gray et al., PETS 2007).'
    """
    dataset = DATASETS[name]
    return dataset.about if isinstance(dataset, patterns.Layout) else dataset.__doc__.splitlines()[0]


def published(name, root, variant=None):
    """The published counts of a data set, ``{split: {"images": ..., ...}}``, or None if there are none.

    Args:
        name: a key of ``DATASETS``.
        root: the data set's folder; CUHK03 looks there for the variant if ``variant`` is None.
        variant: one of the data set's ``VARIANTS``, or None.

    Example:
        >>> published("ilids", "data/ilids")
        {'all': {'images': 476, 'identities': 119, 'cameras': 0}}
        >>> published("market1501", "data/market1501", variant="500k")["gallery"]
        {'images': 515913, 'identities': 751, 'cameras': 6}
    """
    dataset = DATASETS[name]
    return dataset.published(root, variant) if hasattr(dataset, "VARIANTS") else dataset.EXPECTED


def check_variant(name, variant, *, twin=False):
    """Refuse a variant that a data set does not have.

    Args:
        name: a key of ``DATASETS``.
        variant: None, or one of the data set's ``VARIANTS``, or of those of synthetic twins.
        twin: whether the images are those of the twin, which has variants of its own.

    Raises:
        ValueError: it does not have it; the message has those that it has.
    """
    # Read, not imported: what draws the twins is not needed here.
    drawn = literal("gaaplib.datasets.synthetic.generate", "VARIANTS")
    known = drawn.get(name, ()) if twin else getattr(DATASETS[name], "VARIANTS", ())
    if variant is not None and variant not in known:
        listed = ", ".join(known) or "none for this data set"
        what = f"the synthetic twin of {name}" if twin else name
        raise ValueError(f"variant={variant!r} of {what} is not known; known: {listed}")


def check_pattern(name, pattern):
    """Refuse a pattern for file names that is none, or is given for a data set whose names are known.

    Raises:
        ValueError: it is; the message says what is right.
    """
    if pattern is None:
        return
    if name != "folder":
        raise ValueError(f"pattern={pattern!r} is for dataset='folder': the file names of {name} are known")
    folder.understood(pattern, "")


def trained_on(name):
    """The data set whose models are used for this one if it has no training set; None if it has one."""
    return getattr(DATASETS[name], "TRAINED_ON", None)


def closed_on(name):
    """The data set used in the closed protocol: this one, or its substitute if it has too few images."""
    return getattr(DATASETS[name], "CLOSED_ON", name)

"""Market-1501: 1,501 identities in front of a supermarket, six cameras, boxes from a detector.

``TREE`` shows the layout. A file name is the identity, the camera (c1..c6) and sequence, the frame, and the box.
Identity 0000 is the distractor, in the gallery only. Identity -1 is junk: the official evaluation ignores it, and this
module drops it.

The variant "500k" adds 500,000 distractors to the gallery, from the archive ``distractors_500k.zip``. The archive has a
folder ``images``, which is unpacked into ``Market-1501-v15.09.15``, into its parent, or into a folder with the
archive's name. A file name begins with 0000 and a camera, or with -1, which is junk. A distractor whose name gives no
camera gets camera ``NO_CAMERA``, which no query has, because a table of records has all cameras or none. This does not
change scores: only gallery images of the query's own identity are left out because of their camera.

Source: L. Zheng et al., "Scalable Person Re-identification: A Benchmark", ICCV 2015.
"""

import os
import re
from collections.abc import Mapping
from os import PathLike
from pathlib import Path

import pandas as pd

from gaaplib.datasets.files import named_images, one_home
from gaaplib.datasets.patterns import JUNK, LAYOUTS
from gaaplib.datasets.records import DISTRACTOR, make_records, warn_if_counts_differ

LAYOUT = LAYOUTS["market1501"]
TREE, EXPECTED = LAYOUT.TREE, LAYOUT.EXPECTED
DISTRACTORS_TREE = """
images/0000_c1s1_000151_01.jpg                    directly in Market-1501-v15.09.15 or in the root; or
distractors_500k/images/0000_c1s1_000151_01.jpg   there, with or without the folder images
"""

IMAGES, ARCHIVE = "images", "distractors_500k"

VARIANTS = ("500k",)
DISTRACTORS = 500_000
NO_CAMERA = 0

DISTRACTOR_NAME = re.compile(
    r"(?:(?P<pid>-1|0000)_c(?P<camid>[1-6])(?:\D.*)?|(?!.*_c\d).+)\.(?i:jpg|jpeg|png)", re.ASCII
)
DISTRACTOR_NAMING = (
    "<0000 or -1>_c<camera 1-6><anything>.jpg, such as 0000_c1s1_000151_01.jpg, or a name without _c<digit>, which "
    "gives no camera"
)


def read(
    root: str | PathLike,
    expected: Mapping[str, Mapping[str, int]] | None = EXPECTED,
    variant: str | None = None,
) -> pd.DataFrame:
    """Records of Market-1501; no image is opened.

    Gives one UserWarning if the counts differ from the expected ones.

    Args:
        root: the folder ``Market-1501-v15.09.15``, its parent, or any folder that directly contains
            ``bounding_box_train``, ``query`` and ``bounding_box_test``.
        expected: the expected counts; with the default, those that :func:`published` returns for the variant; None
            skips the comparison.
        variant: "500k" adds the distractors; None leaves them out, even if they exist.

    Returns:
        Records as described in :mod:`gaaplib.datasets.records`; cameras are 1 to 6, or ``NO_CAMERA`` for a distractor
        of the variant whose name gives none.

    Raises:
        FileNotFoundError: one of the three folders or the distractors' folder is missing.
        PermissionError: a folder may not be read.
        ValueError: an unknown variant, two copies, an image whose name does not match, an empty split, a distractor in
            the training or query folder, fewer than two training identities, or a link that leads out of the root.
    """
    root = Path(root).expanduser()
    counts = published(root, variant)
    expected = counts if expected == EXPECTED else expected
    home, form = LAYOUT.find(root)
    rows = LAYOUT.rows(home, form, root)
    if variant is not None:
        rows += _distractors(_find_distractors(root, home), root)
    records = make_records(rows)
    train_pids = records.loc[records["split"] == "train", "pid"].unique()
    if len(train_pids) < 2:
        raise ValueError(
            f"{home / form[0].folder} has images of identity {train_pids[0]} only: training needs at "
            "least two identities"
        )
    if expected is not None:
        warn_if_counts_differ(records, expected, "Market-1501" + (f" ({variant})" if variant else ""))
    return records


def published(root: str | PathLike, variant: str | None = None) -> dict[str, dict[str, int]]:
    """Counts of the published data set, with which :func:`read` compares.

    Args:
        root: not used, because the variant does not depend on the folder's content.
        variant: as for :func:`read`.

    Raises:
        ValueError: an unknown variant.
    """
    if variant is not None and variant not in VARIANTS:
        raise ValueError(
            f"variant is {variant!r}: it must be {' or '.join(VARIANTS)}, or None for Market-1501 without distractors"
        )
    counts = {split: dict(numbers) for split, numbers in EXPECTED.items()}
    counts["gallery"]["images"] += DISTRACTORS if variant else 0
    return counts


def _find_distractors(root: Path, home: Path) -> Path:
    """The folder of the variant's distractors."""
    bases = sorted({home, root})
    # In a folder with the archive's name, its subfolder ``images`` is taken if it exists.
    inner = [base / ARCHIVE / IMAGES for base in bases]
    archives = [folder if os.path.isdir(folder) else folder.parent for folder in inner]
    found = [folder for folder in (*(base / IMAGES for base in bases), *archives) if os.path.isdir(folder)]
    owner = "distractors of Market-1501"
    return one_home(found, root, owner, DISTRACTORS_TREE, homes=[*LAYOUT.homes, ARCHIVE], names=[IMAGES])


def _distractors(folder: Path, root: Path) -> list[tuple[str, int, int, str]]:
    rows = [
        (path, int(name["pid"] or DISTRACTOR), int(name["camid"] or NO_CAMERA), "gallery")
        for path, name in named_images(folder, root, DISTRACTOR_NAME, LAYOUT.name, DISTRACTOR_NAMING)
    ]
    rows = [row for row in rows if row[1] != JUNK]
    if not rows:
        raise ValueError(f"{folder} has no image besides junk (identity -1): the distractors need at least one")
    return rows

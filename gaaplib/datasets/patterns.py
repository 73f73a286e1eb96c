"""Data sets that are folders of images whose names tell person and camera: one row of ``LAYOUTS`` each.

A :class:`Layout` has what the module of a data set has: ``read``, ``TREE`` and ``EXPECTED``. Counts are those of the
data sets' papers, or of the page that publishes them if these differ; ``about`` names the source.
"""

import os
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from itertools import islice
from os import PathLike
from pathlib import Path
from textwrap import indent

import pandas as pd

from gaaplib.datasets.files import (
    check_links,
    check_names,
    found_in,
    images_below,
    images_in,
    listed_image,
    one_home,
    read_text,
    refuse,
)
from gaaplib.datasets.records import DISTRACTOR, UNKNOWN_CAMERA, make_records, warn_if_counts_differ

SUFFIX = r"\.(?i:bmp|jpg|jpeg|png|tif|tiff)"
JUNK = -1
PUBLISHED = "published"
"""The value of ``expected`` that stands for a layout's own counts."""


@dataclass(frozen=True)
class Part:
    """The images of one split.

    Attributes:
        folder: the folder with the images, relative to the data set's folder.
        split: "train", "query", "gallery" or "all".
        lists: text files beside the folder with one image per line, first its path and perhaps further words. Only
            these images are read. A list that does not exist is skipped, unless the layout needs it.
        others: further folders in which a listed image may be.
        camid: the camera of all images, if their names have none.
        first: is added to the number in an image's name, so that the persons of two splits have different numbers.
    """

    folder: str
    split: str
    lists: tuple[str, ...] = ()
    others: tuple[str, ...] = ()
    camid: int = UNKNOWN_CAMERA
    first: int = 0


def person_of(name: re.Match, part: Part) -> int | None:
    """The number in an image's name; None for junk, which evaluations leave out."""
    number = int(name["pid"])
    return None if number == JUNK else number + part.first


def camera_of(name: re.Match, part: Part) -> int:
    """The camera in an image's name, or that of its folder."""
    return int(name["camid"]) if "camid" in name.re.groupindex else part.camid


@dataclass(frozen=True)
class Layout:
    """How a data set lies on disk; it is used as the module of a data set.

    Attributes:
        name: the data set's name in messages.
        about: one line on the data set, with its source.
        TREE: the layout, for messages.
        forms: the parts of each form that is in use; the first form that exists is read.
        pattern: of an image's path relative to its part's folder, with the groups ``pid`` and, if names tell the
            camera, ``camid``.
        naming: the pattern in words, with an example.
        EXPECTED: the published counts, ``{split: {"images": ..., "identities": ..., "cameras": ...}}``; None if there
            are none.
        homes: names of folders that may have the parts in them.
        needs_lists: whether the lists have to exist.
        is_deep: whether images are in subfolders of their part's folder.
        person, camera: functions of a name's match and its part; a person of None is left out.
        TRAINED_ON: the data set whose models are used if there is no training set.
    """

    name: str
    about: str
    TREE: str
    forms: tuple[tuple[Part, ...], ...]
    pattern: re.Pattern
    naming: str
    EXPECTED: Mapping[str, Mapping[str, int]] | None
    homes: tuple[str, ...] = ()
    needs_lists: bool = False
    is_deep: bool = False
    person: Callable = person_of
    camera: Callable = camera_of
    TRAINED_ON: str | None = None

    def read(
        self, root: str | PathLike, expected: Mapping[str, Mapping[str, int]] | str | None = PUBLISHED
    ) -> pd.DataFrame:
        """Records of the data set; no image is opened.

        Gives one UserWarning if the counts differ from the expected ones.

        Args:
            root: the folder that has the parts' folders, or a folder in which that is, named as one of ``homes``.
            expected: counts in the form of ``EXPECTED``; None skips the comparison.

        Returns:
            Records as described in :mod:`gaaplib.datasets.records`.

        Raises:
            FileNotFoundError: a folder, or a list that is needed, is missing.
            PermissionError: a folder or a list may not be read.
            ValueError: two copies, an image whose name does not match, a part without images, a line of a list without
                its image, fewer than two training identities, or a link that leads out of the root.
        """
        root = Path(root).expanduser()
        records = make_records(self.rows(*self.find(root), root))
        trained = records.loc[records["split"] == "train", "pid"].unique()
        if len(trained) == 1:
            raise ValueError(f"{root} trains on identity {trained[0]} only: training needs at least two identities")
        expected = self.EXPECTED if expected == PUBLISHED else expected
        if expected is not None:
            warn_if_counts_differ(records, expected, self.name)
        return records

    def find(self, root: Path) -> tuple[Path, tuple[Part, ...]]:
        """The folder that has the parts' folders, and the form that was found there."""
        found = [(home, form) for home in (root, *(root / name for name in self.homes)) if (form := self._form(home))]
        names = {name for form in self.forms for part in form for name in self._needed(part)}
        if not found:
            self._check_inner(root)
        one_home([home for home, _ in found], root, self.name, self.TREE, homes=self.homes, names=sorted(names))
        return found[0]

    def _check_inner(self, root: Path) -> None:
        """Name a folder that is missing in a folder of the data set, which :func:`one_home` does not look into."""
        for home in (root, *(root / name for name in self.homes)):
            for part in self.forms[0]:
                outer = (home / part.folder).parent
                if outer != home and outer.is_dir() and not os.path.isdir(home / part.folder):
                    check_links(home / part.folder, root)
                    raise FileNotFoundError(
                        f"no {self.name} in {root}: {home / part.folder} is missing (found in {outer}: "
                        f"{found_in(outer)}); expected\n" + indent(self.TREE.strip("\n"), "    ")
                    )

    def _form(self, home: Path) -> tuple[Part, ...] | None:
        """The first form whose folders, and lists if they are needed, all exist in a folder."""
        for form in self.forms:
            if all(os.path.exists(home / name) for part in form for name in self._needed(part)) and all(
                os.path.isdir(home / part.folder) for part in form
            ):
                return form
        return None

    def _needed(self, part: Part) -> tuple[str, ...]:
        return (part.folder.split("/")[0], *(part.lists if self.needs_lists else ()))

    def rows(self, home: Path, form: tuple[Part, ...], root: Path) -> list[tuple[str, int, int, str]]:
        """(path relative to the root, pid, camid, split) of each image of a form, without junk."""
        rows = []
        for part in form:
            known = []
            for path, name in self._named(home, part, root):
                pid = self.person(name, part)
                if pid is not None:
                    known.append((path, pid, self.camera(name, part), part.split))
            if not known:
                raise ValueError(f"{home / part.folder} has no image besides junk: the part {part.folder} needs one")
            rows += known
        return rows

    def _named(self, home: Path, part: Part, root: Path) -> list[tuple[str, re.Match]]:
        """(path relative to the root, match of its name) of each image of a part."""
        lists = [home / name for name in part.lists if os.path.isfile(home / name)]
        if lists:
            return [found for file in lists for found in self._listed(file, part, root)]
        folder = home / part.folder
        images = sorted(self._images_of(folder, root))
        matches = [self.pattern.fullmatch(image) for image in images]
        check_names(folder, images, matches, self.name, self.naming)
        start = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
        return [(start + image, match) for image, match in zip(images, matches, strict=True)]

    def _images_of(self, folder: Path, root: Path) -> Iterator[str]:
        """Paths of a part's images relative to its folder."""
        return images_below(folder, root) if self.is_deep else iter(images_in(folder, root))

    def _listed(self, file: Path, part: Part, root: Path) -> list[tuple[str, re.Match]]:
        check_links(file, root)
        rows, problems, line_of = [], [], {}
        for line, text in enumerate(read_text(file).splitlines(), 1):
            if not text.strip():
                continue
            try:
                path, name = self._listed_one(file.parent, part, text.split()[0], root)
            except ValueError as error:
                problems.append(f"line {line}: {error}")
                continue
            if path in line_of:
                problems.append(f"line {line}: {path!r} is in line {line_of[path]} too: remove one of the lines")
            line_of.setdefault(path, line)
            rows.append((path, name))
        refuse(file, problems)
        if not rows:
            raise ValueError(f"{file} is empty: it must list images, one path per line")
        return rows

    def _listed_one(self, home: Path, part: Part, text: str, root: Path) -> tuple[str, re.Match]:
        folders = [home / name for name in (part.folder, *part.others)]
        folder = next((folder for folder in folders if os.path.isfile(folder / text)), folders[0])
        path = listed_image(folder, text, root)
        match = self.pattern.fullmatch(path)
        if match is None:
            raise ValueError(f"{path!r} is not named as {self.name}'s: expected {self.naming}")
        return (folder / path).relative_to(root).as_posix(), match

    def fits(self, root: Path, images: int = 20) -> bool:
        """Whether a folder looks like this layout: the parts are there, and their first images are named so."""
        for home in (root, *(root / name for name in self.homes)):
            form = self._form(home)
            if form and all(self._fits(home / part.folder, home, images) for part in form):
                return True
        return False

    def _fits(self, folder: Path, home: Path, images: int) -> bool:
        first = list(islice(self._images_of(folder, home), images))
        return bool(first) and all(map(self.pattern.fullmatch, first))


def _boxes(train="bounding_box_train", query="query", gallery="bounding_box_test"):
    """The three parts of most data sets."""
    return Part(train, "train"), Part(query, "query"), Part(gallery, "gallery")


def _counts(train, query, gallery):
    """Published counts from triples of images, identities and cameras."""
    names = ("images", "identities", "cameras")
    triples = {"train": train, "query": query, "gallery": gallery}
    return {split: dict(zip(names, numbers, strict=True)) for split, numbers in triples.items()}


def _prid_person(name: re.Match, part: Part) -> int | None:
    """Persons above 200 are in one camera only: those of A have no match, and those of B are distractors."""
    number = int(name["pid"])
    if number <= 200:
        return number
    return None if part.camid == 1 else DISTRACTOR


def _pair_of(name: re.Match, part: Part) -> int:
    """CUHK01's camera: images 1 and 2 of a person are from the first, 3 and 4 from the second."""
    return (int(name["index"]) + 1) // 2


MARKET_TREE = """
Market-1501-v15.09.15/                            the root, or a folder in it
    bounding_box_train/0002_c1s1_000451_03.jpg
    query/0001_c1s1_001051_00.jpg
    bounding_box_test/0000_c1s1_000151_01.jpg
"""
DUKE_TREE = """
DukeMTMC-reID/                                    the root, or a folder in it
    bounding_box_train/0001_c2_f0046182.jpg
    query/0005_c2_f0046985.jpg
    bounding_box_test/0002_c1_f0044158.jpg
"""
OCCLUDED_DUKE_TREE = """
Occluded_Duke/                                    the root, or a folder in it
    bounding_box_train/0001_c2_f0046182.jpg
    query/0019_c1_f0051230.jpg
    bounding_box_test/0002_c1_f0044158.jpg
or DukeMTMC-reID's own three folders with train.list, query.list and gallery.list beside them
"""
MSMT17_TREE = """
MSMT17_V1/                                        the root, or a folder in it
    train/0000/0000_000_01_0303morning_0008_0.jpg
    test/0000/0000_000_01_0303morning_0030_0.jpg
    list_train.txt  list_val.txt  list_query.txt  list_gallery.txt
MSMT17_V2/                                        the same, with mask_train_v2 and mask_test_v2
"""
VERI_TREE = """
VeRi/                                             the root, or a folder in it
    image_train/0001_c001_00016450_0.jpg
    image_query/0002_c002_00030600_0.jpg
    image_test/0002_c002_00030600_0.jpg
"""
CUHK01_TREE = """
campus/0001001.png                                in the root
"""
VIPER_TREE = """
VIPeR/                                            the root, or a folder in it
    cam_a/000_45.bmp
    cam_b/000_90.bmp
"""
GRID_TREE = """
underground_reid/                                 the root, or a folder in it
    probe/0001_1_25004_107_32_106_221.jpeg
    gallery/0000_1_25004_107_32_106_221.jpeg
"""
PRID_TREE = """
prid_2011/                                        the root, or a folder in it
    single_shot/cam_a/person_0001.png
    single_shot/cam_b/person_0001.png
"""
PARTIAL_REID_TREE = """
Partial_REID/                                     the root, or a folder in it
    partial_body_images/001_001.jpg
    whole_body_images/001_001.jpg
"""
OCCLUDED_REID_TREE = """
Occluded_REID/                                    the root, or a folder in it
    occluded_body_images/001/001_01.tif
    whole_body_images/001/001_01.tif
"""
PYTORCH_TREE = """
pytorch/                                          the root, or a folder in it
    train_all/0002/0002_c1s1_000451_03.jpg
    query/0001/0001_c1s1_001051_00.jpg
    gallery/0001/0001_c1s1_002301_00.jpg
"""

MARKET_NAMING = "<4-digit identity or -1>_c<camera 1-6>s<sequence>_<frame>_<box>.jpg, such as 0002_c1s1_000451_03.jpg"
DUKE_NAMING = "<4-digit identity>_c<camera 1-8>_f<frame>.jpg, such as 0001_c2_f0046182.jpg"
DUKE_NAME = re.compile(rf"(?P<pid>\d{{4}})_c(?P<camid>[1-8])_f\d+{SUFFIX}", re.ASCII)
# The test persons of MSMT17 are numbered from 0 again, after 1,041 in training. Number 0 is a person there.
MSMT17_TRAINED = 1_041


def _msmt17(train, test):
    return (
        Part(train, "train", ("list_train.txt", "list_val.txt"), first=1),
        Part(test, "query", ("list_query.txt",), first=1 + MSMT17_TRAINED),
        Part(test, "gallery", ("list_gallery.txt",), first=1 + MSMT17_TRAINED),
    )


LAYOUTS = {
    "market1501": Layout(
        name="Market-1501",
        about="Market-1501: 1,501 identities, six cameras (Zheng et al., ICCV 2015).",
        TREE=MARKET_TREE,
        forms=(_boxes(),),
        pattern=re.compile(r"(?P<pid>-1|\d{4})_c(?P<camid>[1-6])s\d+_\d+_\d+\.(?i:jpg|jpeg|png)", re.ASCII),
        naming=MARKET_NAMING,
        EXPECTED=_counts((12_936, 751, 6), (3_368, 750, 6), (15_913, 751, 6)),
        homes=("Market-1501-v15.09.15",),
    ),
    "dukemtmc": Layout(
        name="DukeMTMC-reID",
        about="DukeMTMC-reID: 1,404 identities and 408 distractors, eight cameras (Zheng et al., ICCV 2017).",
        TREE=DUKE_TREE,
        forms=(_boxes(),),
        pattern=DUKE_NAME,
        naming=DUKE_NAMING,
        EXPECTED=_counts((16_522, 702, 8), (2_228, 702, 8), (17_661, 1_110, 8)),
        homes=("DukeMTMC-reID",),
    ),
    "occluded_duke": Layout(
        name="Occluded-DukeMTMC",
        about="Occluded-Duke: DukeMTMC-reID split anew, each query occluded (Miao et al., ICCV 2019).",
        TREE=OCCLUDED_DUKE_TREE,
        forms=(
            (
                Part("bounding_box_train", "train", ("train.list",), ("bounding_box_test",)),
                Part("query", "query", ("query.list",), ("bounding_box_test",)),
                Part("bounding_box_test", "gallery", ("gallery.list",)),
            ),
        ),
        pattern=DUKE_NAME,
        naming=DUKE_NAMING,
        EXPECTED=_counts((15_618, 702, 8), (2_210, 519, 8), (17_661, 1_110, 8)),
        homes=("Occluded_Duke",),
    ),
    "msmt17": Layout(
        name="MSMT17",
        about="MSMT17, V1 or V2: 4,101 identities, 15 cameras (Wei et al., CVPR 2018).",
        TREE=MSMT17_TREE,
        forms=(_msmt17("train", "test"), _msmt17("mask_train_v2", "mask_test_v2")),
        pattern=re.compile(rf"(?:.*/)?(?P<pid>\d{{4}})_\d{{3}}_(?P<camid>\d{{2}})_.*{SUFFIX}", re.ASCII),
        naming="<4-digit identity>_<index>_<camera 01-15>_<time>.jpg, such as 0000_000_01_0303morning_0008_0.jpg",
        EXPECTED=_counts((32_621, 1_041, 15), (11_659, 3_060, 15), (82_161, 3_060, 15)),
        homes=("MSMT17_V1", "MSMT17_V2", "MSMT17"),
        needs_lists=True,
        is_deep=True,
    ),
    "veri776": Layout(
        name="VeRi-776",
        about="VeRi-776: 776 vehicles, 20 cameras (Liu et al., ECCV 2016).",
        TREE=VERI_TREE,
        forms=(_boxes("image_train", "image_query", "image_test"),),
        pattern=re.compile(rf"(?P<pid>\d{{4}})_c(?P<camid>\d{{3}})_\d+_\d+{SUFFIX}", re.ASCII),
        naming="<4-digit vehicle>_c<3-digit camera>_<frame>_<box>.jpg, such as 0001_c001_00016450_0.jpg",
        EXPECTED={
            "train": {"images": 37_778, "identities": 576},
            "query": {"images": 1_678, "identities": 200},
            "gallery": {"images": 11_579, "identities": 200},
        },
        homes=("VeRi", "VeRi-776", "VeRi776"),
    ),
    "cuhk01": Layout(
        name="CUHK01",
        about="CUHK01: 971 identities with two images from each of two cameras (Li et al., ACCV 2012).",
        TREE=CUHK01_TREE,
        forms=((Part("campus", "all"),),),
        pattern=re.compile(rf"(?P<pid>(?!0000)\d{{4}})(?P<index>00[1-4]){SUFFIX}", re.ASCII),
        naming="<4-digit identity><3-digit index 001-004>.png, such as 0001001.png",
        EXPECTED={"all": {"images": 3_884, "identities": 971, "cameras": 2}},
        camera=_pair_of,
    ),
    "viper": Layout(
        name="VIPeR",
        about="VIPeR: 632 identities with one image from each of two cameras (Gray et al., PETS 2007).",
        TREE=VIPER_TREE,
        forms=((Part("cam_a", "all", camid=1, first=1), Part("cam_b", "all", camid=2, first=1)),),
        pattern=re.compile(rf"(?P<pid>\d{{3}})_\d+{SUFFIX}", re.ASCII),
        naming="<3-digit identity>_<angle>.bmp, such as 000_45.bmp",
        EXPECTED={"all": {"images": 1_264, "identities": 632, "cameras": 2}},
        homes=("VIPeR",),
    ),
    "grid": Layout(
        name="GRID",
        about="GRID: 250 identities and 775 distractors underground, eight cameras (Loy et al., CVPR 2009).",
        TREE=GRID_TREE,
        forms=((Part("probe", "all"), Part("gallery", "all")),),
        pattern=re.compile(rf"(?P<pid>\d{{4}})_(?P<camid>[1-8])_.*{SUFFIX}", re.ASCII),
        naming="<4-digit identity, 0000 for a distractor>_<camera 1-8>_<frame and box>.jpeg, such as "
        "0001_1_25004_107_32_106_221.jpeg",
        EXPECTED={"all": {"images": 1_275, "identities": 251}},
        homes=("underground_reid",),
    ),
    "prid2011": Layout(
        name="PRID2011",
        about="PRID2011, single shot: 200 identities in both cameras, 549 distractors (Hirzer et al., SCIA 2011).",
        TREE=PRID_TREE,
        forms=((Part("single_shot/cam_a", "all", camid=1), Part("single_shot/cam_b", "all", camid=2)),),
        pattern=re.compile(rf"person_(?P<pid>(?!0000)\d{{4}}){SUFFIX}", re.ASCII),
        naming="person_<4-digit identity from 0001>.png, such as person_0001.png",
        EXPECTED={"all": {"images": 949, "identities": 201, "cameras": 2}},
        homes=("prid_2011",),
        person=_prid_person,
    ),
    "partial_reid": Layout(
        name="Partial-REID",
        about="Partial-REID: 60 identities, part of the body as query, the whole as gallery (Zheng et al., ICCV 2015).",
        TREE=PARTIAL_REID_TREE,
        forms=((Part("partial_body_images", "query"), Part("whole_body_images", "gallery")),),
        pattern=re.compile(rf"(?P<pid>(?!000)\d{{3}})_.*{SUFFIX}", re.ASCII),
        naming="<3-digit identity from 001>_<index>.jpg, such as 001_001.jpg",
        EXPECTED={split: {"images": 300, "identities": 60} for split in ("query", "gallery")},
        homes=("Partial_REID", "PartialREID", "Partial-REID_Dataset"),
        TRAINED_ON="market1501",
    ),
    "occluded_reid": Layout(
        name="Occluded-REID",
        about="Occluded-REID: 200 identities, occluded as query, whole as gallery (Zhuo et al., ICME 2018).",
        TREE=OCCLUDED_REID_TREE,
        forms=((Part("occluded_body_images", "query"), Part("whole_body_images", "gallery")),),
        pattern=re.compile(rf"(?:\d{{3}}/)?(?P<pid>(?!000)\d{{3}})_.*{SUFFIX}", re.ASCII),
        naming="<3-digit identity from 001>_<index>.tif, in a folder per identity or not, such as 001/001_01.tif",
        EXPECTED={split: {"images": 1_000, "identities": 200} for split in ("query", "gallery")},
        homes=("Occluded_REID", "OccludedREID"),
        is_deep=True,
        TRAINED_ON="market1501",
    ),
    "pytorch_folders": Layout(
        name="folders of Person_reID_baseline_pytorch",
        about="One folder per identity in train_all, query and gallery, as layumi's Person_reID_baseline_pytorch.",
        TREE=PYTORCH_TREE,
        forms=(_boxes("train_all", "query", "gallery"),),
        pattern=re.compile(rf"(?P<pid>-1|\d{{1,9}})/[^/]*_c(?P<camid>\d{{1,9}})[^/]*{SUFFIX}", re.ASCII),
        naming="<identity>/<anything>_c<camera><anything>.jpg, such as 0002/0002_c1s1_000451_03.jpg",
        EXPECTED=None,
        homes=("pytorch",),
        is_deep=True,
    ),
}
"""The data sets of this form; ``gaaplib.datasets.DATASETS`` has them under the same names."""

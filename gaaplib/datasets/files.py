"""Finds the files of a data set, matches their names and reads lists of them; opens no image and unpacks nothing."""

import os
import posixpath
import re
from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent

from gaaplib import matlab

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
OTHER_SUFFIXES = {".avif", ".cr2", ".dng", ".heic", ".heif", ".jfif", ".jp2", ".jpe", ".jxl", ".nef", ".raw"}
"""Photographs of other kinds, which are not read."""
ARCHIVE_SUFFIXES = {".7z", ".bz2", ".gz", ".rar", ".tar", ".tbz2", ".tgz", ".txz", ".xz", ".zip"}
SYSTEM_FOLDERS = {"__MACOSX", "@eaDir"}
"""Folders that an operating system creates; they are ignored, as hidden folders are."""
SHOWN = 10


def images_in(folder: Path, root: Path) -> list[str]:
    """Sorted names of the images directly in a folder; hidden files are ignored.

    Args:
        folder: an existing folder: ``root`` or a folder at any depth in it.
        root: the data set's folder; no symbolic link may lead out of it.

    Raises:
        PermissionError: the folder may not be read.
        ValueError: an image, or a folder on the way to it, is a symbolic link that is broken or leads out of the root;
            or an image's name is not UTF-8.
    """
    check_links(folder, root)
    names = []
    for entry in _scan(folder):
        if os.path.splitext(entry.name)[1].lower() in IMAGE_SUFFIXES:
            if entry.is_symlink():
                _check_link(folder / entry.name, root)
            if entry.is_file():
                names.append(entry.name)
    _check_utf8(folder, names)
    return sorted(names)


def not_read(root: Path) -> Counter:
    """How many files in a folder, at any depth, are photographs of kinds that are not read, by the names' endings."""
    names = (name for _, _, files in os.walk(root) for name in files if not name.startswith("."))
    return Counter(ending for name in names if (ending := os.path.splitext(name)[1].lower()) in OTHER_SUFFIXES)


def folders_in(folder: Path, root: Path) -> list[str]:
    """Sorted names of the folders directly in a folder, without hidden ones and ``SYSTEM_FOLDERS``.

    Arguments and errors are those of :func:`images_in`. A broken link of any name is refused, because it may have
    been a link to a folder.
    """
    check_links(folder, root)
    names = []
    for entry in _scan(folder):
        if entry.name not in SYSTEM_FOLDERS:
            if entry.is_symlink() and (not os.path.exists(entry) or entry.is_dir()):
                _check_link(folder / entry.name, root)
            if entry.is_dir():
                names.append(entry.name)
    _check_utf8(folder, names)
    return sorted(names)


def images_below(folder: Path, root: Path, without: Collection[str] = ()) -> Iterator[str]:
    """Paths, relative to ``folder``, of all images in it, at any depth; links to folders are not followed.

    Arguments and errors are those of :func:`images_in`; ``without`` has names of folders directly in ``folder`` that
    are left out.
    """
    yield from images_in(folder, root)
    for name in folders_in(folder, root):
        if name not in without and not (folder / name).is_symlink():
            yield from (f"{name}/{path}" for path in images_below(folder / name, root))


def named_images(folder: Path, root: Path, pattern: re.Pattern, owner: str, naming: str) -> list[tuple[str, re.Match]]:
    """(path, match) of each image directly in a folder: its POSIX path relative to the root, and the match of its name.

    Args:
        folder, root: as for :func:`images_in`.
        pattern: must match the whole file name.
        owner: the data set's name, for the error: "i-LIDS".
        naming: the naming in words, with an example, for the error.

    Raises:
        PermissionError, ValueError: as :func:`images_in` and :func:`check_names`.
    """
    images = images_in(folder, root)
    matches = [pattern.fullmatch(name) for name in images]
    check_names(folder, images, matches, owner, naming)
    start = "" if folder == root else f"{folder.relative_to(root).as_posix()}/"
    return [(start + name, match) for name, match in zip(images, matches, strict=True)]


def check_names(folder: Path, images: Sequence[str], parsed: Sequence[object], owner: str, naming: str) -> None:
    """Raise an error if a folder has no images, or images whose names do not parse.

    Args:
        folder: the images' folder.
        images: their names, or their paths relative to the folder.
        parsed: the parsed form of each name; None if the name is not of this data set.
        owner, naming: as for :func:`named_images`.

    Raises:
        ValueError: no image, or one whose name does not parse.
    """
    if not images:
        packed = "".join(f"; {hint}" for hint in _packed(folder))
        raise ValueError(
            f"{folder} has no image (found there: {found_in(folder)}){packed}: unpack the data set again; "
            f"expected {naming}"
        )
    wrong = [name for name, result in zip(images, parsed, strict=True) if result is None]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(images)} images in {folder} are not named as {owner}'s, first "
            f"{', '.join(wrong[:3])}: expected {naming}; move other images out of the folder, or unpack the data set "
            "again"
        )


def one_home(
    found: Sequence[Path], root: Path, owner: str, tree: str, homes: Collection[str] = (), names: Collection[str] = ()
) -> Path:
    """The data set's folder, if there is exactly one; raises a helpful error otherwise.

    Args:
        found: all folders in which the data set was found.
        root: the folder that was searched.
        owner: the data set's name.
        tree: the expected layout, for the error.
        homes: names of folders, at any depth, that the data set may be in.
        names: what such a folder directly contains: folders, or files if the name has an ending.

    Raises:
        FileNotFoundError: it was not found. The message shows the expected layout and what is there instead. It points
            out names in the wrong case, archives, broken links, and files where a folder is expected or the reverse.
        PermissionError: a folder may not be read.
        ValueError: it was found more than once.
    """
    if len(found) > 1:
        copies = "; ".join(map(str, found))
        raise ValueError(
            f"more than one {owner}: {copies}: give the folder of one as root, or move the others elsewhere"
        )
    if found:
        return found[0]
    searched = _places(root, {home.casefold() for home in homes})
    contents = [f"found in {folder}: {found_in(folder)}" for folder in searched]
    hints = [hint for folder in searched for hint in _hints(folder, homes, names)]
    raise FileNotFoundError(
        "\n".join([f"no {owner} in {root}; expected", indent(tree.strip("\n"), "    "), *contents, *hints])
    )


def wrong_case(folder: Path, names: Collection[str]) -> list[str]:
    """A hint for each file or folder whose name differs from one of ``names`` in upper and lower case only."""
    right = {name.casefold(): name for name in names}
    present = names_in(folder)
    return [
        f"{folder / name} differs in case: rename it to {right[name.casefold()]}"
        for name in present
        if name.casefold() in right and right[name.casefold()] not in present
    ]


def names_in(folder: Path) -> list[str]:
    """Sorted names of the files and folders directly in a folder, without hidden ones; empty if it does not exist.

    Raises:
        PermissionError: the folder may not be read.
    """
    return sorted(entry.name for entry in _scan(folder)) if os.path.isdir(folder) else []


def is_archive(name: str) -> bool:
    """Whether a file name has the ending of an archive or a compressed file."""
    return os.path.splitext(name)[1].lower() in ARCHIVE_SUFFIXES


def found_in(folder: Path) -> str:
    """The contents of a folder in words, for an error message about a missing file."""
    with permitted(folder):
        if not folder.is_dir():
            return "a file, not a folder" if folder.exists() else "no such file or folder"
    names = names_in(folder)
    # A name that is not UTF-8 could not be printed.
    shown = ", ".join(names[:SHOWN]).encode("utf-8", "backslashreplace").decode()
    return shown + (", ..." if len(names) > SHOWN else "") or "nothing"


def check_links(path: Path, root: Path) -> None:
    """Raise an error if a path goes through a symbolic link that is broken or leads out of the root.

    Args:
        path: the root, or a file or folder in it.
        root: the data set's folder, which may itself be a link or lie below one.

    Raises:
        ValueError: there is such a link.
    """
    step = root
    for part in path.relative_to(root).parts:
        step = step / part
        if os.path.islink(step):
            _check_link(step, root)


@contextmanager
def permitted(path: Path) -> Iterator[None]:
    """Context manager that adds advice to a PermissionError.

    Raises:
        PermissionError: ``path`` may not be read; the message says how to permit it.
    """
    try:
        yield
    except PermissionError as error:
        raise PermissionError(
            f"{path} may not be read (permission denied): ask its owner, or if it is yours, run chmod -R u+rX on it"
        ) from error


def listed_image(home: Path, text: str, root: Path) -> str:
    """The POSIX path, relative to ``home``, of an image named in a list.

    Args:
        home: the folder that the list's paths are relative to.
        text: the path as written in the list; backslashes count as slashes.
        root: as for :func:`images_in`; ``home`` or a folder above it.

    Raises:
        ValueError: the path is empty, leaves the folder, does not end as an image, does not exist, or goes through a
            symbolic link that is broken or leads out of the root.
    """
    if not text.strip():
        raise ValueError("the path is empty")
    path = posixpath.normpath(text.strip().replace("\\", "/"))
    if path.startswith(("/", "../")) or re.match("[A-Za-z]:/", path):
        raise ValueError(f"path {text.strip()!r} leaves {home}: write it relative to that folder")
    if posixpath.splitext(path)[1].lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"path {text.strip()!r} is not an image: it must end in {', '.join(sorted(IMAGE_SUFFIXES))}")
    check_links(home / path, root)
    if not os.path.isfile(home / path):
        raise ValueError(f"path {text.strip()!r} is not in {home}: add the image or remove the line")
    return path


def read_text(file: Path) -> str:
    """The text of a UTF-8 file, with or without a byte order mark.

    Raises:
        PermissionError: the file may not be read.
        ValueError: it is in another encoding.
    """
    try:
        with permitted(file):
            return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from None


def read_matlab(files: Sequence[Path], names: Sequence[str]) -> list[dict[str, list]]:
    """Variables of MATLAB files of format v5, ``{name: values}`` for each file; a missing variable is left out.

    Values are in MATLAB's order, and a cell counts as the text or the number in it; see :mod:`gaaplib.matlab`.

    Args:
        files: existing files.
        names: the variables to read. If empty, all are listed with their shapes instead of their values.

    Raises:
        PermissionError: a file may not be read.
        ValueError: a file cannot be read; the message has its name.
    """
    for file in files:
        with permitted(file), file.open("rb"):
            pass
    try:
        found = matlab.read(files, names)
    except matlab.Damaged as error:
        file = files[error.number]
        raise ValueError(f"{file} is not a complete MATLAB file of format v5 ({error}): download it again") from error
    if not names:
        return [{name: list(shape) for name, (shape, _) in heads.items()} for heads, _ in found]
    return [
        {name: value if isinstance(value, list) else value.ravel().tolist() for name, value in values.items()}
        for _, values in found
    ]


def refuse(file: Path, problems: list[str]) -> None:
    """Raise one error that lists the problems of a file, at most the first ten.

    Raises:
        ValueError: there is at least one problem.
    """
    if problems:
        shown = problems[:SHOWN] + [f"... {len(problems)} problems in all"] * (len(problems) > SHOWN)
        raise ValueError("\n  ".join([f"{file} cannot be used:", *shown]))


def _scan(folder: Path) -> list[os.DirEntry]:
    """The entries directly in a folder, without hidden ones, in the file system's order.

    ``os.scandir`` and not pathlib: RPIfield has 600,000 images, and pathlib would ask the disk about each again.
    """
    with permitted(folder), os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _check_link(link: Path, root: Path) -> None:
    if not os.path.exists(link):
        raise ValueError(
            f"{link} is a symbolic link to {os.readlink(link)}, which does not exist: remove the link, or replace it "
            "by the file or folder it pointed to"
        )
    target = Path(os.path.realpath(link))
    if not target.is_relative_to(os.path.realpath(root)):
        raise ValueError(
            f"{link} is a symbolic link to {target}, outside of {root}: replace the link by a copy, or give the "
            "folder of its target as root"
        )


def _check_utf8(folder: Path, names: list[str]) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the name {name!r} in {folder} is not UTF-8: rename it") from None


def _places(folder: Path, homes: set[str]) -> list[Path]:
    """A folder and its subfolders, at any depth, with one of these names in any case; links are not followed."""
    folders = [folder]
    for name in names_in(folder):
        if name.casefold() in homes and os.path.isdir(folder / name) and not os.path.islink(folder / name):
            folders += _places(folder / name, homes)
    return folders


def _hints(place: Path, homes: Collection[str], names: Collection[str]) -> list[str]:
    """Hints on why a data set is not in this folder."""
    if os.path.isfile(place) and is_archive(place.name):
        return [f"{place} is packed: unpack it, and give the unpacked folder as root"]
    if not os.path.isdir(place):
        return []
    hints = [*_packed(place), *wrong_case(place, (*homes, *names))]
    for name, file_wanted in [*((home, False) for home in homes), *((name, "." in name) for name in names)]:
        path = place / name
        if os.path.islink(path) and not os.path.exists(path):
            hints.append(f"{path} is a symbolic link to {os.readlink(path)}, which does not exist")
        elif os.path.isdir(path) if file_wanted else os.path.isfile(path):
            actual, wanted = ("folder", "file") if file_wanted else ("file", "folder")
            hints.append(f"{path} is a {actual}: it must be a {wanted}")
    return hints


def _packed(folder: Path) -> list[str]:
    """A hint for each archive in a folder."""
    return [f"{folder / name} is packed: unpack it" for name in names_in(folder) if is_archive(name)]

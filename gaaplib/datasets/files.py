"""Files of data sets, found and matched by name, and lists of them; no image is opened and nothing is unpacked."""

import os
import posixpath
import re
from collections.abc import Collection, Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from textwrap import indent

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
ARCHIVE_SUFFIXES = {".7z", ".bz2", ".gz", ".rar", ".tar", ".tbz2", ".tgz", ".txz", ".xz", ".zip"}
SYSTEM_FOLDERS = {"__MACOSX", "@eaDir"}
"""Folders that a system makes, like the hidden ones."""
SHOWN = 10


def images_in(folder: Path, root: Path) -> list[str]:
    """Names of the images directly in a folder, sorted; hidden files and folders are none.

    Args:
        folder: ``root`` or a folder somewhere in it, which exists.
        root: the data set's, out of which no symbolic link may lead.

    Raises:
        PermissionError: the folder may not be read.
        ValueError: an image, or a folder between, is a symbolic link that leads nowhere or out of the root; an image's
            name is not UTF-8.
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


def folders_in(folder: Path, root: Path) -> list[str]:
    """Names of the folders directly in a folder, sorted; hidden ones and those that a system makes are left out.

    Arguments and errors are those of :func:`images_in`; a link that leads nowhere is refused whatever its name, because
    it may have been a folder.
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


def named_images(folder: Path, root: Path, pattern: re.Pattern, owner: str, naming: str) -> list[tuple[str, re.Match]]:
    """The images directly in a folder, each with its path, POSIX and relative to the root, and the match of its name.

    Args:
        folder, root: as for :func:`images_in`.
        pattern: of the whole file name.
        owner: whose naming this is, for the error: "i-LIDS".
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
    """Refuse a folder without images, or with images whose names do not parse.

    Args:
        folder: where they are.
        images: their names, or paths in the folder.
        parsed: what each name says; None is not this data set's naming.
        owner, naming: as for :func:`named_images`.

    Raises:
        ValueError: an image whose name does not parse, no image.
    """
    if not images:
        packed = "".join(f"; {hint}" for hint in _packed(folder))
        raise ValueError(
            f"{folder} has no image (found there: {found_in(folder)}){packed}: unpack the data set anew; "
            f"expected {naming}"
        )
    wrong = [name for name, what in zip(images, parsed, strict=True) if what is None]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(images)} images in {folder} are not named as {owner}'s, first "
            f"{', '.join(wrong[:3])}: expected {naming}; move other images out of the folder, or unpack the data set "
            "anew"
        )


def one_home(
    found: Sequence[Path], root: Path, owner: str, tree: str, homes: Collection[str] = (), names: Collection[str] = ()
) -> Path:
    """The one place where a data set was found.

    Args:
        found: all the places.
        root: where it was looked for.
        owner: the data set's name.
        tree: what it looks like on disk, for the error.
        homes: names of folders, at any depth, that the data set may be in.
        names: what is directly in such a folder: folders, or with an ending, files.

    Raises:
        FileNotFoundError: it was found nowhere. Shows the tree and what is there instead, and names what is misspelt in
            case only, still packed, a link to nothing, or a file where a folder is wanted and the reverse.
        PermissionError: a folder may not be read.
        ValueError: it was found more than once.
    """
    if len(found) > 1:
        places = "; ".join(map(str, found))
        raise ValueError(
            f"more than one {owner}: {places}: give the folder of one as root, or move the others elsewhere"
        )
    if found:
        return found[0]
    places = _places(root, {home.casefold() for home in homes})
    there = [f"found in {place}: {found_in(place)}" for place in places]
    hints = [hint for place in places for hint in _hints(place, homes, names)]
    raise FileNotFoundError(
        "\n".join([f"no {owner} in {root}; expected", indent(tree.strip("\n"), "    "), *there, *hints])
    )


def wrong_case(folder: Path, names: Collection[str]) -> list[str]:
    """A line for each file or folder that has one of these names but for upper and lower case."""
    right = {name.casefold(): name for name in names}
    there = names_in(folder)
    return [
        f"{folder / name} is there: rename it to {right[name.casefold()]}"
        for name in there
        if name.casefold() in right and right[name.casefold()] not in there
    ]


def names_in(folder: Path) -> list[str]:
    """Names of what is directly in a folder and not hidden, sorted; none if there is no such folder.

    Raises:
        PermissionError: the folder may not be read.
    """
    return sorted(entry.name for entry in _scan(folder)) if os.path.isdir(folder) else []


def is_archive(name: str) -> bool:
    """Whether a file's name is that of an archive or of a packed file."""
    return os.path.splitext(name)[1].lower() in ARCHIVE_SUFFIXES


def found_in(folder: Path) -> str:
    """What is in a folder, for the error that something else is not."""
    with permitted(folder):
        if not folder.is_dir():
            return "a file, not a folder" if folder.exists() else "no such file or folder"
    there = names_in(folder)
    # A name that is not UTF-8 could not be printed.
    shown = ", ".join(there[:SHOWN]).encode("utf-8", "backslashreplace").decode()
    return shown + (", ..." if len(there) > SHOWN else "") or "nothing"


def check_links(path: Path, root: Path) -> None:
    """Refuse a path in a data set which passes a symbolic link that leads nowhere or out of the root.

    Args:
        path: of a file or folder in the root, or the root.
        root: the data set's, which may itself be a link or lie below one.

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
    """Say what to do where reading is not permitted.

    Raises:
        PermissionError: instead of one without advice.
    """
    try:
        yield
    except PermissionError as error:
        raise PermissionError(
            f"{path} may not be read (permission denied): ask its owner, or as such run chmod -R u+rX on it"
        ) from error


def listed_image(home: Path, text: str, root: Path) -> str:
    """The path, POSIX and relative to ``home``, of an image that a list names.

    Args:
        home: the folder that the list's paths are relative to.
        text: as written; backslashes are slashes.
        root: as for :func:`images_in`; ``home`` or a folder above it.

    Raises:
        ValueError: it is empty, leaves the folder, has no image's ending, or there is no such file; it passes a
            symbolic link that leads nowhere or out of the root.
    """
    if not text.strip():
        raise ValueError("the path is empty")
    path = posixpath.normpath(text.strip().replace("\\", "/"))
    if path.startswith(("/", "../")) or re.match("[A-Za-z]:/", path):
        raise ValueError(f"path {text.strip()!r} leaves {home}: write it relative to that folder")
    if posixpath.splitext(path)[1].lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"path {text.strip()!r} is no image: it must end in {', '.join(sorted(IMAGE_SUFFIXES))}")
    check_links(home / path, root)
    if not os.path.isfile(home / path):
        raise ValueError(f"path {text.strip()!r} is not in {home}: add the image or remove the line")
    return path


def read_text(file: Path) -> str:
    """The text of a list, UTF-8 with or without a byte order mark.

    Raises:
        PermissionError: it may not be read.
        ValueError: it is in another encoding.
    """
    try:
        with permitted(file):
            return file.read_bytes().decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise ValueError(f"{file} is not UTF-8 ({error.reason} at byte {error.start}): save it as UTF-8") from None


def refuse(file: Path, problems: list[str]) -> None:
    """Raise the problems of a list, the first ten of them.

    Raises:
        ValueError: there is at least one.
    """
    if problems:
        shown = problems[:SHOWN] + [f"... {len(problems)} problems in all"] * (len(problems) > SHOWN)
        raise ValueError("\n  ".join([f"{file} cannot be used:", *shown]))


def _scan(folder: Path) -> list[os.DirEntry]:
    """What is directly in a folder and not hidden, in the file system's order.

    Not by pathlib: RPIfield has 600,000 images, and to ask the disk again about each of them is slow.
    """
    with permitted(folder), os.scandir(folder) as entries:
        return [entry for entry in entries if not entry.name.startswith(".")]


def _check_link(link: Path, root: Path) -> None:
    if not os.path.exists(link):
        raise ValueError(
            f"{link} is a symbolic link to {os.readlink(link)}, which is not there: remove the link, or put in its "
            "place what it led to"
        )
    target = Path(os.path.realpath(link))
    if not target.is_relative_to(os.path.realpath(root)):
        raise ValueError(
            f"{link} is a symbolic link to {target}, outside of {root}: copy that in its place, or give its own folder "
            "as root"
        )


def _check_utf8(folder: Path, names: list[str]) -> None:
    for name in names:
        try:
            name.encode()
        except UnicodeEncodeError:
            raise ValueError(f"the name {name!r} in {folder} is not UTF-8: rename it") from None


def _places(folder: Path, homes: set[str]) -> list[Path]:
    """A folder and those in it, at any depth, that have one of these names in whatever case; no link is followed."""
    places = [folder]
    for name in names_in(folder):
        if name.casefold() in homes and os.path.isdir(folder / name) and not os.path.islink(folder / name):
            places += _places(folder / name, homes)
    return places


def _hints(place: Path, homes: Collection[str], names: Collection[str]) -> list[str]:
    """What may be wrong with a place where a data set is not."""
    if os.path.isfile(place) and is_archive(place.name):
        return [f"{place} is packed: unpack it, and give the folder that comes out as root"]
    if not os.path.isdir(place):
        return []
    hints = [*_packed(place), *wrong_case(place, (*homes, *names))]
    for name, file_wanted in [*((home, False) for home in homes), *((name, "." in name) for name in names)]:
        path = place / name
        if os.path.islink(path) and not os.path.exists(path):
            hints.append(f"{path} is a symbolic link to {os.readlink(path)}, which is not there")
        elif os.path.isdir(path) if file_wanted else os.path.isfile(path):
            is_there, wanted = ("folder", "file") if file_wanted else ("file", "folder")
            hints.append(f"{path} is a {is_there}: it must be a {wanted}")
    return hints


def _packed(folder: Path) -> list[str]:
    """A line for each archive in a folder."""
    return [f"{folder / name} is packed: unpack it" for name in names_in(folder) if is_archive(name)]

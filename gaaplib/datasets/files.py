"""Files of data sets, found and matched by name, and lists of them; no image is opened."""

import posixpath
import re
from pathlib import Path

IMAGE_SUFFIXES = {".bmp", ".gif", ".jpeg", ".jpg", ".png", ".tif", ".tiff", ".webp"}
SHOWN = 10


def images_in(folder: Path) -> list[Path]:
    """Images directly in a folder, sorted; hidden files are none."""
    return [
        file
        for file in sorted(folder.iterdir())
        if file.suffix.lower() in IMAGE_SUFFIXES and not file.name.startswith(".") and file.is_file()
    ]


def named_images(folder: Path, pattern: re.Pattern, owner: str, naming: str) -> list[tuple[Path, re.Match]]:
    """The images directly in a folder, each with the match of its file name.

    Args:
        folder: a folder that exists.
        pattern: of the whole file name.
        owner: whose naming this is, for the error: "i-LIDS".
        naming: the naming in words, with an example, for the error.

    Raises:
        ValueError: an image whose name does not match, no image.
    """
    images = images_in(folder)
    if not images:
        raise ValueError(f"{folder} has no image: unpack the data set anew; expected {naming}")
    names = [pattern.fullmatch(file.name) for file in images]
    wrong = [file.name for file, name in zip(images, names, strict=True) if name is None]
    if wrong:
        raise ValueError(
            f"{len(wrong)} of {len(images)} images in {folder} are not named as {owner}'s, first "
            f"{', '.join(wrong[:3])}: expected {naming}; move other images out of the folder, or unpack the data set "
            "anew"
        )
    return list(zip(images, names, strict=True))


def found_in(folder: Path) -> str:
    """What is in a folder, for the error that something else is not."""
    if not folder.is_dir():
        return "a file, not a folder" if folder.exists() else "no such folder"
    there = sorted(entry.name for entry in folder.iterdir())
    return ", ".join(there[:SHOWN]) + (", ..." if len(there) > SHOWN else "") or "nothing"


def listed_image(home: Path, text: str) -> str:
    """The path, POSIX and relative to ``home``, of an image that a list names.

    Args:
        home: the folder that the list's paths are relative to.
        text: as written; backslashes are slashes.

    Raises:
        ValueError: it is empty, leaves the folder, has no image's ending, or there is no such file.
    """
    if not text.strip():
        raise ValueError("the path is empty")
    path = posixpath.normpath(text.strip().replace("\\", "/"))
    if path.startswith(("/", "../")) or re.match("[A-Za-z]:/", path):
        raise ValueError(f"path {text.strip()!r} leaves {home}: write it relative to that folder")
    if posixpath.splitext(path)[1].lower() not in IMAGE_SUFFIXES:
        raise ValueError(f"path {text.strip()!r} is no image: it must end in {', '.join(sorted(IMAGE_SUFFIXES))}")
    if not (home / path).is_file():
        raise ValueError(f"path {text.strip()!r} is not in {home}: add the image or remove the line")
    return path


def read_text(file: Path) -> str:
    """The text of a list, UTF-8 with or without a byte order mark.

    Raises:
        ValueError: it is in another encoding.
    """
    try:
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

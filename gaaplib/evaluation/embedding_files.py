"""Reads embeddings that any framework has saved to files; :mod:`gaaplib.evaluation.embedding_scores` scores them.

Each side (query, gallery) is an ``.npz`` file of three arrays, as ``numpy.savez("gallery.npz", embeddings=...,
pids=..., camids=...)`` writes it; ``camids`` is optional, and so are ``names``, the images' names, by which an image
that is on both sides is known. ``NAMES`` lists other accepted array names. Alternatively, one ``.mat`` file holds both
sides, with the array names of https://github.com/layumi/Person_reID_baseline_pytorch. Files are never unpickled.

Identities and cameras may be words, in an array of text, such as people's names. A word that is a whole number is
that number, so "-1" is junk, too.

The identity -1 is junk, as in Market-1501: such gallery images are left out and counted. The identity 0 has no special
meaning: Market-1501's distractors have it, and no query does.
"""

import hashlib
import math
import re
import zipfile
from dataclasses import dataclass, field
from pathlib import Path

import h5py
import numpy as np

from gaaplib import matlab

NAMES = {
    "embeddings": ("embeddings", "features", "feats", "feat"),
    "pids": ("pids", "labels", "ids"),
    "camids": ("camids", "cameras", "cams"),
    "names": ("names",),
}
"""Accepted names of the arrays in an ``.npz`` file; the first is the library's own."""

OPTIONAL = ("camids", "names")
JUNK = -1

HEADERS = {(1, 0): np.lib.format.read_array_header_1_0, (2, 0): np.lib.format.read_array_header_2_0}

# Embeddings hardly compress. Labels do, but are small: what is larger than this and compresses more than a hundredfold
# is neither, and would fill the memory.
LARGE, COMPRESSED = 2**28, 100

SIDES = ("query", "gallery")
# Kinds of MATLAB's variables that are full matrices.
NUMERIC = ("double", "single", "int", "uint", "logical", "char")


@dataclass(frozen=True, eq=False)
class Side:
    """The query or the gallery images.

    Attributes:
        source: the file, for messages.
        embeddings: (n, dim), finite.
        pids: integers (n,); a word has a number of its own.
        camids: integers (n,), or None if the cameras are unknown.
        names: text (n,), or None if the images have no names.
        persons: ``{number: word}`` of the identities that are words, for messages.
    """

    source: str
    embeddings: np.ndarray
    pids: np.ndarray
    camids: np.ndarray | None
    names: np.ndarray | None = None
    persons: dict[int, str] = field(default_factory=dict)

    def person(self, pid) -> str:
        """The word of an identity, or its number if it is no word."""
        return self.persons.get(int(pid), str(pid))


def read_npz(path) -> Side:
    """One side from an ``.npz`` file: ``embeddings`` (n, dim), ``pids`` (n,) and, if known, ``camids`` (n,).

    Raises:
        FileNotFoundError: no such file.
        PermissionError: it may not be read.
        ValueError: not an ``.npz`` file, a damaged one, an array that is missing or present under two names, pickled
            objects, shapes that do not agree, a value that is NaN or infinite, identities or cameras that are not
            integers or do not fit into 64 bits.

    Example:
        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     path = os.path.join(folder, "query.npz")
        ...     np.savez(path, embeddings=[[1.0, 0.0], [0.0, 1.0]], pids=[7, 8], camids=[0, 1])
        ...     side = read_npz(path)
        >>> side.embeddings.shape, side.pids.tolist(), side.camids.tolist()
        ((2, 2), [7, 8], [0, 1])
    """
    path = _existing(path)
    with open(path, "rb") as file:
        if file.read(6) == b"\x93NUMPY":
            raise ValueError(
                f"{path} is a single array (.npy): save the embeddings together with their labels, by {_how_to_save()}"
            )
    if not zipfile.is_zipfile(path):
        raise ValueError(f"{path} is not an .npz file: write one with {_how_to_save()}")
    try:
        archive = zipfile.ZipFile(path)
    except Exception as error:
        # On damaged archives zipfile raises errors of many types.
        raise ValueError(f"{path} cannot be read ({error}); is the file complete?") from error
    with archive:
        values = {name: _find(archive, name, path) for name in NAMES}
    return _side(str(path), **values)


def read_mat(path) -> tuple[Side, Side]:
    """Query and gallery from a ``pytorch_result.mat`` of Person_reID_baseline_pytorch.

    Its arrays are ``query_f`` and ``gallery_f`` (n, dim), ``query_label``, ``gallery_label`` and, if known,
    ``query_cam`` and ``gallery_cam``, of n entries each.

    Raises:
        FileNotFoundError: no such file.
        PermissionError: it may not be read.
        ValueError: not a ``.mat`` file, a damaged one, one of version 7.3, sparse matrices, cells or structs, or
            contents that :func:`read_npz` refuses too.
    """
    path = _existing(path)
    with open(path, "rb"):
        pass  # raises a PermissionError
    if h5py.is_hdf5(path):
        raise ValueError(
            f"{path} is a .mat file of version 7.3 (HDF5): save it in MATLAB with '-v7', or read it with h5py (its "
            f"axes are reversed) and write an .npz file for each side, with {_how_to_save()}"
        )
    names = [f"{side}_{name}" for side in SIDES for name in ("f", "label", "cam")]
    try:
        ((heads, arrays),) = matlab.read([path], names)
    except matlab.Damaged as error:
        raise ValueError(f"{path} cannot be read as a .mat file: {error}") from error
    for name in set(names) & set(heads):
        if not heads[name][1].startswith(NUMERIC):
            kind = heads[name][1]
            raise ValueError(f"{path} cannot be read as a .mat file: {name} is a {kind}: save a full matrix of numbers")
    sides = []
    for side in SIDES:
        missing = [name for name in (f"{side}_f", f"{side}_label") if name not in arrays]
        if missing:
            there = ", ".join(sorted(heads)) or "no arrays"
            raise ValueError(f"{path} has no {' and no '.join(missing)}; it has: {there}")
        source = f"{path} ({side})"
        sides.append(_side(source, *(arrays.get(f"{side}_{name}") for name in ("f", "label", "cam"))))
    return tuple(sides)


def _existing(path) -> Path:
    path = Path(path)
    if not path.is_file():
        raise FileNotFoundError(f"no such file: {path}")
    return path


def _how_to_save() -> str:
    return f"numpy.savez(path, {', '.join(f'{name}=...' for name in NAMES)})"


def _find(archive: zipfile.ZipFile, name: str, path) -> np.ndarray | None:
    """The array under any of its accepted names; None if it is optional and missing."""
    members = [member.removesuffix(".npy") for member in archive.namelist()]
    present = [alias for alias in members if alias in NAMES[name]]
    if len(present) > 1:
        raise ValueError(f"{path} has both {present[0]} and {present[1]}: keep only the one that holds the {name}")
    if present:
        return _read_member(archive, archive.infolist()[members.index(present[0])], f"{path}: {present[0]}")
    if name in OPTIONAL:
        return None
    raise ValueError(
        f"{path} has no {name} (accepted names: {', '.join(NAMES[name])}); it has: {', '.join(members) or 'no arrays'}"
    )


def _read_member(archive: zipfile.ZipFile, member: zipfile.ZipInfo, what: str) -> np.ndarray:
    """One array of an archive. Nothing is allocated before the sizes in its header and the archive's agree."""
    if member.file_size > LARGE and member.file_size > COMPRESSED * member.compress_size:
        raise ValueError(
            f"{what} cannot be read: it would have {member.file_size} bytes, but is compressed to "
            f"{member.compress_size}, which no embeddings are"
        )
    try:
        with archive.open(member) as file:
            shape, fortran_order, dtype = _read_header(file)
            size = math.prod(shape) * dtype.itemsize
            fits = min(shape, default=0) >= 0 and file.tell() + size == member.file_size
            # To the end, where the checksum is compared.
            values = np.frombuffer(file.read(), dtype) if fits and not dtype.hasobject else None
    # On damaged members zipfile and NumPy raise errors of many types: BadZipFile, zlib.error, EOFError, SyntaxError,
    # RuntimeError (encrypted), NotImplementedError (unknown compression), TokenError, MemoryError and others.
    except Exception as error:
        reason = str(error) or type(error).__name__
        raise ValueError(f"{what} cannot be read ({reason}); is the file complete?") from error
    if dtype.hasobject:
        raise ValueError(f"{what} cannot be read: pickled objects are refused: save numbers, or text by astype(str)")
    if not fits:
        raise ValueError(f"{what} cannot be read: shape {shape} and dtype {dtype} do not fit {member.file_size} bytes")
    return values.reshape(shape, order="F" if fortran_order else "C")


def _read_header(file) -> tuple[tuple[int, ...], bool, np.dtype]:
    """Shape, order and dtype of an ``.npy`` file."""
    version = np.lib.format.read_magic(file)
    if version not in HEADERS:
        raise ValueError(f"it has the .npy version {version}")
    return HEADERS[version](file)


def _side(source: str, embeddings, pids, camids, names=None) -> Side:
    if embeddings.ndim != 2 or embeddings.dtype.kind not in "fiu" or embeddings.size == 0:
        raise ValueError(
            f"{source}: the embeddings have shape {embeddings.shape} and dtype {embeddings.dtype}: they must be a "
            "matrix of real numbers (n, dim), with one row per image and at least one row"
        )
    bad = np.flatnonzero(~np.isfinite(embeddings).all(axis=1))
    if bad.size:
        raise ValueError(
            f"{source}: the embedding at row {bad[0]} has NaN or infinite values ({bad.size} such rows): leave these "
            "images out, or find out why the model produces them"
        )
    n = len(embeddings)
    camids = None if camids is None else _integers(camids, n, f"{source}: the cameras")
    names = None if names is None else _texts(names, n, f"{source}: the names")
    numbers = _integers(pids, n, f"{source}: the identities")
    words = dict(zip(numbers.tolist(), pids.ravel().tolist(), strict=True)) if pids.dtype.kind == "U" else {}
    return Side(source, embeddings, numbers, camids, names, words)


def _texts(values, n: int, what: str) -> np.ndarray:
    """(n,) texts; numbers are accepted as they are written, and (1, n) and (n, 1)."""
    values = _flat(values, n, what)
    if values.dtype.kind not in "Uiu":
        raise ValueError(f"{what} have dtype {values.dtype}: they must be text, by names.astype(str)")
    return values.astype(str)


def _integers(values, n: int, what: str) -> np.ndarray:
    """(n,) integers; also accepts (1, n), (n, 1) and whole floats, as MATLAB writes them."""
    values = _flat(values, n, what)
    if values.dtype.kind == "U":
        return _numbers_of(values)
    whole = values.dtype.kind == "f" and np.array_equal(values, np.round(values)) and np.abs(values).max() < 2**53
    if not whole and values.dtype.kind not in "iu":
        raise ValueError(f"{what} have dtype {values.dtype} and are not whole numbers: they must be integers, or text")
    if values.max() > np.iinfo(np.int64).max:
        raise ValueError(f"{what} have the value {values.max()}: it must be below 2**63, as 64-bit integers are")
    return values.astype(np.int64)


def _flat(values, n: int, what: str) -> np.ndarray:
    if values.shape not in ((n,), (1, n), (n, 1)):
        raise ValueError(f"{what} have shape {values.shape}: with {n} embeddings the shape must be {(n,)}")
    return values.reshape(n)


def _numbers_of(words) -> np.ndarray:
    """One integer per word, which is the same in every file and beside any other words: see :func:`_number_of`."""
    kinds, places = np.unique(words, return_inverse=True)
    return np.array([_number_of(word) for word in kinds], dtype=np.int64)[places]


def _number_of(word: str) -> int:
    """The value of a whole number of up to 18 digits; of any other word a hash, which no such number is."""
    if re.fullmatch(r"-?\d{1,18}", word, re.ASCII):
        return int(word)
    digest = hashlib.blake2b(word.encode("utf-8", "surrogatepass"), digest_size=8).digest()
    return 2**62 | int.from_bytes(digest, "big") >> 2

"""Reads embeddings that any framework has saved to files; :mod:`gaaplib.evaluation.embedding_scores` scores them.

Each side (query, gallery) is an ``.npz`` file of three arrays, as ``numpy.savez("gallery.npz", embeddings=...,
pids=..., camids=...)`` writes it; ``camids`` is optional. ``NAMES`` lists other accepted array names. Alternatively,
one ``.mat`` file holds both sides, with the array names of https://github.com/layumi/Person_reID_baseline_pytorch.
Files are never unpickled.

The identity -1 is junk, as in Market-1501: such gallery images are left out and counted. The identity 0 has no special
meaning: Market-1501's distractors have it, and no query does.
"""

import zipfile
import zlib
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import h5py
import numpy as np

NAMES = {
    "embeddings": ("embeddings", "features", "feats", "feat"),
    "pids": ("pids", "labels", "ids"),
    "camids": ("camids", "cameras", "cams"),
}
"""Accepted names of the arrays in an ``.npz`` file; the first is the library's own."""

JUNK = -1


@dataclass(frozen=True, eq=False)
class Side:
    """The query or the gallery images.

    Attributes:
        source: the file, for messages.
        embeddings: (n, dim), finite.
        pids: integers (n,).
        camids: integers (n,), or None if the cameras are unknown.
    """

    source: str
    embeddings: np.ndarray
    pids: np.ndarray
    camids: np.ndarray | None


def read_npz(path) -> Side:
    """One side from an ``.npz`` file: ``embeddings`` (n, dim), ``pids`` (n,) and, if known, ``camids`` (n,).

    Raises:
        FileNotFoundError: no such file.
        ValueError: not an ``.npz`` file, an array that is missing or present under two names, pickled objects, shapes
            that do not agree, a value that is NaN or infinite, identities or cameras that are not integers.

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
        with np.load(path, allow_pickle=False) as arrays:
            values = {name: _find(arrays, name, path) for name in NAMES}
    except (zipfile.BadZipFile, zlib.error, EOFError, OSError) as error:
        raise ValueError(f"{path} cannot be read: {error}; is the file complete?") from error
    return _side(str(path), values["embeddings"], values["pids"], values["camids"])


def read_mat(path) -> tuple[Side, Side]:
    """Query and gallery from a ``pytorch_result.mat`` of Person_reID_baseline_pytorch.

    Its arrays are ``query_f`` and ``gallery_f`` (n, dim), ``query_label``, ``gallery_label`` and, if known,
    ``query_cam`` and ``gallery_cam``, of n entries each.

    Raises:
        FileNotFoundError: no such file.
        ValueError: not a ``.mat`` file, a ``.mat`` file of version 7.3, or contents that :func:`read_npz` refuses too.
    """
    path = _existing(path)
    if h5py.is_hdf5(path):
        raise ValueError(
            f"{path} is a .mat file of version 7.3 (HDF5): save it in MATLAB with '-v7', or read it with h5py (its "
            f"axes are reversed) and write an .npz file for each side, with {_how_to_save()}"
        )
    try:
        from scipy.io import loadmat  # only here: its import takes as long as all others

        arrays = loadmat(path)
    except Exception as error:
        # On damaged files SciPy raises many kinds of errors: TypeError, zlib.error, MemoryError and others.
        raise ValueError(f"{path} cannot be read as a .mat file: {error}") from error
    sides = []
    for side in ("query", "gallery"):
        missing = [name for name in (f"{side}_f", f"{side}_label") if name not in arrays]
        if missing:
            names = ", ".join(sorted(name for name in arrays if not name.startswith("__")))
            raise ValueError(f"{path} has no {' and no '.join(missing)}; it has: {names or 'no arrays'}")
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


def _find(arrays: Mapping, name: str, path) -> np.ndarray | None:
    """The array under any of its accepted names; None if it is ``camids`` and missing."""
    present = [alias for alias in NAMES[name] if alias in arrays]
    if len(present) > 1:
        raise ValueError(f"{path} has both {present[0]} and {present[1]}: keep only the one that holds the {name}")
    if present:
        try:
            return arrays[present[0]]
        except ValueError as error:
            raise ValueError(
                f"{path}: {present[0]} cannot be read ({error}); pickled objects are refused, so save an array of "
                "numbers"
            ) from error
    if name == "camids":
        return None
    raise ValueError(
        f"{path} has no {name} (accepted names: {', '.join(NAMES[name])}); it has: {', '.join(arrays) or 'no arrays'}"
    )


def _side(source: str, embeddings, pids, camids) -> Side:
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
    return Side(source, embeddings, _integers(pids, n, f"{source}: the identities"), camids)


def _integers(values, n: int, what: str) -> np.ndarray:
    """(n,) integers; also accepts (1, n), (n, 1) and whole floats, as MATLAB writes them."""
    if values.shape not in ((n,), (1, n), (n, 1)):
        raise ValueError(f"{what} have shape {values.shape}: with {n} embeddings the shape must be {(n,)}")
    values = values.reshape(n)
    whole = values.dtype.kind == "f" and np.array_equal(values, np.round(values)) and np.abs(values).max() < 2**53
    if not whole and values.dtype.kind not in "iu":
        raise ValueError(f"{what} have dtype {values.dtype} and are not whole numbers: they must be integers")
    return values.astype(np.int64)

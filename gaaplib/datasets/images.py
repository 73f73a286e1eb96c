"""From records to pixels: the image store.

Images are uint8, (height, width, 3), RGB. The store is one memory-mapped array on disk, so that a data set is decoded
once for all runs and never has to fit in memory.
"""

import hashlib
import io
import json
import os
import shutil
import warnings
from collections import deque
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import ExifTags, Image
from tqdm import tqdm

from gaaplib import threads
from gaaplib.project import locked, write_whole

STORE_VERSION = 2
# Images per task. With one image of 128 x 64 per task, threads spend most of their time waiting for Python's lock.
PIECE = 32
# Largest number of tasks in the queue.
AHEAD = 4 * threads.cores()
# The progress is saved each time so many images are decoded.
SAVE_EVERY = 4096
MAX_UNDECODABLE = 0.01
# The ImageNet mean in 0..255: borders of this colour are zero after the network's normalisation.
BORDER = (124, 116, 104)
# What to do with the pixels for each EXIF orientation; 1 is upright.
TURNS = {
    2: Image.Transpose.FLIP_LEFT_RIGHT,
    3: Image.Transpose.ROTATE_180,
    4: Image.Transpose.FLIP_TOP_BOTTOM,
    5: Image.Transpose.TRANSPOSE,
    6: Image.Transpose.ROTATE_270,
    7: Image.Transpose.TRANSVERSE,
    8: Image.Transpose.ROTATE_90,
}
# Those after which height and width are exchanged.
LYING = {TURNS[orientation] for orientation in (5, 6, 7, 8)}


def read_image(path, height, width):
    """Decode one file to uint8 (height, width, 3), RGB, resized bilinearly.

    Grey, palette, CMYK and 16-bit images are converted to RGB. Transparent pixels get the border colour. The EXIF
    orientation is applied, if it can be read. Grey values that are floats must be on the scale of 8 bits, 0 to 255, and
    are rounded. Other floats are refused, among them 0 to 1, because their scale is not known.

    Raises:
        ValueError: the file cannot be decoded (empty, truncated, not an image, floats of another scale); the message
            has its path and the reason.
    """
    try:
        with Image.open(path) as image:
            return _pixels(image, height, width)
    # On damaged files Pillow raises errors of any type: OSError, SyntaxError, struct.error, MemoryError and others.
    except Exception as error:
        empty = Path(path).is_file() and not Path(path).stat().st_size
        missing = isinstance(error, FileNotFoundError)
        raise ValueError(
            _unreadable(path, "the file is empty" if empty else "no such file" if missing else error)
        ) from error


def _unreadable(path, reason):
    return f"{path}: not a readable image ({str(reason) or type(reason).__name__})"


def _pixels(image, height, width):
    """A Pillow image as uint8 (height, width, 3)."""
    # Steps that change nothing do not copy the image: at 128 x 64, copies would take a seventh of the time.
    image.load()  # Some formats have their EXIF tags behind the pixels.
    turn = turned(image)
    image = _to_rgb(image if turn is None else image.transpose(turn))
    if image.size != (width, height):
        image = image.resize((width, height), Image.Resampling.BILINEAR)
    return np.asarray(image)


def turned(image):
    """How to turn an image to be upright, from its EXIF orientation; None if it is, or if that cannot be read.

    Pillow's ``ImageOps.exif_transpose`` is not used: it writes all other tags anew, and fails if one is malformed.
    """
    try:
        return TURNS.get(image.getexif().get(ExifTags.Base.Orientation))
    except Exception:
        return None


def _to_rgb(image):
    if image.mode.startswith("I"):
        # 16 bits: Pillow's own conversion clips at 255 instead of scaling.
        values = np.asarray(image, dtype=np.float64)
        if values.max() > 65535 or values.min() < 0:
            raise OSError("grey values outside 16 bits")
        image = Image.fromarray((values / 257.0 + 0.5).astype(np.uint8))
    elif image.mode == "F":
        # Pillow's own conversion clips, and makes NaN black.
        values = np.asarray(image)
        low, high = values.min(), values.max()
        if not (low >= 0 and 1 < high <= 255):
            raise OSError(
                f"its grey values are floats from {low:g} to {high:g}, and their scale is not known: save them as "
                "8-bit or 16-bit integers"
            )
        image = Image.fromarray((values + 0.5).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (*BORDER, 255))
        image = Image.alpha_composite(ground, image)
    return image if image.mode == "RGB" else image.convert("RGB")


@dataclass(frozen=True)
class ImageStore:
    """Decoded images and their records.

    Attributes:
        images: uint8 (n, height, width, 3), memory-mapped, read-only.
        records: the record table without the undecodable images; its column ``row`` is the index in ``images``.
        undecodable: one sentence for each image that was left out.
        fingerprint: SHA-256 over paths, identities, cameras, splits and pixels: equal data have equal fingerprints.
        files: SHA-256 of :func:`files_key`.
    """

    images: np.ndarray
    records: pd.DataFrame
    undecodable: tuple[str, ...]
    fingerprint: str
    files: str


def open_store(root, records, height, width, cache, *, read_members=None, verify=False, progress=True):
    """Open the image store of these records; decodes the images first if necessary.

    The store is a folder in ``cache``. Its name is a hash of the image size and of the files' paths, sizes and
    modification times, so a changed file leads to a new store. An incomplete store is checked and completed. A damaged
    store is decoded again, with a warning. If another process is decoding the same store, this one waits.

    Args:
        root: folder that ``records.path`` is relative to.
        records: the record table of :mod:`gaaplib.datasets.records`.
        height, width: size of the stored images, in pixels.
        cache: folder for stores; created if missing.
        read_members: function from paths of the records to an iterator of Pillow images, for images inside one file,
            whose paths are "file#member"; None if every path is a file.
        verify: read the whole store and compare its checksum. Otherwise only the size of a complete store is checked,
            because its checksum was compared when it was decoded.
        progress: show a progress bar while decoding.

    Raises:
        ValueError: more than 1 % of the images cannot be decoded; the message lists the first of them.
        FileNotFoundError: a file of the records is missing.
        OSError: the disk is full, or returns other data than was written.
    """
    root, paths = Path(root), records.path.tolist()
    key = files_key(root, paths, members=read_members is not None)
    folder = Path(cache) / f"images-{height}x{width}-{key[:16]}"
    decode = partial(decoded, root, height, width, read_members)
    files = _StoreFiles(folder, paths, height, width)
    store, _ = files.recorded()
    if verify or store["rows"] < len(paths):
        with locked(files.folder / "lock", f"decoding {files.folder}"):
            store = files.complete(decode, progress)
    undecodable = tuple(store["undecodable"].values())
    if undecodable:
        _report_undecodable(undecodable, len(records))
    kept = records.assign(row=np.arange(len(records)))
    kept = kept[~kept.path.isin(list(store["undecodable"]))].reset_index(drop=True)
    table = kept.drop(columns="row").to_csv(index=False, lineterminator="\n")
    fingerprint = hashlib.sha256((table + store["pixels"]).encode()).hexdigest()
    return ImageStore(np.load(files.array, mmap_mode="r"), kept, undecodable, fingerprint, key)


def files_key(root, paths, *, members=False):
    """SHA-256 over the paths and the sizes and modification times of their files, which are not read.

    Args:
        root: folder that the paths are relative to.
        paths: of the records.
        members: whether the paths are "file#member".

    Raises:
        FileNotFoundError: a file is missing.
    """
    files = [path.rpartition("#")[0] for path in paths] if members else paths
    digest = hashlib.sha256(f"store {STORE_VERSION}".encode())
    for path, file in zip(paths, files, strict=True):
        try:
            status = os.stat(os.path.join(root, file))
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} is in the records but not under {root}") from None
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def decoded(root, height, width, read_members, paths):
    """Yield images in order, decoded by several threads ahead of the caller.

    Args:
        root, height, width, read_members: as for :func:`open_store`.
        paths: list of paths of the records.

    Yields:
        For each path, in order, uint8 (height, width, 3), or a str with the reason if it cannot be decoded.
    """

    def member(path, image):
        try:
            return _pixels(image, height, width)
        except Exception as error:
            return _unreadable(path, error)

    if read_members:
        yield from map(member, paths, read_members(paths))
        return

    def read(path):
        try:
            return read_image(root / path, height, width)
        except ValueError as error:
            return str(error).replace(str(root / path), path)

    # Pillow releases Python's lock while it decodes, so threads run in parallel.
    with ThreadPoolExecutor(threads.cores()) as pool:
        waiting = deque()
        for first in range(0, len(paths), PIECE):
            waiting.append(pool.submit(lambda piece: [read(path) for path in piece], paths[first : first + PIECE]))
            if len(waiting) == AHEAD:
                yield from waiting.popleft().result()
        for piece in waiting:
            yield from piece.result()


class _StoreFiles:
    """The folder of a store: ``images.npy`` grows image by image, ``store.json`` records how much of it is valid.

    ``store.json`` has the number of valid ``rows``, ``pixels``, which is a SHA-256 over the decoded images, and
    ``undecodable``, the reason for each of the others. The array is written as a file and not through a memory map: a
    map's pages would fill the memory, and a full disk would kill the process.
    """

    def __init__(self, folder, paths, height, width):
        self.folder, self.paths = folder, paths
        self.array, self.note = folder / "images.npy", folder / "store.json"
        shape = (len(paths), height, width, 3)
        header = io.BytesIO()
        np.lib.format.write_array_header_1_0(header, {"descr": "|u1", "fortran_order": False, "shape": shape})
        self.header = header.getvalue()
        self.image_bytes = height * width * 3

    def recorded(self):
        """(content of ``store.json``, None), or (an empty store, the reason) if the array does not match it."""
        if not self.array.exists() and not self.note.exists():
            return _empty(), None
        try:
            store = json.loads(self.note.read_text())
            if not store["rows"]:
                return _empty(), None
            size, expected = self.array.stat().st_size, self._size(store["rows"])
            with open(self.array, "rb") as file:
                whole = file.read(len(self.header)) == self.header
            whole &= store["version"] == STORE_VERSION and isinstance(store["undecodable"], dict)
            # An interruption leaves rows that are not recorded yet; a complete store has no such rows.
            if whole and (size == expected or (size > expected and store["rows"] < len(self.paths))):
                return store, None
            reason = f"images.npy has {size} bytes, expected {expected}" if whole else "it has another version or shape"
        except (OSError, ValueError, LookupError, TypeError) as error:
            reason = error
        return _empty(), reason

    def complete(self, decode, progress):
        """Check the existing rows, decode the rest, check everything; returns the new content of ``store.json``."""
        store, digest = self._verified()
        if store["rows"] == len(self.paths):
            return store
        missing, free = self.image_bytes * (len(self.paths) - store["rows"]), shutil.disk_usage(self.folder).free
        if missing > free:
            raise OSError(f"{self.folder} needs {missing / 1e9:.1f} GB, but its disk has {free / 1e9:.1f} GB left")
        if not store["rows"]:
            self._save(store)
            # Deleted and not overwritten: another process may still have the damaged file mapped.
            self.array.unlink(missing_ok=True)
            self.array.write_bytes(self.header)
        with open(self.array, "ab") as file:
            file.truncate(self._size(store["rows"]))
            self._append(file, store, digest, decode(self.paths[store["rows"] :]), progress)
        store, _ = self._verified()
        if store["rows"] < len(self.paths):
            raise OSError(f"{self.folder}: the disk returns other data than was written; use another disk")
        return store

    def _size(self, rows):
        return len(self.header) + rows * self.image_bytes

    def _verified(self):
        """(recorded store, its running checksum) if the checksum is right; otherwise warns and returns empty ones."""
        (store, damage), digest = self.recorded(), hashlib.sha256()
        if store["rows"]:
            with open(self.array, "rb") as file:
                file.seek(len(self.header))
                for path in self.paths[: store["rows"]]:
                    pixels = file.read(self.image_bytes)
                    if path not in store["undecodable"]:
                        digest.update(pixels)
            if digest.hexdigest() != store["pixels"]:
                damage = "its checksum differs"
        if damage is None:
            return store, digest
        warnings.warn(f"the image store {self.folder} is damaged ({damage}): it is decoded again", stacklevel=4)
        return _empty(), hashlib.sha256()

    def _append(self, file, store, digest, images, progress):
        """Append the missing images; after every ``SAVE_EVERY``, record how many are safely on disk."""
        total, paths = len(self.paths), self.paths[store["rows"] :]
        bar = tqdm(
            paths, desc="decoding images", initial=store["rows"], total=total, unit="image", disable=not progress
        )
        for path, image in zip(bar, images, strict=True):
            if isinstance(image, str):
                store["undecodable"][path] = image
                file.write(bytes(self.image_bytes))
            else:
                digest.update(image)
                file.write(image)
            store["rows"] += 1
            if store["rows"] % SAVE_EVERY == 0 or store["rows"] == total:
                file.flush()
                os.fsync(file.fileno())
                self._save({**store, "pixels": digest.hexdigest()})

    def _save(self, store):
        write_whole(self.note, json.dumps(store, indent=1))


def _empty():
    return {"version": STORE_VERSION, "rows": 0, "pixels": hashlib.sha256().hexdigest(), "undecodable": {}}


def _report_undecodable(reasons, total):
    """Warn about undecodable images; raise an error if they are more than 1 %."""
    listed = "\n".join(f"  {reason}" for reason in reasons[:10])
    more = f"\n  and {len(reasons) - 10} more" if len(reasons) > 10 else ""
    message = f"{len(reasons)} of {total} images cannot be decoded:\n{listed}{more}"
    if len(reasons) > MAX_UNDECODABLE * total:
        raise ValueError(f"{message}\nThat is more than {MAX_UNDECODABLE:.0%}: repair, replace or remove these files")
    warnings.warn(f"{message}\nThey are left out", stacklevel=3)

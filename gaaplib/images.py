"""From records to pixels: the image store.

Images are uint8, (height, width, 3), RGB. The store is one memory-mapped array on disk, so that a data set is decoded
once for all runs and never has to fit in memory.
"""

import hashlib
import json
import os
import shutil
import tempfile
import warnings
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd
from PIL import Image, ImageOps, UnidentifiedImageError
from tqdm import tqdm

STORE_VERSION = 1
MAX_UNDECODABLE = 0.01
# The ImageNet mean in 0..255: what fills a border is then zero for the network.
BORDER = (124, 116, 104)


def read_image(path, height, width):
    """Decode one file to uint8 (height, width, 3), RGB, resized bilinearly.

    Grey, palette, CMYK and 16-bit pictures are converted, transparent ones are laid on the border colour, and a
    camera's rotation mark (EXIF) is obeyed.

    Raises:
        ValueError: the file cannot be decoded (empty, truncated, not a picture), naming it and why.
    """
    try:
        with Image.open(path) as image:
            return _pixels(image, height, width)
    except (UnidentifiedImageError, OSError, SyntaxError, Image.DecompressionBombError) as error:
        empty = Path(path).is_file() and not Path(path).stat().st_size
        missing = isinstance(error, FileNotFoundError)
        reason = "the file is empty" if empty else "no such file" if missing else error
        raise ValueError(f"{path}: not a readable image ({reason})") from error


def _pixels(image, height, width):
    """A Pillow image as uint8 (height, width, 3)."""
    image = _to_rgb(ImageOps.exif_transpose(image))
    return np.asarray(image.resize((width, height), Image.Resampling.BILINEAR))


def _to_rgb(image):
    if image.mode.startswith("I"):
        # 16 bits: Pillow's own conversion clips at 255 instead of scaling.
        values = np.asarray(image, dtype=np.float64)
        if values.max() > 65535 or values.min() < 0:
            raise OSError("grey values outside 16 bits")
        image = Image.fromarray((values / 257.0 + 0.5).astype(np.uint8))
    if image.mode in ("RGBA", "LA", "PA") or "transparency" in image.info:
        image = image.convert("RGBA")
        ground = Image.new("RGBA", image.size, (*BORDER, 255))
        image = Image.alpha_composite(ground, image)
    return image.convert("RGB")


@dataclass(frozen=True)
class ImageStore:
    """Decoded images and the records that they belong to.

    Attributes:
        images: uint8 (n, height, width, 3), memory-mapped, read-only.
        records: the record table without the undecodable images; its column ``row`` is the row in ``images``.
        undecodable: one sentence for each image that was left out.
        fingerprint: SHA-256 over paths, identities, cameras, splits and pixels: equal data, equal fingerprint.
    """

    images: np.ndarray
    records: pd.DataFrame
    undecodable: tuple[str, ...]
    fingerprint: str


def open_store(root, records, height, width, cache, *, read_members=None, progress=True):
    """Open the image store of these records, decoding them first if need be.

    The store lies in a folder of ``cache`` named after the paths, sizes and modification times of the files and the
    size of the images, so that a change of any file is noticed. It appears there whole or not at all.

    Args:
        root: folder that ``records.path`` is relative to.
        records: the record table of :mod:`gaaplib.datasets.records`.
        height, width: of the stored images, in pixels.
        cache: folder for stores, made when missing.
        read_members: function from paths of the records to an iterator of Pillow images, where images lie within
            one file and their paths are "file#member"; None: every path is a file.
        progress: show a bar while decoding.

    Raises:
        ValueError: more than 1 % of the images cannot be decoded; the first of them are listed.
        FileNotFoundError: a file of the records is missing.
    """
    root, paths = Path(root), records.path.tolist()
    files = [path.rpartition("#")[0] for path in paths] if read_members else paths
    folder = Path(cache) / f"images-{height}x{width}-{_files_key(root, paths, files)[:16]}"
    if not (folder / "store.json").exists():
        _decode_all(root, paths, height, width, read_members, folder, progress)
    store = json.loads((folder / "store.json").read_text())
    undecodable = tuple(store["undecodable"].values())
    if undecodable:
        _report_undecodable(undecodable, len(records))
    kept = records.assign(row=np.arange(len(records)))
    kept = kept[~kept.path.isin(list(store["undecodable"]))].reset_index(drop=True)
    table = kept.drop(columns="row").to_csv(index=False, lineterminator="\n")
    fingerprint = hashlib.sha256((table + store["pixels"]).encode()).hexdigest()
    return ImageStore(np.load(folder / "images.npy", mmap_mode="r"), kept, undecodable, fingerprint)


def _files_key(root, paths, files):
    """A hash of what the files of the paths are without reading them."""
    digest = hashlib.sha256(f"store {STORE_VERSION}".encode())
    for path, file in zip(paths, files, strict=True):
        try:
            status = os.stat(os.path.join(root, file))
        except FileNotFoundError:
            raise FileNotFoundError(f"{path} is in the records but not under {root}") from None
        digest.update(f"{path}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()


def _decode_all(root, paths, height, width, read_members, folder, progress):
    folder.parent.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=folder.name + ".part-", dir=folder.parent))
    shape = (len(paths), height, width, 3)
    images = np.lib.format.open_memmap(part / "images.npy", mode="w+", dtype=np.uint8, shape=shape)
    digest, undecodable = hashlib.sha256(), {}

    def decode(path):
        try:
            return read_image(root / path, height, width)
        except ValueError as error:
            return str(error).replace(str(root / path), path)

    try:
        with ThreadPoolExecutor(os.cpu_count()) as pool:
            bar = tqdm(paths, desc="decoding images", unit="image", disable=not progress)
            # In the order of the records; Pillow decodes outside Python's lock, so threads do work side by side.
            images_of_paths = (
                (_pixels(image, height, width) for image in read_members(paths))
                if read_members
                else pool.map(decode, paths)
            )
            for row, (path, decoded) in enumerate(zip(bar, images_of_paths, strict=True)):
                if isinstance(decoded, str):
                    undecodable[path] = decoded
                else:
                    images[row] = decoded
                    digest.update(decoded.tobytes())
        images.flush()
        store = {"version": STORE_VERSION, "pixels": digest.hexdigest(), "undecodable": undecodable}
        (part / "store.json").write_text(json.dumps(store, indent=1))
        if not folder.exists():
            os.replace(part, folder)
    finally:
        shutil.rmtree(part, ignore_errors=True)


def _report_undecodable(reasons, total):
    """A warning for a few broken images; an error when they are more than 1 %."""
    listed = "\n".join(f"  {reason}" for reason in reasons[:10])
    more = f"\n  and {len(reasons) - 10} more" if len(reasons) > 10 else ""
    message = f"{len(reasons)} of {total} images cannot be decoded:\n{listed}{more}"
    if len(reasons) > MAX_UNDECODABLE * total:
        raise ValueError(f"{message}\nThat is more than {MAX_UNDECODABLE:.0%}: repair, replace or remove these files")
    warnings.warn(f"{message}\nThey are left out", stacklevel=3)

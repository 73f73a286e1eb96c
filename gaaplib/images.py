"""From records to pixels: the image store, augmentation, samplers and batches.

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

import keras
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


@dataclass(frozen=True)
class Augmentation:
    """The paper's four augmentations, and two of today's. Each image draws its own.

    Attributes:
        shift_x, shift_y: largest shift, as a share of width and of height.
        zoom: largest change of size, as a share; in or out, about the centre.
        crop: largest share of either side that is cut away, at a random place; the rest is enlarged again.
        flip: probability of a mirror image (not in the paper).
        erase: probability that a random rectangle of 2-20 % of the image is blanked (Zhong et al. 2020; not in
            the paper).
    """

    shift_x: float = 0.1
    shift_y: float = 0.1
    zoom: float = 0.1
    crop: float = 0.1
    flip: float = 0.0
    erase: float = 0.0

    def __post_init__(self):
        for name, value in vars(self).items():
            top = 1.0 if name in ("flip", "erase") else 0.9
            if not 0.0 <= value <= top:
                raise ValueError(f"augmentation {name}={value!r}: expected a share from 0 to {top}")

    def __call__(self, image, rng):
        """Augment one uint8 image (height, width, 3) with the given generator."""
        height, width = image.shape[:2]
        # Always the same count of draws, so that one setting does not shift another's random numbers.
        draws = rng.random(11)
        signed = 2.0 * draws - 1.0
        scale = (1.0 + self.zoom * signed[0]) * (1.0 - self.crop * draws[1])
        spare = self.crop * draws[1]
        centre_x = 0.5 + self.shift_x * signed[2] + spare * (draws[3] - 0.5)
        centre_y = 0.5 + self.shift_y * signed[4] + spare * (draws[5] - 0.5)
        left, right = (centre_x - scale / 2) * width, (centre_x + scale / 2) * width
        top, bottom = (centre_y - scale / 2) * height, (centre_y + scale / 2) * height
        if draws[6] < self.flip:
            left, right = right, left
        moved = Image.fromarray(image).transform(
            (width, height),
            Image.Transform.EXTENT,
            (left, top, right, bottom),
            Image.Resampling.BILINEAR,
            fillcolor=BORDER,
        )
        # A copy, as Pillow's own buffer is read-only.
        return self._erased(np.array(moved), draws[7:])

    def _erased(self, image, draws):
        if draws[0] >= self.erase:
            return image
        height, width = image.shape[:2]
        area = 0.02 + 0.18 * draws[1]
        # Sides of equal share of the image's: a rectangle of the image's own proportions.
        rows, columns = max(1, int(height * area**0.5)), max(1, int(width * area**0.5))
        top, left = int(draws[2] * (height - rows + 1)), int(draws[3] * (width - columns + 1))
        image[top : top + rows, left : left + columns] = BORDER
        return image


def shuffled(labels, batch_size, images_per_identity, rng):
    """Plain shuffled batches: every image at most once an epoch, the incomplete last batch left out.

    A data set smaller than one batch gives one smaller batch. Answers integer positions, (batches, batch).
    """
    order = rng.permutation(len(labels))
    size = min(batch_size, len(labels))
    return order[: len(order) // size * size].reshape(-1, size)


def identity_balanced(labels, batch_size, images_per_identity, rng):
    """P x K batches: P identities with K = ``images_per_identity`` images each, P = batch_size / K.

    Identities come equally often, each one's images in turn; an identity with fewer than K images repeats them. An
    epoch has as many batches as a shuffled one. Answers integer positions, (batches, P * K).

    Raises:
        ValueError: K does not divide the batch, or there are fewer than P identities.
    """
    identities_per_batch, rest = divmod(batch_size, images_per_identity)
    identities = np.unique(labels)
    if rest or not identities_per_batch:
        raise ValueError(f"batch_size={batch_size} is not a multiple of images_per_identity={images_per_identity}")
    if len(identities) < identities_per_batch:
        raise ValueError(
            f"{identities_per_batch} identities a batch, but only {len(identities)} to train on: "
            f"a smaller batch_size or more images_per_identity would do"
        )
    members = {identity: np.flatnonzero(labels == identity) for identity in identities}
    queues = {identity: np.empty(0, int) for identity in identities}
    batches, waiting = [], np.empty(0, identities.dtype)
    for _ in range(max(1, len(labels) // batch_size)):
        if len(waiting) < identities_per_batch:
            # Those still waiting go first; the new round is shuffled behind them, without them at its head.
            fresh = rng.permutation(identities)
            late = np.isin(fresh, waiting)
            waiting = np.concatenate([waiting, fresh[~late], fresh[late]])
        chosen, waiting = waiting[:identities_per_batch], waiting[identities_per_batch:]
        batch = []
        for identity in chosen:
            while len(queues[identity]) < images_per_identity:
                again = rng.permutation(members[identity])
                queues[identity] = np.concatenate([queues[identity], again])
            batch.append(queues[identity][:images_per_identity])
            queues[identity] = queues[identity][images_per_identity:]
        batches.append(np.concatenate(batch))
    return np.stack(batches)


SAMPLERS = {"shuffled": shuffled, "identity_balanced": identity_balanced}


class Batches(keras.utils.PyDataset):
    """Batches of images for ``fit``: ``({"images": ..., **extra}, {output: labels})``.

    Everything random in batch b of epoch e follows from (seed, e, b) alone, so that a run can be repeated, or taken
    up in the middle, exactly.

    Args:
        images: uint8 (n, height, width, 3), such as the memory map of a store.
        rows: (m,) rows of ``images`` to use.
        labels: (m,) integer labels from 0, one a row.
        outputs: names of the model's outputs; each gets the labels as its target.
        batch_size: images a batch.
        sampler: an entry of ``SAMPLERS``, or None for the given order, nothing left out (validation).
        images_per_identity: K of P x K batches.
        augmentation: an :class:`Augmentation`, or None.
        batch_inputs: ``f(labels, rng) -> dict`` of further input arrays that a method works out a batch.
        seed: of the run.
        epoch: the number of the first epoch.
    """

    def __init__(
        self,
        images,
        rows,
        labels,
        outputs,
        batch_size,
        *,
        batch_inputs,
        sampler=None,
        images_per_identity=4,
        augmentation=None,
        seed=0,
        epoch=0,
    ):
        # With one worker Keras prefetches through tf.data instead, whose iterator takes seconds to let go at the
        # end of some epochs. Batches keep their order with either.
        super().__init__(workers=2, max_queue_size=8)
        self.images = images
        self.rows = np.asarray(rows)
        self.labels = np.asarray(labels)
        self.outputs = tuple(outputs)
        self.batch_size = batch_size
        self.sampler = sampler
        self.images_per_identity = images_per_identity
        self.augmentation = augmentation
        self.batch_inputs = batch_inputs
        self.seed = seed
        self.epoch = epoch
        self._draw_epoch()

    def _draw_epoch(self):
        if self.sampler is None:
            starts = range(0, len(self.rows), self.batch_size)
            self.batches = [np.arange(s, min(s + self.batch_size, len(self.rows))) for s in starts]
        else:
            rng = np.random.default_rng([self.seed, self.epoch])
            size, per_identity = self.batch_size, self.images_per_identity
            self.batches = SAMPLERS[self.sampler](self.labels, size, per_identity, rng)

    def partnered_share(self):
        """Share of the images of this epoch whose batch has another image of their identity."""
        partnered = total = 0
        for positions in self.batches:
            _, counts = np.unique(self.labels[positions], return_counts=True)
            partnered += counts[counts > 1].sum()
            total += len(positions)
        return partnered / total

    def on_epoch_end(self):
        self.epoch += 1
        self._draw_epoch()

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        positions = self.batches[index]
        rng = None if self.sampler is None else np.random.default_rng([self.seed, self.epoch, index])
        # Read in rising order, which a memory map likes, and put back in the batch's own.
        order = np.argsort(self.rows[positions], kind="stable")
        images = np.empty((len(positions), *self.images.shape[1:]), np.uint8)
        images[order] = self.images[self.rows[positions[order]]]
        if self.augmentation is not None:
            images = np.stack([self.augmentation(image, rng) for image in images])
        labels = self.labels[positions].astype("int32")
        inputs = {"images": images, **self.batch_inputs(labels, rng)}
        return inputs, {name: labels for name in self.outputs}

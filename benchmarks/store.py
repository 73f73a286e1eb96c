"""Speed and memory of the image store: decoding images into it, and reading random batches from it.

`python benchmarks/store.py` writes 2,000 different JPEG files of 128 x 64, Market-1501's size, and hard-links them to
100,000 names. It decodes them, verifies the store, and reads random batches of 64 from the warm store, without and with
the paper's augmentations, which resample every image. All files are removed at the end. `--kind png` uses PNG files of
256 x 128, like RPIfield's boxes, for which decoding dominates. The peak memory includes the pages of the mapped store,
which the system can reclaim. CPU seconds per second of wall-clock time show how many cores a step keeps busy.
"""

import os
import resource
import tempfile
import time
from pathlib import Path

import click
import numpy as np
import pandas as pd
from PIL import Image

from gaaplib.datasets.images import open_store
from gaaplib.project import outputs_folder
from gaaplib.training.augmentation import Augmentation
from gaaplib.training.batches import Batches

DISTINCT = 2000
HEIGHT, WIDTH = 128, 64
BATCH = 64


@click.command()
@click.option("--images", type=click.IntRange(DISTINCT), default=100_000, show_default=True)
@click.option("--batches", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--kind", type=click.Choice(["jpg", "png"]), default="jpg", show_default=True)
def main(images, batches, kind):
    """Print images per second of each step, the cores in use, and the peak resident memory after it."""
    outputs_folder().mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=outputs_folder()) as folder:
        root, cache = Path(folder) / "images", Path(folder) / "cache"
        paths = _write(root, images, kind)
        records = pd.DataFrame({"path": paths, "pid": np.arange(images) // 20, "camid": 1, "split": "train"})
        _print_rate("nothing", 0, _clocks())
        for step, verify in (("decoding", False), ("opening", False), ("verifying", True)):
            start = _clocks()
            store = open_store(root, records, HEIGHT, WIDTH, cache, verify=verify, progress=False)
            _print_rate(step, images, start)
        for step, augmentation in (("random batches", None), ("the same, augmented", Augmentation())):
            _read(store, batches if augmentation is None else batches // 10, augmentation, step)


def _write(root, images, kind):
    """Write image files with the detail of a photograph (smooth shapes and a little noise), and return their names."""
    root.mkdir()
    height, width = (HEIGHT, WIDTH) if kind == "jpg" else (2 * HEIGHT, 2 * WIDTH)
    for number in range(DISTINCT):
        rng = np.random.default_rng(number)
        coarse = Image.fromarray(rng.integers(0, 256, (16, 8, 3), dtype=np.uint8)).resize((width, height))
        noisy = np.clip(np.asarray(coarse) + rng.normal(0, 6, (height, width, 3)), 0, 255).astype(np.uint8)
        Image.fromarray(noisy).save(root / f"{number:07d}.{kind}", quality=90)
    for number in range(DISTINCT, images):
        (root / f"{number:07d}.{kind}").hardlink_to(root / f"{number % DISTINCT:07d}.{kind}")
    return [f"{number:07d}.{kind}" for number in range(images)]


def _read(store, count, augmentation, step):
    rows = store.records.row.to_numpy()
    data = Batches(
        store.images,
        rows,
        np.zeros(len(rows), int),
        ("logits",),
        BATCH,
        batch_inputs=lambda labels, rng: {},
        sampler="shuffled",
        augmentation=augmentation,
    )
    # Warm up: touch every page before the timing starts.
    for first in range(0, len(rows), 1000):
        store.images[first : first + 1000].max()
    start = _clocks()
    for index in range(min(count, len(data))):
        data[index]
    _print_rate(step, BATCH * min(count, len(data)), start)


def _clocks():
    """Return wall-clock seconds, and CPU seconds of all threads and of processes that have ended."""
    return np.array([time.perf_counter(), sum(os.times()[:4])])


def _print_rate(step, images, start):
    seconds, busy = _clocks() - start
    rate, peak = images / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{step}: {images} images in {seconds:.1f} s, {rate:.0f} images/s, "
        f"{busy / seconds:.2f} CPU seconds per second, peak {peak:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()

"""How fast images are decoded into a store, and random batches come out of it, and in how much memory.

`python benchmarks/store.py` writes 2,000 different JPEG files of 128 x 64, Market-1501's size, and links each under as
many names as make 100,000, decodes them, verifies the store, and reads random batches of 64 from the warm store,
without and with the paper's augmentations, which draw and resample every image anew. Nothing of it stays. `--kind png`
has files of 256 x 128 in PNG, as RPIfield's boxes are, in which decoding weighs more than Python does. The peak has the
pages of the mapped store, too, which the system takes back when it needs them. Processor seconds for each second by the
clock say how many cores a step keeps busy.
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
from gaaplib.training.batches import Augmentation, Batches

DISTINCT = 2000
HEIGHT, WIDTH = 128, 64
BATCH = 64


@click.command()
@click.option("--images", type=click.IntRange(DISTINCT), default=100_000, show_default=True)
@click.option("--batches", type=click.IntRange(1), default=1000, show_default=True)
@click.option("--kind", type=click.Choice(["jpg", "png"]), default="jpg", show_default=True)
def main(images, batches, kind):
    """Print images a second of each step, the cores at work, and the peak of the resident memory after it."""
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
    """Names of files with the detail of a photograph: smooth shapes under a little noise."""
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
    # Warm: every page was touched before the clock starts.
    for first in range(0, len(rows), 1000):
        store.images[first : first + 1000].max()
    start = _clocks()
    for index in range(min(count, len(data))):
        data[index]
    _print_rate(step, BATCH * min(count, len(data)), start)


def _clocks():
    """Seconds by the clock, and of the processor: of all threads, and of processes that have ended."""
    return np.array([time.perf_counter(), sum(os.times()[:4])])


def _print_rate(step, images, start):
    seconds, busy = _clocks() - start
    rate, peak = images / seconds, resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(
        f"{step}: {images} images in {seconds:.1f} s, {rate:.0f} images/s, "
        f"{busy / seconds:.2f} processor seconds a second, peak {peak:.0f} MiB",
        flush=True,
    )


if __name__ == "__main__":
    main()

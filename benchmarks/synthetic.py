"""Speed of generating synthetic pedestrians in one process, with and without writing the files.

`python benchmarks/synthetic.py` generates a small Market-1501 several times, with and without files, and a small twin
of each data set once; `python benchmarks/synthetic.py --scale 1 market1501` generates that twin at full size. There is
no peer to compare with.
"""

import statistics
import tempfile
import time
from pathlib import Path

import click

from gaaplib.datasets import synthetic
from gaaplib.runs import outputs_folder

ROUNDS = 3


@click.command()
@click.option("--scale", type=click.FloatRange(0, 1, min_open=True), default=0.005, show_default=True)
@click.argument("names", nargs=-1, type=click.Choice(list(synthetic.SPECS)))
def main(scale, names):
    """Print images, seconds and images per second of the twins NAMES; without NAMES, of all, and of repeated rounds."""
    outputs_folder().mkdir(parents=True, exist_ok=True)
    if not names:
        _print_rounds()
    for name in names or synthetic.SPECS:
        images, seconds = synthetic.num_images(name, scale), _time_to_write(synthetic.spec_for(name, scale))
        print(f"{name} at {scale:g}: {images} images in {seconds:.1f} s, {images / seconds:.0f} images/s")


def _print_rounds():
    """Print the median and the range of images per second for Market-1501."""
    spec = synthetic.spec_for("market1501", 0.03)
    items = synthetic.plan(spec, seed=0)
    # The scenes of the cameras are generated once per process; that is not timed.
    for camid in range(1, spec.cameras + 1):
        synthetic.draw(spec, 0, items[0].pid, camid, 0)
    rates = {"with files": [], "drawing alone": []}
    for _ in range(ROUNDS):
        rates["with files"].append(len(items) / _time_to_write(spec))
        start = time.perf_counter()
        for item in items:
            synthetic.draw(spec, 0, *item[1:])
        rates["drawing alone"].append(len(items) / (time.perf_counter() - start))
    for name, values in rates.items():
        low, median, high = min(values), statistics.median(values), max(values)
        print(f"{name}: {median:.0f} images/s, {low:.0f} to {high:.0f} in {ROUNDS} rounds of {len(items)} images")


def _time_to_write(spec) -> float:
    with tempfile.TemporaryDirectory(dir=outputs_folder()) as folder:
        start = time.perf_counter()
        synthetic.write(Path(folder) / "drawn", spec, progress=False)
        return time.perf_counter() - start


if __name__ == "__main__":
    main()

"""How fast synthetic pedestrians are drawn, files included, by one process.

`python benchmarks/synthetic.py` repeats a small Market-1501, with the time without files next to it, and draws a small
twin of each data set once; `python benchmarks/synthetic.py --scale 1 market1501` draws that twin at full size. There is
no peer to draw beside.
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
    """Print images, seconds and images a second of the twins NAMES; of all, and of repeated rounds, without."""
    outputs_folder().mkdir(parents=True, exist_ok=True)
    if not names:
        _print_rounds()
    for name in names or synthetic.SPECS:
        images, seconds = synthetic.num_images(name, scale), _time_to_write(synthetic.spec_for(name, scale))
        print(f"{name} at {scale:g}: {images} images in {seconds:.1f} s, {images / seconds:.0f} images/s")


def _print_rounds():
    """Print the median and the spread of images a second of Market-1501."""
    spec = synthetic.spec_for("market1501", 0.03)
    items = synthetic.plan(spec, seed=0)
    # The scenes of the cameras are made once a process; that is not what is timed.
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

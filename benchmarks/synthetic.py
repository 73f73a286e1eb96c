"""How fast synthetic pedestrians are drawn, files included, by one process: `python benchmarks/synthetic.py`.

There is no peer to draw beside; the time without files is printed next to it.
"""

import statistics
import tempfile
import time
from pathlib import Path

from gaaplib.datasets import synthetic
from gaaplib.runs import outputs_folder

ROUNDS = 3


def main():
    """Print the median and the spread of images a second."""
    spec = synthetic.spec_for("market1501", 0.03)
    items = synthetic.plan(spec, seed=0)
    # The scenes of the cameras are made once a process; that is not what is timed.
    for camid in range(1, spec.cameras + 1):
        synthetic.draw(spec, 0, items[0].pid, camid, 0)
    outputs_folder().mkdir(parents=True, exist_ok=True)
    rates = {"with files": [], "drawing alone": []}
    for _ in range(ROUNDS):
        with tempfile.TemporaryDirectory(dir=outputs_folder()) as folder:
            start = time.perf_counter()
            synthetic.write(Path(folder) / "drawn", spec, progress=False)
            rates["with files"].append(len(items) / (time.perf_counter() - start))
        start = time.perf_counter()
        for item in items:
            synthetic.draw(spec, 0, item.pid, item.camid, item.index)
        rates["drawing alone"].append(len(items) / (time.perf_counter() - start))
    for name, values in rates.items():
        low, median, high = min(values), statistics.median(values), max(values)
        print(f"{name}: {median:.0f} images/s, {low:.0f} to {high:.0f} in {ROUNDS} rounds of {len(items)} images")


if __name__ == "__main__":
    main()

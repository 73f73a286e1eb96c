"""The effect of bfloat16 on mAP: one profile in both precisions with several seeds.

`python benchmarks/precision.py` trains ResNet-18, `--seeds` times in float32 and in bfloat16, on synthetic images or,
with `--dataset cuhk03 --data DATA`, on photographs; finished runs are reused. The reported interval is Student's t over
the differences of the seeds. In addition, :func:`gaaplib.runs.difference` gives an interval over identities for each
seed.
"""

import click
import numpy as np
import pandas as pd
from scipy import stats

from gaaplib import experiment, runs
from gaaplib.config import SYNTHETIC, RunConfig
from gaaplib.project import outputs_folder


@click.command()
@click.option("--seeds", type=click.IntRange(2), default=3, show_default=True)
@click.option("--profile", default="demo", show_default=True)
@click.option("--dataset", default="market1501", show_default=True)
@click.option("--data", default=SYNTHETIC, show_default=True, help="The data set's folder.")
@click.option("--attention", default="class", show_default=True)
@click.option("--epochs", type=int, help="Instead of the profile's own; so are the next two.")
@click.option("--height", type=int)
@click.option("--width", type=int)
def main(seeds, **settings):
    """Print mAP of both precisions seed by seed, and the mean difference with its 95 % interval."""
    rows = []
    for seed in range(seeds):
        pair = [
            experiment.run(RunConfig(**settings, seed=seed, precision=name), verbose=2)
            for name in ("float32", "mixed_bfloat16")
        ]
        exact, rounded = (run.metrics["retrieval"]["mAP"] for run in pair)
        rows.append({"seed": seed, "float32": exact, "bfloat16": rounded, "difference": rounded - exact})
        print(runs.difference(pair[1], pair[0], "mAP"))
    table = pd.DataFrame(rows)
    found = table.difference
    mean, half = found.mean(), stats.t.ppf(0.975, seeds - 1) * found.std() / np.sqrt(seeds)
    print(table.to_string(index=False, float_format="%.4f"))
    name, low, high = pair[0].config.data_name, mean - half, mean + half
    print(f"bfloat16 minus float32 in mAP, {name}: {mean:+.4f} [{low:+.4f}, {high:+.4f}]")
    target = outputs_folder() / "benchmarks" / "precision.csv"
    target.parent.mkdir(parents=True, exist_ok=True)
    table.to_csv(target, index=False)


if __name__ == "__main__":
    main()

"""Embedding files for tests, and the command that scores them."""

import numpy as np
from click.testing import CliRunner

from gaaplib import cli


def arrays(seed=0, n=30, identities=5, dim=6, junk=0):
    """Embeddings in clusters of unequal lengths, identities from 0, cameras 1 and 2."""
    rng = np.random.default_rng(seed)
    pids = np.arange(n) % identities
    images = 2 * np.eye(identities, dim)[pids] + rng.normal(size=(n, dim))
    pids[:junk] = -1
    return {
        "embeddings": (images * rng.uniform(0.2, 3, size=(n, 1))).astype(np.float32),
        "pids": pids,
        "camids": rng.integers(1, 3, n),
    }


def save(path, **content):
    np.savez(path, **content)
    return path


def run(*arguments):
    return CliRunner().invoke(cli.main, ["evaluate", *map(str, arguments)])


def on(files, *options):
    return run("--query", files[0], "--gallery", files[1], *options)


GOOD = arrays()


def changed(**content):
    return {name: values for name, values in {**GOOD, **content}.items() if values is not None}


def with_row(row, value):
    images = GOOD["embeddings"].copy()
    images[row] = value
    return images

"""One contender of `training.py` in its own process: it works on request and prints how long that took.

Contenders take turns, so that other load on the machine affects all of them; while one works, the others wait for a
line on stdin.
"""

import json
import resource
import sys
import time

import numpy as np

CLASSES = 751


def drawn(count, height, width):
    """Return images (count, height, width, 3) of noise and their labels; the content does not affect the timing."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, height, width, 3), dtype=np.uint8)
    return images, np.arange(count) // 4 % CLASSES


def serve(work, keep=None, **known):
    """Do one turn for each line "go" on stdin, and print seconds and peak memory in MiB as JSON; "end" ends it.

    Args:
        work: function that does the work of one turn.
        keep: file for the ``"embedding"`` (images, channels) that the first turn returns; None: it is not saved.
        known: what else the first line says.
    """
    first = work()  # The first turn traces, compiles and fills caches.
    if keep:
        np.save(keep, first["embedding"])
    print(json.dumps({"ready": True, **known}), flush=True)
    for line in sys.stdin:
        if line.strip() != "go":
            return
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak": peak}), flush=True)

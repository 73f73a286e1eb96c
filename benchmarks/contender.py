"""One contender of `training.py` in a process of its own: it works when told to, and says how long that took.

Contenders take turns, so that what else the machine does meets all of them; while one works the others wait for a line.
"""

import json
import resource
import sys
import time

import numpy as np

HEIGHT, WIDTH, CLASSES = 128, 64, 751


def drawn(count):
    """Images (count, 128, 64, 3) of noise and their labels: what they show costs nothing more or less."""
    rng = np.random.default_rng(0)
    images = rng.integers(0, 256, (count, HEIGHT, WIDTH, 3), dtype=np.uint8)
    return images, np.arange(count) // 4 % CLASSES


def serve(work, keep=None):
    """Answer each line on stdin, "go" or "end", with a JSON of seconds and of the peak memory in MiB.

    Args:
        work: function that does one turn's work and returns when it is done.
        keep: file to which the ``"embedding"`` (images, channels) of what the first turn answers is written.
    """
    first = work()  # It traces, compiles and fills caches.
    if keep:
        np.save(keep, first["embedding"])
    print(json.dumps({"ready": True}), flush=True)
    for line in sys.stdin:
        if line.strip() != "go":
            return
        start = time.perf_counter()
        work()
        seconds = time.perf_counter() - start
        peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
        print(json.dumps({"seconds": seconds, "peak": peak}), flush=True)

"""The number of threads that a run computes with, on which its last bits depend.

A sum that is split among threads is added up in another order. So a run repeats bit for bit with the same number of
threads, whatever the number of cores. By default there is one thread for each core that this process may use, which a
container or a SLURM job may restrict. ``GAAP_THREADS`` fixes another number; it has to be set before gaaplib is
imported.
"""

import os
import warnings

# Read by TensorFlow, PyTorch and OpenMP, OpenBLAS (NumPy) and JAX, in this order.
VARIABLES = ("TF_NUM_INTRAOP_THREADS", "OMP_NUM_THREADS", "OPENBLAS_NUM_THREADS", "NPROC")


def cores():
    """The number of cores that this process may use."""
    # Not os.cpu_count(), which counts cores that belong to others. macOS and Windows have no such call.
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()


def count():
    """The number of threads: ``GAAP_THREADS``, or what was set for TensorFlow alone, or one per core."""
    return _given("GAAP_THREADS") or _given(VARIABLES[0]) or cores()


def fix(number=None):
    """Have all backends use ``GAAP_THREADS`` threads, if it is set; or else this number, if one is given."""
    number = _given("GAAP_THREADS") or number
    if number:
        os.environ["GAAP_THREADS"] = str(number)
        os.environ.update(dict.fromkeys(VARIABLES, str(number)))
    elif os.environ.get("GAAP_THREADS"):
        wrong = os.environ.pop("GAAP_THREADS")
        warnings.warn(f"GAAP_THREADS={wrong!r} is ignored: it must be a whole number from 1", stacklevel=3)


def _given(variable):
    """The number in an environment variable; None if there is none from 1."""
    text = os.environ.get(variable, "")
    return int(text) if text.isascii() and text.isdecimal() and int(text) >= 1 else None

"""The number of threads, on which the last bits of a result depend, and not the number of cores."""

import os
import subprocess
import sys

import pytest

# A step of training, small enough to take no time and large enough to be split among threads.
TRAINED = """
from gaaplib import threads
import hashlib, keras
keras.utils.set_random_seed(0)
images = keras.random.normal((32, 32, 32, 3), seed=0)
model = keras.Sequential([keras.layers.Conv2D(64, 3), keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(8)])
model.compile("sgd", "mse")
model.fit(images, keras.ops.zeros((32, 8)), epochs=3, verbose=0)
print(threads.count(), hashlib.sha256(b"".join(weight.tobytes() for weight in model.get_weights())).hexdigest())
"""

COUNTED = "from gaaplib import threads; import os; print(threads.cores(), threads.count(), os.environ.get('NPROC'))"
linux = pytest.mark.skipif(not hasattr(os, "sched_setaffinity"), reason="only Linux restricts a process to some cores")


def child(code, cores=None, **variables):
    """What a new process prints that may use these cores only."""
    free = {name: value for name, value in os.environ.items() if name not in ("GAAP_THREADS", "NPROC")}
    return subprocess.run(
        [sys.executable, "-c", code],
        env={**{name: value for name, value in free.items() if not name.endswith("_THREADS")}, **variables},
        preexec_fn=(lambda: os.sched_setaffinity(0, cores)) if cores else None,
        capture_output=True,
        text=True,
    )


@linux
def test_there_is_one_thread_for_each_core_that_may_be_used():
    first = min(os.sched_getaffinity(0))
    assert child(COUNTED, cores={first}).stdout == "1 1 None\n"


@linux
def test_another_number_is_fixed_for_all_backends():
    first = min(os.sched_getaffinity(0))
    assert child(COUNTED, cores={first}, GAAP_THREADS="3").stdout == "1 3 3\n"
    assert child(COUNTED, cores={first}, TF_NUM_INTRAOP_THREADS="2").stdout == "1 2 None\n"


@pytest.mark.parametrize("wrong", ["0", "two", "-1", "1.5"])
def test_a_wrong_number_is_ignored_with_a_warning(wrong):
    done = child(COUNTED, GAAP_THREADS=wrong)
    assert done.stdout.split()[0] == done.stdout.split()[1]
    assert f"GAAP_THREADS={wrong!r} is ignored: it must be a whole number from 1" in done.stderr


@linux
def test_the_same_threads_on_fewer_cores_give_the_same_bytes():
    cores = os.sched_getaffinity(0)
    one, all_of_them = (child(TRAINED, cores=some, GAAP_THREADS="2").stdout for some in ({min(cores)}, cores))
    assert one.startswith("2 ")
    assert one == all_of_them

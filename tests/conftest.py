"""Shared by all tests: one seed, no screen, results in a folder that goes away."""

import matplotlib
import pytest

# Here, not in the environment: the kernels of the notebooks show their figures inline.
matplotlib.use("agg")


@pytest.fixture(autouse=True)
def _seeded(request):
    """Weights drawn in a test are the same in each run; tests without Keras do not import it."""
    import sys

    if "keras" in sys.modules:
        sys.modules["keras"].utils.set_random_seed(0)
    yield


@pytest.fixture(autouse=True)
def _figures_closed():
    import sys

    yield
    if "matplotlib.pyplot" in sys.modules:
        sys.modules["matplotlib.pyplot"].close("all")


@pytest.fixture(autouse=True, scope="module")
def _memory_given_back():
    """A worker tests hundreds of networks, and training keeps the memory that it frees (``devices.keep_memory``)."""
    import ctypes
    import gc

    yield
    gc.collect()
    trim = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if trim is not None:
        trim(0)


@pytest.fixture(scope="module")
def without_graphs():
    """For modules whose runs have a few steps: see :mod:`eager`. Notebooks and resumed runs are tested with graphs."""
    from eager import eager

    with eager():
        yield


@pytest.fixture
def outputs(tmp_path, monkeypatch):
    """A folder for runs and caches of one test."""
    monkeypatch.setenv("GAAP_OUTPUTS", str(tmp_path / "outputs"))
    return tmp_path / "outputs"

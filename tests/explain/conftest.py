"""A smoke run on synthetic images and a folder of photographs, for the tests of this folder."""

import matplotlib.pyplot as plt
import pytest
from eager import eager
from made_images import write_photos

from gaaplib import experiment
from gaaplib.config import RunConfig
from gaaplib.explain import lookup


@pytest.fixture(autouse=True, scope="module")
def _quick(without_graphs):
    """Maps and indices are of a few images."""


# The runs are of the session: seven modules ask for the same ones, and leave them as they are.
@pytest.fixture(scope="session")
def cache(tmp_path_factory):
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture(scope="session")
def run(cache):
    with eager():
        return experiment.run(RunConfig("smoke", last_stride=1), outputs=cache)


@pytest.fixture(scope="session")
def plain(cache):
    """The run without attention."""
    with eager():
        return experiment.run(RunConfig("smoke", last_stride=1, attention="none"), outputs=cache)


@pytest.fixture(scope="session")
def index(run, cache):
    return lookup.Index.of_run(run, outputs=cache)


@pytest.fixture(scope="session")
def photos(tmp_path_factory):
    return write_photos(tmp_path_factory.mktemp("photos"))


@pytest.fixture(scope="session")
def album(run, photos, cache):
    return lookup.Index.of_folder(run, photos, outputs=cache)


@pytest.fixture(autouse=True)
def _no_figure_stays():
    yield
    plt.close("all")

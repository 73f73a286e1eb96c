"""Notebooks in a real browser: `make test-browser` asks for these tests, `make test` leaves them out."""

import os

import pytest
from browser.lab import Lab

from gaaplib.project import outputs_folder

collect_ignore_glob = [] if os.environ.get("GAAP_BROWSER") else ["test_*.py"]

FLAGS = (
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    # Whatever the page may ask for, nothing but the server here is found.
    "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1",
)


@pytest.fixture(scope="session")
def pictures():
    """The folder of the screenshots, which stay for a person to look at."""
    folder = outputs_folder() / "browser"
    folder.mkdir(parents=True, exist_ok=True)
    return folder


@pytest.fixture(scope="session")
def shared_outputs(tmp_path_factory):
    """Where the notebooks' results go: one reads what another left, as after `make reproduce`."""
    return tmp_path_factory.mktemp("outputs")


@pytest.fixture
def lab(tmp_path, shared_outputs):
    """A server of its own for each test; its kernels end with it."""
    with Lab(tmp_path, shared_outputs) as running:
        yield running


@pytest.fixture(scope="session")
def chromium():
    """Debian's chromium; playwright gives it a new, empty user data folder."""
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(executable_path=os.environ["GAAP_BROWSER"], args=FLAGS)
        yield browser
        browser.close()


@pytest.fixture
def page(chromium):
    """A window of the size of a large screen."""
    context = chromium.new_context(viewport={"width": 1400, "height": 1000})
    # Two busy cores are slow to show a page.
    context.set_default_timeout(60_000)
    yield context.new_page()
    context.close()

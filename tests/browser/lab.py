"""A JupyterLab on loopback that knows nothing of the user's settings and changes nothing of the project."""

import json
import os
import secrets
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from pathlib import Path

import nbformat
import papermill
from papermill.iorw import load_notebook_node
from papermill.parameterize import parameterize_notebook

PROJECT = Path(__file__).parents[2]
NOTEBOOKS = sorted(path.stem for path in (PROJECT / "notebooks").glob("*.ipynb"))

START_SECONDS = 60
SETTINGS = {
    # What a person is asked at the first start.
    "@jupyterlab/apputils-extension/notification": {"fetchNews": "false", "checkForUpdates": False},
    # The empty page below the last cell would be in the pictures.
    "@jupyterlab/notebook-extension/tracker": {"scrollPastEnd": False},
}


class Lab:
    """The server, on copies of the notebooks that have no outputs; those that train are set to a profile.

    A context: entered it answers, left it is gone with its kernels.

    Args:
        folder: an empty one, for the copies and for everything that Jupyter writes.
        outputs: where the notebooks' results go (``GAAP_OUTPUTS``).
        profile: of the notebooks that train.
    """

    def __init__(self, folder, outputs, profile="smoke"):
        self.folder, self.outputs, self.profile = folder, outputs, profile
        self.notebooks = folder / "project" / "notebooks"
        self.log = folder / "server.log"
        self.token = secrets.token_hex(24)
        self.port = _free_port()

    def __enter__(self):
        _copy_project(self.notebooks, self.profile)
        _write_settings(self.folder / "settings")
        command = [sys.executable, "-m", "jupyterlab", "--no-browser", "--allow-root", "--ServerApp.ip=127.0.0.1"]
        command += [f"--ServerApp.port={self.port}", "--ServerApp.port_retries=0"]
        command += [f"--ServerApp.root_dir={self.notebooks}", "--LabApp.extension_manager=readonly"]
        with self.log.open("w") as log:
            self.process = subprocess.Popen(command, env=self._environment(), stdout=log, stderr=log)
        try:
            self._wait()
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *_):
        self.process.terminate()
        try:
            self.process.wait(timeout=20)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()

    def address(self, name):
        """Where a browser finds a notebook, the token included."""
        return f"http://127.0.0.1:{self.port}/lab/tree/{name}.ipynb?token={self.token}"

    def saved(self, name):
        """The notebook as it is on the server's disk."""
        return nbformat.read(self.notebooks / f"{name}.ipynb", as_version=4)

    def _environment(self):
        own = {
            "GAAP_OUTPUTS": self.outputs,
            "IPYTHONDIR": self.folder / "ipython",
            "JUPYTER_CONFIG_DIR": self.folder / "config",
            "JUPYTER_DATA_DIR": self.folder / "data",
            "JUPYTER_RUNTIME_DIR": self.folder / "runtime",
            "JUPYTERLAB_SETTINGS_DIR": self.folder / "settings",
            "JUPYTERLAB_WORKSPACES_DIR": self.folder / "workspaces",
        }
        # Not on the command line, where every user of the machine would read it.
        return os.environ | {name: str(path) for name, path in own.items()} | {"JUPYTER_TOKEN": self.token}

    def _wait(self):
        """Until the server answers.

        Raises:
            RuntimeError: it ended or was silent for ``START_SECONDS``; with the end of its log.
        """
        status = f"http://127.0.0.1:{self.port}/api/status?token={self.token}"
        # No proxy of the environment stands between here and here.
        opener = urllib.request.build_opener(urllib.request.ProxyHandler({}))
        until = time.monotonic() + START_SECONDS
        while time.monotonic() < until and self.process.poll() is None:
            try:
                return opener.open(status, timeout=5).close()
            except (urllib.error.URLError, TimeoutError, ConnectionError):
                time.sleep(0.2)
        raise RuntimeError(f"JupyterLab does not answer on port {self.port}:\n{self.log.read_text()[-3000:]}")


def _free_port():
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        return free.getsockname()[1]


def _copy_project(notebooks, profile):
    """A project of links around copies of the notebooks, so that they find its tables and its library."""
    notebooks.mkdir(parents=True)
    for path in sorted(PROJECT.glob("[!.]*")):
        if path.name != "notebooks":
            (notebooks.parent / path.name).symlink_to(path)
    for name in NOTEBOOKS:
        nbformat.write(_prepared(PROJECT / "notebooks" / f"{name}.ipynb", profile), notebooks / f"{name}.ipynb")


def _prepared(path, profile):
    """The notebook without outputs: what is seen later was made later. One that reads finished runs does so here."""
    notebook = load_notebook_node(str(path))
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    known = papermill.inspect_notebook(str(path))
    if "profile" in known and "runs_folder" not in known:
        notebook = parameterize_notebook(notebook, {"profile": profile})
    return notebook


def _write_settings(folder):
    for name, values in SETTINGS.items():
        path = folder / f"{name}.jupyterlab-settings"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(values))

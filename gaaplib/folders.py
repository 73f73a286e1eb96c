"""Where the project is, and where its results go."""

import os
from pathlib import Path


def project_folder():
    """The folder around the working directory that has ``notebooks/`` and ``gaaplib/``; else the working directory.

    A notebook runs in its own folder, a command usually in the project's; both have to find the same place.
    """
    here = Path.cwd()
    for folder in (here, *here.parents):
        if (folder / "notebooks").is_dir() and (folder / "gaaplib").is_dir():
            return folder
    return here


def outputs_folder():
    """Where results go: ``GAAP_OUTPUTS`` if set, else ``outputs/`` of the project."""
    given = os.environ.get("GAAP_OUTPUTS")
    return Path(given) if given else project_folder() / "outputs"

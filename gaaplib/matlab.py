"""Variables of MATLAB files of format v5.

Another process reads the files, because SciPy may crash on a damaged one. Run as a script, this file is that process.
"""

import json
import math
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

SCRIPT = __file__

COMPRESSED = 1000
"""No file is compressed more than a thousandfold. SciPy allocates memory for what a damaged head says."""


class Damaged(ValueError):
    """A file that cannot be read.

    Attributes:
        number: its index among the files.
        reason: why, in words.
    """

    def __init__(self, number, reason):
        super().__init__(reason)
        self.number, self.reason = number, reason


def read(files, names):
    """What is in some files, and the values of these variables.

    One process reads all of them, because it takes half a second to start.

    Args:
        files: paths of existing files.
        names: the variables to read.

    Returns:
        For each file ``heads``, ``{name: (shape, kind)}`` of all its variables, and ``values``, ``{name: array}`` of
        those asked for. A cell array gives a list of the texts and numbers in it. Sparse ones are left out.

    Raises:
        Damaged: a file cannot be read.
    """
    with tempfile.TemporaryDirectory() as folder:
        # -P, so that a module beside the files cannot stand in for one of Python's.
        command = [sys.executable, "-P", SCRIPT, folder, json.dumps(list(names)), *map(os.path.abspath, files)]
        child = subprocess.run(command, capture_output=True, text=True, errors="replace")
        lines = child.stdout.splitlines()
        if len(lines) < len(files):
            reason = " ".join(child.stderr.split()) if child.returncode > 0 else "SciPy crashes on it"
            raise Damaged(len(lines), reason)
        heads = [{name: (tuple(shape), kind) for name, shape, kind in json.loads(line)} for line in lines]
        return [(head, _values(Path(folder, str(number)), names)) for number, head in enumerate(heads)]


def _values(folder, names):
    """The variables that :func:`_copied` left in a folder, in the order of the names."""
    found = {}
    for name in names:
        matrix, cells = folder / f"{name}.npy", folder / f"{name}.json"
        if matrix.exists():
            found[name] = np.load(matrix, allow_pickle=False)
        elif cells.exists():
            found[name] = json.loads(cells.read_text())
    return found


def _main(target, names, *files):
    """The other process: a line for each file that could be read, then the reason if one could not."""
    for number, file in enumerate(files):
        try:
            heads = _copied(file, json.loads(names), Path(target, str(number)))
            print(json.dumps(heads), flush=True)
        except Exception as error:
            sys.exit(str(error) or type(error).__name__)


def _copied(file, names, folder):
    """Copy the variables of a file to a folder; return the name, shape and kind of each variable in it."""
    from scipy.io import loadmat, whosmat
    from scipy.sparse import issparse

    heads = whosmat(file, appendmat=False)
    for name, shape, _ in heads:
        if name in names and math.prod(shape) > COMPRESSED * os.path.getsize(file):
            raise ValueError(f"{name} has the shape {shape}, too much for the file's size")
    arrays = loadmat(file, variable_names=names, appendmat=False) if names else {}
    folder.mkdir()
    for name in set(names) & set(arrays):
        array = arrays[name]
        if isinstance(array, np.ndarray) and array.dtype.hasobject:
            (folder / f"{name}.json").write_text(json.dumps([_plain(cell) for cell in array.ravel().tolist()]))
        elif not issparse(array):
            np.save(folder / f"{name}.npy", array, allow_pickle=False)
    return heads


def _plain(cell):
    """The text or number in a cell; anything else in words."""
    value = cell.item() if isinstance(cell, np.ndarray) and cell.size == 1 else cell
    return value if isinstance(value, str | int | float) else repr(value)


if __name__ == "__main__":
    _main(*sys.argv[1:])

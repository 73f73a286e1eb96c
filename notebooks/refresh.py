"""Execute notebooks in place, as they are committed.

`python notebooks/refresh.py 01_data 02_train` executes these two, without names all of them. What only
tells of the machine is left out: standard error (TensorFlow greets there) and the times of the cells.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent


def refresh(path):
    """Execute one notebook and write it back."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook, timeout=None, record_timing=False, resources={"metadata": {"path": FOLDER}}
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        print(f"executing {name}", flush=True)
        refresh(FOLDER / f"{name}.ipynb")

"""Execute notebooks in place and save their outputs, ready to be committed.

`python notebooks/refresh.py 01_data 02_train` executes these two notebooks; without names, all of them.
Output that depends on the machine is left out: standard error (with TensorFlow's log) and cell timings.
Widgets need a kernel: what is kept of them is the picture that they give beside themselves.
"""

import sys
from pathlib import Path

import nbformat
from nbclient import NotebookClient

FOLDER = Path(__file__).parent
WIDGET = "application/vnd.jupyter.widget-view+json"


def refresh(path):
    """Execute one notebook in the folder of the notebooks and save it with its outputs."""
    notebook = nbformat.read(path, as_version=4)
    NotebookClient(
        notebook,
        timeout=None,
        record_timing=False,
        resources={"metadata": {"path": FOLDER}},
        extra_arguments=["--IPKernelApp.log_level=50"],
    ).execute()
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("name") != "stderr"]
            for output in cell.outputs:
                if set(output.get("data", {})) >= {WIDGET, "image/jpeg"}:
                    del output.data[WIDGET]
    notebook.metadata.pop("widgets", None)
    nbformat.write(notebook, path)


if __name__ == "__main__":
    for name in sys.argv[1:] or sorted(path.stem for path in FOLDER.glob("*.ipynb")):
        print(f"executing {name}", flush=True)
        refresh(FOLDER / f"{name}.ipynb")

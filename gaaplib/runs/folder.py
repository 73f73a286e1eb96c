"""The folder of a run: written, read and found.

``<outputs>/runs/<run_id>/`` holds ``config.json``, ``history.csv``, ``per_query.npz``, ``per_image.npz``,
``model.keras``, ``README.md`` and ``metrics.json``. The last one is written last and atomically: once it exists, the
run is finished.
"""

import json
import math
import shutil
import warnings
import zipfile
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import pandas as pd

from gaaplib import options
from gaaplib.config import RunConfig, completed
from gaaplib.network import external
from gaaplib.project import outputs_folder, write_whole
from gaaplib.runs import content
from gaaplib.runs.provenance import origin

MAPS, BLOCK = "maps.csv", "block.json"
SCORES = ("metrics.json", "history.csv", "per_query.npz", "per_image.npz", MAPS, BLOCK)
MODELS = ("model.keras", "model.onnx", "model.xml")
READ_ME = """\
# {run}

`config.json` has the settings, `metrics.json` all scores and where they come from (it is written
last, when the run is finished), {files} To load it:

```python
{code}
```
"""

FILES = """\
`history.csv` one line per epoch, `per_query.npz` and `per_image.npz` the scores of
each image, and `model.keras` the trained model."""

CODE = """\
import keras
import gaaplib.methods  # has Keras know the layers

model = keras.models.load_model("model.keras")
outputs = model(images)  # uint8 (batch, {height}, {width}, 3), RGB; outputs["embedding"] is (batch, dim)"""

FILES_OF_EXTERNAL = """\
`per_query.npz` the scores of each image, `model.onnx` or `model.xml` the given model,
and `input.json` what it takes."""

CODE_OF_EXTERNAL = """\
from pathlib import Path

from gaaplib.runs import Run

model = Run(Path(".")).model()
outputs = model.predict_on_batch(images)  # uint8 (batch, {height}, {width}, 3), RGB"""

SEES_MORE = """
It sees more than images: it takes a dict of `images` and {beside}, as described in `gaaplib.datasets`.
"""


@dataclass(frozen=True)
class Run:
    """A run, read from its folder on demand.

    Attributes:
        folder: the run's folder.
    """

    folder: Path

    @property
    def metrics(self):
        """The content of ``metrics.json``; settings that are newer than the run have their defaults."""
        metrics = json.loads((self.folder / "metrics.json").read_text())
        return metrics | {"config": completed(metrics["config"])}

    @property
    def config(self):
        """The :class:`RunConfig` that the run was made from.

        Raises:
            ValueError: ``config.json`` cannot be read, or has a setting that is unknown or wrong.
        """
        path = self.folder / "config.json"
        try:
            settings = json.loads(path.read_text(encoding="utf-8"))
        except (OSError, ValueError, RecursionError) as error:
            raise ValueError(f"{path} cannot be used ({error})") from error
        return _configuration(settings, path)

    @property
    def history(self):
        """A DataFrame with one row per epoch; empty if nothing was trained."""
        return pd.read_csv(self.folder / "history.csv")

    @property
    def per_query(self):
        """Arrays of the retrieval protocol with one entry per query: those of ``RetrievalScores``, ``pid``, ``row``."""
        return _arrays(self.folder / "per_query.npz", ("ap", "inp", "first_hit", "valid", "pid", "camid", "row"))

    @property
    def per_image(self):
        """Arrays of the closed protocol with one entry per image: ``rank`` of the right identity, ``pid``, ``row``."""
        return _arrays(self.folder / "per_image.npz", ("rank", "pid", "row"))

    @property
    def model_file(self):
        """Path of the model: ``model.keras``, or the file of a model from elsewhere.

        Raises:
            FileNotFoundError: the run has none, like the committed ones; the message says what to do.
        """
        path = next((path for path in map(self.folder.joinpath, MODELS) if path.is_file()), None)
        if path is None:
            raise FileNotFoundError(
                f"{self.folder} has no model.keras (committed reference runs have none, to be small): move that folder "
                "out of outputs/runs, then gaap run 02_train trains it again"
            )
        return path

    def model(self):
        """The trained model, from images (batch, height, width, 3) to a dict of outputs.

        A model from elsewhere is a :class:`gaaplib.network.external.External`.

        Raises:
            ImportError: what runs a model from elsewhere is not installed.
            FileNotFoundError: the run has none.
            ValueError: the file cannot be read, runs code of its own, or is not a model with an embedding.
        """
        import keras  # Only here: reading scores does not need it.

        import gaaplib.methods  # noqa: F401 - registers the layers of saved models

        path = self.model_file
        if path.suffix != ".keras":
            return external.load_saved(self.folder)
        try:
            if not zipfile.is_zipfile(path):
                raise ValueError("it is not a whole .keras archive")
            model = keras.saving.load_model(path, compile=False, safe_mode=True)
        except Exception as error:
            # On damaged files Keras, zipfile and h5py raise errors of many types.
            reason = str(error).split("\n")[0] or type(error).__name__
            raise ValueError(
                f"{path} cannot be loaded ({reason}): move its folder out of outputs/runs, then gaap run 02_train "
                "trains it again"
            ) from error
        outputs = model.output if isinstance(getattr(model, "output", None), dict) else {}
        if "embedding" not in outputs:
            raise ValueError(f"{path} is no model of this package: its outputs lack the embedding")
        return model

    @property
    def checkpoint(self):
        """The file from which an interrupted training resumes; removed when the run is finished."""
        return self.folder / "checkpoint" / "last_epoch.zip"

    def has_model(self):
        """Whether the model is in the folder; committed runs have none."""
        return any((self.folder / name).is_file() for name in MODELS)

    def is_done(self):
        """Whether the run is finished."""
        return (self.folder / "metrics.json").exists()

    def trouble(self):
        """Why a finished run cannot be read, as a sentence; None if it can.

        It may be of another version of the package, half copied, or edited by hand.
        """
        try:
            metrics = content.read(self.folder / "metrics.json")
            _ = self.config, _configuration(metrics["config"], self.folder / "metrics.json")
        except ValueError as error:
            return str(error)
        return None


def _configuration(settings, path):
    """The :class:`RunConfig` of these settings; the message of a ValueError has the path that they are from."""
    try:
        return RunConfig(**completed(settings))
    except (TypeError, ValueError) as error:
        raise ValueError(f"{path} cannot be used ({str(error).partition('; known')[0]})") from error


def _arrays(path, names):
    """The arrays of an ``.npz`` file of a run, which have one number for each image.

    Raises:
        FileNotFoundError: there is none.
        ValueError: it is damaged.
    """
    try:
        with np.load(path, allow_pickle=False) as loaded:
            arrays = {name: loaded[name] for name in names}
        numbers = all(array.ndim == 1 and array.dtype.kind in "biuf" for array in arrays.values())
        if not numbers or len({array.shape for array in arrays.values()}) > 1:
            raise ValueError(f"its arrays {', '.join(names)} are not of one length, or not numbers")
        return arrays
    except FileNotFoundError:
        raise FileNotFoundError(f"{path} is missing: repeat the run, or copy its whole folder") from None
    except Exception as error:
        # On damaged files NumPy and zipfile raise errors of many types.
        raise ValueError(f"{path} cannot be read ({error}): repeat the run") from error


def begin(config, outputs, *, fresh=False):
    """The run with an empty folder: what an unfinished attempt left is removed, except for its checkpoint.

    Args:
        fresh: remove the checkpoint and what TensorBoard shows, too.
    """
    run = Run(Path(outputs) / "runs" / config.run_id)
    run.folder.mkdir(parents=True, exist_ok=True)
    # metrics.json first, as it marks the run as finished.
    for name in SCORES + ("model.keras", *external.FILES):
        (run.folder / name).unlink(missing_ok=True)
    if fresh:
        _remove_checkpoint(run)
        shutil.rmtree(run.folder / "tensorboard", ignore_errors=True)
    write_whole(run.folder / "config.json", json.dumps(config.portable(), indent=1) + "\n")
    files, code = (FILES_OF_EXTERNAL, CODE_OF_EXTERNAL) if config.method == "external" else (FILES, CODE)
    code = code.format(height=config.height, width=config.width)
    words = READ_ME.format(run=config.run_id, files=files, code=code)
    if beside := options.needs(config.method):
        words += SEES_MORE.format(beside=", ".join(f"`{name}`" for name in beside))
    write_whole(run.folder / "README.md", words)
    return run


def finish(run, *, status, reason, counts, closed, retrieval, data, partnered, train_accuracy, seconds):
    """Write ``metrics.json`` atomically, last of all, and remove the checkpoint.

    Args:
        status: ``"done"``, ``"diverged"`` or ``"collapsed"``.
        reason: why it diverged or collapsed, else None.
        counts: images and identities by role.
        closed, retrieval: metrics of the two protocols as fractions, or None.
        data: fingerprint of the images and of what else the scores depend on, and how many could not be decoded.
        partnered: share of training images that had a partner of their identity in the batch.
        train_accuracy: share of training images that the trained network classifies right, without augmentation and
            dropout; None if nothing was trained.
        seconds: by stage.
    """
    config = run.config
    metrics = {
        "schema": content.SCHEMA,
        "run_id": config.run_id,
        "status": status,
        "reason": reason,
        "data": {"name": config.data_name, "synthetic": config.is_synthetic, **data},
        "counts": counts,
        "partnered_share": partnered,
        "train_accuracy": train_accuracy,
        "closed": closed,
        "retrieval": retrieval,
        "config": config.portable(),
        "provenance": {**origin(), "seconds": seconds},
    }
    write_whole(run.folder / "metrics.json", json.dumps(_without_nan(metrics), indent=1) + "\n")
    _remove_checkpoint(run)


def _remove_checkpoint(run):
    shutil.rmtree(run.checkpoint.parent, ignore_errors=True)


def _without_nan(value):
    """The value with null for NaN and infinity, which JSON does not have."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def finished(outputs=None, *, with_model=False):
    """The finished runs under ``outputs``, sorted by name; a warning names those that cannot be read.

    Args:
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.
        with_model: only runs that are ``"done"`` and have a model, trained here or from elsewhere.
    """
    folder = Path(outputs or outputs_folder()) / "runs"
    found = readable(Run(path.parent) for path in sorted(folder.glob("*/metrics.json")))
    if not with_model:
        return found
    from gaaplib.methods import METHODS  # Only here: it imports Keras.

    there = [run for run in found if run.has_model() and run.metrics["status"] == "done"]
    return [run for run in there if METHODS[run.config.method].learns or run.config.method == "external"]


def readable(runs):
    """Those of some finished runs that can be read, as a list; the others are named in a warning and left out."""
    troubles = {run: run.trouble() for run in runs}
    wrong = [trouble for trouble in troubles.values() if trouble]
    if wrong:
        warnings.warn(f"runs that cannot be read are left out ({len(wrong)}): {'; '.join(wrong)}", stacklevel=3)
    return [run for run, trouble in troubles.items() if not trouble]


def find(name, outputs=None, *, with_model=False):
    """The finished run of this name.

    Args:
        name: its folder, its run_id, the beginning of the run_id's hash, or any part of the run_id that no other has.
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.
        with_model: refuse a run whose model cannot be used.

    Raises:
        ValueError: no run or several runs fit; with ``with_model``, it diverged or collapsed.
        FileNotFoundError: with ``with_model``, it has no model.
    """
    run = _named(name, finished(outputs))
    if with_model:
        _ = run.model_file  # Raises if there is none.
        metrics = run.metrics
        if metrics["status"] != "done":
            reason = f"{metrics['status']} ({metrics['reason']})"
            raise ValueError(f"{run.folder.name} {reason}: its model cannot be used")
    return run


def begun(name=None, outputs=None):
    """The run of this name, which may not be finished; without a name, the unfinished one that began last.

    Args:
        name, outputs: as for :func:`find`.

    Raises:
        ValueError: no run or several runs fit; without a name, all are finished.
    """
    folder = Path(outputs or outputs_folder()) / "runs"
    known = [Run(path.parent) for path in sorted(folder.glob("*/config.json"))]
    if name is not None:
        return _named(name, known, "runs")
    going_on = [run for run in known if not run.is_done()]
    if not going_on:
        raise ValueError(f"no run in {folder} is being made; give the name of a finished one")
    return max(going_on, key=lambda run: (run.folder / "config.json").stat().st_mtime)


def _named(name, runs, what="finished runs"):
    if (Path(name) / "metrics.json").is_file():
        run = Run(Path(name))
        if run.trouble():
            raise ValueError(run.trouble())
        return run
    known = {run.folder.name: run for run in runs}
    tests = (
        name.__eq__,
        lambda run_id: run_id.rpartition("_")[2].startswith(name),
        lambda run_id: run_id.startswith(name),
        lambda run_id: name in run_id,
    )
    for test in tests:
        found = [run for run_id, run in known.items() if test(run_id)]
        if len(found) == 1:
            return found[0]
        if found:
            listed = "\n  ".join(run.folder.name for run in found)
            raise ValueError(f"{name!r} fits {len(found)} runs; give more of the name of one:\n  {listed}")
    listed = "\n  ".join(known) or "none; gaap run 02_train makes one"
    raise ValueError(f"no run {name!r}; {what}:\n  {listed}")

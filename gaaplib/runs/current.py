"""Whether a finished run still belongs to today's code, images and weights."""

import hashlib
from pathlib import Path

from gaaplib import options
from gaaplib.config import IMAGENET, SYNTHETIC
from gaaplib.runs.data import files_now, same_images
from gaaplib.runs.folder import Run
from gaaplib.runs.provenance import RESULTS, is_current


def out_of_date(run, *, now=files_now):
    """Why a finished run has to be made again, as a sentence; None if it does not.

    It cannot be read, is of another results number, or its images, the key points or masks that its method reads beside
    them, its initial weights or what its model was trained on have changed. The run that trained its model lies beside
    it.

    Args:
        run: a finished :class:`gaaplib.runs.Run` in its outputs' ``runs/``.
        now: as for :func:`gaaplib.runs.same_images`.

    Raises:
        FileNotFoundError, ValueError: the images or weights are not there.
    """
    if run.trouble():
        return run.trouble()
    metrics, config = run.metrics, run.config
    if not is_current(metrics):
        numbers = f"results number {metrics['provenance'].get('results')}, today's is {RESULTS}"
        return f"{run.folder.name} is out of date ({numbers})"
    if not same_images(run, outputs=run.folder.parents[1], now=now):
        read = " or ".join(["images", *options.beside(config.method, config.options)])
        return f"the {read} in {config.data} are not those that {run.folder.name} was made with"
    if weights_key(config) != metrics["data"].get("weights"):
        return f"{config.weights} is not the file that {run.folder.name} started from"
    for needed in config.needed():
        if needed.data == SYNTHETIC or run.history.empty:
            continue
        source = Run(run.folder.with_name(needed.run_id))
        same = source.is_done() and not out_of_date(source, now=now)
        if not same or learnt_from(source) != metrics["data"].get("trained_on"):
            return f"the images in {needed.data} are not those that the model of {run.folder.name} was trained on"
    return None


def learnt_from(run):
    """What a finished run was trained on, as a text: its images' fingerprint, and of what its method reads beside."""
    noted = run.metrics["data"]
    return "+".join([noted["fingerprint"], *noted.get("beside", {}).values()])


def weights_key(config):
    """SHA-256 of a configuration's file of initial weights; None if there is none.

    Raises:
        FileNotFoundError: the file is missing.
    """
    if config.weights in (None, IMAGENET):
        return None
    if not Path(config.weights).is_file():
        raise FileNotFoundError(
            f"weights={config.weights!r}: no such file; give a .weights.h5 file, a run's model.keras, or {IMAGENET!r}"
        )
    with open(config.weights, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()

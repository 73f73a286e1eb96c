"""Estimates of the time that runs take, from training steps timed on this machine once per kind of model."""

import json
import math
import time
from functools import cache
from pathlib import Path
from statistics import median

import keras
import numpy as np
from tqdm import tqdm

from gaaplib import runs
from gaaplib.config import SYNTHETIC, RunConfig
from gaaplib.datasets import read, splits, synthetic
from gaaplib.methods import METHODS
from gaaplib.network import devices
from gaaplib.project import outputs_folder, write_whole
from gaaplib.runs import provenance
from gaaplib.training import fit

# The fields that decide the time of a step; number of identities, pooling and sampler hardly matter.
KIND = ("method", "backbone", "attention", "attention_at", "last_stride", "neck")
KIND += ("height", "width", "batch_size", "precision")
STEPS, IDENTITIES = 3, 200
# Seconds of a run's notebook (kernel, imports, histogram baseline, figures), used until a run has finished.
OVERHEAD = 30.0


def seconds(config, times):
    """Return the seconds of a run, from :func:`step_times`: all epochs, validation, and embedding the scored images.

    Early stopping makes a run shorter. Generating and decoding images, ranking, and :func:`overhead` are not included.
    """
    step, image, begin = times.get(kind(config), (0.0, 0.0, 0.0))
    counts = images(config.dataset, config.data, config.variant, config.scale, config.pattern)
    if config.training_images == "all":
        counts = {**counts, "train": counts["train"] + counts["val"] + counts["test"], "val": 0, "test": 0}
    embedded = counts["query"] + counts["gallery"]
    if config.train_dataset is not None or not METHODS[config.method].learns:
        return embedded * image
    steps = max(1, counts["train"] // config.batch_size)
    epoch = steps * step + counts["val"] * image
    return begin + config.epochs * epoch + (embedded + counts["test"]) * image


def kind(config):
    """Return the settings of a configuration that decide how long a step takes, as text."""
    return " ".join(f"{name}={getattr(config, name)}" for name in KIND)


@cache
def images(dataset, data, variant=None, scale=1.0, pattern=None):
    """Return the number of images in each role: counted in the user's copy (fold 0), estimated for a synthetic twin."""
    if data == SYNTHETIC:
        return _images_of_twin(synthetic.spec_for(dataset, scale))
    found = read(dataset, data, variant, pattern)
    roles = splits.protocol_split(found).role.value_counts()
    return {role: int(roles.get(role, 0)) for role in splits.ROLES}


def _images_of_twin(spec):
    """The official split if there is one, else a fifth of identities unseen; val and test get 15 % each of the rest."""
    counts, trained = spec.counts, spec.train_images
    if "all" in counts:
        trained = round(trained * (1 - 1 / splits.FOLDS))
        counts = {"query": 0, "gallery": counts["all"] - trained}
    each = trained and spec.train_images / spec.train_ids
    held_out = round(trained * max(1, round(0.15 * each)) / each) if each >= 3 else 0
    roles = {"train": trained - 2 * held_out, "val": held_out, "test": held_out}
    return {**roles, "query": counts["query"], "gallery": counts["gallery"] - spec.junk}


def overhead(outputs=None):
    """Return the seconds that a run's notebook adds to the run, as the median of finished runs, and their number.

    Without finished runs it returns ``(OVERHEAD, 0)``.
    """
    found = []
    for run in runs.finished(outputs):
        notebook = run.folder / "notebook.ipynb"
        if notebook.exists():
            duration = json.loads(notebook.read_text())["metadata"].get("papermill", {}).get("duration")
            spent = sum(run.metrics["provenance"]["seconds"].values())
            # A shorter duration than the run's: the notebook reused a finished run.
            found += [duration - spent] if duration and duration > spent else []
    return (median(found) if found else OVERHEAD), len(found)


def step_times(configs, outputs=None, progress=False):
    """Time the steps that these configurations need and that this code has not yet been timed for on this machine.

    Returns:
        ``{kind: (seconds per training step, seconds per embedded image, seconds to start)}``; the last is how much
        longer the first epoch takes, because it compiles. Times are kept in ``<outputs>/cache/step_times.json``; a
        damaged file is ignored and measured again.
    """
    file = Path(outputs or outputs_folder()) / "cache" / "step_times.json"
    machine = _machine()
    kept = _kept(file)
    times = kept.setdefault(machine, {})
    learning = [config for config in configs if METHODS[config.method].learns]
    needed = {kind(config): config for config in learning if kind(config) not in times}
    for name, config in tqdm(needed.items(), desc="timing steps", unit="model", disable=not progress or not needed):
        times[name] = _timed(config)
        file.parent.mkdir(parents=True, exist_ok=True)
        write_whole(file, json.dumps(kept, indent=1))
    return {name: tuple(measured) for name, measured in times.items()}


def _machine():
    origin = provenance.origin()
    names = ("processor", "cores", "devices", "backend", "results")
    return " | ".join(str(origin[name]) for name in names)


def _kept(file):
    """``{machine: {kind: [seconds, seconds, seconds]}}`` from the file; empty if the file is missing or damaged."""
    try:
        kept = json.loads(file.read_text())
        measured = [each for times in kept.values() for each in times.values()]
        return kept if all(len(each) == 3 and all(0 <= value < math.inf for value in each) for each in measured) else {}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _timed(config):
    """Seconds per step of the second epoch and per image of the second pass, and the extra time of the first epoch."""
    # Settings that keep the loss finite whatever the profile is: a loss that is not would end the measurement.
    calm = {"epochs": 2, "initializer": "he", "learning_rate": 1e-6, "schedule": "constant", "warmup_epochs": 0}
    config = RunConfig(**config.to_dict() | calm)
    policy = keras.config.dtype_policy()
    keras.backend.clear_session()
    keras.config.set_dtype_policy(config.precision)
    devices.use_all(config.batch_size, config.images_per_identity)
    try:
        return _time(METHODS[config.method](config, IDENTITIES))
    finally:
        keras.config.set_dtype_policy(policy)


def _time(method):
    config = method.config
    count = STEPS * config.batch_size
    noise = np.random.default_rng(0).integers(0, 256, (count, config.height, config.width, 3), np.uint8)
    rows = np.arange(count)
    labels = rows // config.images_per_identity % IDENTITIES
    history = fit.fit(method, noise, (rows, labels), (rows[:0], labels[:0]))
    fit.embed(method.model, noise, rows)
    start = time.perf_counter()
    fit.embed(method.model, noise, rows)
    image = (time.perf_counter() - start) / count
    first, both = history.seconds
    return (both - first) / STEPS, image, max(0.0, 2 * first - both)

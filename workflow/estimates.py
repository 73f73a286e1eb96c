"""What runs will cost: hours, from training steps that are timed on this machine, once for each kind of model."""

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
from gaaplib.datasets import DATASETS, splits, synthetic
from gaaplib.methods import METHODS
from gaaplib.network import devices
from gaaplib.project import outputs_folder, write_whole
from gaaplib.runs import provenance
from gaaplib.training import fit

# What the seconds of a step depend on; the number of identities, the pooling and the sampler hardly matter.
KIND = ("method", "backbone", "attention", "attention_at", "last_stride", "neck")
KIND += ("height", "width", "batch_size", "precision")
STEPS, IDENTITIES = 3, 200
# Of a notebook's own: kernel, imports, the histogram beside the run, figures. For where no run has told yet.
OVERHEAD = 30.0


def seconds(config, times):
    """Seconds of a run, from :func:`step_times`: all epochs, validation, and embedding what is scored.

    Early stopping makes it less. What is left out: drawing and decoding images, the ranking, and :func:`overhead`.
    """
    step, image, begin = times.get(kind(config), (0.0, 0.0, 0.0))
    counts = images(config.dataset, config.data, config.variant, config.scale)
    embedded = counts["query"] + counts["gallery"]
    if config.train_dataset is not None or not METHODS[config.method].learns:
        return embedded * image
    steps = max(1, counts["train"] // config.batch_size)
    epoch = steps * step + counts["val"] * image
    return begin + config.epochs * epoch + (embedded + counts["test"]) * image


def kind(config):
    """The configuration's settings that decide how long a step takes, in words."""
    return " ".join(f"{name}={getattr(config, name)}" for name in KIND)


@cache
def images(dataset, data, variant=None, scale=1.0):
    """Images in each role: counted in the user's copy (fold 0), and about as many as a twin has, without drawing it."""
    if data == SYNTHETIC:
        return _images_of_twin(synthetic.spec_for(dataset, scale))
    found = DATASETS[dataset].read(Path(data).expanduser(), **({"variant": variant} if variant else {}))
    roles = splits.protocol_split(found, folds=runs.FOLDS).role.value_counts()
    return {role: int(roles.get(role, 0)) for role in splits.ROLES}


def _images_of_twin(spec):
    """An official split as it is, else a fifth of the identities unseen; of the others 15 % validate and 15 % test."""
    counts, trained = spec.counts, spec.train_images
    if "all" in counts:
        trained = round(trained * (1 - 1 / runs.FOLDS))
        counts = {"query": 0, "gallery": counts["all"] - trained}
    each = trained and spec.train_images / spec.train_ids
    held_out = round(trained * max(1, round(0.15 * each)) / each) if each >= 3 else 0
    roles = {"train": trained - 2 * held_out, "val": held_out, "test": held_out}
    return {**roles, "query": counts["query"], "gallery": counts["gallery"] - spec.junk}


def overhead(outputs=None):
    """Seconds that a run's notebook takes beside the run, and of how many finished runs that is the median.

    Where there are none it is ``OVERHEAD``, of 0 runs.
    """
    found = []
    for run in runs.finished(outputs):
        notebook = run.folder / "notebook.ipynb"
        if notebook.exists():
            told = json.loads(notebook.read_text())["metadata"].get("papermill", {}).get("duration")
            spent = sum(run.metrics["provenance"]["seconds"].values())
            # Less than the run itself: the notebook found it finished.
            found += [told - spent] if told and told > spent else []
    return (median(found) if found else OVERHEAD), len(found)


def step_times(configs, outputs=None, progress=False):
    """Time what these configurations need and what has not been timed on this machine, by this code.

    Returns:
        ``{kind: (seconds a training step, seconds an image embedded, seconds to begin)}``: the last are those that
        the first epoch takes longer, to compile. They are kept in ``<outputs>/cache/step_times.json``; a damaged
        file is measured anew.
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
    """``{machine: {kind: [seconds, seconds, seconds]}}`` from the file; nothing where it is not that."""
    try:
        kept = json.loads(file.read_text())
        measured = [each for times in kept.values() for each in times.values()]
        return kept if all(len(each) == 3 and all(0 <= value < math.inf for value in each) for each in measured) else {}
    except (OSError, ValueError, AttributeError, TypeError):
        return {}


def _timed(config):
    """Seconds a step of the second epoch, an image the second time, and what the first epoch takes longer."""
    # Whatever the profile starts from: a loss that is not finite would end the measurement.
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

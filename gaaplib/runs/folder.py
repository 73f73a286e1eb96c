"""The run folder: what a run leaves behind, where it came from, and the table of all runs.

A folder ``<outputs>/runs/<run_id>/`` holds ``config.json``, ``history.csv``, ``per_query.npz``, ``model.keras`` and
``metrics.json``. The last one is written last, at one stroke: where it stands, the run is done.
"""

import datetime
import json
import math
import os
import platform
import shutil
import subprocess
import sys
from dataclasses import dataclass
from importlib import metadata
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from gaaplib import sources
from gaaplib.config import RunConfig
from gaaplib.evaluation import statistics
from gaaplib.network import devices
from gaaplib.project import outputs_folder

SCHEMA = 1
RANKS = (1, 5, 10, 20)


@dataclass(frozen=True)
class Run:
    """A finished run, read from its folder when asked.

    Attributes:
        folder: the run's folder.
    """

    folder: Path

    @property
    def metrics(self):
        """The content of ``metrics.json``."""
        return json.loads((self.folder / "metrics.json").read_text())

    @property
    def config(self):
        """The :class:`RunConfig` that the run was made from."""
        return RunConfig(**json.loads((self.folder / "config.json").read_text()))

    @property
    def history(self):
        """A DataFrame with a row an epoch; empty where nothing was trained."""
        return pd.read_csv(self.folder / "history.csv")

    @property
    def per_query(self):
        """Arrays of the retrieval protocol with an entry a query, as in ``RetrievalScores``, and ``pid``."""
        with np.load(self.folder / "per_query.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    @property
    def per_image(self):
        """Arrays of the closed protocol with an entry an image: ``rank`` of the right identity, ``pid``, ``row``."""
        with np.load(self.folder / "per_image.npz", allow_pickle=False) as arrays:
            return dict(arrays)

    @property
    def model_file(self):
        """Path of the trained model.

        Raises:
            FileNotFoundError: the run has none, as those that are committed; it says what to do.
        """
        path = self.folder / "model.keras"
        if not path.is_file():
            raise FileNotFoundError(
                f"{self.folder} has no model.keras (committed reference runs have none, to be small): move that folder "
                "out of outputs/runs, and gaap run 02_train trains it again"
            )
        return path

    def model(self):
        """The trained model, from images (batch, height, width, 3) to a dict of outputs."""
        import gaaplib.methods  # noqa: F401 - registers the layers that a saved model may have

        return keras.saving.load_model(self.model_file, compile=False, safe_mode=True)

    @property
    def checkpoint(self):
        """Where training keeps what it needs to go on after an interruption; gone when the run is done."""
        return self.folder / "checkpoint" / "last_epoch.zip"

    def is_done(self):
        """Whether the run came to its end."""
        return (self.folder / "metrics.json").exists()


def begin(config, outputs, *, fresh=False):
    """The run's folder, emptied of what an earlier, unfinished attempt left, but for its checkpoint.

    Args:
        fresh: the checkpoint goes too.
    """
    run = Run(Path(outputs) / "runs" / config.run_id)
    run.folder.mkdir(parents=True, exist_ok=True)
    # First the mark of completeness, then the rest.
    for name in ("metrics.json", "history.csv", "per_query.npz", "per_image.npz", "model.keras"):
        (run.folder / name).unlink(missing_ok=True)
    if fresh:
        _remove_checkpoint(run)
    _write_whole(run.folder / "config.json", json.dumps(config.to_dict(), indent=1))
    return run


def finish(run, *, status, reason, counts, closed, retrieval, data, partnered, seconds):
    """Write ``metrics.json``, whole and last; the checkpoint has done its work then.

    Args:
        status: ``"done"`` or ``"diverged"``.
        reason: why it diverged, in words, else None.
        counts: images and identities by role.
        closed, retrieval: metrics of the two protocols as fractions, or None.
        data: fingerprint of the images and how many could not be decoded.
        partnered: share of training images that had a partner of their identity in the batch.
        seconds: by stage.
    """
    config = run.config
    content = {
        "schema": SCHEMA,
        "run_id": config.run_id,
        "status": status,
        "reason": reason,
        "data": {"name": config.data_name, "synthetic": config.is_synthetic, **data},
        "counts": counts,
        "partnered_share": partnered,
        "closed": closed,
        "retrieval": retrieval,
        "config": config.to_dict(),
        "provenance": {**provenance(), "seconds": seconds},
    }
    _write_whole(run.folder / "metrics.json", json.dumps(_without_nan(content), indent=1))
    _remove_checkpoint(run)


def _remove_checkpoint(run):
    shutil.rmtree(run.checkpoint.parent, ignore_errors=True)


def provenance():
    """Where a result came from: code, versions, machine and time."""
    packages = ("gaaplib", "keras", "tensorflow", "jax", "torch", "numpy", "pandas", "pillow")
    return {
        "commit": _git("rev-parse", "HEAD"),
        "code": sources.digest(),
        "dirty": bool(_git("status", "--porcelain", "--", "gaaplib", "notebooks")),
        "backend": keras.backend.backend(),
        "versions": {"python": platform.python_version(), **_versions(packages)},
        "processor": _processor(),
        "cores": os.cpu_count(),
        "devices": devices.available(),
        "devices_used": devices.in_use(),
        "finished": datetime.datetime.now(datetime.UTC).isoformat(timespec="seconds"),
    }


def finished(outputs=None):
    """All finished runs under ``outputs``, sorted by folder name."""
    folder = Path(outputs or outputs_folder()) / "runs"
    return [Run(path.parent) for path in sorted(folder.glob("*/metrics.json"))]


def table(outputs=None):
    """One row a finished run: what it was, and its headline metrics as fractions; NaN where there is none.

    Columns name their protocol: ``closed_*`` are softmax scores on unseen images of trained identities,
    ``retrieval_*`` are unseen identities, with the AP convention in ``ap``.
    """
    return pd.DataFrame([_row(run.metrics) for run in finished(outputs)], columns=COLUMNS)


def compare(named):
    """Retrieval scores of runs side by side, chance first, with 95 % intervals.

    Args:
        named: ``{name: Run}``, all on the same queries.

    Returns:
        A DataFrame of words: a row for chance and for each run, columns ``CMC(1)``, ``CMC(5)``, ``mAP`` and ``mINP``.
        Intervals are bootstrap percentiles over the valid queries, an identity's queries drawn together.

    Raises:
        ValueError: a run diverged and has no scores.
    """
    return _side_by_side(named, "retrieval")


def compare_closed(named):
    """Scores of the closed protocol side by side, chance first, with 95 % intervals.

    Args:
        named: ``{name: Run}``, all on the same images.

    Returns:
        As :func:`compare`, with columns ``mRA``, ``CMC(1)``, ``CMC(5)`` and ``mAP``. Intervals are bootstrap
        percentiles over the identities, an identity's images drawn together; mRA is a mean over identities.

    Raises:
        ValueError: a run has no closed protocol, or diverged.
    """
    return _side_by_side(named, "closed")


def interval(run, protocol, title):
    """A score of a run with its 95 % bootstrap interval, as :func:`compare` and :func:`compare_closed` give it.

    Args:
        run: one that has scores of this protocol.
        protocol: ``"retrieval"`` or ``"closed"``.
        title: a key of ``MEASURES`` or ``CLOSED_MEASURES``.
    """
    values, groups = _values(run, protocol, title)
    return statistics.bootstrap_mean(values, groups)


def _values(run, protocol, title):
    """What a score is the mean of, and the identity of each value."""
    if protocol == "closed":
        return CLOSED_MEASURES[title][1](run.per_image)
    queries = run.per_query
    valid = queries["valid"]
    return MEASURES[title][1](queries)[valid], queries["pid"][valid]


def _side_by_side(named, protocol):
    measures = PROTOCOLS[protocol]
    for name, run in named.items():
        if run.metrics[protocol] is None:
            why = "diverged" if run.metrics["status"] == "diverged" else f"has no {protocol} protocol"
            raise ValueError(f"{name} ({run.folder.name}) {why}: it has no {protocol} scores to compare")
    chance = next(iter(named.values())).metrics[protocol]["chance"]
    rows = {"chance": {title: f"{chance[key]:.3f}" for title, (key, _) in measures.items()}}
    for name, run in named.items():
        rows[name] = {title: str(interval(run, protocol, title)) for title in measures}
    return pd.DataFrame(rows).T


def cmc(run, max_rank=20):
    """CMC(1) to CMC(max_rank) of the retrieval protocol, as an array of fractions."""
    first_hits = run.per_query["first_hit"][run.per_query["valid"]]
    return np.array([(first_hits <= rank).mean() for rank in range(1, max_rank + 1)])


def difference(run, other, title="mAP", protocol="retrieval"):
    """How far a run is ahead of another on the same queries: a paired :class:`gaaplib.evaluation.statistics.Interval`.

    Args:
        title: a key of ``MEASURES``; of ``CLOSED_MEASURES`` for the closed protocol, on the same images.
        protocol: ``"retrieval"`` or ``"closed"``.

    Raises:
        ValueError: the runs do not have the same queries, or images.
    """
    same = ("pid", "camid", "row", "valid") if protocol == "retrieval" else ("pid", "row")
    one, two = ((each.per_query if protocol == "retrieval" else each.per_image) for each in (run, other))
    if not all(np.array_equal(one[name], two[name]) for name in same):
        what = "queries" if protocol == "retrieval" else "images"
        raise ValueError(f"{run.folder.name} and {other.folder.name} were not scored on the same {what}")
    (values, groups), (others, _) = _values(run, protocol, title), _values(other, protocol, title)
    return statistics.paired_difference(values, others, groups)


# Title: the key in metrics.json, and the value of each query.
MEASURES = {
    "CMC(1)": ("cmc1", lambda queries: queries["first_hit"] <= 1),
    "CMC(5)": ("cmc5", lambda queries: queries["first_hit"] <= 5),
    "mAP": ("mAP", lambda queries: queries["ap"]),
    "mINP": ("mINP", lambda queries: queries["inp"]),
}


def _identity_means(images):
    """The top-1 accuracy of each identity, which mRA averages, and a group for each."""
    identity, sizes = np.unique(images["pid"], return_inverse=True, return_counts=True)[1:]
    return np.bincount(identity, weights=images["rank"] == 1) / sizes, None


# Title: the key in metrics.json, and the values that it averages, with their groups.
CLOSED_MEASURES = {
    "mRA": ("mRA", _identity_means),
    "CMC(1)": ("cmc1", lambda images: (images["rank"] <= 1, images["pid"])),
    "CMC(5)": ("cmc5", lambda images: (images["rank"] <= 5, images["pid"])),
    "mAP": ("mAP", lambda images: (1 / images["rank"], images["pid"])),
}

PROTOCOLS = {"retrieval": MEASURES, "closed": CLOSED_MEASURES}

COLUMNS = (
    *("run_id", "status", "data", "method", "backbone", "attention", "pooling", "fold", "seed"),
    *("profile", "ap", "closed_mRA", "closed_cmc1"),
    *("retrieval_cmc1", "retrieval_mAP", "retrieval_mINP", "seconds", "synthetic"),
)


def _row(metrics):
    config = metrics["config"]
    closed, retrieval = metrics["closed"] or {}, metrics["retrieval"] or {}
    return {
        **{name: config[name] for name in COLUMNS if name in config},
        "run_id": metrics["run_id"],
        "status": metrics["status"],
        "data": metrics["data"]["name"],
        "synthetic": metrics["data"]["synthetic"],
        "closed_mRA": closed.get("mRA"),
        "closed_cmc1": closed.get("cmc1"),
        "retrieval_cmc1": retrieval.get("cmc1"),
        "retrieval_mAP": retrieval.get("mAP"),
        "retrieval_mINP": retrieval.get("mINP"),
        "seconds": sum(metrics["provenance"]["seconds"].values()),
    }


def _write_whole(path, text):
    """Write beside, then rename: a reader sees the old file or the new one, never half of it."""
    part = path.with_name(path.name + ".part")
    with open(part, "w") as file:
        file.write(text + "\n")
        file.flush()
        os.fsync(file.fileno())
    os.replace(part, path)


def _without_nan(value):
    """JSON has no NaN; a number that is missing is null."""
    if isinstance(value, dict):
        return {key: _without_nan(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_without_nan(item) for item in value]
    if isinstance(value, float | np.floating):
        return float(value) if math.isfinite(value) else None
    return int(value) if isinstance(value, np.integer) else value


def _git(*arguments):
    """Output of a git command on the library's own checkout; None where it is none."""
    command = ["git", "-C", str(Path(__file__).parents[2]), *arguments]
    try:
        return subprocess.run(command, capture_output=True, text=True, check=True).stdout.strip()
    except (OSError, subprocess.CalledProcessError):
        return None


def _versions(packages):
    found = {}
    for package in packages:
        try:
            found[package] = metadata.version(package)
        except metadata.PackageNotFoundError:
            continue
    return found


def _processor():
    if sys.platform == "linux":
        for line in Path("/proc/cpuinfo").read_text().splitlines():
            if line.startswith("model name"):
                return line.split(":", 1)[1].strip()
    return platform.processor() or platform.machine()

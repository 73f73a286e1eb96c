"""One run from configuration to run folder: read or generate images, train, embed, evaluate both protocols."""

import importlib.util
import time
import warnings
from pathlib import Path

import keras
import numpy as np
import pandas as pd

from gaaplib import metrics, runs
from gaaplib.config import SYNTHETIC
from gaaplib.datasets import splits
from gaaplib.datasets.records import known_cameras
from gaaplib.evaluation.collapse import collapsed
from gaaplib.methods import METHODS
from gaaplib.network import devices, layers
from gaaplib.project import locked, outputs_folder
from gaaplib.runs import card
from gaaplib.runs.current import learnt_from, out_of_date, weights_key
from gaaplib.runs.data import load_data
from gaaplib.runs.provenance import RESULTS, origin
from gaaplib.training import curve, fit
from gaaplib.training.checkpoint import Checkpoint


def run(config, *, outputs=None, rerun=False, tensorboard=False, verbose=0):
    """Train, embed and evaluate what ``config`` describes, and write a complete run folder.

    A finished run is reused unless it is out of date (:func:`gaaplib.runs.out_of_date`). An interrupted run resumes
    from its last complete epoch and ends with bit-identical weights on the same kind of processor with the same number
    of threads. A run that fails writes no ``metrics.json``. A run that cannot be scored is recorded
    without scores, with the reason: as ``"diverged"`` if its loss or embeddings are not finite or zero, as
    ``"collapsed"`` if its embeddings are all alike.

    If two processes are asked for one run, the second waits and returns what the first one made.

    If the configuration trains on another data set, its model is that of ``config.training()``, which is run first if
    it is missing. There are no scores of the closed protocol then, as it needs the training identities, and none if
    all images of these are for training. If its method adapts, it starts from the backbones of ``config.starts()``,
    which are run first if they are missing, and trains on the images of its own data set.

    Args:
        config: a :class:`gaaplib.config.RunConfig`.
        outputs: folder for runs and caches; None: :func:`gaaplib.project.outputs_folder`.
        rerun: train again from the beginning, even if the run is finished.
        tensorboard: write TensorBoard's files into the run's folder as well, with Keras' callback.
        verbose: 0 silent, 1 bars, 2 one line per epoch.

    Returns:
        The :class:`gaaplib.runs.Run`.

    Raises:
        ImportError: ``tensorboard`` is wanted, but is not installed.
        FileNotFoundError, ValueError: the images are not there, not enough to train on, or no query has a match; the
            message says what is needed.
    """
    if tensorboard and importlib.util.find_spec("tensorboard") is None:
        raise ImportError("tensorboard=True needs a package that is not installed: pip install tensorboard")
    outputs = Path(outputs or outputs_folder())
    existing = runs.Run(outputs / "runs" / config.run_id)
    if not rerun and _is_there(existing):
        return _reused(existing, verbose)
    lock = existing.folder.with_name(f".{config.run_id}.lock")
    with locked(lock, f"making the run {config.run_id}"):
        if not rerun and _is_there(existing):
            return _reused(existing, verbose)
        return _run(config, outputs, rerun, tensorboard, verbose)


def _is_there(existing):
    """Whether there is a finished run to reuse; a warning says why one is made again."""
    if not existing.is_done():
        return False
    why = out_of_date(existing)
    if why:
        warnings.warn(f"{why}: the run is made again", stacklevel=3)
    return not why


def _reused(existing, verbose):
    metrics = existing.metrics
    if verbose:
        print(f"{existing.folder.name}: reused, made on {metrics['provenance']['finished'][:10]}")
    if metrics["data"].get("copies"):
        said = f"its queries include copies of gallery images, byte for byte ({metrics['data']['copies']})"
        warnings.warn(f"{existing.folder.name}: {said}", stacklevel=3)
    return existing


def _run(config, outputs, rerun, tensorboard, verbose):
    """What :func:`run` does if there is no finished run."""
    weights = weights_key(config)
    source = _source(config, outputs, tensorboard, verbose)
    starts = [run(start, outputs=outputs, tensorboard=tensorboard, verbose=verbose) for start in config.starts()]
    clock = _Clock()
    data = load_data(config, outputs=outputs, progress=verbose > 0)
    nothing = splits.no_match(data.table)
    if nothing:
        raise ValueError(f"{data.root}: {nothing}")
    clock.stop("data")
    result = runs.begin(config, outputs, fresh=rerun)
    keras.backend.clear_session()
    _make_deterministic(config)
    devices.use_all(config.batch_size if METHODS[config.method].learns else None, config.images_per_identity)
    method, history = _trained(config, data, source, starts, result, tensorboard, verbose)
    history.to_csv(result.folder / "history.csv", index=False)
    clock.stop("training")
    if not source and len(history):
        # The history includes the time before an interruption.
        clock.seconds["training"] = max(clock.seconds["training"], round(history.seconds.iloc[-1], 3))
    method.save(result.folder)
    status, reason, fitted, closed, retrieval = "done", fit.trouble(history), None, None, None
    if reason:
        status = "diverged"
    else:
        roles = ("query", "gallery") if source else ("test", "query", "gallery")
        outputs_by_role = outputs_of(method, data, roles, verbose)
        status, reason = _judged(outputs_by_role, config, data.part("gallery").pid.nunique())
    if status == "done":
        fitted = None if source or history.empty else _train_accuracy(method, data, verbose)
        if fitted is not None:
            _warn_of_chance(history, data)
        closed, retrieval = _evaluate(method, data, outputs_by_role, result)
    clock.stop("evaluation")
    runs.finish(
        result,
        status=status,
        reason=reason,
        counts=_counts(data),
        closed=closed,
        retrieval=retrieval,
        data=_origin_of_data(config, data, source or next(iter(starts), None), weights),
        partnered=None if history.empty else float(history.partnered_share.mean()),
        train_accuracy=fitted,
        seconds=clock.seconds,
    )
    card.write(result)
    return result


def _warn_of_chance(history, data):
    """Warn if the network has not learnt to recognise the validation images."""
    images = len(data.part("val"))
    for sentence in curve.in_words(history, data.num_classes, images):
        if sentence.startswith(curve.AT_CHANCE):
            warnings.warn(sentence, stacklevel=4)


def _origin_of_data(config, data, source, weights):
    """What ``metrics.json`` says of the images and weights, by which a later call tells whether they are the same."""
    came_from = {
        "fingerprint": data.store.fingerprint,
        "undecodable": len(data.store.undecodable),
        "copies": len(data.copies),
        "as_published": data.as_published,
    }
    if config.data != SYNTHETIC:
        came_from["files"] = data.store.files
        came_from |= _beside(config, data)
        came_from |= {"beside_files": data.beside_files} if data.beside_files else {}
    if source is not None:
        came_from["trained_on"] = learnt_from(source)
    return came_from | ({"weights": weights} if weights else {})


def _beside(config, data):
    """The fingerprints of what is beside photographs; nothing for twins, whose files the code makes."""
    return {"beside": data.beside_fingerprints} if data.beside and config.data != SYNTHETIC else {}


def outputs_of(method, data, roles, verbose=0):
    """Outputs of a method's model for the images of some roles: ``{role: {output: array}}``."""
    rows = {role: data.part(role).row.to_numpy() for role in roles}
    return {
        role: fit.embed(method.model, data.inputs, rows[role], progress=verbose == 1)
        for role in roles
        if len(rows[role])
    }


def _source(config, outputs, tensorboard, verbose):
    """The run whose model this one scores; None if this run trains its own, or nothing is trained."""
    training_config = config.training()
    if training_config is None or not METHODS[config.method].learns:
        return None
    return run(training_config, outputs=outputs, tensorboard=tensorboard, verbose=verbose)


def _make_deterministic(config):
    keras.config.set_dtype_policy(config.precision)
    keras.utils.set_random_seed(config.seed)
    layers.make_deterministic()


def _trained(config, data, source, starts, result, tensorboard, verbose):
    """The trained method, from here, after the runs ``starts`` if any, or from the run ``source``; and its history."""
    if source is not None:
        classes = source.metrics["counts"]["train"]["identities"]
        method = METHODS[config.method](config, classes)
        method.model.load_weights(source.model_file)
        return method, source.history
    learns = METHODS[config.method].learns
    if learns and data.num_classes < 2:
        raise ValueError(
            f"{data.num_classes} identities of {config.data_name} to train on, but at least two are needed: add "
            "some, or give train_dataset and train_data to train on another data set"
        )
    method = METHODS[config.method](config, data.num_classes)
    if starts:
        method.start_from([start.model_file for start in starts])
    if not learns:
        return method, pd.DataFrame({"epoch": []})
    further = [keras.callbacks.TensorBoard(result.folder / "tensorboard", write_graph=False)] if tensorboard else []
    return method, _fit(method, data, starts, result, further, verbose)


def _fit(method, data, starts, result, callbacks, verbose):
    """Train on the data, resuming from the run's checkpoint if it has one; return the history."""
    parts = {role: data.part(role) for role in ("train", "val")}
    train, validation = ((part.row.to_numpy(), part.label.to_numpy()) for part in (parts["train"], parts["val"]))
    method.given(parts["train"])
    checkpoint = Checkpoint(result.checkpoint, _key(method.config, data, starts))
    file = result.folder / "history.csv"
    written = {"checkpoint": checkpoint, "history_file": file, "callbacks": callbacks}
    return fit.fit(method, data.inputs, train, validation, **written, verbose=verbose)


def _key(config, data, starts):
    """What the weights depend on, bit for bit, except for the processor: a queue may resume on another node."""
    came_from = origin()
    return {
        "configuration": config.to_dict(),
        "images": data.store.fingerprint,
        **_beside(config, data),
        "starts": [learnt_from(start) for start in starts],
        "results": RESULTS,
        "backend": [came_from["backend"], layers.fast()],
        "versions": came_from["versions"],
    }


def _judged(outputs_by_role, config, identities):
    """The status of a model by its outputs, and the reason if it is not "done"."""
    reason = _trouble(outputs_by_role, config)
    if reason:
        return "diverged", reason
    retrieved = [outputs_by_role[role]["embedding"] for role in ("query", "gallery")]
    reason = collapsed(retrieved, identities, config.precision, config.distance)
    return ("collapsed", reason) if reason else ("done", None)


def _trouble(outputs_by_role, config):
    """Why a model's outputs cannot be scored, as a sentence; None if they can.

    Even with finite losses a network may return NaN, or zeros for every image (dead ReLUs).
    """
    for role, outputs in outputs_by_role.items():
        for name, array in outputs.items():
            if not np.isfinite(array).all():
                return f"{name} of the {role} images is not finite"
        embeddings = outputs.get("embedding")
        if config.distance == "cosine" and embeddings is not None:
            zero = int((embeddings == 0).all(axis=1).sum())
            if zero:
                return f"{zero} of {len(embeddings)} {role} embeddings are all zeros and have no direction"
    return None


def _evaluate(method, data, outputs, result):
    """Both protocols as dicts of fractions; the per-query arrays are written to disk."""
    closed = _closed(method, data, outputs.get("test"), result)
    scores, chance = _retrieval(method, data, outputs)
    queries = data.part("query")
    np.savez(
        result.folder / "per_query.npz",
        **{name: getattr(scores, name) for name in ("ap", "inp", "first_hit", "valid")},
        pid=queries.pid.to_numpy(),
        camid=queries.camid.to_numpy(),
        row=queries.row.to_numpy(),
    )
    retrieval = {
        **_headline(scores, ("mAP", "mINP")),
        "ap": scores.ap_convention,
        "num_queries": scores.num_queries,
        "num_valid_queries": scores.num_valid_queries,
        "num_gallery": len(data.part("gallery")),
        "chance": _headline(chance, ("mAP", "mINP")),
    }
    return closed, retrieval


def _train_accuracy(method, data, verbose):
    """The share of the training images that the trained network classifies right; None if it has no class scores."""
    scores = method.class_scores(outputs_of(method, data, ("train",), verbose)["train"])
    return None if scores is None else float(np.mean(scores.argmax(axis=1) == data.part("train").label))


def _closed(method, data, outputs, result):
    scores = None if outputs is None else method.class_scores(outputs)
    if scores is None:
        return None
    images = data.part("test")
    labels = images.label.to_numpy()
    found = metrics.evaluate_classification(scores, labels)
    np.savez(result.folder / "per_image.npz", rank=found.rank, pid=images.pid.to_numpy(), row=images.row.to_numpy())
    chance = metrics.expected_classification_by_chance(labels, data.num_classes)
    names = ("mRA", "mAP", "micro_accuracy")
    counts = {name: getattr(found, name) for name in ("num_images", "num_identities", "num_classes")}
    return {**_headline(found, names), **counts, "chance": _headline(chance, names)}


def _retrieval(method, data, outputs):
    """The method's retrieval scores, and the expectation by chance."""
    query, gallery = data.part("query"), data.part("gallery")
    protocol = {"query_pids": query.pid.to_numpy(), "gallery_pids": gallery.pid.to_numpy()}
    query_camids, gallery_camids = known_cameras(query.camid, gallery.camid)
    protocol |= {"query_camids": query_camids, "gallery_camids": gallery_camids}
    protocol["ap"] = method.config.ap
    scores = method.retrieval_scores(outputs["query"], outputs["gallery"], **protocol)
    return scores, metrics.expected_by_chance(**protocol)


def _headline(scores, names):
    cmc = {f"cmc{rank}": float(scores.cmc[rank - 1]) for rank in runs.RANKS}
    return {**{name: float(getattr(scores, name)) for name in names}, **cmc}


def _counts(data):
    by_role = data.table.groupby("role")
    return {
        role: {"images": len(part), "identities": part.pid.nunique(), "cameras": part.camid.nunique()}
        for role, part in by_role
    }


class _Clock:
    """Seconds of each stage."""

    def __init__(self):
        self.seconds = {}
        self._last = time.perf_counter()

    def stop(self, stage):
        now = time.perf_counter()
        self.seconds[stage] = round(now - self._last, 3)
        self._last = now

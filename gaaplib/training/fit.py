"""Trains a method on images, and embeds images with the trained model."""

import dataclasses
import math
import time
import warnings

import keras
import numpy as np
import pandas as pd
from tqdm import tqdm

from gaaplib.datasets import inputs
from gaaplib.network import devices, layers
from gaaplib.project import write_whole
from gaaplib.training import curve
from gaaplib.training.augmentation import Augmentation
from gaaplib.training.averaging import WeightAverage
from gaaplib.training.batches import Batches
from gaaplib.training.checkpoint import Place
from gaaplib.training.optimizers import optimizer_of


def fit(method, images, train, validation, *, checkpoint=None, history_file=None, callbacks=(), verbose=0):
    """Train a method in place, round after round.

    Args:
        method: a :class:`gaaplib.methods.method.Method`; its ``config`` has the settings of the training.
        images: uint8 (n, height, width, 3), or :class:`gaaplib.datasets.inputs.Inputs`.
        train, validation: pairs ``(rows, labels)`` of indices in ``images`` and integer labels from 0. The validation
            set may be empty; the schedule then uses the training loss.
        checkpoint: a :class:`gaaplib.training.checkpoint.Checkpoint` to resume from and to save to; None: start from
            the beginning and save nothing.
        history_file: a CSV file that gets the history after each epoch, so that a training can be watched; None: none.
        callbacks: further callbacks of Keras, such as its TensorBoard; they may not change the training.
        verbose: 0 silent, 1 Keras' progress bars, 2 one line per epoch with the seconds left.

    Returns:
        The history, a DataFrame with one row per epoch: losses, accuracies, learning rate, and seconds since the start,
        without the time between an interruption and the resumption. Training stops early if the loss is not finite; see
        :func:`trouble`.
    """
    rows, labels = train
    recorder, watched = _Recorder(history_file), _validation_batches(method, images, validation)
    saved = checkpoint.read() if checkpoint is not None else None
    # A method that learns without identities is not given any.
    labels = labels if method.supervised else None
    for place in _places(method, saved, recorder.rows, labels, lambda model: embed(model, images, rows)):
        _train(method, images, rows, watched, place, recorder, checkpoint, place is saved, callbacks, verbose)
        if trouble(recorder.rows):
            break
    return pd.DataFrame(recorder.rows, columns=None if recorder.rows else ["epoch"])


def _places(method, saved, history, labels, embedded):
    """The rounds of a training, from the saved one on if there is one; the history grows meanwhile."""
    number = 0
    if saved is not None:
        yield saved
        number = saved.number + 1
    while (round_ := method.next_round(number, labels, embedded)) is not None:
        yield Place(number, len(history), round_.epochs, round_.labels)
        number += 1


def _train(method, images, rows, watched, place, recorder, checkpoint, resumed, further, verbose):
    """Train one round, from the checkpoint if it is resumed."""
    config, model = method.config, method.training_model
    batches = recorder.batches = _training_batches(method, images, rows, place.labels, place.begun)
    epochs = _enough(place.epochs, config.min_steps, len(batches))
    last, stopped = place.begun + epochs, False
    schedule = PlateauSchedule() if config.schedule == "plateau" else None
    average = WeightAverage(last - config.averaged_epochs) if config.averaged_epochs else None
    method.begin(place.number)
    _compile(method, len(batches), epochs, place.begun)
    if not layers.on_tensorflow():
        # Otherwise `fit` takes a first batch to build the metrics, and the epoch begins with later batches.
        model._symbolic_build(data_batch=batches[0])
    if checkpoint is not None:
        checkpoint.follow(place, recorder.rows, schedule, average)
    if resumed:
        stopped = checkpoint.restore(model)
        recorder.go_on()
        batches.start(len(recorder.rows))
    if not stopped:
        printer = _EpochLines(recorder.rows, last) if verbose == 2 else None
        # The recorder needs the schedule's changes, and the checkpoint needs all that is before it.
        callbacks = [keras.callbacks.TerminateOnNaN(), schedule, recorder, printer, average, *further, checkpoint]
        model.fit(
            batches,
            validation_data=watched,
            initial_epoch=len(recorder.rows),
            epochs=last,
            callbacks=[callback for callback in callbacks if callback is not None],
            verbose=0 if printer else verbose,
            shuffle=False,
        )
    if average is not None and not trouble(recorder.rows):
        average.apply(model, _plain_batches(method, images, rows, place.labels))


def trouble(history):
    """Why a training diverged, in words, or None if it did not; the history is a table or a list of rows."""
    table = pd.DataFrame(history)
    losses = table[[column for column in table if "loss" in column]]
    bad = ~np.isfinite(losses.to_numpy(dtype=float)) if len(losses.columns) else np.zeros((0, 0), bool)
    for row, column in np.argwhere(bad):
        return f"{losses.columns[column]} is {losses.iat[row, column]} in epoch {table.epoch[row]}"
    return None


def embed(model, images, rows, *, batch_size=128, progress=False):
    """All outputs of a model for some images.

    Args:
        model: a model from images (batch, height, width, 3) to a dict of arrays.
        images: uint8 (n, height, width, 3), such as a memory map; or :class:`gaaplib.datasets.inputs.Inputs`.
        rows: indices in ``images``; at least one.

    Returns:
        A dict of arrays (len(rows), ...), of the types that the model has.

    Raises:
        ValueError: ``rows`` is empty.
    """
    inputs.check(model, images)
    if not len(rows):
        raise ValueError("no images to embed: `rows` is empty")
    devices.keep_memory()
    starts = tqdm(range(0, len(rows), batch_size), desc="embedding", unit="batch", disable=not progress)
    found = {}
    for start in starts:
        seen = inputs.as_arrays(images[rows[start : start + batch_size]], model)
        outputs = model.predict_on_batch(keras.tree.map_structure(devices.shared, seen))
        for name, part in outputs.items():
            if not start:
                # At once, because embeddings of parts are large and joining their batches would need them twice.
                found[name] = np.empty((len(rows), *part.shape[1:]), part.dtype)
            found[name][start : start + batch_size] = part
    return found


def augmentation_of(config):
    """The :class:`Augmentation` with a configuration's settings."""
    return Augmentation(**{field.name: getattr(config, field.name) for field in dataclasses.fields(Augmentation)})


def _training_batches(method, images, rows, labels, epoch):
    config = method.config
    return _batches(
        method,
        images,
        rows,
        labels,
        config.batch_size,
        sampler=config.sampler,
        drawn_by=method.drawn_by(labels)[labels >= 0],
        images_per_identity=config.images_per_identity,
        augmentation=augmentation_of(config),
        epoch=epoch,
    )


def _plain_batches(method, images, rows, labels, largest=128):
    """The training images without augmentation, in shuffled batches of equal size.

    What a method itself draws in training is drawn here, too: GAAP's partners, VPM's crops, BDB's bands, dropout.
    """
    count = np.count_nonzero(labels >= 0)
    return _batches(method, images, rows, labels, count // math.ceil(count / largest), sampler="shuffled")


def _validation_batches(method, images, validation):
    rows, labels = validation
    if not len(rows) or not method.supervised:
        return None
    size = devices.batch_size_for(len(rows), method.config.batch_size)
    return _batches(method, images, rows, labels, size)


def _batches(method, images, rows, labels, batch_size, **settings):
    """Batches for a method's losses; a label below 0 leaves an image out."""
    kept, seed = labels >= 0, method.config.seed
    return Batches(
        images,
        rows[kept],
        labels[kept],
        tuple(method.losses),
        batch_size,
        views=method.views,
        batch_inputs=method.batch_inputs,
        seed=seed,
        **settings,
    )


def _enough(epochs, min_steps, steps):
    """So many epochs, or as many as it takes to have ``min_steps`` batches; a warning says if these are more."""
    needed = math.ceil(min_steps / steps)
    if needed > epochs:
        warnings.warn(
            f"few batches in an epoch ({steps}): trained for {needed} epochs instead of {epochs}, so that there are "
            f"{min_steps} batches (min_steps; if you give epochs, there are as many as you say)",
            stacklevel=3,
        )
    return max(epochs, needed)


def _compile(method, steps, epochs=None, begun=0):
    """Compile the training model with the configuration's optimiser, and accuracy if there are logits."""
    devices.keep_memory()
    config = method.config
    accuracy = {"logits": [keras.metrics.SparseCategoricalAccuracy(name="accuracy")]}
    method.training_model.compile(
        optimizer_of(config, steps, epochs or config.epochs, method.slow_weights, begun),
        loss={name: loss for name, (loss, _) in method.losses.items()},
        loss_weights={name: weight for name, (_, weight) in method.losses.items()},
        metrics=accuracy if "logits" in method.losses else None,
        # XLA on the CPU is several times slower for these networks.
        jit_compile=False if keras.backend.backend() == "tensorflow" else "auto",
    )
    # Otherwise the first step creates the optimiser's variables, and TensorFlow then traces the whole step again.
    method.training_model.optimizer.build(method.training_model.trainable_variables)


class PlateauSchedule(keras.callbacks.Callback):
    """The paper's schedule: decreases the learning rate on a plateau, and stops after two decreases.

    The learning rate is multiplied by 0.9 if the validation loss is flat for more than 4 epochs. After two decreases,
    training stops if the loss is flat for more than 5 epochs.

    Flat means not below the lowest loss so far. The count of flat epochs restarts at each decrease; the count for
    stopping starts at the second decrease.
    """

    def __init__(self, factor=0.9, patience=4, stop_patience=5, decreases_before_stop=2):
        super().__init__()
        self.factor = factor
        self.patience = patience
        self.stop_patience = stop_patience
        self.decreases_before_stop = decreases_before_stop
        self.lowest = np.inf
        self.flat = self.flat_at_end = self.decreases = 0

    def on_epoch_end(self, epoch, logs=None):
        loss = logs.get("val_loss", logs["loss"])
        if loss < self.lowest:
            self.lowest, self.flat, self.flat_at_end = loss, 0, 0
            return
        self.flat += 1
        if self.decreases >= self.decreases_before_stop:
            self.flat_at_end += 1
        if self.flat_at_end > self.stop_patience:
            self.model.stop_training = True
        elif self.flat > self.patience:
            optimizer = self.model.optimizer
            optimizer.learning_rate = float(optimizer.learning_rate) * self.factor
            self.flat, self.decreases = 0, self.decreases + 1

    @property
    def state(self):
        """The schedule's counts so far, as a dict of JSON values."""
        return {name: getattr(self, name) for name in ("lowest", "flat", "flat_at_end", "decreases")}


class _Recorder(keras.callbacks.Callback):
    """Appends one row per epoch to the list ``rows``, which continues over all rounds, and writes all to a file."""

    def __init__(self, file=None):
        super().__init__()
        self.file = file
        self.rows = []
        self.start = time.perf_counter()
        self.batches = None

    def go_on(self):
        """Count the seconds on from the last row, which is of an earlier process."""
        if self.rows:
            self.start = time.perf_counter() - self.rows[-1]["seconds"]

    def on_epoch_begin(self, epoch, logs=None):
        self.partnered_share = self.batches.partnered_share()

    def on_epoch_end(self, epoch, logs=None):
        self.rows.append(
            {
                "epoch": epoch + 1,
                **logs,
                "partnered_share": self.partnered_share,
                "learning_rate": float(keras.ops.convert_to_numpy(self.model.optimizer.learning_rate)),
                "seconds": time.perf_counter() - self.start,
            }
        )
        if self.file is not None:
            write_whole(self.file, pd.DataFrame(self.rows).to_csv(index=False))


class _EpochLines(keras.callbacks.Callback):
    """Prints one line per epoch: losses and accuracies, the seconds so far, and those left at this pace."""

    def __init__(self, rows, epochs):
        super().__init__()
        self.rows = rows
        self.last = epochs
        self.paces = []

    def on_epoch_begin(self, epoch, logs=None):
        self.begun = time.perf_counter()

    def on_epoch_end(self, epoch, logs=None):
        self.paces.append(time.perf_counter() - self.begun)
        # The first epoch of a process also compiles.
        pace = float(np.median(self.paces[1:] or self.paces))
        row = self.rows[-1]
        left = pace * (self.last - row["epoch"])
        print(f"{curve.epoch_line(row, self.last)}, about {left:.0f} s left", flush=True)

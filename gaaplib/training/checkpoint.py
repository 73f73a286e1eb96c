"""A checkpoint in one file, from which an interrupted training resumes."""

import json
import tempfile
import time
import warnings
import zipfile
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np

from gaaplib.project import written_whole

WEIGHTS, MEAN = "model.weights.h5", "mean.npz"

SECONDS = 10
"""The least time between two checkpoints: with few images, saving takes longer than an epoch."""


@dataclass(frozen=True)
class Place:
    """A round of training, and where it is in the whole.

    Attributes:
        number: of the round, from 0.
        begun: epochs before it.
        epochs: of the round.
        labels: (n,) integers, those of the training images in this round.
    """

    number: int
    begun: int
    epochs: int
    labels: np.ndarray


class Checkpoint(keras.callbacks.Callback):
    """Saves the state of the training at the ends of epochs, in one file that is replaced atomically.

    It is saved after an epoch if the last time was at least ``SECONDS`` ago, and when the training ends.

    The file is a zip, so its checksums detect damage. One member is Keras' ``.weights.h5`` with the weights, the
    moving statistics and the optimiser's variables, learning rate and iterations. Another is a JSON file with what
    :class:`keras.callbacks.BackupAndRestore` does not save: the history, the round of training with its labels, the
    schedule's counts, whether the schedule stopped the training, and the state of the layers' seed generators, as
    dropout has one. If weights are averaged, their mean so far is the third. Batches need no state, because they depend
    only on seed and epoch. Nothing is saved within an epoch, because that would also need the running means of its
    metrics and the batch's number.

    Args:
        path: the file; its folder is created.
        key: ``{name: value}`` of JSON values. Training resumes from a checkpoint only if its key is equal.
    """

    def __init__(self, path, key):
        super().__init__()
        self.path = Path(path)
        self.key = json.loads(json.dumps(key))
        self.path.parent.mkdir(parents=True, exist_ok=True)
        self.saved_at, self.saved_epochs = -np.inf, 0

    def read(self):
        """The :class:`Place` in the training that was saved; None if there is no file.

        If the file is damaged or has another key, there is a warning, and None is returned as well.
        """
        if not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:
                if damaged := archive.testzip():
                    raise ValueError(f"bad checksum of {damaged}")
                self.state = json.loads(archive.read("state.json"))
                saved = self.state["round"]
                place = Place(**saved | {"labels": np.array(saved["labels"])})
        except Exception as error:  # A damaged zip makes zipfile raise errors of many types.
            warnings.warn(f"{self.path} is damaged ({error}): training starts from the beginning", stacklevel=3)
            return None
        key = self.state["key"]
        different = [name for name in {**key, **self.key} if key.get(name) != self.key.get(name)]
        if different:
            warnings.warn(
                f"{self.path} was saved by a training with other {', '.join(different)}: training starts from the "
                "beginning",
                stacklevel=3,
            )
            return None
        return place

    def follow(self, place, rows, schedule=None, average=None):
        """Keep what is to be saved from now on, besides the model that Keras gives to callbacks.

        Args:
            place: the :class:`Place` of the round that is about to be trained.
            rows: list of the rows of the history, which grows.
            schedule: a :class:`gaaplib.training.fit.PlateauSchedule` or None.
            average: a :class:`gaaplib.training.averaging.WeightAverage` or None.
        """
        self.place, self.rows, self.schedule, self.average = place, rows, schedule, average

    def restore(self, model):
        """Restore the state that :meth:`read` has found, in what was given to :meth:`follow`.

        Args:
            model: the compiled model; its weights and those of its optimiser are restored.

        Returns:
            Whether the schedule had stopped the training.
        """
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            with zipfile.ZipFile(self.path) as archive:
                for member in {WEIGHTS, MEAN}.intersection(archive.namelist()):
                    archive.extract(member, folder)
            model.optimizer.build(model.trainable_variables)
            model.load_weights(Path(folder) / WEIGHTS)
            if self.average:
                self.average.load(Path(folder) / MEAN)
        for variable, value in zip(_seeds(model), self.state["seeds"], strict=True):
            variable.assign(value)
        self.rows.extend(self.state["history"])
        self.saved_epochs = len(self.rows)
        if self.schedule:
            vars(self.schedule).update(self.state["schedule"])
        return self.state["stopped"]

    def on_epoch_end(self, epoch, logs=None):
        if time.monotonic() - self.saved_at >= SECONDS:
            self._save()

    def on_train_end(self, logs=None):
        if self.saved_epochs < len(self.rows):
            self._save()

    def _save(self):
        state = {
            "key": self.key,
            "history": self.rows,
            "round": asdict(self.place) | {"labels": self.place.labels.tolist()},
            "schedule": self.schedule.state if self.schedule else {},
            "stopped": self.model.stop_training,
            "seeds": [keras.ops.convert_to_numpy(variable).tolist() for variable in _seeds(self.model)],
        }
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            weights = Path(folder) / WEIGHTS
            self.model.save_weights(weights)
            if self.average:
                self.average.save(Path(folder) / MEAN)
            with written_whole(self.path) as part, zipfile.ZipFile(part, "w") as archive:
                for file in sorted(Path(folder).iterdir()):
                    archive.write(file, file.name)
                archive.writestr("state.json", json.dumps(state))
        self.saved_at, self.saved_epochs = time.monotonic(), len(self.rows)


def _seeds(model):
    """The states of the seed generators of a model's layers, which are variables but not weights."""
    weights = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in weights]

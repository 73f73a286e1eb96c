"""A checkpoint in one file, from which an interrupted training resumes."""

import json
import tempfile
import time
import warnings
import zipfile
from pathlib import Path

import keras
import numpy as np

from gaaplib.project import written_whole

WEIGHTS, MEAN = "model.weights.h5", "mean.npz"

SECONDS = 10
"""The least time between two checkpoints: with few images, saving takes longer than an epoch."""


class Checkpoint(keras.callbacks.Callback):
    """Saves the state of the training at the ends of epochs, in one file that is replaced atomically.

    It is saved after an epoch if the last time was at least ``SECONDS`` ago, and when the training ends.

    The file is a zip, so its checksums detect damage. One member is Keras' ``.weights.h5`` with the weights, the
    moving statistics and the optimiser's variables, learning rate and iterations. Another is a JSON file with what
    :class:`keras.callbacks.BackupAndRestore` does not save: the history, the schedule's counts, whether the schedule
    stopped the training, and the state of the layers' seed generators, as dropout has one. If weights are averaged,
    their mean so far is the third. Batches need no state, because they depend only on seed and epoch. Nothing is
    saved within an epoch, because that would also need the running means of its metrics and the batch's number.

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

    def restore(self, model, rows, schedule=None, average=None):
        """Restore the state from the file, if it exists, and keep ``rows`` and what else was given for saving.

        If the file is damaged or has another key, there is a warning and nothing is restored.

        Args:
            model: the compiled model; its weights and those of its optimiser are restored.
            rows: empty list for the rows of the history; those of the finished epochs are added.
            schedule: a :class:`gaaplib.training.fit.PlateauSchedule` or None; its counts are restored.
            average: a :class:`gaaplib.training.averaging.WeightAverage` or None; its mean so far is restored.

        Returns:
            Whether the schedule had stopped the training.
        """
        self.rows, self.schedule, self.average = rows, schedule, average
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            state = self._unpack(folder)
            if state is None:
                return False
            model.optimizer.build(model.trainable_variables)
            model.load_weights(Path(folder) / WEIGHTS)
            if average:
                average.load(Path(folder) / MEAN)
        for variable, value in zip(_seeds(model), state["seeds"], strict=True):
            variable.assign(value)
        rows.extend(state["history"])
        if schedule:
            vars(schedule).update(state["schedule"])
        return state["stopped"]

    def _unpack(self, folder):
        """The content of the JSON, with the weights unpacked into a folder; None if nothing can be restored."""
        if not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:
                state = json.loads(archive.read("state.json"))
                for member in {WEIGHTS, MEAN}.intersection(archive.namelist()):
                    archive.extract(member, folder)
        except Exception as error:  # A damaged zip makes zipfile raise errors of many types.
            warnings.warn(f"{self.path} is damaged ({error}): training starts from the beginning", stacklevel=4)
            return None
        different = [name for name in {**state["key"], **self.key} if state["key"].get(name) != self.key.get(name)]
        if different:
            names = ", ".join(different)
            warnings.warn(
                f"{self.path} was saved by a training with other {names}: training starts from the beginning",
                stacklevel=4,
            )
            return None
        return state

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

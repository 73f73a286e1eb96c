"""What training needs to go on after an interruption, in one file."""

import json
import tempfile
import warnings
import zipfile
from pathlib import Path

import keras

from gaaplib.project import written_whole

WEIGHTS = "model.weights.h5"


class Checkpoint(keras.callbacks.Callback):
    """All that training needs to go on after its last whole epoch, in one file that is replaced at one stroke.

    The file is a zip, whose checksums tell damage, of two: Keras' own ``.weights.h5`` with the weights, the moving
    statistics and the optimiser's slots, rate and iterations; and a JSON with what
    :class:`keras.callbacks.BackupAndRestore` forgets, the history, the schedule's counts and whether it ended the
    training. Batches follow from their seed and epoch. Nothing is kept within an epoch: the running means of its
    metrics and the place in its batches would be needed too.

    Args:
        path: of the file; its folder is made.
        key: ``{name: value}``, ready for JSON: what has to be equal for a checkpoint to be taken up.
    """

    def __init__(self, path, key):
        super().__init__()
        self.path = Path(path)
        self.key = json.loads(json.dumps(key))
        self.path.parent.mkdir(parents=True, exist_ok=True)

    def restore(self, model, rows, schedule=None):
        """Take up what the file holds, and remember what later ones have to hold.

        A file that is damaged, or of another key, changes nothing but for a warning.

        Args:
            model: the compiled model; gets its weights and those of its optimiser.
            rows: empty list for the rows of the history; gets those of the epochs so far.
            schedule: a :class:`gaaplib.training.fit.PlateauSchedule` or None; gets its counts.

        Returns:
            Whether training had ended before its last epoch.
        """
        self.rows, self.schedule = rows, schedule
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            state = self._unpack(folder)
            if state is None:
                return False
            model.optimizer.build(model.trainable_variables)
            model.load_weights(Path(folder) / WEIGHTS)
        rows.extend(state["history"])
        if schedule:
            vars(schedule).update(state["schedule"])
        return state["stopped"]

    def _unpack(self, folder):
        """The content of the JSON, with the weights unpacked into a folder; None where nothing can be taken up."""
        if not self.path.exists():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:
                state = json.loads(archive.read("state.json"))
                archive.extract(WEIGHTS, folder)
        except Exception as error:  # A damaged zip answers with a dozen kinds of error.
            warnings.warn(f"{self.path} is damaged ({error}): training starts anew", stacklevel=4)
            return None
        different = [name for name in {**state["key"], **self.key} if state["key"].get(name) != self.key.get(name)]
        if different:
            names = ", ".join(different)
            warnings.warn(f"{self.path} was left by a training with other {names}: it starts anew", stacklevel=4)
            return None
        return state

    def on_epoch_end(self, epoch, logs=None):
        state = {
            "key": self.key,
            "history": self.rows,
            "schedule": self.schedule.state if self.schedule else {},
            "stopped": self.model.stop_training,
        }
        with tempfile.TemporaryDirectory(dir=self.path.parent) as folder:
            weights = Path(folder) / WEIGHTS
            self.model.save_weights(weights)
            with written_whole(self.path) as part, zipfile.ZipFile(part, "w") as archive:
                archive.write(weights, WEIGHTS)
                archive.writestr("state.json", json.dumps(state))

"""What a run is: one frozen dataclass, and the profiles that fill it."""

import dataclasses
import hashlib
import json
import types
import typing
from dataclasses import dataclass

from gaaplib.attention import ATTENTION
from gaaplib.backbones import BACKBONES
from gaaplib.datasets import DATASETS
from gaaplib.images import SAMPLERS
from gaaplib.methods import METHODS
from gaaplib.pooling import POOLING, Pooling

SYNTHETIC = "synthetic"

# The paper: 1e-4 for ResNet-50, "higher" for the shallower ones; READING.md decides on these.
LEARNING_RATES = {"resnet34": 2e-4, "resnet18": 5e-4}
LEARNING_RATE = 1e-4

CHOICES = {
    "dataset": DATASETS,
    "method": METHODS,
    "backbone": BACKBONES,
    "attention": ATTENTION,
    "pooling": POOLING,
    "pool_over": Pooling.POOL_OVER,
    "sampler": SAMPLERS,
    "neck": ("none", "bnneck"),
    "schedule": ("plateau", "cosine", "constant"),
    "distance": ("cosine", "euclidean"),
    "ap": ("step", "trapezoid"),
    "last_stride": (1, 2),
    "initializer": ("he", "gaussian0.1", "gaussian0.01"),
    "precision": ("float32", "mixed_bfloat16"),
}

# name: (lowest, highest), both allowed.
RANGES = {
    "scale": (0.001, 1.0),
    "fold": (0, 4),
    "seed": (0, 2**31 - 1),
    "height": (32, 1024),
    "width": (32, 1024),
    "alpha": (0.0, 1.0),
    "batch_size": (2, 4096),
    "images_per_identity": (1, 64),
    "epochs": (1, 10_000),
    "warmup_epochs": (0, 1_000),
    "learning_rate": (1e-9, 10.0),
    "beta_1": (0.0, 0.9999),
    "label_smoothing": (0.0, 0.99),
    "margin": (0.0, 100.0),
    "shift_x": (0.0, 0.9),
    "shift_y": (0.0, 0.9),
    "zoom": (0.0, 0.9),
    "crop": (0.0, 0.9),
    "flip": (0.0, 1.0),
    "erase": (0.0, 1.0),
}


@dataclass(frozen=True, init=False)
class RunConfig:
    """Everything that decides a run. Two runs with equal configurations on one machine give equal bytes.

    ``RunConfig("paper", backbone="resnet50")`` is a profile with changes; a change of None means "as the profile
    says". The defaults below are the ``demo`` profile.

    Raises:
        ValueError: an unknown profile, name or choice, which lists the known ones, or a number out of range.
        TypeError: a value of a wrong type.
    """

    profile: str = "demo"
    # Data. `data` is the folder of the user's copy, or "synthetic": then `scale` of the data set's twin is drawn.
    dataset: str = "market1501"
    data: str = SYNTHETIC
    scale: float = 0.06
    fold: int = 0
    seed: int = 0
    height: int = 128
    width: int = 64
    # Model.
    method: str = "gaap"
    backbone: str = "resnet18"
    weights: str | None = None
    last_stride: int = 2
    attention: str = "class"
    attention_at: str = "last"
    key_dim: int | None = None
    value_dim: int | None = None
    alpha: float = 0.5
    pooling: str = "avg"
    pool_over: str = "positions"
    neck: str = "none"
    initializer: str = "he"
    precision: str = "float32"
    # Training.
    epochs: int = 5
    batch_size: int = 32
    sampler: str = "identity_balanced"
    images_per_identity: int = 4
    # None: the paper's, by backbone.
    learning_rate: float | None = 1e-3
    beta_1: float = 0.9
    schedule: str = "cosine"
    warmup_epochs: int = 1
    label_smoothing: float = 0.1
    margin: float = 0.3
    # Augmentation: the paper's four, then flip and erase.
    shift_x: float = 0.05
    shift_y: float = 0.05
    zoom: float = 0.1
    crop: float = 0.1
    flip: float = 0.5
    erase: float = 0.0
    # Evaluation.
    distance: str = "cosine"
    ap: str = "step"

    def __init__(self, profile="demo", **changes):
        if profile not in PROFILES:
            raise ValueError(f"profile={profile!r} is not known; known: {', '.join(PROFILES)}")
        kinds = typing.get_type_hints(type(self))
        unknown = sorted(set(changes) - set(kinds))
        if unknown:
            raise ValueError(f"unknown parameter {', '.join(unknown)}; known: {', '.join(kinds)}")
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = {name: value for name, value in changes.items() if value is not None}
        values = {**defaults, **PROFILES[profile], **given, "profile": profile}
        for name, kind in kinds.items():
            object.__setattr__(self, name, checked_value(name, values[name], kind))
        self._check()
        if self.learning_rate is None:
            rate = LEARNING_RATES.get(self.backbone, LEARNING_RATE)
            object.__setattr__(self, "learning_rate", rate)

    def _check(self):
        for name, known in CHOICES.items():
            if getattr(self, name) not in known:
                options = ", ".join(map(str, known))
                raise ValueError(f"{name}={getattr(self, name)!r} is not known; known: {options}")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name}={value!r}: expected {low} to {high}")
        if self.sampler == "identity_balanced" and self.batch_size % self.images_per_identity:
            raise ValueError(
                f"batch_size={self.batch_size} is not a multiple of "
                f"images_per_identity={self.images_per_identity}, as P x K batches need"
            )

    @classmethod
    def from_notebook(cls, namespace):
        """The configuration that a notebook's parameters cell describes.

        Papermill puts a misspelt parameter into the notebook like any other, so everything that stands in the
        notebook so far, call this before anything else, has to be a parameter.

        Args:
            namespace: ``globals()`` of the notebook, directly after its parameters cell.
        """
        # What IPython itself puts there: its history, and the names of its commands.
        ipython = {"In", "Out", "get_ipython", "exit", "quit", "open"}
        values = {
            name: value
            for name, value in namespace.items()
            if not name.startswith("_") and name not in ipython and not _is_code(value)
        }
        return cls(**values)

    def baseline(self):
        """The colour histogram on the same images and protocol, which every result stands beside."""
        same = ("dataset", "data", "scale", "fold", "seed", "height", "width", "distance", "ap")
        values = {name: getattr(self, name) for name in same}
        return type(self)(self.profile, method="histogram", **values)

    def to_dict(self):
        """All values, in the order of the fields, ready for JSON."""
        return dataclasses.asdict(self)

    @property
    def is_synthetic(self):
        """Whether the images are drawn rather than the user's."""
        return self.data == SYNTHETIC

    @property
    def data_name(self):
        """The data set as results name it: ``synthetic-market1501``, or ``market1501`` for real photographs."""
        return f"{SYNTHETIC}-{self.dataset}" if self.is_synthetic else self.dataset

    @property
    def run_id(self):
        """Name of the run's folder: what people look for first, then a hash of the whole configuration."""
        digest = hashlib.sha256(json.dumps(self.to_dict(), sort_keys=True).encode()).hexdigest()
        parts = (self.data_name, self.backbone, self.attention, self.pooling, self.method)
        return f"{'_'.join(parts)}_fold{self.fold}_seed{self.seed}_{digest[:8]}"


def checked_value(name, value, kind):
    """The value, if it is of this type; a whole number is a float as well, but a truth value is no number.

    Raises:
        TypeError: it is not, naming parameter, value and type.
    """
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    for option in kinds:
        if option is float and type(value) is int:
            return float(value)
        if type(value) is option:
            return value
    expected = " or ".join("None" if option is type(None) else option.__name__ for option in kinds)
    raise TypeError(f"{name}={value!r} is a {type(value).__name__}; expected {expected}")


def _is_code(value):
    return isinstance(value, types.ModuleType | types.FunctionType | type)


PROFILES = {
    # Seconds, for tests: everything runs, nothing is learnt.
    "smoke": {
        "scale": 0.008,
        "height": 64,
        "width": 32,
        "epochs": 1,
        "warmup_epochs": 0,
        "batch_size": 16,
    },
    # At most a minute a ResNet-18 run on two cores.
    "demo": {},
    # The paper, as READING.md decides it.
    "paper": {
        "scale": 1.0,
        "initializer": "gaussian0.1",
        "learning_rate": None,
        "epochs": 25,
        "sampler": "shuffled",
        "beta_1": 0.8,
        "schedule": "plateau",
        "warmup_epochs": 0,
        "label_smoothing": 0.0,
        "shift_x": 0.1,
        "shift_y": 0.1,
        "flip": 0.0,
    },
    # Today's practice (BoT, AGW): larger images, BNNeck, smoothing, warm-up, P x K batches.
    "modern": {
        "scale": 1.0,
        "height": 256,
        "width": 128,
        "last_stride": 1,
        "neck": "bnneck",
        "epochs": 120,
        "batch_size": 64,
        "learning_rate": 3.5e-4,
        "warmup_epochs": 10,
        "erase": 0.5,
    },
}

"""What a run is: one frozen dataclass, and the profiles that fill it.

Importing this module does not import Keras, so that a wrong setting is refused at once.
"""

import dataclasses
import difflib
import functools
import hashlib
import json
import os
import shutil
import types
import typing
from dataclasses import dataclass
from pathlib import Path

from gaaplib import options
from gaaplib.datasets import check_pattern, check_variant, trained_on
from gaaplib.network import external
from gaaplib.project import portable, project_folder, registered_names

SYNTHETIC, IMAGENET, OWN = "synthetic", "imagenet", "own"

# The paper: 1e-4 for ResNet-50 and "higher" for shallower ResNets; the other two are ours (docs/paper.md).
LEARNING_RATES = {"resnet34": 2e-4, "resnet18": 5e-4}
LEARNING_RATE = 1e-4

# Which share of a data set's twin a profile generates: about 2,000 images in demo, or all of a smaller data set.
SCALES = {
    "smoke": {
        "market1501": 0.008,
        "raid": 0.02,
        "partial_ilids": 0.25,
        "ilids": 0.25,
        "rpifield": 0.0005,
        "cuhk03": 0.015,
    },
    "demo": {
        "market1501": 0.06,
        "raid": 0.2,
        "partial_ilids": 1.0,
        "ilids": 1.0,
        "rpifield": 0.005,
        "cuhk03": 0.12,
    },
}
SCALES["five_epochs"] = SCALES["demo"]
# So many people that a network has something to learn; the small data sets are whole.
SCALES["long"] = SCALES["demo"] | {"market1501": 0.3, "raid": 1.0, "rpifield": 0.05, "cuhk03": 0.3}

# So many batches a network needs to learn anything from one's own photographs.
MIN_STEPS = 300

# Settings whose values are the keys of a dict at the foot of a module.
REGISTRIES = {
    "dataset": ("gaaplib.datasets", "DATASETS"),
    "method": ("gaaplib.methods", "METHODS"),
    "backbone": ("gaaplib.network.backbones", "BACKBONES"),
    "attention": ("gaaplib.attention", "ATTENTION"),
    "pooling": ("gaaplib.pooling", "POOLING"),
    "sampler": ("gaaplib.training.samplers", "SAMPLERS"),
}

CHOICES = {
    "training_images": ("split", "all"),
    "pool_over": ("positions", "class"),
    "neck": ("none", "bnneck"),
    "schedule": ("plateau", "cosine", "constant", "steps"),
    "optimizer": ("adam", "sgd"),
    "eraser": ("small", "bot", "cutout"),
    "stem": ("relu", "linear"),
    "distance": ("cosine", "euclidean"),
    "ap": ("step", "trapezoid"),
    "last_stride": (1, 2),
    "input_colour": ("rgb", "bgr"),
    "initializer": ("he", "gaussian0.1", "gaussian0.01"),
    "attention_start": ("random", "identity"),
    "precision": (None, "float32", "mixed_bfloat16"),
}

WITHOUT_WARMUP = ("constant", "plateau")

# Settings that are files or folders, with the word that is not one. A path is part of a run's name, so it is absolute.
PATHS = {"data": SYNTHETIC, "train_data": SYNTHETIC, "weights": IMAGENET}

# name: (lowest, highest), both allowed.
RANGES = {
    "scale": (0.0001, 1.0),
    "fold": (0, 4),
    "seed": (0, 2**31 - 1),
    "height": (32, 1024),
    "width": (32, 1024),
    "key_dim": (1, 4096),
    "value_dim": (1, 4096),
    "alpha": (0.0, 1.0),
    "batch_size": (2, 4096),
    "images_per_identity": (1, 64),
    "epochs": (1, 10_000),
    "warmup_epochs": (0, 1_000),
    "averaged_epochs": (0, 1_000),
    "min_steps": (0, 1_000_000),
    "learning_rate": (1e-9, 10.0),
    "beta_1": (0.0, 0.9999),
    "momentum": (0.0, 0.9999),
    "weight_decay": (0.0, 1.0),
    "backbone_rate": (0.0, 1.0),
    "step_factor": (0.0001, 1.0),
    "pad_crop": (0, 256),
    "jitter": (0.0, 0.9),
    "dropout": (0.0, 0.9),
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
    """All settings of a run.

    Equal configurations on equal images give equal results, to the last bit, on the same kind of processor with the
    same versions and number of threads (:mod:`gaaplib.threads`).

    ``RunConfig("paper", backbone="resnet50")`` is a profile with changes. A change of None keeps the profile's value;
    it is refused for ``attention`` and ``neck``, of which "none" is a value.

    A profile lists what it changes of the defaults below. They stay as they are, because the name of a run depends on
    what differs from them.

    Raises:
        ValueError: an unknown profile, name or choice, which lists the known ones, or a number out of range.
        TypeError: a value of a wrong type.

    Example:
        >>> config = RunConfig("paper", backbone="resnet50", attention="none", precision="float32")
        >>> config.epochs, config.learning_rate, config.data
        (25, 0.0001, 'synthetic')
        >>> config.run_id
        'synthetic-market1501_resnet50_none_avg_gaap_fold0_seed0_1897aac8'
        >>> RunConfig(backbone="resnet5")
        Traceback (most recent call last):
            ...
        ValueError: backbone='resnet5' is not known (did you mean resnet50?); known: vgg16, vgg19, vgg16_bn, ...
    """

    profile: str = "demo"
    # Data. `data` is the folder of the user's copy, or "synthetic" for a twin of the data set at this `scale`.
    dataset: str = "market1501"
    data: str = SYNTHETIC
    variant: str | None = None
    # Of `folder` only: a regular expression with the groups pid and camid, for file names that tell them.
    pattern: str | None = None
    # Another data set to train on, and its folder; then only retrieval is scored.
    train_dataset: str | None = None
    train_data: str | None = None
    # None: the profile's, in SCALES.
    scale: float | None = None
    fold: int = 0
    seed: int = 0
    # "split", as in the paper: 70 % of each training identity's images, and the rest for the closed protocol. "all", as
    # in the field: every image, and retrieval is the only score. A model for another data set trains on all.
    training_images: str = "split"
    height: int = 128
    width: int = 64
    # Model.
    method: str = "gaap"
    # Settings of this method alone, such as "centre=0 channels=one"; see OPTIONS in the method's file.
    options: str | None = None
    backbone: str = "resnet18"
    weights: str | None = None
    last_stride: int = 2
    # "linear": without the ReLU of a ResNet's stem, as in the released code of BoT.
    stem: str = "relu"
    attention: str = "class"
    attention_at: str = "last"
    # "identity": W_a of Eq. 5 starts at zero, so the network starts as the one without the block.
    attention_start: str = "random"
    key_dim: int | None = None
    value_dim: int | None = None
    alpha: float = 0.5
    pooling: str = "avg"
    pool_over: str = "positions"
    neck: str = "none"
    # Share of the embedding's values that are dropped before the classifier, in training only.
    dropout: float = 0.0
    # Of the method "external": the colours and the normalisation that the model expects; see gaaplib.network.external.
    input_colour: str = "rgb"
    input_mean: str | None = None
    input_std: str | None = None
    initializer: str = "he"
    # None: what suits the devices of this machine; see gaaplib.network.devices.precision.
    precision: str | None = None
    # Training.
    epochs: int = 5
    batch_size: int = 32
    sampler: str = "identity_balanced"
    images_per_identity: int = 4
    # None: the paper's rate for the backbone.
    learning_rate: float | None = 1e-3
    optimizer: str = "adam"
    beta_1: float = 0.9
    # Of "sgd", in Nesterov's form; 0: none.
    momentum: float = 0.9
    # Times each weight, added to its gradient: the L2 penalty of PyTorch's optimisers.
    weight_decay: float = 0.0
    # The backbone's learning rate, as a share of that of new layers.
    backbone_rate: float = 1.0
    schedule: str = "cosine"
    # Of "steps": the epochs from which on the rate is lower by step_factor, counted from 1, such as "40 70". Rounds
    # count on, but each begins with the whole rate, as with every schedule, and with a warm-up.
    steps: str | None = None
    step_factor: float = 0.1
    warmup_epochs: int = 1
    label_smoothing: float = 0.1
    # The network's weights are the mean of those at the ends of so many last epochs, or of all; 0: the last weights.
    averaged_epochs: int = 0
    # More epochs, if it takes more to train on so many batches; of `folder` by default, unless epochs are given.
    min_steps: int = 0
    margin: float = 0.3
    # Augmentation: the paper's four, then flip and erase.
    shift_x: float = 0.05
    shift_y: float = 0.05
    zoom: float = 0.1
    crop: float = 0.1
    flip: float = 0.5
    erase: float = 0.0
    # What is erased: "small", 2-20 % with the image's own aspect; "bot", 2-40 % of any aspect, as BoT has it; "cutout",
    # a square of a sixth of the height, as BDB has it.
    eraser: str = "small"
    # Pixels of black around the image, of which a random part of the image's size is taken.
    pad_crop: int = 0
    # Largest change of brightness, contrast and saturation, as a share.
    jitter: float = 0.0
    # Evaluation.
    distance: str = "cosine"
    ap: str = "step"

    def __init__(self, profile="demo", **changes):
        check_known("profile", profile, PROFILES)
        kinds = _kinds(type(self))
        for name in changes:
            if name not in kinds:
                raise ValueError(f"unknown parameter {name!r}{did_you_mean(name, kinds)}; known: {', '.join(kinds)}")
            if changes[name] is None and _has_none(name):
                raise ValueError(f"{name}=None: write 'none' for no {name}, or leave it out for the profile's value")
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        given = {name: value for name, value in changes.items() if value is not None}
        follows = (
            _of_the_method(given)
            | _own_recipe(profile, given)
            | _crossing(given)
            | _few_images(profile, given)
            | _of_the_file(given)
            | _of_the_schedule(given)
        )
        values = {**defaults, **PROFILES[profile], **follows, **given, "profile": profile}
        for name, kind in kinds.items():
            value = checked_value(name, values[name], kind)
            object.__setattr__(self, name, whole_path(value, PATHS[name]) if name in PATHS else value)
        self._check()
        for name, value in self._left_open().items():
            object.__setattr__(self, name, value)
        self._check_sources()

    def _left_open(self):
        """Values of settings that were not given and follow from others."""
        source = self.train_dataset or trained_on(self.dataset)
        found = {
            "precision": self.precision or _suitable_precision(),
            "learning_rate": LEARNING_RATES.get(self.backbone, LEARNING_RATE),
            "scale": SCALES.get(self.profile, {}).get(self.dataset, 1.0),
            "train_dataset": source,
            "train_data": SYNTHETIC if source and self.data == SYNTHETIC else None,
        }
        return {name: value for name, value in found.items() if getattr(self, name) is None}

    def _check_sources(self):
        """Refuse a training set that is missing, or is the test's own."""
        if self.train_dataset is None:
            if self.train_data is not None:
                raise ValueError(f"train_data={self.train_data!r} needs train_dataset, the data set that it holds")
            return
        if self.train_data is None:
            raise ValueError(
                f"dataset={self.dataset!r} is scored by a model trained on {self.train_dataset!r}: give train_data, "
                f"the folder of your copy of it, or {SYNTHETIC!r} to train on synthetic images"
            )
        if trained_on(self.train_dataset):
            raise ValueError(f"train_dataset={self.train_dataset!r} has no training set; give another data set")
        if (self.train_dataset, self.train_data) == (self.dataset, self.data) and self.variant is None:
            raise ValueError(f"train_dataset={self.train_dataset!r} is the data set itself: leave it out")

    def _check(self):
        for name in [*REGISTRIES, *CHOICES]:
            check_known(name, getattr(self, name), choices(name))
        if self.train_dataset is not None:
            check_known("train_dataset", self.train_dataset, choices("dataset"))
        check_variant(self.dataset, self.variant, twin=self.data == SYNTHETIC)
        check_pattern(self.dataset, self.pattern)
        object.__setattr__(self, "options", options.as_text(self.method, options.parsed(self.method, self.options)))
        self._check_own()
        if self.method == "external" and self.weights in (None, IMAGENET):
            raise ValueError("method='external' needs weights: an .onnx file, or an .xml of OpenVINO")
        if self.weights == IMAGENET:
            known = registered_names("gaaplib.network.backbones", "APPLICATIONS")
            if self.backbone not in known:
                raise ValueError(f"weights='imagenet': {self.backbone} has none; give one of {', '.join(known)}")
        for name, (low, high) in RANGES.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                raise ValueError(f"{name}={value!r}: expected {low} to {high}")
        if self.sampler in ("identity_balanced", "chunks") and self.batch_size % self.images_per_identity:
            raise ValueError(
                f"batch_size={self.batch_size} is not a multiple of "
                f"images_per_identity={self.images_per_identity}, as P x K batches need"
            )
        if self.warmup_epochs and self.schedule in WITHOUT_WARMUP:
            raise ValueError(
                f"warmup_epochs={self.warmup_epochs} with schedule={self.schedule!r}, which has no warm-up: leave it "
                "out, or choose schedule='cosine' or 'steps'"
            )
        if bool(self.falls()) != (self.schedule == "steps"):
            raise ValueError(f"steps={self.steps!r} with schedule={self.schedule!r}: each needs the other")
        if self.averaged_epochs and self.schedule == "plateau":
            raise ValueError(
                f"averaged_epochs={self.averaged_epochs} with schedule='plateau', which may end at any epoch: choose "
                "schedule='cosine' or 'constant'"
            )

    def _check_own(self):
        """Refuse settings that the method does not use, so that none is without effect unnoticed."""
        always = options.only(self.method, None)
        for name, value in options.only(self.method, self.options).items():
            given = getattr(self, name)
            if given != value:
                chosen = "" if name in always else f" with options={self.options!r}"
                raise ValueError(
                    f"{name}={given!r}: method={self.method!r}{chosen} has its own or none; leave {name} out, or give "
                    f"{value!r}"
                )

    def falls(self):
        """The epochs from which on the learning rate of ``schedule="steps"`` is lower, in rising order.

        Raises:
            ValueError: ``steps`` is not such a list.
        """
        words = (self.steps or "").split()
        if not all(word.isdigit() and int(word) > 1 for word in words) or words != sorted(words, key=int):
            raise ValueError(f"steps={self.steps!r}: expected rising epochs from 2, such as '40 70'")
        return tuple(map(int, words))

    @classmethod
    def from_notebook(cls, namespace, own=()):
        """The configuration that a notebook's parameters cell describes.

        Papermill puts a misspelt parameter into the notebook like any other. So call this first: every name that the
        notebook has defined until then has to be a parameter.

        Args:
            namespace: ``globals()`` of the notebook, directly after its parameters cell.
            own: names of parameters that are the notebook's own, and no settings of a run.
        """
        # What IPython itself puts there: its history, and the names of its commands.
        ipython = {"In", "Out", "get_ipython", "exit", "quit", "open"}
        values = {
            name: value
            for name, value in namespace.items()
            if not name.startswith("_")
            and name not in {*ipython, *own}
            and not _is_code(value)
            # "profile" stands where None could be taken for "none".
            and not (_has_none(name) and value == "profile")
        }
        return cls(**values)

    @classmethod
    def usual(cls, profile, method, **settings):
        """The values of a profile for a method, as a dict, in which the method itself is the default one."""
        if profile == OWN:
            return cls(profile, method=method, **settings).to_dict() | {"method": cls.method}
        return cls(profile, **settings).to_dict() | options.defaults(method)

    def changes(self):
        """A dict of the settings that differ from the profile's and the method's, for the same data and backbone."""
        same = ("dataset", "data", "variant", "pattern", "train_dataset", "train_data", "backbone", "precision")
        usual = self.usual(self.profile, self.method, **{name: getattr(self, name) for name in same})
        return {name: value for name, value in self.to_dict().items() if value != usual[name]}

    def baseline(self):
        """The configuration of the colour histogram on the same images and protocol, every run's baseline."""
        data = ("dataset", "data", "variant", "pattern", "train_dataset", "train_data", "scale", "fold", "seed")
        data += ("training_images",)
        same = (*data, "height", "width", "distance", "ap")
        values = {name: getattr(self, name) for name in same}
        # The histogram has no recipe of its own, and nothing is trained.
        profile = "standard" if self.profile == OWN else self.profile
        return type(self)(profile, method="histogram", **values)

    def training(self):
        """The configuration whose model this run scores: the same on ``train_dataset``; None if it trains its own."""
        if self.train_dataset is None or self.adapts:
            return None
        return type(self)(**self.to_dict() | self._on_source())

    def starts(self):
        """The configurations on ``train_dataset`` whose backbones this run starts from; none unless its method adapts.

        They have this run's settings, apart from those of its method that were not given.
        """
        if self.train_dataset is None or not self.adapts:
            return []
        usual = {*options.defaults(self.method), *(options.recipe(self.method) if self.profile == OWN else ())}
        own = {"method", "options", *(usual - self.changes().keys())}
        shared = {name: value for name, value in self.to_dict().items() if name not in own}
        changes = options.starts(self.method, self.options, self.backbone)
        return [type(self)(**shared | self._on_source() | change | _stem_of(change["backbone"])) for change in changes]

    def needed(self):
        """The configurations of the runs that have to be there before this one."""
        training = self.training()
        return self.starts() if training is None else [training]

    @property
    def adapts(self):
        """Whether the method trains on the images of ``dataset`` even if ``train_dataset`` is given."""
        return options.start(self.method) is not None and not trained_on(self.dataset)

    def _on_source(self):
        """The settings that differ on ``train_dataset``."""
        values = {"dataset": self.train_dataset, "data": self.train_data, "variant": None, "pattern": None}
        values |= {"train_dataset": None, "train_data": None}
        if self.scale == SCALES.get(self.profile, {}).get(self.dataset, 1.0):
            values["scale"] = None
        return values

    def to_dict(self):
        """All values, in the order of the fields, ready for JSON."""
        return {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}

    def portable(self):
        """:meth:`to_dict` with paths as other machines can use them; :func:`completed` reads them."""
        values = self.to_dict()
        return values | {name: portable(path) for name, path in _given_paths(values).items()}

    @property
    def is_synthetic(self):
        """Whether any image, for training or for the test, is synthetic."""
        return SYNTHETIC in (self.data, self.train_data)

    @property
    def data_name(self):
        """The data set as results name it: ``synthetic-market1501``, or ``market1501`` for real photographs.

        A variant follows its data set; ``-from-`` and the training set follow if the model was trained elsewhere.
        """
        name = _data_name(self.dataset, self.data) + (f"-{self.variant}" if self.variant else "")
        return f"{name}-from-{_data_name(self.train_dataset, self.train_data)}" if self.train_dataset else name

    @property
    def run_id(self):
        """Name of the run's folder: the main settings, then a hash of all values that differ from their defaults.

        A new field whose default changes nothing therefore renames no run.
        """
        defaults = {field.name: field.default for field in dataclasses.fields(self)}
        changed = {name: value for name, value in self.portable().items() if value != defaults[name]}
        digest = hashlib.sha256(json.dumps(changed, sort_keys=True).encode()).hexdigest()
        parts = (self.data_name, self.backbone, self.attention, self.pooling, self.method)
        return f"{'_'.join(parts)}_fold{self.fold}_seed{self.seed}_{digest[:8]}"


def completed(values):
    """The settings that a run wrote, with the defaults of settings that are newer than the run, and whole paths."""
    settings = {field.name: field.default for field in dataclasses.fields(RunConfig)} | values
    # Those within the project are relative to it.
    return settings | {name: str(project_folder() / path) for name, path in _given_paths(settings).items()}


def _given_paths(values):
    """The settings that are paths: neither None nor a word. A path of the wrong type is refused with other settings."""
    given = {name: values[name] for name, word in PATHS.items() if values[name] not in (None, "", word)}
    return {name: path for name, path in given.items() if isinstance(path, str)}


def _crossing(given):
    """What follows if another data set is trained on: there is no closed protocol to keep images for."""
    known = given.get("dataset") in choices("dataset")
    crossed = given.get("train_dataset") or (known and trained_on(given["dataset"]))
    return {"training_images": "all"} if crossed else {}


def _few_images(profile, given):
    """What follows if somebody's own photographs are trained on: they are few, so an epoch has few batches.

    The profile ``smoke`` only checks that everything runs, so nothing follows there.
    """
    trained = given.get("train_dataset") or given.get("dataset")
    follows = trained == "folder" and profile != "smoke" and "epochs" not in given
    return {"min_steps": MIN_STEPS} if follows else {}


def _of_the_method(given):
    """What follows from the method: ``DEFAULTS`` in its file, which are settings of its paper."""
    method = given.get("method")
    return options.defaults(method) if method in choices("method") else {}


def _own_recipe(profile, given):
    """What follows from the profile ``own``: ``RECIPE`` in the method's file, the training of its paper."""
    if profile != OWN:
        return {}
    method = given.get("method", RunConfig.method)
    found = options.recipe(method) if method in choices("method") else {"method": method}
    if not found:
        known = ", ".join(name for name in choices("method") if options.recipe(name))
        raise ValueError(f"profile={OWN!r}: the training of method={method!r} is not known; known: {known}")
    return found


def _of_the_schedule(given):
    """What follows if a schedule is given: the profile's warm-up and falls are left out if it has none."""
    schedule = given.get("schedule")
    follows = {"warmup_epochs": 0} if schedule in WITHOUT_WARMUP else {}
    return follows if schedule in (None, "steps") else follows | {"steps": None}


def _of_the_file(given):
    """The size of the images that a model from elsewhere takes, if its file tells it."""
    if given.get("method") != "external" or {"height", "width"} <= given.keys() or not given.get("weights"):
        return {}
    return external.size_of(Path(given["weights"]).expanduser())


def whole_path(value, word=""):
    """The absolute path, so that one folder gives one run everywhere; None, "" and ``word`` stay as they are.

    Links are kept: a link in the project's ``data/`` is the same path on every machine.
    """
    return value if value in (None, "", word) else os.path.abspath(Path(value).expanduser())


def choices(name):
    """The known values of a setting, a tuple; those of a registry are read from its module (``registered_names``)."""
    return registered_names(*REGISTRIES[name]) if name in REGISTRIES else CHOICES[name]


def _has_none(name):
    """Whether "none" is a value of a setting, so that None would be taken for it."""
    return name in (*REGISTRIES, *CHOICES) and "none" in choices(name)


def _stem_of(backbone):
    """The change of the stem that a backbone needs: only a ResNet's can be without a ReLU."""
    return {} if backbone.startswith("resnet") else {"stem": "relu"}


def check_known(name, value, known):
    """Refuse a value that is not among the known ones, naming them and the one that was probably meant.

    Raises:
        ValueError: it is not.
    """
    if value not in known:
        options = ", ".join(map(str, known))
        raise ValueError(f"{name}={value!r} is not known{did_you_mean(value, known)}; known: {options}")


def did_you_mean(word, known):
    """``" (did you mean X?)"`` if a known word is close to this one, whatever its case; else nothing."""
    by_lower = {str(other).lower(): other for other in known}
    near = difflib.get_close_matches(str(word).lower(), by_lower, n=1, cutoff=0.7)
    return f" (did you mean {by_lower[near[0]]}?)" if near else ""


def _suitable_precision():
    """What suits this machine's devices. Keras is asked only where there may be more than a processor."""
    if shutil.which("nvidia-smi") is None and not any(Path("/dev").glob("accel*")):
        return "float32"
    from gaaplib.network import devices

    return devices.precision()


# Resolved once: a table of many runs makes many configurations.
_kinds = functools.cache(typing.get_type_hints)


def checked_value(name, value, kind):
    """The value, if it is of this type; a whole number is a float as well, but a truth value is no number.

    Raises:
        TypeError: it is not, naming parameter, value and type.
    """
    if type(value) is int and abs(value) >= 2**63:
        raise TypeError(f"{name}={value!r:.40} has more than 64 bits")
    kinds = typing.get_args(kind) if isinstance(kind, types.UnionType) else (kind,)
    for option in kinds:
        if option is float and type(value) is int:
            return float(value)
        if type(value) is option:
            return value
    expected = " or ".join("None" if option is type(None) else option.__name__ for option in kinds)
    raise TypeError(f"{name}={value!r} is a {type(value).__name__}; expected {expected}")


def _data_name(dataset, data):
    return f"{SYNTHETIC}-{dataset}" if data == SYNTHETIC else dataset


def _is_code(value):
    return isinstance(value, types.ModuleType | types.FunctionType | type)


# From scratch on few images of many people: docs/recipe.md says what each part is worth, and how it was chosen.
RECIPE = {
    "last_stride": 1,
    "neck": "bnneck",
    "sampler": "shuffled",
    "batch_size": 16,
    "learning_rate": 3e-4,
    "schedule": "constant",
    "warmup_epochs": 0,
    "label_smoothing": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
    "dropout": 0.7,
}

PROFILES = {
    # Seconds, for tests: everything runs, nothing is learnt.
    "smoke": {
        "height": 64,
        "width": 32,
        "epochs": 1,
        "warmup_epochs": 0,
        "batch_size": 16,
    },
    # About a minute a ResNet-18 run on two cores. Five epochs do not overfit yet, and dropout only slows them down.
    "demo": RECIPE | {"dropout": 0.0, "epochs": 5, "averaged_epochs": 2},
    # For whatever is compared with other packages: from scratch, on all training images.
    "standard": RECIPE | {"training_images": "all", "epochs": 20, "averaged_epochs": 5},
    # The same until the training images are known by heart: the reference runs.
    "long": RECIPE | {"training_images": "all", "epochs": 30, "averaged_epochs": 5},
    # The paper's protocol; what it leaves open is decided in docs/paper.md.
    "paper": {
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
    # Today's practice (BoT, AGW): larger images, BNNeck, smoothing, warm-up. No P x K batches, which only losses that
    # compare images need.
    "modern": {
        "training_images": "all",
        "sampler": "shuffled",
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
    # That of the method's own paper, RECIPE in its file.
    "own": {"training_images": "all", "neck": "none", "label_smoothing": 0.0, "warmup_epochs": 0},
    # The first recipe, kept for comparison: docs/recipe.md.
    "five_epochs": {},
}

"""The planned runs behind the paper's tables and figures: the workflow makes them, the notebooks read them."""

import functools
import re
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from gaaplib import experiment, options, runs
from gaaplib.config import SYNTHETIC, RunConfig, check_known, whole_path
from gaaplib.datasets import DATASETS, closed_on, splits, trained_on
from gaaplib.network import devices
from gaaplib.project import outputs_folder

BACKBONES = ("vgg16", "vgg19", "resnet18", "resnet34", "resnet50")
DATA_SETS = ("market1501", "raid", "partial_ilids", "rpifield")
# Table II's two columns and Table III's second one.
MODELS = (
    {"attention": "none", "pooling": "avg"},
    {"attention": "class", "pooling": "avg"},
    {"attention": "class", "pooling": "max"},
)
ATTENTIONS = ("none", "uniform", "self", "class", "channel", "nonlocal")
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
SAMPLERS = ("shuffled", "identity_balanced")
PLACES = ("stage2", "stage3", "last")
STRIDES = (1, 2)
POOLINGS = ("avg", "max", "gem")
FOLDS = tuple(range(splits.FOLDS))
SEEDS = (0, 1, 2)
EARLIER = ("bot", "agw", "pcb", "mgn", "bdb", "ianet", "vpm", "hmbn", "fpr", "han", "hct", "mebnet", "gml")
"""The methods of Table IV, besides GAAP, that need nothing but images; two of them are stand-ins."""

REPEATED = ("gaap", "triplet", "bot", "agw", "pcb")
"""The methods of Table IV whose order is asked, so that one seed is not enough."""

TRICKS = {
    "baseline": {},
    "warm-up": {},
    "random erasing": {"erase": 0.5},
    "label smoothing": {"label_smoothing": 0.1},
    "last stride 1": {"last_stride": 1},
    "BNNeck": {"neck": "bnneck"},
    "centre loss": {"options": None},
}
"""What each rung of BoT's ladder adds to the one before; the baseline is softmax and the batch-hard triplet loss."""


@dataclass(frozen=True)
class Plan:
    """The planned runs. Each part is a method that returns a list of :class:`gaaplib.config.RunConfig`.

    Attributes:
        profile: profile of each run.
        data: folder with one folder per data set, named as in ``DATASETS``; or "synthetic" to generate their twins. If
            ``folder`` is the only data set, it is the folder of the photographs itself.
        backbones, datasets: rows and columns of the matrix.
        folds: folds of the matrix; None: all five for the profile ``paper``, else the first. The ablated backbone
            always has all five.
        seeds: seeds of the block, of the readings of Eq. 4, and of some methods of Table IV.
        ablated: backbone of the ablations, which use the first of the data sets.
        precision: precision of each run; None: the best for this machine. It is decided here because the runs may be
            made on another machine.

    Example:
        >>> study = Plan("demo", backbones=("resnet18",), datasets=("raid",), precision="float32")
        >>> for config in study.matrix():
        ...     print(config.dataset, config.backbone, config.attention, config.pooling)
        raid resnet18 none avg
        raid resnet18 class avg
        raid resnet18 class max
    """

    profile: str = "demo"
    data: str = SYNTHETIC
    backbones: tuple = BACKBONES
    datasets: tuple = DATA_SETS
    folds: tuple | None = None
    seeds: tuple = SEEDS
    ablated: str = "resnet18"
    precision: str | None = None

    def __post_init__(self):
        object.__setattr__(self, "precision", self.precision or devices.precision())
        object.__setattr__(self, "data", whole_path(self.data, SYNTHETIC))
        if self.folds is None:
            object.__setattr__(self, "folds", FOLDS if self.profile == "paper" else FOLDS[:1])
        for name in ("backbones", "datasets", "folds", "seeds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: a plan needs at least one")

    @classmethod
    def parse(cls, **words):
        """Return a plan from strings, as given on a command line: lists with commas or spaces, "" for the default.

        Values that already are lists or tuples are used as they are.

        Raises:
            ValueError: a fold or a seed is not a whole number.

        Example:
            >>> Plan.parse(profile="demo", folds="0, 2", seeds="1").folds
            (0, 2)
        """
        given = {name: word for name, word in words.items() if str(word).strip()}
        for name in {"backbones", "datasets", "folds", "seeds"} & given.keys():
            if isinstance(given[name], list | tuple):
                continue
            values = re.findall(r"[^,\s]+", str(given[name]))
            if name in ("folds", "seeds"):
                odd = [value for value in values if not value.isdecimal()]
                if odd:
                    raise ValueError(f"{name}={given[name]!r}: expected whole numbers with commas, not {odd[0]!r}")
                values = map(int, values)
            given[name] = tuple(values)
        return cls(**given)

    def usable(self):
        """Return this plan without the data sets whose folders are missing, and a sentence on each of those.

        Raises:
            ValueError: a data set that is not known, or none is left.
        """
        for name in self.datasets:
            check_known("dataset", name, DATASETS)
        missing = {name: [folder for folder in self._folders(name) if not folder.exists()] for name in self.datasets}
        missing = {name: folders for name, folders in missing.items() if folders}
        sentences = [
            f"{name} is left out: missing folder {', '.join(map(str, folders))}" for name, folders in missing.items()
        ]
        left = tuple(name for name in self.datasets if name not in missing)
        if not left:
            raise ValueError("\n".join(["no data set is available", *sentences]))
        return replace(self, datasets=left), sentences

    def _folders(self, dataset):
        """The folders that the runs on a data set read; Partial-iLIDS needs three."""
        names = dict.fromkeys((dataset, trained_on(dataset), closed_on(dataset)))
        return [] if self.data == SYNTHETIC else [Path(self.folder(name)) for name in names if name]

    def config(self, dataset, **changes):
        """Return one configuration; for Partial-iLIDS, the one that scores a model trained on Market-1501."""
        if trained_on(dataset):
            changes = {"train_dataset": trained_on(dataset), **changes}
        folders = {"data": self.folder(dataset), "train_data": self.folder(changes.get("train_dataset"))}
        return RunConfig(self.profile, dataset=dataset, precision=self.precision, **folders, **changes)

    def folder(self, dataset):
        """Return the folder of a data set, or "synthetic"."""
        if dataset is None or self.data == SYNTHETIC:
            return dataset and SYNTHETIC
        return self.data if self.datasets == ("folder",) else str(Path(self.data) / dataset)

    def cell(self, dataset, **changes):
        """Return the runs behind one cell of the paper's tables; Partial-iLIDS has its closed protocol from i-LIDS."""
        names = dict.fromkeys((dataset, closed_on(dataset)))
        return [self.config(name, training_images="split", **changes) for name in names]

    def matrix(self, folds=None, backbones=None):
        """Return the runs of Tables I to III: without attention, with it, and with it and maximum pooling."""
        return [
            run
            for fold in folds or self.folds
            for backbone in backbones or self.backbones
            for dataset in self.datasets
            for model in MODELS
            for run in self.cell(dataset, backbone=backbone, fold=fold, **model)
        ]

    def all_folds(self):
        """Return the ablated backbone's part of the matrix on all five folds."""
        return self.matrix(FOLDS, (self.ablated,))

    def _ablation(self, **changes):
        same = {"backbone": self.ablated, "training_images": "split"}
        return self.config(self.datasets[0], **same | changes)

    def _p_x_k(self):
        """P x K batches of 8 identities with 4 images each, whatever the profile's own batches; fewer in ``smoke``."""
        return {"sampler": "identity_balanced", "batch_size": 16 if self.profile == "smoke" else 32}

    def _triplet(self):
        """Metric learning with the triplet loss, which needs P x K batches."""
        return {"method": "triplet", **self._p_x_k()}

    def block(self):
        """Return the runs with the block and without it, in both protocols and for each seed: the first claim."""
        return [
            self._ablation(attention=attention, training_images=images, seed=seed)
            for seed in self.seeds
            for images in ("split", "all")
            for attention in ("none", "class")
        ]

    def why(self):
        """Return the runs that ask why the block gains or loses, each with one change.

        The block starts as the identity (also for each seed, with all images to train on), or has no partner in
        training. With the block and without it: batches in which each image has a partner, both last strides, images
        of twice the size, and no neck (nor dropout, with which it hardly trains).
        """
        start = {"attention_start": "identity"}
        of_each_seed = [{**start, "training_images": "all", "seed": seed} for seed in self.seeds]
        of_the_block = (start, {"alpha": 1.0}, *of_each_seed)
        strides = ({"last_stride": stride} for stride in STRIDES)
        larger = {"height": 256, "width": 128, "last_stride": 1}
        of_both = (self._p_x_k(), *strides, larger, {"neck": "none", "dropout": 0.0})
        return [self._ablation(attention="class", **change) for change in of_the_block] + [
            self._ablation(attention=attention, **change) for change in of_both for attention in ("none", "class")
        ]

    def readings(self):
        """Return the readings of Eq. 4 and their controls, with shuffled and with P x K batches, for each seed."""
        return [
            self._ablation(attention=attention, seed=seed, **batches)
            for seed in self.seeds
            for batches in ({"sampler": "shuffled"}, self._p_x_k())
            for attention in ATTENTIONS
        ]

    def alphas(self):
        """Return the runs over alpha, the weight of an image's own term in Eq. 4."""
        return [self._ablation(attention="class", alpha=alpha, **self._p_x_k()) for alpha in ALPHAS]

    def places(self):
        """Return the runs with attention inside the backbone and after it."""
        return [self._ablation(attention="class", attention_at=place) for place in PLACES]

    def poolings(self):
        """Return the runs with average, maximum and GeM pooling: with and without attention, and over the class."""
        over_positions = [
            self._ablation(attention=attention, pooling=pooling)
            for attention in ("none", "class")
            for pooling in POOLINGS
        ]
        over_class = [self._ablation(attention="class", pooling=pooling, pool_over="class") for pooling in POOLINGS]
        return over_positions + over_class

    def methods(self):
        """Return the runs of GAAP and of metric learning with the triplet loss, each without attention and with it."""
        return [
            self._ablation(attention=attention, **method)
            for method in ({"method": "gaap"}, self._triplet())
            for attention in ("none", "class")
        ]

    def crossings(self):
        """Return the runs that train on all images of a data set and test on each, without and with attention.

        Partial-iLIDS has no training set.
        """
        configs = []
        for attention in ("none", "class"):
            for source in self.datasets:
                for target in self.datasets:
                    if not trained_on(source):
                        other = {} if source == target else {"train_dataset": source}
                        same = {"backbone": self.ablated, "attention": attention, "training_images": "all"}
                        configs.append(self.config(target, **same, **other))
        return configs

    def table_4(self):
        """Return the runs of Table IV: every method on each data set, trained on all images as in the literature.

        On the first data set, the methods in ``REPEATED`` have all seeds, the others and other data sets the first.
        """
        gaap = [{"method": "gaap", "attention": attention} for attention in ("none", "class")]
        earlier = [self._earlier(name) for name in EARLIER]
        return [
            self.config(dataset, backbone=self.ablated, training_images="all", seed=seed, **method)
            for method in ({"method": "histogram"}, *gaap, self._triplet() | {"attention": "none"}, *earlier)
            for dataset in self.datasets
            for seed in self._seeds_of(method["method"], dataset)
        ]

    def tricks(self):
        """Return the runs of BoT's tricks, each with all before it, as ``TRICKS`` has them: its README's ladder.

        BoT's learning rate falls after a third and after seven twelfths of its epochs, and rises over a twelfth; so it
        does here.
        """
        epochs = self._ablation().epochs
        falls = sorted({max(2, round(epochs / 3)), max(3, round(epochs * 7 / 12))})
        settings = {
            **{"method": "bot", "training_images": "all", "schedule": "steps", "steps": " ".join(map(str, falls))},
            **{"options": "centre=0", "warmup_epochs": 0, "erase": 0.0, "eraser": "bot", "label_smoothing": 0.0},
            **{"last_stride": 2, "neck": "none"},
            **self._p_x_k(),
        }
        found = []
        for name, trick in TRICKS.items():
            # How many epochs the warm-up has depends on their number.
            settings |= {"warmup_epochs": max(1, round(epochs / 12))} if name == "warm-up" else trick
            found.append(self._ablation(**settings))
        return found

    def _seeds_of(self, method, dataset):
        return self.seeds if method in REPEATED and dataset == self.datasets[0] else self.seeds[:1]

    def with_batches(self, method):
        """P x K batches for a method, ``{"method": name, ...}``, whose losses need them; nothing for GAAP."""
        return {} if method["method"] == "gaap" else self._earlier(method["method"])

    def _earlier(self, name):
        """A method of Table IV, with P x K batches if its losses need them."""
        sampled = options.defaults(name)["sampler"] != "shuffled"
        # Six stripes need six rows, which the smallest images do not have.
        size = {"height": 96} if self.profile == "smoke" else {}
        return {"method": name, **size, **(self._p_x_k() if sampled else {})}

    def everything(self):
        """Return all runs once each, ``{run_id: config}``: most important first, sources before runs that need them."""
        return {run_id: run for runs_of_part in self.parts().values() for run_id, run in runs_of_part.items()}

    def parts(self, names=()):
        """Return the named parts, or all, as ``{part: {run_id: config}}``; each run is in the first part that has it.

        Raises:
            ValueError: a part is unknown; the message lists the known ones.
        """
        unknown = [name for name in names if name not in PARTS]
        if unknown:
            raise ValueError(f"part {unknown[0]!r} is not known; known: {', '.join(PARTS)}")
        seen = set()
        return {part: once(getattr(self, part)(), seen) for part in PARTS if part in (names or PARTS)}


def once(asked, seen):
    """The runs that nobody asked for before, ``{run_id: config}``, sources before the runs that need them."""
    runs = {run.run_id: run for each in asked for run in (*each.needed(), each) if run.run_id not in seen}
    seen.update(runs)
    return runs


PARTS = (
    *("block", "matrix", "all_folds", "methods", "crossings", "table_4", "poolings", "readings", "why", "alphas"),
    *("places", "tricks"),
)
"""The parts of a :class:`Plan`, most important first."""

SHOWN = tuple(part for part in PARTS if part not in ("why", "tricks"))
"""The parts that tables and figures show of any plan; the others are shown of the committed photographs alone."""


def reproduced(profile, dataset, data=SYNTHETIC, train_data=None, ilids_data=None):
    """Return the runs of ``make reproduce``: ResNet-18 without attention and with it, on one data set.

    Args:
        profile: profile of each run.
        dataset: a name in ``DATASETS``.
        data: folder of the data set, or "synthetic".
        train_data: only for Partial-iLIDS: folder of Market-1501, the training set; or "synthetic".
        ilids_data: only for Partial-iLIDS: folder of i-LIDS MCTS, for the closed protocol; or "synthetic".

    Returns:
        ``{run_id: config}``, sources before the runs that need them.
    """
    asked = [{"dataset": dataset, "data": data, "train_data": train_data}]
    if closed_on(dataset) != dataset and ilids_data:
        asked.append({"dataset": closed_on(dataset), "data": ilids_data})
    found = [RunConfig(profile, attention=attention, **one) for one in asked for attention in ("none", "class")]
    return {run.run_id: run for config in found for run in (*config.needed(), config)}


def arguments(config):
    """Return the parameters of ``02_train``, ``{name: value}``, that make this run.

    Raises:
        ValueError: no parameters make this run.
    """
    given = {"profile": config.profile, "precision": config.precision}
    usual = RunConfig.usual(config.profile, config.method, precision=config.precision, backbone=config.backbone)
    given |= {"backbone": config.backbone}
    given |= {name: value for name, value in config.to_dict().items() if value != usual[name]}
    # What is usual for these depends on the data sets.
    given |= {"training_images": config.training_images}
    for name in ("scale", "train_data", "train_dataset", "training_images"):
        without = {key: value for key, value in given.items() if key != name}
        if name in given and _run_id(without) == config.run_id:
            given = without
    if _run_id(given) != config.run_id:
        raise ValueError(f"no parameters of 02_train make the run {config.run_id}")
    return given


def _run_id(changes):
    try:
        return RunConfig(**changes).run_id
    except ValueError:
        return None


def done(configs, outputs=None):
    """Return those of these runs that are finished, ``{run_id: Run}``."""
    folder = Path(outputs or outputs_folder()) / "runs"
    found = dict.fromkeys(runs.Run(folder / config.run_id) for config in configs)
    return {run.folder.name: run for run in runs.readable(run for run in found if run.is_done())}


def stale(configs, outputs=None):
    """Return those of these runs that are finished but out of date, ``{run_id: Run}``."""
    now = functools.cache(runs.files_now)
    return {run_id: run for run_id, run in done(configs, outputs).items() if runs.out_of_date(run, now=now)}


def missing(configs, outputs=None):
    """Return those of these configurations whose runs are not finished."""
    finished = done(configs, outputs)
    return [config for config in configs if config.run_id not in finished]


def complete(configs, *, train=False, outputs=None):
    """Return a sentence on how many planned runs are finished, and list missing ones; train these first if asked to.

    Args:
        configs: configurations of the planned runs.
        train: whether to train the missing runs here, one after the other; finished runs are reused.
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.
    """
    wanted = {config.run_id: config for config in configs}.values()
    if train:
        for config in tqdm(missing(wanted, outputs), desc="runs", unit="run"):
            experiment.run(config, outputs=outputs)
    return absent(wanted, outputs) or f"All {len(wanted)} runs are finished."


def absent(configs, outputs=None):
    """Return a sentence on the missing runs and how to make them; None if all are finished."""
    wanted = {config.run_id: config for config in configs}.values()
    left = missing(wanted, outputs)
    if not left:
        return None
    named = "\n".join(f"  {config.run_id}" for config in left[:5])
    more = f"\n  and {len(left) - 5} more" if len(left) > 5 else ""
    return (
        f"{len(left)} of {len(wanted)} runs are missing; `make tables` makes them (the committed ones: `make "
        f"photographs`), or run this notebook with train = True:\n{named}{more}"
    )

"""The runs behind the paper's tables and figures: what the graph makes and notebooks read."""

import re
from dataclasses import dataclass, replace
from pathlib import Path

from tqdm import tqdm

from gaaplib import experiment, runs
from gaaplib.config import SYNTHETIC, RunConfig
from gaaplib.datasets import closed_on, trained_on
from gaaplib.network import devices
from gaaplib.project import outputs_folder
from gaaplib.runs.provenance import is_current

BACKBONES = ("vgg16", "vgg19", "resnet18", "resnet34", "resnet50")
DATA_SETS = ("market1501", "raid", "partial_ilids", "rpifield")
# Table II's two columns and Table III's second one.
MODELS = (
    {"attention": "none", "pooling": "avg"},
    {"attention": "class", "pooling": "avg"},
    {"attention": "class", "pooling": "max"},
)
ATTENTIONS = ("none", "uniform", "self", "class", "channel", "nonlocal")
SAMPLERS = ("shuffled", "identity_balanced")
ALPHAS = (0.0, 0.25, 0.5, 0.75, 1.0)
PLACES = ("stage2", "stage3", "last")
POOLINGS = ("avg", "max", "gem")
FOLDS = tuple(range(runs.FOLDS))
SEEDS = (0, 1, 2)


@dataclass(frozen=True)
class Plan:
    """Which runs there are to be. Its parts are lists of configurations, as :class:`RunConfig` takes them.

    Attributes:
        profile: of each run.
        data: folder with a folder for each data set, named as in ``DATASETS``; or "synthetic" to draw their twins.
        backbones, datasets: rows and columns of the matrix.
        folds: of the matrix; None: all five in ``paper``, the first one elsewhere. The ablated backbone has all five.
        seeds: of the readings of Eq. 4.
        ablated: the backbone of the ablations, on the first of the data sets.
        precision: of each run; None: what suits this machine. It is settled here, as the machine that runs them may
            be another one.
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
        if self.folds is None:
            object.__setattr__(self, "folds", FOLDS if self.profile == "paper" else FOLDS[:1])
        for name in ("backbones", "datasets", "folds", "seeds"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
            if not getattr(self, name):
                raise ValueError(f"{name} is empty: a plan needs at least one")

    @classmethod
    def parse(cls, **words):
        """A plan from words, as a command line has them: lists with commas or spaces, "" for the default.

        What is a list already stays one.

        Raises:
            ValueError: a fold or a seed that is no whole number.
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
        """This plan without the data sets whose folders are missing, and a sentence on each of these.

        Raises:
            ValueError: none is left.
        """
        missing = {name: [folder for folder in self._folders(name) if not folder.exists()] for name in self.datasets}
        missing = {name: folders for name, folders in missing.items() if folders}
        said = [f"{name} is left out: there is no {' and no '.join(map(str, it))}" for name, it in missing.items()]
        left = tuple(name for name in self.datasets if name not in missing)
        if not left:
            raise ValueError("\n".join(["no data set is there", *said]))
        return replace(self, datasets=left), said

    def _folders(self, dataset):
        """What a data set's runs read; Partial-iLIDS has three."""
        names = dict.fromkeys((dataset, trained_on(dataset), closed_on(dataset)))
        return [] if self.data == SYNTHETIC else [Path(self._folder(name)) for name in names if name]

    def config(self, dataset, **changes):
        """One configuration; Partial-iLIDS is scored by the model that is trained on Market-1501."""
        if trained_on(dataset):
            changes = {"train_dataset": trained_on(dataset), **changes}
        folders = {"data": self._folder(dataset), "train_data": self._folder(changes.get("train_dataset"))}
        return RunConfig(self.profile, dataset=dataset, precision=self.precision, **folders, **changes)

    def _folder(self, dataset):
        return dataset and (SYNTHETIC if self.data == SYNTHETIC else whole(Path(self.data) / dataset))

    def cell(self, dataset, **changes):
        """The runs behind one cell of the paper's tables: Partial-iLIDS takes its closed protocol from i-LIDS."""
        return [self.config(name, **changes) for name in dict.fromkeys((dataset, closed_on(dataset)))]

    def matrix(self, folds=None, backbones=None):
        """Tables I to III: each backbone on each data set, without attention, with it, and with maximum pooling."""
        return [
            run
            for fold in folds or self.folds
            for backbone in backbones or self.backbones
            for dataset in self.datasets
            for model in MODELS
            for run in self.cell(dataset, backbone=backbone, fold=fold, **model)
        ]

    def all_folds(self):
        """The ablated backbone's part of the matrix on all five folds."""
        return self.matrix(FOLDS, (self.ablated,))

    def _ablation(self, **changes):
        return self.config(self.datasets[0], backbone=self.ablated, **changes)

    def readings(self):
        """The readings of Eq. 4 and their controls, under shuffled and under P x K batches, with each seed."""
        return [
            self._ablation(attention=attention, sampler=sampler, seed=seed)
            for seed in self.seeds
            for sampler in SAMPLERS
            for attention in ATTENTIONS
        ]

    def alphas(self):
        """The share of an image's own term in Eq. 4."""
        return [self._ablation(attention="class", alpha=alpha, sampler="identity_balanced") for alpha in ALPHAS]

    def places(self):
        """Attention within the backbone or after it."""
        return [self._ablation(attention="class", attention_at=place) for place in PLACES]

    def poolings(self):
        """Average, maximum and GeM, with attention and without, over positions and over the class."""
        over_positions = [
            self._ablation(attention=attention, pooling=pooling)
            for attention in ("none", "class")
            for pooling in POOLINGS
        ]
        over_class = [self._ablation(attention="class", pooling=pooling, pool_over="class") for pooling in POOLINGS]
        return over_positions + over_class

    def methods(self):
        """GAAP beside metric learning with the triplet loss, each without attention and with it.

        The triplet loss needs P x K batches, whatever the profile has.
        """
        triplet = {"method": "triplet", "sampler": "identity_balanced"}
        return [
            self._ablation(attention=attention, **method)
            for method in ({"method": "gaap"}, triplet)
            for attention in ("none", "class")
        ]

    def crossings(self):
        """Train on each data set, test on each: the ablated backbone, without attention and with it.

        Partial-iLIDS has nothing to train on.
        """
        found = []
        for attention in ("none", "class"):
            for source in self.datasets:
                for target in self.datasets:
                    if not trained_on(source):
                        other = {} if source == target else {"train_dataset": source}
                        found.append(self.config(target, backbone=self.ablated, attention=attention, **other))
        return found

    def everything(self):
        """All runs, each once, by ``run_id``, in the order in which they are worth having; sources come before."""
        return {run_id: run for runs_of_part in self.parts().values() for run_id, run in runs_of_part.items()}

    def parts(self, names=()):
        """Some of the parts, or all: ``{part: {run_id: config}}``, each run where it comes first.

        Raises:
            ValueError: an unknown part; it lists the known ones.
        """
        unknown = [name for name in names if name not in PARTS]
        if unknown:
            raise ValueError(f"part {unknown[0]!r} is not known; known: {', '.join(PARTS)}")
        found, seen = {}, set()
        for part in [part for part in PARTS if part in (names or PARTS)]:
            asked = [needed for run in getattr(self, part)() for needed in (run.training(), run) if needed is not None]
            found[part] = {run.run_id: run for run in asked if run.run_id not in seen}
            seen |= found[part].keys()
        return found


PARTS = ("matrix", "all_folds", "methods", "crossings", "poolings", "readings", "alphas", "places")
"""The lists of runs that a :class:`Plan` is made of, in the order in which they are worth having."""


def reproduced(profile, dataset, data=SYNTHETIC, train_data=None, ilids_data=None):
    """The runs of ``make reproduce``: ResNet-18 without attention and with it, on one data set.

    Args:
        data, train_data, ilids_data: folders, or "synthetic"; the last two are for Partial-iLIDS: that of Market-1501,
            which it is trained on, and that of i-LIDS, for the closed protocol.
    """
    asked = [{"dataset": dataset, "data": whole(data), "train_data": whole(train_data)}]
    if closed_on(dataset) != dataset and ilids_data:
        asked.append({"dataset": closed_on(dataset), "data": whole(ilids_data)})
    found = [RunConfig(profile, attention=attention, **one) for one in asked for attention in ("none", "class")]
    return {run.run_id: run for config in found for run in (config.training(), config) if run is not None}


def whole(folder):
    """A folder's path as ``gaap run`` passes it on, since it is a part of the run's name; "synthetic" stays."""
    return folder if folder in (None, "", SYNTHETIC) else str(Path(folder).expanduser().resolve())


def arguments(config):
    """``{name: value}`` for ``02_train``: what has to be said for it to make this run.

    Raises:
        ValueError: they would make another run.
    """
    said = {"profile": config.profile, "precision": config.precision}
    usual = RunConfig(config.profile, precision=config.precision, backbone=config.backbone).to_dict()
    said |= {"backbone": config.backbone}
    said |= {name: value for name, value in config.to_dict().items() if value != usual[name]}
    for name in ("scale", "train_data", "train_dataset"):
        without = {key: value for key, value in said.items() if key != name}
        if name in said and _run_id(without) == config.run_id:
            said = without
    if _run_id(said) != config.run_id:
        raise ValueError(f"{config.run_id} cannot be said by parameters")
    return said


def _run_id(changes):
    try:
        return RunConfig(**changes).run_id
    except ValueError:
        return None


def done(configs, outputs=None):
    """The finished ones of these runs: ``{run_id: Run}``."""
    folder = Path(outputs or outputs_folder()) / "runs"
    found = {config.run_id: runs.Run(folder / config.run_id) for config in configs}
    return {run_id: run for run_id, run in found.items() if run.is_done()}


def stale(configs, outputs=None):
    """The finished ones whose results are out of date: ``{run_id: Run}``."""
    return {run_id: run for run_id, run in done(configs, outputs).items() if not is_current(run.metrics)}


def missing(configs, outputs=None):
    """Those of these configurations whose runs are not finished."""
    there = done(configs, outputs)
    return [config for config in configs if config.run_id not in there]


def complete(configs, *, train=False, outputs=None):
    """Make the planned runs that are not there, if told to; else say which they are.

    Args:
        configs: of the runs.
        train: whether to train them here, one after the other; runs that are there stay.
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.

    Returns:
        A sentence.
    """
    wanted = {config.run_id: config for config in configs}.values()
    if train:
        for config in tqdm(missing(wanted, outputs), desc="runs", unit="run"):
            experiment.run(config, outputs=outputs)
    return absent(wanted, outputs) or f"All {len(wanted)} runs are there."


def absent(configs, outputs=None):
    """A sentence on the planned runs that are not there, and how to make them; None where all are."""
    wanted = {config.run_id: config for config in configs}.values()
    lacking = missing(wanted, outputs)
    if not lacking:
        return None
    named = "\n".join(f"  {config.run_id}" for config in lacking[:5])
    more = f"\n  and {len(lacking) - 5} more" if len(lacking) > 5 else ""
    return (
        f"{len(lacking)} of {len(wanted)} runs are not there; `make tables` makes them, or this notebook with "
        f"train = True:\n{named}{more}"
    )

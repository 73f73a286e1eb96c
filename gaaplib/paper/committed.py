"""The runs that are committed, in outputs/reference: on photographs that are not the paper's, and on twins beside them.

``make photographs`` makes them.
"""

import dataclasses

from gaaplib.config import SYNTHETIC, RunConfig
from gaaplib.paper.plan import SEEDS, Plan, once
from gaaplib.project import project_folder

OCCLUDED = (
    {"method": "gaap", "attention": "none"},
    {"method": "gaap", "attention": "class"},
    *({"method": name} for name in ("bot", "vpm", "fpr")),
    *({"method": name, "options": noise} for name in ("pgfa", "horeid", "pvpm") for noise in (None, "noise=network")),
)
"""The methods that are compared where something hides a part of the person; the first is what they are beside."""


def photographs():
    """Return the plan of the committed runs on photographs, which are not the paper's: CUHK03, in ``data/cuhk03``."""
    return Plan(
        "long",
        data=str(project_folder() / "data"),
        datasets=("cuhk03",),
        backbones=("resnet18", "resnet34", "resnet50"),
        precision="mixed_bfloat16",
    )


def twin():
    """Return the plan of the committed runs on Market-1501's twin, which is synthetic, at three tenths of its size.

    At this size ResNet-18 learns the training images by heart, in the same recipe as on photographs. VGG is left out:
    it has five times the multiply-adds of ResNet-18.
    """
    return dataclasses.replace(photographs(), data=SYNTHETIC, datasets=("market1501",), seeds=SEEDS[:1])


def ablated(study, images):
    """Return the plan whose settings are changed one at a time: that of :func:`photographs`, or ``study``.

    Args:
        study: a :class:`gaaplib.paper.plan.Plan`; its seeds and its ablated backbone are kept.
        images: ``"photographs"``, or ``"datasets"`` for those of ``study``.

    Raises:
        ValueError: ``images`` is something else.
    """
    if images == "datasets":
        return study
    if images != "photographs":
        raise ValueError(f"images={images!r} is unknown; known: photographs, datasets")
    return dataclasses.replace(photographs(), seeds=study.seeds, ablated=study.ablated)


def of_twin():
    """Return the runs of :func:`twin`: on and off, depth, and pooling. The ablations are made on photographs alone.

    The first run is the histogram, which learns nothing.
    """
    study = twin()
    return [*study.table_4()[:1], *study.block(), *study.matrix()]


def gentle(study, backbones=None):
    """Return the runs of Table I with a block that starts as the identity, with which deep networks learn sooner.

    Args:
        study: a :class:`gaaplib.paper.plan.Plan`, such as that of :func:`photographs`.
        backbones: which networks, or ``None`` for those of the study.
    """
    usual = [run for run in study.matrix(backbones=backbones) if (run.attention, run.pooling) == ("class", "avg")]
    return [RunConfig(**run.to_dict() | {"attention_start": "identity"}) for run in usual]


def across():
    """Return the runs from CUHK03 to other images and back, without attention and with it.

    The others are the photographs of PKU-Reid in Market-1501's layout, in ``data/pku``, and Market-1501's twin.
    """
    study, pku = photographs(), str(project_folder() / "data" / "pku")
    cuhk03 = {"train_dataset": "cuhk03", "train_data": study.folder("cuhk03")}
    from_twin = {"train_dataset": "market1501", "train_data": SYNTHETIC}
    pairs = (
        ({"dataset": "market1501", "data": pku, **cuhk03}, study.seeds),
        ({"dataset": "market1501", "data": SYNTHETIC, **cuhk03}, study.seeds),
        ({"dataset": "cuhk03", "data": study.folder("cuhk03"), **from_twin}, twin().seeds),
    )
    same = {"backbone": study.ablated, "precision": study.precision}
    return [
        RunConfig(study.profile, attention=attention, seed=seed, **same, **pair)
        for pair, seeds in pairs
        for seed in seeds
        for attention in ("none", "class")
    ]


def occluded():
    """Return the runs of persons of whom something hides a part, on twins: their methods, and what they are beside.

    The models are trained on Market-1501's twin. They are tested on its variant in which each query is occluded, and on
    Partial-iLIDS' twin. Methods that see key points are run with exact ones, and with a pose network's noise.
    """
    tested = (
        {"dataset": "market1501", "variant": "occluded", "train_dataset": "market1501", "train_data": SYNTHETIC},
        {"dataset": "partial_ilids"},
    )
    study = photographs()
    given = {"backbone": study.ablated, "precision": study.precision}
    return [
        RunConfig(study.profile, **given, **images, **(study.with_batches(method) | method))
        for images in tested
        for method in OCCLUDED
    ]


def without_dropout():
    """Return four runs on photographs: softmax as it is, softmax without dropout, and BoT and AGW, which have none."""
    asked = {run.method: run for run in photographs().table_4() if run.seed == 0 and run.attention == "none"}
    plain = asked["gaap"]
    return [plain, RunConfig(**plain.to_dict() | {"dropout": 0.0}), asked["bot"], asked["agw"]]


def everything():
    """Return all of these runs by what they ask, as :meth:`gaaplib.paper.plan.Plan.parts` does."""
    others = {
        "twin": of_twin(),
        "gentle": [*gentle(photographs()), *gentle(twin(), twin().backbones[-1:])],
        "across": across(),
        "occluded": occluded(),
        "dropout": without_dropout(),
    }
    parts = photographs().parts()
    seen = {run_id for runs_of_part in parts.values() for run_id in runs_of_part}
    return parts | {part: once(asked, seen) for part, asked in others.items()}

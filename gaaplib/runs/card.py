"""The card of a finished run, its README: what it is, on which images, its scores, its limits, and how to load it."""

from pathlib import Path

from gaaplib.project import write_whole
from gaaplib.runs import scores

MEASURES = {"retrieval": ("CMC(1)", "mAP", "mINP"), "closed": ("mRA",)}
"""The scores on a card, by protocol; all others are in ``metrics.json``."""

PROTOCOLS = {
    "retrieval": "people who were not trained on; images of the same person from the query's own camera are left out",
    "closed": "unseen images of the training identities, by the classifier",
}


def write(run):
    """Put what came out before the words on loading in the run's README.

    Args:
        run: a :class:`gaaplib.runs.Run` that has just finished.
    """
    file = run.folder / "README.md"
    title, _, loading = file.read_text(encoding="utf-8").partition("\n")
    write_whole(file, "\n".join([title, "", *_sections(run), "## The files", "", loading.strip(), ""]))


def _sections(run):
    metrics, config = run.metrics, run.config
    yield from (_model(config, metrics), "")
    yield from ("## Images", "", *_images(config, metrics), "")
    yield from ("## Scores", "", *_scores(run, metrics), "")
    yield from ("## Limits", "", *_limits(config, metrics), "")
    yield from ("## Made with", "", *_origin(config, metrics["provenance"]), "")


def _model(config, metrics):
    if config.method == "histogram":
        return "A colour histogram, which is not trained: the baseline of other runs."
    if config.method == "external":
        size = f"{config.height} x {config.width} pixels"
        return f"A model from elsewhere, {Path(config.weights).name}, for images of {size}. It was not trained here."
    start = f"starting from {config.weights}" if config.weights else "from scratch"
    source = metrics["counts"].get("train")
    trained = f"trained {start} on {source['images']} images of {source['identities']} people" if source else "given"
    if config.train_dataset:
        trained = f"with weights that were trained {start} on {config.train_dataset}"
    block = f"attention {config.attention}, pooling {config.pooling}"
    return (
        f"The method {config.method} on a {config.backbone} ({block}), {trained}, for images of {config.height} x "
        f"{config.width} pixels."
    )


def _images(config, metrics):
    data = metrics["data"]
    if config.is_synthetic:
        what = "**Synthetic** pedestrians that gaaplib draws"
    else:
        what = "Photographs with the published counts" if data["as_published"] else "Photographs in the layout"
    yield f"{what}, {scores.data_name(metrics)}:"
    yield ""
    yield "| part | images | people | cameras |"
    yield "|---|---|---|---|"
    for role, counts in metrics["counts"].items():
        yield f"| {role} | {counts['images']} | {counts['identities']} | {counts['cameras']} |"
    yield ""
    if config.is_synthetic:
        yield "They may be used as gaaplib itself, and no photograph of a person went into them."
    else:
        yield (
            "gaaplib does not know the licence of the photographs. Before you pass on the model or figures, see what "
            "the data set's authors allow; most sets of this kind are for research alone."
        )


def _scores(run, metrics):
    if not any(metrics[protocol] for protocol in MEASURES):
        yield f"None: the run {metrics['status']} ({metrics['reason']})."
        return
    yield "| protocol | measure | score | by chance |"
    yield "|---|---|---|---|"
    for protocol, titles in MEASURES.items():
        for title in titles if metrics[protocol] else ():
            key = scores.PROTOCOLS[protocol][title][0]
            found, chance = scores.interval(run, protocol, title), metrics[protocol]["chance"][key]
            yield f"| {protocol} | {title} | {found} | {chance:.3f} |"
    yield ""
    for protocol, words in PROTOCOLS.items():
        if metrics[protocol]:
            yield f"- {protocol}: {words}."
    yield "- Brackets are 95 % intervals over people, for this one training."


def _limits(config, metrics):
    if config.is_synthetic:
        yield "- Synthetic images say nothing about photographs."
    yield f"- One training, seed {config.seed} and fold {config.fold}: another may score otherwise."
    yield "- It was scored on this data set alone. Other cameras, clothes and seasons usually cost much."
    if metrics["train_accuracy"] is not None:
        yield f"- It classifies {metrics['train_accuracy']:.1%} of its training images right."
    yield "- Nobody has tested whether it treats groups of people alike. Do not use it to decide about persons."


def _origin(config, provenance):
    changed = " ".join(f"{name}={value}" for name, value in config.changes().items())
    yield f"- profile `{config.profile}`" + (f", changed: `{changed}`" if changed else "")
    version = provenance["versions"].get("gaaplib", "")
    commit = f", commit {provenance['commit'][:10]}" if provenance["commit"] else ""
    dirty = " with changes" if provenance["dirty"] else ""
    yield f"- gaaplib {version}{commit}{dirty}, {provenance['backend']}, on {provenance['processor']}"
    minutes = provenance["seconds"].get("training", 0) / 60
    yield f"- {minutes:.0f} minutes of training, finished {provenance['finished'][:10]}"

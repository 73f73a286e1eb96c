"""The contents of the report: notebooks, runs, failures and claims, collected from the outputs and the project."""

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat

from gaaplib import runs
from gaaplib.paper import audit, claims, wording

RUN_ID = re.compile(r"[\w.+-]+_fold\d_seed\d+_[0-9a-f]{8}")

AUDIT = "10_paper_audit"
SHOWN_IN = {
    "attention helps": "04_attention_ablation",
    "attention adds 30 %": "04_attention_ablation",
    "average beats maximum": "05_pooling_ablation",
    "average adds 10 \u00b1 2 %": "05_pooling_ablation",
    "deeper is better": "03_backbones",
    "ResNet-50 averages 91.2 %": "03_backbones",
    "ResNet-50 is 10 % ahead": "03_backbones",
    "RPIfield is the best": "03_backbones",
    "VGG gains nothing": "04_attention_ablation",
    "it beats earlier methods": "08_sota_comparison",
    "it beats AGW": "08_sota_comparison",
    "the average is 84.12": "03_backbones",
    "it trains faster than triplet": "07_metric_learning",
    "it is competitive with triplet": "07_metric_learning",
    "it transfers": "09_cross_dataset",
    "the block adds little": "03_backbones",
    "it is lighter than metric learning": "07_metric_learning",
    "ResNet-18 suits real time": "03_backbones",
    "Table IV compares CMC": "08_sota_comparison",
}
"""The notebook that shows most about a claim; ``AUDIT`` has the verdict on each."""


@dataclass(frozen=True)
class Notebook:
    """A notebook of the report.

    Attributes:
        name: name of its page: that of the file, with the data set if it was executed for that alone.
        data: this data set, or an empty string.
        path: path of the file shown.
        origin: where the file comes from, as text.
        book: content of the notebook.
    """

    name: str
    data: str
    path: Path
    origin: str
    book: nbformat.NotebookNode

    @property
    def title(self):
        """The notebook's first heading, with the data set."""
        prose = "\n".join(cell.source for cell in self.book.cells if cell.cell_type == "markdown")
        found = re.search(r"^# +(.+)$", prose, re.MULTILINE)
        return (found[1] if found else self.name) + (f" ({self.data})" if self.data else "")

    @property
    def reads(self):
        """The ``run_id`` of every run named in the notebook's outputs, sorted."""
        texts = []
        for cell in self.book.cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                texts += [str(output.get("text", "")), str(data.get("text/plain", "")), str(data.get("text/html", ""))]
        return sorted(set(RUN_ID.findall("\n".join(texts))))

    @property
    def parameters(self):
        """Source code of the parameters that were passed to the notebook; None if it has its defaults."""
        given = [cell.source for cell in self.book.cells if "injected-parameters" in cell.metadata.get("tags", [])]
        return "\n".join(line for line in given[0].splitlines() if not line.startswith("#")) if given else None


def notebooks(project, outputs):
    """Return a :class:`Notebook` for each file in ``notebooks/``, executed if possible, and for each data set's own."""
    found = []
    for committed in sorted((project / "notebooks").glob("*.ipynb")):
        own = outputs / "notebooks" / committed.name
        book = _read(own) if own.is_file() else None
        if book is None:
            found.append(Notebook(committed.stem, "", committed, "as committed, with its outputs", _read(committed)))
        else:
            found.append(Notebook(committed.stem, "", own, _executed(own, outputs, book, committed), book))
        for path in sorted((outputs / "notebooks").glob(f"*/{committed.name}")):
            book = _read(path)
            if book is not None:
                data, origin = path.parent.name, _executed(path, outputs, book, committed)
                found.append(Notebook(f"{committed.stem}-{data}", data, path, origin, book))
    return found


def _read(path):
    """Return a notebook; None if the file is not a notebook, for example if it is cut off."""
    try:
        return nbformat.read(path, as_version=4)
    except ValueError:
        return None


def _executed(path, outputs, book, committed):
    words = f"executed: {Path('outputs') / path.relative_to(outputs)}"
    if _code(book) != _code(_read(committed)):
        words += "; the notebook has changed since"
    return words


def _code(book):
    """The code cells of a notebook without injected parameters."""
    added = "injected-parameters"
    cells = [cell for cell in book.cells if cell.cell_type == "code" and added not in cell.metadata.get("tags", [])]
    return [cell.source for cell in cells]


def all_runs(outputs, reference):
    """Return the finished runs under ``outputs``, and committed runs that are missing there: ``{run_id: Run}``."""
    found = {run.folder.name: run for folder in (reference, outputs) for run in runs.finished(folder)}
    return dict(sorted(found.items()))


def scores(run):
    """Return a run's row in the table of scores, as text; measures have their intervals."""
    metrics = run.metrics
    config = metrics["config"]
    if config["method"] == "histogram":
        # The histogram baseline has no network.
        config = config | dict.fromkeys(("backbone", "attention", "pooling"), "-")
    measured = (("closed", "mRA"), ("closed", "CMC(1)"), ("retrieval", "CMC(1)"), ("retrieval", "mAP"))
    return {
        "run": run.folder.name,
        "data": runs.data_name(metrics),
        **{f"{protocol} {title}": _score(run, metrics, protocol, title) for protocol, title in measured},
        **{name: config[name] for name in ("method", "backbone", "attention", "pooling", "fold", "seed")},
        "images": _images(metrics),
        **{name: config[name] for name in ("ap", "profile", "sampler", "alpha", "attention_at", "pool_over")},
    }


def _images(metrics):
    return "synthetic" if metrics["data"]["synthetic"] else "photographs"


def _score(run, metrics, protocol, title):
    scored, key = metrics[protocol], runs.PROTOCOLS[protocol][title][0]
    if scored is None:
        return metrics["status"] if metrics["status"] != "done" else "-"
    if not (run.folder / ("per_query.npz" if protocol == "retrieval" else "per_image.npz")).is_file():
        return f"{scored[key]:.3f}"
    found = runs.interval(run, protocol, title)
    return f"{found}{wording.CHANCE if wording.is_at_chance(found, scored['chance'][key]) else ''}"


def provenance(run):
    """Return a run's row in the table of origins, as text; "not recorded" for values that an older run lacks."""
    metrics = run.metrics
    origin = metrics["provenance"]
    commit = (origin["commit"] or "no commit")[:10] + (", changed since" if origin["dirty"] else "")
    stages = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in origin["seconds"].items())
    return {
        "run": run.folder.name,
        "commit": commit,
        "results": origin.get("results", "not recorded"),
        "made by": ", ".join(f"{name} {version}" for name, version in origin["versions"].items()),
        "on": f"{origin['processor']}, {origin['cores']} cores, {', '.join(map(str, origin['devices']))}",
        "precision": metrics["config"]["precision"],
        "seconds": f"{sum(origin['seconds'].values()):.0f} ({stages})",
        "finished": origin["finished"],
        "fingerprint of the images": metrics["data"]["fingerprint"][:16],
        "images": _images(metrics),
        "run_id": run.folder.name,
    }


@dataclass(frozen=True)
class Failure:
    """A notebook that failed: its ``name``, ``where`` it is, and its ``traceback`` without colours."""

    name: str
    where: str
    traceback: str


def failures(outputs):
    """Return the unfinished runs and the notebooks that stopped with an error: a list of :class:`Failure` by path."""
    kept = [path for path in outputs.glob("runs/*/notebook.ipynb") if not (path.parent / "metrics.json").exists()]
    found = []
    for path in sorted([*kept, *outputs.glob("notebooks/*.ipynb"), *outputs.glob("notebooks/*/*.ipynb")]):
        # Snakemake leaves an empty file in place of a log that was moved away; a killed graph does not remove it.
        if path.parent.name == "unfinished" and not path.stat().st_size and (path.parents[1] / path.name).exists():
            continue
        traceback = _traceback(path)
        if traceback is not None:
            name = path.parent.name if path.name == "notebook.ipynb" else path.stem
            found.append(Failure(name, str(Path("outputs") / path.relative_to(outputs)), traceback))
    return found


def _traceback(path):
    """The traceback of the last error in a notebook; None if it has no error."""
    book = _read(path)
    if book is None:
        return "the file is not a complete notebook: it was cut off while it was written"
    errors = [o for cell in book.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    return COLOURS.sub("", "\n".join(errors[-1].traceback)) if errors else None


COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def unfinished(outputs, failed):
    """Return the names of run folders without a result and without an error: running or interrupted."""
    named = {failure.name for failure in failed}
    folders = [path.parent for path in sorted(outputs.glob("runs/*/config.json"))]
    return [f.name for f in folders if not (f / "metrics.json").exists() and f.name not in named]


def unscored(found):
    """Return ``{run_id: "status: reason"}`` of the runs that diverged or collapsed, which counts as a result."""
    every = {run_id: run.metrics for run_id, run in found.items() if run.metrics["status"] in runs.WITHOUT_SCORES}
    return {run_id: f"{metrics['status']}: {metrics['reason']}" for run_id, metrics in every.items()}


def judged_claims(found):
    """Return the paper's claims with their evidence and the verdicts of ``10_paper_audit``.

    Args:
        found: ``{run_id: Run}``.

    Returns:
        A list of dicts, one per claim: its row of ``data/claims.csv`` and of :func:`gaaplib.paper.claims.judged`, and
        ``pairs``, its rows of :func:`gaaplib.paper.claims.evidence`.
    """
    evidence, judged = claims.decided(found.values())
    every = []
    for claim in audit.read("claims").itertuples():
        own = evidence[evidence.claim == claim.claim].drop(columns=["claim", "as_published"]).to_dict("records")
        every.append({**claim._asdict(), **judged.loc[claim.claim], "pairs": own})
    return every

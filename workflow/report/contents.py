"""What the report has to show: notebooks, runs, failures and claims, gathered from outputs and the project."""

import re
from dataclasses import dataclass
from pathlib import Path

import nbformat
import pandas as pd

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
"""The notebook that shows most of a claim; ``AUDIT`` has the verdict on each."""


@dataclass(frozen=True)
class Notebook:
    """A notebook of the report.

    Attributes:
        name: of its page: the file's, and the data's where it was executed for that alone.
        data: this, or nothing.
        path: of the file shown.
        origin: where that comes from, in words.
        book: its content.
    """

    name: str
    data: str
    path: Path
    origin: str
    book: nbformat.NotebookNode

    @property
    def title(self):
        """Its first heading, and the data."""
        prose = "\n".join(cell.source for cell in self.book.cells if cell.cell_type == "markdown")
        found = re.search(r"^# +(.+)$", prose, re.MULTILINE)
        return (found[1] if found else self.name) + (f" ({self.data})" if self.data else "")

    @property
    def reads(self):
        """The run_ids in what it prints and shows, sorted."""
        texts = []
        for cell in self.book.cells:
            for output in cell.get("outputs", []):
                data = output.get("data", {})
                texts += [str(output.get("text", "")), str(data.get("text/plain", "")), str(data.get("text/html", ""))]
        return sorted(set(RUN_ID.findall("\n".join(texts))))

    @property
    def parameters(self):
        """Source of its parameters as they were given; None where there are none or they are the defaults."""
        given = [cell.source for cell in self.book.cells if "injected-parameters" in cell.metadata.get("tags", [])]
        return "\n".join(line for line in given[0].splitlines() if not line.startswith("#")) if given else None


def notebooks(project, outputs):
    """A :class:`Notebook` for each file in ``notebooks/``, executed if it was, and for each data set with its own."""
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
    """A notebook; None where the file is no notebook, as one that is cut off."""
    try:
        return nbformat.read(path, as_version=4)
    except ValueError:
        return None


def _executed(path, outputs, book, committed):
    words = f"executed: {Path('outputs') / path.relative_to(outputs)}"
    if _code(book) != _code(_read(committed)):
        words += "; the notebook was changed since"
    return words


def _code(book):
    """The code of a notebook but for parameters that were put in."""
    added = "injected-parameters"
    cells = [cell for cell in book.cells if cell.cell_type == "code" and added not in cell.metadata.get("tags", [])]
    return [cell.source for cell in cells]


def all_runs(outputs, reference):
    """The finished runs under ``outputs`` and, where they are not there, of the committed ones: ``{run_id: Run}``."""
    found = {run.folder.name: run for place in (reference, outputs) for run in runs.finished(place)}
    return dict(sorted(found.items()))


def scores(run):
    """A run's row among the scores, as words; measures with their intervals."""
    metrics = run.metrics
    config = metrics["config"]
    if config["method"] == "histogram":
        # It has no network.
        config = config | dict.fromkeys(("backbone", "attention", "pooling"), "-")
    measured = (("closed", "mRA"), ("closed", "CMC(1)"), ("retrieval", "CMC(1)"), ("retrieval", "mAP"))
    return {
        "run": run.folder.name,
        "data": metrics["data"]["name"],
        **{name: config[name] for name in ("method", "backbone", "attention", "pooling", "fold", "seed")},
        **{f"{protocol} {title}": _score(run, metrics, protocol, title) for protocol, title in measured},
        "images": _images(metrics),
        **{name: config[name] for name in ("ap", "profile", "sampler", "alpha", "attention_at", "pool_over")},
    }


def _images(metrics):
    return "drawn (synthetic)" if metrics["data"]["synthetic"] else "photographs"


def _score(run, metrics, protocol, title):
    scored, key = metrics[protocol], runs.PROTOCOLS[protocol][title][0]
    if scored is None:
        return metrics["status"] if metrics["status"] != "done" else "-"
    if not (run.folder / ("per_query.npz" if protocol == "retrieval" else "per_image.npz")).is_file():
        return f"{scored[key]:.3f}"
    found = runs.interval(run, protocol, title)
    return f"{found}{wording.CHANCE if wording.is_at_chance(found, scored['chance'][key]) else ''}"


def provenance(run):
    """A run's row of where it comes from, as words; what an older run did not write down is "not written down"."""
    metrics = run.metrics
    origin = metrics["provenance"]
    commit = (origin["commit"] or "no commit")[:10] + (", changed since" if origin["dirty"] else "")
    stages = ", ".join(f"{stage} {seconds:.0f}" for stage, seconds in origin["seconds"].items())
    return {
        "run": run.folder.name,
        "commit": commit,
        "results": origin.get("results", "not written down"),
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
    """A notebook that came to no end: ``name``, ``where`` it is, and the ``traceback`` in it, without colours."""

    name: str
    where: str
    traceback: str


def failures(outputs):
    """Runs without a result, and notebooks, that stopped with an error: a list of :class:`Failure`, sorted by path."""
    kept = [path for path in outputs.glob("runs/*/notebook.ipynb") if not (path.parent / "metrics.json").exists()]
    found = []
    for path in sorted([*kept, *outputs.glob("notebooks/*.ipynb"), *outputs.glob("notebooks/*/*.ipynb")]):
        # Snakemake leaves an empty file where a log was, and was moved away; a graph that was killed does not clear up.
        if path.parent.name == "failed" and not path.stat().st_size and (path.parents[1] / path.name).exists():
            continue
        traceback = _traceback(path)
        if traceback is not None:
            name = path.parent.name if path.name == "notebook.ipynb" else path.stem
            found.append(Failure(name, str(Path("outputs") / path.relative_to(outputs)), traceback))
    return found


def _traceback(path):
    """The last error in a notebook; None without one."""
    book = _read(path)
    if book is None:
        return "the file is no whole notebook: it was cut off while it was written"
    errors = [o for cell in book.cells for o in cell.get("outputs", []) if o.output_type == "error"]
    return COLOURS.sub("", "\n".join(errors[-1].traceback)) if errors else None


COLOURS = re.compile(r"\x1b\[[0-9;]*m")


def unfinished(outputs, failed):
    """Names of run folders without a result and without an error: under way, or interrupted."""
    named = {failure.name for failure in failed}
    folders = [path.parent for path in sorted(outputs.glob("runs/*/config.json"))]
    return [f.name for f in folders if not (f / "metrics.json").exists() and f.name not in named]


def diverged(found):
    """``{run_id: reason}`` of the runs that diverged, which is a result."""
    every = {run_id: run.metrics for run_id, run in found.items()}
    return {run_id: metrics["reason"] for run_id, metrics in every.items() if metrics["status"] == "diverged"}


def judged_claims(found):
    """The paper's claims with their evidence, as ``10_paper_audit`` judges them.

    Args:
        found: ``{run_id: Run}``.

    Returns:
        A list of dicts, one a claim: what ``data/claims.csv`` and :func:`gaaplib.paper.claims.judged` say of it, and
        ``pairs``, the rows of :func:`gaaplib.paper.claims.evidence` behind the words.
    """
    said = audit.read("claims")
    printed = audit.read("paper_tables_1_2_3"), audit.read("paper_table_4")
    evidence = pd.concat([claims.counted(said), claims.evidence(said, found.values())], ignore_index=True)
    judged = claims.judged(said, evidence, audit.in_the_cells(said, *printed))
    every = []
    for claim in said.itertuples():
        own = evidence[evidence.claim == claim.claim].drop(columns=["claim", "as_published"]).to_dict("records")
        every.append({**claim._asdict(), **judged.loc[claim.claim], "pairs": own})
    return every

"""How planned runs learnt: accuracy and loss over epochs and seconds, and how soon an accuracy was reached."""

import pandas as pd

from gaaplib.paper import plan, wording

LOSSES = {"gaap": ("loss", "cross-entropy"), "triplet": ("pooled_loss", "batch-hard triplet loss")}
"""What the network of a method learns from: the column of its history, and a name. A probe's own loss is none of it."""

LEVELS = (0.1, 0.25, 0.5, 0.75)
"""Validation accuracies that are waited for."""

SETTING = (
    *("name", "dataset", "method", "attention", "run_id"),
    *("synthetic", "as_published", "status", "chance", "loss_name"),
)
CURVES = ("epoch", "seconds", "accuracy", "val_accuracy", "loss", "val_loss")


def curves(configs, outputs=None):
    """One row an epoch of each planned run; a run that is not there, or has no epoch, has one row without numbers.

    Args:
        configs: of the runs, such as ``Plan().methods()``.
        outputs: folder with ``runs/``; None: :func:`gaaplib.project.outputs_folder`.

    Returns:
        A DataFrame: ``name`` of the run in words, ``dataset``, ``method``, ``attention``, ``run_id``, ``synthetic``,
        ``as_published`` as of :func:`gaaplib.paper.tables.scores`, ``status`` (done, diverged, not run), ``chance`` of
        an accuracy, ``loss_name``; ``epoch``, ``seconds`` since the start, ``accuracy`` and ``val_accuracy`` (share of
        images), ``loss`` and ``val_loss``: what the network learns from.
    """
    finished = plan.done(configs, outputs)
    rows = [row for config in configs for row in _rows(config, finished.get(config.run_id))]
    return pd.DataFrame(rows, columns=[*SETTING, *CURVES])


def name(config):
    """What a run is called in these figures: its method, and whether with attention."""
    return f"{config.method} {'without' if config.attention == 'none' else 'with'} attention"


def _rows(config, run):
    loss, loss_name = LOSSES[config.method]
    setting = {column: getattr(config, column) for column in ("dataset", "method", "attention", "run_id")}
    setting |= {
        "name": name(config),
        "loss_name": loss_name,
        "synthetic": config.is_synthetic,
        "status": wording.MISSING,
    }
    if run is None:
        return [setting]
    metrics, history = run.metrics, run.history
    identities = metrics["counts"].get("train", {}).get("identities")
    setting |= {"status": metrics["status"], "chance": identities and 1 / identities}
    setting["as_published"] = metrics["data"]["as_published"]
    # Of several outputs each has its own accuracy and loss.
    prefix = "logits_" if "logits_accuracy" in history else ""
    columns = ["epoch", "seconds", f"{prefix}accuracy", f"val_{prefix}accuracy", loss, f"val_{loss}"]
    epochs = history.reindex(columns=columns).set_axis(list(CURVES), axis=1)
    return [setting | epoch for epoch in epochs.to_dict("records")] or [setting]


def reached(found, levels=LEVELS):
    """When each run first reached each of some validation accuracies.

    Args:
        found: DataFrame of :func:`curves`.
        levels: as fractions.

    Returns:
        A DataFrame, a row a run and level: ``name``, ``level``, ``status``, ``epoch`` and ``seconds`` (NaN where it was
        not reached), and both in ``words``.
    """
    rows = []
    for level in levels:
        for called, run in found.groupby("name", sort=False):
            there, status = run[run.val_accuracy >= level], run.status.iloc[0]
            first = there.iloc[0] if len(there) else None
            missed = "not reached" if status == "done" else status
            words = missed if first is None else f"epoch {first.epoch:.0f}, {first.seconds:.0f} s"
            when = (None, None) if first is None else (first.epoch, first.seconds)
            rows.append((called, level, status, *when, words))
    columns = ["name", "level", "status", "epoch", "seconds", "words"]
    return pd.DataFrame(rows, columns=columns).astype({"epoch": float, "seconds": float})


def in_order(soon):
    """A sentence a level on who reached it, the fewest seconds first, and who did not.

    Args:
        soon: DataFrame of :func:`reached`.
    """
    sentences = []
    for level, runs in soon.groupby("level"):
        ordered = runs.dropna(subset="epoch").sort_values("seconds", kind="stable")
        said = [f"first {ordered.name.iloc[0]} ({ordered.words.iloc[0]})" if len(ordered) else "no run"]
        said[0] += f", then {', '.join(ordered.name[1:])}" if len(ordered) > 1 else ""
        for words, others in runs[runs.epoch.isna()].groupby("words", sort=False):
            said.append(f"{words}: {', '.join(others.name)}")
        sentences.append(wording.filled(f"validation accuracy {level:g}: {'; '.join(said)}"))
    return sentences


def summary(found):
    """What the epochs of each run came to, in words.

    Args:
        found: DataFrame of :func:`curves`.

    Returns:
        A DataFrame by ``name``: epochs, seconds in all and of an epoch (median, range), the best validation accuracy
        with its epoch, and the last accuracy on training images; only ``status`` where there are none.
    """
    rows = {}
    for called, run in found.groupby("name", sort=False):
        row, run = {"status": run.status.iloc[0]}, run.dropna(subset="epoch")
        if len(run):
            each = run.seconds.diff().fillna(run.seconds)
            row |= {"epochs": f"{len(run)}", "seconds": f"{run.seconds.iloc[-1]:.0f}"}
            row["seconds an epoch"] = f"{each.median():.1f} ({each.min():.1f} to {each.max():.1f})"
            row["training accuracy, last"] = f"{run.accuracy.iloc[-1]:.3f}"
        if run.val_accuracy.notna().any():
            best = run.loc[run.val_accuracy.idxmax()]
            row["validation accuracy, best"] = f"{best.val_accuracy:.3f} (epoch {best.epoch:.0f})"
        rows[called] = row
    return pd.DataFrame.from_dict(rows, orient="index").fillna("").rename_axis("run")


def machines(configs, outputs=None):
    """A sentence on the processors that the seconds are of.

    Args:
        configs, outputs: as of :func:`curves`.
    """
    origins = [run.metrics["provenance"] for run in plan.done(configs, outputs).values()]
    named = [f"{it['processor']}, {it['cores']} cores, {', '.join(it['devices'])}" for it in origins]
    counts = pd.Series(named, dtype=object).value_counts(sort=False)
    said = "; ".join(f"{count} of {len(configs)} runs on {machine}" for machine, count in counts.items())
    return f"seconds measured in {said}" if said else "no run is there: no seconds were measured"


def caption(found):
    """What has to stand at the curves: what an accuracy is, on which images.

    Args:
        found: DataFrame of :func:`curves`.
    """
    measure = "accuracy: share of images whose identity, one that was trained on, has the highest score"
    return f"{measure}; on {wording.images(found)}"

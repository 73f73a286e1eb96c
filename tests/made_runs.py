"""Run folders with made-up scores, for tests of code that reads runs."""

import numpy as np

from gaaplib import runs
from gaaplib.config import RunConfig
from gaaplib.methods import METHODS

AP = np.linspace(0, 1, 40)


def write_run(outputs, ap, first_hit=None, pid=None, valid=None, mAP=0.5, profile="smoke", **changes):
    """A finished run folder with made-up scores."""
    run = runs.begin(RunConfig(profile, **changes), outputs)
    ap = np.asarray(ap, float)
    count = len(ap)
    pid = np.arange(count) // 2 if pid is None else pid
    np.savez(
        run.folder / "per_query.npz",
        ap=ap,
        inp=ap / 2,
        first_hit=np.ones(count) if first_hit is None else first_hit,
        valid=np.ones(count, bool) if valid is None else valid,
        pid=pid,
        camid=np.ones(count, int),
        row=np.arange(count),
    )
    chance = {"mAP": 0.1, "mINP": 0.05, "cmc1": 0.1, "cmc5": 0.3}
    finish(run, retrieval={"mAP": mAP, "mINP": 0.2, "cmc1": 0.6, "cmc5": 0.8, "ap": "step", "chance": chance})
    return run


def finish(run, **changes):
    arguments = {
        "status": "done",
        "reason": None,
        "counts": {},
        "closed": None,
        "retrieval": None,
        "data": {"fingerprint": "f", "undecodable": 0, "as_published": True},
        "partnered": float("nan"),
        "train_accuracy": None,
        "seconds": {"training": 2.0},
    }
    runs.finish(run, **{**arguments, **changes})


def with_history(run, **columns):
    lines = [",".join(["epoch", *columns])]
    lines += [",".join(map(str, row)) for row in zip((1, 2), *columns.values(), strict=True)]
    (run.folder / "history.csv").write_text("\n".join(lines) + "\n")
    return run


def scored(outputs, ap=AP, **changes):
    """A finished run with made-up scores and history."""
    return with_history(write_run(outputs, ap, **changes), loss=(2.0, 1.0), val_accuracy=(0.1, 0.5), seconds=(1, 2))


def hits(share, count=60):
    """First hits of which this share is 1, for the same queries in each call."""
    return np.where(np.arange(count) < share * count, 1, 5)


def pair(outputs, ours, theirs, **changes):
    """A run with attention and one without, on the same 60 queries of 60 identities."""
    for attention, share in (("class", ours), ("none", theirs)):
        write_run(outputs, np.full(60, share), first_hit=hits(share), pid=np.arange(60), attention=attention, **changes)
    return runs.finished(outputs)


def write_model(outputs, **changes):
    """A finished run whose model was never trained, with made-up scores."""
    run = write_run(outputs, [0.25, 0.75], **changes)
    METHODS[run.config.method](run.config, 4).save(run.folder)
    return run


CHANCE = {"mRA": 0.1, "mAP": 0.2, "cmc1": 0.1, "cmc5": 0.3, "mINP": 0.1}


def leave(config, outputs, right=0.5, status="done", learnt=None):
    """A finished run of 20 identities with two images and two queries each; the first ``right`` of them are correct."""
    run = runs.begin(config, outputs)
    pid = np.repeat(np.arange(20), 2)
    hit = pid < 20 * right
    same = {"pid": pid, "camid": np.ones(40, int), "row": np.arange(40), "valid": np.ones(40, bool)}
    np.savez(run.folder / "per_query.npz", ap=hit * 1.0, inp=hit * 0.5, first_hit=np.where(hit, 1, 9), **same)
    np.savez(run.folder / "per_image.npz", rank=np.where(hit, 1, 9), pid=pid, row=np.arange(40))
    retrieval = {"chance": CHANCE, "num_valid_queries": 40, "ap": "step"} if status == "done" else None
    closed = {"chance": CHANCE, "num_images": 40} if retrieval and config.train_dataset is None else None
    finish(run, status=status, closed=closed, retrieval=retrieval, partnered=0.4, train_accuracy=learnt)
    return run

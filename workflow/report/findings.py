"""The three findings of the first page: a sentence and a figure each."""

import matplotlib.pyplot as plt
import pandas as pd

from gaaplib.paper import audit, photographs, published_plots, table_plots, tables, why


def write(outputs, folder):
    """Write the figures, and return the findings: dicts of a title, sentences, a figure and its words, and a notebook.

    Args:
        outputs: folder with the runs.
        folder: where the figures go.
    """
    constant, *block, ranking = photographs.front(outputs)
    found = [
        {
            "title": "The printed tables",
            "sentences": [constant],
            "figure": _constant(),
            "shown": "Differences of the paper's tables, cell by cell; one panel has one colour.",
            "notebook": "10_paper_audit",
        },
        {
            "title": "The attention block",
            "sentences": [*block, *why.start(outputs)],
            "figure": _block(outputs),
            "shown": "With the block minus without, each with its 95 % interval.",
            "notebook": "04_attention_ablation",
        },
        {
            "title": "The methods of Table IV",
            "sentences": [ranking],
            "figure": _ranking(outputs),
            "shown": "The methods' order as measured, as Table IV prints it, and by their own papers.",
            "notebook": "08_sota_comparison",
        },
    ]
    for number, one in enumerate(found, 1):
        figure, one["figure"] = one["figure"], f"finding-{number}.png"
        figure.savefig(folder / one["figure"], metadata={"Software": None})
        plt.close(figure)
    return found


def _constant():
    printed = audit.read("paper_tables_1_2_3")
    without = audit.cells(printed, table="II", attention="none")
    steps = {
        "Table II: attention minus none": audit.cells(printed, table="I"),
        "Table III, maximum, minus Table II, none": audit.cells(printed, table="III", pooling="max"),
    }
    return published_plots.offsets({name: audit.grid(audit.differences(without, one)) for name, one in steps.items()})


def _block(outputs):
    measures = {
        "closed mRA": ("split", photographs.CLOSED),
        "retrieval mAP": ("split", photographs.RETRIEVAL),
        "retrieval mAP, all images": ("all", photographs.RETRIEVAL),
    }
    rows = []
    for name, (images, measure) in measures.items():
        gained = tables.gains(photographs.pairs(images), "attention", "class", "none", *measure, outputs)
        rows.append(gained.set_index(pd.Index([f"{name}, seed {seed}" for seed in gained.seed])))
    started = why.starts(outputs)["no block"]
    rows.append(
        started.set_index(pd.Index([f"the same, starts as the identity, seed {seed}" for seed in started.index]))
    )
    return table_plots.forest({photographs.WHERE: pd.concat(rows)}, xlabel="class minus none (fraction)")


def _ranking(outputs):
    beside = photographs.beside_published(outputs).rename({photographs.SOFTMAX: "softmax"})
    return published_plots.three_rankings(beside, measured="mAP on CUHK03")

"""What came out where something hides a part of the person: methods made for that, beside the plain classifier.

All images are synthetic: the twins of Partial-iLIDS and of Market-1501 with occluded queries, with models trained on
Market-1501's twin.
"""

import pandas as pd

from gaaplib.paper import committed, plan, tables, wording

RETRIEVAL = ("retrieval", "mAP")


def scores(outputs=None):
    """Return one row per method: retrieval mAP on both twins, and how far it is ahead of softmax, as text.

    Softmax is GAAP's network without its block. Differences are paired, query by query; brackets are 95 % intervals.

    Returns:
        A DataFrame with the index ``method`` and two columns per twin.
    """
    asked = committed.occluded()
    finished = plan.done(asked, outputs)
    found = tables.scores(asked, *RETRIEVAL, outputs)
    found["words"] = wording.in_words(found).to_numpy()
    rows = {}
    for config, row in zip(asked, found.itertuples(), strict=True):
        first = next(each for each in asked if each.dataset == config.dataset)
        pair = finished.get(config.run_id), finished.get(first.run_id)
        ahead = tables.difference_in_words(*pair, *RETRIEVAL) if config is not first else ""
        where = f"synthetic-{config.dataset}" + (f"-{config.variant}" if config.variant else "")
        both = {f"{where}: mAP": row.words, f"{where}: minus softmax": ahead}
        rows.setdefault(name(config), {}).update(both)
    return pd.DataFrame.from_dict(rows, orient="index").rename_axis("method")


def name(config):
    """What a row is called: the method, and the key points' noise if there is any."""
    if config.method == "gaap":
        return "softmax" if config.attention == "none" else "gaap"
    return f"{config.method} ({config.options})" if config.options else config.method

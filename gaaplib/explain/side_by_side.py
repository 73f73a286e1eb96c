"""Pictures of several runs on the same queries: their rankings, and their heat maps in one figure."""

import numpy as np

from gaaplib.explain import heatmaps, lookup
from gaaplib.explain import plots as map_plots


def indices(named, *, outputs=None):
    """The index of each run that has a model here, and a sentence on each of the others.

    Args:
        named: ``{name: Run}``, all scored on the same queries.
        outputs: as for :meth:`gaaplib.explain.lookup.Index.of_run`.

    Returns:
        ``{name: Index}``, and a list of sentences.

    Raises:
        FileNotFoundError, ValueError: as :meth:`gaaplib.explain.lookup.Index.of_run`.
    """
    found, without = {}, []
    for name, run in named.items():
        if run.has_model():
            found[name] = lookup.Index.of_run(run, outputs=outputs)
        else:
            without.append(f"no pictures of {name}: there is no model in {run.folder.name}")
    return found, without


def rankings(found, query, kind=None, *, top=10, ap=None):
    """A figure for each run: one query with the images that the run ranks nearest, and heat maps below them.

    Args:
        found: ``{name: Index}`` of :func:`indices`.
        query: index of a query.
        kind: of the maps, as in :func:`gaaplib.explain.heatmaps.heatmap`; None: images only, as for a run without maps.
        top: number of gallery images, at most.
        ap: ``{name: AP of the query}``, for the titles; None: not shown.
    """
    figures = []
    for name, index in found.items():
        title = f"{name}, AP {ap[name]:.2f}" if ap is not None and name in ap else name
        shown = kind if index.has_maps else None
        figures.append(lookup.ranking_sheet(index, query, shown, top=top, name=title))
    return figures


def heat_maps(found, queries, kind):
    """A figure with one row per query: the image and the map of each run that has maps; None if no run has.

    A run whose map would be the same for each image, as the attention received is without attention, is left out; the
    title names it.

    Args:
        found: ``{name: Index}`` of :func:`indices`.
        queries: indices of queries.
        kind: as in :func:`gaaplib.explain.heatmaps.heatmap`. For ``"gradcam_match"``, each query is compared with the
            nearest gallery image that shows the same person, or with the nearest of all if none does.
    """
    able = {name: index for name, index in found.items() if index.has_maps}
    flat = {name: heatmaps.why_flat(index.model, kind) for name, index in able.items()}
    able = {name: index for name, index in able.items() if not flat[name]}
    if not able:
        return None
    first = next(iter(able.values()))
    labels = [first.queries.persons[query] for query in queries]
    images, maps = first.queries.pixels(queries), {}
    for name, index in able.items():
        own = index.queries.seen(np.asarray(queries))
        maps[name] = index.maps(own, kind, others=_others(index, queries))
    title = "\n".join(f"{kind} left out of {name}: {why}" for name, why in flat.items() if why) or None
    return map_plots.map_sheet(images, maps, labels=labels, title=title, synthetic=first.is_synthetic)


def _others(index, queries):
    """For each query the nearest gallery image of its person from another camera, or the nearest if there is none."""
    chosen = []
    for query in queries:
        ranking = index.rank(int(query), top=len(index.gallery.rows))
        matches = [place for place, state in zip(ranking.places, ranking.states, strict=True) if state == "match"]
        chosen.append(matches[0] if matches else ranking.places[0])
    return index.gallery.seen(np.array(chosen))

"""The space of embeddings that a model has learnt: two numbers that need no projection, and projections to look at.

A projection to the plane cannot keep all distances, and t-SNE and UMAP make groups look tidier than they are. So what
is claimed of a space is claimed by the numbers; the projections illustrate it.
"""

from dataclasses import dataclass
from functools import cached_property
from importlib import util

import numpy as np
import pandas as pd
from sklearn.decomposition import PCA
from sklearn.manifold import TSNE
from sklearn.metrics import silhouette_samples

from gaaplib.datasets.records import DISTRACTOR, UNKNOWN_CAMERA
from gaaplib.distances import pairwise_distances
from gaaplib.explain import run_maps
from gaaplib.runs.data import Data, check_images, load_data
from gaaplib.training import fit

NEIGHBOURS = 30
"""t-SNE's perplexity, and twice UMAP's neighbours, if there are images enough."""

PROJECTIONS = ("PCA", "t-SNE", "UMAP")


@dataclass(frozen=True, eq=False)
class Space:
    """Embeddings of some test images, and whom these show.

    Attributes:
        embeddings: float (n, dim). Distances here are Euclidean. Embeddings that are compared by the cosine have length
            1, so that both order images alike.
        table: DataFrame of n rows with ``pid``, ``camid``, ``path``, and ``row``, the image's row in the store.

    Example:
        >>> table = pd.DataFrame({"pid": [1, 1, 2, 2], "camid": [1, 2, 1, 2]})
        >>> space = Space(np.array([[0.0], [1.0], [4.0], [5.0]]), table)
        >>> round(space.silhouette, 3), space.camera_share, space.camera_share_by_chance
        (0.746, 0.5, 0.5)
    """

    embeddings: np.ndarray
    table: pd.DataFrame

    @property
    def has_cameras(self):
        """Whether the cameras are known. If not, there is no camera share."""
        return bool((self.table.camid != UNKNOWN_CAMERA).all())

    @property
    def labels(self):
        """The table's ``path``, ``pid`` and, if the cameras are known, ``camid``."""
        return self.table[["path", "pid", "camid"] if self.has_cameras else ["path", "pid"]]

    def contents(self, kind="images"):
        """How many images there are, of how many people and cameras, in words.

        Args:
            kind: what the images are called.
        """
        cameras = f"{self.table.camid.nunique()} cameras" if self.has_cameras else "cameras unknown"
        return f"{len(self.table)} {kind} of {self.table.pid.nunique()} people, {cameras}"

    @cached_property
    def distances(self):
        """(n, n), infinite between an image and itself."""
        found = pairwise_distances(self.embeddings, self.embeddings, "euclidean")
        np.fill_diagonal(found, np.inf)
        return found

    @cached_property
    def silhouettes(self):
        """The silhouette of each image by identity, from -1 to 1 (Rousseeuw 1987).

        It compares the mean distance to the images of the same person, a, with that to the nearest other person, b:
        ``(b - a) / max(a, b)``. Below 0, another person is nearer.
        """
        return silhouette_samples(self.embeddings, self.table.pid)

    @property
    def silhouette(self):
        """The mean of the silhouettes."""
        return float(self.silhouettes.mean())

    @property
    def camera_share(self):
        """The share of images whose nearest image of another person is from the same camera."""
        camids = self.table.camid.to_numpy()
        return float((camids[self._nearest(~self._same("pid"))] == camids).mean())

    @property
    def camera_share_by_chance(self):
        """What the share would be if the nearest image were any of another person: the mean over the images."""
        others = ~self._same("pid")
        return float(((self._same("camid") & others).sum(axis=1) / others.sum(axis=1)).mean())

    def _same(self, column):
        """bool (n, n): whether two images have the same value."""
        values = self.table[column].to_numpy()
        return values[:, None] == values[None, :]

    def _nearest(self, among):
        """(n,): the nearest image of each, among those that a bool (n, n) allows."""
        return np.where(among, self.distances, np.inf).argmin(axis=1)

    def projections(self, seed=0, names=PROJECTIONS):
        """Return projections to the plane, ``{name: (n, 2)}``: PCA, t-SNE and, if umap-learn is installed, UMAP.

        Args:
            seed: of all three.
            names: those of ``PROJECTIONS`` that are wanted.

        Raises:
            ValueError: a name that is none of these.
        """
        unknown = [name for name in names if name not in PROJECTIONS]
        if unknown:
            raise ValueError(f"projection {unknown[0]!r} is not known; known: {', '.join(PROJECTIONS)}")
        few = max(2.0, min(NEIGHBOURS, (len(self.table) - 1) / 3))
        makers = {"PCA": PCA(2, random_state=seed), "t-SNE": TSNE(2, perplexity=few, random_state=seed)}
        if "UMAP" in names and util.find_spec("umap"):
            from umap import UMAP

            makers["UMAP"] = UMAP(n_neighbors=max(2, int(few / 2)), random_state=seed, n_jobs=1)
        return {name: maker.fit_transform(self.embeddings) for name, maker in makers.items() if name in names}

    def outliers(self, count=8):
        """Return the images that lie farthest from their own person, the lowest silhouette first.

        Returns:
            A DataFrame with the index of the image in the table, and the columns ``silhouette``, ``same`` and
            ``other``: the index of the nearest image of the same person and of another one.
        """
        own = self._same("pid")
        nearest = {"same": self._nearest(own), "other": self._nearest(~own)}
        table = pd.DataFrame({"silhouette": self.silhouettes} | nearest)
        return table.sort_values("silhouette", kind="stable").head(count)

    def sentence(self):
        """Both numbers in words; the silhouette alone if the cameras are unknown."""
        silhouette = f"silhouette by identity {self.silhouette:+.3f}"
        if not self.has_cameras:
            return f"{silhouette}; the cameras are unknown, so there is no camera share"
        return (
            f"{silhouette}; for {self.camera_share:.0%} of the images the nearest of another person is from the same "
            f"camera (by chance {self.camera_share_by_chance:.0%})"
        )


def people(data, count=None):
    """Return the test images of some people: those with images of several cameras, at equal steps of the identities.

    If the data has no cameras, they are the people with several images.

    Args:
        data: the :class:`gaaplib.runs.data.Data` of a run.
        count: number of people, at most; None: all of them.

    Raises:
        ValueError: fewer than two people are asked for, or have images of several cameras (several images).
    """
    if count is not None and count < 2:
        raise ValueError(f"{count} people: a space needs at least 2, to see whether they are apart")
    table = pd.concat([data.part("query"), data.part("gallery")]).drop_duplicates("row")
    table = table[table.pid != DISTRACTOR]
    known = table.camid != UNKNOWN_CAMERA
    if known.any():
        table, counted, what = table[known], "camid", "test images of several cameras"
    else:
        counted, what = "row", "several test images"
    seen = table.groupby("pid")[counted].nunique()
    found = seen.index[seen > 1].to_numpy()
    if len(found) < 2:
        raise ValueError(f"{len(found)} people have {what}: a space needs at least 2")
    chosen = found[np.linspace(0, len(found) - 1, min(count or len(found), len(found))).round().astype(int)]
    return table[table.pid.isin(chosen)].sort_values(["pid", "camid", "row"], kind="stable", ignore_index=True)


def of_runs(named, count=None, outputs=None):
    """Return the spaces of finished runs on the same test images, and that of the first one's network before training.

    Args:
        named: ``{name: Run}``.
        count: number of people, at most, as in :func:`people`.
        outputs: as for :func:`gaaplib.runs.data.load_data`.

    Returns:
        ``{name: Space}``, "before training" first; and the images, uint8 (n, height, width, 3).

    Raises:
        ValueError: a run was scored on other images; what :func:`people` refuses.
    """
    config = next(iter(named.values())).config
    data = load_data(config, outputs=outputs)
    for run in named.values():
        check_images(run, data)
    table, models = people(data, count), {name: run.model() for name, run in named.items()}
    models = {"before training": run_maps.untrained(config, next(iter(models.values()))), **models}
    found = {name: of_model(model, data, table, config.distance) for name, model in models.items()}
    return found, data.store.images[table.row.to_numpy()]


def of_model(model, data: Data, table, distance="cosine"):
    """Return the :class:`Space` of a model.

    Args:
        model: from images to a dict with ``"embedding"``.
        data: the images.
        table: rows of them, as :func:`people` chooses them.
        distance: what the run compares by, ``"cosine"`` or ``"euclidean"``.
    """
    found = np.asarray(fit.embed(model, data.inputs, table.row.to_numpy())["embedding"], np.float32)
    if distance == "cosine":
        found = found / np.linalg.norm(found, axis=1, keepdims=True)
    return Space(found, table)

"""The images of a configuration: read or generated, decoded, split into roles."""

import hashlib
import warnings
from dataclasses import dataclass
from functools import cached_property, partial
from pathlib import Path

import numpy as np
import pandas as pd

from gaaplib import options
from gaaplib.config import SYNTHETIC
from gaaplib.datasets import DATASETS, duplicates, keypoints, masks, published, read, splits, synthetic
from gaaplib.datasets.images import ImageStore, files_key, open_store
from gaaplib.datasets.inputs import Inputs
from gaaplib.datasets.records import beside_expected
from gaaplib.project import locked, outputs_folder


@dataclass(frozen=True)
class Data:
    """The images of a configuration and their roles.

    Attributes:
        root: folder with the files.
        store: the decoded images.
        table: the store's records with their ``role`` (train, val, test, query, gallery) and, for the roles of the
            closed protocol, their ``label`` (from 0, in the order of the identities; -1 elsewhere).
        as_published: whether these are photographs with the counts of the published data set.
        beside: ``{name: array (n, ...)}`` of what the method's network sees, or learns from, beside each image of the
            store.
        beside_files: :func:`beside_now` when they were read.
        copies: queries whose file equals that of a gallery image of their identity, byte for byte; see
            :func:`gaaplib.datasets.duplicates.same_bytes`.
    """

    root: Path
    store: ImageStore
    table: pd.DataFrame
    as_published: bool
    copies: pd.DataFrame
    beside: dict
    beside_files: str | None

    @property
    def inputs(self):
        """What the method's network sees: the store's images, with what is beside them if there is anything."""
        return Inputs(self.store.images, self.beside) if self.beside else self.store.images

    @cached_property
    def beside_fingerprints(self):
        """SHA-256 of each array of ``beside``, ``{name: text}``: equal key points or masks have equal fingerprints."""
        return {name: hashlib.sha256(np.ascontiguousarray(array)).hexdigest() for name, array in self.beside.items()}

    def part(self, role):
        """The rows of the table with this role."""
        return self.table[self.table.role == role]

    @property
    def num_classes(self):
        """Number of training identities; 0 if there is no training set."""
        return int(self.table.label.max()) + 1


def load_data(config, *, outputs=None, progress=False):
    """Read or generate the images of a configuration, decode and split them.

    Args:
        config: a :class:`gaaplib.config.RunConfig`.
        outputs: folder with ``cache/``; None: :func:`gaaplib.project.outputs_folder`.
        progress: show bars.

    Returns:
        :class:`Data`.

    Raises:
        FileNotFoundError, ValueError: the folder is not what the data set's parser expects; the message says what is.
    """
    cache = Path(outputs or outputs_folder()) / "cache"
    dataset = DATASETS[config.dataset]
    if config.data == SYNTHETIC:
        root = _draw(config, cache, progress)
        found = dataset.read(root, expected=None)
    else:
        root, found = _read(config.dataset, config.data, config.variant, config.pattern)
    # Images within one file, as RAiD's, are read by the data set's own module.
    read_members = partial(dataset.images, root) if hasattr(dataset, "images") else None
    folder = root.parent if root.is_file() else root
    size = (config.height, config.width)
    store = open_store(folder, found, *size, cache, read_members=read_members, progress=progress)
    table = splits.protocol_split(
        store.records, fold=config.fold, seed=config.seed, training_images=config.training_images
    )
    copies = duplicates.same_bytes(folder, table)
    _warn_of_copies(copies, folder)
    # Before they are read: files that change meanwhile are others later.
    beside_files = beside_now(config)
    beside = {name: _BESIDE[name](config, root, folder, store) for name in options.needs(config.method)}
    if "masks" in options.beside(config.method, config.options):
        beside |= _masks_to_learn_from(config, root, folder, store, table, progress)
    return Data(folder, store, _with_labels(table), _is_as_published(config, root, found), copies, beside, beside_files)


def _keypoints(config, root, folder, store):
    """The key points of the images of the store, float32 (n, 17, 3); of twins with noise if the options say so."""
    dataset = DATASETS[config.dataset]

    def members(_, paths):
        return [(image.height, image.width) for image in dataset.images(root, paths)]

    found = keypoints.of_store(folder, store, members if hasattr(dataset, "images") else keypoints.image_sizes)
    if options.parsed(config.method, config.options)["noise"] == "network":
        found = keypoints.noisy(found, np.random.default_rng(config.seed))
    return found


_BESIDE = {"keypoints": _keypoints}


def _masks_to_learn_from(config, root, folder, store, table, progress):
    """The masks of the images that are trained on, as ``{"masks": uint8 (n, height, width)}``; nothing if none are."""
    wanted = table.row[table.role.isin(["train", "val"])]
    dataset = DATASETS[config.dataset]
    if wanted.empty:
        return {}
    found = partial(dataset.masks, root) if hasattr(dataset, "masks") else partial(masks.of_files, folder)
    return {"masks": masks.of_store(store, wanted, found, progress=progress)}


def files_now(dataset, data, variant=None, pattern=None):
    """SHA-256 over the names, sizes and times of a copy's files (:func:`gaaplib.datasets.images.files_key`).

    None for synthetic images: the code makes them, and ``RESULTS`` is raised if they change.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_data`.
    """
    if data == SYNTHETIC:
        return None
    with warnings.catch_warnings():
        # Of the data set itself: said when a run is made.
        warnings.simplefilter("ignore")
        root, found = _read(dataset, data, variant, pattern)
    folder, members = root.parent if root.is_file() else root, hasattr(DATASETS[dataset], "images")
    return files_key(folder, found.path.tolist(), members=members)


def beside_now(config):
    """SHA-256 over the names, sizes and times of the files that a run's method reads beside the images of a copy.

    None if it reads none, and for synthetic images, as in :func:`files_now`.
    """
    wanted = options.beside(config.method, config.options)
    if config.data == SYNTHETIC or not wanted:
        return None
    root = Path(config.data)
    folder = root.parent if root.is_file() else root
    files = [folder / keypoints.FILE] if "keypoints" in wanted else []
    files += sorted((folder / masks.FOLDER).rglob("*")) if "masks" in wanted else []
    # One that is missing makes another key, and is refused where it is read.
    return files_key(folder, [str(file.relative_to(folder)) for file in files if file.is_file()])


def same_images(run, *, outputs=None, now=files_now):
    """Whether the images that a finished run was scored on, and what its method read beside them, are still the same.

    The names, sizes and times of the files are compared first, and what is in them only if these differ.

    Args:
        run: a finished :class:`gaaplib.runs.Run`.
        outputs: as for :func:`load_data`.
        now: :func:`files_now`, or a cached form of it if many runs are asked for at once.

    Raises:
        FileNotFoundError, ValueError: as :func:`load_data`.
    """
    metrics, config = run.metrics, run.config
    names = ("dataset", "data", "variant", "pattern")
    noted, made_from = metrics["data"], (metrics["config"].get(name) for name in names)
    if now(*made_from) == noted.get("files") and beside_now(config) == noted.get("beside_files"):
        return True
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        data = load_data(config, outputs=outputs)
    same = data.store.fingerprint == noted["fingerprint"]
    return same and (config.data == SYNTHETIC or data.beside_fingerprints == noted.get("beside", {}))


def check_images(run, data):
    """Refuse images, key points or masks that a run was not scored on: its scores do not belong to them.

    Of what is beside the images, that is compared which both the run and the data have.

    Args:
        run: a finished :class:`gaaplib.runs.Run`.
        data: :class:`Data`.

    Raises:
        ValueError: they differ.
    """
    noted, scores, queries = run.metrics["data"], run.per_query, data.part("query")
    same = noted["fingerprint"] == data.store.fingerprint or noted.get("files") == data.store.files
    if not same or not all(np.array_equal(scores[name], queries[name]) for name in ("pid", "camid", "row")):
        raise ValueError(f"{run.folder.name} was scored on other images than {data.root} now holds: repeat the run")
    for name in noted.get("beside", {}).keys() & data.beside.keys():
        if noted["beside"][name] != data.beside_fingerprints[name]:
            raise ValueError(f"{run.folder.name} was made with other {name} than {data.root} now holds: repeat the run")


def _read(dataset, data, variant, pattern):
    """The root of a copy on disk, and its records."""
    root = Path(data).expanduser()
    return root, read(dataset, root, variant, pattern)


def _draw(config, cache, progress):
    """The folder of the data set's synthetic twin, which is generated if it is missing."""
    if config.dataset not in synthetic.SPECS:
        twins = ", ".join(synthetic.SPECS)
        raise ValueError(f"dataset={config.dataset!r} has no synthetic twin, only {twins} have: give data=FOLDER")
    variant = f"-{config.variant}" if config.variant else ""
    name = f"{SYNTHETIC}-{config.dataset}-{config.scale:g}{variant}-v{synthetic.VERSION}"
    # Two runs that start at once would write into one folder.
    with locked(cache / f"{name}.lock", f"generating {name}"):
        spec = synthetic.spec_for(config.dataset, config.scale, config.variant)
        return synthetic.write(cache / name, spec, progress=progress)


def _is_as_published(config, root, found):
    # A twin has variants of its own.
    expected = None if config.data == SYNTHETIC else published(config.dataset, root, config.variant)
    if expected is None:
        return False
    both = beside_expected(found, expected)
    return both["found"].equals(both["expected"])


def _warn_of_copies(copies, folder):
    if len(copies):
        queries, (query, gallery, pid) = copies["query"].nunique(), copies.iloc[0]
        warnings.warn(
            f"{queries} queries in {folder} are byte-for-byte copies of gallery images of their identity, the first "
            f"{query} of {gallery} (pid {pid}): any model ranks them first; remove one of each pair",
            stacklevel=3,
        )


def _with_labels(table):
    """The table with a ``label``: training identities numbered from 0 in their order, -1 for others."""
    trained = table.role.isin(["train", "val", "test"])
    identities = np.unique(table.pid[trained])
    labels = np.where(trained, np.searchsorted(identities, table.pid), -1)
    return table.assign(label=labels)

"""Folders of the project, locking, atomic writing, and names of registries."""

import ast
import os
import sys
import warnings
from contextlib import contextmanager
from functools import cache
from pathlib import Path


def project_folder():
    """The nearest folder, from the working directory up, with ``notebooks/`` and ``gaaplib/``; else that directory.

    A notebook runs in its own folder and a command usually in the project's; both have to use the same one.
    """
    here = Path.cwd()
    return next(filter(_is_project, (here, *here.parents)), here)


def _is_project(folder):
    return (folder / "notebooks").is_dir() and (folder / "gaaplib").is_dir()


def portable(path):
    """A path as other machines can use it: relative to the project that it lies in; other paths stay as they are.

    Example:
        >>> portable("/somewhere/else/market1501")
        '/somewhere/else/market1501'
    """
    project = next(filter(_is_project, Path(path).parents), None)
    return str(path) if project is None else Path(path).relative_to(project).as_posix()


def notebooks_folder():
    """``notebooks/`` of the project; outside of one, that of the installed package."""
    return _shipped("notebooks")


def tables_folder():
    """``data/`` with the small tables: of the project, or the working directory's; else of the installed package."""
    return _shipped("data")


def _shipped(name):
    package = Path(__file__).parent
    # In the wheel it lies in the package, in a checkout beside it.
    places = (project_folder() / name, package / name, package.parent / name)
    wanted = {"notebooks": "02_train.ipynb", "data": "claims.csv"}[name]
    return next((place for place in places if (place / wanted).is_file()), places[0])


def outputs_folder():
    """The folder of results: ``GAAP_OUTPUTS`` if set, else ``outputs/`` of the project."""
    given = os.environ.get("GAAP_OUTPUTS")
    return Path(given) if given else project_folder() / "outputs"


def reference_folder():
    """The folder of the committed results: ``outputs/reference`` of the project, wherever other results go."""
    return project_folder() / "outputs" / "reference"


@contextmanager
def locked(path, doing):
    """Keep other processes out of a block; the lock ends with this process at the latest.

    Args:
        path: of the lock, an empty file that stays.
        doing: what the block does, for the message to a process that has to wait: "decoding X".
    """
    import fcntl  # Only here: Windows has none, and most of the package works without.

    path.parent.mkdir(parents=True, exist_ok=True)
    with open(path, "w") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            warnings.warn(f"another process is {doing}: this one waits for it", stacklevel=4)
            fcntl.flock(file, fcntl.LOCK_EX)
        yield


@contextmanager
def written_whole(path, *, sync=True):
    """A path to write to, whose file then takes the place of ``path`` in one step.

    So a reader sees the old file or the new one, never half of it. Where the block fails, the old one stays.

    Args:
        path: of the file; its folder has to be there.
        sync: wait until the content is on the disk, so that it outlives a power cut as well. Leave that out for many
            small files that are cheap to make again.
    """
    path = Path(path)
    part = path.with_name(f"{path.name}.part")
    try:
        yield part
        if sync:
            with open(part, "rb") as file:
                os.fsync(file.fileno())
        os.replace(part, path)
    finally:
        part.unlink(missing_ok=True)


def write_whole(path, content, *, sync=True):
    """Write text (as UTF-8) or bytes with :func:`written_whole`."""
    with written_whole(path, sync=sync) as part:
        part.write_bytes(content if isinstance(content, bytes) else content.encode())


def registered_names(module, registry):
    """The keys of a dict at the foot of a module, as a tuple, such as ``("gaaplib.pooling", "POOLING")``.

    A module that is not imported yet is read and not imported, as most of them bring Keras along.
    """
    if module in sys.modules:
        return tuple(getattr(sys.modules[module], registry))
    return _keys_in_source(module, registry)


@cache
def _keys_in_source(module, registry):
    (registered,) = _assigned(module, registry)
    return tuple(key.value for key in registered.keys)


@cache
def literal(module, name):
    """The literal that a module assigns to a name, such as a dict of numbers; None if there is none.

    The module is read and not imported, like those of :func:`registered_names`.
    """
    return next((ast.literal_eval(value) for value in _assigned(module, name)), None)


def _assigned(module, name):
    """The values that a module's source assigns to a name at its top, as syntax."""
    source = Path(__file__).parent.joinpath(*module.split(".")[1:])
    source = source / "__init__.py" if source.is_dir() else source.with_suffix(".py")
    for node in ast.parse(source.read_text(encoding="utf-8")).body:
        if isinstance(node, ast.Assign) and ast.unparse(node.targets[0]) == name:
            yield node.value

"""The code that decides what a run gives, as one digest: what a result was made by, and whether it still is."""

import ast
import functools
import hashlib
import json
import os
from pathlib import Path

FOLDER = Path(__file__).parent
ROOT = FOLDER / "experiment.py"
# Codes that were seen to give the same runs, bit for bit: `gaap verify --same` adds to it.
SAME = FOLDER / "same_code.json"
# It writes down what a run gave, and reads it again.
LEFT_OUT = {"runs"}


@functools.cache
def digest():
    """Digest of the modules that :mod:`gaaplib.experiment` is made of; comments and docstrings are no part of it."""
    code = hashlib.sha256()
    for path in deciding():
        code.update(str(path.relative_to(FOLDER)).encode())
        code.update(ast.dump(_without_docstrings(ast.parse(path.read_text()))).encode())
    return code.hexdigest()[:16]


def is_todays(code):
    """Whether a digest is today's, or that of code that was seen to give the same runs as today's, bit for bit.

    A change that makes a run faster and leaves what it gives need not have every run made again.
    """
    follower = {entry["code"]: entry["same_as"] for entry in json.loads(SAME.read_text())}
    # No chain of them has more links than there are.
    for _ in follower:
        code = code if code == digest() else follower.get(code)
    return code == digest()


def deciding():
    """The files of these modules, sorted: whatever :mod:`gaaplib.experiment` imports, and what that imports."""
    found, waiting = set(), [ROOT]
    while waiting:
        path = waiting.pop()
        if path not in found:
            found.add(path)
            waiting += _imported(path)
    return sorted(found)


def stamp(path):
    """Keep the digest in a file, for tools that go by the time and the content of files.

    The file is written where it holds another digest, with the time at which the last of the modules was changed.
    """
    if path.exists() and path.read_text() == digest():
        return
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(digest())
    changed = max(module.stat().st_mtime for module in deciding())
    os.utime(path, (changed, changed))


def _imported(path):
    """Files of the modules of this package that a file imports."""
    for node in ast.walk(ast.parse(path.read_text())):
        names = []
        if isinstance(node, ast.ImportFrom) and (node.module or "").split(".")[0] == FOLDER.name:
            names = [node.module, *(f"{node.module}.{alias.name}" for alias in node.names)]
        elif isinstance(node, ast.Import):
            names = [alias.name for alias in node.names if alias.name.split(".")[0] == FOLDER.name]
        for name in names:
            parts = name.split(".")[1:]
            target = FOLDER.joinpath(*parts)
            if not parts or parts[0] in LEFT_OUT:
                continue
            for file in (target.with_suffix(".py"), target / "__init__.py"):
                if file.is_file():
                    yield file


def _without_docstrings(tree):
    for node in ast.walk(tree):
        body = getattr(node, "body", None)
        if (
            isinstance(body, list)
            and body
            and isinstance(body[0], ast.Expr)
            and isinstance(body[0].value, ast.Constant)
        ):
            body[0] = ast.Pass()
    return tree

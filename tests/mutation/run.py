"""Mutation testing: change one operator or number of a module at a time and see whether its tests notice.

``python tests/mutation/run.py [MODULE ...] [--keep FOLDER]``; README.md beside this file explains the rest.
"""

import argparse
import ast
import os
import random
import shlex
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from cosmic_ray.work_db import WorkDB, use_db
from cosmic_ray.work_item import TestOutcome, WorkerOutcome, WorkResult

PROJECT = Path(__file__).parents[2]
TOOLS = Path(sys.executable).parent
MODULES = {
    "metrics": "tests/test_metrics.py",
    "distances": "tests/test_distances.py",
    "evaluation/statistics": "tests/evaluation/test_statistics.py",
    "datasets/splits": "tests/datasets/test_splits.py",
    "pooling": "tests/test_pooling.py",
    "attention": "tests/test_attention.py",
}
# How much is computed at once. The tests set them to other values and find the same results.
SIZES = {"BLOCK_BYTES", "CHUNK_ELEMENTS", "CACHE_ELEMENTS", "MANY_HITS"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("modules", nargs="*", metavar="MODULE", help=f"default: all of {', '.join(MODULES)}")
    parser.add_argument("--keep", type=Path, help="a folder for the sessions; an interrupted run is continued from it")
    parser.add_argument("--sample", type=int, help="at most so many mutants of each module, drawn with a fixed seed")
    options = parser.parse_args()
    if unknown := set(options.modules) - set(MODULES):
        parser.error(f"no such module: {', '.join(unknown)}")
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        copy, sessions = Path(folder, "copy"), (options.keep or Path(folder, "sessions")).resolve()
        sessions.mkdir(parents=True, exist_ok=True)
        for name in ("gaaplib", "tests", "workflow"):
            shutil.copytree(PROJECT / name, copy / name, ignore=shutil.ignore_patterns("__pycache__"))
        shutil.copy(PROJECT / "pyproject.toml", copy)
        for module in options.modules or MODULES:
            session = sessions / f"{module.replace('/', '_')}.sqlite"
            test_module(module, copy, session, options.sample)
            rows.append(report(module, session))
    print("| module | mutants | killed | survived | share |\n| --- | --- | --- | --- | --- |")
    print("\n".join(rows))


def test_module(module, copy, session, sample):
    """Test all mutants of a module in the copy; the outcomes are in the session."""
    source, address = copy / "gaaplib" / f"{module}.py", copy / f"{session.stem}.socket"
    environment = {**os.environ, "PYTHONPATH": str(copy), "PYTHONDONTWRITEBYTECODE": "1"}
    environment["PYTEST_DISABLE_PLUGIN_AUTOLOAD"] = "1"  # their imports take longer than most tests

    def call(*command, check=True):
        return subprocess.run(command, cwd=copy, env=environment, check=check)

    tester = [sys.executable, "-S", str(copy / "tests" / "mutation" / "tester.py")]
    ask = [*tester, "ask", str(address)]
    serve = [sys.executable, tester[-1], "serve", str(address), MODULES[module]]
    with subprocess.Popen(serve, cwd=copy, env=environment) as server:
        try:
            while not address.exists() and server.poll() is None:
                time.sleep(0.1)
            start = time.monotonic()
            call(*ask)
            timeout = 10 + 4 * (time.monotonic() - start)
            text = source.read_text()
            source.write_text(text + "\nraise RuntimeError('this is the copy that is tested')\n")
            if call(*ask, check=False).returncode == 0:
                sys.exit(f"{module}: the tests import another copy")
            source.write_text(text)
            config = configure(copy, session.stem, source, shlex.join(ask), timeout)
            if not session.exists():
                call(TOOLS / "cosmic-ray", "init", config, session)
                call(TOOLS / "cr-filter-operators", session, config)
                skip(source, session, sample)
            call(TOOLS / "cosmic-ray", "exec", config, session)
            call(*ask)  # the last mutants were not killed by a server that had ended
        finally:
            server.terminate()


def configure(copy, name, source, command, timeout):
    shared = (Path(__file__).parent / "cosmic-ray.toml").read_text()
    own = {"module-path": str(source.relative_to(copy)), "test-command": command, "timeout": timeout}
    lines = "".join(f"{key} = {value!r}\n" for key, value in own.items())
    config = copy / f"{name}.toml"
    config.write_text(shared.replace("[cosmic-ray]\n", f"[cosmic-ray]\n{lines}", 1))
    return config


def skip(source, session, sample):
    """Leave out mutants in annotations, in the messages of errors, in SIZES and beyond the sample."""
    spans = []
    for node in ast.walk(ast.parse(source.read_text())):
        words = [getattr(node, "annotation", None), getattr(node, "returns", None)]
        words += [node] if isinstance(node, ast.Raise) or _sets_a_size(node) else []
        spans += [((n.lineno, n.col_offset), (n.end_lineno, n.end_col_offset)) for n in words if n]
    with use_db(session, WorkDB.Mode.open) as database:
        items = {
            (m.start_pos, m.operator_name, m.occurrence): item
            for item in database.pending_work_items
            for m in item.mutations
        }
        kept = [key for key in sorted(items) if not any(start <= key[0] < end for start, end in spans)]
        kept = random.Random(0).sample(kept, min(sample or len(kept), len(kept)))
        for key in items.keys() - set(kept):
            database.set_result(items[key].job_id, WorkResult(WorkerOutcome.SKIPPED))


def _sets_a_size(node):
    return isinstance(node, ast.Assign) and getattr(node.targets[0], "id", None) in SIZES


def report(module, session):
    """Print the survivors and return the module's row of the table."""
    with use_db(session, WorkDB.Mode.open) as database:
        items = {item.job_id: item.mutations[0] for item in database.work_items}
        results = {job: result for job, result in database.results if result.worker_outcome == WorkerOutcome.NORMAL}
    survivors = [job for job, result in results.items() if result.test_outcome == TestOutcome.SURVIVED]
    for job in sorted(survivors, key=lambda job: items[job].start_pos):
        changed = [
            line for line in results[job].diff.splitlines() if line[:1] in "+-" and line[:3] not in ("+++", "---")
        ]
        print(f"gaaplib/{module}.py:{items[job].start_pos[0]}", *changed, sep="\n    ", flush=True)
    killed = len(results) - len(survivors)
    return f"| {module} | {len(results)} | {killed} | {len(survivors)} | {killed / len(results):.1%} |"


if __name__ == "__main__":
    main()

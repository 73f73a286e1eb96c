"""Plan and make all runs: the script behind `make plan`, `make tables` and `make reproduce`.

`python workflow/graph.py plan profile=demo backbones=resnet18,vgg16` prints the number of runs and the hours they take,
and writes the graph for Snakemake to outputs/cache/plan.json. `tables` instead of `plan` makes the runs, then the
notebooks that read them, and lists failures. `names` prints the runs of the last plan, histogram baselines included.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
from collections import Counter
from dataclasses import fields
from pathlib import Path

FOLDER = Path(__file__).parent
NOTEBOOKS = FOLDER.parent / "notebooks"
SNAKEMAKE = Path(sys.executable).with_name("snakemake")
# Settings that are not fields of gaaplib.paper.plan.Plan.
OTHERS = ("gpus", "gaap")


def main():
    """Run the command line and return its exit code: 0 if every run is finished."""
    arguments = parsed()
    from gaaplib.project import outputs_folder

    outputs = outputs_folder().resolve()
    # Snakemake works in this folder and keeps its state there.
    os.environ["GAAP_OUTPUTS"] = str(outputs)
    if arguments.what == "names":
        from gaaplib.paper import committed

        print(*sorted({run_id for runs in committed.everything().values() for run_id in runs}))
        return 0
    try:
        graph = GRAPHS.get(arguments.what, planned)(arguments, outputs)
    except (OSError, TypeError, ValueError) as error:
        sys.exit(str(error))
    text = json.dumps(graph, indent=1)
    # A cluster's jobs read the file hours later, so each graph has its own file.
    name = "plan" if arguments.what == "plan" else f"graph-{hashlib.sha256(text.encode()).hexdigest()[:8]}"
    file = outputs / "cache" / f"{name}.json"
    file.parent.mkdir(parents=True, exist_ok=True)
    file.write_text(text)
    return 0 if arguments.what == "plan" else made(graph, file, arguments, outputs)


def made(graph, file, arguments, outputs):
    """Make the runs, then the notebooks, and return the exit code."""
    command = [SNAKEMAKE, "--snakefile", FOLDER / "Snakefile", "--directory", outputs, "--configfile", file]
    command += ["--workflow-profile", FOLDER / "profiles" / arguments.on]
    command += ["--jobs", arguments.jobs] if arguments.jobs else []
    # Failures are listed at the end.
    subprocess.run([*command, "--", *graph["parts"]])
    if graph["notebooks"]:
        subprocess.run([*command, "--allowed-rules", "notebooks", "notebook", "--", "notebooks"])
    # Snakemake leaves an empty file in place of a log that was moved away.
    for empty in [path for path in (outputs / "notebooks" / "unfinished").rglob("*.ipynb") if not path.stat().st_size]:
        empty.unlink()
    asked = {run_id for run_ids in graph["parts"].values() for run_id in run_ids}
    return 1 if failures(sorted(asked), graph["notebooks"], outputs) else 0


def parsed():
    """Return the parsed command line, with the NAME=VALUE settings as a dict."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", choices=("plan", "tables", "reproduce", "photographs", "names"))
    parser.add_argument("--on", default="local", help="a folder of workflow/profiles: local, slurm or your own")
    parser.add_argument("--jobs", help="how many runs at once (default: as in the profile)")
    parser.add_argument("--parts", default="", help="parts of the plan: matrix, methods, ... (default: all shown)")
    parser.add_argument("settings", nargs="*", metavar="NAME=VALUE", help="a field of gaaplib.paper.plan.Plan, or gpus")
    arguments = parser.parse_intermixed_args()
    odd = [word for word in arguments.settings if "=" not in word]
    if odd:
        parser.error(f"expected NAME=VALUE, not {odd[0]!r}")
    if not (FOLDER / "profiles" / arguments.on).is_dir():
        known = ", ".join(sorted(folder.name for folder in (FOLDER / "profiles").iterdir()))
        parser.error(f"no profile {arguments.on!r}; known: {known}")
    arguments.parts = arguments.parts.replace(",", " ").split()
    pairs = (word.partition("=") for word in arguments.settings)
    arguments.settings = {name: value for name, _, value in pairs if value.strip()}
    return arguments


def planned(arguments, outputs):
    """Print the runs and the hours they take, and return the graph for Snakemake."""
    from gaaplib.paper import plan

    settings, left_out = chosen(arguments.settings)
    return {
        **timed(settings.parts(arguments.parts or plan.SHOWN), settings.everything(), outputs, left_out),
        "notebooks": of_tables(settings, outputs),
        **others(arguments),
    }


def others(arguments):
    """Return the settings that the Snakefile reads itself."""
    return {name: value for name, value in arguments.settings.items() if name in OTHERS}


def timed(parts, everything, outputs, left_out=()):
    """Print these parts and the hours they take, and return the graph's runs, out of everything, and its parts."""
    import estimates

    from gaaplib.paper import plan

    runs = {run_id: config for part in parts.values() for run_id, config in part.items()}
    stale = plan.stale(runs.values(), outputs).keys()
    done = plan.done(runs.values(), outputs).keys() - stale
    waiting = [config for run_id, config in runs.items() if run_id not in done]
    times = estimates.step_times(waiting, outputs, progress=True)
    extra, measured = estimates.overhead(outputs)
    seconds = {config.run_id: estimates.seconds(config, times) + extra for config in waiting}
    print_table(parts, done, stale, seconds)
    origin = f"the median of {measured} finished runs" if measured else "a guess, because no run has finished here yet"
    print("Hours on this machine, one run after another, estimated from timed training steps. Each run's notebook adds")
    print(f"{extra:.0f} s ({origin}). Generating and decoding images and the other notebooks are not included;")
    print("early stopping makes training shorter.", *left_out, sep="\n", flush=True)
    return {
        "runs": described(everything, seconds),
        "parts": {part: list(run_ids) for part, run_ids in parts.items()},
    }


def chosen(words):
    """Return the plan that the settings describe, without missing data sets, and a sentence on each of those."""
    from gaaplib.paper import plan

    known = [field.name for field in fields(plan.Plan)]
    unknown = sorted(words.keys() - {*known, *OTHERS})
    if unknown:
        raise ValueError(f"unknown setting {unknown[0]!r}; known: {', '.join(known)}, gpus")
    given = {name: value for name, value in words.items() if name in known}
    return plan.Plan.parse(**given).usable()


def described(runs, seconds):
    """Return the runs in the form that the Snakefile reads."""
    from gaaplib.paper import plan

    return {
        run_id: {
            "said": plan.arguments(config),
            "needed": [needed.run_id for needed in config.needed()],
            "baseline": config.baseline().run_id,
            "seconds": seconds.get(run_id, 0),
        }
        for run_id, config in runs.items()
    }


def of_tables(settings, outputs):
    """Return ``{notebook: parameters}``: notebooks that read runs get all data sets, the others one."""
    import papermill

    from gaaplib.datasets import trained_on
    from gaaplib.paper import plan

    usual = {"backbones": plan.BACKBONES, "datasets": plan.DATA_SETS}
    lists = {name: ",".join(getattr(settings, name)) for name in usual}
    chosen = {name: words for name, words in lists.items() if getattr(settings, name) != usual[name]}
    first = settings.config(next((name for name in settings.datasets if not trained_on(name)), "market1501"))
    one = {"profile": settings.profile, "dataset": first.dataset, "data": first.data, **chosen}
    every = {"profile": settings.profile, "data": settings.data, "runs_folder": str(outputs)}
    every |= {"precision": settings.precision, "images": "datasets", **lists}
    every |= {name: ",".join(map(str, getattr(settings, name))) for name in ("folds", "seeds")}
    found = {}
    for path in sorted(NOTEBOOKS.glob("*.ipynb")):
        known = papermill.inspect_notebook(str(path))
        values = every if "runs_folder" in known else one
        # Each run executes 02_train itself, and `gaap compare` the comparison of runs that somebody chose.
        if path.stem not in ("02_train", "13_comparison"):
            found[path.stem] = {name: value for name, value in values.items() if name in known}
    return found


def photographs(arguments, outputs):
    """Print the runs of `make photographs` and the hours they take, and return their graph, without notebooks.

    Runs on photographs that are not there are left out, with a sentence on each folder.
    """
    from gaaplib.paper import committed

    parts = committed.everything()
    odd = [f"part {name!r} is not known; known: {', '.join(parts)}" for name in arguments.parts if name not in parts]
    odd += [
        f"unknown setting {name!r}; known: {', '.join(OTHERS)}"
        for name in sorted(arguments.settings.keys() - {*OTHERS})
    ]
    if odd:
        raise ValueError(odd[0])
    wanted, left_out = there({name: runs for name, runs in parts.items() if name in (arguments.parts or parts)})
    if not wanted:
        raise ValueError("\n".join(["no photographs are available", *left_out]))
    asked = {run_id: run for runs in wanted.values() for run_id, run in runs.items()}
    needed = {each.run_id: each for run in asked.values() for each in run.needed()}
    return {**timed(wanted, needed | asked, outputs, left_out), "notebooks": {}, **others(arguments)}


def there(parts):
    """Return the parts without runs on photographs that are missing, and a sentence on each missing folder."""
    missing = Counter()
    left = {}
    for name, runs in parts.items():
        lacks = {run_id: absent_folders(run) for run_id, run in runs.items()}
        missing.update(folder for folders in lacks.values() for folder in folders)
        left[name] = {run_id: run for run_id, run in runs.items() if not lacks[run_id]}
    sentences = [
        f"{folder} is missing, so {count} runs are left out: put your copy there, or a link to it (docs/data-sets.md)"
        for folder, count in missing.items()
    ]
    return {name: runs for name, runs in left.items() if runs}, sentences


def absent_folders(run):
    """Return the folders of photographs that a run is trained or tested on and that are missing."""
    from gaaplib.config import SYNTHETIC

    given = {run.data, run.train_data} - {None, SYNTHETIC}
    return sorted(folder for folder in given if not Path(folder).exists())


def small(arguments, outputs):
    """Return the graph of `make reproduce`: one data set, two models, and the notebook that shows the images."""
    from gaaplib.paper import plan

    settings = arguments.settings
    runs = plan.reproduced(**settings)
    shown = next(run for run in runs.values() if run.dataset == settings["dataset"])
    pairs = {name: getattr(shown, name) for name in ("profile", "dataset", "data", "train_data")}
    return {
        "runs": described(runs, {}),
        "parts": {"reproduce": list(runs)},
        "notebooks": {f"{shown.data_name}/01_data": {name: value for name, value in pairs.items() if value}},
    }


def print_table(parts, done, stale, seconds):
    """Print one row per part of the plan; each run counts in the first part that has it; stale runs are out of date."""
    rows = [*parts.items(), ("all", [run_id for part in parts.values() for run_id in part])]
    print(f"{'part':12}{'runs':>8}{'done':>8}{'stale':>8}{'to do':>8}{'hours':>10}")
    for part, run_ids in rows:
        hours = sum(seconds.get(run_id, 0) for run_id in run_ids) / 3600
        finished, old = len(done & set(run_ids)), len(stale & set(run_ids))
        print(f"{part:12}{len(run_ids):8}{finished:8}{old:8}{len(run_ids) - finished:8}{hours:10.2f}")


def failures(runs, notebooks, outputs):
    """Print the runs and notebooks that are missing, with the files of their tracebacks, and return those files."""
    logs = {run_id: outputs / "runs" / run_id / "notebook.ipynb" for run_id in runs}
    failed = [notebook for run_id, notebook in logs.items() if not is_there(outputs, run_id) or errors(notebook)]
    missing = [name for name in notebooks if not (outputs / "notebooks" / f"{name}.ipynb").exists()]
    failed += [outputs / "notebooks" / "unfinished" / f"{name}.ipynb" for name in missing]
    for notebook in failed:
        name = notebook.parent.name if notebook.stem == "notebook" else notebook.stem
        print(f"FAILED  {name}\n        {reason(notebook)}\n        {notebook}")
    print(f"{len(failed)} failed; repeat the command to retry" if failed else f"all {len(runs)} runs are finished")
    return failed


def is_there(outputs, run_id):
    """Return whether a run is finished and up to date; a run whose source failed stays out of date."""
    from gaaplib.runs import Run, out_of_date

    run = Run(outputs / "runs" / run_id)
    return run.is_done() and not out_of_date(run)


def reason(notebook):
    """Return the reason of a failure in one line."""
    done = notebook.with_name("metrics.json").exists()
    if found := errors(notebook):
        after = "; the run itself is finished: delete its metrics.json to make it again" if done else ""
        return f"{found[0]['ename']}: {found[0]['evalue']}{after}"
    if done:
        return "it is out of date, and the run that trains its model failed"
    return "interrupted: its notebook has no traceback" if notebook.exists() else "not started: see the messages above"


def errors(notebook):
    """Return the error outputs of an executed notebook."""
    try:
        cells = json.loads(notebook.read_text())["cells"]
    except (OSError, ValueError):
        return []  # Snakemake creates an empty file if a log is not written; a full disk may leave half a file.
    return [output for cell in cells for output in cell.get("outputs", []) if output["output_type"] == "error"]


GRAPHS = {"reproduce": small, "photographs": photographs}
"""What is not a plan of the settings."""


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:
        sys.exit("interrupted: repeat the command to resume")

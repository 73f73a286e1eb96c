"""The console command ``gaap``: notebooks with checked parameters, results, a look at a data set or with a run's model.

What only prints or refuses answers in under a second: nothing here imports Keras before it is needed.
"""

import errno
import json
import os
import sys
import warnings
from pathlib import Path

import click

from gaaplib import __version__, batch, options, threads
from gaaplib.batch import printable
from gaaplib.config import check_known, did_you_mean
from gaaplib.project import notebooks_folder, outputs_folder, project_folder, reference_folder, registered_names


class Commands(click.Group):
    """A group that names the command that was probably meant."""

    def resolve_command(self, context, arguments):
        if arguments and self.get_command(context, arguments[0]) is None:
            meant = did_you_mean(arguments[0], self.commands)
            context.fail(f"no command {arguments[0]!r}{meant}; known: {', '.join(self.commands)}")
        return super().resolve_command(context, arguments)

    def invoke(self, context):
        """Run the command; a disk that is full, read-only or gone ends it with a sentence."""
        try:
            return super().invoke(context)
        except BrokenPipeError:
            raise  # What reads the output has had enough of it: click ends the command silently.
        except OSError as error:
            raise _refusal(_on_disk(error)) from error


@click.group(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, prog_name="gaap", message="%(prog)s %(version)s")
def main():
    """GAAP person re-identification: run notebooks in batch, look at results, data sets and models.

    GAAP_VERBOSE=1 shows what TensorFlow, papermill and the kernel print. Completion for notebooks and runs, in bash:
    eval "$(_GAAP_COMPLETE=bash_source gaap)"; zsh_source and fish_source work alike.
    """
    # For people: the message without the line of code that gave it.
    warnings.formatwarning = lambda message, *_, **__: f"warning: {message}\n"
    # Of the folder where the command is given; a notebook runs in another.
    if os.environ.get("GAAP_OUTPUTS"):
        os.environ["GAAP_OUTPUTS"] = str(outputs_folder().resolve())


def _on_disk(error):
    """An operating system's error as a sentence with what to do."""
    place = f"{error.filename}: " if error.filename else ""
    hints = {
        errno.ENOSPC: "free some space, then repeat the command",
        errno.EDQUOT: "free some space, then repeat the command",
        errno.EROFS: "the results cannot be written there: set GAAP_OUTPUTS to another folder",
        errno.EACCES: "give yourself the permission, or set GAAP_OUTPUTS to another folder for results",
    }
    hint = hints.get(error.errno)
    return f"{place}{error.strerror or error}" + (f"; {hint}" if hint else "")


def _complete_notebook(context, parameter, incomplete):
    names = [path.stem for path in sorted(notebooks_folder().glob("*.ipynb"))]
    return [name for name in names if name.startswith(incomplete)]


def _complete_run(context, parameter, incomplete):
    from gaaplib import runs

    names = [run.folder.name for run in runs.finished()]
    return [name for name in names if incomplete in name]


def _parameters(help):
    """The option -p NAME VALUE, which may be repeated."""
    return click.option("-p", "--parameter", "given", nargs=2, multiple=True, metavar="NAME VALUE", help=help)


@main.command()
@click.argument("notebook", shell_complete=_complete_notebook)
@_parameters("A parameter of the notebook, such as -p backbone resnet50; repeat for more.")
@click.option("--help-parameters", is_flag=True, help="List the notebook's parameters with their meaning, and stop.")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="Where to save the executed notebook.")
def run(notebook, given, help_parameters, output):
    """Execute NOTEBOOK (a path, or a name such as 02_train) with papermill.

    Names and types of the parameters are checked against the notebook before a kernel starts.
    """
    try:
        path = batch.find(notebook)
        known = batch.parameters(path)
        if help_parameters:
            click.echo(batch.described(known))
            return
        values = batch.with_whole_paths(batch.parse_parameters(given, known, path.name))
        target = Path(output) if output else batch.default_output(path, values, known)
    except (TypeError, ValueError) as error:
        raise _refusal(error) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"{path.name} -> {target}")
    try:
        batch.execute(path, target, values)
    except batch.Failed as error:
        raise _refusal(error) from error


@main.command()
@_parameters("A setting that all runs have, as for gaap run 02_train: -p dataset folder -p data DIR.")
@click.option("--vary", multiple=True, metavar="NAME=VALUE,VALUE", help="A setting that varies: attention=none,class.")
@click.option("--seeds", help="Seeds with commas, such as 0,1,2: each variant is trained with each.")
@click.option("--folds", help="Folds with commas; with 0,1,2,3,4 each person is tested once.")
@click.option("--run", "names", multiple=True, shell_complete=_complete_run, help="A finished run instead; repeat it.")
@click.option(
    "--maps", default="energy", show_default=True, help="Heat maps: energy, received, gradcam, gradcam_match."
)
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), help="The page, an .html file.")
def compare(given, vary, seeds, folds, names, maps, output):
    """Train what varies, or take finished runs, and write one page: scores, differences, rankings and heat maps.

    The page is written as HTML without code, and beside it as the executed notebook. Runs that are there are reused.
    """
    from gaaplib import variants

    _check_choice("maps", maps, [known for known in _kinds() if known != "rollout"])
    if names and (given or vary or seeds or folds):
        raise click.UsageError("give finished runs (--run), or what varies (-p, --vary, --seeds, --folds), not both")
    try:
        notebook = batch.find("13_comparison")
        output = (
            output or outputs_folder() / "comparisons" / f"{_page_name(names, given, vary, seeds, folds)}.html"
        ).absolute()
        if output.suffix != ".html":
            raise ValueError(f"{output}: the page is an .html file")
        if names:
            made = _finished(names)
        else:
            training = batch.find("02_train")
            known = batch.parameters(training)
            values = batch.parse_parameters(given, known, training.name)
            wanted = variants.parse(vary, seeds, folds, values, known)
            variants.check_data(config for _, config in wanted)
            made = [_made(training, *one) for one in wanted]
        output.parent.mkdir(parents=True, exist_ok=True)
        executed = output.with_suffix(".ipynb")
        batch.execute(notebook, executed, {"names": ",".join(made), "maps": maps})
        batch.write_page(executed, output, title=f"{len(made)} runs side by side")
    except (batch.Failed, FileNotFoundError, TypeError, ValueError) as error:
        raise _refusal(error) from error
    click.echo(f"page: {output}")


def _page_name(names, given, vary, seeds, folds):
    """Such as ``folder_photos_attention-none-class``, or the names of two runs.

    What this leaves out, the place of a folder or the end of a long name, stands as a hash at its end.
    """
    import hashlib
    import re

    asked = dict(given)
    words = [
        asked.pop("dataset", "market1501"),
        asked.pop("data", ""),
        *(f"{key}-{value}" for key, value in asked.items()),
    ]
    words += [*vary, f"seeds-{seeds}" if seeds else "", f"folds-{folds}" if folds else ""]
    words = [*names] or [word for word in words if word]
    name = "_".join(re.sub(r"\W+", "-", word.rpartition("/")[2]) for word in words)
    if len(name) <= 100 and not any("/" in word for word in words):
        return name
    return f"{name[:91]}_{hashlib.sha256(' '.join(words).encode()).hexdigest()[:8]}"


def _finished(names):
    """The names of finished runs, of which two at least have to differ."""
    from gaaplib import runs
    from gaaplib.runs import comparison

    found = [runs.find(name) for name in names]
    if len(found) < 2:
        raise ValueError("one run cannot be compared: give --run twice or more")
    comparison.of(found)
    own = outputs_folder().resolve() / "runs"
    paths = [run.folder.resolve() for run in found]
    return [path.name if path.parent == own else str(path) for path in paths]


def _made(notebook, values, config):
    """The name of a run, which is trained first if it is missing or out of date."""
    target = outputs_folder() / "runs" / config.run_id / "notebook.ipynb"
    target.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"{notebook.name} -> {target}")
    batch.execute(notebook, target, values)
    return config.run_id


@main.command()
@click.argument("name", required=False)
@click.option("--root", help="Folder of your copy; by default data/NAME of the project.")
@click.option("--variant", help="Such as 500k of market1501, or labeled of cuhk03.")
@click.option("--pattern", help="Of folder: a regular expression for file names, with the groups pid and camid.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="A contact sheet, as PNG, PDF or SVG.")
@click.option("--quick", is_flag=True, help="Do not open the images.")
def data(name, root, variant, pattern, plot, quick):
    """Check your copy of a data set: counts compared with the published ones, and every unreadable file.

    Without NAME, list the data sets.
    """
    from gaaplib.datasets import DATASETS, about

    if name is None:
        for known in DATASETS:
            click.echo(f"{known:16}{about(known)}")
        return
    _check_choice("data set", name, DATASETS)
    if plot:
        _check_picture(plot)
    report = _inspected(name, root, variant, pattern, quick)
    click.echo(printable(report))
    if plot:
        _save_sheet(report, plot)
        click.echo(f"contact sheet: {plot}")
    if not report.is_usable:
        raise SystemExit(1)


def _inspected(name, root, variant, pattern, quick):
    from gaaplib.datasets import check_pattern, inspection

    root = Path(root) if root else project_folder() / "data" / name
    try:
        check_pattern(name, pattern)
        return inspection.inspect(name, root, variant, pattern, open_images=not quick, progress=sys.stderr.isatty())
    except (OSError, ValueError) as error:
        raise _refusal(error) from error


def _save_sheet(report, target):
    """Up to eight identities, a row each."""
    from gaaplib import plots
    from gaaplib.datasets import inspection
    from gaaplib.datasets.records import person

    chosen, images = inspection.sheet(report, identities=8, images=8)
    labels = [
        person(report.records, pid) + ("" if camid < 0 else f", camera {camid}")
        for pid, camid in zip(chosen.pid, chosen.camid, strict=True)
    ]
    columns = int((chosen.pid == chosen.pid.iloc[0]).sum())
    _save(plots.image_grid(images, labels, columns=columns, title=f"{report.name}: one identity per row"), target)


def _save(figure, target):
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target)
    except (OSError, ValueError) as error:
        raise _refusal(f"{target}: {error}") from error


@main.command()
@click.option("--csv", is_flag=True, help="Every column, as CSV with full precision.")
@click.option("--sort", metavar="COLUMN", help="Sort by this column; scores from the highest.")
@click.option("--filter", "filters", multiple=True, metavar="NAME=VALUE", help="Only runs with this value; repeatable.")
@click.option("--reference", is_flag=True, help="The committed runs of outputs/reference instead of your own.")
def results(csv, sort, filters, reference):
    """Print the table of finished runs.

    The first column is a short alias that --run of other commands understands. --sort and --filter take the names of
    the columns of --csv; --filter also takes every setting of a run, such as alpha=0.5.
    """
    from gaaplib.runs import scores

    outputs = reference_folder() if reference else outputs_folder()
    try:
        table = scores.table(outputs, filters)
        table = scores.ordered(table, sort) if sort else table
    except ValueError as error:
        raise _refusal(error) from error
    if csv:
        click.echo(table.to_csv(index=False), nl=False)
    elif table.empty:
        click.echo(f"No finished runs under {outputs / 'runs'}" + (" that fit --filter" if filters else ""))
    else:
        click.echo(scores.as_text(table))


@main.command()
@click.argument("name", required=False)
@click.option("-o", "--output", type=click.Path(path_type=Path), help="Draw the curves into this file at each epoch.")
def watch(name, output):
    """Print the epochs of a training as they end, until it is finished or you press Ctrl-C.

    NAME is a run as for --run of other commands; without it, it is the one that began last and is not finished. The
    training itself goes on.
    """
    from gaaplib import runs
    from gaaplib.runs import watch as watching
    from gaaplib.training import curve

    try:
        run = runs.begun(name)
        synthetic = run.config.is_synthetic
    except (OSError, ValueError) as error:
        raise _refusal(error) from error
    click.echo(run.folder.name)
    printed = 0
    for history in watching.epochs(run):
        for row in history.to_dict("records")[printed:]:
            click.echo(curve.epoch_line(row))
        printed = len(history)
        if output:
            import matplotlib.pyplot as plt

            from gaaplib import plots

            _save(plots.training_curves(history, synthetic=synthetic), output)
            plt.close("all")
    click.echo(f"finished: {run.metrics['status']}")


@main.command()
@click.option("--query", type=click.Path(), help="Queries: an .npz file of embeddings, pids and camids.")
@click.option("--gallery", type=click.Path(), help="Gallery: a file of the same kind.")
@click.option("--mat", type=click.Path(), help="Both in one file: pytorch_result.mat of Person_reID_baseline_pytorch.")
@click.option("--metric", type=click.Choice(["cosine", "euclidean"]), default="cosine", show_default=True)
@click.option("--ap", type=click.Choice(["step", "trapezoid"]), default="step", show_default=True)
@click.option("--rerank", is_flag=True, help="Re-rank by k-reciprocal neighbours first.")
@click.option("--no-cameras", is_flag=True, help="Keep same-camera gallery images.")
@click.option("--json", "as_json", is_flag=True, help="Print everything with full precision, as JSON.")
def evaluate(query, gallery, mat, metric, ap, rerank, no_cameras, as_json):
    """Score embeddings of any framework: CMC, mAP and mINP with intervals.

    Images of the identity -1 are junk and left out of the gallery.
    """
    from gaaplib.evaluation import embedding_files, embedding_scores

    if bool(mat) == bool(query or gallery) or bool(query) != bool(gallery):
        raise click.UsageError("give --query and --gallery, or --mat alone")
    try:
        sides = (
            embedding_files.read_mat(mat)
            if mat
            else (embedding_files.read_npz(query), embedding_files.read_npz(gallery))
        )
        report = embedding_scores.evaluate(*sides, metric=metric, ap=ap, rerank=rerank, cameras=not no_cameras)
    except (OSError, ValueError) as error:
        raise _refusal(error) from error
    click.echo(json.dumps(report, indent=2) if as_json else embedding_scores.describe(report))


@main.command()
@click.argument("names", nargs=-1)
@click.option("--reference", type=click.Path(path_type=Path), help="Folder with runs/; by default outputs/reference.")
@click.option("--list", "only_list", is_flag=True, help="List the committed runs, and stop.")
def verify(names, reference, only_list):
    """Re-run the committed runs NAMES and report, value by value, whether the results match.

    NAMES are run_ids, aliases or parts of them. The repeated runs are made in outputs/verify, which is emptied first.
    """
    import shutil

    from gaaplib import runs

    reference = reference or reference_folder()
    if only_list:
        click.echo("\n".join(run.folder.name for run in runs.finished(reference)) or f"no runs under {reference}")
        return
    if not names:
        raise click.UsageError("give the names of committed runs, or --list")
    fresh = outputs_folder() / "verify"
    try:
        committed = {run.folder.name: run for run in (runs.find(name, reference) for name in names)}
        _use_threads_of(committed.values())
        from gaaplib.paper import repeat as repeats

        shutil.rmtree(fresh, ignore_errors=True)
        tables = []
        for run_id, run in committed.items():
            click.echo(f"repeating {run_id}")
            tables.append(repeats.repeat(run, fresh))
            click.echo(repeats.shown(tables[-1]))
    except (OSError, ValueError) as error:
        raise _refusal(error) from error
    click.echo("\n".join(repeats.in_words(table) for table in tables))
    if any((table.verdict == repeats.DIFFERENT).any() for table in tables):
        raise SystemExit(1)


def _use_threads_of(committed):
    """Compute with as many threads as the runs were made with, on which the last bits depend."""
    from gaaplib.runs.provenance import threads_of

    numbers = {threads_of(run.metrics) for run in committed}
    if len(numbers) > 1:
        raise ValueError(
            f"these runs were made with {' and '.join(map(str, sorted(numbers)))} threads, on which the last bits "
            "depend: verify those of one number at a time"
        )
    threads.fix(*numbers)


RUN = click.option(
    "--run",
    "name",
    required=True,
    shell_complete=_complete_run,
    help="A run's folder, its run_id or a part of that, or its alias in gaap results.",
)


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@click.option("--run", "name", shell_complete=_complete_run, help="The run whose model embeds; see gaap results.")
@click.option("--model", type=click.Path(path_type=Path), help="Or a model from elsewhere: .onnx, or OpenVINO's .xml.")
@click.option("--height", type=int, help="Of the images, if the model's file leaves it open; so for --width.")
@click.option("--width", type=int)
@click.option("--colour", type=click.Choice(["rgb", "bgr"]), default="rgb", show_default=True)
@click.option("--mean", help="Three shares of 255, by default ImageNet's: 0.485,0.456,0.406; so for --std.")
@click.option("--std")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="An .npz file.")
def embed(folder, name, model, output, **expected):
    """Embed the photographs in FOLDER with a run's model or one from elsewhere, and save them as an .npz file.

    Its arrays are embeddings and names and, if known, pids and camids. Identities are known from one subfolder per
    person, or from records.csv.
    """
    import numpy as np

    if bool(name) == bool(model):
        raise click.UsageError("give --run or --model")
    if output.suffix != ".npz":
        raise click.UsageError(f"{output}: embeddings are saved as an .npz file")
    images = _index(_run(name), folder).gallery if name else _embedded_by(model, folder, expected)
    arrays = {"embeddings": images.embeddings, "names": np.array(images.names)}
    arrays |= {"pids": images.pids} if images.pids.any() else {}
    arrays |= {"camids": images.camids} if (images.camids >= 0).all() else {}
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise _refusal(f"{output}: {error}") from error
    count, size = images.embeddings.shape
    unknown = "identities unknown (one subfolder per person or records.csv would name them)"
    known = "identities known" if "pids" in arrays else unknown
    click.echo(f"{count} images, {size}-d embeddings, {known} -> {output}")
    beside = [name for name in images.outputs if name != "embedding"]
    if beside:
        click.echo(
            f"warning: the run also compares {', '.join(beside)}, which {output} does not have: gaap evaluate compares "
            "embeddings alone, so its scores are not those of the run's method",
            err=True,
        )


def _embedded_by(path, folder, expected):
    """The photographs of a folder, embedded by a model from elsewhere; what it expects of images is printed."""
    from gaaplib.network import external

    try:
        model = external.load(path, **expected)
        click.echo(f"{path.name} takes {model.input}")
        from gaaplib.explain import lookup

        size = model.input.height, model.input.width
        return lookup.embedded_folder(model, folder, *size, progress=sys.stderr.isatty())
    except (ImportError, OSError, ValueError) as error:
        raise _refusal(error) from error


@main.command()
@RUN
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="An .onnx file.")
def export(name, output):
    """Export a run's model as an ONNX file, checked on 64 of the run's images or, without them, of noise."""
    import numpy as np

    run = _run(name)
    if run.config.method == "external":
        raise click.ClickException(f"the run's model is from elsewhere: it is the file {run.model_file}")
    if output.suffix.lower() != ".onnx":
        raise click.ClickException(f"{output}: a model is exported as .onnx")
    try:
        model = run.model()
        images, what = _images_to_check(run), "of the run's images"
        if images is None and options.needs(run.config.method):
            raise ValueError("it is checked on the run's images and what is beside them, which are not here")
        if images is None:
            shape = (64, run.config.height, run.config.width, 3)
            images, what = np.random.default_rng(0).integers(0, 256, shape, dtype=np.uint8), "images of noise"
        from gaaplib.datasets import inputs
        from gaaplib.methods import METHODS
        from gaaplib.network import onnx

        output.parent.mkdir(parents=True, exist_ok=True)
        compared = METHODS[run.config.method].comparison(run.config.distance)
        lowest = onnx.export(model, output, inputs.as_arrays(images, model), run=run.folder.name, compared=compared)
    except (ImportError, OSError, RuntimeError, ValueError) as error:
        raise _refusal(error) from error
    click.echo(f"{output}: cosine with the run's embeddings at least {lowest:.6f}, on {len(images)} {what}")


def _images_to_check(run):
    """Up to 64 images that a run was scored on; None if they are not here."""
    from gaaplib.runs import load_data

    try:
        data = load_data(run.config)
    except (OSError, ValueError):
        return None
    return data.inputs[data.part("gallery").row.to_numpy()[:64]]


@main.command()
@click.argument("query", required=False)
@click.argument("folder", type=click.Path(path_type=Path), required=False)
@RUN
@click.option("--top", type=click.IntRange(1, 50), default=10, show_default=True, help="How many images.")
@click.option("--maps", "kind", help="Heat maps beneath the images: received, energy, gradcam or gradcam_match.")
@click.option("--approximate", is_flag=True, help="Rank candidates of FAISS only, and say how many it misses.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default="ranking.png")
def rank(query, folder, name, top, kind, approximate, output):
    """Rank the photographs in FOLDER by similarity to the image QUERY and save a contact sheet (PNG, PDF or SVG).

    If QUERY is in FOLDER, it is left out of its own ranking, and FOLDER may say who it is: then right and wrong images
    are framed. Of a QUERY from elsewhere, nobody knows who it is, so none is. Without FOLDER, the run's own gallery is
    ranked. QUERY is then an image, or the number of one of the run's queries, 0 being the best ranked (by default the
    middle one).
    """
    _check_choice("maps", kind, [known for known in _kinds() if known != "rollout"])
    _check_picture(output)
    run = _run(name)
    own = folder is None and (query is None or query.isdecimal())
    image = None if own else _image(query, run.config)
    index = _own_index(run, approximate) if folder is None else _index(run, folder, approximate)
    paths = _gallery_paths(index, folder)
    if own:
        asked = _own_query(index, query)
    else:
        same = (number for number, path in enumerate(paths) if folder is not None and path.samefile(query))
        asked = next(same, image)
    ranking = _ranking(index, asked, top)
    click.echo("rank  distance  image")
    for rank, nearest, distance, state in zip(ranking.ranks, *ranking, strict=True):
        click.echo(f"{rank or '-':>4}  {distance:8.3f}  {printable(paths[nearest])}{f'  ({state})' if state else ''}")
    if not any(ranking.states):
        click.echo("right and wrong are not known: QUERY is none of the images that have an identity here")
    _save(_sheet(index, asked, kind, top), output)
    click.echo(f"sheet: {output}")


def _sheet(index, asked, kind, top):
    """The figure of a ranking; if its maps are left out, that is printed first."""
    from gaaplib.explain import heatmaps, lookup

    try:
        flat = None if kind is None else heatmaps.why_flat(index.model, kind)
        if flat:
            click.echo(f"no maps of kind {kind}, which would be the same for each image: {flat}")
        return lookup.ranking_sheet(index, asked, kind, top=top)
    except ValueError as error:
        raise _refusal(error) from error


def _ranking(index, asked, top):
    """The ranking; if it is approximate, how many of the nearest images it finds is printed first."""
    try:
        if index.approximate:
            found = index.recall(top)
            click.echo(f"approximate: {found:.1%} of the {top} nearest images are found, measured on up to 200 queries")
        return index.rank(asked, top)
    except ValueError as error:
        raise _refusal(error) from error


def _gallery_paths(index, folder):
    from gaaplib.datasets.folder import image_folder

    root = Path() if folder is None else image_folder(folder)
    return [root / path for path in index.gallery.names]


def _own_query(index, query):
    """An index into the run's queries: the number counts from the best ranked one."""
    order = index.order
    number = len(order) // 2 if query is None else int(query)
    if number >= len(order):
        raise click.ClickException(f"query {number}: the run has {len(order)} queries, 0 to {len(order) - 1}")
    return order[number]


@main.command()
@click.argument("image", type=click.Path(path_type=Path))
@RUN
@click.option(
    "--kind", default="received", show_default=True, help="received, rollout, energy, gradcam or gradcam_match."
)
@click.option("--position", type=int, nargs=2, help="Row and column that attend, from 0; for the rollout.")
@click.option("--other", type=click.Path(path_type=Path), help="The image to compare with; for gradcam_match.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default="heatmap.png")
def heatmap(image, name, kind, position, other, output):
    """Save a heat map of IMAGE: where a run's model looks (PNG, PDF or SVG)."""
    _check_choice("kind", kind, _kinds())
    _check_beside(kind, position, other)
    _check_picture(output)
    run = _run(name)
    pixels = _image(image, run.config)
    others = _image(other, run.config)[None] if other else None
    from gaaplib.explain import heatmaps
    from gaaplib.explain import plots as map_plots

    try:
        model = run.model()
        flat = heatmaps.why_flat(model, kind)
        if flat:
            known = ", ".join(heatmaps.AT_ANY_LAYER)
            raise ValueError(f"kind={kind!r} would be the same for each image: {flat}; use --kind, one of: {known}")
        heat = heatmaps.heatmap(model, pixels[None], kind, position=position, others=others)
    except ValueError as error:
        raise _refusal(error) from error
    _save(map_plots.map_sheet(pixels[None], {kind: heat}), output)
    click.echo(f"heat map, {' x '.join(map(str, heat.shape[1:]))} cells: {output}")


def _check_beside(kind, position, other):
    """Refuse a kind of map without what it needs, and what a kind does not take."""
    if kind == "rollout" and position is None:
        raise click.ClickException("kind='rollout' needs position: give --position ROW COLUMN")
    if kind == "gradcam_match" and other is None:
        raise click.ClickException("kind='gradcam_match' needs the other image: give --other IMAGE")
    if kind != "rollout" and position is not None:
        raise click.ClickException(f"kind={kind!r} takes no position: leave --position out, or give --kind rollout")
    if kind != "gradcam_match" and other is not None:
        hint = "leave --other out, or give --kind gradcam_match"
        raise click.ClickException(f"kind={kind!r} compares with no other image: {hint}")


@main.command()
@RUN
@click.option("--queries", type=click.IntRange(1), default=300, show_default=True, help="How many, at most.")
def maps(name, queries):
    """Measure a run's heat maps, and write the values to maps.csv in its folder.

    Does the match depend on what they show? Where there are masks: are they on the person?
    """
    run = _run(name)
    from gaaplib.explain import map_scores

    try:
        found = map_scores.verdicts(map_scores.measure(run, queries))
    except (OSError, ValueError) as error:
        raise _refusal(error) from error
    click.echo("\n".join(map(str, found)) + f"\n{run.folder / map_scores.FILE}")


@main.command()
@RUN
@click.option("--queries", type=click.IntRange(1), default=300, show_default=True, help="How many, at most.")
def block(name, queries):
    """Measure what a run's attention block adds, and write the values to block.json in its folder.

    How long is what it adds, beside the features that it gets? In how many directions do images differ before and
    after?
    """
    run = _run(name)
    from gaaplib.explain import block_effect

    try:
        found = block_effect.in_words(block_effect.measure(run, queries))
    except (OSError, ValueError) as error:
        raise _refusal(error) from error
    click.echo("\n".join(f"{title}: {value}" for title, value in found.items() if value))
    click.echo(run.folder / block_effect.FILE)


def _kinds():
    return registered_names("gaaplib.explain.heatmaps", "KINDS")


def _check_choice(name, value, known):
    try:
        if value is not None:
            check_known(name, value, known)
    except ValueError as error:
        raise _refusal(error) from error


def _check_picture(path):
    if path.suffix.lower() not in (".png", ".pdf", ".svg"):
        raise click.ClickException(f"{path}: pictures are saved as .png, .pdf or .svg")


def _run(name):
    from gaaplib import runs

    try:
        return runs.find(name, with_model=True)
    except (OSError, ValueError) as error:
        raise _refusal(error) from error


def _index(run, folder, approximate=False):
    """The photographs of a folder; the folder is checked before Keras is imported."""
    from gaaplib.datasets.folder import photographs

    try:
        photographs(folder)
        from gaaplib.explain import lookup

        return lookup.Index.of_folder(run, folder, progress=sys.stderr.isatty(), approximate=approximate)
    except (ImportError, OSError, ValueError) as error:
        raise _refusal(error) from error


def _own_index(run, approximate):
    from gaaplib.explain import lookup

    try:
        return lookup.Index.of_run(run, approximate=approximate)
    except (ImportError, OSError, ValueError) as error:
        raise _refusal(error) from error


def _image(path, config):
    """An image at the size of a run's model."""
    from gaaplib.datasets.images import read_image

    try:
        return read_image(path, config.height, config.width)
    except ValueError as error:
        raise _refusal(error) from error


def _refusal(error):
    """The exception that ends a command with this message."""
    return click.ClickException(printable(error))

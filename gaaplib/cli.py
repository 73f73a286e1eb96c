"""The console command ``gaap``: notebooks with checked parameters, what the runs gave, a look at a data set or with a
run's model.
"""

import dataclasses
import json
import sys
from pathlib import Path

import click

TYPES = {"str": str, "int": int, "float": float, "bool": bool}
WORDS = {"true": True, "false": False}


@click.group(context_settings={"help_option_names": ["-h", "--help"]})
def main():
    """GAAP person re-identification: notebooks in batch, and their results."""


@main.command()
@click.argument("notebook")
@click.option("-p", "--parameter", "given", nargs=2, multiple=True, metavar="NAME VALUE")
@click.option("-o", "--output", type=click.Path(dir_okay=False), help="The executed notebook.")
def run(notebook, given, output):
    """Execute NOTEBOOK (a path, or a name such as 02_train) with papermill.

    Names and types of the parameters are checked against the notebook before a kernel starts.
    """
    import papermill

    path = _find_notebook(notebook)
    try:
        known = papermill.inspect_notebook(str(path))
        values = _with_whole_paths(parse_parameters(given, known, path.name))
        target = Path(output) if output else _default_output(path, values, known)
    except (TypeError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    target.parent.mkdir(parents=True, exist_ok=True)
    click.echo(f"{path.name} -> {target}")
    try:
        papermill.execute_notebook(
            str(path),
            str(target),
            parameters=values,
            cwd=str(path.parent),
            progress_bar=False,
            # What the notebook prints, as it prints it: the epochs and the sentences.
            stdout_file=sys.stdout,
            # A progress bar is one line in the executed notebook, not one for each of its steps.
            coalesce_streams=True,
        )
    except papermill.PapermillExecutionError as error:
        message = f"cell {error.exec_count} failed: {error.ename}: {error.evalue}"
        raise click.ClickException(f"{message}\nThe traceback is in {target}") from error


@main.command()
@click.argument("name", required=False)
@click.option("--root", help="Folder of your copy; by default data/NAME of the project.")
@click.option("--variant", help="Such as 500k of market1501, or labeled of cuhk03.")
@click.option("--plot", type=click.Path(dir_okay=False, path_type=Path), help="A contact sheet, as PNG, PDF or SVG.")
@click.option("--quick", is_flag=True, help="Do not open the images.")
def data(name, root, variant, plot, quick):
    """Say what is in your copy of a data set against what should be, and what is wrong with which file.

    Without NAME, list the data sets.
    """
    from gaaplib.datasets import DATASETS

    if name is None:
        for known, module in DATASETS.items():
            click.echo(f"{known:14} {module.__doc__.splitlines()[0]}")
        return
    if name not in DATASETS:
        raise click.ClickException(f"no data set {name!r}; known: {', '.join(DATASETS)}")
    report = _inspected(name, root, variant, quick)
    click.echo(report)
    if plot:
        _save_sheet(report, plot)
        click.echo(f"contact sheet: {plot}")
    if not report.is_usable:
        raise SystemExit(1)


def _inspected(name, root, variant, quick):
    from gaaplib.datasets import inspection
    from gaaplib.project import project_folder

    root = Path(root) if root else project_folder() / "data" / name
    try:
        return inspection.inspect(name, root, variant, open_images=not quick, progress=sys.stderr.isatty())
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _save_sheet(report, target):
    """Up to eight identities, a row each."""
    from gaaplib import plots
    from gaaplib.datasets import inspection

    chosen, images = inspection.sheet(report, identities=8, images=8)
    labels = [
        f"{pid}" if camid < 0 else f"{pid}, camera {camid}" for pid, camid in zip(chosen.pid, chosen.camid, strict=True)
    ]
    columns = int((chosen.pid == chosen.pid.iloc[0]).sum())
    _save(plots.image_grid(images, labels, columns=columns, title=f"{report.name}: an identity a row"), target)


def _save(figure, target):
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        figure.savefig(target)
    except (OSError, ValueError) as error:
        raise click.ClickException(f"{target}: {error}") from error


@main.command()
@click.option("--csv", is_flag=True, help="Every column, as CSV with full precision.")
def results(csv):
    """Print the table of finished runs."""
    from gaaplib import runs
    from gaaplib.project import outputs_folder

    table = runs.table()
    if csv:
        click.echo(table.to_csv(index=False), nl=False)
        return
    if table.empty:
        click.echo(f"No finished runs under {outputs_folder() / 'runs'}")
        return
    shown = table.drop(columns=["run_id", "synthetic"])
    click.echo(shown.to_string(index=False, float_format="{:.3f}".format, na_rep="-"))
    click.echo("Fractions. closed: softmax over trained identities; retrieval: unseen identities.")
    if table.synthetic.any():
        click.echo("Rows whose data begins with synthetic- are measured on drawn images.")


def parse_parameters(given, known, notebook):
    """Values of the right type from pairs of strings.

    Args:
        given: pairs (name, text) from the command line.
        known: what ``papermill.inspect_notebook`` says of the notebook.
        notebook: its name, for messages.

    Raises:
        ValueError: an unknown or repeated name, naming the known ones, or a text that is not of the type.
    """
    values = {}
    for name, text in given:
        if name not in known:
            raise ValueError(f"{notebook} has no parameter {name!r}; known: {', '.join(known)}")
        if name in values:
            raise ValueError(f"parameter {name!r} is given twice")
        values[name] = _parse(name, text, known[name]["inferred_type_name"])
    return values


def _parse(name, text, kind):
    """One value; ``kind`` is the annotation in the notebook, such as ``int`` or ``Optional[int]``."""
    optional = kind.startswith("Optional[")
    # As papermill reads it; "none" is a word, of `neck` for example.
    if optional and text == "None":
        return None
    wanted = TYPES[kind.removeprefix("Optional[").removesuffix("]")]
    try:
        return WORDS[text.lower()] if wanted is bool else wanted(text)
    except (KeyError, ValueError):
        choice = " or None" if optional else ""
        expected = "true or false" if wanted is bool else wanted.__name__
        raise ValueError(f"{name}={text!r}: expected {expected}{choice}") from None


def _with_whole_paths(values):
    """Paths as they are from here: the notebook runs in a folder of its own."""
    words = {"data": "synthetic", "train_data": "synthetic", "weights": "imagenet"}
    words |= dict.fromkeys(("photos", "image_a", "image_b"), "")
    return {
        name: str(Path(value).expanduser().resolve()) if value and value != words.get(name, value) else value
        for name, value in values.items()
    }


def _find_notebook(notebook):
    """The file itself, or the notebook of that name in the project's ``notebooks/``."""
    from gaaplib.project import project_folder

    places = [Path(notebook), project_folder() / "notebooks" / f"{notebook}.ipynb"]
    for place in places:
        if place.is_file():
            return place.resolve()
    known = sorted(path.stem for path in places[1].parent.glob("*.ipynb"))
    raise click.ClickException(f"no notebook {notebook!r}; known: {', '.join(known) or 'none'}")


def _default_output(path, values, known):
    """A training notebook is kept with its run, another under ``outputs/notebooks``, by its data if it has any."""
    from gaaplib.config import RunConfig
    from gaaplib.project import outputs_folder

    if "profile" not in known:
        return outputs_folder() / "notebooks" / path.name
    fields = {field.name for field in dataclasses.fields(RunConfig)}
    config = RunConfig(**{k: v for k, v in values.items() if k in fields})
    if path.stem == "02_train":
        return outputs_folder() / "runs" / config.run_id / "notebook.ipynb"
    return outputs_folder() / "notebooks" / config.data_name / path.name


@main.command()
@click.option("--query", type=click.Path(), help="Queries: an .npz file of embeddings, pids and camids.")
@click.option("--gallery", type=click.Path(), help="Gallery: such a file too.")
@click.option("--mat", type=click.Path(), help="Both in one: pytorch_result.mat of Person_reID_baseline_pytorch.")
@click.option("--metric", type=click.Choice(["cosine", "euclidean"]), default="cosine", show_default=True)
@click.option("--ap", type=click.Choice(["step", "trapezoid"]), default="step", show_default=True)
@click.option("--rerank", is_flag=True, help="Re-rank by k-reciprocal neighbours first.")
@click.option("--no-cameras", is_flag=True, help="Leave nothing out by camera.")
@click.option("--json", "as_json", is_flag=True, help="Print everything with full precision, as JSON.")
def evaluate(query, gallery, mat, metric, ap, rerank, no_cameras, as_json):
    """Score embeddings of any framework: CMC, mAP and mINP with intervals.

    Images of the identity -1 are junk and left out of the gallery.
    """
    from gaaplib.evaluation import embedding_files

    if bool(mat) == bool(query or gallery) or bool(query) != bool(gallery):
        raise click.UsageError("give --query and --gallery, or --mat alone")
    try:
        sides = (
            embedding_files.read_mat(mat)
            if mat
            else (embedding_files.read_npz(query), embedding_files.read_npz(gallery))
        )
        report = embedding_files.evaluate(*sides, metric=metric, ap=ap, rerank=rerank, cameras=not no_cameras)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo(json.dumps(report, indent=2) if as_json else embedding_files.describe(report))


@main.command()
@click.argument("names", nargs=-1, required=True)
@click.option("--reference", type=click.Path(path_type=Path), help="Folder with runs/; by default outputs/reference.")
@click.option(
    "--same", is_flag=True, help="If all is equal to the last bit, let the code that made them pass for today's."
)
def verify(names, reference, same):
    """Repeat the committed runs NAMES (run_ids or parts of them), and say value by value whether they agree.

    The repeated runs are made in outputs/verify, which is emptied first.
    """
    import shutil

    from gaaplib.paper import repeat as repeats
    from gaaplib.project import outputs_folder, project_folder

    fresh = outputs_folder() / "verify"
    try:
        committed = repeats.find(names, reference or project_folder() / "outputs" / "reference")
        shutil.rmtree(fresh, ignore_errors=True)
        tables = []
        for run_id, run in committed.items():
            click.echo(f"repeating {run_id}")
            tables.append(repeats.repeat(run, fresh))
            click.echo(repeats.shown(tables[-1]))
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error
    click.echo("\n".join(repeats.in_words(table) for table in tables))
    if any((table.verdict == repeats.DIFFERENT).any() for table in tables):
        raise SystemExit(1)
    if same:
        try:
            repeats.keep_same(committed, tables)
        except ValueError as error:
            raise click.ClickException(str(error)) from error
        click.echo("the code that made them passes for today's from now on: gaaplib/same_code.json")


RUN = click.option("--run", "name", required=True, help="A run's folder, or its run_id or a part of that.")


@main.command()
@click.argument("folder", type=click.Path(path_type=Path))
@RUN
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), required=True, help="An .npz file.")
def embed(folder, name, output):
    """Embed the photographs in FOLDER by a run's model: arrays embeddings and names and, where known, pids and camids.

    Persons are known from a subfolder for each, or records.csv.
    """
    import numpy as np

    images = _index(name, folder).gallery
    arrays = {"embeddings": images.embeddings, "names": np.array(images.names)}
    arrays |= {"pids": images.pids} if images.pids.any() else {}
    arrays |= {"camids": images.camids} if (images.camids >= 0).all() else {}
    try:
        output.parent.mkdir(parents=True, exist_ok=True)
        with output.open("wb") as file:
            np.savez(file, **arrays)
    except OSError as error:
        raise click.ClickException(f"{output}: {error}") from error
    count, size = images.embeddings.shape
    known = "persons known" if "pids" in arrays else "persons unknown: a subfolder for each, or records.csv, would tell"
    click.echo(f"{count} images, {size} numbers each, {known} -> {output}")


@main.command()
@click.argument("query", type=click.Path(path_type=Path))
@click.argument("folder", type=click.Path(path_type=Path))
@RUN
@click.option("--top", type=click.IntRange(1, 50), default=10, show_default=True, help="How many images.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default="ranking.png")
def rank(query, folder, name, top, output):
    """Say which photographs in FOLDER are nearest to the image QUERY, and save them as a sheet (PNG, PDF or SVG).

    An image of FOLDER itself is left out of its own ranking.
    """
    from gaaplib.datasets.folder import image_folder
    from gaaplib.explain import lookup

    image, index = _image(query, name), _index(name, folder)
    paths = [image_folder(folder) / path for path in index.gallery.names]
    asked = next((place for place, path in enumerate(paths) if path.samefile(query)), image)
    found = index.rank(asked, top)
    click.echo("rank  distance  image")
    for number, (place, distance, state) in enumerate(zip(*found, strict=True), start=1):
        click.echo(f"{number:4}  {distance:8.3f}  {_printable(paths[place])}{f'  ({state})' if state else ''}")
    _save(lookup.ranking_sheet(index, asked, top=top), output)
    click.echo(f"sheet: {output}")


@main.command()
@click.argument("image", type=click.Path(path_type=Path))
@RUN
@click.option(
    "--kind", default="received", show_default=True, help="received, rollout, energy, gradcam, gradcam_match."
)
@click.option("--position", type=int, nargs=2, help="Row and column that attend, from 0; for the rollout.")
@click.option("--other", type=click.Path(path_type=Path), help="The image to compare with; for gradcam_match.")
@click.option("-o", "--output", type=click.Path(dir_okay=False, path_type=Path), default="heatmap.png")
def heatmap(image, name, kind, position, other, output):
    """Save a heat map of IMAGE: where a run's model looks (PNG, PDF or SVG)."""
    pixels, others = _image(image, name), _image(other, name)[None] if other else None
    from gaaplib.explain import heatmaps
    from gaaplib.explain import plots as map_plots

    try:
        found = heatmaps.heatmap(_run(name).model(), pixels[None], kind, position=position, others=others)
    except ValueError as error:
        raise click.ClickException(str(error)) from error
    _save(map_plots.map_sheet(pixels[None], {kind: found}), output)
    click.echo(f"heat map, {' x '.join(map(str, found.shape[1:]))} cells: {output}")


def _run(name):
    from gaaplib import runs

    try:
        return runs.find(name, with_model=True)
    except (OSError, ValueError) as error:
        raise click.ClickException(str(error)) from error


def _index(name, folder):
    from gaaplib.explain import lookup

    run = _run(name)
    try:
        return lookup.Index.of_folder(run, folder, progress=sys.stderr.isatty())
    except (OSError, ValueError) as error:
        raise click.ClickException(_printable(error)) from error


def _image(path, name):
    """An image at the size of a run's model."""
    from gaaplib.datasets.images import read_image

    config = _run(name).config
    try:
        return read_image(path, config.height, config.width)
    except ValueError as error:
        raise click.ClickException(_printable(error)) from error


def _printable(text):
    """Names of files without what a terminal would obey."""
    return "".join(letter if letter.isprintable() or letter == "\n" else "\ufffd" for letter in str(text))

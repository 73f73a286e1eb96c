import errno
import json
import os
import re
import subprocess
import sys
from pathlib import Path

import nbformat
import numpy as np
import pytest
from click.testing import CliRunner
from made_images import market_folder, save_colour
from made_onnx import write_onnx

from gaaplib.cli import _page_name, main
from gaaplib.config import RunConfig
from gaaplib.datasets import DATASETS

CELL = """
profile: str = "smoke"  # the profile
epochs: "Optional[int]" = None  # epochs
alpha: "Optional[float]" = None  # share
seed: int = 0  # seed
flag: bool = True  # a switch
"""


@pytest.fixture
def notebook(tmp_path, outputs):
    """A notebook that writes down the parameters that it gets."""
    report = "import json\njson.dump([profile, epochs, alpha, seed, flag], open('seen.json', 'w'))"
    return write_notebook(tmp_path / "small.ipynb", CELL, report)


def write_notebook(path, parameters, *cells):
    book = nbformat.v4.new_notebook()
    book.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3", "language": "python"}
    book.cells = [nbformat.v4.new_code_cell(source.strip()) for source in (parameters, *cells)]
    book.cells[0].metadata["tags"] = ["parameters"]
    nbformat.write(book, path)
    return path


def run(*arguments):
    return CliRunner().invoke(main, ["run", *map(str, arguments)])


def test_run_executes_the_notebook_with_typed_parameters(notebook, tmp_path):
    result = run(notebook, "-p", "flag", "false", "-p", "epochs", "2", "-o", tmp_path / "out.ipynb")
    assert result.exit_code == 0, result.output
    assert json.loads((tmp_path / "seen.json").read_text()) == ["smoke", 2, None, 0, False]
    assert nbformat.read(tmp_path / "out.ipynb", 4).cells[1].metadata.tags == ["injected-parameters"]


@pytest.mark.parametrize("arguments", [("-p", "sed", "1"), ("-p", "seed", "one"), ("-p", "profile", "quick")])
def test_run_refuses_before_a_kernel_starts(notebook, tmp_path, arguments, monkeypatch):
    import papermill

    monkeypatch.setattr(papermill, "execute_notebook", lambda *a, **k: pytest.fail("a kernel was started"))
    result = run(notebook, *arguments)
    assert result.exit_code == 1
    assert arguments[1] in result.output or arguments[2] in result.output
    assert "Traceback" not in result.output


def test_run_tells_where_a_notebook_failed(tmp_path, outputs):
    path = write_notebook(tmp_path / "bad.ipynb", CELL, "raise ValueError('the reason')")
    result = run(path, "-o", tmp_path / "out.ipynb")
    assert result.exit_code == 1
    assert "ValueError: the reason" in result.output
    assert "out.ipynb" in result.output


def test_run_says_that_a_kernel_was_killed(tmp_path, outputs):
    path = write_notebook(tmp_path / "killed.ipynb", CELL, "import os, signal; os.kill(os.getpid(), signal.SIGKILL)")
    result = run(path)
    assert result.exit_code == 1
    assert result.output.splitlines()[1:] == [
        "Error: the kernel that executed killed.ipynb was killed, most often because the memory ran out: close other "
        "programs, or give a smaller batch_size, height and width",
        "Repeat the command: a training goes on from its last complete epoch",
    ]


@pytest.mark.parametrize(
    ("number", "message"),
    [
        (errno.ENOSPC, "x/notebook.ipynb: No space left on device; free some space, then repeat the command"),
        (errno.EROFS, "x/notebook.ipynb: Read-only file system; the results cannot be written there: set GAAP_OUTPUTS"),
        (errno.EIO, "x/notebook.ipynb: Input/output error"),
    ],
)
def test_a_disk_that_fails_is_said_in_a_sentence(notebook, monkeypatch, number, message):
    def fails(*arguments, **keywords):
        raise OSError(number, os.strerror(number), "x/notebook.ipynb")

    monkeypatch.setattr("papermill.execute_notebook", fails)
    result = run(notebook)
    assert result.exit_code == 1
    assert f"Error: {message}" in result.output
    assert "Traceback" not in result.output


def test_an_unknown_notebook_lists_the_known_ones():
    result = run("03_nothing")
    assert result.exit_code == 1
    assert "01_data, 02_train" in result.output


def test_a_training_notebook_is_kept_with_its_run(monkeypatch, outputs):
    import papermill

    targets = []
    monkeypatch.setattr(papermill, "execute_notebook", lambda source, target, **k: targets.append(target))
    monkeypatch.setattr("gaaplib.batch.find", lambda name: Path("notebooks") / name)
    assert run("02_train.ipynb", "-p", "profile", "smoke", "-p", "seed", "3").exit_code == 0
    assert run("10_paper_audit.ipynb").exit_code == 0
    config = RunConfig("smoke", seed=3)
    kept = outputs / "runs" / config.run_id / "notebook.ipynb"
    assert targets == [str(kept), str(outputs / "notebooks" / "10_paper_audit.ipynb")]


def test_a_folder_is_meant_from_where_the_command_is_given(tmp_path, outputs, monkeypatch):
    report = "import json\njson.dump([data, weights], open('seen.json', 'w'))"
    cell = """data: str = "synthetic"\nweights: "Optional[str]" = None"""
    path = write_notebook(tmp_path / "small.ipynb", cell, report)
    (tmp_path / "here").mkdir()
    monkeypatch.chdir(tmp_path / "here")
    for given, seen in (("photos", str(tmp_path / "here/photos")), ("synthetic", "synthetic")):
        result = run(path, "-p", "data", given, "-o", tmp_path / "out.ipynb")
        assert result.exit_code == 0, result.output
        assert json.loads((tmp_path / "seen.json").read_text()) == [seen, None]


def test_the_outputs_are_meant_from_where_the_command_is_given(tmp_path, monkeypatch):
    (tmp_path / "elsewhere").mkdir()
    code = "from gaaplib.project import outputs_folder; print(outputs_folder())"
    path = write_notebook(tmp_path / "elsewhere" / "where.ipynb", CELL, code)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("GAAP_OUTPUTS", "mine")
    result = run(path, "-o", tmp_path / "out.ipynb")
    assert result.output.splitlines()[-1] == str(tmp_path / "mine")


def test_results_without_runs_says_where_it_looked(outputs):
    result = CliRunner().invoke(main, ["results"])
    assert result.exit_code == 0
    assert str(outputs / "runs") in result.output


def test_results_prints_the_table(outputs):
    from made_runs import write_run

    write_run(outputs, [0.25, 0.75], mAP=0.5)
    shown = CliRunner().invoke(main, ["results"]).output
    assert "*market1501  gaap resnet18 class avg" in shown and "*: measured on synthetic images" in shown
    assert "0.500" in shown
    lines = CliRunner().invoke(main, ["results", "--csv"]).output.splitlines()
    assert len(lines) == 2
    assert lines[0].startswith("alias,run_id,status,data,")


def test_results_sorts_and_filters(outputs):
    from made_runs import write_run

    for seed, mAP in enumerate((0.4, 0.6, 0.5)):
        write_run(outputs, [0.25, 0.75], mAP=mAP, seed=seed, alpha=0.25 if seed else 0.5)

    def seeds(*arguments):
        lines = call("results", "--csv", *arguments).output.splitlines()
        column = lines[0].split(",").index("seed")
        return [line.split(",")[column] for line in lines[1:]]

    assert seeds("--sort", "mAP") == ["1", "2", "0"]
    assert seeds("--sort", "seed") == ["0", "1", "2"]
    assert seeds("--filter", "alpha=0.25", "--sort", "seed") == ["1", "2"]
    assert seeds("--filter", "alpha=0.25", "--filter", "seed=2") == ["2"]
    assert seeds("--filter", "alpha=.5") == seeds("--filter", "alpha=5e-1") == ["0"]
    assert seeds("--filter", "retrieval_mAP=0.4", "--filter", "synthetic=True") == ["0"]
    assert seeds("--filter", "alpha=half") == []
    for arguments, words in (
        (["--sort", "map"], "did you mean mAP?"),
        (["--filter", "alhpa=0.5"], "did you mean alpha?"),
        (["--filter", "alpha"], "expected NAME=VALUE"),
    ):
        result = call("results", *arguments)
        assert result.exit_code == 1 and words in result.output


def test_results_filters_by_the_data_as_the_table_or_the_setting_has_it(outputs, tmp_path, monkeypatch):
    from made_runs import write_run

    monkeypatch.chdir(tmp_path)
    (tmp_path / "photos").mkdir()
    write_run(outputs, [0.25, 0.75])
    write_run(outputs, [0.25, 0.75], dataset="folder", data=str(tmp_path / "photos"))

    def found(value):
        table = call("results", "--csv", "--filter", f"data={value}").output.splitlines()
        return [line.split(",")[3] for line in table[1:]]

    assert found("synthetic-market1501") == found("synthetic") == ["synthetic-market1501"]
    assert found("folder") == found(tmp_path / "photos") == found("photos") == ["folder"]
    assert found("market1501") == []


LIGHT = (
    (["results"], 0),
    (["results", "--sort", "nothing"], 1),
    (["data"], 0),
    (["data", "raid", "--root", "nowhere"], 1),
    (["evaluate", "--query", "q.npz", "--gallery", "g.npz"], 1),
    (["verify", "--list"], 0),
    (["verify", "nobody"], 1),
    (["heatmap", "i.jpg", "--run", "nobody"], 1),
    (["heatmap", "i.jpg", "--run", "x", "--kind", "gaze"], 1),
    (["rank", "i.jpg", "folder", "--run", "nobody"], 1),
    (["embed", "nowhere", "--run", "RUN", "-o", "f.npz"], 1),
    (["rank", "photos/ben/1.jpg", "nowhere", "--run", "RUN"], 1),
    (["heatmap", "nobody.jpg", "--run", "RUN"], 1),
    (["run", "02_trian"], 1),
    (["run", "02_train", "--help-parameters"], 0),
    (["run", "02_train", "-p", "backbone", "resnet8"], 1),
    (["run", "02_train", "-p", "profile", "deno"], 1),
    (["run", "02_train", "-p", "epochs", "many"], 1),
    (["reslts"], 2),
    (["--version"], 0),
)


def test_what_reads_or_refuses_imports_neither_keras_nor_tensorflow(model, photos):
    """In one process of its own: the first command that imports one of them is the last."""
    script = (
        "import sys; from click.testing import CliRunner; from gaaplib.cli import main\n"
        "for arguments, code in eval(sys.argv[1]):\n"
        "    result = CliRunner().invoke(main, arguments)\n"
        "    assert result.exit_code == code, (arguments, result.output)\n"
        "    assert not {'keras', 'tensorflow'} & set(sys.modules), arguments"
    )
    asked = [([str(model.folder) if word == "RUN" else word for word in words], code) for words, code in LIGHT]
    paths = {"PYTHONPATH": str(Path(__file__).parents[1])}
    done = subprocess.run(
        [sys.executable, "-c", script, repr(asked)],
        cwd=photos.parent,
        env=os.environ | paths,
        capture_output=True,
        text=True,
    )
    assert (done.returncode, done.stderr) == (0, ""), done.stderr


@pytest.mark.parametrize(
    ("arguments", "meant"),
    [(["reslts"], "results"), (["run", "2_train"], "02_train"), (["data", "market"], "market1501")],
)
def test_a_misspelt_name_is_answered_with_the_near_one(arguments, meant):
    result = call(*arguments)
    assert result.exit_code != 0
    assert f"did you mean {meant}?" in result.output


def test_parameters_are_listed_with_their_help(notebook):
    lines = run(notebook, "--help-parameters").output.splitlines()
    assert lines[1].split() == ["epochs", "int", "None", "epochs"]
    assert len(lines) == 5


def test_notebooks_and_runs_are_completed(outputs):
    from click.shell_completion import ShellComplete
    from made_runs import write_run

    made = write_run(outputs, [0.5, 0.5])
    completion = ShellComplete(main, {}, "gaap", "_GAAP_COMPLETE")

    def offered(*words):
        return [item.value for item in completion.get_completions(list(words[:-1]), words[-1])]

    assert offered("run", "02") == ["02_train"]
    assert offered("heatmap", "i.jpg", "--run", "resnet18") == [made.folder.name]


def test_run_prints_nothing_of_the_kernel(notebook, tmp_path, outputs):
    command = [
        sys.executable,
        "-c",
        "from gaaplib.cli import main; main()",
        "run",
        notebook,
        "-o",
        tmp_path / "o.ipynb",
    ]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    assert done.stderr == ""
    assert done.stdout == f"small.ipynb -> {tmp_path / 'o.ipynb'}\n"


def test_data_lists_the_data_sets():
    shown = CliRunner().invoke(main, ["data"]).output
    assert re.search(r"^raid +RAiD: 43 persons", shown, re.MULTILINE)
    assert all(re.search(rf"^{name} +\S", shown, re.MULTILINE) for name in DATASETS)


def test_data_reports_and_saves_a_sheet(tmp_path):
    root = market_folder(tmp_path / "photos")
    sheet = tmp_path / "new" / "sheet.png"
    result = CliRunner().invoke(main, ["data", "market1501", "--root", str(root), "--plot", str(sheet)])
    assert result.exit_code == 0
    assert "expected" in result.output
    assert sheet.read_bytes().startswith(b"\x89PNG")
    (root / "query/0004_c1s1_000000_00.jpg").write_bytes(b"")
    broken = CliRunner().invoke(main, ["data", "market1501", "--root", str(root)])
    assert broken.exit_code == 1
    assert "0004_c1s1_000000_00.jpg" in broken.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["markt"], "data set='markt' is not known; known: market1501"),
        (["raid", "--root", "nowhere"], "no RAiD in nowhere"),
        (["market1501", "--root", ".", "--variant", "6k"], "variant='6k' of market1501 is not known; known: 500k"),
        (["folder", "--root", ".", "--variant", "z"], "variant='z' of folder is not known; known: none for this"),
    ],
)
def test_data_says_what_is_wrong(arguments, message, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    result = CliRunner().invoke(main, ["data", *arguments])
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


@pytest.fixture
def model(outputs):
    from made_runs import write_model

    return write_model(outputs)


@pytest.fixture
def photos(tmp_path):
    from made_images import write_photos

    return write_photos(tmp_path / "photos")


def call(*arguments):
    return CliRunner().invoke(main, [*map(str, arguments)])


def test_data_prints_nothing_that_a_terminal_obeys(tmp_path):
    root = market_folder(tmp_path / "\x1b[31mred")
    (root / "query/0004_c1s1_000000_00.jpg").write_bytes(b"\x1b]0;title\x07")
    result = CliRunner().invoke(main, ["data", "market1501", "--root", str(root)])
    assert "\x1b" not in result.output
    assert "\ufffd[31mred" in result.output


@pytest.mark.parametrize(("images", "code"), [(3, 0), (1, 1)])
def test_data_says_whether_a_run_would_have_something_to_score(images, code, tmp_path):
    for person in range(3):
        for number in range(images):
            save_colour(tmp_path / f"person {person}" / f"{number}.png", person, number)
    result = CliRunner().invoke(main, ["data", "folder", "--root", str(tmp_path)])
    assert result.exit_code == code, result.output
    refused = "Runs refuse it: in fold 0, none of the 1 identities to be tested on has enough images" in result.output
    assert refused == bool(code)


def test_data_says_that_all_images_are_of_one_camera(tmp_path):
    root = market_folder(tmp_path)
    for path in sorted(root.glob("*/*_c2s1_*.jpg")):
        path.rename(path.with_name(path.name.replace("_c2s1_", "_c1s1_1")))
    result = CliRunner().invoke(main, ["data", "market1501", "--root", str(root)])
    assert result.exit_code == 1
    assert "Runs refuse it: no query has a match of another camera (all are of camera 1)" in result.output


def test_embed_writes_what_evaluate_reads(model, photos, tmp_path):
    from gaaplib.datasets.images import read_image
    from gaaplib.evaluation import embedding_files

    target = tmp_path / "new" / "photos.npz"
    result = call("embed", photos, "--run", model.folder.name[-8:], "-o", target)
    assert result.exit_code == 0, result.output
    assert result.output.splitlines()[-1].startswith("5 images, 512-d embeddings, identities known -> ")
    side = embedding_files.read_npz(target)
    assert side.pids.tolist() == [1, 1, 2, 2, 3] and side.camids is None
    with np.load(target, allow_pickle=False) as arrays:
        assert arrays["names"].tolist()[:2] == ["anna/1.jpg", "anna/2.png"]
    images = np.stack([read_image(photos / "ben/1.jpg", 64, 32)])
    expected = model.model().predict_on_batch(images)["embedding"][0]
    assert np.allclose(side.embeddings[2], expected, rtol=1e-3, atol=1e-4)


def test_embed_says_what_a_method_compares_beside_the_embedding(model, photos, tmp_path, outputs):
    from made_runs import write_model

    target = tmp_path / "photos.npz"
    result = call("embed", photos, "--run", write_model(outputs, method="vpm", height=96).folder, "-o", target)
    assert result.exit_code == 0, result.output
    assert f"warning: the run also compares visibility, which {target} does not have" in result.output
    assert "warning" not in call("embed", photos, "--run", model.folder, "-o", target).output


def test_embed_leaves_out_persons_that_are_not_known(model, photos, tmp_path):
    target = tmp_path / "ben.npz"
    result = call("embed", photos / "ben", "--run", model.folder, "-o", target)
    assert "identities unknown" in result.output
    with np.load(target, allow_pickle=False) as arrays:
        assert sorted(arrays) == ["embeddings", "names"]


def test_embed_takes_a_model_from_elsewhere(photos, tmp_path):
    from gaaplib.evaluation import embedding_files

    path, target = write_onnx(tmp_path / "other.onnx", own=[("Div", 255.0)]), tmp_path / "photos.npz"
    result = call("embed", photos, "--model", path, "-o", target)
    assert result.exit_code == 0, result.output
    takes = "other.onnx takes float32 (batch, 3, height, width), 64 x 32, RGB, 0 to 255, normalised by the file itself"
    assert takes in result.output.splitlines()
    assert embedding_files.read_npz(target).embeddings.shape == (5, 4)
    for options, why in (
        (("--model", path, "--mean", "0.5"), "mean and std would be applied twice"),
        (("--model", tmp_path / "none.onnx"), "no such file"),
        ((), "give --run or --model"),
        (("--model", path, "--run", "x"), "give --run or --model"),
    ):
        result = call("embed", photos, *options, "-o", target)
        assert result.exit_code in (1, 2) and why in result.output


@pytest.mark.parametrize("name", ["photos.txt", "photos", "photos.npz.gz"])
def test_embed_refuses_another_file_than_npz_before_it_looks_for_anything(name, tmp_path):
    for source in ("--run", "--model"):
        result = call("embed", tmp_path / "nowhere", source, "nobody", "-o", tmp_path / name)
        assert result.exit_code == 2 and f"{name}: embeddings are saved as an .npz file" in result.output
    assert not list(tmp_path.iterdir())


def test_export_writes_a_file_checked_on_the_runs_own_images(model, photos, tmp_path, monkeypatch):
    """The export itself, which takes gigabytes for a whole network, is tested in test_onnx."""
    from gaaplib.network import onnx

    def exported(network, path, images, **metadata):
        assert images.shape[1:] == (64, 32, 3) and 0 < len(images) <= 64
        assert metadata == {"run": model.folder.name, "compared": "embeddings, by the cosine distance"}
        write_onnx(path)
        return 0.99999

    monkeypatch.setattr(onnx, "export", exported)
    target = tmp_path / "new" / "model.onnx"
    result = call("export", "--run", model.folder, "-o", target)
    assert result.exit_code == 0, result.output
    said = rf"{target}: cosine with the run's embeddings at least 0.999990, on \d+ of the run's images"
    assert re.search(said, result.output)
    assert call("embed", photos, "--model", target, "-o", tmp_path / "photos.npz").exit_code == 0
    result = call("export", "--run", model.folder, "-o", tmp_path / "model.pt")
    assert result.exit_code == 1 and "a model is exported as .onnx" in result.output


def test_the_model_of_an_external_run_is_ranked_with_but_has_no_maps_and_is_not_exported(photos, tmp_path, outputs):
    from made_runs import write_model

    path = write_onnx(tmp_path / "other.onnx")
    run = write_model(outputs, method="external", weights=str(path))
    asked = ("rank", photos / "ben/1.jpg", photos, "--run", run.folder, "-o", tmp_path / "sheet.png")
    assert call(*asked).exit_code == 0
    result = call(*asked, "--maps", "received")
    assert result.exit_code == 1 and "a model from elsewhere has no heat maps" in result.output
    result = call("export", "--run", run.folder, "-o", tmp_path / "again.onnx")
    assert result.exit_code == 1 and "the run's model is from elsewhere: it is the file" in result.output


@pytest.mark.parametrize("method", ["gaap", "histogram"])
def test_rank_prints_the_nearest_and_saves_a_sheet(method, photos, tmp_path, outputs):
    from made_runs import write_model

    run = write_model(outputs, method=method)
    sheet = tmp_path / "sheet.png"
    result = call("rank", photos / "ben/1.jpg", photos, "--run", run.folder, "-o", sheet, "--top", 3)
    assert result.exit_code == 0, result.output
    lines = result.output.splitlines()
    assert len(lines) == 5
    assert any(line.endswith("ben/2.jpg  (match)") for line in lines) and "ben/1.jpg" not in result.output
    distances = [float(line.split()[1]) for line in lines[1:4]]
    assert distances == sorted(distances)
    assert sheet.read_bytes().startswith(b"\x89PNG")


def test_rank_says_when_nobody_knows_who_the_query_is(model, photos, tmp_path):
    import shutil

    elsewhere = shutil.copy(photos / "ben/1.jpg", tmp_path / "somebody.jpg")
    unknown = "right and wrong are not known: QUERY is none of the images that have an identity here"
    for query, said in ((elsewhere, True), (photos / "ben/1.jpg", False)):
        result = call("rank", query, photos, "--run", model.folder, "-o", tmp_path / "sheet.png")
        assert result.exit_code == 0, result.output
        assert (unknown in result.output) == said and ("(match)" in result.output) != said


def test_rank_says_how_many_an_approximate_index_finds(model, photos, tmp_path):
    asked = ("rank", photos / "ben/1.jpg", photos, "--run", model.folder, "-o", tmp_path / "sheet.png", "--top", 3)
    exact, approximate = call(*asked), call(*asked, "--approximate")
    assert approximate.exit_code == 0, approximate.output
    first, *rest = approximate.output.splitlines()
    assert re.fullmatch(
        r"approximate: \d+\.\d% of the 3 nearest images are found, measured on up to 200 queries", first
    )
    assert rest[0] == exact.output.splitlines()[0] and "ben/1.jpg" not in approximate.output


def test_rank_says_what_an_approximate_index_needs(model, photos, tmp_path, monkeypatch):
    monkeypatch.setitem(sys.modules, "faiss", None)
    result = call("rank", photos / "ben/1.jpg", photos, "--run", model.folder, "--approximate")
    assert result.exit_code == 1 and "pip install 'gaaplib[faiss]'" in result.output


def test_rank_prints_nothing_that_a_terminal_obeys(model, photos, tmp_path):
    (photos / "ben/2.jpg").rename(photos / "ben/\x1b[2J.jpg")
    result = call("rank", photos / "anna/1.jpg", photos, "--run", model.folder, "-o", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert "\x1b" not in result.output and "ben/\ufffd[2J.jpg" in result.output


@pytest.mark.parametrize("more", [[], ["--kind", "rollout", "--position", 1, 0], ["--kind", "gradcam_match"]])
def test_heatmap_saves_a_map(model, photos, tmp_path, more):
    target = tmp_path / "map.png"
    other = ["--other", photos / "anna/2.png"] if "gradcam_match" in more else []
    result = call("heatmap", photos / "anna/1.jpg", "--run", model.folder, "-o", target, *more, *other)
    assert result.exit_code == 0, result.output
    assert "heat map, 2 x 1 cells" in result.output
    assert target.read_bytes().startswith(b"\x89PNG")


def test_a_map_that_would_be_flat_is_refused_or_left_out_and_said(photos, tmp_path, outputs):
    from made_runs import write_model

    run, image = write_model(outputs, attention="none"), photos / "anna/1.jpg"
    result = call("heatmap", image, "--run", run.folder, "-o", tmp_path / "map.png")
    assert result.exit_code == 1 and not (tmp_path / "map.png").exists()
    assert "kind='received' would be the same for each image: this network has no attention block" in result.output
    assert "one of: energy, gradcam, gradcam_match" in result.output
    result = call("rank", image, photos, "--run", run.folder, "--maps", "received", "-o", tmp_path / "sheet.png")
    assert result.exit_code == 0, result.output
    assert "no maps of kind received, which would be the same for each image" in result.output


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["heatmap", "nobody.jpg"], "nobody.jpg: not a readable image (no such file)"),
        (["heatmap", "text.jpg"], "text.jpg: not a readable image"),
        (["heatmap", "photos/ben/1.jpg", "--kind", "gaze"], "kind='gaze' is not known; known: received"),
        (["heatmap", "photos/ben/1.jpg", "--kind", "rollout"], "needs position"),
        (["heatmap", "photos/ben/1.jpg", "--position", "1", "0"], "kind='received' takes no position: leave"),
        (["heatmap", "photos/ben/1.jpg", "--other", "a.jpg"], "kind='received' compares with no other image: leave"),
        (["heatmap", "photos/ben/1.jpg", "-o", "map.xyz"], "map.xyz: pictures are saved as .png, .pdf or .svg"),
        (["rank", "photos/ben/1.jpg", "empty"], "empty has no images"),
        (["rank", "photos/ben/1.jpg", "nowhere"], "no photographs in nowhere"),
        (["embed", "broken", "-o", "f.npz"], "1 of 1 images cannot be decoded"),
    ],
)
def test_what_a_model_cannot_be_asked_is_said(model, photos, tmp_path, monkeypatch, arguments, message):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "empty").mkdir()
    (tmp_path / "broken").mkdir()
    whole = (photos / "ben/1.jpg").read_bytes()
    (tmp_path / "broken/half.jpg").write_bytes(whole[: len(whole) // 2])
    (tmp_path / "text.jpg").write_text("no image")
    result = call(*arguments, "--run", model.folder)
    assert result.exit_code == 1
    assert message in result.output
    assert "Traceback" not in result.output


def test_a_bomb_is_refused(model, tmp_path, monkeypatch):
    from PIL import Image

    Image.new("L", (40, 40)).save(tmp_path / "bomb.png")
    monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 100)
    result = call("heatmap", tmp_path / "bomb.png", "--run", model.folder)
    assert result.exit_code == 1
    assert "bomb.png: not a readable image" in result.output and "decompression bomb" in result.output


def test_commands_name_the_runs_there_are(model, photos, outputs):
    from made_runs import write_model

    other = write_model(outputs, method="histogram")
    result = call("heatmap", photos / "ben/1.jpg", "--run", "nothing")
    assert result.exit_code == 1
    assert model.folder.name in result.output and other.folder.name in result.output
    result = call("heatmap", photos / "ben/1.jpg", "--run", other.folder)
    assert result.exit_code == 1
    assert "has no attention" in result.output


def test_verify_says_what_agrees_and_fails_where_it_does_not(outputs, tmp_path, monkeypatch):
    from made_runs import scored

    from gaaplib import experiment

    reference = tmp_path / "reference"
    committed = scored(reference)
    kept = scored(outputs / "verify")
    used = []
    monkeypatch.setattr("gaaplib.threads.fix", used.append)
    for mAP, code, words in ((0.5, 0, ", 0 different"), (0.99, 1, ", 1 different")):
        monkeypatch.setattr(experiment, "run", lambda config, outputs, mAP=mAP: scored(outputs, mAP=mAP))
        result = call("verify", committed.folder.name[-8:], "--reference", reference)
        assert result.exit_code == code, result.output
        assert words in result.output and f"repeating {committed.folder.name}" in result.output
    assert used == [committed.metrics["provenance"]["threads"]] * 2
    assert kept.metrics["retrieval"]["mAP"] == 0.99
    result = call("verify", "nobody", "--reference", reference)
    assert result.exit_code == 1 and committed.folder.name in result.output and "Traceback" not in result.output


def test_the_runs_that_make_verifies_are_planned_ones():
    from gaaplib.paper import committed

    text = (Path(__file__).parents[1] / "Makefile").read_text()
    names = text.split("RUNS = $(addprefix synthetic-,")[1].split(")")[0].replace("\\", "").split()
    assert len(names) == 2
    assert {f"synthetic-{name}" for name in names} <= set(committed.everything()["twin"])


@pytest.fixture(scope="module")
def compared(tmp_path_factory):
    """A page on a method that needs no training, on photographs of sixty people; and its command's output."""
    home = tmp_path_factory.mktemp("compared")
    for person in range(60):
        for number in range(2):
            save_colour(home / "photos" / f"person {person}" / f"{number}.png", person, number)
    page = home / "page.html"
    given = [
        "-p",
        "dataset",
        "folder",
        "-p",
        "data",
        home / "photos",
        "-p",
        "method",
        "histogram",
        "-p",
        "profile",
        "smoke",
    ]
    arguments = ["compare", *given, "--vary", "distance=cosine,euclidean", "-o", page]
    result = CliRunner().invoke(main, list(map(str, arguments)), env={"GAAP_OUTPUTS": str(home / "outputs")})
    return result, page


def test_compare_makes_the_runs_and_a_page_without_code(compared):
    result, page = compared
    assert result.exit_code == 0, result.output
    assert result.output.endswith(f"page: {page}\n")
    html = page.read_text()
    assert "distance=euclidean minus distance=cosine, mAP: " in html and "12 identities" in html
    assert html.count("data:image/jpeg;base64,") >= 4
    assert "comparison.of" not in html and "from gaaplib" not in html
    book = nbformat.read(page.with_suffix(".ipynb"), 4)
    assert any("comparison.of" in cell.source for cell in book.cells)


def test_a_second_comparison_does_not_overwrite_the_first(outputs, monkeypatch):
    monkeypatch.setattr("gaaplib.batch.execute", lambda notebook, target, values: target.touch())
    monkeypatch.setattr("gaaplib.batch.write_page", lambda executed, page, title: page.write_text(str(executed)))
    common = ["-p", "profile", "smoke"]
    asked = [
        [*common, "--vary", "attention=none,class"],
        [*common, "--vary", "attention=none,self"],
        [*common, "--vary", "attention=none,class", "--seeds", "0,1"],
        [*common, "--vary", "attention=none,class", "--folds", "0,1"],
        [*common, "-p", "backbone", "resnet34", "--vary", "attention=none,class"],
        [*common, "-p", "dataset", "raid", "--vary", "attention=none,class"],
        # Their names differ in what does not fit.
        *([*common, "--vary", "attention=none,class", "--seeds", ",".join(map(str, range(n)))] for n in (50, 51)),
    ]
    pages = [CliRunner().invoke(main, ["compare", *words]).output.splitlines()[-1] for words in (*asked, asked[0])]
    assert (
        pages[0] == f"page: {(outputs / 'comparisons').absolute()}/market1501_profile-smoke_attention-none-class.html"
    )
    assert len(set(pages[:-1])) == len(asked) and pages[-1] == pages[0]
    assert {path.name for path in (outputs / "comparisons").glob("*.html")} == {Path(page).name for page in pages}


def test_folders_of_one_name_have_pages_of_their_own():
    one, other = (_page_name((), [("data", f"{home}/photos")], ["attention=none,class"], None, None) for home in "ab")
    assert re.fullmatch(r"market1501_photos_attention-none-class_[0-9a-f]{8}", one) and one != other
    assert _page_name((), [("data", "photos")], ["seed=0,1"], None, None) == "market1501_photos_seed-0-1"


def test_a_page_needs_no_network(compared):
    html = compared[1].read_text()
    assert not re.search(r"<(?:script|link|img)[^>]+(?:src|href)=\"http", html)
    assert "://cdn" not in html


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--vary", "attention=none"], "nothing varies"),
        (["--run", "x", "--vary", "attention=none,class"], "not both"),
        (["--run", "nothing"], "no run 'nothing'"),
        (["--vary", "attention=none,class", "--maps", "heat"], "maps='heat' is not known"),
        (["--vary", "attention=none,class", "-o", "page.pdf"], "the page is an .html file"),
        (["--vary", "attention=none,class", "-p", "dataset", "folder", "-p", "data", "nowhere"], "nowhere"),
    ],
)
def test_compare_refuses_before_anything_is_trained(arguments, message, outputs, monkeypatch):
    monkeypatch.setattr("gaaplib.batch.execute", lambda *a, **k: pytest.fail("a notebook was executed"))
    result = CliRunner().invoke(main, ["compare", *arguments])
    assert result.exit_code and message in result.output, result.output
    assert "Traceback" not in result.output

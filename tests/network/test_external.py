"""Models from elsewhere: what they get is what they expect, read from the file or given by name."""

import json
import sys

import numpy as np
import onnx
import pytest
from made_onnx import embeddings_of, write_onnx

from gaaplib.network import external

MEAN, STD = (0.485, 0.456, 0.406), (0.229, 0.224, 0.225)
PIXELS = np.multiply(MEAN, 255), np.multiply(STD, 255)


@pytest.fixture
def images():
    return np.random.default_rng(1).integers(0, 256, (5, 64, 32, 3), dtype=np.uint8)


def check(model, images, **expected):
    found = model.predict_on_batch(images)["embedding"]
    assert found.dtype == np.float32 and found.shape == (len(images), 4)
    np.testing.assert_allclose(found, embeddings_of(images, **expected), rtol=1e-3, atol=1e-3)


@pytest.mark.parametrize("first", [True, False])
@pytest.mark.parametrize("pixels", ["float32", "float16"])
def test_floats_are_normalised_as_most_models_expect_it(tmp_path, images, first, pixels):
    model = external.load(write_onnx(tmp_path / "m.onnx", first=first, pixels=pixels))
    assert (model.input.height, model.input.width, model.input.channels_first) == (64, 32, first)
    check(model, images, mean=MEAN, std=STD)


@pytest.mark.parametrize(
    ("given", "expected"),
    [
        ({"mean": 0.5, "std": "0.25"}, {"mean": 0.5, "std": 0.25}),
        ({"mean": "0.1,0.2,0.3", "std": (0.5, 1, 2)}, {"mean": (0.1, 0.2, 0.3), "std": (0.5, 1, 2)}),
        ({"colour": "bgr"}, {"mean": MEAN, "std": STD, "channels": (2, 1, 0)}),
    ],
)
def test_what_is_given_by_name_is_used(tmp_path, images, given, expected):
    check(external.load(write_onnx(tmp_path / "m.onnx"), **given), images, **expected)


@pytest.mark.parametrize(
    ("own", "expected"),
    [
        ([("Div", 255.0), ("Sub", MEAN), ("Div", STD)], {"mean": MEAN, "std": STD}),
        ([("Mul", 1 / 255), ("Sub", MEAN)], {"mean": MEAN}),
        ([("Sub", PIXELS[0]), ("Div", PIXELS[1])], {"mean": MEAN, "std": STD}),
        ([("Sub", MEAN), ("Div", STD)], {"mean": MEAN, "std": STD}),
    ],
)
@pytest.mark.parametrize("first", [True, False])
def test_a_normalisation_in_the_file_is_not_applied_twice(tmp_path, images, own, expected, first):
    path = write_onnx(tmp_path / "m.onnx", own=own, first=first)
    check(external.load(path), images, **expected)
    with pytest.raises(ValueError, match="normalises its images itself, so mean and std would be applied twice"):
        external.load(path, mean=0.5)


def test_whole_pixel_values_are_given_as_they_are(tmp_path, images):
    path = write_onnx(tmp_path / "m.onnx", first=False, pixels="uint8")
    check(external.load(path), images, divisor=1.0)
    with pytest.raises(ValueError, match="takes whole pixel values"):
        external.load(path, std=0.5)


def test_a_size_that_the_file_leaves_open_has_to_be_given(tmp_path, images):
    path = write_onnx(tmp_path / "m.onnx", size=(None, 32))
    assert external.size_of(path) == {"width": 32}
    with pytest.raises(ValueError, match="leaves the height of its images open: give height"):
        external.load(path)
    check(external.load(path, height=64), images, mean=MEAN, std=STD)
    with pytest.raises(ValueError, match="takes images of width 32, not 16"):
        external.load(path, height=64, width=16)


def test_a_batch_of_fixed_size_is_filled_up(tmp_path, images):
    check(external.load(write_onnx(tmp_path / "m.onnx", batch=2)), images, mean=MEAN, std=STD)


def test_the_output_named_embedding_is_taken(tmp_path):
    assert external.load(write_onnx(tmp_path / "m.onnx", output="embedding")).output == "embedding"
    with pytest.raises(ValueError, match=r"has no embedding, an output of the shape .batch, dim.; it has: odd"):
        external.load(write_onnx(tmp_path / "m.onnx", output="odd", dims=1))


@pytest.mark.parametrize("content", [b"", b"not a model", b"PK\x03\x04", bytes(range(256)) * 9])
def test_a_file_that_is_no_model_is_refused(tmp_path, content):
    path = tmp_path / "m.onnx"
    path.write_bytes(content)
    with pytest.raises(ValueError, match=f"{path} cannot be read as an ONNX file"):
        external.load(path)


def test_weights_in_other_files_are_refused(tmp_path):
    """A run keeps a copy of one file, and could not load it again."""
    path = write_onnx(tmp_path / "m.onnx")
    apart = {"save_as_external_data": True, "location": "weights", "size_threshold": 32}
    onnx.save_model(onnx.load(path), str(path), **apart)
    assert (tmp_path / "weights").exists()
    with pytest.raises(ValueError, match="has its weights in other files, .*save it as one file"):
        external.load(path)


def test_other_files_and_wrong_values_are_refused_with_what_is_right(tmp_path):
    with pytest.raises(ValueError, match="must be an .onnx file, or an .xml of OpenVINO"):
        external.load(tmp_path / "model.pth")
    with pytest.raises(FileNotFoundError, match="no such file"):
        external.load(tmp_path / "m.onnx")
    path = write_onnx(tmp_path / "m.onnx")
    for wrong in ("a,b,c", "1,2", (0.1,) * 4, -1, 1000, float("nan")):
        with pytest.raises(ValueError, match="expected three numbers as shares of 255"):
            external.load(path, mean=wrong)
    with pytest.raises(ValueError, match="std=0: expected three numbers"):
        external.load(path, std=0)
    with pytest.raises(ValueError, match="colour='hsv' is not known; known: rgb, bgr"):
        external.load(path, colour="hsv")


def test_a_model_kept_by_a_run_gives_the_same(tmp_path, images):
    model = external.load(write_onnx(tmp_path / "m.onnx"), colour="bgr", mean=0.5, std=0.25)
    (tmp_path / "run").mkdir()
    model.save(tmp_path / "run")
    assert {path.name for path in (tmp_path / "run").iterdir()} == {"model.onnx", "input.json"} <= set(external.FILES)
    noted = json.loads((tmp_path / "run" / "input.json").read_text())
    assert (noted["colour"], noted["mean"], noted["std"]) == ("bgr", [0.5] * 3, [0.25] * 3)
    again = external.load_saved(tmp_path / "run")
    assert (again.input, again.output) == (model.input, model.output)
    expected = model.predict_on_batch(images)["embedding"]
    np.testing.assert_array_equal(again.predict_on_batch(images)["embedding"], expected)


def test_what_it_expects_is_told_in_one_line(tmp_path):
    model = external.load(write_onnx(tmp_path / "m.onnx", own=[("Div", 255.0)]))
    words = "float32 (batch, 3, height, width), 64 x 32, RGB, 0 to 255, normalised by the file itself"
    assert str(model.input) == words


@pytest.mark.parametrize(
    ("suffix", "module", "extra"), [("onnx", "onnxruntime", "onnx"), ("xml", "openvino", "openvino")]
)
def test_without_the_library_the_error_says_what_to_install(tmp_path, monkeypatch, suffix, module, extra):
    (tmp_path / f"m.{suffix}").touch()
    monkeypatch.setitem(sys.modules, module, None)
    with pytest.raises(ImportError, match=rf"pip install 'gaaplib\[{extra}\]'"):
        external.load(tmp_path / f"m.{suffix}")


def test_openvinos_files_give_the_same(tmp_path, images):
    openvino = pytest.importorskip("openvino")
    for own, expected in (((), {"mean": MEAN, "std": STD}), ([("Sub", PIXELS[0])], {"mean": MEAN, "std": 1 / 255})):
        path = write_onnx(tmp_path / "m.onnx", own=own)
        openvino.save_model(openvino.Core().read_model(path), tmp_path / "m.xml", compress_to_fp16=False)
        assert external.size_of(tmp_path / "m.xml") == {"height": 64, "width": 32}
        model = external.load(tmp_path / "m.xml")
        if not own:
            check(model, images, **expected)
        np.testing.assert_allclose(
            model.predict_on_batch(images)["embedding"],
            external.load(path).predict_on_batch(images)["embedding"],
            rtol=1e-3,
            atol=1e-3,
        )
        (tmp_path / "run").mkdir(exist_ok=True)
        model.save(tmp_path / "run")
        assert external.load_saved(tmp_path / "run").output == model.output

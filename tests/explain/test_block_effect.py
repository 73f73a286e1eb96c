"""What a run's attention block adds: measured, kept in its folder, read and tabled."""

import json
import shutil

import keras
import numpy as np
import pytest
from click.testing import CliRunner
from hypothesis import given
from hypothesis import strategies as st
from made_runs import write_run

from gaaplib.attention import CrossFeatureAttention
from gaaplib.cli import main
from gaaplib.explain import block_effect, heatmaps
from gaaplib.runs import Run


@pytest.fixture
def own(run, tmp_path):
    """The run in a folder of its own, where its block may be measured."""
    folder = tmp_path / "runs" / run.folder.name
    shutil.copytree(run.folder, folder)
    return Run(folder)


@given(st.integers(1, 6), st.floats(0.1, 100.0), st.integers(0, 99))
def test_as_many_directions_as_images_differ_in_whatever_their_length_and_mean(count, scale, seed):
    rng = np.random.default_rng(seed)
    axes = np.linalg.qr(rng.normal(size=(8, 8)))[0][:count]
    images = scale * np.concatenate([axes, -axes]) + rng.normal(size=8)
    assert block_effect.directions(images) == pytest.approx(count)
    assert 1 <= block_effect.directions(rng.normal(size=(20, 5))) <= 5


def test_directions_are_those_of_the_covariance_and_none_if_all_images_are_equal():
    features = np.random.default_rng(0).normal(size=(20, 5)) * [5, 3, 1, 1, 1]
    values = np.linalg.eigvalsh(np.cov(features, rowvar=False))
    assert block_effect.directions(features) == pytest.approx(values.sum() ** 2 / np.square(values).sum())
    assert block_effect.directions(np.ones((4, 3))) == 0


def test_what_is_added_is_the_output_minus_the_input_of_the_block():
    keras.utils.set_random_seed(0)
    images = np.random.default_rng(0).integers(0, 256, (5, 8, 4, 3)).astype("uint8")
    # Small values: a softmax with large ones would show each rounding.
    entered, maps = keras.Input((8, 4, 3)), keras.Input((8, 4, 6))
    scaled = keras.layers.Rescaling(1 / 255)(entered)
    backbone = keras.Model(entered, keras.layers.Conv2D(6, 1)(scaled), name="backbone")
    block = CrossFeatureAttention(name="attention")
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    head = keras.Model(maps, {"embedding": pooled}, name="head")
    model = keras.Model(entered, head(block(backbone(entered))))

    before, after, largest = heatmaps.around_attention(model, images, batch_size=2)
    features = np.asarray(backbone(images.astype("float32")))
    np.testing.assert_allclose(before, features.mean(axis=(1, 2)), atol=1e-5)
    np.testing.assert_allclose(after, np.asarray(block(features)).mean(axis=(1, 2)), atol=1e-5)
    rows = np.asarray(block.attention_map(features)).max(axis=2)
    np.testing.assert_allclose(largest, rows.mean(axis=1), atol=1e-5)
    assert np.abs(after - before).max() > 0.01


def test_the_command_prints_what_it_writes(own, cache, monkeypatch):
    monkeypatch.setenv("GAAP_OUTPUTS", str(cache))
    result = CliRunner().invoke(main, ["block", "--run", str(own.folder), "--queries", "6"])
    assert result.exit_code == 0, result.output
    *lines, path = result.output.splitlines()
    assert path == str(own.folder / "block.json")
    found = block_effect.read(own)
    assert found["images"] == 6 and found["added"] > 0 and 1 / 8 <= found["largest_weight"] <= 1
    assert 1 <= found["directions_after"] <= 5
    assert lines == [f"{title}: {value}" for title, value in block_effect.in_words(found).items()]
    table = block_effect.of_runs(own.folder.parents[1])
    assert list(table.index) == [("synthetic-market1501", "split", "resnet18", "class", "random")]
    assert table["runs"].item() == 1 and table["length of what is added"].item() == f"{found['added']:.1f}"


def test_features_that_are_not_finite_are_refused_and_nothing_is_written(own, cache, monkeypatch):
    broken = np.full((4, 8), np.nan, "float32")
    monkeypatch.setattr(heatmaps, "around_attention", lambda *_: (broken, broken, broken[:, 0]))
    with pytest.raises(ValueError, match="features are not finite"):
        block_effect.measure(own, 4, outputs=cache)
    assert not (own.folder / block_effect.FILE).exists()


def test_without_attention_nothing_is_added_and_there_is_no_weight(plain, cache):
    try:
        found = block_effect.measure(plain, 4, outputs=cache)
    finally:
        (plain.folder / block_effect.FILE).unlink()
    assert found["added"] == 0 and found["directions_before"] == found["directions_after"] > 0
    assert found["largest_weight"] is None and block_effect.in_words(found)["largest attention weight"] == ""


def test_seeds_are_averaged_and_other_settings_are_not(tmp_path):
    values = {"images": 3, "before": 2.0, "added": 1.0, "directions_before": 3.0, "directions_after": 2.0}
    cases = [({"seed": 0}, 1.0), ({"seed": 1}, 3.0), ({"pooling": "max"}, 5.0), ({"attention": "none"}, 0.0)]
    for settings, added in cases:
        run = write_run(tmp_path, [0.5], **settings)
        weight = None if "attention" in settings else 0.75
        (run.folder / block_effect.FILE).write_text(json.dumps(values | {"added": added, "largest_weight": weight}))
    table = block_effect.of_runs(tmp_path)
    columns = ["attention", "runs", "training accuracy", "length of what is added", "largest attention weight"]
    assert sorted(table.reset_index()[columns].itertuples(index=False, name=None)) == [
        ("class", 1, "", "5.0", "0.75"),
        ("class", 2, "", "2.0", "0.75"),
        ("none", 1, "", "0.0", ""),
    ]


def test_a_file_that_is_missing_or_damaged_is_refused(own, tmp_path):
    with pytest.raises(FileNotFoundError, match="gaap block --run"):
        block_effect.read(own)
    assert block_effect.of_runs(tmp_path).empty
    whole = {"images": 3, "before": 1, "added": 1, "directions_before": 1, "directions_after": 1, "largest_weight": 0.5}
    for damaged in ("{", "[]", json.dumps(whole | {"added": "x"}), json.dumps(whole | {"largest_weight": 2})):
        (own.folder / block_effect.FILE).write_text(damaged)
        with pytest.raises(ValueError, match="block.json .*gaap block writes it anew"):
            block_effect.read(own)
    (own.folder / block_effect.FILE).write_text(json.dumps(whole))
    assert block_effect.read(own) == whole

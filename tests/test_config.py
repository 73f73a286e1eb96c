import dataclasses
import importlib
import json
import subprocess
import sys
from pathlib import Path

import pytest
from made_onnx import write_onnx

from gaaplib import runs
from gaaplib.attention import ATTENTION
from gaaplib.config import CHOICES, PROFILES, RANGES, REGISTRIES, SCALES, RunConfig, choices, completed
from gaaplib.datasets import synthetic
from gaaplib.network import devices
from gaaplib.pooling import Pooling


def test_the_defaults_are_the_demo_profile():
    assert RunConfig() == RunConfig("demo")


@pytest.mark.parametrize("profile", PROFILES)
def test_every_profile_is_valid_and_survives_json(profile):
    config = RunConfig(profile, method="bot" if profile == "own" else None)
    assert config.profile == profile
    assert RunConfig(**json.loads(json.dumps(config.to_dict()))) == config


@pytest.mark.parametrize("name", [*REGISTRIES, *CHOICES])
def test_an_unknown_choice_lists_the_known_ones(name):
    wrong = 3 if isinstance(getattr(RunConfig(), name), int) else "nonsense"
    with pytest.raises(ValueError, match=f"{name}=.*known: ") as caught:
        RunConfig(**{name: wrong})
    assert all(str(known) in str(caught.value) for known in choices(name))


@pytest.mark.parametrize("name", RANGES)
def test_a_value_out_of_range_is_named(name):
    low, high = RANGES[name]
    for wrong in (low - 1, high + 1):
        with pytest.raises(ValueError, match=f"{name}="):
            RunConfig(**{name: wrong})


def test_every_number_has_a_range_and_every_word_a_choice():
    checked = {*REGISTRIES, *CHOICES, *RANGES, "profile"}
    free = {"data", "options", "pattern", "train_data", "weights", "attention_at", "input_mean", "input_std", "steps"}
    of_the_data_sets = {"train_dataset", "variant"}
    assert {field.name for field in dataclasses.fields(RunConfig)} - checked == free | of_the_data_sets


@pytest.mark.parametrize(
    ("name", "value", "expected"),
    [
        ("epochs", 2.5, "int"),
        ("epochs", True, "int"),
        ("epochs", "2", "int"),
        ("alpha", "0.5", "float"),
        ("backbone", 18, "str"),
        ("key_dim", 0.5, "int or None"),
    ],
)
def test_a_wrong_type_is_named(name, value, expected):
    with pytest.raises(TypeError, match=f"{name}={value!r}.*expected {expected}"):
        RunConfig(**{name: value})


def test_a_whole_number_serves_as_a_float():
    assert RunConfig(alpha=1) == RunConfig(alpha=1.0)
    assert RunConfig(alpha=1).run_id == RunConfig(alpha=1.0).run_id


def test_an_unknown_parameter_lists_the_known_ones():
    with pytest.raises(ValueError, match=r"'bakbone' .did you mean backbone..; known: profile, .*backbone"):
        RunConfig("demo", bakbone="resnet50")
    with pytest.raises(ValueError, match="profile='quick' is not known; known: smoke, demo"):
        RunConfig("quick")


def test_a_profile_is_never_only_a_label():
    assert RunConfig(profile="paper") == RunConfig("paper")
    assert RunConfig(profile="paper").epochs == 25
    assert dataclasses.replace(RunConfig("paper"), fold=2) == RunConfig("paper", fold=2)


def test_none_means_as_the_profile_says():
    assert RunConfig("paper", epochs=None).epochs == 25
    assert RunConfig("paper", epochs=3).epochs == 3


def test_batches_of_p_times_k_have_to_divide():
    with pytest.raises(ValueError, match="batch_size=30.*images_per_identity=4"):
        RunConfig(sampler="identity_balanced", batch_size=30)


def test_the_paper_profile_is_the_papers_protocol():
    """docs/paper.md, 'Training'."""
    config = RunConfig("paper", backbone="resnet50")
    expected = {
        "height": 128,
        "width": 64,
        "learning_rate": 1e-4,
        "beta_1": 0.8,
        "batch_size": 32,
        "epochs": 25,
        "schedule": "plateau",
        "sampler": "shuffled",
        "initializer": "gaussian0.1",
        "label_smoothing": 0.0,
        "weights": None,
        "alpha": 0.5,
        "attention": "class",
        "pooling": "avg",
        "flip": 0.0,
        "erase": 0.0,
        "scale": 1.0,
    }
    assert {name: getattr(config, name) for name in expected} == expected
    assert min(config.shift_x, config.shift_y, config.zoom, config.crop) > 0
    rates = {name: RunConfig("paper", backbone=name).learning_rate for name in choices("backbone")}
    assert rates["resnet18"] == 5e-4
    assert rates["resnet34"] == 2e-4
    assert rates["vgg16"] == rates["vgg19"] == 1e-4


def test_the_run_id_says_what_it_is_and_changes_with_every_value():
    config = RunConfig()
    assert config.run_id.startswith("synthetic-market1501_resnet18_class_avg_gaap_fold0_seed0_")
    real = dataclasses.replace(config, data="somewhere")
    assert real.run_id.startswith("market1501_resnet18_")
    changed = [dataclasses.replace(config, crop=0.2), dataclasses.replace(config, seed=1), real]
    assert len({config.run_id, *(other.run_id for other in changed)}) == 4


def test_a_notebook_gives_its_parameters_and_nothing_else():
    namespace = {
        "__name__": "__main__",
        "_ih": [""],
        "In": [""],
        "Out": {},
        "exit": object(),
        "json": json,
        "RunConfig": RunConfig,
        "profile": "smoke",
        "seed": 4,
        "epochs": None,
    }
    config = RunConfig.from_notebook(namespace)
    assert (config.profile, config.seed) == ("smoke", 4)
    with pytest.raises(ValueError, match="unknown parameter 'sed' .did you mean seed..; known: "):
        RunConfig.from_notebook({**namespace, "sed": 4})
    with pytest.raises(TypeError, match="seed='4'"):
        RunConfig.from_notebook({**namespace, "seed": "4"})


@pytest.mark.parametrize("profile", SCALES)
def test_a_profile_draws_a_share_of_each_twin(profile):
    assert set(SCALES[profile]) == set(synthetic.SPECS)
    for dataset, scale in SCALES[profile].items():
        assert RunConfig(profile, dataset=dataset).scale == scale
        assert RunConfig(profile, dataset=dataset, scale=0.5).scale == 0.5
    assert RunConfig("paper", dataset="raid").scale == 1.0


def test_a_model_may_be_trained_on_another_data_set():
    config = RunConfig(dataset="raid", train_dataset="market1501", backbone="resnet34")
    assert config.train_data == "synthetic"
    assert config.data_name == "synthetic-raid-from-synthetic-market1501"
    assert config.training() == RunConfig(backbone="resnet34", training_images="all")
    assert config.training().training() is None
    given = RunConfig(dataset="raid", train_dataset="market1501", scale=0.5)
    assert given.training() == RunConfig(scale=0.5, training_images="all")
    mixed = RunConfig(dataset="raid", data="raid", train_dataset="market1501", train_data="synthetic")
    assert mixed.data_name == "raid-from-synthetic-market1501"
    assert mixed.is_synthetic
    real = RunConfig(dataset="raid", data="a", train_dataset="market1501", train_data="b")
    assert not real.is_synthetic
    assert real.training().data == real.train_data != "synthetic"


def test_partial_ilids_is_trained_on_market1501():
    assert RunConfig(dataset="partial_ilids").training() == RunConfig(training_images="all")
    other = RunConfig(dataset="partial_ilids", train_dataset="raid")
    assert other.training() == RunConfig(dataset="raid", training_images="all")


def test_a_model_for_another_data_set_trains_on_all_images_unless_told_otherwise():
    assert RunConfig("paper").training_images == "split"
    assert RunConfig("paper", dataset="partial_ilids").training_images == "all"
    kept = RunConfig("paper", dataset="partial_ilids", training_images="split")
    assert kept.training() == RunConfig("paper", training_images="split")
    assert RunConfig(**kept.to_dict()) == kept


def test_settings_that_are_newer_than_a_run_have_their_defaults():
    now = RunConfig("smoke", dataset="partial_ilids", training_images="split")
    before = now.to_dict()
    del before["training_images"]
    assert RunConfig(**completed(before)) == now


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"dataset": "partial_ilids", "data": "there"}, "trained on 'market1501': give train_data"),
        ({"train_dataset": "market1501"}, "is the data set itself"),
        ({"train_dataset": "partial_ilids"}, "has no training set"),
        ({"train_dataset": "nonsense"}, "'nonsense' is not known; known: market1501"),
        ({"train_data": "there"}, "needs train_dataset"),
        ({"variant": "500k", "dataset": "raid", "data": "there"}, "variant='500k' of raid is not known; known: none"),
        ({"variant": "600k", "data": "there"}, "known: 500k"),
        ({"variant": "500k"}, "of the synthetic twin of market1501 is not known; known: occluded"),
        ({"variant": "occluded", "data": "there"}, "known: 500k"),
    ],
)
def test_sources_that_do_not_fit_are_refused(changes, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(**changes)


def test_a_variant_is_named_in_the_results():
    assert RunConfig(data="there", variant="500k").data_name == "market1501-500k"
    assert RunConfig(variant="occluded").data_name == "synthetic-market1501-occluded"


def test_a_variant_may_be_scored_with_a_model_of_the_whole():
    scored = RunConfig(variant="occluded", train_dataset="market1501", train_data="synthetic")
    assert scored.training() == RunConfig(training_images="all")
    with pytest.raises(ValueError, match="train_dataset='market1501' is the data set itself"):
        RunConfig(train_dataset="market1501", train_data="synthetic")


def with_a_new_field():
    """``RunConfig`` as it will be one day, with one more setting whose default changes nothing."""
    namespace = {"__annotations__": {"sharpness": float}, "sharpness": 0.0, "__init__": RunConfig.__init__}
    return dataclasses.dataclass(frozen=True, init=False)(type("RunConfig", (RunConfig,), namespace))


def test_a_new_field_renames_no_committed_run():
    later = with_a_new_field()
    found = runs.finished(Path(__file__).parents[1] / "outputs" / "reference")
    assert len(found) > 30
    for run in found:
        settings = run.metrics["config"]
        assert RunConfig(**settings).run_id == run.folder.name
        assert later(**settings).run_id == run.folder.name
    assert later(sharpness=0.5).run_id != later().run_id == RunConfig().run_id


def test_names_read_from_the_source_are_those_of_the_registries():
    for name, (module, registry) in REGISTRIES.items():
        found = tuple(getattr(importlib.import_module(module), registry))
        source = f"import sys; from gaaplib.config import choices; print(*choices({name!r})); "
        source += "assert not {'keras', 'tensorflow'} & set(sys.modules)"
        said = subprocess.run([sys.executable, "-c", source], capture_output=True, text=True, check=True).stdout
        assert tuple(said.split()) == found == choices(name)
    assert CHOICES["pool_over"] == Pooling.POOL_OVER


def test_an_entry_that_a_user_adds_is_known(monkeypatch):
    monkeypatch.setitem(ATTENTION, "mine", ATTENTION["self"])
    assert RunConfig(attention="mine").attention == "mine"


@pytest.mark.parametrize(
    ("changes", "meant"),
    [({"backbone": "resnet8"}, "resnet18"), ({"attention": "clas"}, "class"), ({"bakcbone": "vgg16"}, "backbone")],
)
def test_a_misspelt_name_or_value_is_answered_with_the_near_one(changes, meant):
    with pytest.raises(ValueError, match=f"did you mean {meant}"):
        RunConfig(**changes)


def test_the_precision_that_is_chosen_without_keras_is_that_of_the_devices():
    assert RunConfig().precision == devices.precision()


@pytest.mark.parametrize("name", ["attention", "neck"])
def test_none_and_the_word_none_are_not_mixed_up(name):
    with pytest.raises(ValueError, match=f"{name}=None: write 'none' for no {name}, or leave it out"):
        RunConfig.from_notebook({"profile": "modern", name: None})
    assert getattr(RunConfig.from_notebook({"profile": "modern", name: "none"}), name) == "none"


def test_the_word_profile_keeps_the_profiles_value():
    assert RunConfig.from_notebook({"profile": "modern", "neck": "profile"}).neck == "bnneck"


def test_a_path_is_one_path_from_everywhere(tmp_path, monkeypatch):
    (tmp_path / "one").mkdir()
    (tmp_path / "two").mkdir()
    monkeypatch.chdir(tmp_path / "one")
    one = RunConfig(data="d", weights="w.weights.h5")
    assert one.data == str(tmp_path / "one" / "d")
    assert one.weights == str(tmp_path / "one" / "w.weights.h5")
    monkeypatch.chdir(tmp_path / "two")
    assert RunConfig(data="d").run_id != RunConfig(data="../one/d").run_id
    assert RunConfig(data="../one/d", weights="../one/w.weights.h5").run_id == one.run_id
    assert RunConfig(weights="imagenet", backbone="resnet50").weights == "imagenet"


def test_a_path_within_the_project_names_the_same_run_on_every_machine(tmp_path, monkeypatch):
    names = set()
    for machine in ("one", "two"):
        project = tmp_path / machine
        for folder in ("notebooks", "gaaplib", "data"):
            (project / folder).mkdir(parents=True)
        (project / "data" / "cuhk03").symlink_to(tmp_path, target_is_directory=True)
        monkeypatch.chdir(project / "notebooks")
        config = RunConfig(dataset="cuhk03", data="../data/cuhk03", weights="../../w.weights.h5")
        assert config.data == str(project / "data" / "cuhk03")
        assert config.portable()["data"] == "data/cuhk03"
        assert config.portable()["weights"] == str(tmp_path / "w.weights.h5")
        assert RunConfig(**completed(config.portable())) == config
        names.add(config.run_id)
    monkeypatch.chdir(tmp_path)
    names.add(RunConfig(dataset="cuhk03", data="one/data/cuhk03", weights="w.weights.h5").run_id)
    assert len(names) == 1


@pytest.mark.parametrize("name", ["key_dim", "value_dim"])
def test_dimensions_that_no_machine_holds_are_refused(name):
    with pytest.raises(ValueError, match=f"{name}=1000000000: expected 1 to 4096"):
        RunConfig(**{name: 10**9})


def test_a_misspelt_parameter_is_refused_whatever_its_value():
    with pytest.raises(ValueError, match="unknown parameter 'nek'"):
        RunConfig.from_notebook({"profile": "modern", "nek": "profile"})


def test_imagenets_weights_are_refused_for_a_backbone_without_them_before_anything_starts():
    with pytest.raises(ValueError, match="weights='imagenet': resnet18 has none; give one of vgg16, .*resnet50"):
        RunConfig(weights="imagenet")
    assert RunConfig(weights="imagenet", backbone="resnet50").weights == "imagenet"


def test_a_pattern_is_for_a_folder_and_is_checked():
    config = RunConfig(dataset="folder", data="photos", pattern=r"(?P<pid>\d+)_")
    assert config.run_id != RunConfig(dataset="folder", data="photos").run_id
    assert config.baseline().pattern == config.pattern
    with pytest.raises(ValueError, match="is for dataset='folder': the file names of raid are known"):
        RunConfig(dataset="raid", pattern="(?P<pid>.)")
    with pytest.raises(ValueError, match="must have the group pid"):
        RunConfig(dataset="folder", data="photos", pattern="x")


def test_few_photographs_are_trained_on_in_enough_batches_unless_epochs_are_given():
    own = {"dataset": "folder", "data": "photos"}
    assert (
        RunConfig(**own).min_steps
        == RunConfig(dataset="raid", data="x", train_dataset="folder", train_data="y").min_steps
    )
    assert RunConfig(**own).min_steps > 0 == RunConfig(**own, epochs=5).min_steps == RunConfig().min_steps
    assert RunConfig(**own, epochs=5, min_steps=9).min_steps == 9
    assert RunConfig("smoke", **own).min_steps == 0
    assert RunConfig(**RunConfig(**own).to_dict()) == RunConfig(**own)


def test_a_model_from_elsewhere_tells_the_size_of_its_images(tmp_path):
    path = str(write_onnx(tmp_path / "m.onnx", size=(96, 48)))
    config = RunConfig(method="external", weights=path)
    assert (config.height, config.width) == (96, 48)
    assert RunConfig(method="external", weights=path, height=64, width=32).height == 64  # refused when it is loaded
    for weights in (None, "imagenet"):
        with pytest.raises(ValueError, match="method='external' needs weights: an .onnx file"):
            RunConfig(method="external", weights=weights, height=64, width=32)
    with pytest.raises(FileNotFoundError, match="no such file"):
        RunConfig(method="external", weights=str(tmp_path / "none.onnx"))

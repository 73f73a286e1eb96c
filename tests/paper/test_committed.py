"""The committed runs: each is asked once, and they share their models."""

import pytest

from gaaplib.config import RunConfig
from gaaplib.paper import committed, plan


def test_each_run_is_asked_once_and_can_be_made():
    parts = committed.everything()
    names = [run_id for runs in parts.values() for run_id in runs]
    assert len(names) == len(set(names))
    found = {run_id: config for runs in parts.values() for run_id, config in runs.items()}
    sources = [run.run_id for config in found.values() for run in config.needed()]
    assert set(sources) <= set(found)
    assert all(RunConfig(**plan.arguments(config)).run_id == run_id for run_id, config in found.items())


def test_settings_are_changed_on_photographs_or_on_the_plans_own_images():
    study = plan.Plan("demo", datasets=("raid",), seeds=(4,), ablated="resnet34")
    assert committed.ablated(study, "datasets") is study
    found = committed.ablated(study, "photographs").readings()
    assert {(run.dataset, run.profile, run.seed, run.backbone) for run in found} == {("cuhk03", "long", 4, "resnet34")}
    with pytest.raises(ValueError, match="images='photos' is unknown; known: photographs, datasets"):
        committed.ablated(study, "photos")


def test_crossings_use_the_models_of_the_block():
    assert {run.training().run_id for run in committed.across() if run.train_dataset == "cuhk03"} == {
        run.run_id for run in committed.photographs().block() if run.training_images == "all"
    }
    assert all(isinstance(run, RunConfig) for run in committed.across())


def test_the_twin_is_synthetic_and_large_enough_to_learn_from():
    runs = committed.of_twin()
    assert {(run.data, run.dataset, run.scale, run.seed) for run in runs} == {("synthetic", "market1501", 0.3, 0)}
    assert {run.backbone for run in runs} == {"resnet18", "resnet34", "resnet50"}
    assert runs[0].method == "histogram"


def test_the_start_is_all_that_changes_in_the_gentle_runs():
    study = committed.photographs()
    usual = [run for run in study.matrix() if (run.attention, run.pooling) == ("class", "avg")]
    gentle = committed.gentle(study)
    assert {run.backbone for run in gentle} == set(study.backbones)
    assert [RunConfig(**run.to_dict() | {"attention_start": "random"}) for run in gentle] == usual
    assert {run.run_id for run in gentle} <= {run_id for runs in committed.everything().values() for run_id in runs}
    assert [run.backbone for run in committed.gentle(study, ("resnet34",))] == ["resnet34"]

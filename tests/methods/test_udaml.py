import numpy as np
from made_methods import make

from gaaplib.config import RunConfig
from gaaplib.methods.hct import Hct


def adapting(**changes):
    given = {"dataset": "market1501", "train_dataset": "raid", "train_data": "synthetic", "method": "udaml"}
    return RunConfig("smoke", **given | changes)


def test_it_starts_from_a_supervised_run_on_the_source():
    config = adapting(seed=3, backbone="resnet34", height=96)
    assert config.training() is None
    assert config.starts() == config.needed()
    (start,) = config.starts()
    settings = {"seed": 3, "backbone": "resnet34", "height": 96, "training_images": "all"}
    assert start == RunConfig("smoke", dataset="raid", method="bot", options="centre=0.0", **settings)


def test_other_methods_are_scored_with_a_model_of_the_source():
    config = adapting(method="bot")
    assert config.starts() == [] and config.needed() == [config.training()]


def test_without_a_source_it_starts_like_hct():
    method = make(method="udaml")
    assert method.config.needed() == []
    assert isinstance(method, Hct) and method.losses["pooled"][0].margin == "soft"


def test_a_target_without_training_images_is_scored_with_a_model_of_the_source():
    config = adapting(dataset="partial_ilids", train_dataset="market1501")
    assert not config.adapts and config.needed() == [config.training()]


def test_the_backbone_is_that_of_the_source(tmp_path):
    source, method = make(method="bot"), make(method="udaml", seed=1)
    rng = np.random.default_rng(0)
    source.model.set_weights([rng.normal(size=weight.shape) for weight in source.model.weights])
    source.save(tmp_path)
    method.start_from([tmp_path / "model.keras"])
    for one, other in zip(source._lower.get_weights(), method._lower.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_in_its_own_training_the_rate_is_constant_in_the_rounds_but_not_on_the_source():
    config = RunConfig("own", method="udaml", dataset="market1501", train_dataset="raid", train_data="synthetic")
    assert (config.schedule, config.steps, config.warmup_epochs) == ("constant", None, 0)
    (start,) = config.starts()
    assert (start.schedule, start.steps, start.warmup_epochs) == ("steps", "40 70", 10)

"""What the files of methods say of their settings."""

import pytest

from gaaplib import options
from gaaplib.config import PROFILES, RunConfig, choices

RECIPES = [name for name in choices("method") if options.recipe(name)]
WITHOUT_DROPOUT = ("bdb", "mgn", "hmbn", "fpr", "hct", "udaml", "han", "horeid", "pvpm")


def test_options_are_read_from_the_method_and_have_one_form():
    assert options.known("gaap") == options.defaults("gaap") == {}
    assert options.parsed("agw", None) == options.known("agw")
    text = options.as_text("agw", options.parsed("agw", "channels=one  centre=5e-4"))
    assert text == "channels=one"
    assert (
        RunConfig(method="agw", options=" channels=one centre=0.0005").run_id
        == RunConfig(method="agw", options="channels=one").run_id
    )


@pytest.mark.parametrize(
    ("method", "text", "message"),
    [
        ("gaap", "centre=0", "method='gaap' has no option 'centre=0'; it has none"),
        (
            "bot",
            "center=0",
            "method='bot' has no option 'center=0'; it has centre=0.0005 metric=triplet classifier=linear",
        ),
        ("bot", "centre", "has no option 'centre'"),
        ("bot", "centre=much", "centre='much' must be a float"),
        ("bot", "centre=-1", "options='centre=-1': centre=-1.0: expected 0.0 to 100.0"),
        ("bot", "centre=nan", "centre=nan: expected 0.0 to 100.0"),
        ("bot", "metric=x", "options='metric=x': metric='x' is not known; known: triplet, circle"),
        ("pcb", "parts=0", "parts=0: expected 1 to 64"),
        ("pvpm", "parts=1", "parts=1: expected 2 to 10"),
        ("pvpm", "poses=1", "poses=1.0: expected 0.01 to 0.99"),
        ("udaml", "rounds=0", "rounds=0: expected 1 to 1000"),
        ("hct", "merged=1", "merged=1.0: expected 0.01 to 0.99"),
    ],
)
def test_what_a_method_does_not_have_is_refused_before_keras_is_there(method, text, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(method=method, options=text)


@pytest.mark.parametrize("name", choices("method"))
def test_every_option_has_limits_which_its_default_is_within(name):
    known, limits = options.known(name), options.limits(name)
    # The names of backbones are asked of their registry.
    assert known.keys() - limits.keys() <= {"others"} and limits.keys() <= known.keys()
    for option, default in known.items():
        assert options.parsed(name, f"{option}={default}") == known
    for option, allowed in limits.items():
        assert all(type(value) is type(known[option]) for value in allowed)


@pytest.mark.parametrize(
    ("method", "changes", "message"),
    [
        *((name, {"dropout": 0.5}, "leave dropout out, or give 0.0") for name in WITHOUT_DROPOUT),
        *((name, {"margin": 0.7}, "leave margin out, or give 0.3") for name in ("gaap", "agw", "bdb", "mebnet", "pcb")),
        ("udaml", {"margin": 0.7}, "margin=0.7: method='udaml' has its own or none; leave margin out, or give 0.5"),
        ("hct", {"label_smoothing": 0.1}, "leave label_smoothing out, or give 0.0"),
        ("bot", {"margin": 0.7, "options": "metric=circle"}, "method='bot' with options='metric=circle' has its own"),
        ("ianet", {"margin": 0.7, "options": "triplet=0"}, "method='ianet' with options='triplet=0.0' has its own"),
    ],
)
def test_a_setting_that_the_method_does_not_use_is_refused(method, changes, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(method=method, **changes)


def test_a_margin_that_is_used_may_be_given():
    for method in ("triplet", "bot", "mgn", "hmbn", "ianet", "vpm", "fpr", "horeid", "hct"):
        assert RunConfig(method=method, sampler="identity_balanced", margin=0.7).margin == 0.7


@pytest.mark.parametrize("profile", PROFILES)
@pytest.mark.parametrize("name", choices("method"))
def test_what_a_method_refuses_is_no_default(profile, name):
    if profile == "own" and name not in RECIPES or name == "external":
        return
    config = RunConfig(profile, method=name)
    only = options.only(name, None)
    assert {setting: getattr(config, setting) for setting in only} == only


def test_settings_follow_the_method_unless_they_are_given():
    config = RunConfig("standard", method="agw")
    assert (config.neck, config.pooling, config.dropout) == ("bnneck", "gem", 0.0)
    assert (config.attention, config.sampler) == ("none", "identity_balanced")
    given = RunConfig("standard", method="agw", pooling="max", attention="class")
    assert (given.pooling, given.attention) == ("max", "class")
    assert config.changes() == {"method": "agw"}
    assert RunConfig(**config.to_dict()) == config
    assert config.baseline().neck == RunConfig("standard").neck


@pytest.mark.parametrize("name", RECIPES)
def test_the_training_of_a_methods_own_paper_is_a_profile(name):
    recipe = options.recipe(name)
    config = RunConfig("own", method=name)
    assert {setting: getattr(config, setting) for setting in recipe} == recipe
    assert config.training_images == "all" and config.neck == options.defaults(name)["neck"]
    assert config.changes() == {"method": name}
    assert RunConfig(**config.to_dict()) == config
    assert RunConfig("own", method=name, epochs=7).epochs == 7
    assert config.baseline().height == config.height


def test_a_method_without_a_known_training_has_no_profile_of_its_own():
    assert "gaap" not in RECIPES and "hmbn" not in RECIPES
    with pytest.raises(
        ValueError, match="profile='own': the training of method='gaap' is not known; known: bot, agw, pcb"
    ):
        RunConfig("own")
    with pytest.raises(ValueError, match="method='bott' is not known"):
        RunConfig("own", method="bott")

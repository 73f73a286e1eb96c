"""What the files of methods say of their settings."""

import pytest

from gaaplib import options
from gaaplib.config import RunConfig, choices


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
    ],
)
def test_what_a_method_does_not_have_is_refused_before_keras_is_there(method, text, message):
    with pytest.raises(ValueError, match=message):
        RunConfig(method=method, options=text)


def test_settings_follow_the_method_unless_they_are_given():
    config = RunConfig("standard", method="agw")
    assert (config.neck, config.pooling, config.dropout) == ("bnneck", "gem", 0.0)
    assert (config.attention, config.sampler) == ("none", "identity_balanced")
    given = RunConfig("standard", method="agw", pooling="max", attention="class")
    assert (given.pooling, given.attention) == ("max", "class")
    assert config.changes() == {"method": "agw"}
    assert RunConfig(**config.to_dict()) == config
    assert config.baseline().neck == RunConfig("standard").neck


RECIPES = [name for name in choices("method") if options.recipe(name)]


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

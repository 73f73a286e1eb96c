import numpy as np
import pandas as pd
import pytest

from gaaplib.training import curve


def history(validation=None, training=0.9):
    epochs = 8 if validation is None else len(validation)
    table = {"epoch": range(1, epochs + 1), "accuracy": np.full(epochs, training)}
    return pd.DataFrame(table | ({} if validation is None else {"val_accuracy": validation}))


def test_the_last_epoch_is_told_beside_chance():
    (words,) = curve.in_words(history([0.5] * 8), identities=4, images=40)
    assert words == "after 8 epochs: accuracy 0.90 in training, 0.50 in validation, 0.25 by chance"


def test_without_validation_images_only_training_is_told():
    for images, table in ((0, history([np.nan] * 8)), (40, history())):
        assert curve.in_words(table, 200, images) == ["after 8 epochs: accuracy 0.90 in training, 0.005 by chance"]
    assert curve.in_words(pd.DataFrame({"epoch": []}), 4, 40) == []
    assert curve.in_words(pd.DataFrame({"epoch": [1], "loss": [0.3]}), 4, 40) == []


@pytest.mark.parametrize(("accuracy", "at_chance"), [(0.0, True), (0.25, True), (0.35, True), (0.45, False)])
def test_validation_at_chance_is_told_with_the_remedy(accuracy, at_chance):
    sentences = curve.in_words(history([accuracy] * 8), identities=4, images=40)
    assert any("stays at chance (40 images of 4 identities)" in words for words in sentences) == at_chance


def test_chance_is_decided_as_by_simulated_guesses():
    rng = np.random.default_rng(0)
    guesses = rng.binomial(40, 1 / 4, size=100_000)
    for right in range(41):
        share = (guesses >= right).mean()
        if abs(share - curve.CHANCE_LEVEL) > 0.01:
            assert curve.is_at_chance(right / 40, 4, 40) == (share > curve.CHANCE_LEVEL)


def test_a_curve_that_still_rises_is_told():
    rising = curve.in_words(history(np.linspace(0.3, 0.9, 20)), identities=4, images=40)
    assert any("still rising" in words for words in rising)
    for flat in (np.full(20, 0.9), np.tile([0.8, 0.9], 10), np.linspace(0.9, 0.5, 20), [0.6, 0.7, 0.8]):
        assert not any("rising" in words for words in curve.in_words(history(flat), identities=4, images=40))

import numpy as np
import pytest
from made_methods import batch_of, make, predict


def test_two_vectors_with_two_losses_each():
    method = make(method="fpr")
    weights = {name: weight for name, (_, weight) in method.losses.items()}
    # That of "identities" is the mean of two.
    assert weights == {"identities": 2.0, "logits": 0.0, "foreground": 1.0, "whole": 1.0}
    assert method.losses["identities"][0].label_smoothing == 0.12


def test_an_image_has_a_vector_of_unit_length_and_a_weight_for_each_window():
    outputs = predict(make(method="fpr"))
    # On a map of 6 x 2: of 2 x 2 positions 3 windows, of 4 x 2 two, of 6 x 2 one.
    assert outputs["parts"].shape == (8, 6, 512) and outputs["parts"].dtype == "float16"
    np.testing.assert_allclose(np.linalg.norm(outputs["parts"].astype("float32"), axis=2), 1, rtol=1e-3)
    np.testing.assert_allclose(outputs["weights"].sum(axis=1), 1, rtol=1e-5)


def test_an_image_is_nearest_to_itself():
    outputs = predict(make(method="fpr"))
    distances = make(method="fpr").distances(outputs, outputs, "cosine").matrix()
    # The ridge leaves a little.
    assert np.diag(distances).max() < 0.1 * distances[~np.eye(8, dtype=bool)].min()


def test_training_without_augmentation_gives_what_inference_gives():
    method = make(method="fpr")
    trained = method.training_model(batch_of(method), training=False)
    np.testing.assert_allclose(trained["logits"], predict(method)["logits"], rtol=1e-3, atol=1e-6)


@pytest.mark.parametrize("setting", [{"distance": "euclidean"}, {"neck": "none"}])
def test_settings_that_it_has_of_its_own_are_refused(setting):
    with pytest.raises(ValueError, match="method='fpr' has its own; leave"):
        make(method="fpr", **setting)

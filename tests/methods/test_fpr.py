import keras
import numpy as np
import pytest
from made_methods import LABELS, batch_of, make, predict

from gaaplib.config import RunConfig
from gaaplib.runs.data import load_data
from gaaplib.training.batches import Batches


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
    with pytest.raises(ValueError, match="method='fpr' has its own or none; leave"):
        make(method="fpr", **setting)


def test_masks_teach_the_foreground_weights():
    """The network is told that the person is in the upper half; the windows' weights follow."""
    method = make(method="fpr", options="masks=1", learning_rate=3e-3)
    assert method.losses["shown"][1] == 1.0 and method.model.input.shape[1:] == (96, 32, 3)
    masks = np.zeros((8, 96, 32), np.uint8)
    masks[:, :48] = 255
    inputs = batch_of(method) | {"masks": masks}
    targets = dict.fromkeys(method.losses, LABELS)
    losses = {name: loss for name, (loss, _) in method.losses.items()}
    weights = {name: weight for name, (_, weight) in method.losses.items()}
    method.training_model.compile(keras.optimizers.Adam(3e-3), loss=losses, loss_weights=weights, jit_compile=False)
    before = float(np.mean(method.training_model(inputs, training=False)["shown"]))
    for _ in range(25):
        method.training_model.train_on_batch(inputs, targets)
    found = {name: np.asarray(array) for name, array in method.training_model(inputs, training=True).items()}
    # The least that this loss can be: what the shares of the windows leave open.
    assert before > 0.6 and found["shown"].mean() < 0.75 * before


def test_masks_are_read_for_a_training_with_them_alone(outputs):
    plain = RunConfig("smoke", method="fpr")
    assert load_data(plain, outputs=outputs).beside == {}
    data = load_data(RunConfig("smoke", method="fpr", options="masks=1"), outputs=outputs)
    masks, trained = data.beside["masks"], data.table[data.table.role.isin(["train", "val"])]
    assert masks.shape == data.store.images.shape[:3] and masks.dtype == np.uint8
    shares = (masks > 127).mean(axis=(1, 2))
    assert shares[trained.row].min() > 0.05 and shares[trained.row].max() < 0.8
    assert not shares[np.setdiff1d(data.table.row, trained.row)].any()
    some = Batches(data.inputs, trained.row[:8], trained.label[:8], ("logits",), 8, batch_inputs=lambda labels, rng: {})
    inputs, _ = some[0]
    assert np.array_equal(inputs["masks"], masks[trained.row[:8]])

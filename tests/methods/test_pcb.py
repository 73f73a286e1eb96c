import numpy as np
import pytest
from made_methods import IMAGES, LABELS, batch_of, make, predict


def embedded(method, features):
    """The parts of the embedding of feature maps, (n, parts, channels)."""
    return np.asarray(method.model.get_layer("head")(features)["embedding"]).reshape(len(features), 6, -1)


def test_a_stripe_sees_only_its_rows():
    method = make(method="pcb")
    features = np.random.default_rng(0).random((2, 6, 2, 512)).astype("float32")
    before = embedded(method, features)
    np.testing.assert_allclose(np.linalg.norm(before, axis=2), 1, rtol=1e-5)
    for row in range(6):
        changed = features.copy()
        changed[:, row] += np.random.default_rng(1).random((2, 2, 512))
        moved = np.abs(embedded(method, changed) - before).max(axis=(0, 2)) > 1e-6
        assert moved.tolist() == [part == row for part in range(6)]


def test_one_stripe_without_reduction_is_plain_softmax():
    pcb, plain = make(method="pcb", options="parts=1 dim=0"), make(attention="none", last_stride=1, label_smoothing=0.0)
    for mine, other in zip(pcb._lower.weights, plain._lower.weights, strict=True):
        mine.assign(np.asarray(other))
    kernel, bias = (np.asarray(weight) for weight in plain._classifier.weights)
    pcb._classifiers.set_weights([kernel[None], bias[None]])
    found, expected = predict(pcb), predict(plain)
    np.testing.assert_allclose(found["logits"], expected["logits"], rtol=1e-4, atol=1e-6)
    direction = expected["embedding"] / np.linalg.norm(expected["embedding"], axis=1, keepdims=True)
    np.testing.assert_allclose(found["embedding"], direction, rtol=1e-4, atol=1e-6)
    loss, weight = pcb.losses["parts"]
    assert weight == 1.0
    logits = pcb.training_model(batch_of(pcb))["parts"]
    assert float(loss(LABELS, logits)) == pytest.approx(
        float(plain.losses["logits"][0](LABELS, logits[:, 0])), rel=1e-5
    )


def test_the_losses_of_the_stripes_are_summed():
    method = make(method="pcb", dropout=0.0)
    loss, weight = method.losses["parts"]
    logits = np.asarray(method.training_model(batch_of(method))["parts"])
    each = [float(loss(LABELS, logits[:, part])) for part in range(6)]
    assert weight * float(loss(LABELS, logits)) == pytest.approx(sum(each), rel=1e-5)
    assert method.losses["logits"][1] == 0.0


def test_the_stripes_share_their_reduction_and_not_their_classifiers():
    method = make(method="pcb")
    assert [tuple(weight.shape) for weight in method._reduction.linear.weights] == [(512, 256)]
    assert tuple(method._classifiers.kernel.shape) == (6, 256, 4)


def test_too_few_rows_are_refused():
    with pytest.raises(
        ValueError, match="6 stripes of a feature map of 3 rows: give a greater height, or last_stride=1"
    ):
        make(method="pcb", last_stride=2)


def test_a_neck_is_refused():
    with pytest.raises(ValueError, match="neck='bnneck': method='pcb' has its own"):
        make(method="pcb", neck="bnneck")


def test_attention_and_pooling_are_those_of_the_run():
    method = make(method="pcb", attention="self", pooling="max")
    assert method._attention.partner == "self"
    assert predict(method)["embedding"].shape == (len(IMAGES), 6 * 512)

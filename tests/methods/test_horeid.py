import numpy as np
import pytest
from made_methods import IMAGES, POINTS, batch_of, make, predict

from gaaplib.distances import EmbeddingDistances
from gaaplib.network.skeleton import NODES


def test_the_losses_have_their_weights():
    weights = {name: weight for name, (_, weight) in make(method="horeid").losses.items()}
    assert weights.pop("verified") == 0.1 and weights.pop("logits") == 0.0
    assert weights == dict.fromkeys(("identified", "identified_behind", "permuted", "whole", "whole_behind"), 1.0)


def test_a_node_without_confidence_is_not_in_the_embedding():
    method, points = make(method="horeid"), POINTS.copy()
    points[:, :, 2] = 0
    points[:, 5, 2] = 0.9  # a shoulder alone
    outputs = predict(method, IMAGES, points)
    lengths = np.linalg.norm(outputs["embedding"].reshape(8, NODES, 512), axis=2)
    assert outputs["nodes"].dtype == "float16" and outputs["nodes"].shape == (8, NODES, 512)
    hidden = np.delete(lengths, [1, NODES - 1], axis=1)
    assert hidden.max() < 0.01 * lengths[:, [1, NODES - 1]].min()


def test_the_matching_trains_without_changing_the_features():
    """Its losses have no gradient with respect to anything before the nodes behind the graph."""
    import keras

    method = make(method="horeid")
    model = method.training_model
    losses = {name: method.losses[name][0] if name in ("permuted", "verified") else None for name in method.losses}
    before = [np.array(weight) for weight in method._lower.trainable_weights]
    verdict = np.array(method._matching.verdict.kernel)
    model.compile(keras.optimizers.SGD(1.0), loss=losses, jit_compile=False)
    model.train_on_batch(batch_of(method), {name: np.zeros(8, "int32") for name in method.losses})
    assert all(map(np.array_equal, before, map(np.array, method._lower.trainable_weights)))
    assert not np.array_equal(verdict, np.array(method._matching.verdict.kernel))


def test_the_eight_nearest_are_ordered_by_the_models_matching():
    method = make(method="horeid")
    outputs = predict(method)
    plain = EmbeddingDistances(outputs["embedding"], outputs["embedding"]).matrix()
    found = method.distances(outputs, outputs, "cosine", method.model).matrix()
    np.testing.assert_allclose(np.sort(found, axis=1), np.sort(plain, axis=1))
    np.testing.assert_array_equal(method.distances(outputs, outputs, "cosine").matrix(), plain)
    assert (outputs["itself"] > 0).all() and (outputs["itself"] < 1).all()


def test_the_graph_learns_slowly_and_the_backbone_does_not():
    method = make(method="horeid")
    slow = {id(weight) for weight in method.slow_weights}
    assert slow and not slow & {id(weight) for weight in method._lower.trainable_weights}


@pytest.mark.parametrize("setting", [{"distance": "euclidean"}, {"neck": "none"}, {"sampler": "shuffled"}])
def test_settings_that_it_cannot_have_are_refused(setting):
    with pytest.raises(ValueError, match="method='horeid' has its own or none; leave|sampler='shuffled'"):
        make(method="horeid", **setting)

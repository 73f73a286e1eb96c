import numpy as np
import pytest
from made_methods import copy_weights, make, predict


@pytest.mark.parametrize(("backbone", "blocks"), [("resnet18", 2), ("resnet50", 2), ("vgg16_bn", 2)])
def test_a_block_ends_the_second_and_the_third_stage(backbone, blocks):
    layers = [layer.name for layer in make(method="ianet", backbone=backbone)._lower.layers]
    found = [layers[place - 1] for place, name in enumerate(layers) if "interaction" in name]
    assert len(found) == blocks
    last = {"resnet18": "conv3_block2_out", "resnet50": "conv3_block4_out", "vgg16_bn": "block2_pool"}
    assert found[0] == last[backbone]


def test_at_its_start_it_is_softmax_with_a_neck():
    ianet, plain = make(method="ianet"), make(neck="bnneck", attention="none", last_stride=1)
    left = copy_weights(ianet._lower, plain._lower)
    assert left and all("interaction" in path for path in left)
    np.testing.assert_allclose(predict(ianet)["embedding"], predict(plain)["embedding"], rtol=1e-3, atol=1e-4)


def test_the_triplet_loss_is_of_cosines_and_can_be_left_out():
    method = make(method="ianet")
    loss, weight = method.losses["embedding"]
    assert (loss.distance, loss.margin, weight) == ("cosine", 0.3, 1.0)
    assert set(make(method="ianet", options="triplet=0").losses) == {"logits"}
    assert [weight.name for weight in method._neck.trainable_weights] == ["gamma", "beta"]

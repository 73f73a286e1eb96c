import numpy as np
import pytest
from made_methods import copy_weights, make, predict


@pytest.mark.parametrize(("backbone", "blocks"), [("resnet18", 4), ("resnet50", 5), ("vgg16_bn", 2)])
def test_agw_has_non_local_blocks_after_the_last_blocks_of_two_stages(backbone, blocks):
    layers = [layer.name for layer in make(method="agw", backbone=backbone)._lower.layers if "nonlocal" in layer.name]
    assert layers == [f"nonlocal{number}" for number in range(1, blocks + 1)]


def test_agw_at_its_start_is_bot_with_gem():
    agw, bot = make(method="agw"), make(method="bot", pooling="gem")
    left = copy_weights(agw.model, bot.model)
    assert left and all("nonlocal" in path for path in left)
    np.testing.assert_allclose(predict(agw)["embedding"], predict(bot)["embedding"], rtol=1e-4, atol=1e-5)


def test_agw_has_the_channels_of_the_paper_or_of_the_released_code():
    kernels = [
        make(method="agw", options=words)._lower.get_layer("nonlocal1").query.kernel.shape
        for words in (None, "channels=one")
    ]
    assert [tuple(shape) for shape in kernels] == [(128, 64), (128, 1)]
    with pytest.raises(ValueError, match="channels='two' is not known; known: half, one"):
        make(method="agw", options="channels=two")

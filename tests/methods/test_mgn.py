import numpy as np
import pytest
from made_methods import batch_of, make, predict

SIZES = [("resnet18", [(3, 1), (6, 2), (6, 2)]), ("vgg16_bn", [(3, 1), (6, 2), (6, 2)])]


@pytest.mark.parametrize(("backbone", "sizes"), SIZES)
def test_the_branches_start_from_equal_weights_and_differ_in_their_last_stride(backbone, sizes):
    method = make(method="mgn", backbone=backbone)
    weights = [branch.get_weights() for branch in method._branches]
    for other in weights[1:]:
        assert all(np.array_equal(one, two) for one, two in zip(weights[0], other, strict=True))
    assert len({id(weight) for branch in method._branches for weight in branch.weights}) == 3 * len(weights[0])
    assert [tuple(branch.output.shape[1:3]) for branch in method._branches] == sizes


def test_eight_vectors_of_which_three_see_the_whole_map():
    method = make(method="mgn")
    assert [len(rows) for rows in method._stripes] == [1, 2, 3]
    assert predict(method)["embedding"].shape == (8, 8 * 256)
    outputs = method.training_model(batch_of(method))
    assert tuple(outputs["wholes"].shape) == (8, 3, 4) and tuple(outputs["parts"].shape) == (8, 5, 4)
    # Of the embedding, which is of the same vectors.
    np.testing.assert_allclose(outputs["whole2"], predict(method)["embedding"][:, 256:512], rtol=1e-3, atol=1e-4)


def test_eleven_losses_have_equal_weights():
    losses = make(method="mgn").losses
    # That of "wholes" is a mean of three, that of "parts" a mean of five.
    weights = {name: weight for name, (_, weight) in losses.items()}
    assert weights == pytest.approx(
        {"wholes": 3 / 11, "parts": 5 / 11, "logits": 0.0} | {f"whole{number}": 1 / 11 for number in (1, 2, 3)}
    )
    assert losses["whole3"][0].margin == 1.2


def test_the_whole_maps_are_identified_before_or_after_the_reduction():
    widths = [
        make(method="mgn", options=words)._whole_classifiers.kernel.shape[1] for words in (None, "identified=reduced")
    ]
    assert widths == [512, 256]
    with pytest.raises(ValueError, match="identified='x' is not known; known: pooled, reduced"):
        make(method="mgn", options="identified=x")


def test_the_attention_cannot_stand_within_a_branch():
    with pytest.raises(ValueError, match="attention_at='stage4': method='mgn' has its own"):
        make(method="mgn", attention_at="stage4")

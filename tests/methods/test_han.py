import numpy as np
import pytest
from made_methods import make, predict


def test_both_vectors_have_length_one_and_a_classifier():
    method = make(method="han")
    outputs = predict(method)
    assert outputs["embedding"].shape == (8, 1024)
    lengths = np.linalg.norm(outputs["embedding"].reshape(8, 2, 512), axis=2)
    np.testing.assert_allclose(lengths, 1, rtol=1e-4)
    weights = {name: weight for name, (_, weight) in method.losses.items()}
    # The mean of two.
    assert weights == {"identities": 1.0, "logits": 0.0}
    assert method.config.distance == "euclidean"


def test_its_document_says_that_it_is_another_papers():
    text = type(make(method="han")).__doc__
    assert "NOT the method that Table IV names" in text


@pytest.mark.parametrize(
    "setting", [{"neck": "bnneck"}, {"weights": "imagenet", "backbone": "resnet50"}, {"dropout": 0.5}]
)
def test_what_belongs_to_a_backbone_is_refused(setting):
    with pytest.raises(ValueError, match="method='han' has its own or none; leave"):
        make(method="han", **setting)

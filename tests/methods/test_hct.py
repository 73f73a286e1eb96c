import keras
import numpy as np
import pytest
from made_methods import LABELS, make, predict

from gaaplib.methods.hct import Hct
from gaaplib.training import fit


def clouds(counts, seed=0):
    """Embeddings about far-apart centres."""
    rng = np.random.default_rng(seed)
    centres = 100.0 * np.eye(len(counts))
    return np.concatenate(
        [centre + rng.normal(size=(count, len(counts))) for centre, count in zip(centres, counts, strict=True)]
    )


def round_of(embeddings, number=0, **options):
    words = " ".join(f"{name}={value}" for name, value in options.items())
    method = make(method="hct", batch_size=4, images_per_identity=2, epochs=7, options=words)
    return method.next_round(number, None, lambda model: {"embedding": embeddings})


def test_separated_clouds_are_the_clusters():
    # 12 images to 3 clusters.
    found = round_of(clouds([5, 4, 3]), merged=0.75)
    assert found.labels.tolist() == [0] * 5 + [1] * 4 + [2] * 3


def test_as_many_clusters_are_left_as_said_and_single_images_are_left_out():
    embeddings = np.random.default_rng(0).normal(size=(40, 3))
    found = round_of(embeddings, merged=0.5).labels
    alone = np.count_nonzero(found < 0)
    assert alone and found.max() + 1 + alone == 20
    assert np.bincount(found[found >= 0]).min() > 1


def test_the_epochs_are_divided_among_the_rounds_and_each_begins_from_single_images():
    method = make(method="hct", batch_size=4, images_per_identity=2, epochs=7, options="rounds=3 merged=0.75")
    seen = [method.next_round(number, None, lambda model: {"embedding": clouds([5, 4, 3])}) for number in range(4)]
    assert [round_.epochs for round_ in seen[:3]] == [2, 2, 3] and seen[3] is None
    assert all(np.array_equal(round_.labels, seen[0].labels) for round_ in seen[:3])


def test_identities_reach_neither_rounds_nor_validation(monkeypatch):
    """The same training whatever the identities are, and no column of the history is of validation images."""
    images, rows, asked = np.random.default_rng(0).integers(0, 256, (40, 96, 32, 3), dtype=np.uint8), np.arange(40), []
    monkeypatch.setattr(Hct, "next_round", watched(Hct.next_round, asked))

    def trained(identities):
        keras.utils.set_random_seed(0)
        method = make(method="hct", batch_size=4, images_per_identity=2, epochs=1, options="merged=0.5")
        history = fit.fit(method, images, (rows[:32], identities[:32]), (rows[32:], identities[32:]))
        assert not any(name.startswith("val_") for name in history)
        return method.model.get_weights()

    one, other = trained(np.zeros(40, int)), trained(rows)
    assert asked == [None] * 4
    assert all(map(np.array_equal, one, other))


def watched(next_round, asked):
    def watching(self, number, labels, embed):
        asked.append(labels)
        return next_round(self, number, labels, embed)

    return watching


def test_too_few_clusters_for_a_batch_are_told():
    with pytest.raises(ValueError, match="round 1 of 7: 1 clusters of several images, but each batch takes"):
        round_of(np.zeros((9, 2)), merged=0.9)
    with pytest.raises(ValueError, match="merged=1.0: expected 0.01 to 0.99"):
        make(method="hct", options="merged=1.0")


def test_it_has_no_class_scores():
    method = make(method="hct")
    outputs = predict(method)
    assert set(outputs) == {"embedding"} and method.class_scores(outputs) is None
    assert method.config.distance == "euclidean" and LABELS.size == 8

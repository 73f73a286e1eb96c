import keras
import numpy as np
import pytest
from made_methods import LABELS, batch_of, make, predict

from gaaplib.config import RunConfig
from gaaplib.methods import METHODS
from gaaplib.network.experts import Follow

SMALL = "others=resnet18 clusters=4 rounds=2"


@pytest.fixture(scope="module")
def method():
    return make(method="mebnet", options=SMALL, batch_size=4, images_per_identity=2, epochs=3)


def vectors(spread, seed=0):
    """Twelve unit vectors about four directions, as near to them as ``spread`` says."""
    found = np.repeat(np.eye(512)[:4], 3, axis=0) + spread * np.random.default_rng(seed).normal(size=(12, 512))
    return found / np.linalg.norm(found, axis=1, keepdims=True)


def next_round(method, number=0):
    found = {"expert1": vectors(0.001), "expert2": vectors(0.01, 1), "mean": vectors(0.001, 2)}
    return method.next_round(number, None, lambda model: dict(found))


def test_a_round_clusters_the_mean_and_its_means_are_the_classifiers(method):
    round_ = next_round(method)
    assert round_.labels.tolist() == np.repeat(range(4), 3).tolist()
    for expert in (*method._students, *method._teachers):
        kernel = np.asarray(expert._classifier.kernel)
        assert kernel.shape == (512, 4)
        np.testing.assert_allclose(np.linalg.norm(kernel, axis=0), 1, rtol=1e-5)
        assert (kernel[:4].argmax(axis=1) == range(4)).all()


def test_the_better_clustered_expert_has_the_authority(method):
    next_round(method)
    one, other = np.asarray(method._expert_losses.authority)
    assert one > 10 * other and one + other == pytest.approx(2)


def test_the_epochs_are_divided_among_the_rounds(method):
    assert [next_round(method, number).epochs for number in range(2)] == [1, 2]
    assert next_round(method, 2) is None


def test_teachers_begin_as_their_students_and_follow_them():
    method = make(method="mebnet", options=SMALL)
    for student, teacher in zip(method._students, method._teachers, strict=True):
        assert all(map(np.array_equal, student.model.get_weights(), teacher.model.get_weights()))
    model = method.training_model
    learning = {id(weight) for weight in model.trainable_weights}
    assert learning == {id(w) for student in method._students for w in student.model.trainable_weights}
    losses, weights = ({name: pair[side] for name, pair in method.losses.items()} for side in (0, 1))
    model.compile(keras.optimizers.SGD(0.1), loss=losses, loss_weights=weights, jit_compile=False)
    seen, (own, followed) = [], method._pairs[0]
    for seed in range(3):
        seen.append(np.array(own))
        model.train_on_batch(batch_of(method, seed), dict.fromkeys(method.losses, LABELS))
    # The mean of the student's weights before each step.
    assert not np.allclose(seen[0], seen[2], atol=1e-6)
    np.testing.assert_allclose(followed, np.mean(seen, axis=0), rtol=1e-4, atol=1e-7)
    statistics = [w for w in method._teachers[0].model.non_trainable_weights if "moving_mean" in w.path]
    assert all(np.abs(np.asarray(weight)).max() > 0 for weight in statistics)


def test_images_are_compared_by_the_first_teacher(method):
    teacher = method._teachers[0]
    assert method.model is teacher.model and method.config.backbone == "resnet18"
    assert method.class_scores(predict(method)) is None


def test_each_expert_starts_from_a_run_on_the_source():
    given = {"train_dataset": "raid", "train_data": "synthetic", "backbone": "resnet34"}
    config = RunConfig("smoke", method="mebnet", options="others=resnet18,osnet_x1_0", **given)
    starts = config.starts()
    assert [start.backbone for start in starts] == ["resnet34", "resnet18", "osnet_x1_0"]
    assert {(start.method, start.dataset, start.options) for start in starts} == {("bot", "raid", "centre=0.0")}


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"options": "others=resnet50"}, "as many channels each, but these have: resnet18 512, resnet50 2048"),
        ({"options": "others="}, "one other expert"),
        ({"attention": "class"}, "method='mebnet' has its own or none; leave attention"),
        ({"weights": "w.weights.h5"}, "weights='.*w.weights.h5': each expert is another network"),
    ],
)
def test_what_it_cannot_do_is_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        make(method="mebnet", **settings)


def test_too_few_images_for_a_batch_are_told():
    method = make(method="mebnet", options=SMALL, batch_size=16, images_per_identity=4)
    with pytest.raises(ValueError, match="round 1 of 1: 3 clusters, but each batch takes images of 4: decrease"):
        next_round(method)


def test_its_own_training_has_experts_and_starts_on_any_backbone():
    given = {"method": "mebnet", "height": 64, "width": 32, "options": "others=osnet_x1_0 clusters=20"}
    METHODS["mebnet"](RunConfig("own", **given), 4)
    adapted = RunConfig("own", **given, dataset="raid", train_dataset="market1501", train_data="synthetic")
    assert [(start.method, start.backbone, start.stem, start.schedule, start.height) for start in adapted.starts()] == [
        ("bot", "resnet18", "linear", "steps", 64),
        ("bot", "osnet_x1_0", "relu", "steps", 64),
    ]


def test_starts_keep_what_was_given():
    data = {"dataset": "raid", "train_dataset": "market1501", "train_data": "synthetic"}
    (usual,), (given,) = (
        RunConfig("smoke", method="udaml", **data, **more).starts() for more in ({}, {"last_stride": 2})
    )
    assert (usual.last_stride, given.last_stride) == (RunConfig("smoke").last_stride, 2)


def test_teachers_and_their_steps_are_not_rounded():
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        student, teacher = keras.Variable(1.001), keras.Variable(1.0)
        follow = Follow([(student, teacher)])
        images = [np.zeros((1, 2, 2, 3), "uint8")]
        follow(images)
        follow.steps.assign(256.0)
        follow(images, training=True)
    finally:
        keras.config.set_dtype_policy("float32")
    assert float(follow.steps) == 257.0
    assert np.isclose(float(teacher), 1.0 + 0.001 / 257, atol=1e-7, rtol=0) and float(teacher) > 1.0

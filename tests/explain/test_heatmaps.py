"""Heat maps: compared with slow oracles, on every kind of network, and on images in which the person moves."""

import gc
import weakref
from dataclasses import replace

import keras
import numpy as np
import pytest
from layer_checks import gradient
from oracles import heatmaps as oracle
from oracles.attention import attention_matrix as softmax_matrix
from PIL import Image

from gaaplib.attention import ATTENTION
from gaaplib.config import RunConfig
from gaaplib.datasets.synthetic.cameras import make_camera
from gaaplib.datasets.synthetic.pedestrians import Stance, make_look, paint
from gaaplib.explain import heatmaps
from gaaplib.methods import METHODS
from gaaplib.network.backbones import BACKBONES
from gaaplib.pooling import POOLING

IMAGES = np.random.default_rng(0).integers(0, 256, (3, 64, 32, 3), dtype=np.uint8)
OTHERS = IMAGES[[1, 2, 0]]


def make(**changes):
    """A method with 4 classes; by default its map has 4 x 2 positions."""
    config = RunConfig("smoke", **{"last_stride": 1, **changes})
    return METHODS[config.method](config, 4)


def sharpened(method):
    """Rescales the weights: with the initial ones, attention is almost uniform or saturated."""
    attention = method._attention
    for projection in (attention.query, attention.key):
        projection.kernel.assign(projection.kernel * 0.5)
    return method


def drawn_alike(method):
    """Sets weights that are the same on each backend and give every Grad-CAM a positive value."""
    rng = np.random.default_rng(1)
    for weight in method.training_model.weights:
        if len(weight.shape) > 1:
            weight.assign(rng.normal(0, (2 / np.prod(weight.shape[:-1])) ** 0.5, weight.shape))
    return method


def show(method, kind, images=IMAGES, **choice):
    return heatmaps.heatmap(method.model, images, kind, **{"position": (1, 0), "others": OTHERS, **choice})


def as_array(tensor):
    return np.asarray(keras.ops.convert_to_numpy(keras.ops.cast(tensor, "float32")))


def seen(method):
    """Feature maps before and after attention, (n, rows, columns, channels)."""
    before = method._lower.predict_on_batch(IMAGES)
    return as_array(before), as_array(method._attention(before))


def positions(maps):
    return maps.reshape(len(maps), -1, maps.shape[-1])


def score_of(method, kind, targets):
    """The score that Grad-CAM explains, as a function of features (n, rows, columns, channels), summed over images."""

    def score(features):
        upper = features if method._upper is None else method._upper(features)
        embedding = method._neck(method._pooling(upper))
        if kind == "gradcam":
            return keras.ops.sum(method._classifier(embedding)[:, 2])
        return -keras.ops.sum(keras.losses.cosine_similarity(embedding, targets))

    return score


# Against the oracles


@pytest.mark.parametrize("attention", ["class", "channel"])
def test_attention_maps_equal_the_slow_oracle(attention):
    method = sharpened(make(attention=attention, alpha=0.3, key_dim=6))
    before, after = seen(method)
    query, key = (as_array(part.kernel) for part in (method._attention.query, method._attention.key))
    matrices = []
    for features in positions(before):
        q, k = list(features @ query), list(features @ key)
        pair = (q, k, q, k)
        if attention == "channel":
            pair = ([v[:3] for v in q], [v[:3] for v in k], [v[3:] for v in q], [v[3:] for v in k])
        matrices.append(softmax_matrix(*pair, 0.3))
    received, rollout, energy = (show(method, kind).reshape(3, 8) for kind in ("received", "rollout", "energy"))
    for n, matrix in enumerate(matrices):
        assert np.allclose(received[n], oracle.received(matrix), atol=1e-4)
        assert np.allclose(rollout[n], oracle.rollout(matrix, 2), atol=1e-4)
        assert np.allclose(energy[n], oracle.energy(positions(after)[n]), atol=1e-5)
    assert np.ptp(received, axis=1).min() > 0.01


def test_received_is_the_weight_of_a_position_in_the_embedding():
    """docs/paper.md: with average pooling and no bias the embedding is mean(F) + W_a W_v sum_n w_n F_n."""
    method = sharpened(make(attention="class"))
    features = positions(seen(method)[0])
    weights = show(method, "received").reshape(3, 8)
    value, output = (as_array(part.kernel) for part in (method._attention.value, method._attention.output_projection))
    expected = features.mean(axis=1) + np.einsum("bn,bnc->bc", weights, features) @ value @ output
    embedding = as_array(method.model.predict_on_batch(IMAGES)["embedding"])
    np.testing.assert_allclose(embedding, expected, rtol=1e-3, atol=1e-3)
    uniform = features.mean(axis=1) @ (np.eye(512) + value @ output)
    assert not np.allclose(embedding, uniform, rtol=1e-2, atol=1e-2)


def test_grad_cam_before_a_linear_head_is_the_class_activation_map():
    """With average pooling and a dense layer, the weight of a channel is its weight in the classifier."""
    method = make(attention="self", neck="bnneck")
    method._neck.gamma.assign(np.linspace(-1.0, 2.0, 512))
    slopes = np.linspace(-1.0, 2.0, 512) * as_array(method._classifier.kernel)[:, 2]
    found = show(method, "gradcam", label=2)
    for features, one in zip(positions(seen(method)[1]), found.reshape(3, 8), strict=True):
        assert np.allclose(one, oracle.gradcam(features, [slopes] * len(features)), atol=1e-5)


def test_grad_cam_of_a_match_equals_finite_differences():
    method = make(attention="none")
    after = seen(method)[1].astype("float64")
    embeddings = positions(after).mean(axis=1)
    found = show(method, "gradcam_match").reshape(3, 8)
    for n in range(3):
        target = embeddings[(n + 1) % 3]
        slopes = oracle.differences(lambda f, to=target: oracle.cosine(f.mean(axis=(0, 1)), to), after[n], 1e-4)
        expected = oracle.gradcam(list(positions(after)[n]), list(slopes.reshape(8, -1)))
        assert np.allclose(found[n], expected, atol=1e-3)
        assert np.ptp(expected) > 0.01


@pytest.mark.parametrize("kind", ["gradcam", "gradcam_match"])
@pytest.mark.parametrize(
    "changes",
    [
        {"attention_at": "stage3", "pooling": "gem"},
        {"pooling": "max", "neck": "bnneck", "pool_over": "class"},
        {"method": "triplet"},
    ],
    ids=str,
)
def test_grad_cam_asks_all_that_follows_attention(kind, changes):
    method = make(**changes)
    targets = as_array(method.model.predict_on_batch(OTHERS)["embedding"])
    features = seen(method)[1]
    slopes = gradient(score_of(method, kind, targets), features)
    found = show(method, kind, label=2).reshape(3, -1)
    for n in range(3):
        expected = oracle.gradcam(list(positions(features)[n]), list(positions(slopes)[n]))
        assert np.allclose(found[n], expected, atol=1e-4)


# On every network


@pytest.mark.parametrize("attention", ATTENTION)
def test_every_kind_gives_shares_whatever_the_attention(attention):
    method = make(attention=attention)
    for kind in heatmaps.KINDS:
        maps = show(method, kind)
        assert maps.shape == (3, 4, 2) and maps.dtype == np.float32
        assert (maps >= 0).all()
        assert np.allclose(maps.sum(axis=(1, 2)), 1.0, atol=1e-6)


@pytest.mark.parametrize("last_stride", [1, 2])
@pytest.mark.parametrize("backbone", ["vgg16", "resnet18", "resnet50"])
def test_the_grid_is_that_of_the_backbone(backbone, last_stride):
    method = make(backbone=backbone, last_stride=last_stride)
    assert heatmaps.grid(method.model) == (4 // last_stride, 2 // last_stride)
    for kind in heatmaps.KINDS:
        assert np.allclose(show(method, kind, position=(0, 0)).sum(axis=(1, 2)), 1.0, atol=1e-6)


def test_in_half_precision_maps_are_nearly_the_same():
    plain = sharpened(make(attention="self", attention_at="stage3"))
    keras.config.set_dtype_policy("mixed_bfloat16")
    try:
        half = make(attention="self", attention_at="stage3", precision="mixed_bfloat16")
    finally:
        keras.config.set_dtype_policy("float32")
    half.model.set_weights(plain.model.get_weights())
    for kind in ("received", "energy", "gradcam"):
        one, other = show(plain, kind, label=0), show(half, kind, label=0)
        assert other.dtype == np.float32
        assert np.allclose(other.sum(axis=(1, 2)), 1.0, atol=1e-6)
        assert np.abs(one - other).max() < 0.1


def test_a_saved_model_and_batches_give_the_same_maps(tmp_path):
    method = make()
    method.model.save(tmp_path / "model.keras")
    loaded = keras.saving.load_model(tmp_path / "model.keras", compile=False, safe_mode=True)
    labels = np.array([0, 3, 1])
    for kind in heatmaps.KINDS:
        whole = show(method, kind, label=labels)
        again = heatmaps.heatmap(loaded, IMAGES, kind, position=(1, 0), label=labels, others=OTHERS, batch_size=2)
        assert np.allclose(whole, again, atol=1e-4)


def test_maps_follow_the_weights_and_let_the_model_go():
    method = make()
    before = show(method, "gradcam", label=0)
    method._classifier.kernel.assign(-method._classifier.kernel)
    assert not np.allclose(show(method, "gradcam", label=0), before)
    model = weakref.ref(method.model)
    del method
    gc.collect()
    assert model() is None


# What the maps mean


def test_without_attention_every_position_keeps_itself():
    method = make(attention="none")
    assert np.allclose(show(method, "received"), 1 / 8)
    rollout = show(method, "rollout", position=(3, 1))
    assert np.allclose(rollout[:, 3, 1], 1.0)


def test_it_is_said_which_maps_are_the_same_for_each_image_and_why():
    none, uniform, own = (make(attention=name).model for name in ("none", "uniform", "class"))
    for kind in ("received", "rollout"):
        assert heatmaps.why_flat(none, kind) == "this network has no attention block"
        assert heatmaps.why_flat(uniform, kind) == "this network's attention is uniform by definition"
        assert heatmaps.why_flat(own, kind) is None
    assert [heatmaps.why_flat(none, kind) for kind in heatmaps.AT_ANY_LAYER] == [None] * 3


def test_the_weights_of_the_non_local_block_count_by_their_size():
    method = make(attention="nonlocal")
    matrices = as_array(method._attention.attention_map(seen(method)[0]))
    assert matrices.min() < 0
    for matrix, received, rollout in zip(matrices, show(method, "received"), show(method, "rollout"), strict=True):
        assert np.allclose(received.ravel(), oracle.received(matrix), atol=1e-5)
        assert np.allclose(rollout.ravel(), oracle.rollout(matrix, 2), atol=1e-5)


def test_grad_cam_asks_for_the_likeliest_class_unless_told():
    method = make(attention="none")
    likeliest = as_array(method.model.predict_on_batch(IMAGES)["logits"]).argmax(axis=1)
    assert np.array_equal(show(method, "gradcam"), show(method, "gradcam", label=likeliest))
    assert not np.allclose(show(method, "gradcam"), show(method, "gradcam", label=(likeliest + 1) % 4), atol=1e-3)


def test_a_map_that_says_nothing_is_uniform():
    method = make(attention="none")
    method._classifier.kernel.assign(-np.ones((512, 4)))
    assert np.allclose(show(method, "gradcam", label=0), 1 / 8)
    assert np.allclose(show(method, "gradcam_match", others=IMAGES), 1 / 8)


# The mean colour of ImageNet, for which a network's features are zero.
BACKGROUND = (124, 116, 104)
PLACES = ({"x": 32.0, "top": 4.0}, {"x": 96.0, "top": 132.0})


def person(number, place):
    """A generated person in the upper left (place 0) or the lower right (1)."""
    size = (128, 64)
    camera = make_camera(np.random.default_rng(0), 0, 6, size[0], cast=0.0, quality=1.0)
    scene = Image.new("RGB", camera.scene.size, BACKGROUND)
    camera = replace(camera, scene=scene, resolution=1.0, blur=0.0, grain=0.0, sun=0.0)
    usual = {"size": 116.0, "view": 0.0, "phase": 1.0, "stride": 0.3, "lift": 0.0, "tilt": 0.2}
    look = make_look(np.random.default_rng(number))
    return paint(look, camera, Stance(**PLACES[place], **usual), np.random.default_rng(0), size)


def centres(maps):
    """(n, 2) row and column of each map's centre of mass, as shares of height and width."""
    rows, columns = ((np.arange(size) + 0.5) / size for size in maps.shape[1:])
    masses = maps / maps.sum(axis=(1, 2), keepdims=True)
    return np.stack([masses.sum(axis=2) @ rows, masses.sum(axis=1) @ columns], axis=1)


@pytest.mark.parametrize("kind", ["energy", "gradcam"])
def test_maps_follow_a_person_who_moves(kind):
    walk = [person(3, place) for place in (0, 1)]
    method = make(attention="none", attention_at="stage2", height=128, width=64)
    # Every feature supports class 0, so its Grad-CAM shows where there are features; the plain background has none.
    method._classifier.kernel.assign(np.abs(method._classifier.kernel))
    maps = show(method, kind, np.stack([drawing.image for drawing in walk]), label=0)
    masks = np.stack([drawing.mask for drawing in walk]).astype(float)
    moved, wanted = (np.diff(centres(found), axis=0)[0] for found in (maps, masks))
    assert (wanted > 0.4).all()
    assert (moved > 0.5 * wanted).all()


def colours():
    """A model whose features are the colours of 8 x 4 cells, above and below the background colour."""
    images = keras.Input((128, 64, 3), dtype="uint8")
    offset = [-shade / 255.0 for shade in BACKGROUND]
    inputs = keras.Input((128, 64, 3))
    maps = keras.layers.Rescaling(1.0 / 255.0, offset)(inputs)
    maps = keras.layers.Concatenate()([keras.ops.relu(maps), keras.ops.relu(-maps)])
    maps = keras.layers.AveragePooling2D(16)(maps)
    maps = ATTENTION["none"](name="attention")(keras.Model(inputs, maps, name="backbone")(images))
    attended = keras.Input(maps.shape[1:])
    embedding = POOLING["avg"]()(attended)
    outputs = {"embedding": embedding, "logits": keras.layers.Dense(4)(embedding)}
    return keras.Model(images, keras.Model(attended, outputs, name="head")(maps))


def test_the_match_is_on_the_person_whom_both_images_show():
    """Two persons swap positions. The other image shows only the one in red, at its first position."""
    red, blue = 3, 5
    images = []
    for places in ((0, 1), (1, 0)):
        first, second = person(red, places[0]), person(blue, places[1])
        images.append(np.where(second.mask[..., None], second.image, first.image))
    alone = np.stack([person(red, 0).image] * 2)
    maps = heatmaps.heatmap(colours(), np.stack(images), "gradcam_match", others=alone)
    moved = centres(maps)
    assert (moved[0] < 0.4).all() and (moved[1] > 0.6).all()


# At the image's resolution


@pytest.mark.parametrize("size", [(128, 64), (32, 12), (7, 5), (4, 3)])
def test_bilinear_upsampling_equals_the_slow_oracle(size):
    maps = np.random.default_rng(0).random((2, 4, 3))
    for found, one in zip(heatmaps.upsample(maps, *size), maps, strict=True):
        assert np.allclose(found, oracle.bilinear(one, *size), rtol=1e-4)


def test_the_nearest_pixels_are_the_cells():
    maps = np.random.default_rng(0).random((2, 4, 2))
    found = heatmaps.upsample(maps, 128, 64, "nearest")
    assert np.allclose(found, maps.repeat(32, axis=1).repeat(32, axis=2) / maps.sum(axis=(1, 2), keepdims=True) / 1024)


@pytest.mark.parametrize("interpolation", heatmaps.INTERPOLATIONS)
def test_upsampled_maps_are_shares_in_the_same_place(interpolation):
    peak = np.zeros((1, 8, 4))
    peak[0, 5, 1] = 1.0
    found = heatmaps.upsample(peak, 128, 64, interpolation)
    assert found.shape == (1, 128, 64) and found.dtype == np.float32
    assert found.min() >= 0 and np.isclose(found.sum(), 1.0, atol=1e-5)
    # Conventions for pixel centres differ by half a cell, which is 8 of 128 pixels here.
    assert np.allclose(centres(found), [[5.5 / 8, 1.5 / 4]], atol=0.5 / 128)


# Errors


def test_a_method_without_attention_is_refused():
    with pytest.raises(ValueError, match="has no attention: it lacks backbone, attention.*such as 'gaap'"):
        show(make(method="histogram"), "received")


@pytest.fixture(scope="module")
def method():
    return make()


@pytest.mark.parametrize(
    ("kind", "choice", "words"),
    [
        ("attention", {}, "kind='attention' is not known; known: received, rollout"),
        ("rollout", {"position": None}, r"position=\(row, column\)"),
        ("rollout", {"position": (4, 0)}, r"position=\(4, 0\).*rows 0 to 3, columns 0 to 1"),
        ("rollout", {"position": (0, -1)}, r"position=\(0, -1\)"),
        ("rollout", {"position": (0.5, 0)}, r"position=\(0.5, 0\)"),
        ("rollout", {"position": 3}, "position=3"),
        ("gradcam", {"label": 4}, "label=4.*0 to 3"),
        ("gradcam", {"label": [0, -1, 0]}, "label=-1"),
        ("gradcam", {"label": [0, 1]}, r"label is int64 \(2,\); expected an integer, or integers \(3,\)"),
        ("gradcam_match", {"others": None}, "needs others"),
        ("gradcam_match", {"others": OTHERS[:2]}, "others has 2 images for 3 images"),
        ("gradcam_match", {"others": OTHERS[:, :32]}, r"others are uint8 \(3, 32, 32, 3\)"),
        ("received", {"images": IMAGES[0]}, r"images are uint8 \(64, 32, 3\).*uint8 \(n, 64, 32, 3\)"),
        ("received", {"images": IMAGES / 255}, r"images are float64 \(3, 64, 32, 3\)"),
        ("received", {"images": IMAGES[:0]}, r"images are uint8 \(0, 64, 32, 3\).*n >= 1"),
    ],
)
def test_errors(method, kind, choice, words):
    with pytest.raises(ValueError, match=words):
        show(method, kind, **choice)


def test_a_diverged_model_is_refused():
    broken = make()
    broken._classifier.kernel.assign(np.full((512, 4), np.nan))
    with pytest.raises(ValueError, match="image 0 is not finite: did the run diverge"):
        show(broken, "gradcam")


@pytest.mark.parametrize(
    ("maps", "interpolation", "words"),
    [
        (np.ones((1, 4, 2)), "lanczos", "known: nearest, bilinear, bicubic"),
        (np.ones((4, 2)), "nearest", r"shape \(4, 2\); expected \(n, rows, columns\)"),
    ],
)
def test_upsampling_says_what_is_wrong(maps, interpolation, words):
    with pytest.raises(ValueError, match=words):
        heatmaps.upsample(maps, 128, 64, interpolation)


# Within the backbone


@pytest.mark.parametrize(
    ("backbone", "grids"),
    [
        ("resnet18", [(16, 8), (8, 4), (4, 2), (4, 2)]),
        ("resnet50", [(16, 8), (8, 4), (4, 2), (4, 2)]),
        ("vgg16", [(32, 16), (16, 8), (8, 4), (4, 2), (4, 2)]),
    ],
)
def test_the_stages_are_those_of_the_backbone(backbone, grids):
    method = make(backbone=backbone)
    names = heatmaps.stages(method.model)
    assert list(names) == list(BACKBONES[backbone](height=64, width=32).output)
    assert [heatmaps.grid(method.model, name) for name in names] == grids


def test_stages_behind_the_attention_are_none():
    assert heatmaps.stages(make(attention_at="stage2").model) == ("stage1", "stage2")


@pytest.mark.parametrize("layer", ["stage1", "stage2"])
def test_maps_within_the_backbone_follow_their_definitions(layer):
    """Compared with a backbone that has the same weights and outputs all stages."""
    method = drawn_alike(make(pooling="gem", neck="bnneck", attention_at="stage3"))
    whole = BACKBONES["resnet18"](height=64, width=32, last_stride=1)
    maps = keras.Model(whole.input, {name: whole.output[name] for name in (layer, "stage3")})
    maps.set_weights(method._lower.get_weights())
    after = keras.Model(whole.output[layer], whole.output["stage3"])
    features = as_array(maps.predict_on_batch(IMAGES)[layer])
    energy = np.square(features.astype("float64")).mean(axis=-1)
    found = show(method, "energy", layer=layer)
    assert np.allclose(found, energy / energy.sum(axis=(1, 2), keepdims=True), atol=1e-5)

    targets = as_array(method.model.predict_on_batch(OTHERS)["embedding"])
    for kind in ("gradcam", "gradcam_match"):
        score = score_of(method, kind, targets)
        slopes = gradient(lambda f, score=score: score(method._attention(after(f))), features)
        found = show(method, kind, label=2, layer=layer)
        for one, feature, slope in zip(found, positions(features), positions(slopes), strict=True):
            assert np.allclose(one.ravel(), oracle.gradcam(list(feature), list(slope)), atol=1e-4)
            assert np.ptp(one) > 1e-3


def test_a_map_behind_the_last_stage_is_not_that_behind_the_attention():
    method = make(attention="self")
    assert not np.allclose(show(method, "energy"), show(method, "energy", layer="stage4"), atol=1e-3)


@pytest.mark.parametrize(
    ("kind", "layer", "words"),
    [
        ("received", "stage1", "kind='received' shows the attention.*layer='stage1' must be None; .*: energy, gradcam"),
        ("rollout", "stage1", "kind='rollout' shows the attention"),
        (
            "energy",
            "stage9",
            "layer='stage9' is not a stage before the attention; known: stage1, .*, stage4",
        ),
    ],
)
def test_a_layer_that_does_not_fit_is_refused(method, kind, layer, words):
    with pytest.raises(ValueError, match=words):
        show(method, kind, layer=layer)

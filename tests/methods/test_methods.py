import keras
import numpy as np
import pytest
from made_onnx import write_onnx

from gaaplib import options, runs
from gaaplib.attention import ATTENTION
from gaaplib.config import RunConfig
from gaaplib.explain import heatmaps
from gaaplib.methods import METHODS
from gaaplib.methods.gaap import choose_partners
from gaaplib.methods.histogram import StripeHistogram
from gaaplib.pooling import POOLING

IMAGES = np.random.default_rng(0).integers(0, 256, (8, 64, 32, 3), dtype=np.uint8)
LABELS = np.array([0, 0, 1, 1, 2, 2, 3, 3], "int32")


def make(**changes):
    config = RunConfig("smoke", **changes)
    return METHODS[config.method](config, 4)


def predict(method):
    return {name: np.asarray(array) for name, array in method.model.predict_on_batch(IMAGES).items()}


@pytest.mark.parametrize("name", METHODS)
def test_every_method_embeds_trains_on_its_batches_and_compares(name, tmp_path):
    weights = str(write_onnx(tmp_path / "m.onnx")) if name == "external" else None
    method = make(method=name, weights=weights)
    outputs = predict(method)
    assert all(len(array) == 8 and np.isfinite(array).all() for array in outputs.values())
    assert bool(method.losses) == method.learns
    if method.learns:
        assert set(method.losses) <= set(method.training_model.output)
        assert list(method.rounds(LABELS, lambda: outputs))
        inputs = {"images": IMAGES, **method.batch_inputs(LABELS, np.random.default_rng(0))}
        targets = {output: LABELS for output in method.losses}
        losses, weights = ({output: pair[side] for output, pair in method.losses.items()} for side in (0, 1))
        method.training_model.compile("sgd", loss=losses, loss_weights=weights, jit_compile=False)
        assert np.isfinite(method.training_model.train_on_batch(inputs, targets)).all()
        assert not np.array_equal(predict(method)["embedding"], outputs["embedding"])
    scores = method.retrieval_scores(outputs, outputs, query_pids=LABELS, gallery_pids=LABELS)
    assert scores.cmc[0] == 1.0
    run = runs.Run(tmp_path)
    method.save(tmp_path)
    again = run.model().predict_on_batch(IMAGES)
    assert np.allclose(again["embedding"], predict(method)["embedding"], atol=1e-5)


@pytest.mark.parametrize("attention", ATTENTION)
@pytest.mark.parametrize("pooling", POOLING)
def test_every_attention_and_pooling_joins_the_network(attention, pooling):
    outputs = predict(make(attention=attention, pooling=pooling))
    assert outputs["embedding"].shape == (8, 512)
    assert outputs["logits"].shape == (8, 4)


def test_training_with_own_partners_gives_what_inference_gives():
    method = make(attention="class")
    inputs = {"images": IMAGES, **method.batch_inputs(LABELS, None)}
    trained = method.training_model.predict_on_batch(inputs)
    assert np.allclose(trained["logits"], predict(method)["logits"], atol=1e-5)


@pytest.mark.parametrize("neck", ["none", "bnneck"])
def test_dropout_is_before_the_classifier_and_in_training_only(neck):
    method = make(attention="none", neck=neck, dropout=0.5)
    outputs, inputs = predict(method), {"images": IMAGES, **method.batch_inputs(LABELS, None)}
    one, two = (method.training_model(inputs, training=True)["logits"] for _ in range(2))
    assert not np.allclose(one, two)
    assert np.allclose(method._classifier(outputs["embedding"]), outputs["logits"], atol=1e-5)


def test_attention_sees_the_partner_in_training():
    method = make(attention="class", key_dim=64)
    for weight in (method._attention.query.kernel, method._attention.key.kernel):
        weight.assign(weight * 10.0)
    own = method.batch_inputs(LABELS, None)
    other = method.batch_inputs(LABELS, np.random.default_rng(0))
    one = method.training_model.predict_on_batch({"images": IMAGES, **own})
    two = method.training_model.predict_on_batch({"images": IMAGES, **other})
    assert not np.allclose(one["logits"], two["logits"], atol=1e-5)


@pytest.mark.parametrize("place", ["stage2", "stage4", "last"])
def test_attention_can_stand_after_any_stage(place):
    method = make(attention="self", attention_at=place)
    channels = {"stage2": 128, "stage4": 512, "last": 512}[place]
    assert method._attention.output_projection.units == channels
    assert predict(method)["embedding"].shape == (8, 512)


def test_an_unknown_stage_lists_the_known_ones():
    with pytest.raises(ValueError, match="attention_at='stage9'.*stage1, stage2, stage3, stage4, last"):
        make(attention_at="stage9")


def test_the_neck_normalises_and_has_no_offset():
    method = make(neck="bnneck")
    method._neck.gamma.assign(np.full(512, 2.0))
    outputs = predict(method)
    # Untouched moving statistics: mean 0, variance 1.
    assert np.allclose(outputs["embedding"], 2.0 * outputs["pooled"], rtol=1e-4)
    assert [weight.name for weight in method._neck.trainable_weights] == ["gamma"]
    assert method._classifier.use_bias is False


def test_the_triplet_probe_teaches_the_network_nothing():
    method = make(method="triplet", neck="none")
    before = [np.asarray(w) for w in method._lower.trainable_weights]
    probe = {"logits": method.losses["logits"][0]}
    model = method.training_model
    model.compile(keras.optimizers.SGD(1.0), loss={**probe, "pooled": None}, jit_compile=False)
    inputs = {"images": IMAGES, **method.batch_inputs(LABELS, None)}
    kernel = np.asarray(method._classifier.kernel)
    model.train_on_batch(inputs, {"logits": LABELS, "pooled": LABELS})
    after = [np.asarray(w) for w in method._lower.trainable_weights]
    assert all(np.array_equal(a, b) for a, b in zip(before, after, strict=True))
    assert not np.array_equal(np.asarray(method._classifier.kernel), kernel)


def test_triplet_needs_several_images_of_an_identity():
    with pytest.raises(ValueError, match="sampler='shuffled'.*identity_balanced"):
        make(method="triplet", sampler="shuffled")


def test_partners_are_others_of_the_same_identity_where_there_are_any():
    labels = np.array([5, 5, 5, 2, 7, 7, 9])
    for seed in range(20):
        partners = choose_partners(labels, np.random.default_rng(seed))
        assert np.array_equal(labels[partners], labels)
        alone = np.array([3, 6])
        company = np.setdiff1d(np.arange(7), alone)
        assert np.array_equal(partners[alone], alone)
        assert (partners[company] != company).all()
        # Each image is the partner of exactly one image.
        assert np.array_equal(np.sort(partners), np.arange(7))


def test_the_histogram_counts_colours_by_stripe():
    image = np.zeros((1, 12, 4, 3), np.uint8)
    image[0, 6:, :, 0] = 255
    image[0, 6:, :2, 1] = 40
    found = keras.ops.convert_to_numpy(StripeHistogram(stripes=2, bins=8)(image)).reshape(2, 3, 8) ** 2
    expected = np.zeros((2, 3, 8))
    expected[0, :, 0] = 1
    expected[1, 0, 7] = 1
    expected[1, 1, [0, 1]] = 0.5
    expected[1, 2, 0] = 1
    assert np.allclose(found, expected, atol=1e-6)


LEARNING = [name for name, method in METHODS.items() if method.learns]


@pytest.mark.parametrize("name", LEARNING)
def test_every_weight_learns(name):
    method = make(method=name, neck="bnneck")
    losses, weights = ({output: pair[side] for output, pair in method.losses.items()} for side in (0, 1))
    model = method.training_model
    model.compile(keras.optimizers.SGD(1e-3), loss=losses, loss_weights=weights, jit_compile=False)
    # Twice, because a block that starts as the identity passes no gradient to what is inside of it at first.
    inputs = {"images": IMAGES, **method.batch_inputs(LABELS, np.random.default_rng(0))}
    before = {weight.path: np.asarray(weight) for weight in model.trainable_weights}
    for _ in range(2):
        model.train_on_batch(inputs, dict.fromkeys(method.losses, LABELS))
    same = [weight.path for weight in model.trainable_weights if np.array_equal(weight, before[weight.path])]
    # Nothing but the probe's own classifier learns from the triplet's neck.
    assert [path for path in same if name != "triplet" or "neck" not in path] == []


@pytest.mark.parametrize("name", METHODS)
def test_the_file_of_a_method_has_its_name_and_known_settings(name):
    assert METHODS[name].__module__ == f"gaaplib.methods.{name}"
    fields = RunConfig.__annotations__
    assert set(options.defaults(name)) <= set(fields)
    assert all(isinstance(value, int | float | str) for value in options.known(name).values())


def test_bot_adds_a_triplet_and_a_centre_loss_to_softmax():
    method = make(method="bot")
    assert {name: weight for name, (_, weight) in method.losses.items()} == {
        "logits": 1.0,
        "pooled": 1.0,
        "centre": 5e-4,
    }
    assert set(make(method="bot", options="centre=0").losses) == {"logits", "pooled"}
    assert method.config.neck == "bnneck" and method.config.attention == "none"
    assert float(np.std(method._classifier.kernel)) == pytest.approx(1e-3, rel=0.1)
    with pytest.raises(ValueError, match="sampler='shuffled'"):
        make(method="bot", sampler="shuffled")


def test_the_centres_are_no_part_of_the_saved_model():
    method = make(method="bot")
    assert any("centres" in weight.path for weight in method.training_model.weights)
    assert not any("centres" in weight.path for weight in method.model.weights)


def test_centres_move_in_training_and_not_in_validation():
    method = make(method="bot")
    inputs = {"images": IMAGES, **method.batch_inputs(LABELS, np.random.default_rng(0))}
    before = np.asarray(method._centres.centres)
    method.training_model(inputs, training=False)
    np.testing.assert_array_equal(method._centres.centres, before)
    pooled = np.asarray(method.training_model(inputs, training=True)["pooled"])
    # Each of the four identities has two of the eight images.
    moved = np.stack([(pooled[label == LABELS] - before[label]).sum(axis=0) / 8 for label in range(4)])
    np.testing.assert_allclose(np.asarray(method._centres.centres) - before, moved, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("backbone", "blocks"), [("resnet18", 4), ("resnet50", 5), ("vgg16_bn", 2)])
def test_agw_has_non_local_blocks_after_the_last_blocks_of_two_stages(backbone, blocks):
    layers = [layer.name for layer in make(method="agw", backbone=backbone)._lower.layers if "nonlocal" in layer.name]
    assert layers == [f"nonlocal{number}" for number in range(1, blocks + 1)]


def test_agw_at_its_start_is_bot_with_gem():
    agw, bot = make(method="agw"), make(method="bot", pooling="gem")
    own = {weight.path: weight for weight in agw.model.weights}
    for weight in bot.model.weights:
        weight.assign(np.asarray(own.pop(weight.path)))
    # What is left is that of the non-local blocks.
    assert own and all("nonlocal" in path for path in own)
    np.testing.assert_allclose(predict(agw)["embedding"], predict(bot)["embedding"], rtol=1e-4, atol=1e-5)


def test_agw_has_the_channels_of_the_paper_or_of_the_released_code():
    kernels = [
        make(method="agw", options=words)._lower.get_layer("nonlocal1").query.kernel.shape
        for words in (None, "channels=one")
    ]
    assert [tuple(shape) for shape in kernels] == [(128, 64), (128, 1)]
    with pytest.raises(ValueError, match="channels='two' is not known; known: half, one"):
        make(method="agw", options="channels=two")


@pytest.mark.parametrize("name", [name for name, method in METHODS.items() if method.has_maps])
def test_every_method_has_heat_maps_of_every_kind_and_stage(name):
    model = make(method=name).model
    for kind in heatmaps.KINDS:
        maps = heatmaps.heatmap(model, IMAGES[:2], kind, position=(0, 0), others=IMAGES[2:4])
        np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1.0, rtol=1e-4)
    for stage in heatmaps.stages(model):
        assert heatmaps.heatmap(model, IMAGES[:2], "energy", layer=stage).shape[1:] == heatmaps.grid(model, stage)

import keras
import numpy as np
import pytest
from made_methods import IMAGES, LABELS, batch_of, make, predict, seen
from made_onnx import write_onnx

from gaaplib import options, runs
from gaaplib.attention import ATTENTION
from gaaplib.config import RunConfig
from gaaplib.datasets.inputs import as_arrays
from gaaplib.explain import heatmaps
from gaaplib.methods import METHODS
from gaaplib.methods.gaap import choose_partners
from gaaplib.methods.histogram import StripeHistogram
from gaaplib.network import layers
from gaaplib.pooling import POOLING
from gaaplib.training import fit
from gaaplib.training.checkpoint import Checkpoint, Place


@pytest.fixture(scope="module", params=METHODS)
def method(request, tmp_path_factory):
    """Each method: one test trains it for a step and another draws its maps."""
    keras.utils.set_random_seed(0)
    file = tmp_path_factory.mktemp("model") / "m.onnx"
    weights = str(write_onnx(file, size=(96, 32))) if request.param == "external" else None
    return make(method=request.param, weights=weights)


def test_every_method_embeds_trains_on_its_batches_and_compares(method, tmp_path):
    outputs = predict(method)
    assert all(len(array) == 8 and np.isfinite(array).all() for array in outputs.values())
    assert bool(method.losses) == method.learns
    if method.learns:
        assert set(method.losses) <= set(method.training_model.output)
        if method.supervised:
            assert method.next_round(0, LABELS, lambda model: outputs).epochs == method.config.epochs
            assert method.next_round(1, LABELS, lambda model: outputs) is None
        inputs = batch_of(method)
        targets = {output: LABELS for output in method.losses}
        losses, weights = ({output: pair[side] for output, pair in method.losses.items()} for side in (0, 1))
        method.training_model.compile("sgd", loss=losses, loss_weights=weights, jit_compile=False)
        assert np.isfinite(method.training_model.train_on_batch(inputs, targets)).all()
        assert not np.array_equal(predict(method)["embedding"], outputs["embedding"])
    scores = method.retrieval_scores(outputs, outputs, query_pids=LABELS, gallery_pids=LABELS)
    assert scores.cmc[0] == 1.0
    run = runs.Run(tmp_path)
    method.save(tmp_path)
    model = run.model()
    again = model.predict_on_batch(as_arrays(seen(method), model))
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


@pytest.mark.parametrize("changes", [{"images_per_identity": 1}, {"images_per_identity": 8, "batch_size": 8}])
def test_triplet_needs_two_identities_with_two_images_each(changes):
    with pytest.raises(ValueError, match="at least two identities in a batch, with two images each"):
        make(method="triplet", **changes)


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


def compiled(name):
    neck = {"neck": "bnneck"} if name in ("gaap", "triplet", "bot", "agw") else {}
    method = make(method=name, schedule="constant", **neck)
    fit._compile(method, steps=1)
    return method


def step(method, seed):
    return method.training_model.train_on_batch(batch_of(method, seed), dict.fromkeys(method.losses, LABELS))


@pytest.fixture
def bfloat16():
    before = keras.config.dtype_policy()
    keras.config.set_dtype_policy("mixed_bfloat16")
    yield
    keras.config.set_dtype_policy(before)


@pytest.mark.parametrize("name", LEARNING)
def test_every_weight_learns_and_a_checkpoint_continues_to_the_last_bit(name, tmp_path, bfloat16):
    keras.utils.set_random_seed(0)
    layers.make_deterministic()
    method, keeper = compiled(name), Checkpoint(tmp_path / "checkpoint.zip", {})
    model = method.training_model
    # What a loss is made of is not rounded.
    assert {output.dtype for output in model.output.values()} == {"float32"}
    before = [np.array(weight) for weight in model.trainable_weights]
    keeper.set_model(model)
    keeper.follow(Place(0, 0, 2, LABELS), [{"epoch": 1}])
    step(method, 0)
    keeper.on_epoch_end(0)
    # Twice, because a block that starts as the identity passes no gradient to what is inside of it at first.
    step(method, 1)
    pairs = zip(model.trainable_weights, before, strict=True)
    same = [weight.path for weight, value in pairs if np.array_equal(weight, value)]
    # Nothing but the probe's own classifier learns from the triplet's neck.
    assert [path for path in same if name != "triplet" or "neck" not in path] == []

    again, reader = compiled(name), Checkpoint(tmp_path / "checkpoint.zip", {})
    reader.follow(reader.read(), [])
    reader.restore(again.training_model)
    step(again, 1)
    for one, other in zip(model.variables, again.training_model.variables, strict=True):
        assert np.array_equal(one, other), one.path


@pytest.mark.parametrize("name", METHODS)
def test_the_file_of_a_method_has_its_name_and_known_settings(name):
    assert METHODS[name].__module__ == f"gaaplib.methods.{name}"
    fields = RunConfig.__annotations__
    assert set(options.defaults(name)) <= set(fields)
    assert all(isinstance(value, int | float | str) for value in options.known(name).values())


def test_every_method_has_heat_maps_of_every_kind_and_stage(method):
    if not method.has_maps:
        pytest.skip("its class has no maps")
    model, images, others = method.model, seen(method, IMAGES[:2]), seen(method, IMAGES[2:4])
    for kind in heatmaps.kinds(model):
        maps = heatmaps.heatmap(model, images, kind, position=(0, 0), others=others)
        np.testing.assert_allclose(maps.sum(axis=(1, 2)), 1.0, rtol=1e-4)
    for stage in (heatmaps.stages(model)[0], heatmaps.stages(model)[-1]):
        assert heatmaps.heatmap(model, images, "energy", layer=stage).shape[1:] == heatmaps.grid(model, stage)


def test_an_exported_model_says_how_its_outputs_are_compared():
    assert METHODS["bdb"].comparison("euclidean") == "embeddings, by the euclidean distance"
    assert METHODS["vpm"].comparison("cosine") == "embedding and visibility, by gaaplib.distances.PartDistances"

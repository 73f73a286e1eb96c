import numpy as np
import pytest
from made_runs import finish

from gaaplib import runs
from gaaplib.paper import ablations, audit, tables
from gaaplib.paper.plan import SAMPLERS, Plan

CHANCE = {"mRA": 0.1, "cmc1": 0.1, "cmc5": 0.3, "mAP": 0.15, "mINP": 0.05}
PLAN = Plan(backbones=("vgg16", "resnet18"), datasets=("raid", "partial_ilids"), seeds=(0, 1))
MATRIX = [config for config in PLAN.matrix() if config.pooling == "avg"]
SEEDS = ("seed 0", "seed 1")


def write(config, outputs, share, partnered=1.0):
    """A finished run of 100 made-up results, of which ``share`` of each identity's 10 are correct in both protocols."""
    run = runs.begin(config, outputs)
    pid, row = np.divmod(np.arange(100), 10)
    right = row < round(10 * share)
    np.savez(run.folder / "per_image.npz", rank=np.where(right, 1, 4), pid=pid, row=row)
    hits = {"first_hit": np.where(right, 1, 9), "ap": np.where(right, 0.9, 0.1), "inp": right / 2}
    np.savez(run.folder / "per_query.npz", **hits, valid=np.ones(100, bool), pid=pid, camid=pid, row=row)
    closed = None if config.train_dataset else {"chance": CHANCE, "num_images": 100}
    retrieval = {"chance": CHANCE, "num_valid_queries": 100, "ap": "step"}
    finish(run, closed=closed, retrieval=retrieval, partnered=partnered)


def on_off(outputs, title="mRA", paper=None):
    return ablations.by_cell(MATRIX, "attention", "class", "none", "closed", title, outputs, paper)


def write_cell(outputs, dataset, **shares):
    for config in MATRIX:
        if config.dataset == dataset and config.backbone == "resnet18":
            write(config, outputs, shares[config.attention])


def test_each_cell_has_its_gain_or_says_why_not_beside_the_paper(tmp_path):
    write_cell(tmp_path, "raid", none=0.5, **{"class": 0.8})
    for config in MATRIX:
        if config.dataset == "raid" and config.backbone == "vgg16":
            finish(runs.begin(config, tmp_path), status="diverged", reason="it did")
    # The closed protocol of Partial-iLIDS uses i-LIDS.
    write_cell(tmp_path, "ilids", none=0.5, **{"class": 0.3})
    printed = audit.read("paper_tables_1_2_3")
    gain = audit.gain(*(audit.cells(printed, table="II", attention=name) for name in ("none", "gaap")))
    cells = on_off(tmp_path, paper=gain.cells)
    assert list(cells.index) == [(backbone, name) for backbone in PLAN.backbones for name in PLAN.datasets]
    assert list(cells.verdict) == ["diverged", "not run", "gain", "loss"]
    assert np.allclose(cells.loc[("resnet18", "raid"), ["difference", "base"]].astype(float), [0.3, 0.5])
    assert cells.loc[("resnet18", "raid"), "runs"] == ""
    # Table II, RAiD, VGG-16, 1-fold: mRA 0.743 with attention and 0.546 without, CMC 0.732 and 0.569.
    assert np.isclose(cells.loc[("vgg16", "raid"), "paper"], 0.743 - 0.546)
    assert np.isclose(on_off(tmp_path, "CMC(1)", gain.cells).loc[("vgg16", "raid"), "paper"], 0.732 - 0.569)
    assert on_off(tmp_path, "mAP", gain.cells).paper.isna().all()
    words = ablations.shown(cells)
    assert list(words.difference)[:3] == ["", "", "+0.300 [+0.300, +0.300]"]
    assert list(words["with"])[:3] == ["diverged", "not run", "0.800 [0.800, 0.800]"]
    # One run in each cell: there is no mean over runs.
    assert "mean difference over runs" not in words
    assert words.loc[("vgg16", "raid"), "the paper's difference"] == "+0.197"


def test_a_claimed_gain_is_read_as_points_and_as_a_share(tmp_path):
    assert ablations.claimed(on_off(tmp_path), 0.3).startswith(
        "none of 4 cells has both runs, so the claimed +30% cannot be checked"
    )
    write_cell(tmp_path, "raid", none=0.5, **{"class": 0.7})
    sentence = " ".join(ablations.claimed(on_off(tmp_path), 0.3).split())
    assert sentence.startswith("+0.200 on average over 1 of 4 cells (+40.0% of their mean score); 0 of them reach")
    assert sentence.endswith("a gain of 30% in percentage points, 1 relative to the score")


def test_nothing_is_shown_of_a_paper_that_prints_nothing(tmp_path):
    assert "the paper's difference" not in ablations.shown(on_off(tmp_path))


def test_table_two_has_all_folds_of_the_ablated_backbone_if_that_is_planned():
    found = ablations.on_off(PLAN)
    assert {config.pooling for config in found} == {"avg"}
    assert {config.fold for config in found if config.backbone == "resnet18"} == {0, 1, 2, 3, 4}
    assert {config.fold for config in found if config.backbone == "vgg16"} == {0}
    assert {config.backbone for config in ablations.on_off(Plan(backbones=("vgg16",)))} == {"vgg16"}


def test_steps_take_the_block_apart_seed_by_seed_and_over_seeds(tmp_path):
    shares = {"none": 0.3, "uniform": 0.5, "self": 0.5, "class": 0.4}
    for config in PLAN.readings():
        if config.attention in shares and config.sampler == "shuffled":
            # Another seed adds 0.1 to the block alone.
            more = 0.1 if config.seed and config.attention != "none" else 0
            write(config, tmp_path, shares[config.attention] + more)
    found = ablations.steps(PLAN.readings(), "attention", ablations.READINGS, "retrieval", "CMC(1)", tmp_path)
    assert list(found.index[:4]) == [("uniform − none", sampler, seed) for sampler in SAMPLERS for seed in SEEDS]
    shuffled = found.xs("shuffled", level="sampler").difference
    assert np.allclose(shuffled, [0.2, 0.3, 0, 0, -0.1, -0.1])
    assert set(found.xs("identity_balanced", level="sampler").verdict) == {"not run"}
    means = ablations.with_means(found)
    mean = means.loc[("uniform − none", "shuffled", "mean of seeds")]
    # Student's t of two values: 12.706 standard errors of 0.05.
    assert np.allclose(mean[["difference", "low", "high"]].astype(float), [0.25, -0.385, 0.885], atol=1e-3)
    assert mean.verdict == "no clear difference"
    assert means.loc[("class − self", "shuffled", "mean of seeds")].verdict == "loss"
    assert len(means) == len(found) + 6
    assert means.loc[("class − self", "identity_balanced", "mean of seeds")].verdict == "too few runs"
    sentences = ablations.in_words(found)
    assert sentences[0].startswith("uniform − none, shuffled, 2 of 2 pairs: gain in 2, ")
    assert sentences[0].endswith("; mean over seeds +0.250 [-0.385, +0.885]: no clear difference")
    assert sentences[1] == "uniform − none, identity_balanced: nothing to compare yet; 2 without both scores (not run)"
    assert sentences[4].endswith(": loss")
    assert ablations.shown(means).loc[("class − self", "shuffled", "seed 0"), "difference"] == "-0.100 [-0.100, -0.100]"


def test_the_mean_over_seeds_says_how_many_and_marks_chance(tmp_path):
    for config in PLAN.readings():
        if config.sampler == "shuffled" and config.attention in ("self", "class"):
            write(config, tmp_path, 0.5 + 0.2 * config.seed if config.attention == "self" else 0.1)
    words = ablations.over_seeds(tables.scores(PLAN.readings(), "retrieval", "CMC(1)", tmp_path))
    assert tuple(words.columns) == SAMPLERS
    assert words.loc["self", "shuffled"] == "0.600 ± 0.141 (2 of 2 runs)"
    assert words.loc["class", "shuffled"] == "0.100 ± 0.000† (2 of 2 runs)"
    assert words.loc["none", "identity_balanced"] == "not run"


def test_the_share_of_partnered_images_is_listed_for_each_sampler(tmp_path):
    shuffled = [config for config in PLAN.readings() if config.sampler == "shuffled"]
    for config, share in zip(shuffled, (0.03, 0.05), strict=False):
        write(config, tmp_path, 0.5, partnered=share)
    sentences = ablations.partnered(tables.scores(PLAN.readings(), "retrieval", "mAP", tmp_path))
    assert sentences[0] == "shuffled: 4% of the training images had a partner in the batch (mean of 2 runs)"
    assert sentences[1] == "identity_balanced: no run yet"


def test_what_follows_from_the_equations_does_and_only_that():
    found = ablations.provable()
    assert (found[:4] == "below 1e-5").all()
    assert found.iloc[4].endswith(": not equal")


@pytest.mark.parametrize("apart", [1e-3, 1e-7])
def test_a_difference_counts_as_none_only_below_a_hundred_thousandth(apart):
    words = ablations._apart(np.ones(3) + apart, np.ones(3))
    assert (words == "below 1e-5") == (apart == 1e-7)

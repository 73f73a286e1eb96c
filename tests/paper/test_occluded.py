import numpy as np
from made_runs import finish, write_run

from gaaplib.paper import committed, occluded


def made(outputs, config, gain):
    """A finished run of this configuration whose AP is higher by this."""
    settings = {name: value for name, value in config.to_dict().items() if name != "ap"}
    run = write_run(outputs, np.linspace(0.2, 0.8, 40) + gain, pid=np.repeat(np.arange(20), 2), **settings)
    finish(run, retrieval=run.metrics["retrieval"] | {"num_valid_queries": 40})


def test_methods_share_the_models_of_both_twins():
    configs = committed.occluded()
    assert len(configs) == 2 * 11
    sources = {config.training().run_id for config in configs}
    assert len(sources) == 11
    assert {config.options for config in configs if config.method == "pgfa"} == {None, "noise=network"}
    assert all(config.sampler == "identity_balanced" for config in configs if config.method in ("bot", "horeid"))


def test_without_runs_nothing_is_made_up(tmp_path):
    table = occluded.scores(tmp_path)
    assert list(table.index)[:3] == ["softmax", "gaap", "bot"] and len(table) == 11
    assert set(table.iloc[1:].to_numpy().ravel()) == {"not run"}
    assert list(table.columns) == [
        "synthetic-market1501-occluded: mAP", "synthetic-market1501-occluded: minus softmax",
        "synthetic-partial_ilids: mAP", "synthetic-partial_ilids: minus softmax",
    ]  # fmt: skip


def test_a_method_stands_beside_softmax(tmp_path):
    first = committed.occluded()[0]
    noisy = next(config for config in committed.occluded() if config.options == "noise=network")
    made(tmp_path, first, 0.0)
    made(tmp_path, noisy, 0.1)
    table = occluded.scores(tmp_path)
    column = "synthetic-market1501-occluded: minus softmax"
    assert table.loc["pgfa (noise=network)", column].startswith("+0.1") and table.loc["pgfa", column] == "not run"

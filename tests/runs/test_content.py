"""What is wrong with a metrics.json is said with its path."""

import json

import pytest
from made_runs import leave

from gaaplib.config import RunConfig
from gaaplib.runs import content


@pytest.fixture(scope="module")
def path(tmp_path_factory):
    return leave(RunConfig("smoke"), tmp_path_factory.mktemp("outputs")).folder / "metrics.json"


def with_part(metrics, name, value):
    first, *rest = name.split()
    return metrics | {first: with_part(metrics[first], " ".join(rest), value) if rest else value}


def test_what_a_run_writes_is_read(path):
    assert content.read(path) == json.loads(path.read_text())


@pytest.mark.parametrize("name", [*content.NEEDED, *content.OPTIONAL])
def test_a_wrong_part_is_named(path, tmp_path, name):
    metrics, damaged = json.loads(path.read_text()), tmp_path / "metrics.json"
    damaged.write_text(json.dumps(with_part(metrics, name, [[]] if "devices" not in name else "cpu")))
    with pytest.raises(ValueError, match=f"metrics.json has a wrong {name}: "):
        content.read(damaged)


@pytest.mark.parametrize("name", content.NEEDED)
def test_a_missing_part_is_named(path, tmp_path, name):
    metrics, damaged = json.loads(path.read_text()), tmp_path / "metrics.json"
    *above, last = name.split()
    del (metrics[above[0]] if above else metrics)[last]
    damaged.write_text(json.dumps(metrics))
    with pytest.raises(ValueError, match=f"metrics.json lacks {name}"):
        content.read(damaged)


@pytest.mark.parametrize("number", [float("nan"), float("inf"), 10**400, True, "0.5", -1e16])
def test_a_score_is_a_finite_number(path, tmp_path, number):
    metrics, damaged = json.loads(path.read_text()), tmp_path / "metrics.json"
    damaged.write_text(json.dumps(with_part(metrics, "retrieval", metrics["retrieval"] | {"mAP": number})))
    with pytest.raises(ValueError, match="has a wrong retrieval: |cannot be read"):
        content.read(damaged)


def test_what_older_runs_lack_may_be_missing(path, tmp_path):
    metrics, older = json.loads(path.read_text()), tmp_path / "metrics.json"
    for name in content.OPTIONAL:
        *parts, last = name.split()
        (metrics[parts[0]] if parts else metrics).pop(last, None)
    older.write_text(json.dumps(metrics))
    assert content.read(older) == metrics


@pytest.mark.parametrize("text", ["", "{", "[]", "[" * 100_000, "1", '{"schema": "1"}', '{"schema": true}'])
def test_what_is_no_metrics_is_named(tmp_path, text):
    (tmp_path / "metrics.json").write_text(text)
    with pytest.raises(ValueError, match="metrics.json (cannot be read|has the schema)"):
        content.read(tmp_path / "metrics.json")

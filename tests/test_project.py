import threading

import pytest

from gaaplib import project


def test_outputs_are_found_from_the_notebooks_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("GAAP_OUTPUTS", raising=False)
    for name in ("notebooks", "gaaplib"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert project.outputs_folder() == tmp_path / "outputs"
    monkeypatch.setenv("GAAP_OUTPUTS", str(tmp_path / "elsewhere"))
    assert project.outputs_folder() == tmp_path / "elsewhere"


def test_one_at_a_time_holds_a_lock(tmp_path):
    pytest.importorskip("fcntl")
    order, path = [], tmp_path / "new" / "lock"

    def second():
        with (
            pytest.warns(UserWarning, match="another process is counting: this one waits"),
            project.locked(path, "counting"),
        ):
            order.append("second")

    with project.locked(path, "counting"):
        waiting = threading.Thread(target=second)
        waiting.start()
        waiting.join(0.3)
        assert waiting.is_alive()
        order.append("first")
    waiting.join(10)
    assert order == ["first", "second"]

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
    assert project.reference_folder() == tmp_path / "outputs" / "reference"


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


@pytest.mark.parametrize("content", ["as text: \u00e4\n", b"as bytes"])
def test_a_file_is_written_whole_or_not_at_all(tmp_path, content):
    path = tmp_path / "file"
    project.write_whole(path, content)
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    with pytest.raises(KeyboardInterrupt), project.written_whole(path) as part:
        part.write_bytes(b"half")
        raise KeyboardInterrupt
    assert path.read_bytes() == (content if isinstance(content, bytes) else content.encode())
    assert [file.name for file in tmp_path.iterdir()] == ["file"]


def test_names_of_a_registry_are_its_keys_imported_or_not():
    from gaaplib.pooling import POOLING

    assert project.registered_names("gaaplib.pooling", "POOLING") == tuple(POOLING)
    assert project.registered_names("gaaplib.explain.heatmaps", "KINDS")[0] == "received"


def test_notebooks_and_tables_are_the_projects_or_those_of_the_package(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert (project.notebooks_folder() / "02_train.ipynb").is_file()
    assert (project.tables_folder() / "claims.csv").is_file()
    for folder, name in (("notebooks", "02_train.ipynb"), ("data", "claims.csv"), ("gaaplib", "attention.py")):
        (tmp_path / folder).mkdir()
        (tmp_path / folder / name).touch()
    assert project.notebooks_folder() == tmp_path / "notebooks"
    assert project.tables_folder() == tmp_path / "data"

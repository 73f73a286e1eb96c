from gaaplib import folders


def test_outputs_are_found_from_the_notebooks_folder(tmp_path, monkeypatch):
    monkeypatch.delenv("GAAP_OUTPUTS", raising=False)
    for name in ("notebooks", "gaaplib"):
        (tmp_path / name).mkdir()
    monkeypatch.chdir(tmp_path / "notebooks")
    assert folders.outputs_folder() == tmp_path / "outputs"
    monkeypatch.setenv("GAAP_OUTPUTS", str(tmp_path / "elsewhere"))
    assert folders.outputs_folder() == tmp_path / "elsewhere"

"""Variables of MATLAB files, read in another process."""

import numpy as np
import pytest
import scipy.sparse
from scipy.io import savemat

from gaaplib import matlab


@pytest.fixture
def file(tmp_path):
    cells = np.array(["a.png", 7.5, [1, 2]], dtype=object)
    content = {"images": np.eye(3), "names": cells, "few": scipy.sparse.csc_array(np.eye(2)), "other": 1}
    savemat(tmp_path / "one.mat", content)
    return tmp_path / "one.mat"


def test_matrices_are_arrays_and_cells_are_lists(file):
    ((heads, values),) = matlab.read([file], ["images", "names", "few", "missing"])
    assert heads["images"] == ((3, 3), "double")
    assert {name: kind for name, (_, kind) in heads.items()} == {
        "images": "double",
        "names": "cell",
        "few": "sparse",
        "other": "int64",
    }
    assert set(values) == {"images", "names"}
    np.testing.assert_array_equal(values["images"], np.eye(3))
    assert values["names"][:2] == ["a.png", 7.5] and isinstance(values["names"][2], str)


def test_without_names_only_the_heads_are_read(file):
    ((heads, values),) = matlab.read([file], [])
    assert len(heads) == 4 and values == {}


def test_the_file_that_is_damaged_has_its_number(file, tmp_path):
    (tmp_path / "two.mat").write_bytes(file.read_bytes()[:200])
    with pytest.raises(matlab.Damaged) as caught:
        matlab.read([file, tmp_path / "two.mat"], ["images"])
    assert caught.value.number == 1


def test_a_module_beside_the_file_is_not_imported(file, tmp_path, monkeypatch):
    (tmp_path / "numpy.py").write_text("raise SystemExit('not numpy')")
    monkeypatch.chdir(tmp_path)
    assert len(matlab.read(["one.mat"], ["images"])) == 1

import numpy as np

from gaaplib.datasets import keypoints
from gaaplib.datasets.keypoints import NAMES
from gaaplib.datasets.synthetic import draw, mask, poses, spec_for, write
from gaaplib.datasets.synthetic.pedestrians import JOINTS


def test_joints_that_both_have_stay_and_the_face_is_on_the_head():
    drawings = [draw(spec_for("market1501", 0.01), 0, pid, 1, 0) for pid in range(1, 41)]
    joints = np.stack([drawing.keypoints for drawing in drawings])
    found = poses.coco(joints)
    for name in set(NAMES) & set(JOINTS):
        np.testing.assert_array_equal(found[:, NAMES.index(name)], joints[:, JOINTS.index(name)])
    head = joints[:, JOINTS.index("head")]
    face = found[:, :5]
    assert np.abs(face[:, :, :2] - head[:, None, :2]).max() < 9
    assert (face[:, :, 2] <= head[:, None, 2]).all()
    assert 0 < face[:, 0, 2].mean() < 1


def test_a_face_turned_away_shows_its_ears_alone_and_the_left_eye_is_on_the_right_of_a_face():
    def joints(left, right):
        points = np.zeros((1, 14, 3))
        points[..., 2] = 1
        at = {"head": (30, 10), "neck": (30, 20), "left_shoulder": (left, 25), "right_shoulder": (right, 25)}
        for name, place in at.items():
            points[0, JOINTS.index(name), :2] = place
        return poses.coco(points)[0]

    front, back = joints(43, 17), joints(17, 43)
    assert front[:5, 2].all() and back[:, 2][:5].tolist() == [0, 0, 0, 1, 1]
    assert front[NAMES.index("left_eye"), 0] > 30 > front[NAMES.index("right_eye"), 0]
    assert back[NAMES.index("left_ear"), 0] < 30 < back[NAMES.index("right_ear"), 0]


def test_the_file_lies_beside_the_images_and_visible_points_are_on_the_person(tmp_path):
    spec = spec_for("market1501", 0.01)
    root = write(tmp_path / "set", spec, progress=False)
    with np.load(root / keypoints.FILE) as arrays:
        paths, points = arrays["path"].tolist(), arrays["points"]
    assert len(paths) == sum(spec.counts.values())
    for place in range(0, len(paths), 25):
        shown = mask(root, paths[place])
        for x, y, seen in points[place][5:]:
            assert not seen or shown[int(y), int(x)]
    # A folder of an earlier version gets the file later.
    (root / keypoints.FILE).unlink()
    write(root, spec, progress=False)
    assert (root / keypoints.FILE).is_file()

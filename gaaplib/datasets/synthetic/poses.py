"""The key points of COCO from the joints of drawn pedestrians, and their file beside a synthetic data set."""

import csv
from pathlib import Path

import numpy as np

from gaaplib.datasets import keypoints
from gaaplib.datasets.synthetic.pedestrians import JOINTS

BROAD = 2.6
"""The distance of the shoulders of a person who faces the camera, in distances from neck to head."""

RADIUS = 0.86
"""Of the head, likewise."""

FACE = {"nose": (0.0, 0.15), "left_eye": (0.3, -0.1), "right_eye": (-0.3, -0.1), "left_ear": (0.8, 0.0)}
FACE["right_ear"] = (-0.8, 0.0)
"""Places in radii of the head from its centre, to the person's left and down, of a person who faces the camera."""

TURNED = -0.3
"""Nose and eyes are hidden if the shoulders are turned away more than that: 1 faces the camera, -1 turns the back."""


def coco(joints):
    """The 17 points of COCO from the joints of :data:`gaaplib.datasets.synthetic.pedestrians.JOINTS`.

    The joints that both have stay as they are. Those of the face follow from the head, and from how far the shoulders
    are turned; the drawing has no more of a face.

    Args:
        joints: (n, 14, 3), x, y and 1 if visible.

    Returns:
        float32 (n, 17, 3).
    """
    joints = np.asarray(joints, float)
    by_name = {name: joints[:, place] for place, name in enumerate(JOINTS)}
    head, neck = by_name["head"], by_name["neck"]
    size = np.hypot(*(head - neck)[:, :2].T)
    across = by_name["left_shoulder"][:, 0] - by_name["right_shoulder"][:, 0]
    facing = np.clip(across / np.maximum(BROAD * size, 1e-6), -1.0, 1.0)
    for name, (left, down) in FACE.items():
        x, y = head[:, 0] + left * facing * RADIUS * size, head[:, 1] + down * RADIUS * size
        seen = head[:, 2] * (facing > TURNED) if "ear" not in name else head[:, 2]
        by_name[name] = np.stack([x, y, seen], axis=1)
    return np.stack([by_name[name] for name in keypoints.NAMES], axis=1).astype("float32")


def write(root):
    """Write ``keypoints.npz`` beside a synthetic data set from its ``keypoints.csv``, unless it is there."""
    root = Path(root)
    if (root / keypoints.FILE).is_file():
        return
    with open(root / "keypoints.csv", newline="") as file:
        rows = list(csv.reader(file))[1:]
    joints = np.array([row[1:] for row in rows], float).reshape(len(rows), len(JOINTS), 3)
    keypoints.write(root, [row[0] for row in rows], coco(joints))

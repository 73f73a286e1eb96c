"""Small folders of images in the layouts of data sets, and configurations of runs on them."""

import h5py
import numpy as np
from PIL import Image

from gaaplib.config import RunConfig

PIDS = [3, 3, 1, 1, 43]
CAMIDS = [1, 2, 1, 4, 3]


def smoke(**changes):
    return RunConfig("smoke", **changes)


def real(root, **changes):
    return smoke(data=str(root), sampler="shuffled", batch_size=8, **changes)


def market_folder(root, train=(1, 2, 3), test=(4, 5), images=8):
    """A tiny data set in the Market-1501 layout: identities by colour, two cameras."""
    for folder, pids, indices in (
        ("bounding_box_train", train, range(images)),
        ("query", test, (0, 1)),
        ("bounding_box_test", test, range(2, images)),
    ):
        (root / folder).mkdir(parents=True)
        for pid in pids:
            for index in indices:
                image = np.random.default_rng([pid, index]).integers(0, 60, (48, 24, 3)) + 25 * pid
                name = f"{pid:04d}_c{index % 2 + 1}s1_{index:06d}_00.jpg"
                Image.fromarray(image.astype(np.uint8)).save(root / folder / name)
    return root


def write_photos(root, names=("anna/1.jpg", "anna/2.png", "ben/1.jpg", "ben/2.jpg", "cleo/1.jpg")):
    """Photographs of noise, of different sizes; those of one first letter look alike."""
    for number, name in enumerate(names):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        rng = np.random.default_rng([ord(name[0]), number])
        noise = rng.integers(0, 60, (90 + 7 * number, 40 + number, 3)) + 60 * (ord(name[0]) - ord("a"))
        Image.fromarray(noise.astype(np.uint8)).save(path)
    return root


def matlab_arrays(pids=PIDS, camids=CAMIDS):
    """The fields as MATLAB shows them; a pixel tells its row, column, channel and image."""
    row, column, channel, number = np.ogrid[:128, :64, :3, : len(pids)]
    mask_row, mask_column, mask_number = np.ogrid[:128, :64, : len(pids)]
    return {
        "images": (row + 64 * (column // 32) + 20 * channel + number % 20).astype(np.uint8),
        "masks": (mask_row < 10 + mask_number % 100) & (mask_column >= 20),
        "cam": np.array([camids], dtype=np.float64).T,
        "personID": np.array([pids], dtype=np.uint8).T,
        "personSubsetImageIndex": np.ones((len(pids), 1)),
    }


def save_matlab(file, fields, name="dataset"):
    """Write as MATLAB does with -v7.3: 512 bytes of its own first, axes reversed, compressed."""
    with h5py.File(file, "w", userblock_size=512) as opened:
        for field, array in fields.items():
            array = array.astype(np.uint8) if array.dtype == bool else array
            opened.create_dataset(f"{name}/{field}", data=array.T, compression="gzip" if array.ndim > 2 else None)
    with file.open("r+b") as opened:
        opened.write(b"MATLAB 7.3 MAT-file, Platform: GLNXA64".ljust(124) + b"\x00\x02IM")


def save_colour(path, pid, index):
    image = np.random.default_rng([pid, index]).integers(0, 60, (48, 24, 3)) + 25 * pid
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(image.astype(np.uint8)).save(path)


def write_raid(root):
    root.mkdir()
    pids = np.repeat(np.arange(1, 8), 8)
    save_matlab(root / "RAiD_4Cams.mat", matlab_arrays(pids.tolist(), [1, 1, 2, 2, 3, 3, 4, 4] * 7))


def write_people(name):
    """Seven identities with eight images each, under the names that a data set gives them."""

    def write(root):
        for pid in range(1, 8):
            for index in range(8):
                save_colour(root / name(pid, index), pid, index)

    return write


OTHERS = {
    "raid": (write_raid, 4),
    "ilids": (write_people(lambda pid, index: f"Persons/{pid:04d}{index + 1:03d}.png"), 0),
    "rpifield": (
        write_people(lambda pid, i: "Cam_{0}/{1}/Cam_{0}f_{2}.png".format((8 * pid + i) % 12 + 1, pid, i)),
        12,
    ),
    "folder": (write_people(lambda pid, index: f"person {pid}/photo {index}.png"), 0),
}
"""Data sets without a split of their own: how to write a small one, and its cameras."""

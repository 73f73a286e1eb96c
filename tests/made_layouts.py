"""A few files of each data set of :mod:`gaaplib.datasets.patterns`, named as in the published ones."""

DUKE = ("bounding_box_train/0001_c2_f0046182.jpg", "bounding_box_train/0005_c1_f0051341.jpg")
DUKE += ("query/0002_c1_f0044158.jpg", "bounding_box_test/0002_c3_f0055341.jpg")
MSMT17 = tuple(f"train/{pid:04d}/{pid:04d}_000_01_0303morning_0008_0.jpg" for pid in range(3))
MSMT17 += ("test/0000/0000_000_01_0303morning_0030_0.jpg", "test/0000/0000_001_14_0303noon_0031_0.jpg")
VERI = ("image_train/0001_c001_00016450_0.jpg", "image_train/0003_c002_00016460_0.jpg")
VERI += ("image_query/0002_c002_00030600_0.jpg", "image_test/0002_c003_00030610_0.jpg")
LAYUMI = ("train_all/0002/0002_c1s1_000451_03.jpg", "train_all/0007/0007_c2s1_000301_01.jpg")
LAYUMI += ("query/0001/0001_c1s1_001051_00.jpg", "gallery/0001/0001_c3s1_008976_01.jpg")

FILES = {
    "dukemtmc": DUKE,
    "occluded_duke": DUKE,
    "msmt17": MSMT17,
    "veri776": VERI,
    "cuhk01": ("campus/0001001.png", "campus/0001002.png", "campus/0001003.png", "campus/0002001.png"),
    "viper": ("cam_a/000_45.bmp", "cam_a/001_90.bmp", "cam_b/000_90.bmp", "cam_b/001_0.bmp"),
    "grid": (
        "probe/0001_1_25004_107_32_106_221.jpeg",
        "gallery/0001_2_25010_1_2_3_4.jpeg",
        "gallery/0000_5_7_1_2.jpeg",
    ),
    "prid2011": tuple(f"single_shot/cam_{camera}/person_{pid:04d}.png" for camera in "ab" for pid in (1, 2, 201)),
    "partial_reid": ("partial_body_images/001_001.jpg", "whole_body_images/001_001.jpg"),
    "occluded_reid": ("occluded_body_images/001/001_01.tif", "whole_body_images/001/001_01.tif"),
    "pytorch_folders": LAYUMI,
}
LISTS = {
    "msmt17": {
        "list_train.txt": "0000/0000_000_01_0303morning_0008_0.jpg 0\n0001/0001_000_01_0303morning_0008_0.jpg 1\n",
        "list_val.txt": "0002/0002_000_01_0303morning_0008_0.jpg 2\n",
        "list_query.txt": "0000/0000_000_01_0303morning_0030_0.jpg 0\n",
        "list_gallery.txt": "0000/0000_001_14_0303noon_0031_0.jpg 0\n",
    }
}


def write(name, home):
    """Write the files, which are empty: a parser opens none."""
    for file in FILES[name]:
        (home / file).parent.mkdir(parents=True, exist_ok=True)
        (home / file).touch()
    for file, text in LISTS.get(name, {}).items():
        (home / file).write_text(text)

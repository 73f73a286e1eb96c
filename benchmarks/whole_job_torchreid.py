"""torchreid as a contender of `whole_job.py`: trains on CUHK03, scores, and prints the scores as JSON."""

import json
import sys
from unittest import mock

from gaaplib.datasets import cuhk03


def main(settings):
    """Train and score torchreid's softmax engine with these settings."""
    torchreid = imported(settings["tree"])
    torchreid.utils.set_random_seed(settings["seed"])
    torchreid.data.register_image_dataset("images", dataset(torchreid, settings["data"]))
    manager = torchreid.data.ImageDataManager(
        sources="images", height=128, width=64, batch_size_train=32, batch_size_test=100, workers=2, use_gpu=False
    )
    model = torchreid.models.build_model("resnet18", manager.num_train_pids, loss="softmax", pretrained=False)
    optimizer = torchreid.optim.build_optimizer(model, optim="adam", lr=3e-4)
    # It cannot save a model without a schedule; this one keeps the rate until the end.
    schedule = torchreid.optim.build_lr_scheduler(optimizer, stepsize=max(1, settings["epochs"]))
    engine = scoring_engine(torchreid)(manager, model, optimizer, scheduler=schedule, use_gpu=False)
    engine.run(max_epoch=settings["epochs"], save_dir="torchreid", print_freq=100, dist_metric="cosine")
    rank_1, mean_ap = engine.scores
    print(json.dumps({"mAP": float(mean_ap), "rank-1": float(rank_1)}))


def imported(tree):
    """Return torchreid from its tree; what it imports for downloads, pictures and logs is left out."""
    for name in ("gdown", "cv2", "torch.utils.tensorboard"):
        sys.modules[name] = mock.MagicMock()
    sys.path.insert(0, tree)
    import torchreid

    return torchreid


def dataset(torchreid, data):
    """Return the class of CUHK03's photographs, as torchreid registers classes."""

    class Photographs(torchreid.data.ImageDataset):
        def __init__(self, root="", **settings):
            records = cuhk03.read(data)
            pids = {pid: label for label, pid in enumerate(sorted(records.pid[records.split == "train"].unique()))}
            parts = {split: [] for split in ("train", "query", "gallery")}
            for path, pid, camid, split in zip(records.path, records.pid, records.camid, records.split, strict=True):
                label = pids[pid] if split == "train" else int(pid)
                parts[split].append((f"{data}/{path}", label, int(camid)))
            super().__init__(**parts, **settings)

    return Photographs


def scoring_engine(torchreid):
    """Return torchreid's softmax engine as a class that keeps the scores that it prints."""

    class Scoring(torchreid.engine.ImageSoftmaxEngine):
        def _evaluate(self, *args, **settings):
            self.scores = super()._evaluate(*args, **settings)
            return self.scores

    return Scoring


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

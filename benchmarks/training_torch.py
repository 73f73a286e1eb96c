"""The PyTorch contender of `training.py`: ResNet or VGG, the block of Eq. 4-5, Eq. 6, the head, and the training step.

It is an equivalent, equally optimised implementation of the given configuration: projections as matrix products, one
softmax over the mean with the partner, and the map flattened without a copy if its memory layout allows. Settings are
those that PyTorch's guides recommend for a CPU (channels last, bfloat16 by autocast, fused Adam, optionally
torch.compile), or those of torchreid: float32, channels first, default Adam. Two processes form the batches with our
augmentation; on a GPU, which is used if there is one, eight.
"""

import json
import sys

import numpy as np
import torch
from contender import CLASSES, drawn, serve
from torch import nn
from torch.nn import functional

from gaaplib.training.augmentation import Augmentation
from gaaplib.training.samplers import SAMPLERS

BASIC = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3)}
BOTTLENECK = {"resnet50": (3, 4, 6, 3), "resnet101": (3, 4, 23, 3)}
VGG = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}
DEVICE = "cuda" if torch.cuda.is_available() else "cpu"
MEAN, STD = (123.675, 116.28, 103.53), (58.395, 57.12, 57.375)


def conv_bn(inputs, filters, size, stride=1, relu=True):
    """Return a convolution, batch normalisation and optionally an in-place ReLU."""
    layers = [nn.Conv2d(inputs, filters, size, stride, size // 2, bias=False), nn.BatchNorm2d(filters)]
    return nn.Sequential(*layers, *([nn.ReLU(inplace=True)] if relu else []))


class Block(nn.Module):
    """A residual block as in torchvision: the middle 3 x 3 convolution has the stride."""

    def __init__(self, inputs, filters, stride, bottleneck):
        super().__init__()
        outputs = 4 * filters if bottleneck else filters
        if bottleneck:
            self.body = nn.Sequential(
                conv_bn(inputs, filters, 1),
                conv_bn(filters, filters, 3, stride),
                conv_bn(filters, outputs, 1, relu=False),
            )
        else:
            self.body = nn.Sequential(conv_bn(inputs, filters, 3, stride), conv_bn(filters, filters, 3, relu=False))
        same = inputs == outputs and stride == 1
        self.shortcut = nn.Identity() if same else conv_bn(inputs, outputs, 1, stride, relu=False)

    def forward(self, x):
        return functional.relu(self.body(x).add_(self.shortcut(x)), inplace=True)


def backbone(name, last_stride):
    """Return the network up to its last feature map, and the number of channels of that map."""
    if name in VGG:
        stages, inputs = [], 3
        for filters, count in zip((64, 128, 256, 512, 512), VGG[name], strict=True):
            for _ in range(count):
                stages += [nn.Conv2d(inputs, filters, 3, padding=1), nn.ReLU(inplace=True)]
                inputs = filters
            stages.append(nn.MaxPool2d(2))
        return nn.Sequential(*stages), 512
    bottleneck = name in BOTTLENECK
    stages, inputs = [conv_bn(3, 64, 7, 2), nn.MaxPool2d(3, 2, 1)], 64
    for stage, count in enumerate({**BASIC, **BOTTLENECK}[name]):
        filters = 64 * 2**stage
        for index in range(count):
            stride = (1, 2, 2, last_stride)[stage] if index == 0 else 1
            stages.append(Block(inputs, filters, stride, bottleneck))
            inputs = 4 * filters if bottleneck else filters
    return nn.Sequential(*stages), inputs


class Gaap(nn.Module):
    """Backbone, attention ("none", or "class" of Eq. 4-5), average pooling (Eq. 6), neck, dropout and classifier."""

    def __init__(self, config, classes):
        super().__init__()
        self.backbone, channels = backbone(config["backbone"], config["last_stride"])
        self.attention, self.alpha = config["attention"], config["alpha"]
        if self.attention != "none":
            key = channels // 16 * 2
            self.query = nn.Linear(channels, key, bias=False)
            self.key = nn.Linear(channels, key, bias=False)
            self.value = nn.Linear(channels, channels // 2, bias=False)
            self.output = nn.Linear(channels // 2, channels, bias=False)
        bnneck = config["neck"] == "bnneck"
        self.neck = nn.BatchNorm1d(channels) if bnneck else nn.Identity()
        if bnneck:
            self.neck.bias.requires_grad_(False)
        self.dropout = nn.Dropout(config["dropout"])
        self.classifier = nn.Linear(channels, classes, bias=not bnneck)
        self.register_buffer("mean", torch.tensor(MEAN).view(1, 3, 1, 1))
        self.register_buffer("std", torch.tensor(STD).view(1, 3, 1, 1))

    def pooled(self, images, partners=None):
        """Return pooled vectors (batch, channels) of images (batch, height, width, 3), uint8."""
        # A channels-first view of channels-last memory, copied only if the model needs that.
        x = (images.permute(0, 3, 1, 2).float() - self.mean) / self.std
        if not getattr(self, "channels_last", False):
            x = x.contiguous()
        maps = self.backbone(x)
        if self.attention == "none":
            return maps.mean(dim=(2, 3))
        features = maps.flatten(2).transpose(1, 2)
        query, key = self.query(features), self.key(features)
        own = (query @ key.transpose(1, 2)).float() / query.shape[-1] ** 0.5
        other = own if partners is None else own[partners]
        weights = (self.alpha * own + (1 - self.alpha) * other).softmax(-1).to(features.dtype)
        return (features + self.output(weights @ self.value(features))).mean(dim=1)

    def embed(self, images):
        """Return embeddings (batch, channels) of images (batch, height, width, 3), uint8."""
        return self.neck(self.pooled(images))

    def forward(self, images, partners=None):
        return self.classifier(self.dropout(self.neck(self.pooled(images, partners))))


class Images(torch.utils.data.Dataset):
    """Augmented images with their partners; each item is a whole batch."""

    def __init__(self, images, labels, config):
        self.images, self.labels = images, labels
        names = ("shift_x", "shift_y", "zoom", "crop", "flip", "erase")
        self.augmentation = Augmentation(**{name: config[name] for name in names})
        sizes = config["batch_size"], config["images_per_identity"]
        self.batches = SAMPLERS[config["sampler"]](labels, *sizes, np.random.default_rng(0))

    def __len__(self):
        return len(self.batches)

    def __getitem__(self, index):
        rng, positions = np.random.default_rng([0, index]), self.batches[index]
        images = np.stack([self.augmentation(image, rng) for image in self.images[positions]])
        labels, partners = self.labels[positions], np.arange(len(positions))
        for label in np.unique(labels):
            members = np.flatnonzero(labels == label)
            partners[members] = np.roll(members, -1)
        return torch.from_numpy(images), torch.from_numpy(labels), torch.from_numpy(partners)


def training(settings, model, run, images, labels):
    """Return the function of one turn: one training epoch."""
    config = settings["config"]
    optimizer = torch.optim.Adam(model.parameters(), config["learning_rate"], fused=settings["fused"])
    loader = torch.utils.data.DataLoader(
        Images(images, labels, config),
        batch_size=None,
        num_workers=8 if DEVICE == "cuda" else 2,
        persistent_workers=True,
        pin_memory=DEVICE == "cuda",
    )
    if settings["work"] == "bare":
        loader = [[part.to(DEVICE) for part in next(iter(loader))]] * len(loader)

    def epoch():
        for parts in loader:
            batch, targets, partners = (part.to(DEVICE, non_blocking=True) for part in parts)
            with torch.autocast(DEVICE, torch.bfloat16, enabled=settings["bfloat16"]):
                logits = run(batch, partners)
                loss = functional.cross_entropy(logits.float(), targets, label_smoothing=config["label_smoothing"])
            optimizer.zero_grad(set_to_none=True)
            loss.backward()
            optimizer.step()
        if DEVICE == "cuda":
            torch.cuda.synchronize()

    return epoch


def embedding(settings, model, run, images, labels):
    """Return the function of one turn: the embeddings of all images."""
    model.eval()

    def epoch():
        with torch.inference_mode(), torch.autocast(DEVICE, torch.bfloat16, enabled=settings["bfloat16"]):
            batches = (torch.from_numpy(images[i : i + 128]).to(DEVICE) for i in range(0, len(images), 128))
            return torch.cat([model.embed(batch).float() for batch in batches]).cpu().numpy()

    return epoch


def main(settings):
    """Build the model of the settings and serve its training epochs or its embeddings."""
    torch.manual_seed(0)
    config = settings["config"]
    model = Gaap(config, CLASSES)
    if settings["channels_last"]:
        model = model.to(memory_format=torch.channels_last)
        model.channels_last = True
    model = model.to(DEVICE)
    run = torch.compile(model) if settings.get("compile") else model
    images, labels = drawn(settings["images"], config["height"], config["width"])
    work = {"training": training, "bare": training, "embedding": embedding}[settings["work"]]
    serve(work(settings, model, run, images, labels))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))

"""MEB-Net, the multiple expert brainstorming network (Zhai et al., ECCV 2020), which learns without identities."""

import dataclasses

import keras
import numpy as np
from keras import ops

from gaaplib.clustering import kmeans, separation
from gaaplib.methods.gaap import Gaap
from gaaplib.methods.method import Method, Round, share_of_epochs
from gaaplib.methods.triplet import check_batches
from gaaplib.network.backbones import copy_backbone_of_run
from gaaplib.network.experts import ExpertLosses, Follow
from gaaplib.network.losses import Mean

DEFAULTS = {
    "attention": "none",
    "neck": "bnneck",
    "sampler": "identity_balanced",
    "label_smoothing": 0.1,
    "dropout": 0.0,
    "last_stride": 1,
    "averaged_epochs": 0,
}
OPTIONS = {"others": "resnet34,osnet_x1_0", "clusters": 500, "rounds": 10}
LIMITS = {"clusters": (2, 1_000_000), "rounds": (1, 1_000)}
ONLY = {"attention": "none", "neck": "bnneck", "margin": 0.3}
RECIPE = {
    "height": 256,
    "width": 128,
    "stem": "linear",
    "batch_size": 64,
    "epochs": 40,
    "learning_rate": 3.5e-4,
    "weight_decay": 5e-4,
    "schedule": "constant",
    "warmup_epochs": 0,
    "shift_x": 0.0,
    "shift_y": 0.0,
    "zoom": 0.0,
    "crop": 0.0,
    "pad_crop": 10,
    "erase": 0.5,
    "eraser": "bot",
}
START = {"method": "bot", "options": "centre=0.0"}

WEIGHTS = {"identified": 0.5, "compared": 0.2, "taught": 0.5, "taught_to_compare": 0.8}
"""Of the four losses."""


class _Expert(Gaap):
    """One of the networks; classes are clusters."""

    def __init__(self, config, clusters, name):
        self._given_name = name
        super().__init__(config, clusters)

    @property
    def _name(self):
        return self._given_name


class Mebnet(Method):
    """Networks of different kinds that learn from clusters, and from each other's running means.

    Each of three experts is a backbone, pooling, a BNNeck and a classifier, once as a student and once as its mean
    teacher (:class:`gaaplib.network.experts.Follow`). At the beginning of a round the images are clustered by the mean
    of the teachers' vectors, and the clusters' means become the weights of all classifiers. A student then learns the
    clusters, and what the other experts' teachers say of an image; a teacher counts the more, the better its own
    vectors are separated into clusters (:func:`gaaplib.clustering.separation`). See
    :class:`gaaplib.network.experts.ExpertLosses`. Each expert sees the images augmented in another way.

    Images are compared by the cosine distance of the first teacher's vectors, whose backbone is ``backbone``. The
    released code takes the teacher of the best score on the test set. There are no class scores, so no closed protocol.

    With ``train_dataset``, each expert starts from a supervised run on it, as in the paper; those are made first if
    they are missing. Otherwise it starts from nothing, and from ``weights`` if they are ImageNet's.

    ``pooling`` is GAAP's and may be given. It needs P x K batches.

    Options:
        others: backbones of the other experts. The maps of all need as many channels. The paper's are ResNet-50,
            DenseNet-121 and Inception v3; these are of our size.
        clusters: their number, but at most one for every ``images_per_identity`` images.
        rounds: into which ``epochs`` are divided.

    The released code (YunpengZhai/MEB-Net) clusters in small batches; here k-means sees all images at once. In its
    training on the source, images of the target pass through the network for the statistics, which is left out here.
    """

    supervised = False

    def __init__(self, config, num_classes):
        check_batches(config)
        super().__init__(config, num_classes)
        self._rounds = min(self.options["rounds"], config.epochs)
        names = [config.backbone, *filter(None, self.options["others"].split(","))]
        if len(names) < 2:
            raise ValueError(f"options={config.options!r}: expected one other expert")
        if config.weights not in (None, "imagenet"):
            raise ValueError(f"weights={config.weights!r}: each expert is another network; give train_dataset instead")
        self.views = ("images", *(f"images{number}" for number in range(2, len(names) + 1)))
        self._students, self._teachers = (
            [self._expert(name, f"{side}{number}") for number, name in enumerate(names, start=1)]
            for side in ("student", "teacher")
        )
        self._check_channels(names)
        self._pairs = []
        for student, teacher in zip(self._students, self._teachers, strict=True):
            teacher.model.set_weights(student.model.get_weights())
            learning = teacher.model.trainable_weights
            self._pairs += zip(student.model.trainable_weights, learning, strict=True)
            for weight in learning:
                # Of the variable alone, because a layer that is not trainable normalises as at inference.
                weight.trainable = False
        self.losses = {name: (Mean(), weight) for name, weight in WEIGHTS.items()}
        self.training_model = self._training_model()
        self.model = self._teachers[0].model
        self._together = self._all_teachers()

    @property
    def slow_weights(self):
        return [weight for student in self._students for weight in student.slow_weights]

    def start_from(self, files):
        for student, teacher, file in zip(self._students, self._teachers, files, strict=True):
            for expert in (student, teacher):
                copy_backbone_of_run(expert._lower, file)

    def batch_inputs(self, labels, rng):
        return {"groups": labels.astype("int32")}

    def class_scores(self, outputs):
        return None

    def next_round(self, number, labels, embed):
        if number == self._rounds:
            return None
        found = embed(self._together)
        mean = found.pop("mean")
        most = len(mean) // self.config.images_per_identity
        seed = [self.config.seed, number]
        clusters, means = kmeans(mean, min(self.options["clusters"], max(1, most)), seed)
        needed = self.config.batch_size // self.config.images_per_identity
        if len(means) < needed:
            raise ValueError(
                f"round {number + 1} of {self._rounds}: {len(means)} clusters, but each batch takes images of "
                f"{needed}: decrease batch_size, or give more images or clusters"
            )
        self._take_as_classifiers(means)
        apart = [separation(vectors, kmeans(vectors, len(means), seed)[0]) for vectors in found.values()]
        self._expert_losses.authority.assign(len(apart) * np.array(apart) / sum(apart))
        return Round(clusters, share_of_epochs(self.config.epochs, number, self._rounds))

    def _take_as_classifiers(self, means):
        """The clusters' means, with length 1, as the weights of all classifiers; classes without a cluster get 0."""
        for expert in (*self._students, *self._teachers):
            kernel = np.zeros(expert._classifier.kernel.shape, "float32")
            kernel[:, : len(means)] = (means / np.linalg.norm(means, axis=1, keepdims=True)).T
            expert._classifier.kernel.assign(kernel)

    def _expert(self, backbone, name):
        changes = {"method": "gaap", "options": None, "backbone": backbone}
        # All settings are given, so the profile is a name; GAAP has no training of its own, and only ResNets this stem.
        changes |= {"profile": "standard"} if self.config.profile == "own" else {}
        changes |= {} if backbone.startswith("resnet") else {"stem": "relu"}
        config = dataclasses.replace(self.config, **changes)
        return _Expert(config, self.options["clusters"], name)

    def _check_channels(self, names):
        channels = [student.model.output["pooled"].shape[-1] for student in self._students]
        if len(set(channels)) > 1:
            listed = ", ".join(f"{name} {number}" for name, number in zip(names, channels, strict=True))
            raise ValueError(f"experts need maps of as many channels each, but these have: {listed}; change others")

    def _training_model(self):
        config = self.config
        inputs = {name: keras.Input((config.height, config.width, 3), dtype="uint8", name=name) for name in self.views}
        inputs["groups"] = keras.Input((), dtype="int32", name="groups")
        views = [inputs[name] for name in self.views]
        learnt = [student.model(view) for student, view in zip(self._students, views, strict=True)]
        follow = Follow(self._pairs, name="follow")
        # All teachers move before the first is asked.
        followed = follow(views)
        taught = [teacher.model(view) for teacher, view in zip(self._teachers, followed, strict=True)]
        self._expert_losses = ExpertLosses(len(views), config.label_smoothing, name="expert_losses")
        ordered = [each[name] for side in (learnt, taught) for name in ("logits", "pooled") for each in side]
        return keras.Model(inputs, self._expert_losses([inputs["groups"], *ordered]), name="training")

    def _all_teachers(self):
        """From images to each teacher's vectors of length 1, and to the direction of their mean."""
        images = keras.Input((self.config.height, self.config.width, 3), dtype="uint8", name="images")
        found = [ops.normalize(teacher.model(images)["embedding"], axis=1) for teacher in self._teachers]
        each = {f"expert{number + 1}": vectors for number, vectors in enumerate(found)}
        return keras.Model(images, each | {"mean": ops.normalize(sum(found), axis=1)}, name="teachers")

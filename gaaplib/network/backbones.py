"""Backbones without their classifier: VGG-16/19, ResNet-18/34/50/101/152 and OSNet, in `BACKBONES`.

"vgg16_bn" and "vgg19_bn" have a batch normalisation after each convolution, as torchvision's models of these names.
The paper's own do not, and hardly learn from scratch. "resnet18_ibn" and "resnet50_ibn" normalise half of the channels
of each block's first convolution over the image instead of over the batch, apart from the last stage (IBN-a; Pan et
al., "Two at Once", ECCV 2018). "osnet_x1_0" and "osnet_x0_25" are described in :mod:`gaaplib.network.osnet`.

Every entry is a function `build(height=128, width=64, ...)` that returns a `keras.Model`. The model
maps RGB images (batch, height, width, 3), floats in 0..255, to a dict of feature maps
(batch, height', width', channels). It normalises its input itself.

The maps are "stage1", "stage2", ..., in order. A ResNet has four, conv2_x to conv5_x, and OSNet has four. A VGG has
five, its blocks, each after its pooling.

Sources: Simonyan and Zisserman, "Very Deep Convolutional Networks for Large-Scale Image
Recognition", ICLR 2015; He et al., "Deep Residual Learning for Image Recognition", CVPR 2016.
Layers have the names used in `keras.applications`, so that its weights are matched by name.
"""

from dataclasses import dataclass
from functools import partial
from pathlib import Path

import keras

from gaaplib.network import layers, osnet

# ImageNet's mean and standard deviation of R, G and B in 0..255, as in torchvision, and the mean
# that Caffe subtracts, which the weights of keras.applications expect.
MEAN = (123.675, 116.28, 103.53)
STD = (58.395, 57.12, 57.375)
CAFFE_MEAN = (123.68, 116.779, 103.939)

# The backbones that keras.applications has, and their names there.
APPLICATIONS = {
    "vgg16": "VGG16",
    "vgg19": "VGG19",
    "resnet50": "ResNet50",
    "resnet101": "ResNet101",
    "resnet152": "ResNet152",
}
# Below every value of a feature map, and representable in half precision.
LOWEST = -3e4

STEMS = ("conv1_conv", "block1_conv1")  # the first convolution of a ResNet and of a VGG


@dataclass(frozen=True)
class _Form:
    """The differences between the variants "v1.5" and "v1" of a ResNet."""

    use_bias: bool
    epsilon: float
    momentum: float
    strided_kernel: int  # size of the convolution that has the stride in a bottleneck block: 1 or 3
    kernel_initializer: str | keras.initializers.Initializer
    # Whether a block's first normalisation is half instance, half batch normalisation.
    instance: bool = False


def _initializer(kernel_initializer):
    """A new copy of the initialiser: a shared one would give layers of equal shape equal weights."""
    return keras.initializers.get(kernel_initializer).clone()


def _conv_bn(x, filters, kernel_size, strides, name, form, instance=False):
    """Convolution and normalisation, (batch, h, w, c) to (batch, h / strides, ..., filters).

    The strided convolution pads both sides, as in torchvision and keras.applications. "same" would
    pad only the bottom and the right if height and width are even.
    """
    padding = "same"
    if strides > 1 and kernel_size > 1:
        x = keras.layers.ZeroPadding2D(kernel_size // 2, name=f"{name}_pad")(x)
        padding = "valid"
    x = layers.Conv2D(
        filters,
        kernel_size,
        strides=strides,
        padding=padding,
        use_bias=form.use_bias,
        kernel_initializer=_initializer(form.kernel_initializer),
        name=f"{name}_conv",
    )(x)
    kind = layers.InstanceBatchNormalization if instance else layers.BatchNormalization
    return kind(momentum=form.momentum, epsilon=form.epsilon, name=f"{name}_bn")(x)


def _is_instance(filters, form):
    """Whether a block's first normalisation is half over the image: not in the last stage, of 512 filters."""
    return form.instance and filters < 512


def _add(shortcut, x, name):
    x = keras.layers.Add(name=f"{name}_add")([shortcut, x])
    return keras.layers.Activation("relu", name=f"{name}_out")(x)


def _basic_block(x, filters, strides, name, form):
    """Two 3 x 3 convolutions (He et al., Fig. 5 left), (batch, h, w, c) to (..., filters)."""
    shortcut = x
    if x.shape[-1] != filters:
        shortcut = _conv_bn(x, filters, 1, strides, f"{name}_0", form)
    x = _conv_bn(x, filters, 3, strides, f"{name}_1", form, _is_instance(filters, form))
    x = keras.layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = _conv_bn(x, filters, 3, 1, f"{name}_2", form)
    return _add(shortcut, x, name)


def _bottleneck_block(x, filters, strides, name, form):
    """1 x 1, 3 x 3, 1 x 1 (He et al., Fig. 5 right), (batch, h, w, c) to (..., 4 * filters)."""
    shortcut = x
    if x.shape[-1] != 4 * filters:
        shortcut = _conv_bn(x, 4 * filters, 1, strides, f"{name}_0", form)
    first, second = (strides, 1) if form.strided_kernel == 1 else (1, strides)
    x = _conv_bn(x, filters, 1, first, f"{name}_1", form, _is_instance(filters, form))
    x = keras.layers.Activation("relu", name=f"{name}_1_relu")(x)
    x = _conv_bn(x, filters, 3, second, f"{name}_2", form)
    x = keras.layers.Activation("relu", name=f"{name}_2_relu")(x)
    x = _conv_bn(x, 4 * filters, 1, 1, f"{name}_3", form)
    return _add(shortcut, x, name)


def bottleneck(shape, name):
    """One more bottleneck block of a ResNet, "v1.5", a `keras.Model` from feature maps to maps of the same shape.

    Args:
        shape: (height, width, channels); channels are a multiple of 4.
        name: of the model and of its layers.
    """
    inputs = keras.Input(shape)
    form = _Form(False, 1e-5, 0.9, 3, "he_normal")
    return keras.Model(inputs, _bottleneck_block(inputs, shape[-1] // 4, 1, name, form), name=name)


def _resnet_stem(x, form, stem):
    """7 x 7 convolution and pooling, (batch, h, w, 3) to (batch, h / 4, w / 4, 64)."""
    x = _conv_bn(x, 64, 7, 2, "conv1", form)
    if stem == "relu":
        x = keras.layers.Activation("relu", name="conv1_relu")(x)
        # After the ReLU no value is negative, so padding with zeros does not change a maximum.
        x = keras.layers.ZeroPadding2D(1, name="pool1_pad")(x)
    else:
        x = keras.ops.pad(x, ((0, 0), (1, 1), (1, 1), (0, 0)), constant_values=LOWEST)
    return keras.layers.MaxPooling2D(3, strides=2, name="pool1_pool")(x)


def _resnet_stage(x, block, filters, repeats, strides, name, form, insert):
    for i in range(repeats):
        x = block(x, filters, strides if i == 0 else 1, f"{name}_block{i + 1}", form)
        # conv2 is stage 1.
        x = insert(x, int(name[-1]) - 1, repeats - i - 1)
    return x


def _resnet(block, repeats, last_stride, variant, kernel_initializer, stem, insert, instance=False):
    """The stages of a ResNet (He et al., Table 1), each a function from feature map to feature map."""
    if variant == "v1":
        form = _Form(True, 1.001e-5, 0.99, 1, kernel_initializer)
    else:
        form = _Form(False, 1e-5, 0.9, 3, kernel_initializer, instance)

    def stage1(x):
        return _resnet_stage(_resnet_stem(x, form, stem), block, 64, repeats[0], 1, "conv2", form, insert)

    later = zip((128, 256, 512), repeats[1:], (2, 2, last_stride), (3, 4, 5), strict=True)
    return [stage1] + [
        partial(
            _resnet_stage,
            block=block,
            filters=filters,
            repeats=count,
            strides=strides,
            name=f"conv{i}",
            form=form,
            insert=insert,
        )
        for filters, count, strides, i in later
    ]


def _osnet(last_stride, variant, kernel_initializer, stem, insert, width=1.0):
    """The stages of OSNet, with channels times a width."""
    if stem != "relu":
        raise ValueError(f"stem={stem!r}: it is for ResNets, not for OSNet")
    return osnet.stages(last_stride, kernel_initializer, insert, width)


def _vgg_stage(x, filters, convolutions, pool, name, kernel_initializer, batch_norm, insert):
    for i in range(1, convolutions + 1):
        x = layers.Conv2D(
            filters,
            3,
            padding="same",
            activation=None if batch_norm else "relu",
            kernel_initializer=_initializer(kernel_initializer),
            name=f"{name}_conv{i}",
        )(x)
        if batch_norm:
            x = layers.BatchNormalization(momentum=0.9, epsilon=1e-5, name=f"{name}_bn{i}")(x)
            x = keras.layers.Activation("relu", name=f"{name}_relu{i}")(x)
    x = keras.layers.MaxPooling2D(2, name=f"{name}_pool")(x) if pool else x
    return insert(x, int(name[-1]), 0)


def _vgg(convolutions, last_stride, variant, kernel_initializer, stem, insert, batch_norm=False):
    """The stages of a VGG (Simonyan and Zisserman, Table 1, D and E), the same for both variants."""
    if stem != "relu":
        raise ValueError(f"stem={stem!r}: a VGG has no stem; it is for ResNets")
    filters = (64, 128, 256, 512, 512)
    pools = (True, True, True, True, last_stride == 2)
    return [
        partial(
            _vgg_stage,
            filters=width,
            convolutions=count,
            pool=pool,
            name=f"block{i}",
            kernel_initializer=kernel_initializer,
            batch_norm=batch_norm,
            insert=insert,
        )
        for i, (width, count, pool) in enumerate(zip(filters, convolutions, pools, strict=True), start=1)
    ]


def _check_variant(name, weights, variant):
    """The variant to build: the given one, or if it is None, the one that `weights` needs."""
    if variant not in (None, "v1", "v1.5"):
        raise ValueError(f'variant={variant!r}: must be "v1", "v1.5" or None.')
    known = ", ".join(APPLICATIONS)
    if weights == "imagenet" and name not in APPLICATIONS:
        raise ValueError(f'weights="imagenet": there are no such weights for {name}, only for {known}.')
    if weights == "imagenet" and variant == "v1.5":
        raise ValueError(f'weights="imagenet" are for variant="v1" of {name}, not for "v1.5".')
    if variant == "v1" and name not in APPLICATIONS:
        raise ValueError(f'variant="v1": {name} has only "v1.5"; backbones with both: {known}.')
    return variant or ("v1" if weights == "imagenet" else "v1.5")


def _check_size(name, height, width, last_stride):
    if last_stride not in (1, 2):
        raise ValueError(f"last_stride={last_stride!r}: must be 1 or 2.")
    least = 16 * last_stride
    for axis, size in (("height", height), ("width", width)):
        if size is not None and size < least:
            raise ValueError(
                f"{axis}={size}: the last map of {name} would be empty; with "
                f"last_stride={last_stride} use at least {least} pixels."
            )


def _normalisation(variant):
    """The layer that maps RGB in 0..255 to the input that the variant's weights expect."""
    if variant == "v1":
        return keras.layers.Rescaling(1.0, [-mean for mean in CAFFE_MEAN], name="normalisation")
    offset = [-mean / std for mean, std in zip(MEAN, STD, strict=True)]
    return keras.layers.Rescaling([1 / std for std in STD], offset, name="normalisation")


def _load(model, name, weights):
    if weights == "imagenet":
        copy_application_weights(model, _imagenet(name))
    elif not Path(weights).is_file():
        raise ValueError(
            f'weights={str(weights)!r}: no such file; give None, "imagenet", the path of a file written by '
            "model.save_weights, or a run's model.keras."
        )
    elif Path(weights).suffix == ".keras":
        copy_backbone_of_run(model, weights)
    else:
        model.load_weights(weights)


def copy_backbone_of_run(model, path):
    """Copy the weights of the layer "backbone" of a saved model.

    Args:
        model: the backbone that gets them.
        path: ``model.keras`` of a run.

    Raises:
        ValueError: the file is no such model, or its backbone has other weights.
    """
    try:
        saved = keras.saving.load_model(path, compile=False, safe_mode=True)
        values = saved.get_layer("backbone").get_weights()
    except Exception as error:  # On damaged files Keras, zipfile and h5py raise errors of many types.
        reason = str(error).split("\n")[0]
        raise ValueError(f"{path} is not the model of a run that can be loaded ({reason})") from error
    wanted = [weight.shape for weight in model.weights]
    if [value.shape for value in values] != wanted:
        raise ValueError(f"{path}: its backbone does not have the weights of a {model.name} alone")
    model.set_weights(values)


def _imagenet(name):
    application = APPLICATIONS[name]
    try:
        return getattr(keras.applications, application)(weights="imagenet", include_top=False)
    except Exception as error:  # keras.utils.get_file raises a bare Exception when offline
        raise OSError(
            f"The ImageNet weights of keras.applications.{application} could not be downloaded "
            f"({type(error).__name__}: {error}). Without internet access, build {name} with "
            "weights=None or with the path of a local .weights.h5 file."
        ) from error


def _build(
    name,
    family,
    height=128,
    width=64,
    last_stride=2,
    kernel_initializer="he_normal",
    weights=None,
    variant=None,
    stem="relu",
    insert=lambda x, stage, left: x,
):
    """A backbone, a `keras.Model` from images (batch, height, width, 3) to a dict of feature maps.

    Args:
        name: the backbone's key in `BACKBONES`.
        family: function that returns the backbone's stages.
        height, width: size of the images in pixels; None allows any size.
        last_stride: stride of a ResNet's last stage, 2 or 1. With 1 the last map has twice the
            height and width, and a VGG has no last pooling.
        kernel_initializer: name or `keras.initializers.Initializer` for every convolution.
        weights: None (random), "imagenet" (from keras.applications), or the path of a file: written by
            ``model.save_weights``, or the ``model.keras`` of a run, whose backbone is taken.
        variant: "v1.5" is torchvision's form: a bottleneck block has its stride in the 3 x 3
            convolution, convolutions of a ResNet have no bias, and inputs have zero mean and unit
            variance. "v1" is the form of keras.applications: the stride is in the first 1 x 1
            convolution, convolutions have a bias, and inputs have zero mean only. None is "v1" with
            weights="imagenet", otherwise "v1.5".
        stem: "relu", or "linear": a ResNet without the ReLU after its first normalisation, as the released code of BoT,
            AGW, HOReID and MEB-Net has it, by an oversight.
        insert: a function of a block's output, the number of its stage from 1, and the number of blocks that the stage
            has left, which returns what the next block gets. A stage of a VGG is one block. The default adds nothing.

    Raises:
        ValueError: a wrong value of `last_stride`, `weights`, `variant` or `stem`, or images that are too
            small for the last map.
        OSError: the ImageNet weights could not be downloaded.
    """
    _check_size(name, height, width, last_stride)
    variant = _check_variant(name, weights, variant)
    if stem not in ("relu", "linear"):
        raise ValueError(f'stem={stem!r}: must be "relu" or "linear".')
    stages = family(last_stride, variant, kernel_initializer, stem, insert)
    names = [f"stage{i}" for i in range(1, len(stages) + 1)]
    inputs = keras.Input((height, width, 3), name="images")
    x = _normalisation(variant)(inputs)
    maps = {}
    for stage, function in zip(names, stages, strict=True):
        x = function(x)
        maps[stage] = x
    model = keras.Model(inputs, maps, name=name)
    if weights is not None:
        _load(model, name, weights)
    return model


def copy_application_weights(model, source):
    """Copy the convolutions' weights of a model of `keras.applications` into a "v1" backbone.

    Layers are matched by name; a classifier in `source` is skipped. `source` expects the channels blue, green, red,
    and a backbone red, green, blue, so the channels of the first kernel (height, width, 3, filters) are reversed.
    """
    for layer in source.layers:
        weights = layer.get_weights()
        if not weights or isinstance(layer, keras.layers.Dense):
            continue
        if layer.name in STEMS:
            weights[0] = weights[0][:, :, ::-1]
        model.get_layer(layer.name).set_weights(weights)


BACKBONES = {
    "vgg16": partial(_build, "vgg16", partial(_vgg, (2, 2, 3, 3, 3))),
    "vgg19": partial(_build, "vgg19", partial(_vgg, (2, 2, 4, 4, 4))),
    "vgg16_bn": partial(_build, "vgg16_bn", partial(_vgg, (2, 2, 3, 3, 3), batch_norm=True)),
    "vgg19_bn": partial(_build, "vgg19_bn", partial(_vgg, (2, 2, 4, 4, 4), batch_norm=True)),
    "resnet18": partial(_build, "resnet18", partial(_resnet, _basic_block, (2, 2, 2, 2))),
    "resnet34": partial(_build, "resnet34", partial(_resnet, _basic_block, (3, 4, 6, 3))),
    "resnet50": partial(_build, "resnet50", partial(_resnet, _bottleneck_block, (3, 4, 6, 3))),
    "resnet101": partial(_build, "resnet101", partial(_resnet, _bottleneck_block, (3, 4, 23, 3))),
    "resnet152": partial(_build, "resnet152", partial(_resnet, _bottleneck_block, (3, 8, 36, 3))),
    "resnet18_ibn": partial(_build, "resnet18_ibn", partial(_resnet, _basic_block, (2, 2, 2, 2), instance=True)),
    "resnet50_ibn": partial(_build, "resnet50_ibn", partial(_resnet, _bottleneck_block, (3, 4, 6, 3), instance=True)),
    "osnet_x1_0": partial(_build, "osnet_x1_0", _osnet),
    "osnet_x0_25": partial(_build, "osnet_x0_25", partial(_osnet, width=0.25)),
}

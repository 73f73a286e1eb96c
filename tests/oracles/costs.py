"""Multiply-adds of published networks, layer by layer as in their papers; no code shared with gaaplib."""

# He et al. 2016, Table 1, and Simonyan and Zisserman 2015, Table 1, columns D and E.
BLOCKS = {"resnet18": (2, 2, 2, 2), "resnet34": (3, 4, 6, 3), "resnet50": (3, 4, 6, 3)}
VGG = {"vgg16": (2, 2, 3, 3, 3), "vgg19": (2, 2, 4, 4, 4)}


def convolution(height, width, kernel, inputs, outputs):
    total = 0
    for _row in range(height):
        for _column in range(width):
            total += kernel * kernel * inputs * outputs
    return total


def vgg(name, height, width):
    total, inputs = 0, 3
    for count, outputs in zip(VGG[name], (64, 128, 256, 512, 512), strict=True):
        for _ in range(count):
            total += convolution(height, width, 3, inputs, outputs)
            inputs = outputs
        height, width = height // 2, width // 2
    return total


def resnet(name, height, width):
    """Multiply-adds of a ResNet. The stride of a bottleneck is in its 3 x 3 convolution, as in torchvision."""
    height, width = height // 2, width // 2
    total = convolution(height, width, 7, 3, 64)
    height, width, inputs = height // 2, width // 2, 64
    for stage, count in enumerate(BLOCKS[name]):
        filters = 64 * 2**stage
        for block in range(count):
            before = (height, width)
            if stage > 0 and block == 0:
                height, width = height // 2, width // 2
            if name == "resnet50":
                total += convolution(*before, 1, inputs, filters)
                total += convolution(height, width, 3, filters, filters)
                outputs = 4 * filters
                total += convolution(height, width, 1, filters, outputs)
            else:
                outputs = filters
                total += convolution(height, width, 3, inputs, outputs)
                total += convolution(height, width, 3, outputs, outputs)
            if inputs != outputs:
                total += convolution(height, width, 1, inputs, outputs)
            inputs = outputs
    return total


def count(name, height, width):
    return (vgg if name in VGG else resnet)(name, height, width)

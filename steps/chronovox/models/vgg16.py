"""VGG-16 as a classifier of ages, as DEX has it.

Simonyan and Zisserman, "Very deep convolutional networks for large-scale image
recognition" (ICLR 2015), configuration D; Rothe, Timofte and Van Gool, "DEX: Deep
EXpectation of apparent age from a single image" (ICCV workshops 2015).
"""

from dataclasses import dataclass, field

from torch import nn

NUM_AGES = 101  # 0 to 100 years
DEPTHS = (2, 2, 3, 3, 3)  # convolutions of each block, before its max-pooling
MAX_WIDTH = 2**16
MIN_SIZE, MAX_SIZE = 2 ** len(DEPTHS), 1024  # pixels
# Of ImageNet's images, in the order of the channels: the authors of VGG subtract it.
MEAN_BGR = (103.939, 116.779, 123.68)


@dataclass(frozen=True)
class VGG16Config:
    """widths: channels of the five blocks; hidden: outputs of fc6 and of fc7, of which
    `dropout` is the share that training leaves out.

    image_size: width and height of a face in pixels. batch_norm: after each
    convolution, which the published weights have not; a network that begins at random
    learns faster with it.
    """

    widths: list[int] = field(default_factory=lambda: [64, 128, 256, 512, 512])
    hidden: int = 4096
    dropout: float = 0.5
    image_size: int = 224
    batch_norm: bool = False

    def __post_init__(self):
        if not MIN_SIZE <= self.image_size <= MAX_SIZE or self.image_size % MIN_SIZE:
            raise ValueError(
                f"image_size is a multiple of {MIN_SIZE}, up to {MAX_SIZE}"
            )
        if not 0 <= self.dropout < 1:
            raise ValueError("dropout is from 0 to below 1")
        sizes = (*self.widths, self.hidden)
        if len(self.widths) != len(DEPTHS) or not (
            1 <= min(sizes) <= max(sizes) <= MAX_WIDTH
        ):
            raise ValueError(
                f"widths, {len(DEPTHS)} numbers, and hidden are from 1 to {MAX_WIDTH}"
            )


class VGG16(nn.Module):
    """Faces `(B, 3, S, S)`, BGR from 0 to 255 -> logits of the ages `(B, 101)`.

    Layers are called as in the published prototxt, but for fc8-101, which is
    `fc8_101`: attributes have no hyphen.
    """

    has_posterior = True

    def __init__(self, config: VGG16Config):
        super().__init__()
        self.image_size = config.image_size
        channels = len(MEAN_BGR)
        for block, width in enumerate(config.widths):
            for name in conv_names(block):
                self.add_module(name, nn.Conv2d(channels, width, 3, padding=1))
                norm = nn.BatchNorm2d(width) if config.batch_norm else nn.Identity()
                self.add_module(f"{name}_bn", norm)
                channels = width
        side = config.image_size // MIN_SIZE
        self.pool = nn.MaxPool2d(2)
        self.drop = nn.Dropout(config.dropout)
        self.fc6 = nn.Linear(channels * side * side, config.hidden)
        self.fc7 = nn.Linear(config.hidden, config.hidden)
        self.fc8_101 = nn.Linear(config.hidden, NUM_AGES)
        for module in self.modules():
            if isinstance(module, nn.Conv2d | nn.Linear):
                nn.init.kaiming_normal_(module.weight, nonlinearity="relu")
                nn.init.zeros_(module.bias)

    def forward(self, images):
        x = images - images.new_tensor(MEAN_BGR)[:, None, None]
        for block in range(len(DEPTHS)):
            for name in conv_names(block):
                x = self.get_submodule(name)(x)
                x = self.get_submodule(f"{name}_bn")(x).relu()
            x = self.pool(x)
        x = x.flatten(1)  # channels first, as in Caffe
        x = self.drop(self.fc6(x).relu())
        x = self.drop(self.fc7(x).relu())
        return self.fc8_101(x)


def conv_names(block: int) -> list[str]:
    """The convolutions of block 0 to 4: conv1_1, conv1_2, and so on."""
    return [f"conv{block + 1}_{number + 1}" for number in range(DEPTHS[block])]

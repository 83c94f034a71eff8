"""ResNet34 for speakers, over frequency and time.

The residual network of He et al., "Deep residual learning for image recognition"
(CVPR 2016), narrow and without max-pooling as Zeinali et al., "BUT system
description to VoxCeleb speaker recognition challenge 2019", use it for speakers.
Layers are called as in most ResNets, WeSpeaker's among them.
"""

from dataclasses import dataclass, field
from typing import Literal

import torch
from torch import nn

from chronovox.models.pooling import map_statistics

NUM_STAGES = 4  # the first keeps the size, each other halves time and frequency
SUBSAMPLING = 2 ** (NUM_STAGES - 1)
MAX_CHANNELS = 512
MAX_BLOCKS = 100
MAX_EMBED_DIM = 2**16


@dataclass(frozen=True)
class ResNetConfig:
    """channels: of the first stage, doubled in each other; blocks: in each stage.

    pooling: mean and standard deviation of each channel, either "global", over all
    frequencies and frames (2 * 8 channels values), or "frequency", over the frames
    at each frequency (2 * 8 channels * feat_dim / 8 values).
    """

    channels: int = 32
    blocks: list[int] = field(default_factory=lambda: [3, 4, 6, 3])
    pooling: Literal["global", "frequency"] = "global"
    embed_dim: int = 256

    def __post_init__(self):
        if not 1 <= self.channels <= MAX_CHANNELS:
            raise ValueError(f"channels is from 1 to {MAX_CHANNELS}")
        if len(self.blocks) != NUM_STAGES or not (
            1 <= min(self.blocks) <= max(self.blocks) <= MAX_BLOCKS
        ):
            raise ValueError(
                f"blocks is {NUM_STAGES} numbers from 1 to {MAX_BLOCKS}, such as "
                "[3, 4, 6, 3]"
            )
        if not 1 <= self.embed_dim <= MAX_EMBED_DIM:
            raise ValueError(f"embed_dim is from 1 to {MAX_EMBED_DIM}")


def zero_padding(x, padding):
    """Set the frames of `(B, C, F, T)` that `padding` `(B, 1, 1, T)` marks to zero.

    That is what a convolution finds beyond the end of an utterance that stands
    alone. None marks nothing.
    """
    return x if padding is None else x.masked_fill(padding, 0.0)


def convolution(in_channels: int, out_channels: int, size: int, stride: int = 1):
    """A convolution without bias; its output has ceil(1 / stride) of the size."""
    return nn.Conv2d(
        in_channels, out_channels, size, stride, padding=size // 2, bias=False
    )


class BasicBlock(nn.Module):
    """Two 3x3 convolutions and a shortcut: `(B, C, F, T)` -> `(B, D, F', T')`.

    A stride halves F and T, rounded up. padding, `(B, 1, 1, T')` or None, is that
    of the output; the input is zero in its own padding, and so is the output.
    """

    def __init__(self, in_channels: int, out_channels: int, stride: int):
        super().__init__()
        self.conv1 = convolution(in_channels, out_channels, 3, stride)
        self.bn1 = nn.BatchNorm2d(out_channels)
        self.conv2 = convolution(out_channels, out_channels, 3)
        self.bn2 = nn.BatchNorm2d(out_channels)
        self.shortcut = nn.Identity()
        if stride != 1 or in_channels != out_channels:
            self.shortcut = nn.Sequential(
                convolution(in_channels, out_channels, 1, stride),
                nn.BatchNorm2d(out_channels),
            )

    def forward(self, x, padding=None):
        y = zero_padding(self.bn1(self.conv1(x)).relu(), padding)
        y = self.bn2(self.conv2(y)) + self.shortcut(x)
        return zero_padding(y.relu(), padding)


class ResNet(nn.Module):
    """Features `(B, T, F)`, lengths `(B,)` or None -> embeddings `(B, D)`.

    An utterance gives the same embedding whatever is batched with it or padded
    behind it. In training mode BatchNorm would count the padding: train on chunks
    of one length, with lengths None.
    """

    min_frames = SUBSAMPLING + 1  # two are left for a standard deviation

    def __init__(self, config: ResNetConfig, feat_dim: int):
        super().__init__()
        self.embed_dim = config.embed_dim
        self.pooling = config.pooling
        self.conv1 = convolution(1, config.channels, 3)
        self.bn1 = nn.BatchNorm2d(config.channels)
        widths = [config.channels * 2**n for n in range(NUM_STAGES)]
        self.layer1 = make_stage(config.channels, widths[0], config.blocks[0], 1)
        self.layer2 = make_stage(widths[0], widths[1], config.blocks[1], 2)
        self.layer3 = make_stage(widths[1], widths[2], config.blocks[2], 2)
        self.layer4 = make_stage(widths[2], widths[3], config.blocks[3], 2)
        pooled_dim = 2 * widths[3]
        if config.pooling == "frequency":
            pooled_dim *= -(-feat_dim // SUBSAMPLING)
        self.embedding = nn.Linear(pooled_dim, config.embed_dim)
        for module in self.modules():
            if isinstance(module, nn.Conv2d):
                nn.init.kaiming_normal_(
                    module.weight, mode="fan_out", nonlinearity="relu"
                )

    def feature_map(self, features, lengths=None):
        """The last stage's output `(B, C, F / 8, T / 8)`, rounded up; lengths `(B,)`.

        The map is zero behind the lengths, which count its own frames; they are
        None where they were None.
        """
        # Frequency comes first, as in images: a kernel's rows are frequencies.
        x = features.transpose(1, 2)[:, None].contiguous()
        padding = None
        if lengths is not None:
            frames = torch.arange(x.shape[3], device=x.device)
            padding = (frames >= lengths[:, None])[:, None, None]
            lengths = (lengths + SUBSAMPLING - 1) // SUBSAMPLING
        x = self.bn1(self.conv1(zero_padding(x, padding)))
        x = zero_padding(x.relu(), padding)
        for stage in (self.layer1, self.layer2, self.layer3, self.layer4):
            if stage is not self.layer1 and padding is not None:
                padding = padding[..., ::2]
            for block in stage:
                x = block(x, padding)
        return x, lengths

    def forward(self, features, lengths=None):
        x, lengths = self.feature_map(features, lengths)
        pooled = map_statistics(x, lengths, self.pooling == "frequency")
        return self.embedding(pooled)


def make_stage(in_channels: int, out_channels: int, num_blocks: int, stride: int):
    """The blocks of one stage; the first of them has the stride."""
    blocks = [BasicBlock(in_channels, out_channels, stride)]
    for _ in range(num_blocks - 1):
        blocks.append(BasicBlock(out_channels, out_channels, 1))
    return nn.ModuleList(blocks)

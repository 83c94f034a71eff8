"""The x-vector network of Snyder et al., "X-vectors" (ICASSP 2018), as in Kaldi."""

from dataclasses import dataclass

import torch
from torch import nn

from chronovox.models.pooling import statistics_pooling

# Frames that each layer looks at, relative to its own: (number, distance).
CONTEXTS = ((5, 1), (3, 2), (3, 3), (1, 1), (1, 1))
NORM_EPSILON = 1e-3  # Kaldi's
MAX_SIZE = 2**16  # of a layer: more fits into no memory


@dataclass(frozen=True)
class XVectorConfig:
    """width: outputs of the first four layers; pool_dim: of the fifth, pooled."""

    width: int = 512
    pool_dim: int = 1500
    embed_dim: int = 512

    def __post_init__(self):
        sizes = (self.width, self.pool_dim, self.embed_dim)
        if not 1 <= min(sizes) <= max(sizes) <= MAX_SIZE:
            raise ValueError(f"width, pool_dim and embed_dim are from 1 to {MAX_SIZE}")


class FrameLayer(nn.Module):
    """Affine over spliced frames -> ReLU -> BatchNorm: `(B, T, C)` -> `(B, T', D)`.

    Frames are spliced only where all of them exist, so padding behind an utterance
    reaches none of the outputs before it. As in Kaldi the norm has no scale of its
    own: the affine of the next layer takes that part.
    """

    def __init__(self, in_dim: int, out_dim: int, num_frames: int, distance: int):
        super().__init__()
        self.offsets = range(0, num_frames * distance, distance)
        self.affine = nn.Linear(num_frames * in_dim, out_dim)
        self.norm = nn.BatchNorm1d(out_dim, eps=NORM_EPSILON, affine=False)

    def forward(self, x):
        length = x.shape[1] - self.offsets[-1]
        spliced = [x[:, offset : offset + length] for offset in self.offsets]
        x = self.affine(torch.cat(spliced, dim=2)).relu()
        return self.norm(x.flatten(0, 1)).view(x.shape)


class XVector(nn.Module):
    """Features `(B, T, F)`, lengths `(B,)` or None -> embeddings `(B, D)`.

    The embedding is the affine output of Kaldi's `tdnn6` (segment6). An utterance
    gives the same embedding whatever is batched with it or padded behind it.
    """

    min_frames = 1 + sum((number - 1) * distance for number, distance in CONTEXTS)

    def __init__(self, config: XVectorConfig, feat_dim: int):
        super().__init__()
        self.embed_dim = config.embed_dim
        widths = [feat_dim, *[config.width] * 4, config.pool_dim]
        self.frames = nn.Sequential(
            *(
                FrameLayer(widths[n], widths[n + 1], number, distance)
                for n, (number, distance) in enumerate(CONTEXTS)
            )
        )
        self.segment6 = nn.Linear(2 * config.pool_dim, config.embed_dim)

    def forward(self, features, lengths=None):
        x = self.frames(features)
        if lengths is not None:
            lengths = lengths - (self.min_frames - 1)
        return self.segment6(statistics_pooling(x, lengths))

"""The layers between embedding and loss; they are not part of the finished network."""

import math

import torch
from torch import nn
from torch.nn import functional

from chronovox.training.settings import LossConfig


def angular_margin_logits(cosine, labels, margin: float, scale: float):
    """Cosines `(B, S)` -> logits `(B, S)` whose target angle is `margin` larger.

    The additive angular margin of Deng et al., "ArcFace" (arXiv 1801.07698),
    without "easy margin": where angle + margin would pass pi, the target falls on
    linearly, cos(angle) - margin sin(margin), so that it stays monotonic.
    """
    target = cosine.gather(1, labels[:, None])
    sine = (1.0 - target.square()).clamp(min=1e-7).sqrt()
    moved = target * math.cos(margin) - sine * math.sin(margin)
    behind = target - margin * math.sin(margin)
    moved = torch.where(target > math.cos(math.pi - margin), moved, behind)
    return scale * cosine.scatter(1, labels[:, None], moved)


class AngularMarginHead(nn.Module):
    """AAM-softmax on the embedding itself: embeddings `(B, D)`, labels `(B,)`."""

    def __init__(self, config: LossConfig, embed_dim: int, num_spk: int):
        super().__init__()
        self.scale = config.scale
        self.weight = nn.Parameter(torch.empty(num_spk, embed_dim))
        nn.init.xavier_normal_(self.weight)

    def forward(self, embeddings, labels, margin: float):
        """The loss and the share of embeddings nearest to their own speaker."""
        cosine = functional.linear(
            functional.normalize(embeddings.float()),
            functional.normalize(self.weight),
        )
        logits = angular_margin_logits(cosine, labels, margin, self.scale)
        return functional.cross_entropy(logits, labels), accuracy(cosine, labels)


class SoftmaxHead(nn.Module):
    """Kaldi's end of the x-vector network: segment6's ReLU and norm, segment7, softmax.

    Embeddings `(B, D)`, labels `(B,)`; the margin is not used.
    """

    def __init__(self, config: LossConfig, embed_dim: int, num_spk: int):
        super().__init__()
        self.layers = nn.Sequential(
            nn.ReLU(),
            nn.BatchNorm1d(embed_dim, affine=False),
            nn.Linear(embed_dim, embed_dim),
            nn.ReLU(),
            nn.BatchNorm1d(embed_dim, affine=False),
            nn.Linear(embed_dim, num_spk),
        )

    def forward(self, embeddings, labels, margin: float):
        """The loss and the share of labels that are the most likely ones."""
        logits = self.layers(embeddings.float())
        return functional.cross_entropy(logits, labels), accuracy(logits, labels)


def accuracy(logits, labels):
    return (logits.argmax(dim=1) == labels).float().mean()


HEADS = {"aam": AngularMarginHead, "softmax": SoftmaxHead}

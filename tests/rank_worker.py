"""One process of tests/test_ranks.py: torchrun starts it; it leaves what it saw.

Usage: rank_worker.py gradient|train CONFIG DATA EXP
"""

import sys
from pathlib import Path

import torch
from training_data import FEATURES

from chronovox import models
from chronovox.training import loop, settings
from chronovox.training.checkpoint import Checkpoints
from chronovox.training.data import BatchPlan, TrainingSet, collate
from chronovox.training.loss import HEADS
from chronovox.training.ranks import joined


class NoDevelopment:
    def eer(self, network) -> float:
        return 0.0


class Noting(TrainingSet):
    """Keeps the samples that were asked for."""

    def __getitem__(self, sample):
        taken.append(tuple(sample))
        return super().__getitem__(sample)


def gradient(config, train_set, ranks) -> dict:
    """The gradient of the first batch: BatchNorm in evaluation mode, fp32."""
    torch.manual_seed(1)
    network = models.build(config.model, train_set.feat_dim).eval()
    head = HEADS[config.loss.type](
        config.loss, network.embed_dim, len(train_set.speakers)
    )
    model = ranks.wrap(loop.Classifier(network, head, config.precision))
    batch = ranks.share(BatchPlan(len(train_set), config).batch(0))
    features, labels = collate([train_set[sample] for sample in batch])
    loop.backward(model, features, labels, 0.1, config.batch_size, ranks)
    parameters = [*network.named_parameters(), *head.named_parameters()]
    return {name: value.grad for name, value in parameters}


def train(config, train_set, exp: Path, ranks) -> dict:
    """The weights at the end of a training."""
    network = loop.train(
        config, train_set, NoDevelopment(), Checkpoints(exp / "checkpoints"), "same",
        torch.device("cpu"), ranks=ranks,
    )  # fmt: skip
    return network.state_dict()


what, path, data, exp = sys.argv[1], *map(Path, sys.argv[2:])
taken: list[tuple] = []
torch.set_num_threads(1)
with joined(torch.device("cpu")) as (ranks, device):
    config = settings.load(path)
    train_set = Noting(data, config, FEATURES)
    if what == "gradient":
        tensors = gradient(config, train_set, ranks)
    else:
        tensors = train(config, train_set, exp, ranks)
    torch.save({"tensors": tensors, "taken": taken}, exp / f"{what}.{ranks.rank}.pt")

"""Trainings that are timed: utterances a second, from the lines of their log."""

import dataclasses
import logging
import re
import statistics
import tempfile
import time

import torch

from chronovox import cli, models
from chronovox.training import loop
from chronovox.training.checkpoint import Checkpoints
from chronovox.training.data import BatchPlan, TrainingSet
from chronovox.training.loss import HEADS
from chronovox.training.settings import TrainingConfig

WARM_UP = 3
NEVER = 10**9


class Collect(logging.Handler):
    """Keeps the lines of the log."""

    def __init__(self):
        super().__init__()
        self.lines: list[str] = []

    def emit(self, record) -> None:
        self.lines.append(record.getMessage())


class NoDevelopment:
    """In the place of development trials, which are not timed."""

    def eer(self, network) -> float:
        return 0.0


def for_timing(config: TrainingConfig, num_steps: int) -> TrainingConfig:
    """The settings of a short training that does nothing but train."""
    return dataclasses.replace(
        config, num_steps=WARM_UP + num_steps, log_every=WARM_UP,
        evaluate_every=NEVER, checkpoint_every=NEVER,
    )  # fmt: skip


def rates_of(lines: list[str]) -> tuple[float, float]:
    """Medians of utterances a second and of the wait for data in percent."""
    pattern = r"([\d.]+) utts/s, waited for data ([\d.]+) %"
    rows = re.findall(pattern, "\n".join(lines))[1:]
    speeds, waits = zip(*rows, strict=True)
    return statistics.median(map(float, speeds)), statistics.median(map(float, waits))


def ours(
    config: TrainingConfig, train_set: TrainingSet, device, num_workers: int = 0
) -> tuple[float, float]:
    """Utterances a second and percent of waiting of the project's training."""
    collected = Collect()
    cli.log.addHandler(collected)
    cli.log.setLevel("INFO")
    with tempfile.TemporaryDirectory() as folder:
        loop.train(
            config, train_set, NoDevelopment(), Checkpoints(folder), "", device,
            num_workers,
        )  # fmt: skip
    cli.log.removeHandler(collected)
    return rates_of(collected.lines)


def bare(config: TrainingConfig, train_set: TrainingSet, device) -> float:
    """Utterances a second of nothing but torch: the same network, batches in memory."""
    network = models.build(config.model, train_set.feat_dim).to(device)
    head = HEADS[config.loss.type](
        config.loss, network.embed_dim, len(train_set.speakers)
    ).to(device)
    optimizer = loop.make_optimizer(config.optimizer, network, head)
    plan = BatchPlan(len(train_set), config)
    labels = torch.zeros(config.batch_size, dtype=torch.long, device=device)
    times = []
    for step in range(config.num_steps):
        num_frames = plan.batch(step)[0].num_frames
        shape = config.batch_size, num_frames, train_set.feat_dim
        features = torch.randn(shape, device=device)
        _wait(device)
        begin = time.perf_counter()
        with torch.autocast(device.type, torch.bfloat16, config.precision == "bf16"):
            embeddings = network(features)
        loss, _ = head(embeddings, labels, 0.2)
        optimizer.zero_grad()
        loss.backward()
        parameters = [*network.parameters(), *head.parameters()]
        torch.nn.utils.clip_grad_norm_(parameters, 5.0)
        optimizer.step()
        _wait(device)
        times.append(time.perf_counter() - begin)
    # Over as many steps as a line of our log, whose lengths are the same.
    groups = [sum(times[n : n + WARM_UP]) for n in range(WARM_UP, len(times), WARM_UP)]
    return config.batch_size * WARM_UP / statistics.median(groups)


def _wait(device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize()

"""Training of a network that takes the ages of faces for classes, as DEX does.

Rothe, Timofte and Van Gool, "Deep expectation of real and apparent age from a single
image without facial landmarks" (IJCV 2018).
"""

import dataclasses
from dataclasses import dataclass, field
from pathlib import Path
from typing import NamedTuple

import numpy as np
import torch
from torch import nn

from chronovox import config, models
from chronovox.checkpoints.filling import fill
from chronovox.cli import UserError, log
from chronovox.coverage import list_dropped
from chronovox.datadir import parse_float, read_lines
from chronovox.faces import ages
from chronovox.faces.ages import CropConfig, FaceAgeConfig
from chronovox.models.vgg16 import NUM_AGES
from chronovox.training import schedule
from chronovox.training.checkpoint import Checkpoints
from chronovox.training.loop import make_optimizer, read_batches, resume, state_of
from chronovox.training.ranks import ALONE
from chronovox.training.settings import MAX_BATCH, OptimizerConfig, ScheduleConfig

_ORDER, _CHANGE = range(2)  # streams of random numbers


@dataclass(frozen=True)
class FaceTrainingConfig:
    """conf/face_age.yaml: network and crop as in conf/dex.yaml.

    weights: a file to begin from, or none to begin at random. What changes a face in
    training: flip, half of the faces are mirrored; shift, up to that part of its width
    and height, its outermost pixels repeated; gain, up to that part lighter or darker.
    """

    network: dict
    weights: str | None = None
    crop: CropConfig | None = None
    flip: bool = True
    shift: float = 0.05
    gain: float = 0.2
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    batch_size: int = 32
    num_steps: int = 1000
    log_every: int = 100
    checkpoint_every: int = 500
    seed: int = 1

    def __post_init__(self):
        for name in ("num_steps", "log_every", "checkpoint_every"):
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is from 1 on")
        if not 2 <= self.batch_size <= MAX_BATCH:
            raise ValueError(f"batch_size is from 2, for BatchNorm, to {MAX_BATCH}")
        if not 0 <= self.shift <= 0.5 or not 0 <= self.gain < 1:
            raise ValueError("shift is from 0 to 0.5, gain from 0 to below 1")
        if not 0 <= self.seed < 2**31:
            raise ValueError("seed is from 0 to 2^31 - 1")


class Portrait(NamedTuple):
    """A picture and the age of the face in it, in years."""

    path: str
    age: float


def read_portraits(path) -> tuple[list[Portrait], dict[str, str]]:
    """The lines `<path> <age>` of a list, and path -> why it is left out.

    The path may hold blanks. Left out are ages that are not from 0 to 100, which
    IMDB-WIKI has many of. Raises UserError for other lines and a path named twice.
    """
    portraits, dropped = [], {}
    seen = set()
    for number, line in enumerate(read_lines(path), 1):
        picture, _, text = line.strip().rpartition(" ")
        where = f"{path}:{number}"
        if not picture:
            raise UserError(f"{where}: expected `<path> <age>`, got '{line}'")
        if picture in seen:
            raise UserError(f"{where}: '{picture}' is there twice: keep one line")
        seen.add(picture)
        age = parse_float(text, where)
        if 0 <= age <= NUM_AGES - 1:
            portraits.append(Portrait(picture, age))
        else:
            dropped[picture] = f"an age of {text} years: 0 to {NUM_AGES - 1} are known"
    return portraits, dropped


class FaceSet(torch.utils.data.Dataset):
    """Faces changed at random, and the classes of their ages.

    A sample is (epoch, number); its change follows from seed, epoch and number alone.
    """

    def __init__(self, portraits: list[Portrait], settings: FaceTrainingConfig, read):
        self._portraits, self._settings, self._read = portraits, settings, read

    def __len__(self):
        return len(self._portraits)

    def __getitem__(self, sample: tuple[int, int]) -> tuple[np.ndarray, int]:
        """The face `(3, S, S)` float32, BGR from 0 to 255, and its class."""
        epoch, number = sample
        portrait = self._portraits[number]
        rng = np.random.default_rng([self._settings.seed, _CHANGE, epoch, number])
        face = changed(self._read(portrait.path), self._settings, rng)
        return face.transpose(2, 0, 1).astype(np.float32), round(portrait.age)

    def batch(self, step: int) -> list[tuple[int, int]]:
        """The samples of step 0, 1, ...: one shuffled epoch after the other."""
        size, count = self._settings.batch_size, len(self)
        places = [
            divmod(place, count) for place in range(step * size, (step + 1) * size)
        ]
        order = {epoch: self._order(epoch) for epoch, _ in places}
        return [(epoch, int(order[epoch][place])) for epoch, place in places]

    def _order(self, epoch: int) -> np.ndarray:
        rng = np.random.default_rng([self._settings.seed, _ORDER, epoch])
        return rng.permutation(len(self))

    def being_read(self) -> list[str]:
        """What `loop.reading` names if a process that reads dies: not known."""
        return []


def changed(face: np.ndarray, settings: FaceTrainingConfig, rng) -> np.ndarray:
    """A face `(S, S, 3)` mirrored, shifted and made lighter or darker by chance."""
    size = len(face)
    mirror = settings.flip and rng.random() < 0.5
    rows, columns = (
        np.clip(np.arange(size) + round(size * offset), 0, size - 1)
        for offset in rng.uniform(-settings.shift, settings.shift, 2)
    )
    gain = 1 + rng.uniform(-settings.gain, settings.gain)
    face = face[np.ix_(rows, columns[::-1] if mirror else columns)]
    return np.clip(face * gain, 0, 255)


def load_settings(path) -> FaceTrainingConfig:
    """Read settings with every default filled in. Raises UserError."""
    settings = config.load(path, FaceTrainingConfig)
    network = models.resolve(settings.network, f"{path}: network", ages.NETWORKS)
    return dataclasses.replace(settings, network=network)


def read_faces(
    list_path,
    settings: FaceTrainingConfig,
    size: int,
    dropped_path,
    max_fail_ratio: float,
) -> FaceSet:
    """The faces of a list that can be read, `size` pixels wide.

    The others are listed with the reason. Raises UserError if they are too many.
    """
    portraits, dropped = read_portraits(list_path)
    read = ages.face_reader(settings.crop, size)
    kept = []
    for portrait in portraits:
        try:
            read(portrait.path)
        except UserError as error:
            dropped[portrait.path] = str(error)
        else:
            kept.append(portrait)
    num_in = len(kept) + len(dropped)
    list_dropped(num_in, dropped, dropped_path, max_fail_ratio)
    if not kept:
        raise UserError(f"{list_path}: no pictures")
    return FaceSet(kept, settings, read)


def initial_network(settings: FaceTrainingConfig) -> nn.Module:
    """The network that training begins with. Raises UserError."""
    torch.manual_seed(settings.seed)
    network = ages.build(settings.network)
    if not network.has_posterior:
        raise UserError(f"network: {settings.network['type']} has no classes of ages")
    if settings.weights is not None:
        fill(network, settings.weights)
    return network


def train(
    network: nn.Module,
    faces: FaceSet,
    settings: FaceTrainingConfig,
    checkpoints: Checkpoints,
    fingerprint: str,
    device: torch.device,
    num_workers: int = 0,
) -> None:
    """Train `network` in place, from the newest checkpoint on if it has `fingerprint`.

    The loss is the cross-entropy of the classes. Raises UserError for a loss that is
    not finite; what `loop.reading` catches is raised as it is.
    """
    network.to(device).train()
    optimizer = make_optimizer(settings.optimizer, network)
    parts = {"network": network, "optimizer": optimizer}
    first_step = resume(parts, checkpoints, fingerprint, ALONE)
    plan = map(faces.batch, range(first_step, settings.num_steps))
    batches = read_batches(faces, plan, num_workers)
    losses, errors = [], []
    for step in range(first_step, settings.num_steps):
        images, labels = (part.to(device) for part in next(batches))
        lr = schedule.learning_rate(settings.schedule, step, settings.num_steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        torch.manual_seed(settings.seed * 2**32 + step)  # a step repeats by itself
        logits = network(images)
        loss = nn.functional.cross_entropy(logits, labels)
        optimizer.zero_grad()
        loss.backward()
        norm = nn.utils.clip_grad_norm_(
            network.parameters(), settings.optimizer.max_grad_norm
        )
        if not torch.isfinite(loss + norm):
            raise UserError(
                f"step {step + 1}: loss {loss.item():g}, gradient norm {norm:g}: lower "
                "schedule.peak_lr or lengthen schedule.warmup_steps"
            )
        optimizer.step()
        losses.append(loss.item())
        years = ages.expected_age(logits.detach().softmax(dim=1))
        errors.append((years - labels).abs().mean().item())
        done = step + 1
        if done % settings.log_every == 0 or done == settings.num_steps:
            log.info(
                "step %d of %d, loss %.3f, mean error of the faces in training %.1f "
                "years, lr %.2e", done, settings.num_steps, np.mean(losses),
                np.mean(errors), lr,
            )  # fmt: skip
            losses, errors = [], []
        if done % settings.checkpoint_every == 0 or done == settings.num_steps:
            checkpoints.save(done, state_of(parts, done, fingerprint))
    network.eval()


def settings_for_use(settings: FaceTrainingConfig, weights: Path) -> FaceAgeConfig:
    """The settings with which the trained network tells ages."""
    return FaceAgeConfig(str(weights), settings.network, settings.crop)

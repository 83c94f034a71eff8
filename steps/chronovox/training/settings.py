"""The settings of a training: conf/xvector_*.yaml, and EXP_M/config.yaml."""

import dataclasses
from dataclasses import dataclass, field
from typing import Literal

from chronovox import config, models
from chronovox.augment import AugmentConfig, MaskConfig
from chronovox.frontend import FrontendConfig

MAX_BATCH = 2**20


@dataclass(frozen=True)
class LossConfig:
    """type: softmax, or aam (additive angular margin, whose margin is in radians).

    The margin grows from 0 over the first margin_warmup_steps.
    """

    type: Literal["softmax", "aam"] = "aam"
    margin: float = 0.2
    scale: float = 32.0
    margin_warmup_steps: int = 0

    def __post_init__(self):
        if not 0 <= self.margin < 1.5 or self.scale <= 0:
            raise ValueError("margin is from 0 to 1.5 radians, scale above 0")
        if self.margin_warmup_steps < 0:
            raise ValueError("margin_warmup_steps is from 0 on")


@dataclass(frozen=True)
class OptimizerConfig:
    """momentum concerns sgd alone; weight_decay spares biases."""

    type: Literal["adamw", "sgd"] = "adamw"
    weight_decay: float = 0.0
    momentum: float = 0.9
    max_grad_norm: float = 5.0

    def __post_init__(self):
        if self.weight_decay < 0 or not 0 <= self.momentum < 1:
            raise ValueError("weight_decay is from 0 on, momentum from 0 to below 1")
        if self.max_grad_norm <= 0:
            raise ValueError("max_grad_norm must be above 0")


@dataclass(frozen=True)
class ScheduleConfig:
    """Learning rate by step: linear up to peak_lr, then decay to final_lr."""

    peak_lr: float = 1e-3
    final_lr: float = 1e-5
    warmup_steps: int = 0
    decay: Literal["exponential", "cosine"] = "exponential"

    def __post_init__(self):
        if not 0 < self.final_lr <= self.peak_lr or self.warmup_steps < 0:
            raise ValueError("0 < final_lr <= peak_lr, and warmup_steps is from 0 on")


@dataclass(frozen=True)
class TrainingConfig:
    """chunk_frames: shortest and longest piece of an utterance, in frames.

    One length is drawn for each batch. With `augment`, pieces come from the
    recordings and are changed, else from feats.scp. shuffle_arks: an epoch takes
    that many files (of wav.scp or feats.scp) at a time, drawn at random, and their
    samples in random order, so that packed arks are read one after the other; 0:
    all at once. log_every, evaluate_every
    (error rate on the development trials) and checkpoint_every count steps. The
    network is the mean of the last `average` checkpoints of this rhythm. bf16: the
    network's matrix products in bfloat16; on a CPU it must have them in hardware.
    """

    model: dict
    frontend: FrontendConfig = field(default_factory=FrontendConfig)
    augment: AugmentConfig | None = None
    mask: MaskConfig = field(default_factory=MaskConfig)
    loss: LossConfig = field(default_factory=LossConfig)
    optimizer: OptimizerConfig = field(default_factory=OptimizerConfig)
    schedule: ScheduleConfig = field(default_factory=ScheduleConfig)
    batch_size: int = 64
    chunk_frames: list[int] = field(default_factory=lambda: [200, 400])
    shuffle_arks: int = 0
    num_steps: int = 1000
    log_every: int = 50
    evaluate_every: int = 500
    checkpoint_every: int = 200
    average: int = 1
    precision: Literal["fp32", "bf16"] = "fp32"
    seed: int = 1

    def __post_init__(self):
        for name in (
            "num_steps", "log_every", "evaluate_every", "checkpoint_every", "average",
        ):  # fmt: skip
            if getattr(self, name) < 1:
                raise ValueError(f"{name} is from 1 on")
        if self.shuffle_arks < 0:
            raise ValueError("shuffle_arks is from 0 on")
        if not 0 <= self.seed < 2**31:
            raise ValueError("seed is from 0 to 2^31 - 1")
        if not 2 <= self.batch_size <= MAX_BATCH:
            raise ValueError(f"batch_size is from 2, for BatchNorm, to {MAX_BATCH}")
        if len(self.chunk_frames) != 2 or not (
            1 <= self.chunk_frames[0] <= self.chunk_frames[1]
        ):
            raise ValueError("chunk_frames is [shortest, longest]")


def load(path, **changes) -> TrainingConfig:
    """Read settings with every default filled in; `changes` that are not None, such
    as seed=2, replace what the file says.

    Raises UserError that names file and key.
    """
    settings = config.load(path, TrainingConfig)
    changes = {name: value for name, value in changes.items() if value is not None}
    changes["model"] = models.resolve(settings.model, f"{path}: model")
    return dataclasses.replace(settings, **changes)

"""Quantities that change with the step; each is a pure function of it."""

import math

from chronovox.training.settings import LossConfig, ScheduleConfig


def learning_rate(config: ScheduleConfig, step: int, num_steps: int) -> float:
    """The rate of step `step` = 0, 1, ..., num_steps - 1.

    It rises in equal parts to peak_lr, which step warmup_steps has, and falls to
    final_lr, which the last step has.
    """
    if step < config.warmup_steps:
        return config.peak_lr * (step + 1) / (config.warmup_steps + 1)
    length = num_steps - 1 - config.warmup_steps
    done = (step - config.warmup_steps) / length if length > 0 else 1.0
    if config.decay == "cosine":
        weight = 0.5 * (1 + math.cos(math.pi * done))
        return config.final_lr + (config.peak_lr - config.final_lr) * weight
    return config.peak_lr * (config.final_lr / config.peak_lr) ** done


def margin(config: LossConfig, step: int) -> float:
    """The angular margin of step `step`, in radians."""
    if step >= config.margin_warmup_steps:
        return config.margin
    return config.margin * step / config.margin_warmup_steps

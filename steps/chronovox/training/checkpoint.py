"""Checkpoints: written whole or not at all, read as data and never as code."""

import re
import sys
from pathlib import Path

import torch

from chronovox.checkpoints.pytorch import load_state
from chronovox.cli import UserError, log
from chronovox.files import atomic_write

NUM_KEPT = 2


def save_state(state: dict, path) -> None:
    """Write a state (nested dicts of tensors, numbers, strings) to `path`, on CPU.

    The same state gives the same bytes, wherever it came from.
    """
    with atomic_write(path, "wb", sync=True) as stream:
        torch.save(_plain(state), stream)


def _plain(value):
    """Plain containers, equal strings made one object: pickle writes those once."""
    if isinstance(value, dict):
        return {_plain(key): _plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [_plain(item) for item in value]
    if isinstance(value, str):
        return sys.intern(value)
    if isinstance(value, torch.Tensor):
        return value.detach().cpu().clone()
    return value


class Checkpoints:
    """The folder of `step_N.pt`: state after N steps.

    Kept are the newest two, and as many as `average` asks for of those after a
    multiple of `every` steps: a stop in between has no part in the average.
    """

    def __init__(self, folder, every: int = 1, average: int = 1):
        self._folder, self._every, self._average = Path(folder), every, average
        self._folder.mkdir(parents=True, exist_ok=True)

    def _steps(self) -> list[int]:
        names = (path.name for path in self._folder.iterdir())
        found = (re.fullmatch(r"step_(\d+)\.pt", name) for name in names)
        return sorted(int(match[1]) for match in found if match)

    def _path(self, step: int) -> Path:
        return self._folder / f"step_{step}.pt"

    def _averaged(self, steps: list[int]) -> list[int]:
        """The steps that the average is made of; the last one always is."""
        regular = [step for step in steps[:-1] if step % self._every == 0]
        return [*regular, *steps[-1:]][-self._average :]

    def newest(self) -> tuple[Path, dict] | None:
        """The newest checkpoint that can be read, if there is one; logs the others."""
        for step in reversed(self._steps()):
            try:
                return self._path(step), load_state(self._path(step))
            except UserError as error:
                log.warning("%s: taking the one before", error)
        return None

    def save(self, step: int, state: dict) -> None:
        """Write the state after `step` steps and remove those of no more use."""
        save_state(state, self._path(step))
        steps = self._steps()
        for old in set(steps) - {*steps[-NUM_KEPT:], *self._averaged(steps)}:
            self._path(old).unlink()

    def average(self, part: str) -> dict:
        """The mean of the states of `part` over the last checkpoints.

        Numbers that are no floats, such as counts, are those of the newest.
        """
        steps = self._averaged(self._steps())
        *others, mean = (load_state(self._path(step))[part] for step in steps)
        for name, value in mean.items():
            if others and value.is_floating_point():
                values = [state[name].double() for state in (*others, mean)]
                mean[name] = torch.stack(values).mean(dim=0).to(value.dtype)
        return mean

    def clear(self) -> None:
        """Remove all."""
        for path in self._folder.glob("*step_*.pt*"):
            path.unlink()

"""Checkpoints: written whole or not at all, read as data and never as code."""

import pickle
import re
import sys
import zipfile
from pathlib import Path

import torch

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


def load_state(path) -> dict:
    """Read what `save_state` wrote, onto the CPU. Raises UserError if damaged."""
    try:
        with zipfile.ZipFile(path) as archive:
            bad = archive.testzip()
        if bad is None:
            return torch.load(path, map_location="cpu", weights_only=True)
        reason = f"checksum of {bad}"
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except (
        zipfile.BadZipFile, pickle.UnpicklingError, RuntimeError, EOFError, ValueError,
        KeyError, NotImplementedError,
    ) as error:  # fmt: skip
        reason = str(error).strip().split("\n")[0] or type(error).__name__
    raise UserError(f"{path}: damaged ({reason}): remove it and run again")


class Checkpoints:
    """The folder of `step_N.pt`: state after N steps, the newest two kept."""

    def __init__(self, folder):
        self._folder = Path(folder)
        self._folder.mkdir(parents=True, exist_ok=True)

    def _paths(self) -> list[Path]:
        found = [
            (int(match[1]), path)
            for path in self._folder.iterdir()
            if (match := re.fullmatch(r"step_(\d+)\.pt", path.name))
        ]
        return [path for _, path in sorted(found)]

    def newest(self) -> tuple[Path, dict] | None:
        """The newest checkpoint that can be read, if there is one; logs the others."""
        for path in reversed(self._paths()):
            try:
                return path, load_state(path)
            except UserError as error:
                log.warning("%s: taking the one before", error)
        return None

    def save(self, step: int, state: dict) -> None:
        """Write the state after `step` steps and remove the oldest."""
        save_state(state, self._folder / f"step_{step}.pt")
        for path in self._paths()[:-NUM_KEPT]:
            path.unlink()

    def clear(self) -> None:
        """Remove all."""
        for path in self._folder.glob("*step_*.pt*"):
            path.unlink()

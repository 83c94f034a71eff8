"""PyTorch's .pt, read as tensors, numbers and text, and never as code."""

import pickle
import pickletools
import zipfile
from pathlib import Path

import torch

from chronovox.cli import UserError

MAX_TEXT = 1000  # of a name or a hash in a state


def _check_texts(content: bytes) -> None:
    """Raise ValueError for a pickle with a text so long that torch's errors hang."""
    for _, value, _ in pickletools.genops(content):
        if isinstance(value, str | bytes) and len(value) > MAX_TEXT:
            raise ValueError(f"a text of {len(value)} characters")


def load_state(path) -> dict:
    """A dict that `torch.save` wrote, its tensors on the CPU.

    Raises UserError if it is missing, damaged or holds anything that would run.
    """
    try:
        with zipfile.ZipFile(path) as archive:
            unpacked = sum(part.file_size for part in archive.infolist())
            if unpacked > Path(path).stat().st_size:  # torch packs nothing
                raise ValueError(f"it would unpack to {unpacked} bytes")
            if bad := archive.testzip():
                raise ValueError(f"checksum of {bad}")
            for name in archive.namelist():
                if name.endswith("data.pkl"):
                    _check_texts(archive.read(name))
        state = torch.load(path, map_location="cpu", weights_only=True)
        if not isinstance(state, dict):
            raise ValueError(f"a {type(state).__name__}, no state")
        return state
    except FileNotFoundError:
        raise UserError(f"{path}: no such file") from None
    except pickle.UnpicklingError:  # torch's own text proposes to run what is in it
        reason = "it holds more than tensors, numbers and text"
    except Exception as error:  # of any kind, where bytes are damaged
        reason = repr(str(error).strip().split("\n")[0])[1:-1] or type(error).__name__
    raise UserError(f"{path}: damaged ({reason}): remove it and run again")

"""Networks filled from weight files: every weight used once, none left over."""

from pathlib import Path

import numpy as np
import torch

from chronovox.checkpoints.caffe import read_caffemodel
from chronovox.checkpoints.keras import read_keras
from chronovox.checkpoints.pytorch import load_state
from chronovox.cli import UserError

_KERAS_TO_TORCH = {
    "kernel": "weight", "bias": "bias", "gamma": "weight", "beta": "bias",
    "moving_mean": "running_mean", "moving_variance": "running_var",
}  # fmt: skip
_KERNEL_AXES = {4: (3, 2, 0, 1), 2: (1, 0)}  # HWIO -> OIHW; (I, O) -> (O, I)
_COUNTER = "num_batches_tracked"  # of torch's BatchNorm alone, and only for training


def fill(network: torch.nn.Module, path) -> None:
    """Give a network the weights of a file, told by its suffix.

    .pt is a state dict with the network's own names; in a .caffemodel the layers are
    called like its modules, with `-` for `_`; for Keras's .h5 the network has the
    attribute `keras_layers`, {module: layer}. The network may be on the device `meta`:
    its memory becomes that of the weights. Raises UserError for another suffix, a bad
    file, and weights that are missing, left over, of another shape or not finite.
    """
    suffix = Path(path).suffix
    if suffix not in _READERS:
        raise UserError(
            f"{path}: weights are read from {', '.join(_READERS)}, not '{suffix}'"
        )
    if not Path(path).is_file():
        raise UserError(
            f"{path}: no such file: get the weights from those who publish them, or "
            "name yours (`weights` in the settings)"
        )
    expected = {
        name: tuple(value.shape)
        for name, value in network.state_dict().items()
        if not name.endswith(_COUNTER)
    }
    state = _READERS[suffix](network, path)
    state = {name: value for name, value in state.items() if not _is_counter(name)}
    _check_names(set(expected), set(state), path)
    for name, shape in expected.items():
        state[name] = _checked(state[name], shape, f"{path}: {name}")
    counters = set(network.state_dict()) - set(expected)
    state |= {name: torch.tensor(0) for name in counters}
    network.load_state_dict(state, assign=True)


def _is_counter(name) -> bool:
    return str(name).endswith(_COUNTER)


def _check_names(expected: set, found: set, path) -> None:
    for names, problem in (
        (expected - found, "are missing"),
        (found - expected, "are not in the network"),
    ):
        if names:
            first = min(map(str, names))
            raise UserError(
                f"{path}: weights of another network: {len(names)} {problem}, first "
                f"'{first[:80]}': name the network that the file was made for"
            )


def _checked(value, shape: tuple[int, ...], where: str) -> torch.Tensor:
    if not isinstance(value, torch.Tensor) or tuple(value.shape) != shape:
        found = tuple(value.shape) if isinstance(value, torch.Tensor) else value
        raise UserError(
            f"{where}: shape {shape} wanted, found {str(found)[:80]}: name the network "
            "that the file was made for"
        )
    value = value.to(torch.float32)
    if not value.isfinite().all():
        raise UserError(f"{where}: holds NaN or infinity: take another file")
    return value


def _caffe_state(network: torch.nn.Module, path) -> dict[str, torch.Tensor]:
    shapes = {name: value.shape for name, value in network.state_dict().items()}
    state = {}
    for layer, blobs in read_caffemodel(path).items():
        for number, blob in enumerate(blobs):
            kind = ("weight", "bias")[number] if number < 2 else f"blob {number}"
            name = f"{layer.replace('-', '_')}.{kind}"
            state[name] = _as_in_torch(blob, shapes.get(name, blob.shape))
    return state


def _as_in_torch(blob: np.ndarray, shape) -> torch.Tensor:
    """A blob, without the leading ones that V1 files have, if it has the shape then."""
    same = blob.shape[-len(shape) :] == tuple(shape) and blob.size == np.prod(shape)
    return torch.from_numpy(blob.reshape(shape) if same else blob)


def _keras_state(network: torch.nn.Module, path) -> dict[str, torch.Tensor]:
    layers = read_keras(path)
    layers_of = getattr(network, "keras_layers", {})
    module_of = {layer: module for module, layer in layers_of.items()}
    state = {}
    for layer, weights in layers.items():
        for weight, values in weights.items():
            if weight == "kernel" and values.ndim in _KERNEL_AXES:
                values = values.transpose(_KERNEL_AXES[values.ndim])
            name = (
                f"{module_of.get(layer, layer)}.{_KERAS_TO_TORCH.get(weight, weight)}"
            )
            state[name] = torch.from_numpy(np.ascontiguousarray(values))
    return state


_READERS = {
    ".caffemodel": _caffe_state,
    ".h5": _keras_state,
    ".pt": lambda network, path: load_state(path),
}

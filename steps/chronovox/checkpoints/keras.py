"""Keras's weights in HDF5, read without Keras: numbers alone, nothing runs."""

from pathlib import Path

import h5py
import numpy as np

from chronovox.cli import UserError

NORM_EPSILON = 1e-3  # that Keras's BatchNormalization has where none is said


class _Damaged(Exception):
    """What is wrong with the file."""


def read_keras(path) -> dict[str, dict[str, np.ndarray]]:
    """The float32 weights of every layer that has some: {layer: {weight: array}}.

    A weight such as `dense_1/kernel:0` is called `kernel`. Kernels of convolutions are
    `(H, W, I, O)`, those of dense layers `(I, O)`. Files of `save_weights` are read,
    and of `save`, where the weights are in the group `model_weights`. Raises UserError
    for a file that is missing, damaged or of something else.
    """
    if not Path(path).is_file():
        raise UserError(f"{path}: no such file")
    try:
        with h5py.File(path, "r") as file:
            root = file.get("model_weights", file)
            layers = {name: _layer(root[name]) for name in _names(root, "layer_names")}
        layers = {name: weights for name, weights in layers.items() if weights}
        if not layers:
            raise _Damaged("no layer with weights is in it")
    except Exception as error:  # h5py raises of any kind, where bytes are damaged
        reason = " ".join(str(error).split()) or type(error).__name__
        raise UserError(
            f"{path}: no whole file of Keras weights ({reason}): download it again"
        ) from None
    return layers


def _names(group, attribute: str) -> list[str]:
    """The names that an attribute lists."""
    if attribute not in group.attrs:
        raise _Damaged(f"{group.name} has no attribute {attribute}")
    names = [
        name.decode() if isinstance(name, bytes) else str(name)
        for name in np.asarray(group.attrs[attribute]).ravel()
    ]
    if len(set(names)) != len(names):
        raise _Damaged(f"{group.name}: a name is twice in {attribute}")
    return names


def _layer(group) -> dict[str, np.ndarray]:
    weights = {}
    for name in _names(group, "weight_names"):
        short = name.rpartition("/")[2].partition(":")[0]
        if short in weights:
            raise _Damaged(f"{group.name}: the weight {short} is there twice")
        weights[short] = _weight(group[name])
    return weights


def _weight(dataset) -> np.ndarray:
    """The values of a dataset. Raises _Damaged unless all of them lie in the file."""
    if dataset.dtype.kind != "f" or 0 in dataset.shape:
        raise _Damaged(f"{dataset.name}: {dataset.dtype} {dataset.shape}, no weights")
    # Storage elsewhere (external, virtual) counts nothing here, nor does what is left
    # out; packed, a small file could ask for all the memory. Keras does none of these.
    if dataset.id.get_storage_size() != dataset.nbytes or dataset.external:
        raise _Damaged(
            f"{dataset.name}: its values are not all in the file as they are"
        )
    with np.errstate(over="ignore"):
        values = dataset[()].astype(np.float32)
    if not np.isfinite(values).all():
        raise _Damaged(f"{dataset.name} holds NaN or infinity")
    return values

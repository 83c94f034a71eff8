"""Keras's weights in HDF5, read without Keras: numbers alone, nothing runs.

The HDF5 library crashes, or never returns, on some damaged files. So it reads in a
process of its own, which this module is when it is run.
"""

import io
import os
import resource
import subprocess
import sys
from pathlib import Path

import h5py
import numpy as np

from chronovox.cli import UserError

TIME_LIMIT_S = 60
MEMORY_LIMIT = 2**31  # bytes, beyond twice the size of the file


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
        done = subprocess.run(
            [sys.executable, "-P", "-m", __name__, str(Path(path).resolve())],
            capture_output=True, check=False, timeout=TIME_LIMIT_S,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )  # fmt: skip
        reason = done.stderr.decode(errors="replace").strip() or "HDF5 crashes"
    except subprocess.TimeoutExpired:
        done, reason = None, f"HDF5 does not end within {TIME_LIMIT_S} s"
    if done is None or done.returncode != 0:
        raise UserError(
            f"{path}: no whole file of Keras weights ({reason.splitlines()[-1]}): "
            "download it again"
        )
    layers: dict[str, dict[str, np.ndarray]] = {}
    with np.load(io.BytesIO(done.stdout), allow_pickle=False) as arrays:
        for name in arrays.files:
            layer, _, weight = name.rpartition("/")
            layers.setdefault(layer, {})[weight] = arrays[name]
    return layers


class _Damaged(Exception):
    """What is wrong with the file."""


def _read(path: str) -> dict[str, np.ndarray]:
    """`<layer>/<weight>` -> values; any exception may come from a damaged file."""
    weights = {}
    with h5py.File(path, "r") as file:
        root = file.get("model_weights", file)
        for layer in _names(root, "layer_names"):
            for name in _names(root[layer], "weight_names"):
                short = f"{layer}/{name.rpartition('/')[2].partition(':')[0]}"
                if short in weights:
                    raise _Damaged(f"{short} is there twice")
                weights[short] = _values(root[layer][name])
    if not weights:
        raise _Damaged("no layer with weights is in it")
    return weights


def _names(group, attribute: str) -> list[str]:
    """The names that an attribute lists."""
    if attribute not in group.attrs:
        raise _Damaged(f"{group.name} has no attribute {attribute}")
    names = np.asarray(group.attrs[attribute]).ravel().tolist()
    return [name.decode() if isinstance(name, bytes) else str(name) for name in names]


def _values(dataset) -> np.ndarray:
    """The values of a dataset. Raises _Damaged unless all of them lie in the file."""
    if dataset.dtype.kind != "f" or 0 in dataset.shape:
        raise _Damaged(f"{dataset.name}: {dataset.dtype} {dataset.shape}, no weights")
    # Storage elsewhere (external, virtual) counts nothing here, nor does what is left
    # out; packed, a small file could ask for all the memory. Keras does none of these.
    if dataset.id.get_storage_size() != dataset.nbytes or dataset.external:
        raise _Damaged(f"{dataset.name}: its values are not all in the file")
    with np.errstate(over="ignore"):
        values = dataset[()].astype(np.float32)
    if not np.isfinite(values).all():
        raise _Damaged(f"{dataset.name} holds NaN or infinity")
    return values


def main(path: str) -> None:
    """Write the weights to standard output, as numpy's .npz, or say what is wrong."""
    limit = 2 * Path(path).stat().st_size + MEMORY_LIMIT
    resource.setrlimit(resource.RLIMIT_AS, (limit, limit))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    try:
        weights = _read(path)
    except Exception as error:  # h5py raises of any kind, where bytes are damaged
        sys.exit(" ".join(str(error).split()) or type(error).__name__)
    np.savez(sys.stdout.buffer, **weights)


if __name__ == "__main__":
    main(sys.argv[1])

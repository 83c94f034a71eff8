"""Weights as Keras writes them, and SSR-Net computed from them without PyTorch."""

from pathlib import Path

import h5py
import numpy as np

from chronovox.models.ssrnet import SSRNet, SSRNetConfig

_KINDS = {
    "weight": "kernel", "bias": "bias", "running_mean": "moving_mean",
    "running_var": "moving_variance",
}  # fmt: skip


def ssrnet_layers(config: SSRNetConfig, seed: int = 0) -> dict:
    """Random weights of SSR-Net in Keras's shapes: {layer: {weight: array}}."""
    rng = np.random.default_rng(seed)
    network = SSRNet(config)
    layers: dict[str, dict[str, np.ndarray]] = {}
    for name, value in network.state_dict().items():
        module, _, kind = name.rpartition(".")
        if kind == "num_batches_tracked":
            continue
        shape = {4: (2, 3, 1, 0), 2: (1, 0), 1: (0,)}[value.ndim]
        values = rng.normal(0, 0.3, [value.shape[axis] for axis in shape])
        layer = network.keras_layers[module]
        kind = _KINDS[kind]
        if layer.startswith("batch_normalization"):
            kind = {"kernel": "gamma", "bias": "beta"}.get(kind, kind)
        if kind in ("gamma", "moving_variance"):
            values = 1 + np.abs(values)
        layers.setdefault(layer, {})[kind] = values.astype(np.float32)
    return layers


def write_keras(path, layers: dict, root: str = "/", **changes) -> Path:
    """changes: attributes of the root that are to be others."""
    with h5py.File(path, "w") as file:
        group = file.require_group(root)
        names = ["input_1", *layers]
        group.attrs["layer_names"] = [name.encode() for name in names]
        group.create_group("input_1").attrs["weight_names"] = np.zeros(0, "S1")
        for layer, weights in layers.items():
            inner = group.create_group(layer)
            inner.attrs["weight_names"] = [f"{layer}/{w}:0".encode() for w in weights]
            for weight, values in weights.items():
                inner[f"{layer}/{weight}:0"] = values
        group.attrs.update(changes)
    return Path(path)


def ssrnet(path, images: np.ndarray) -> np.ndarray:
    """Ages of faces `(B, 64, 64, 3)` by the formulas of the paper, in float64.

    Reads the published layers by their names; pictures stay channels-last.
    """
    with h5py.File(path) as file:
        return _ages(file, images.astype(np.float64))


def _weights(file, layer: str, *kinds: str) -> list[np.ndarray]:
    return [file[f"{layer}/{layer}/{kind}:0"][()].astype(np.float64) for kind in kinds]


def _conv(file, layer: str, x):
    kernel, bias = _weights(file, layer, "kernel", "bias")
    windows = np.lib.stride_tricks.sliding_window_view(x, kernel.shape[:2], (1, 2))
    return np.einsum("bijchw,hwco->bijo", windows, kernel, optimize=True) + bias


def _norm(file, layer: str, x):
    gamma, beta, mean, variance = _weights(
        file, layer, "gamma", "beta", "moving_mean", "moving_variance"
    )
    return gamma * (x - mean) / np.sqrt(variance + 1e-3) + beta


def _dense(file, layer: str, x):
    kernel, bias = _weights(file, layer, "kernel", "bias")
    return x @ kernel + bias


def _pool(reduce, x, size: int):
    count = x.shape[1] // size
    x = x[:, : count * size, : count * size]
    return reduce(x.reshape(len(x), count, size, count, size, -1), axis=(2, 4))


def _relu(x):
    return np.maximum(x, 0)


def _ages(file, images):
    streams = []
    for first, activation, reduce in ((5, np.tanh, np.max), (1, _relu, np.mean)):
        x, levels = images, []
        for n in range(first, first + 4):
            x = _norm(file, f"batch_normalization_{n}", _conv(file, f"conv2d_{n}", x))
            x = activation(x)
            x = x if n == first + 3 else _pool(reduce, x, 2)
            levels.append(x)
        streams.append((levels, reduce))
    age, width = np.zeros(len(images)), np.ones(len(images))
    for stage, (level, size) in enumerate(((3, 1), (1, 4), (0, 8))):
        features = []
        for n, (levels, reduce) in enumerate(streams):
            x = _relu(_conv(file, f"conv2d_{9 + 2 * stage + n}", levels[level]))
            features.append(_pool(reduce, x, size).reshape(len(x), -1))
        mixed = [
            _relu(_dense(file, f"dense_{3 * stage + n + 1}", x))
            for n, x in enumerate(features)
        ]
        joined = _relu(_dense(file, f"dense_{3 * stage + 3}", mixed[0] * mixed[1]))
        p = _relu(_dense(file, f"pred_age_stage{stage + 1}", joined))
        eta = np.tanh(_dense(file, f"local_delta_stage{stage + 1}", joined))
        delta = np.tanh(_dense(file, f"delta_s{stage + 1}", features[0] * features[1]))
        width = width * p.shape[1] * (1 + delta[:, 0])
        age = age + (p * (np.arange(p.shape[1]) + eta)).sum(axis=1) / width
    return 101 * age

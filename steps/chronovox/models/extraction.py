"""Embeddings of whole utterances, in batches of like lengths."""

import os

import numpy as np
import torch

from chronovox.cli import UserError
from chronovox.frontend import FrameTable


def choose_device(name: str) -> torch.device:
    """`auto`, `cpu` or `cuda` -> the device, set to repeat its results exactly.

    Raises UserError if there is no GPU but cuda was asked for.
    """
    has_gpu = torch.cuda.is_available()
    if name == "cuda" and not has_gpu:
        raise UserError("--device cuda: torch finds no GPU: use --device cpu")
    os.environ.setdefault("CUBLAS_WORKSPACE_CONFIG", ":4096:8")
    torch.use_deterministic_algorithms(True, warn_only=True)
    torch.backends.cudnn.allow_tf32 = False
    torch.backends.cuda.matmul.allow_tf32 = False
    return torch.device("cuda" if has_gpu and name != "cpu" else "cpu")


def length_batches(num_frames: dict[str, int], batch_frames: int) -> list[list[str]]:
    """Group utterances of like lengths; padded, a group has at most `batch_frames`.

    An utterance that is longer stands alone. Depends on keys and lengths only.
    """
    batches: list[list[str]] = []
    for utt in sorted(num_frames, key=lambda utt: (num_frames[utt], utt)):
        if batches and (len(batches[-1]) + 1) * num_frames[utt] <= batch_frames:
            batches[-1].append(utt)
        else:
            batches.append([utt])
    return batches


def pad(matrices: list[np.ndarray]) -> tuple[torch.Tensor, torch.Tensor]:
    """Matrices `(T_b, F)` -> features `(B, T, F)` with zeros behind, lengths `(B,)`."""
    lengths = torch.tensor([len(matrix) for matrix in matrices])
    features = torch.zeros(len(matrices), int(lengths.max()), matrices[0].shape[1])
    for row, matrix in zip(features, matrices, strict=True):
        row[: len(matrix)] = torch.from_numpy(matrix)
    return features, lengths


def embed(network, frames: FrameTable, rows, batch_frames: int) -> dict:
    """Utterance -> embedding `(D,)` float32, of `rows`, on the network's device.

    The network must be in evaluation mode, and each utterance must have its
    `min_frames`. batch_frames: what bounds the memory, padding included.
    Raises UserError for features of another dimension than the network's.
    """
    device = next(network.parameters()).device
    vectors = {}
    with torch.inference_mode():
        row = {frames.utts[number]: number for number in rows}
        num_frames = {utt: int(frames.num_frames[n]) for utt, n in row.items()}
        for batch in length_batches(num_frames, batch_frames):
            features, lengths = pad([frames.read(row[utt]) for utt in batch])
            output = network(features.to(device), lengths.to(device))
            vectors.update(zip(batch, output.cpu().numpy(), strict=True))
    return vectors

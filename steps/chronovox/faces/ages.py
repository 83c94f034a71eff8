"""The age of a face by a network: conf/dex.yaml, conf/ssrnet.yaml.

DEX takes ages for classes and their expectation for the estimate: Rothe, Timofte and
Van Gool, "Deep expectation of real and apparent age from a single image without
facial landmarks" (IJCV 2018).
"""

import dataclasses
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import NamedTuple

import numpy as np
import torch

from chronovox import config, files, models
from chronovox.checkpoints.filling import fill
from chronovox.cli import UserError
from chronovox.faces import pictures
from chronovox.faces.detection import Detector
from chronovox.models.ssrnet import SSRNet, SSRNetConfig
from chronovox.models.vgg16 import VGG16, VGG16Config

NETWORKS = {"vgg16": (VGG16Config, VGG16), "ssrnet": (SSRNetConfig, SSRNet)}
MAX_AGE = 120.0  # years; what lies beyond is no age
MAX_BATCH = 2**16


@dataclass(frozen=True)
class CropConfig:
    """How the face is taken out of a picture.

    detector: YuNet's .onnx file; min_score: what counts as a face, from 0 to 1. The
    largest face is taken, with a margin on every side: a part of the box's width and
    height. align: turned upright and scaled by its landmarks, not by its box.
    """

    detector: str
    min_score: float = 0.6
    margin: float = 0.4
    align: bool = False

    def __post_init__(self):
        if not 0 < self.min_score < 1 or not 0 <= self.margin <= 2:
            raise ValueError("min_score is between 0 and 1, margin from 0 to 2")


@dataclass(frozen=True)
class FaceAgeConfig:
    """network: its type, vgg16 or ssrnet, and settings; weights: its file.

    crop: none where the pictures are faces cut out before. batch_size: faces at a time.
    """

    weights: str
    network: dict = field(default_factory=lambda: {"type": "vgg16"})
    crop: CropConfig | None = None
    batch_size: int = 32

    def __post_init__(self):
        if not 1 <= self.batch_size <= MAX_BATCH:
            raise ValueError(f"batch_size is from 1 to {MAX_BATCH}")


class Estimate(NamedTuple):
    """posterior: probabilities of the ages 0 to 100 `(101,)`, or None if not known."""

    years: float
    posterior: np.ndarray | None


def load_settings(path) -> FaceAgeConfig:
    """Read settings with every default filled in. Raises UserError."""
    settings = config.load(path, FaceAgeConfig)
    network = models.resolve(settings.network, f"{path}: network", NETWORKS)
    return dataclasses.replace(settings, network=network)


def fingerprint(settings) -> str:
    """The SHA-256 of settings and of the files that their weights and crop name."""
    named = [settings.weights, settings.crop and settings.crop.detector]
    return files.fingerprint(config.to_yaml(settings), filter(None, named))


def build(network: dict) -> torch.nn.Module:
    """The network that `{type: vgg16, ...}` describes. Raises UserError."""
    options = models.resolve(network, "network", NETWORKS)
    settings_class, network_class = NETWORKS[options.pop("type")]
    return network_class(settings_class(**options))


def load_network(settings: FaceAgeConfig) -> torch.nn.Module:
    """The network with its weights, ready to use, on the CPU. Raises UserError."""
    with torch.device("meta"):  # no memory, and no time for weights that go
        network = build(settings.network)
    fill(network, settings.weights)
    return network.eval()


def expected_age(posteriors):
    """The mean of the ages 0 to 100 under posteriors `(B, 101)`: `(B,)` in years."""
    return posteriors @ torch.arange(
        posteriors.shape[1], dtype=posteriors.dtype, device=posteriors.device
    )


def estimate(network: torch.nn.Module, faces: list[np.ndarray]) -> list[Estimate]:
    """The ages of faces `(S, S, 3)` uint8, BGR, on the network's device."""
    if not faces:
        return []
    device = next(network.parameters()).device
    images = torch.from_numpy(np.stack(faces)).to(device).permute(0, 3, 1, 2)
    with torch.inference_mode():
        output = network(images.to(torch.float32).contiguous())
        if not network.has_posterior:
            return [Estimate(years, None) for years in output.tolist()]
        posteriors = output.softmax(dim=1)
        years = expected_age(posteriors.double()).tolist()
    return [
        Estimate(*pair) for pair in zip(years, posteriors.cpu().numpy(), strict=True)
    ]


def face_reader(crop: CropConfig | None, size: int) -> Callable[[str], np.ndarray]:
    """The function path of a picture -> its face `(size, size, 3)`.

    It raises UserError for a picture without a face, or that cannot be read.
    """
    if crop is None:
        return lambda path: pictures.resized(pictures.read_picture(path), size)
    detector = Detector(crop.detector, crop.min_score)

    def read(path: str) -> np.ndarray:
        picture = pictures.read_picture(path)
        try:
            face = detector.largest(picture)
            if crop.align:
                return pictures.aligned(picture, face.landmarks, size, crop.margin)
            return pictures.resized(pictures.cut(picture, face.box, crop.margin), size)
        except UserError as error:
            raise UserError(f"{path}: {error}") from None

    return read


def estimate_all(
    network: torch.nn.Module,
    read: Callable[[str], np.ndarray],
    paths: list[str],
    batch_size: int,
) -> Iterator[Estimate | UserError]:
    """For each picture, in order, the estimate or the reason why there is none."""
    for first in range(0, len(paths), batch_size):
        found = [_attempt(read, path) for path in paths[first : first + batch_size]]
        faces = [face for face in found if not isinstance(face, UserError)]
        estimates = iter(estimate(network, faces))
        for path, face in zip(paths[first:], found, strict=False):
            yield (
                face
                if isinstance(face, UserError)
                else _plausible(next(estimates), path)
            )


def _attempt(read: Callable, path: str):
    try:
        return read(path)
    except UserError as error:
        return error


def _plausible(result: Estimate, path: str) -> Estimate | UserError:
    if 0 < round(result.years, 4) <= MAX_AGE:  # as it is written
        return result
    return UserError(f"{path}: an age of {result.years:.0f} years: is it a face?")

"""SSR-Net, which estimates the age of a face in stages, from coarse to fine.

Yang, Huang, Lin, Hsiu and Chuang, "SSR-Net: A compact soft stagewise regression
network for age estimation" (IJCAI 2018). Two streams of convolutions, unlike in
activation and pooling, look at the face. A stage k joins one level of both; it gives
s_k weights p_i of the places i = 0, 1, ..., a shift eta_i of each, and the change
delta_k of its width. With V = 101 years

    age = V sum_k sum_i p_i (i + lambda_local eta_i) / (w_1 ... w_k),
    w_k = s_k (1 + lambda_d delta_k).

The weights are rectified; their sum need not be 1. Dropout, of use in training alone,
is left out.
"""

from dataclasses import dataclass, field

import torch
from torch import nn

NUM_YEARS = 101
NUM_BLOCKS = 4  # convolutions of a stream
REDUCED = 10  # channels of a level that enter a stage
NORM_EPSILON = 1e-3  # Keras's
MAX_PLACES = 100


@dataclass(frozen=True)
class SSRNetConfig:
    """stage_num: places s_k of the three stages; lambda_*: see the formula."""

    stage_num: list[int] = field(default_factory=lambda: [3, 3, 3])
    lambda_local: float = 1.0
    lambda_d: float = 1.0

    def __post_init__(self):
        if len(self.stage_num) != 3 or not (
            1 <= min(self.stage_num) <= max(self.stage_num) <= MAX_PLACES
        ):
            raise ValueError(f"stage_num is three numbers from 1 to {MAX_PLACES}")
        if not 0 <= self.lambda_local <= 1 or not 0 <= self.lambda_d <= 1:
            raise ValueError("lambda_local and lambda_d are from 0 to 1")


class Stream(nn.Module):
    """Faces `(B, 3, 64, 64)` -> three levels `(B, C, N, N)`, N = 4, 14, 31.

    pool: a function (x, size).
    """

    def __init__(self, channels: int, activation, pool):
        super().__init__()
        self.activation, self.pool = activation, pool
        inputs = [3, *[channels] * (NUM_BLOCKS - 1)]
        self.convs = nn.ModuleList(nn.Conv2d(size, channels, 3) for size in inputs)
        self.norms = nn.ModuleList(
            nn.BatchNorm2d(channels, NORM_EPSILON) for _ in inputs
        )

    def forward(self, x):
        levels = []
        for conv, norm in zip(self.convs, self.norms, strict=True):
            x = self.activation(norm(conv(x)))
            if len(levels) < NUM_BLOCKS - 1:
                x = self.pool(x, 2)
            levels.append(x)
        return levels[3], levels[1], levels[0]


class Stage(nn.Module):
    """Levels of both streams -> weights `(B, s)`, shifts `(B, s)`, change `(B, 1)`.

    side: height and width of a level once it is pooled by `window`.
    """

    def __init__(self, channels: list[int], num_places: int, window: int, side: int):
        super().__init__()
        self.window = window
        size = REDUCED * side * side
        self.reduce = nn.ModuleList(nn.Conv2d(count, REDUCED, 1) for count in channels)
        self.mix = nn.ModuleList(nn.Linear(size, num_places) for _ in channels)
        self.change = nn.Linear(size, 1)
        self.joined = nn.Linear(num_places, 2 * num_places)
        self.weights = nn.Linear(2 * num_places, num_places)
        self.shifts = nn.Linear(2 * num_places, num_places)

    def forward(self, levels, pools):
        flat, mixed = [], []
        for x, pool, reduce, mix in zip(
            levels, pools, self.reduce, self.mix, strict=True
        ):
            x = pool(reduce(x).relu(), self.window)
            x = x.permute(0, 2, 3, 1).flatten(1)  # channels last, as in Keras
            flat.append(x)
            mixed.append(mix(x).relu())
        change = self.change(flat[0] * flat[1]).tanh()
        joined = self.joined(mixed[0] * mixed[1]).relu()
        return self.weights(joined).relu(), self.shifts(joined).tanh(), change


class SSRNet(nn.Module):
    """Faces `(B, 3, 64, 64)`, BGR from 0 to 255 -> ages `(B,)` in years."""

    image_size = 64
    has_posterior = False

    def __init__(self, config: SSRNetConfig):
        super().__init__()
        self.config = config
        channels = [16, 32]
        self.streams = nn.ModuleList(
            [
                Stream(channels[0], torch.tanh, nn.functional.max_pool2d),
                Stream(channels[1], torch.relu, nn.functional.avg_pool2d),
            ]
        )
        windows, sides = (1, 4, 8), (4, 3, 3)
        self.stages = nn.ModuleList(
            Stage(channels, num_places, window, side)
            for num_places, window, side in zip(
                config.stage_num, windows, sides, strict=True
            )
        )

    def forward(self, images):
        levels = zip(*(stream(images) for stream in self.streams), strict=True)
        pools = [stream.pool for stream in self.streams]
        age, width = 0.0, 1.0
        for stage, both in zip(self.stages, levels, strict=True):
            weights, shifts, change = stage(both, pools)
            places = torch.arange(weights.shape[1], device=weights.device)
            places = places + self.config.lambda_local * shifts
            width = width * len(places[0]) * (1 + self.config.lambda_d * change)
            age = age + (weights * places).sum(dim=1, keepdim=True) / width
        return NUM_YEARS * age[:, 0]

    @property
    def keras_layers(self) -> dict[str, str]:
        """Module -> layer of the published .h5 files, whose names count up by kind."""
        names = {}
        for stream, first in enumerate((5, 1)):
            for n in range(NUM_BLOCKS):
                names[f"streams.{stream}.convs.{n}"] = f"conv2d_{first + n}"
                names[f"streams.{stream}.norms.{n}"] = (
                    f"batch_normalization_{first + n}"
                )
        for n in range(len(self.stages)):
            stage = f"stages.{n}"
            for stream in range(len(self.streams)):
                names[f"{stage}.reduce.{stream}"] = f"conv2d_{9 + 2 * n + stream}"
                names[f"{stage}.mix.{stream}"] = f"dense_{1 + 3 * n + stream}"
            names[f"{stage}.joined"] = f"dense_{3 + 3 * n}"
            names[f"{stage}.weights"] = f"pred_age_stage{n + 1}"
            names[f"{stage}.shifts"] = f"local_delta_stage{n + 1}"
            names[f"{stage}.change"] = f"delta_s{n + 1}"
        return names

"""The settings of the talkers corpus, and its streams of random numbers."""

import dataclasses
import hashlib
import importlib.metadata
import json
import zlib
from pathlib import Path
from typing import Literal

import numpy as np

# Nationality and the eSpeak NG voice that speaks its accent.
ACCENTS = (
    ("USA", "en-us"),
    ("Scotland", "en-gb-scotland"),
    ("Caribbean", "en-029"),
    ("Britain", "en"),
    ("Lancashire", "en-gb-x-gbclan"),
    ("West_Midlands", "en-gb-x-gbcwmd"),
)

# What one may vary while the corpus stays the same test bed: not in its hash.
RUN_KEYS = ("size", "seed", "world", "ageing")


@dataclasses.dataclass(frozen=True)
class Size:
    """Numbers of people; `sessions` a talker and `utterances` a session, min and max.

    `face` people only train the estimation of ages from faces: they never speak, and
    have `portraits` each.
    """

    train: int
    dev: int
    test: int
    face: int
    portraits: int
    accents: int
    sessions: list[int]
    utterances: list[int]

    def __post_init__(self):
        if min(self.train, self.dev, self.test) < 2 or self.face < 1:
            raise ValueError("train, dev and test need 2 talkers each, face needs one")
        if not 1 <= self.portraits <= 999:
            raise ValueError("portraits must be 1 to 999")
        if not 1 <= self.accents <= len(ACCENTS):
            raise ValueError(f"accents must be 1 to {len(ACCENTS)}")
        _check_range("sessions", self.sessions, 2, 99)
        _check_range("utterances", self.utterances, 1, 99)


@dataclasses.dataclass(frozen=True)
class Faces:
    """`frames` are seen of a session; a `stranger_share` of them are of others."""

    frames: int
    stranger_share: float

    def __post_init__(self):
        if not 1 <= self.frames <= 99 or not 0 <= self.stranger_share <= 1:
            raise ValueError("frames must be 1 to 99, stranger_share 0 to 1")


@dataclasses.dataclass(frozen=True)
class Parameter:
    """One parameter of a voice, in the unit that its name ends in.

    Means of men and women, standard deviation between talkers and between the
    sessions of a talker, and the size of the population's change from 20 to 80.
    """

    male: float
    female: float
    talker: float
    session: float
    ageing: float

    def __post_init__(self):
        if min(self.talker, self.session, self.ageing) < 0:
            raise ValueError("talker, session and ageing must be 0 or more")


@dataclasses.dataclass(frozen=True)
class Voice:
    """What a voice is made of.

    tract_pct scales all formants and f1_pct to f4_pct shift one, in percent of
    eSpeak's; width_pct their bandwidths; pitch_st is the base in semitones above
    100 Hz and range_st what intonation adds; roughness, flutter and breath are in
    eSpeak's units; tilt_db is the level at 3 kHz; rate_wpm counts words a minute.
    """

    tract_pct: Parameter
    f1_pct: Parameter
    f2_pct: Parameter
    f3_pct: Parameter
    f4_pct: Parameter
    width_pct: Parameter
    pitch_st: Parameter
    range_st: Parameter
    roughness: Parameter
    flutter: Parameter
    breath: Parameter
    tilt_db: Parameter
    rate_wpm: Parameter


PARAMETERS = tuple(field.name for field in dataclasses.fields(Voice))


@dataclasses.dataclass(frozen=True)
class Settings:
    """conf/talkers.yaml.

    ageing: dose of the ageing; 0 is the null world. In the world `channel_dated`
    the recordings follow the date and no voice ages, whatever the dose.
    identity_spread, session_noise, ageing_spread: factors on the spreads of `voice`.
    snr_db: range of a session's signal-to-noise ratio, dB.
    channel_db: standard deviation of a session's frequency response, dB.
    dated_channel_db: in `channel_dated`, half the way from the oldest recordings'
    response to the newest's, dB.
    room_share: share of sessions recorded in a reverberant room.
    own_ratio: variance of a talker's own change from 20 to 80 to the square of
    the population's.
    ageless_share: share of talkers who do not age at all.
    onset_years: range of the ages at which a talker's own change begins.
    long_share: share of talkers with `long_years` between first and last session;
    the others have `short_years`.
    """

    size: str
    seed: int
    world: Literal["ageing", "channel_dated"]
    ageing: float
    identity_spread: float
    session_noise: float
    ageing_spread: float
    snr_db: list[float]
    channel_db: float
    dated_channel_db: float
    room_share: float
    own_ratio: float
    ageless_share: float
    onset_years: list[float]
    long_share: float
    long_years: list[float]
    short_years: list[float]
    faces: Faces
    sizes: dict[str, Size]
    voice: Voice

    def __post_init__(self):
        if self.size not in self.sizes:
            raise ValueError(
                f"size '{self.size}' is not one of {', '.join(self.sizes)}"
            )
        for name in (
            "seed", "ageing", "identity_spread", "session_noise", "ageing_spread",
            "channel_db", "dated_channel_db", "own_ratio",
        ):  # fmt: skip
            if not 0 <= getattr(self, name) < 2**31:
                raise ValueError(f"{name} must be 0 or more")
        for name in ("room_share", "ageless_share", "long_share"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} must be 0 to 1")
        _check_range("snr_db", self.snr_db, -20, 100)
        _check_range("onset_years", self.onset_years, 0, 79)
        _check_range("long_years", self.long_years, 2, 60)
        _check_range("short_years", self.short_years, 2, 60)

    @property
    def numbers(self) -> Size:
        """The numbers that belong to `size`."""
        return self.sizes[self.size]

    @property
    def dose(self) -> float:
        """The factor on all ageing of voices in this world."""
        return self.ageing * self.ageing_spread if self.world == "ageing" else 0.0


def _check_range(name: str, values: list, low: float, high: float) -> None:
    if len(values) != 2 or not low <= values[0] <= values[1] <= high:
        raise ValueError(f"{name} must be [min, max] within {low} and {high}")


def stream(settings: Settings, name: str, *indices: int) -> np.random.Generator:
    """The random numbers of one purpose and one thing: no draw moves another."""
    return np.random.default_rng([settings.seed, zlib.crc32(name.encode()), *indices])


def describe(settings: Settings) -> dict:
    """What names this corpus in results; `hash` covers generator and settings."""
    digest = hashlib.sha256()
    for path in sorted(Path(__file__).parent.glob("*.py")):
        digest.update(f"{path.name}\n".encode() + path.read_bytes())
    fixed = dataclasses.asdict(settings)
    run = {key: fixed.pop(key) for key in RUN_KEYS}
    digest.update(json.dumps(fixed, sort_keys=True).encode())
    return {
        "name": "talkers",
        **run,
        "espeakng_loader": importlib.metadata.version("espeakng-loader"),
        "hash": digest.hexdigest(),
    }

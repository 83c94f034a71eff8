"""Changes to samples `(N,)` and features: noise, reverberation, speed, tempo, masks.

Every change is a pure function of its arguments; what is random comes from a
generator that the caller seeds. Samples stay float32, unclipped.
"""

import hashlib
from array import array
from collections.abc import Mapping
from dataclasses import dataclass, field
from fractions import Fraction
from pathlib import Path

import numpy as np

from chronovox.audio import WavTable
from chronovox.cli import UserError
from chronovox.datadir import Texts, read_table

MAX_MASK = 10**5
_PROBES = 32  # recordings of a kind that count in the digest
MAX_DENOMINATOR = 1000  # of a speed factor, or a ratio of sampling rates


def power(samples: np.ndarray) -> float:
    """Mean square of samples."""
    return float(np.square(samples, dtype=np.float64).mean()) if len(samples) else 0.0


def add_noise(samples: np.ndarray, noise: np.ndarray, snr_db: float) -> np.ndarray:
    """Add `noise (N,)` so that the power of the samples is `snr_db` above its own.

    Raises ValueError for lengths that differ. Noise without any power adds nothing.
    """
    if samples.shape != noise.shape:
        raise ValueError(f"{len(samples)} samples, but {len(noise)} of noise")
    noise_power = power(noise)
    if noise_power == 0:
        return samples
    gain = np.sqrt(power(samples) / noise_power * 10 ** (-snr_db / 10))
    return samples + np.float32(gain) * noise


def random_piece(
    table: WavTable, utt: str, num_samples: int, sampling_rate: int, rng
) -> np.ndarray:
    """`num_samples` from a random place of a recording; a short one is repeated.

    No more of the recording is read. Raises UserError as `WavTable.read` does.
    """
    there, _ = table.length(utt)
    places = np.arange(num_samples)
    if there > num_samples:
        first = int(rng.integers(there - num_samples + 1))
        part = slice(first, first + num_samples)
        samples, _ = table.read(utt, sampling_rate, part)
    else:
        samples, _ = table.read(utt, sampling_rate)
        places += int(rng.integers(len(samples)))
    return samples.take(places, mode="wrap")


def reverberate(samples: np.ndarray, response: np.ndarray) -> np.ndarray:
    """Convolve with an impulse response `(M,)` of unit energy; `(N,)` again.

    The delay of the direct path (the largest value) is taken out, so that frames
    stay where they were.
    """
    from scipy.signal import oaconvolve

    energy = float(np.square(response, dtype=np.float64).sum())
    if energy == 0:
        return samples
    response = (response / np.sqrt(energy)).astype(np.float32)
    direct = int(np.abs(response).argmax())
    return oaconvolve(samples, response)[direct : direct + len(samples)]


def change_speed(samples: np.ndarray, factor: float) -> np.ndarray:
    """Play `factor` times as fast: N / factor samples, and the pitch moves along."""
    from scipy.signal import resample_poly

    ratio = Fraction(factor).limit_denominator(MAX_DENOMINATOR)
    if ratio == 1:
        return samples
    return resample_poly(samples, ratio.denominator, ratio.numerator)


def change_tempo(samples: np.ndarray, factor: float, sampling_rate: int) -> np.ndarray:
    """Speak `factor` times (0.5 to 2) as fast at the same pitch: about N / factor.

    By the filter `atempo` of FFmpeg, which overlaps similar waveforms (WSOLA).
    """
    import av

    if factor == 1:
        return samples
    graph = av.filter.Graph()
    graph.threads = 1  # or each call starts and ends threads
    source = graph.add_abuffer(
        sample_rate=sampling_rate, format="flt", layout="mono",
        time_base=Fraction(1, sampling_rate),
    )  # fmt: skip
    tempo = graph.add("atempo", f"{factor:.6f}")
    sink = graph.add("abuffersink")
    source.link_to(tempo)
    tempo.link_to(sink)
    graph.configure()
    frame = av.AudioFrame.from_ndarray(samples[None], format="flt", layout="mono")
    frame.sample_rate, frame.pts = sampling_rate, 0
    source.push(frame)
    source.push(None)
    pieces = []
    while True:
        try:
            pieces.append(sink.pull().to_ndarray()[0])
        except av.error.EOFError:
            return np.concatenate([samples[:0], *pieces])


def change_volume(samples: np.ndarray, gain_db: float) -> np.ndarray:
    return samples * np.float32(10 ** (gain_db / 20))


@dataclass(frozen=True)
class MaskConfig:
    """SpecAugment (Park et al., arXiv 1904.08779) without warping.

    time_masks stretches of up to max_frames frames, and freq_masks bands of up to
    max_bins bins, become the mean of the piece.
    """

    time_masks: int = 0
    max_frames: int = 10
    freq_masks: int = 0
    max_bins: int = 8

    def __post_init__(self):
        values = (self.time_masks, self.max_frames, self.freq_masks, self.max_bins)
        if not 0 <= min(values) <= max(values) <= MAX_MASK:
            raise ValueError(f"all numbers of mask are from 0 to {MAX_MASK}")


def mask_parts(shape: tuple[int, int], config: MaskConfig, rng):
    """Yield what is masked of features `(T, F)`, as indices (frames, bins)."""
    for axis, count, longest in (
        (0, config.time_masks, config.max_frames),
        (1, config.freq_masks, config.max_bins),
    ):
        for _ in range(count):
            width = int(rng.integers(min(longest, shape[axis] - 1) + 1))
            first = int(rng.integers(shape[axis] - width + 1))
            part = slice(first, first + width)
            yield (part, slice(None)) if axis == 0 else (slice(None), part)


def mask(features: np.ndarray, parts) -> np.ndarray:
    """Features `(T, F)` whose `parts` are the mean over all frames; a copy."""
    masked = features.copy()
    mean = features.mean(axis=0, dtype=np.float64).astype(features.dtype)
    means = np.broadcast_to(mean, features.shape)
    for part in parts:
        masked[part] = means[part]
    return masked


@dataclass(frozen=True)
class NoiseConfig:
    """data: a data directory of noises; snr_db: lowest and highest ratio drawn."""

    data: str
    snr_db: list[float] = field(default_factory=lambda: [0.0, 15.0])

    def __post_init__(self):
        check_range("snr_db", self.snr_db)


@dataclass(frozen=True)
class BabbleConfig:
    """So many other speakers at once, at equal power.

    data: a data directory of speech, such as MUSAN's, each of whose speakers counts
    as one; by default they are others of the training data.
    """

    data: str | None = None
    num_speakers: list[int] = field(default_factory=lambda: [3, 8])
    snr_db: list[float] = field(default_factory=lambda: [13.0, 20.0])

    def __post_init__(self):
        check_range("num_speakers", self.num_speakers, 1)
        check_range("snr_db", self.snr_db)


@dataclass(frozen=True)
class ReverbConfig:
    """data: a data directory of impulse responses."""

    data: str


@dataclass(frozen=True)
class AugmentConfig:
    """What is done to a piece of a recording, in this order.

    speeds: every speaker and utterance is there once for each; any but 1 makes
    another speaker. tempo: range of factors; the pitch stays. prob: share of the
    pieces that get one, drawn evenly, of noises (any number of kinds, by name),
    babble and reverb. volume_db: range of gains.
    """

    speeds: list[float] = field(default_factory=lambda: [1.0])
    tempo: list[float] = field(default_factory=lambda: [1.0, 1.0])
    prob: float = 0.0
    noises: dict[str, NoiseConfig] = field(default_factory=dict)
    babble: BabbleConfig | None = None
    reverb: ReverbConfig | None = None
    volume_db: list[float] = field(default_factory=lambda: [0.0, 0.0])

    def __post_init__(self):
        if 1 not in self.speeds or not all(0.5 <= speed <= 2 for speed in self.speeds):
            raise ValueError("speeds are from 0.5 to 2, and 1 is one of them")
        if len(set(self.speeds)) < len(self.speeds):
            raise ValueError("a speed stands twice in speeds")
        check_range("tempo", self.tempo, 0.5, 2)
        check_range("volume_db", self.volume_db)
        if not 0 <= self.prob <= 1:
            raise ValueError("prob is from 0 to 1")
        if {"babble", "reverb"} & self.noises.keys():
            raise ValueError("babble and reverb have keys of their own, not in noises")
        if self.prob > 0 and not self.kinds:
            raise ValueError("prob is above 0: name noises, babble or reverb")
        if self.prob == 0 and self.kinds:
            raise ValueError(
                f"prob is 0: no piece would get {' or '.join(self.kinds)}: set prob to "
                "the share of pieces that shall, such as 0.8, or take them out"
            )

    @property
    def kinds(self) -> list[str]:
        """What is there to draw from."""
        own = [name for name in ("babble", "reverb") if getattr(self, name)]
        return [*self.noises, *own]


def check_range(name: str, values: list, low: float = -100, high: float = 100) -> None:
    """Raise ValueError unless `values` are two, in order, from `low` to `high`."""
    if len(values) != 2 or not low <= values[0] <= values[1] <= high:
        raise ValueError(
            f"{name} is {values}, expected [lowest, highest] from {low:g} to {high:g}"
        )


def _open(kind: str, data_dir: str) -> WavTable:
    try:
        return WavTable(data_dir)
    except UserError as error:
        raise UserError(
            f"augment: {kind}: {error}: make that data directory, or take {kind} out "
            "of the settings"
        ) from None


def _read_speech(data_dir: str) -> tuple[WavTable, dict[str, str]]:
    """The recordings of a data directory, and who speaks in each."""
    speech = _open("babble", data_dir)
    utt2spk = read_table(Path(data_dir) / "utt2spk")
    for utt in speech:
        if utt not in utt2spk:
            raise UserError(
                f"{data_dir}/utt2spk: no line for '{utt}': run utils/fix_data_dir.py "
                f"{data_dir}"
            )
    return speech, utt2spk


class Augmenter:
    """Noise, babble, reverberation and volume for samples at `sampling_rate`.

    speech, utt2spk: the recordings that babble is made of, unless the settings name
    others. Raises UserError for a data directory of noises, speech or responses that
    cannot be read.
    """

    def __init__(
        self,
        config: AugmentConfig,
        sampling_rate: int,
        speech: WavTable,
        utt2spk: Mapping[str, str],
    ):
        self._config, self._rate, self._speech = config, sampling_rate, speech
        babble = config.babble
        if babble and babble.data:
            self._speech, utt2spk = _read_speech(babble.data)
        spk2utt: dict[str, array] = {}  # which of the utterances
        if babble:
            for number, utt in enumerate(self._speech.utts):
                if utt in utt2spk:
                    spk2utt.setdefault(utt2spk[utt], array("q")).append(number)
        self._spks, self._utts = Texts(spk2utt), list(spk2utt.values())
        folders = {name: noise.data for name, noise in config.noises.items()}
        if config.reverb:
            folders["reverb"] = config.reverb.data
        self._tables = {name: _open(name, data) for name, data in folders.items()}
        if babble and babble.data:
            self._tables["babble"] = self._speech
        num_spk = len(self._spks) - (not babble or not babble.data)
        if babble and num_spk < babble.num_speakers[1]:
            raise UserError(
                f"augment.babble: {len(self._spks)} speakers, num_speakers asks for "
                f"{babble.num_speakers[1]} others"
            )

    def __call__(self, samples: np.ndarray, spk: str, rng) -> np.ndarray:
        """Samples `(N,)` of the speaker `spk`, changed; `(N,)` again."""
        config = self._config
        if rng.random() < config.prob:
            kind = config.kinds[int(rng.integers(len(config.kinds)))]
            samples = self._apply(kind, samples, spk, rng)
        return change_volume(samples, rng.uniform(*config.volume_db))

    def digest(self) -> bytes:
        """Which noises and responses there are, and some of them, as bytes to hash."""
        parts = []
        for kind, table in sorted(self._tables.items()):
            keys = list(table.utts)
            parts.append(f"{kind} {keys}\n".encode())
            for key in keys[:: max(1, len(keys) // _PROBES)]:
                parts.append(table.read(key)[0].tobytes())
        return hashlib.sha256(b"".join(parts)).digest()

    def _apply(self, kind: str, samples: np.ndarray, spk: str, rng) -> np.ndarray:
        if kind == "reverb":
            response, _ = self._tables[kind].read(self._draw(kind, rng), self._rate)
            return reverberate(samples, response)
        if kind == "babble":
            noise = self._babble(len(samples), spk, rng)
            snr_db = self._config.babble.snr_db
        else:
            key = self._draw(kind, rng)
            noise = random_piece(self._tables[kind], key, len(samples), self._rate, rng)
            snr_db = self._config.noises[kind].snr_db
        return add_noise(samples, noise, rng.uniform(*snr_db))

    def _draw(self, kind: str, rng) -> str:
        utts = self._tables[kind].utts
        return utts[int(rng.integers(len(utts)))]

    def _babble(self, num_samples: int, spk: str, rng) -> np.ndarray:
        low, high = self._config.babble.num_speakers
        wanted = int(rng.integers(low, high + 1))
        # One more than wanted, for the speaker may be among them.
        drawn = rng.choice(len(self._spks), min(wanted + 1, len(self._spks)), False)
        others = [n for n in drawn if self._spks[n] != spk][:wanted]
        total = np.zeros(num_samples, np.float32)
        for other in others:
            utts = self._utts[other]
            utt = self._speech.utts[utts[int(rng.integers(len(utts)))]]
            piece = random_piece(self._speech, utt, num_samples, self._rate, rng)
            total += piece / np.float32(max(np.sqrt(power(piece)), 1e-6))
        return total

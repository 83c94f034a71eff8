"""Fbank and MFCC under Kaldi's conventions, mean normalisation, and energy VAD."""

import warnings
from dataclasses import dataclass
from typing import Literal

import numpy as np

_EPSILON = float(np.finfo(np.float32).eps)  # Kaldi's floor under every logarithm
MAX_LENGTH = 2**17  # samples of a frame: more would fill the memory
MAX_BINS = 2**10
MAX_CONTEXT = 10**6
_BLOCK = 256  # frames computed at a time: they stay in the processor's cache


@dataclass(frozen=True)
class FeatureConfig:
    """Settings of conf/fbank.yaml and conf/mfcc.yaml; no dither is ever added.

    high_freq: 0, or a negative offset, counts from the Nyquist frequency.
    snip_edges: true keeps only frames that fit whole; false gives one frame for
    each frame shift and mirrors the samples at both ends.
    use_energy: column 0 is the log-energy: before the bins of fbank, in place of
    C0 of MFCC. num_ceps and cepstral_lifter concern MFCC alone.
    """

    type: Literal["fbank", "mfcc"]
    sampling_rate: int = 16000
    frame_length_ms: float = 25.0
    frame_shift_ms: float = 10.0
    snip_edges: bool = False
    window: Literal["povey", "hamming", "hanning", "rectangular"] = "povey"
    preemphasis: float = 0.97
    num_mel_bins: int = 80
    low_freq: float = 20.0
    high_freq: float = 7600.0
    use_energy: bool = False
    energy_floor: float = 0.0
    num_ceps: int = 30
    cepstral_lifter: float = 22.0

    def __post_init__(self):
        nyquist = self.sampling_rate / 2
        top = self.high_freq if self.high_freq > 0 else nyquist + self.high_freq
        if not 0 <= self.low_freq < top <= nyquist:
            raise ValueError(
                f"low_freq {self.low_freq:g} to high_freq {self.high_freq:g} is no "
                f"band below {nyquist:g} Hz, half the sampling_rate"
            )
        if not 1 <= self.shift <= self.length:
            raise ValueError("frame_shift_ms must be above 0, up to frame_length_ms")
        if not 2 <= self.length <= MAX_LENGTH:
            raise ValueError(
                f"a frame has {self.length} samples, not from 2 to {MAX_LENGTH}"
            )
        if not 4 <= self.num_mel_bins <= MAX_BINS:
            raise ValueError(f"num_mel_bins must be from 4 to {MAX_BINS}")
        if self.type == "mfcc" and not 1 <= self.num_ceps <= self.num_mel_bins:
            raise ValueError("num_ceps must be from 1 to num_mel_bins")
        if not 0 <= self.preemphasis <= 1 or self.energy_floor < 0:
            raise ValueError("preemphasis is from 0 to 1, energy_floor from 0 on")

    @property
    def length(self) -> int:
        """Samples of a frame."""
        return int(self.sampling_rate * 0.001 * self.frame_length_ms)

    @property
    def shift(self) -> int:
        """Samples from frame to frame."""
        return int(self.sampling_rate * 0.001 * self.frame_shift_ms)

    @property
    def dim(self) -> int:
        """Values of a frame."""
        if self.type == "mfcc":
            return self.num_ceps
        return self.num_mel_bins + int(self.use_energy)

    def num_frames(self, num_samples: int) -> int:
        """Frames that `num_samples` samples give."""
        if not self.snip_edges:
            return (num_samples + self.shift // 2) // self.shift
        return max(0, 1 + (num_samples - self.length) // self.shift)


class Extractor:
    """Features of one utterance: `Extractor(config)(samples (N,)) -> (T, F)`.

    The layer is lhotse's torch module, told Kaldi's conventions. `layer` maps
    padded samples `(B, N)`, scaled as 16-bit integers, to `(B, T, F)` without energy.
    """

    def __init__(self, config: FeatureConfig):
        self.config = config
        self.layer = _make_layer(config)

    def __call__(self, samples: np.ndarray) -> np.ndarray:
        """Samples `(N,)` float32 in [-1, 1) -> `(T, F)` float32; T may be 0."""
        import torch

        config = self.config
        num_frames = config.num_frames(len(samples))
        features = np.empty((num_frames, config.dim), np.float32)
        wave = torch.from_numpy(_pad(samples, config))[None]
        with torch.inference_mode():
            for first in range(0, num_frames, _BLOCK):
                last = min(first + _BLOCK, num_frames)
                begin = first * config.shift
                end = (last - 1) * config.shift + config.length
                block = self.layer(wave[:, begin:end])[0].numpy()
                features[first:last, config.dim - block.shape[1] :] = block
        if config.use_energy:
            features[:, 0] = self.log_energy(samples)
        return features

    def padded(self, samples: np.ndarray) -> np.ndarray:
        """Samples `(N,)`, scaled, with what the first and the last frame lack."""
        return _pad(samples, self.config)

    def batch(self, waves):
        """Features `(B, T, F)` of what `padded` gave, `(B, N)`, on its device.

        For use_energy: false; frames behind the end of a shorter piece mean nothing.
        """
        import torch

        with torch.no_grad():
            return self.layer.to(waves.device)(waves)

    def log_energy(self, samples: np.ndarray) -> np.ndarray:
        """Log-energy `(T,)` float32 of each frame, without its mean: MFCC's C0."""
        config = self.config
        num_frames = config.num_frames(len(samples))
        if num_frames == 0:
            return np.empty(0, np.float32)
        wave = _pad(samples, config)
        frames = np.lib.stride_tricks.sliding_window_view(wave, config.length)
        frames = frames[:: config.shift][:num_frames]
        frames = frames - frames.mean(axis=1, keepdims=True)
        energy = np.einsum("tn,tn->t", frames, frames)
        return np.log(np.maximum(energy, max(_EPSILON, config.energy_floor)))


def _make_layer(config: FeatureConfig):
    from lhotse.features.kaldi import layers

    options = {
        "sampling_rate": config.sampling_rate,
        # lhotse rounds down after multiplying: half a sample more is safe.
        "frame_length": (config.length + 0.5) / config.sampling_rate,
        "frame_shift": (config.shift + 0.5) / config.sampling_rate,
        "snip_edges": True,  # the samples come padded
        "window_type": config.window,
        "preemph_coeff": config.preemphasis,
        "num_filters": config.num_mel_bins,
        "low_freq": config.low_freq,
        "high_freq": config.high_freq,
        "use_energy": False,  # lhotse's MFCC would write it into the wrong axis
    }
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about snip_edges and lhotse's cuts
        if config.type == "fbank":
            layer = layers.Wav2LogFilterBank(**options)
        else:
            layer = layers.Wav2MFCC(
                **options,
                num_ceps=config.num_ceps,
                cepstral_lifter=config.cepstral_lifter,
            )
    # An FFT in float32 moves the log-mel of quiet bins by up to 1e-2.
    layer.wav2win.register_forward_hook(_frames_in_double)
    # Its own |X|^2 goes through a square root and takes half of the time.
    layer._to_spec = _power
    return layer.eval()


def _frames_in_double(layer, samples, output):
    frames, log_energy = output
    return frames.double(), log_energy


def _power(spectrum):
    """Complex `(B, T, K)` -> its squared magnitude, float32."""
    import torch

    return torch.addcmul(spectrum.real.square(), spectrum.imag, spectrum.imag).float()


def _pad(samples: np.ndarray, config: FeatureConfig) -> np.ndarray:
    """Scale to the range of 16-bit integers and mirror the ends as Kaldi does."""
    scaled = samples * np.float32(32768)
    if config.snip_edges or len(samples) == 0:
        return scaled
    num_frames = config.num_frames(len(samples))
    left = config.length // 2 - config.shift // 2
    right = (num_frames - 1) * config.shift + config.length - left - len(samples)
    return np.pad(scaled, (left, max(0, right)), mode="symmetric")


def apply_cmn(
    features: np.ndarray,
    kind: Literal["none", "utterance", "sliding"],
    window: int = 300,
) -> np.ndarray:
    """Subtract from `(T, F)` the mean of the utterance or of a sliding window.

    The sliding window of `window` frames is centred and moved inwards at both
    ends, as by Kaldi's apply-cmvn-sliding --center=true; variance is kept.
    """
    if kind == "none":
        return features
    if kind == "utterance":
        return features - features.mean(axis=0, dtype=np.float64).astype(np.float32)
    if kind != "sliding":
        raise ValueError(f"kind is none, utterance or sliding, not '{kind}'")
    num_frames = len(features)
    width = min(window, num_frames)
    first = np.clip(np.arange(num_frames) - window // 2, 0, num_frames - width)
    sums = np.zeros((num_frames + 1, features.shape[1]))
    np.cumsum(features, axis=0, dtype=np.float64, out=sums[1:])
    mean = (sums[first + width] - sums[first]) / width
    return (features - mean).astype(np.float32)


@dataclass(frozen=True)
class VadConfig:
    """Settings of conf/vad.yaml, named as in Kaldi's compute-vad.

    A frame is voiced if, of the frames within frames_context of it, at least the
    proportion_threshold have a log-energy above
    energy_threshold + energy_mean_scale * (mean log-energy of the utterance).
    """

    energy_threshold: float = 5.5
    energy_mean_scale: float = 0.5
    proportion_threshold: float = 0.12
    frames_context: int = 2

    def __post_init__(self):
        if not 0 < self.proportion_threshold < 1:
            raise ValueError("proportion_threshold must be between 0 and 1")
        if self.energy_mean_scale < 0 or not 0 <= self.frames_context <= MAX_CONTEXT:
            raise ValueError(
                "energy_mean_scale is from 0 on, frames_context from 0 to "
                f"{MAX_CONTEXT}"
            )


def energy_vad(log_energy: np.ndarray, config: VadConfig) -> np.ndarray:
    """Kaldi's energy VAD: log-energies `(T,)` -> `(T,)` float32, 1 voiced, 0 not."""
    num_frames = len(log_energy)
    if num_frames == 0:
        return np.empty(0, np.float32)
    mean = log_energy.mean(dtype=np.float64)
    threshold = config.energy_threshold + config.energy_mean_scale * mean
    above = np.concatenate([[0], np.cumsum(log_energy > threshold)])
    frame = np.arange(num_frames)
    first = np.maximum(frame - config.frames_context, 0)
    last = np.minimum(frame + config.frames_context + 1, num_frames)
    needed = (last - first) * config.proportion_threshold
    return (above[last] - above[first] >= needed).astype(np.float32)


def has_log_energy(config: FeatureConfig) -> bool:
    """Whether column 0 is a log-energy or C0, which VAD can use."""
    return config.type == "mfcc" or config.use_energy

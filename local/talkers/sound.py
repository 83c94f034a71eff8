"""The recording: room, microphone, level and noise, none of them the talker's.

Each is drawn from a stream of its own, so it depends on neither voice, age nor
text; in the world `channel_dated` response and noise level follow the date.
"""

import dataclasses

import numpy as np
import scipy.fft
import scipy.signal

from talkers.espeak import SAMPLING_RATE as VOICE_RATE
from talkers.settings import Settings, stream
from talkers.world import FIRST_DATE, LAST_DATE, Session, Talker

SAMPLING_RATE = 16000
_UP, _DOWN = 320, 441  # 22,050 Hz to 16,000 Hz
_LOW_PASS = scipy.signal.firwin(2 * 10 * _DOWN + 1, 0.97 / _DOWN, window=("kaiser", 6))
_TAPS = 257  # of a frequency response
_BANDS_HZ = (0, 150, 400, 800, 1500, 2500, 4000, 6000, 8000)
_NOISE_DB = 6.0  # standard deviation of the colour of noise, dB a band
_LEVEL_DBFS = (-28.0, -20.0)  # of speech, range over sessions
_PAUSE_S = (0.2, 0.4)  # before and after speech

# Response of the newest recordings in `channel_dated`, in parts of
# `dated_channel_db`; the oldest have the opposite.
_NEWEST = np.array([1.4, 1.0, 0.2, -0.8, -1.2, -0.6, 0.4, 1.4, 1.8])


@dataclasses.dataclass(frozen=True)
class Recording:
    """How one session is recorded.

    impulse_response: (L,) float32, of room and microphone.
    noise_db: (B,) level of the noise at _BANDS_HZ.
    level_dbfs: of speech; noise lies snr_db below.
    """

    impulse_response: np.ndarray
    noise_db: np.ndarray
    level_dbfs: float
    snr_db: float


def recording(settings: Settings, talker: Talker, session: Session) -> Recording:
    """Draw room, microphone, level and noise of a session."""
    rng = stream(settings, "recording", talker.index, session.index)
    response_db = settings.channel_db * rng.normal(size=len(_BANDS_HZ))
    noise_db = _NOISE_DB * rng.normal(size=len(_BANDS_HZ))
    level_dbfs = rng.uniform(*_LEVEL_DBFS)
    quality = rng.random()
    if settings.world == "channel_dated":
        newness = (session.date - FIRST_DATE) / (LAST_DATE - FIRST_DATE)
        response_db += settings.dated_channel_db * (2 * newness - 1) * _NEWEST
        quality = 0.8 * newness + 0.2 * quality
    room = _room(rng, settings.room_share)
    impulse_response = np.convolve(room, _fir(response_db)).astype(np.float32)
    low, high = settings.snr_db
    snr_db = low + quality * (high - low)
    return Recording(impulse_response, noise_db, level_dbfs, snr_db)


def _fir(gains_db: np.ndarray) -> np.ndarray:
    """A linear-phase filter (_TAPS,) with these gains at _BANDS_HZ."""
    gains = 10 ** (gains_db / 20)
    return scipy.signal.firwin2(_TAPS, _BANDS_HZ, gains, fs=SAMPLING_RATE)


def _room(rng: np.random.Generator, share: float) -> np.ndarray:
    """The impulse response of a small room, or of none: the direct sound alone."""
    decay_s, direct_db = rng.uniform(0.1, 0.4), rng.uniform(3, 12)
    times = np.arange(1, int(0.25 * SAMPLING_RATE)) / SAMPLING_RATE
    tail = rng.normal(size=len(times)) * 10 ** (-3 * times / decay_s)
    if rng.random() >= share:
        return np.ones(1)
    tail *= 10 ** (-direct_db / 20) / np.sqrt(np.sum(tail**2))
    return np.concatenate([[1.0], tail])


def added_noise(
    settings: Settings, talker: Talker, session: Session, number: int,
    made: Recording, num_samples: int,
) -> np.ndarray:  # fmt: skip
    """The noise (num_samples,) float32 added to utterance `number` of a session.

    It needs no speech: a test can verify talkers by it alone.
    """
    rng = stream(settings, "noise", talker.index, session.index, number)
    size = scipy.fft.next_fast_len(num_samples, real=True)
    bins = np.linspace(0, SAMPLING_RATE / 2, size // 2 + 1)
    gains = 10 ** (np.interp(bins, _BANDS_HZ, made.noise_db) / 20)
    spectrum = np.empty(len(bins), np.complex64)
    spectrum.real = rng.standard_normal(len(bins), np.float32) * gains
    spectrum.imag = rng.standard_normal(len(bins), np.float32) * gains
    noise = scipy.fft.irfft(spectrum, size)[:num_samples]
    return noise * _factor(noise, made.level_dbfs - made.snr_db)


def _factor(samples: np.ndarray, level_dbfs: float) -> np.float32:
    """What brings samples to this root mean square, in dB of full scale."""
    power = np.mean(np.square(samples, dtype=np.float64))
    return np.float32(10 ** (level_dbfs / 20) / np.sqrt(power))


def record(
    settings: Settings, talker: Talker, session: Session, number: int,
    made: Recording, voice: np.ndarray,
) -> np.ndarray:  # fmt: skip
    """The recording (N,) int16 at SAMPLING_RATE of eSpeak's samples (M,) int16."""
    rng = stream(settings, "pauses", talker.index, session.index, number)
    before, after = (rng.uniform(*_PAUSE_S, 2) * SAMPLING_RATE).astype(int)
    dry = scipy.signal.resample_poly(
        voice.astype(np.float32), _UP, _DOWN, window=_LOW_PASS.astype(np.float32)
    )
    wet = scipy.signal.oaconvolve(dry, made.impulse_response)
    wet = wet[_TAPS // 2 :][: len(dry) + after]  # no delay; the room rings on
    speech = np.zeros(before + len(dry) + after, np.float32)
    speech[before : before + len(wet)] = wet * _factor(wet[: len(dry)], made.level_dbfs)
    mixed = speech + added_noise(settings, talker, session, number, made, len(speech))
    peak = np.max(np.abs(mixed))
    if peak > 0.99:
        mixed *= 0.99 / peak
    return np.round(mixed * 32767).astype(np.int16)


assert VOICE_RATE * _UP == SAMPLING_RATE * _DOWN

"""eSpeak NG as a library: one synthesizer a process, one voice variant a session.

The library takes its random numbers from the clock unless it is given a seed, and
even then the same text and voice spoken twice in one process differ: whoever wants
the same samples again starts a fresh process with the same seed and makes the same
calls in the same order. The library is silent about many failures; every one known
is checked here.
"""

import contextlib
import ctypes
import os
import shutil
from pathlib import Path

import numpy as np

from chronovox.cli import UserError

try:
    import espeakng_loader
except ImportError:
    raise UserError(
        "the talkers corpus needs the Python package espeakng-loader: install it"
    ) from None

SAMPLING_RATE = 22050
LONGEST_PATH = 120  # characters; the library ends the process at a longer data path

_SYNCHRONOUS, _DO_NOT_EXIT = 2, 0x8000  # espeak_Initialize
_RATE = 1  # espeak_SetParameter
_CHARACTER, _UTF8 = 1, 1  # espeak_Synth
_Callback = ctypes.CFUNCTYPE(
    ctypes.c_int, ctypes.POINTER(ctypes.c_short), ctypes.c_int, ctypes.c_void_p
)


class _VoiceInfo(ctypes.Structure):
    _fields_ = [
        ("name", ctypes.c_char_p),
        ("languages", ctypes.c_char_p),
        ("identifier", ctypes.c_char_p),
    ]


@contextlib.contextmanager
def linked_data(folder):
    """Make `folder` with a data directory for English; yield its absolute path.

    It holds links, and none of the stock variants: with more than 350 voices the
    library finds none. The folder is removed at the end; one that a killed process
    left is made anew.
    """
    folder = Path(folder).absolute()
    data = folder / "espeak-ng-data"
    source = Path(espeakng_loader.get_data_path())
    names = ["phondata", "phonindex", "phontab", "intonations", "en_dict"]
    names += [f"lang/gmw/{path.name}" for path in source.glob("lang/gmw/en*")]
    shutil.rmtree(folder, ignore_errors=True)
    try:
        for name in names:
            if not (source / name).is_file():
                raise UserError(f"{source / name}: missing: reinstall espeakng-loader")
            (data / name).parent.mkdir(parents=True, exist_ok=True)
            (data / name).symlink_to(source / name)
        (data / "voices/!v").mkdir(parents=True)
        yield data
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def variant(name: str, voice: dict[str, float]) -> str:
    """The text of an eSpeak variant file for a voice of `settings.PARAMETERS`."""

    def within(low: float, value: float, high: float) -> int:
        return round(min(max(value, low), high))

    tract, width = voice["tract_pct"], voice["width_pct"]
    base = within(50, 100 * 2 ** (voice["pitch_st"] / 12), 400)
    top = within(base, base * 2 ** (max(voice["range_st"], 0) / 12), 600)
    breath = voice["breath"]
    tone = [
        within(0, level * 10 ** (share * voice["tilt_db"] / 20), 255)
        for level, share in ((170, 0), (135, 0.35), (110, 0.7), (110, 1))
    ]
    lines = [
        "language variant",
        f"name {name}",
        f"pitch {base} {top}",
        f"roughness {within(0, voice['roughness'], 7)}",
        f"flutter {within(0, voice['flutter'], 30)}",
        "breath 0 " + " ".join(f"{within(0, breath, 60)}" for _ in range(6)),
        "tone 600 {} 1200 {} 2000 {} 3000 {}".format(*tone),
    ]
    for formant in range(9):
        factor = 1 + voice.get(f"f{formant}_pct", 0) / 100
        frequency = within(60, tract * factor, 160)
        lines.append(f"formant {formant} {frequency} 100 {within(50, width, 250)}")
    return "\n".join(lines) + "\n"


class Synthesizer:
    """eSpeak NG in this process, once.

    `data` comes from `linked_data`; its path as given must be short: a process
    that works in a deep folder changes into it first. Raises UserError.
    """

    def __init__(self, data, seed: int):
        self._data = Path(data)
        if len(str(data)) > LONGEST_PATH:
            raise UserError(f"{data}: path too long for eSpeak NG")
        self._library = ctypes.CDLL(espeakng_loader.get_library_path())
        self._library.espeak_GetCurrentVoice.restype = ctypes.POINTER(_VoiceInfo)
        self._library.espeak_Synth.argtypes = [
            ctypes.c_char_p, ctypes.c_size_t, ctypes.c_uint, ctypes.c_int,
            ctypes.c_uint, ctypes.c_uint, ctypes.c_void_p, ctypes.c_void_p,
        ]  # fmt: skip
        rate = self._library.espeak_Initialize(
            _SYNCHRONOUS, 0, os.fsencode(data), _DO_NOT_EXIT
        )
        if rate != SAMPLING_RATE:
            raise UserError(
                f"eSpeak NG does not start with the data in {data} ({rate})"
            )
        self._library.espeak_ng_SetRandSeed(ctypes.c_long(seed))
        self._chunks: list[np.ndarray] = []
        self._callback = _Callback(self._collect)
        self._library.espeak_SetSynthCallback(self._callback)

    def _collect(self, samples, count, _events) -> int:
        if samples and count > 0:
            self._chunks.append(np.ctypeslib.as_array(samples, (count,)).copy())
        return 0

    def set_voice(self, accent: str, name: str, text: str) -> None:
        """Speak from now on with this accent and the variant `name` of this text.

        Raises UserError unless the library says that it has loaded both.
        """
        path = self._data / "voices/!v" / name
        path.write_text(text, encoding="ascii")
        try:
            code = self._library.espeak_SetVoiceByName(f"{accent}+{name}".encode())
        finally:
            path.unlink()
        loaded = self._library.espeak_GetCurrentVoice()
        identifier = (loaded.contents.identifier or b"").decode() if loaded else ""
        # The identifier is that of the language file: gmw/en-US+name for en-us+name.
        expected = f"gmw/{accent}+{name}".lower()
        if code != 0 or identifier.lower() != expected:
            raise UserError(
                f"eSpeak NG did not load the voice {accent}+{name} "
                f"(code {code}, current voice '{identifier}')"
            )

    def speak(self, text: str, rate_wpm: float) -> np.ndarray:
        """Samples (N,) int16 at SAMPLING_RATE. Raises UserError if no sound came."""
        self._chunks.clear()
        code = self._library.espeak_SetParameter(_RATE, round(rate_wpm), 0)
        data = text.encode()
        if code == 0:
            code = self._library.espeak_Synth(
                data, len(data) + 1, 0, _CHARACTER, 0, _UTF8, None, None
            )
        samples = np.concatenate([np.zeros(0, np.int16), *self._chunks])
        if code != 0 or not samples.any():
            raise UserError(f"eSpeak NG did not speak '{text}' (code {code})")
        return samples

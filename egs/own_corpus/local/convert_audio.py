#!/usr/bin/env python3
"""Make every recording 16 kHz mono: what is so already is used where it lies.

usage: local/convert_audio.py RECORDINGS AUDIO_DIR CONVERTED
e.g.:  local/convert_audio.py data/local/recordings.1 data/audio data/local/audio.1

Other recordings are written once as FLAC under AUDIO_DIR: channels averaged, the
rate brought down to 16 kHz. CONVERTED gets lines `utterance num_samples path`;
CONVERTED.dropped names what cannot be used and why (unreadable, truncated, silent,
or recorded below 16 kHz: bandwidth that is not there cannot be made up).
"""

import io
from math import gcd
from pathlib import Path

import numpy as np
import soundfile
from scipy.signal import resample_poly

from chronovox import audio, cli, datadir, files
from chronovox.coverage import Coverage

SAMPLING_RATE = 16000


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("recordings", help="lines `utt spk session path`, tabs between")
    parser.add_argument("audio_dir", help="where converted files go")
    parser.add_argument("converted", help="table to write")
    return parser


def to_16k_mono(samples: np.ndarray, rate: int) -> np.ndarray:
    """(N, channels) at `rate` Hz -> (M,) at 16 kHz."""
    mono = samples.mean(axis=1, dtype=np.float64)
    common = gcd(rate, SAMPLING_RATE)
    return resample_poly(mono, SAMPLING_RATE // common, rate // common)


def convert(path: str, target: Path) -> tuple[str, int]:
    """Return (path to use, number of samples). Raises UserError."""
    samples, rate = audio.read_file(path)
    if rate < SAMPLING_RATE:
        raise cli.UserError(f"recorded at {rate} Hz, below {SAMPLING_RATE}")
    lossless = soundfile.info(path).format in ("WAV", "FLAC")
    if rate == SAMPLING_RATE and samples.shape[1] == 1 and lossless:
        return path, len(samples)
    mono = np.clip(to_16k_mono(samples, rate), -1.0, 1.0)
    audio.check_samples(mono)  # channels can cancel each other
    recording = io.BytesIO()  # soundfile hides the errors of a disk
    soundfile.write(recording, mono, SAMPLING_RATE, format="FLAC", subtype="PCM_16")
    with files.atomic_write(target, "wb") as stream:
        stream.write(recording.getvalue())
    return str(target), len(mono)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    audio_dir = Path(args.audio_dir).resolve()
    coverage = Coverage()
    converted = {}
    for line in datadir.read_lines(args.recordings):
        utt, spk, session, path = line.split("\t")
        with coverage.item(utt):
            try:
                used, length = convert(path, audio_dir / spk / session / f"{utt}.flac")
            except cli.UserError as error:
                raise cli.UserError(f"{path}: {error}") from None
            converted[utt] = f"{length} {used}"
    datadir.write_table(args.converted, converted)
    coverage.finish(f"{args.converted}.dropped")
    return 0


if __name__ == "__main__":
    cli.run(main)

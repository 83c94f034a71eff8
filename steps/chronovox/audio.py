"""The recordings of a data directory as samples: wav.scp and segments, checked.

An entry of wav.scp is `path`, `file.ark:offset` (a RIFF or FLAC record inside an
ark) or, if allowed, `command |`. soundfile decodes wav, flac, ogg, opus and mp3.
"""

import io
import struct
from pathlib import Path

import numpy as np
import soundfile

from chronovox import datadir, kaldi_io
from chronovox.cli import UserError

FORMATS = "wav, flac, ogg, opus or mp3"
# A segment may end this much behind its recording, as in Kaldi's extract-segments.
MAX_OVERSHOOT_S = 0.5
# Data sizes that a program writes into a RIFF header when it cannot seek back.
_STREAMED = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MAX_SAMPLES = 2**32  # more than any recording has: 74 hours at 16 kHz


class WavTable:
    """The utterances of a data directory, in sorted order.

    table = WavTable("data/train")
    for utt in table:
        samples, sampling_rate = table.read(utt)

    Raises UserError for a table that is missing, unsorted or has duplicate keys,
    for a segment of an unknown recording, and for a pipe unless `allow_pipes`.
    """

    def __init__(self, data_dir, allow_pipes: bool = False):
        self._scp = Path(data_dir) / "wav.scp"
        self._wavs = datadir.read_table(self._scp, None)
        self._segments = None
        segments = Path(data_dir) / "segments"
        if segments.exists():
            self._segments = datadir.read_segments(segments)
            for utt, (reco, _, _) in self._segments.items():
                if reco not in self._wavs:
                    raise UserError(f"{segments}: {utt}: no '{reco}' in {self._scp}")
        if not allow_pipes:
            self._refuse_pipes()

    def _refuse_pipes(self) -> None:
        for key, rxfile in self._wavs.items():
            if rxfile.endswith("|"):
                raise UserError(
                    f"{self._scp}: {key}: '{rxfile}' is a command to run: if you "
                    "trust this table, give --allow-pipes true"
                )

    def __len__(self) -> int:
        return len(self._wavs if self._segments is None else self._segments)

    def __iter__(self):
        return iter(self._wavs if self._segments is None else self._segments)

    def __contains__(self, utt) -> bool:
        return utt in (self._wavs if self._segments is None else self._segments)

    def read(self, utt: str, sampling_rate: int | None = None):
        """Samples `(N,)` float32 in [-1, 1) and their rate in Hz.

        sampling_rate: the rate that is needed; any other is an error. Raises
        UserError that names utterance, file and remedy for what is missing,
        empty, truncated (ogg and opus do not tell), silent, not mono, not finite,
        or no audio.
        """
        if utt not in self:
            raise UserError(f"{self._scp.parent}: no utterance '{utt}'")
        reco, *span_s = (self._segments or {}).get(utt, (utt,))
        rxfile = self._wavs[reco]
        try:
            samples, rate = _read_recording(rxfile, span_s)
            check_samples(samples)
            if sampling_rate is not None and rate != sampling_rate:
                raise UserError(
                    f"{rate} Hz, but the feature settings say {sampling_rate} Hz: "
                    f"resample it, or use settings with sampling_rate: {rate}"
                )
        except UserError as error:
            raise UserError(f"{utt}: {rxfile}: {error}") from None
        return samples, rate


def read_file(path) -> tuple[np.ndarray, int]:
    """A whole file: samples `(N, channels)` float32 in [-1, 1), and their rate in Hz.

    Raises UserError as `WavTable.read` does, without naming the file; any number of
    channels will do.
    """
    samples, rate = _read_location(kaldi_io.Location(str(path)), [], mono=False)
    check_samples(samples)
    return samples, rate


def check_samples(samples: np.ndarray) -> None:
    """Raise UserError for samples that are not finite, or all the same."""
    low, high = samples.min(), samples.max()
    if not np.isfinite([low, high]).all():
        raise UserError("holds samples that are NaN or infinite: make it again")
    if low == high and len(samples) > 1:
        raise UserError(f"silent: all {len(samples)} samples are {low:g}: remove it")


def _read_recording(rxfile: str, span_s: list[float]):
    """Samples and rate; `span_s` is empty or (start, end) in seconds."""
    if rxfile.endswith("|"):
        data = kaldi_io.run_pipe(rxfile)
        if not data:
            raise UserError("the command printed nothing")
        return _decode(io.BytesIO(data), len(data), span_s)
    location = kaldi_io.parse_location(rxfile)
    if location.ranges:
        raise UserError("a range of a recording: name it whole, and use `segments`")
    return _read_location(location, span_s)


def _read_location(location: kaldi_io.Location, span_s: list[float], mono=True):
    try:
        with _open(location.path) as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            if location.offset is not None:
                data = _ark_record(stream, min(location.offset, size))
                return _decode(io.BytesIO(data), len(data), span_s, mono)
            if size == 0:
                raise UserError("empty file (0 bytes): copy it again or remove it")
            return _decode(stream, size, span_s, mono)
    except OSError as error:
        raise UserError(
            f"cannot be read ({error.strerror}): copy it again or correct wav.scp"
        ) from None


def _open(path: str):
    try:
        return open(path, "rb")
    except FileNotFoundError:
        raise UserError("no such file: correct the path in wav.scp") from None
    except IsADirectoryError:
        raise UserError("a directory: name a file in wav.scp") from None
    except PermissionError:
        raise UserError("no permission to read it: change it with chmod") from None
    except ValueError:
        raise UserError("no file can have this name: correct wav.scp") from None


def _ark_record(stream, offset: int) -> bytes:
    """The RIFF or FLAC record at `offset` of an ark.

    A FLAC record does not tell its length: what follows it is returned as well.
    """
    stream.seek(offset)
    head = stream.read(8)
    if head[:4] == b"RIFF" and len(head) == 8:
        size = struct.unpack("<I", head[4:])[0]
        return head + (stream.read() if size in _STREAMED else stream.read(size))
    if head[:4] == b"fLaC":
        return head + stream.read()
    raise UserError("no RIFF or FLAC record at this offset of the ark")


def _decode(stream, size: int, span_s: list[float], mono: bool = True):
    """Decode a stream of `size` bytes; only the span asked for is read.

    mono: samples `(N,)`, and more channels are an error; else `(N, channels)`.
    """
    if Path(getattr(stream, "name", "")).suffix.lower() == ".raw":
        raise UserError("a .raw file does not tell its format: convert it to wav")
    promised = _riff_samples_bytes(stream, size)
    try:
        with soundfile.SoundFile(stream) as audio:
            if mono and audio.channels != 1:
                raise UserError(
                    f"{audio.channels} channels: make it mono (such as "
                    "`sox in.wav out.wav remix 1` for the first channel)"
                )
            if promised > 0:
                raise UserError(
                    f"truncated: {promised} bytes that its header promises are "
                    "missing: copy it again"
                )
            if audio.frames == 0:
                raise UserError("empty: 0 samples: copy it again or remove it")
            if audio.frames > _MAX_SAMPLES:
                raise UserError("its header does not tell its length: convert it")
            first, last = _span(audio.frames, audio.samplerate, span_s)
            audio.seek(first)
            samples = audio.read(last - first, "float32", always_2d=not mono)
            rate = audio.samplerate
    except soundfile.LibsndfileError as error:
        raise UserError(
            f"damaged, or no audio in {FORMATS} ({error.error_string.strip()}): "
            "copy it again or convert it"
        ) from None
    if len(samples) < last - first:
        raise UserError(
            f"truncated: {len(samples)} of {last - first} samples are there: "
            "copy it again"
        )
    return samples, rate


def _span(num_samples: int, rate: int, span_s: list[float]) -> tuple[int, int]:
    """First and last (excluded) sample, rounded as Kaldi's extract-segments does."""
    if not span_s:
        return 0, num_samples
    first, last = int(span_s[0] * rate), int(span_s[1] * rate)
    overshoot = int(MAX_OVERSHOOT_S * rate)
    if first >= num_samples or last >= num_samples + overshoot or first >= last:
        raise UserError(
            f"segment {span_s[0]:g} s to {span_s[1]:g} s lies beyond the recording of "
            f"{num_samples / rate:g} s: correct `segments`"
        )
    return first, min(last, num_samples)


def _riff_samples_bytes(stream, size: int) -> int:
    """The bytes of samples that a RIFF header promises and that are missing.

    libsndfile reads what there is without a word. 0 for other formats, and where
    the header was written by a program that did not know the length.
    """
    head = stream.read(12)
    position, missing = 12, 0
    if head[:4] == b"RIFF" and head[8:] == b"WAVE":
        while len(chunk := stream.read(8)) == 8:
            length = struct.unpack("<I", chunk[4:])[0]
            position += 8
            if chunk[:4] == b"data":
                if length not in _STREAMED:
                    missing = max(0, position + length - size)
                break
            position += length + length % 2
            stream.seek(position)
    stream.seek(0)
    return missing

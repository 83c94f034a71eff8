"""One stream of sound: its samples, or its length by the header alone.

soundfile decodes wav, flac, ogg, opus and mp3, and PyAV (FFmpeg) m4a. Whatever is
wrong raises UserError with the remedy; callers add the name.
"""

import contextlib
import io
import re
import struct
from pathlib import Path
from typing import NamedTuple

import numpy as np
import soundfile

from chronovox.cli import UserError

FORMATS = "wav, flac, ogg, opus, mp3 or m4a"
BY_FFMPEG = (".m4a", ".mp4")
_AAC_DELAY = 4096  # samples of an encoder's start that a length may count
# A segment may end this much behind its recording, as in Kaldi's extract-segments.
MAX_OVERSHOOT_S = 0.5
# Data sizes that a program writes into a RIFF header when it cannot seek back.
_STREAMED = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_MAX_SAMPLES = 2**32  # more than any recording has: 74 hours at 16 kHz
_SAMPLES_PER_BYTE = 8192  # more than FLAC makes of silence: 65535 in 13 bytes


_HEAD = 1024  # bytes of a record, in which its length stands


class Source(NamedTuple):
    """A stream, its size in bytes, and who reads it how.

    by_ffmpeg: not soundfile but FFmpeg. ends: whether it ends with the recording;
    if not, a search for a place in it would find one in what follows.
    """

    stream: io.IOBase
    size: int
    by_ffmpeg: bool = False
    ends: bool = True


def decode(source: Source, span_s: list[float], mono: bool, part: slice = slice(None)):
    """Samples float32 in [-1, 1) and their rate in Hz; only the span is read.

    span_s: empty, or start and end in seconds. part: which samples of the span.
    mono: samples `(N,)`, and more channels are an error; else `(N, channels)`.
    """
    if source.by_ffmpeg:
        return _decode_by_ffmpeg(source.stream, span_s, mono, part)
    return _decode(source, span_s, mono, part)


def read_length(source: Source) -> tuple[int, int]:
    """The number of samples of a mono recording, and their rate in Hz.

    Nothing is decoded: a few kB are read, of ogg and opus the end too.
    """
    if source.by_ffmpeg:
        with _opened_by_ffmpeg(source.stream, mono=True) as (_, audio):
            if not audio.duration:
                raise UserError("its header does not tell its length: convert it")
            return round(audio.duration * audio.time_base * audio.rate), audio.rate
    with _opened(source, mono=True) as audio:
        return audio.frames, audio.samplerate


def length_comment(num_bytes: int) -> str:
    """The comment by which a FLAC record in an ark tells its length."""
    return f"bytes={num_bytes:010d}"


class _Part(io.RawIOBase):
    """`size` bytes of a stream from `begin` on, as a stream of their own."""

    def __init__(self, stream, begin: int, size: int):
        self._stream, self._begin, self._size = stream, begin, size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {0: 0, 1: self._place, 2: self._size}[whence]
        return self._place

    def readinto(self, buffer) -> int:
        count = max(0, min(len(buffer), self._size - self._place))
        self._stream.seek(self._begin + self._place)
        data = self._stream.read(count)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def ark_record(stream, offset: int, size: int) -> Source:
    """The RIFF or FLAC record at `offset` of an ark of `size` bytes.

    A FLAC record of ours tells its length in a comment. Of any other, what follows it
    belongs to the source.
    """
    stream.seek(offset)
    head = stream.read(_HEAD)
    rest = size - offset
    if head[:4] == b"RIFF" and len(head) >= 8:
        length = struct.unpack("<I", head[4:8])[0]
        whole = rest if length in _STREAMED else min(rest, length + 8)
        return Source(_Part(stream, offset, whole), whole)
    if head[:4] == b"fLaC":
        if found := re.search(rb"(?i:comment)=bytes=(\d{10})", head):
            whole = min(rest, int(found[1]))
            return Source(_Part(stream, offset, whole), whole)
        return Source(_Part(stream, offset, rest), rest, ends=False)
    raise UserError("no RIFF or FLAC record at this offset of the ark")


@contextlib.contextmanager
def _opened_by_ffmpeg(stream, mono: bool):
    """Yield the container and its first audio stream; errors become UserError."""
    import av

    try:
        # By its content alone, a playlist would be one: it opens other files.
        with av.open(stream, format="mp4") as container:
            audio = container.streams.audio[0]
            if mono and audio.channels != 1:
                raise UserError(
                    f"{audio.channels} channels: make it mono (such as "
                    "`ffmpeg -i in.m4a -ac 1 out.wav`)"
                )
            yield container, audio
    except (
        av.error.FFmpegError, IndexError, AttributeError, UnicodeDecodeError,
    ) as error:  # fmt: skip
        raise UserError(
            f"damaged, or no audio in {FORMATS} ({error}): copy it again or convert it"
        ) from None


def _decode_by_ffmpeg(stream, span_s: list[float], mono: bool, part: slice):
    """Decode a whole m4a, without the padding behind its end, and cut the span."""
    import av

    with _opened_by_ffmpeg(stream, mono) as (container, audio):
        rate = audio.rate
        resampler = av.AudioResampler(format="fltp")
        blocks = [
            block.to_ndarray()
            for frame in [*container.decode(audio), None]
            for block in resampler.resample(frame)
        ]
        duration = audio.duration and audio.duration * audio.time_base
    if not blocks:
        raise UserError("empty: 0 samples: copy it again or remove it")
    samples = np.concatenate(blocks, axis=1)
    wanted = round(duration * rate) if duration else samples.shape[1]
    if samples.shape[1] < wanted - _AAC_DELAY:
        raise UserError(
            f"truncated: {samples.shape[1]} of {wanted} samples are there: "
            "copy it again"
        )
    first, last = span(min(wanted, samples.shape[1]), rate, span_s)
    samples = samples[:, first:last][:, part]
    return (samples[0] if mono else samples.T), rate


@contextlib.contextmanager
def _opened(source: Source, mono: bool):
    """Yield a soundfile over a source, its header checked; errors as UserError."""
    stream, size = source.stream, source.size
    if Path(getattr(stream, "name", "")).suffix.lower() == ".raw":
        raise UserError("a .raw file does not tell its format: convert it to wav")
    missing = _riff_samples_bytes(stream, size)
    try:
        with soundfile.SoundFile(stream) as audio:
            if mono and audio.channels != 1:
                raise UserError(
                    f"{audio.channels} channels: make it mono (such as "
                    "`sox in.wav out.wav remix 1` for the first channel)"
                )
            if missing > 0:
                raise UserError(
                    f"truncated: {missing} bytes that its header promises are "
                    "missing: copy it again"
                )
            if audio.frames == 0:
                raise UserError("empty: 0 samples: copy it again or remove it")
            if audio.frames > _MAX_SAMPLES:
                raise UserError("its header does not tell its length: convert it")
            if audio.frames > size * _SAMPLES_PER_BYTE:
                raise UserError(
                    f"its header promises {audio.frames} samples in {size} bytes: "
                    "copy it again or convert it"
                )
            yield audio
    except soundfile.LibsndfileError as error:
        raise UserError(
            f"damaged, or no audio in {FORMATS} ({error.error_string.strip()}): "
            "copy it again or convert it"
        ) from None


def _decode(source: Source, span_s: list[float], mono: bool, part: slice):
    with _opened(source, mono) as audio:
        begin, end = span(audio.frames, audio.samplerate, span_s)
        first, last = (begin + place for place in part.indices(end - begin)[:2])
        if source.ends:
            audio.seek(first)
            samples = audio.read(last - first, "float32", always_2d=not mono)
        else:  # soundfile seeks even behind what it has read, but for all of it
            samples = audio.read(-1, "float32", always_2d=not mono)[first:last]
        rate = audio.samplerate
    if len(samples) < last - first:
        raise UserError(
            f"truncated: {len(samples)} of {last - first} samples are there: "
            "copy it again"
        )
    return samples, rate


def span(num_samples: int, rate: int, span_s: list[float]) -> tuple[int, int]:
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

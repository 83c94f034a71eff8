"""The recordings of a data directory as samples: wav.scp and segments, checked.

An entry of wav.scp is `path`, `file.ark:offset` (a RIFF or FLAC record inside an
ark) or, if allowed, `command |`. soundfile decodes wav, flac, ogg, opus and mp3,
and PyAV (FFmpeg) m4a, which VoxCeleb2 is made of.
"""

import io
import struct
from pathlib import Path

import numpy as np
import soundfile

from chronovox import datadir, kaldi_io
from chronovox.cli import UserError

FORMATS = "wav, flac, ogg, opus, mp3 or m4a"
_BY_FFMPEG = (".m4a", ".mp4")
_AAC_DELAY = 4096  # samples of an encoder's start that a length may count
# A segment may end this much behind its recording, as in Kaldi's extract-segments.
MAX_OVERSHOOT_S = 0.5
# Data sizes that a program writes into a RIFF header when it cannot seek back.
_STREAMED = (0x7FFFFFFF, 0x80000000, 0xFFFFFFFF)
_FULL_SCALE = 32767 / 32768
_MAX_SAMPLES = 2**32  # more than any recording has: 74 hours at 16 kHz
_SAMPLES_PER_BYTE = 8192  # more than FLAC makes of silence: 65535 in 13 bytes


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
                record = _ark_record(stream, min(location.offset, size), size)
                return _decode(record, record.size, span_s, mono)
            if size == 0:
                raise UserError("empty file (0 bytes): copy it again or remove it")
            if location.path.lower().endswith(_BY_FFMPEG):
                return _decode_by_ffmpeg(stream, span_s, mono)
            return _decode(stream, size, span_s, mono)
    except OSError as error:
        raise UserError(
            f"cannot be read ({error.strerror}): copy it again or correct wav.scp"
        ) from None


def _open(path: str):
    try:
        return kaldi_io.open_file(path)
    except FileNotFoundError:
        raise UserError("no such file: correct the path in wav.scp") from None
    except IsADirectoryError:
        raise UserError("a directory: name a file in wav.scp") from None
    except PermissionError:
        raise UserError("no permission to read it: change it with chmod") from None
    except ValueError:
        raise UserError("no file can have this name: correct wav.scp") from None


class _Part(io.RawIOBase):
    """`size` bytes of a stream from `begin` on, as a stream of their own."""

    def __init__(self, stream, begin: int, size: int):
        self._stream, self._begin, self.size = stream, begin, size
        self._place = 0

    def readable(self) -> bool:
        return True

    def seekable(self) -> bool:
        return True

    def tell(self) -> int:
        return self._place

    def seek(self, offset: int, whence: int = io.SEEK_SET) -> int:
        self._place = offset + {0: 0, 1: self._place, 2: self.size}[whence]
        return self._place

    def readinto(self, buffer) -> int:
        count = max(0, min(len(buffer), self.size - self._place))
        self._stream.seek(self._begin + self._place)
        data = self._stream.read(count)
        buffer[: len(data)] = data
        self._place += len(data)
        return len(data)


def _ark_record(stream, offset: int, size: int) -> _Part:
    """The RIFF or FLAC record at `offset` of an ark of `size` bytes.

    A FLAC record does not tell its length: what follows it belongs to the part.
    """
    stream.seek(offset)
    head = stream.read(8)
    rest = size - offset
    if head[:4] == b"RIFF" and len(head) == 8:
        length = struct.unpack("<I", head[4:])[0]
        whole = rest if length in _STREAMED else min(rest, length + 8)
        return _Part(stream, offset, whole)
    if head[:4] == b"fLaC":
        return _Part(stream, offset, rest)
    raise UserError("no RIFF or FLAC record at this offset of the ark")


def flac_record(samples: np.ndarray, sampling_rate: int) -> bytes:
    """Samples `(N,)` as a 16-bit FLAC file; what is above full scale is scaled down."""
    peak = float(np.abs(samples).max(initial=0.0))
    if peak > _FULL_SCALE:
        samples = samples * (_FULL_SCALE / peak)
    stream = io.BytesIO()
    soundfile.write(stream, samples, sampling_rate, "PCM_16", format="FLAC")
    return stream.getvalue()


def _decode_by_ffmpeg(stream, span_s: list[float], mono: bool):
    """Decode a whole m4a, without the padding behind its end, and cut the span."""
    import av

    try:
        # By its content alone, a playlist would be one: it opens other files.
        with av.open(stream, format="mp4") as container:
            audio = container.streams.audio[0]
            rate = audio.rate
            if mono and audio.channels != 1:
                raise UserError(
                    f"{audio.channels} channels: make it mono (such as "
                    "`ffmpeg -i in.m4a -ac 1 out.wav`)"
                )
            resampler = av.AudioResampler(format="fltp")
            blocks = [
                block.to_ndarray()
                for frame in [*container.decode(audio), None]
                for block in resampler.resample(frame)
            ]
            duration = audio.duration and audio.duration * audio.time_base
    except (
        av.error.FFmpegError, IndexError, AttributeError, UnicodeDecodeError,
    ) as error:  # fmt: skip
        raise UserError(
            f"damaged, or no audio in {FORMATS} ({error}): copy it again or convert it"
        ) from None
    if not blocks:
        raise UserError("empty: 0 samples: copy it again or remove it")
    samples = np.concatenate(blocks, axis=1)
    wanted = round(duration * rate) if duration else samples.shape[1]
    if samples.shape[1] < wanted - _AAC_DELAY:
        raise UserError(
            f"truncated: {samples.shape[1]} of {wanted} samples are there: "
            "copy it again"
        )
    first, last = _span(min(wanted, samples.shape[1]), rate, span_s)
    samples = samples[:, first:last]
    return (samples[0] if mono else samples.T), rate


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
            if audio.frames > size * _SAMPLES_PER_BYTE:
                raise UserError(
                    f"its header promises {audio.frames} samples in {size} bytes: "
                    "copy it again or convert it"
                )
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

"""The recordings of a data directory as samples: wav.scp and segments, checked.

An entry of wav.scp is `path`, `file.ark:offset` (a RIFF or FLAC record inside an
ark) or, if allowed, `command |`. The formats are those of chronovox.sound; m4a is
what VoxCeleb2 is made of.
"""

import contextlib
import io
from pathlib import Path

import numpy as np
import soundfile

from chronovox import datadir, kaldi_io, sound
from chronovox.cli import UserError

_FULL_SCALE = 32767 / 32768


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
        wavs = datadir.read_table(self._scp, None)
        self._wavs, self._segments = datadir.TextTable(wavs), None
        self.utts = self._wavs.names
        segments = Path(data_dir) / "segments"
        if segments.exists():
            parts = datadir.read_segments(segments)
            for utt, (reco, _, _) in parts.items():
                if reco not in wavs:
                    raise UserError(f"{segments}: {utt}: no '{reco}' in {self._scp}")
            self._segments = datadir.TextTable(
                {utt: " ".join(map(str, part)) for utt, part in parts.items()}
            )
            self.utts = self._segments.names
        self._lengths: dict[str, tuple[int, int]] = {}
        if not allow_pipes:
            self._refuse_pipes(wavs)

    def _refuse_pipes(self, wavs: dict[str, str]) -> None:
        for key, rxfile in wavs.items():
            if rxfile.endswith("|"):
                raise UserError(
                    f"{self._scp}: {key}: '{rxfile}' is a command to run: if you "
                    "trust this table, give --allow-pipes true"
                )

    def __len__(self) -> int:
        return len(self.utts)

    def __iter__(self):
        return iter(self.utts)

    def __contains__(self, utt) -> bool:
        return utt in (self._wavs if self._segments is None else self._segments)

    def read(
        self, utt: str, sampling_rate: int | None = None, part: slice = slice(None)
    ):
        """Samples `(N,)` float32 in [-1, 1) and their rate in Hz.

        sampling_rate: the rate that is needed; any other is an error. part: which
        samples; the others are not read, and those may be silent. Raises
        UserError that names utterance, file and remedy for what is missing,
        empty, truncated (ogg and opus do not tell), silent, not mono, not finite,
        or no audio.
        """
        rxfile, span_s = self._entry(utt)
        with _named(f"{utt}: {rxfile}"):
            with _source(rxfile) as source:
                samples, rate = sound.decode(source, span_s, True, part)
            check_samples(samples, silent=part != slice(None))
            if sampling_rate is not None and rate != sampling_rate:
                raise UserError(
                    f"{rate} Hz, but the feature settings say {sampling_rate} Hz: "
                    f"resample it, or use settings with sampling_rate: {rate}"
                )
        return samples, rate

    def length(self, utt: str) -> tuple[int, int]:
        """The number of samples that `read` gives, and their rate in Hz.

        From headers alone; what they show to be wrong raises UserError as in `read`,
        and so does a wav that lacks samples, by its size. A flac or m4a cut off
        behind its header counts as whole, and the length of an m4a may count up to
        4096 samples of its encoder's start. An mp3 may only hold an estimate.
        """
        rxfile, span_s = self._entry(utt)
        with _named(f"{utt}: {rxfile}"):
            if rxfile in self._lengths:
                num_samples, rate = self._lengths[rxfile]
            else:
                with _source(rxfile) as source:
                    num_samples, rate = sound.read_length(source)
            if span_s:  # other utterances may be parts of this recording
                self._lengths[rxfile] = num_samples, rate
            first, last = sound.span(num_samples, rate, span_s)
        return last - first, rate

    def digest(self) -> bytes:
        """The segments, as bytes to hash."""
        if self._segments is None:
            return b"None"
        return repr({utt: self._segment(utt) for utt in self.utts}).encode()

    def file(self, utt: str) -> str:
        """The file where the recording of an utterance is; of a pipe, the command."""
        rxfile, _ = self._entry(utt)
        return rxfile if rxfile.endswith("|") else kaldi_io.parse_location(rxfile).path

    def duration_s(self, utt: str) -> float:
        """`length` in seconds, as it stands in utt2dur."""
        num_samples, rate = self.length(utt)
        return round(num_samples / rate, 6)

    def _entry(self, utt: str) -> tuple[str, list[float]]:
        """Where the recording of an utterance is, and its start and end if a part."""
        try:
            reco, *span_s = self._segment(utt)
            return self._wavs[reco], span_s
        except KeyError:
            raise UserError(f"{self._scp.parent}: no utterance '{utt}'") from None

    def _segment(self, utt: str) -> tuple:
        if self._segments is None:
            return (utt,)
        reco, start_s, end_s = self._segments[utt].split()
        return reco, float(start_s), float(end_s)


@contextlib.contextmanager
def _named(name: str):
    """Put `name` before the message of a UserError."""
    try:
        yield
    except UserError as error:
        raise UserError(f"{name}: {error}") from None


def read_file(path) -> tuple[np.ndarray, int]:
    """A whole file: samples `(N, channels)` float32 in [-1, 1), and their rate in Hz.

    Raises UserError as `WavTable.read` does, without naming the file; any number of
    channels will do.
    """
    with _located(kaldi_io.Location(str(path))) as source:
        samples, rate = sound.decode(source, [], mono=False)
    check_samples(samples)
    return samples, rate


def read_entry(rxfile: str) -> tuple[np.ndarray, int]:
    """The whole recording of an entry of wav.scp: samples `(N,)` float32, and Hz.

    Raises UserError as `WavTable.read` does; pipes are not run.
    """
    with _located(kaldi_io.parse_location(rxfile)) as source:
        return sound.decode(source, [], mono=True)


def is_audio(rxfile: str) -> bool:
    """Whether a recording begins where an entry of an scp points to: RIFF or FLAC."""
    if rxfile.endswith("|"):
        return False
    location = kaldi_io.parse_location(rxfile)
    with _open(location.path) as stream:
        stream.seek(location.offset or 0)
        return stream.read(4) in (b"RIFF", b"fLaC")


def check_samples(samples: np.ndarray, silent: bool = False) -> None:
    """Raise UserError for samples that are not finite, or, unless silent, all equal."""
    if len(samples) == 0:
        raise UserError("there are no samples in the part that is wanted")
    low, high = samples.min(), samples.max()
    if not np.isfinite([low, high]).all():
        raise UserError("holds samples that are NaN or infinite: make it again")
    if not silent and low == high and len(samples) > 1:
        raise UserError(f"silent: all {len(samples)} samples are {low:g}: remove it")


@contextlib.contextmanager
def _source(rxfile: str):
    """Yield the recording of an entry of wav.scp."""
    if rxfile.endswith("|"):
        data = kaldi_io.run_pipe(rxfile)
        if not data:
            raise UserError("the command printed nothing")
        yield sound.Source(io.BytesIO(data), len(data))
        return
    location = kaldi_io.parse_location(rxfile)
    if location.ranges:
        raise UserError("a range of a recording: name it whole, and use `segments`")
    with _located(location) as source:
        yield source


@contextlib.contextmanager
def _located(location: kaldi_io.Location):
    """Yield the recording in a file, or at an offset of an ark."""
    try:
        with _open(location.path) as stream:
            size = stream.seek(0, io.SEEK_END)
            stream.seek(0)
            if location.offset is not None:
                yield sound.ark_record(stream, min(location.offset, size), size)
                return
            if size == 0:
                raise UserError("empty file (0 bytes): copy it again or remove it")
            by_ffmpeg = location.path.lower().endswith(sound.BY_FFMPEG)
            yield sound.Source(stream, size, by_ffmpeg)
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


def flac_record(samples: np.ndarray, sampling_rate: int) -> bytes:
    """Samples `(N,)` as a 16-bit FLAC file; what is above full scale is scaled down.

    It tells its length in bytes, so that it can be found among others in an ark.
    """
    peak = max(samples.max(initial=0.0) / _FULL_SCALE, -samples.min(initial=0.0))
    if peak > 1:
        samples = samples / peak
    stream = io.BytesIO()
    with soundfile.SoundFile(
        stream, "w", sampling_rate, 1, "PCM_16", format="FLAC"
    ) as audio:
        audio.comment = sound.length_comment(0)
        audio.write(samples)
    record = stream.getvalue()
    unknown, known = sound.length_comment(0), sound.length_comment(len(record))
    return record.replace(unknown.encode(), known.encode(), 1)

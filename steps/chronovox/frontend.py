"""What a network sees of a data directory: voiced frames, mean-normalised.

Training reads pieces of utterances and extraction whole ones, both from here, so
that the two cannot drift apart. Voiced frames are selected first; the mean is
that of the frames selected.
"""

import hashlib
import math
import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from chronovox import augment, kaldi_io
from chronovox.audio import WavTable
from chronovox.cli import UserError
from chronovox.datadir import Texts, read_floats, read_table
from chronovox.features import Extractor, FeatureConfig, apply_cmn

MAX_LACK_S = 0.5  # that a recording may be shorter than the tables say
_SPARE = 4  # frames behind a piece, as tempo moves its end


@dataclass(frozen=True)
class FrontendConfig:
    """cmn: subtract no mean, that of what is read, or a sliding one of 300 frames.

    vad: keep the frames that vad.scp marks as voiced.
    """

    cmn: Literal["none", "utterance", "sliding"] = "utterance"
    vad: bool = True


class VoicedFrames:
    """Which frames of some utterances of a data directory are read.

    num_frames `(N,)`: of each of `utts`, frames there are to read (voiced ones,
    with VAD); a row is a place in both. utts: those wanted; all by default.
    features: the settings by which lengths follow from utt2dur, where no features
    are made. Raises UserError for an utterance without a length, without VAD, or
    whose VAD has another length.
    """

    def __init__(self, data_dir, config: FrontendConfig, utts=None, features=None):
        path = Path(data_dir) / "utt2num_frames"
        if features and not path.exists():
            path = path.with_name("utt2dur")
            lengths = _lengths_by_duration(path, features)
        else:
            lengths = {
                utt: _parse_length(text, f"{path}: {utt}")
                for utt, text in read_table(path).items()
            }
        lengths = _pick(lengths, list(lengths) if utts is None else utts, path)
        self.utts = Texts(lengths)
        self.num_frames = np.fromiter(lengths.values(), np.int64)
        self._voiced = None  # one bit a frame, whole bytes an utterance
        if config.vad:
            self._ends = np.cumsum(-(-self.num_frames // 8))
            self._voiced = self._read_vad(Path(data_dir) / "vad.scp", path)

    def _read_vad(self, scp: Path, path: Path) -> np.ndarray:
        voiced_bits = bytearray()
        if not scp.exists():
            raise UserError(
                f"{scp}: no such file: run steps/compute_vad.sh, or set `vad: false` "
                "in `frontend` of the settings"
            )
        rxfiles = _pick(read_table(scp, None), list(self.utts), scp)
        for row, (utt, rxfile) in enumerate(rxfiles.items()):
            voiced = kaldi_io.read_vector(rxfile) > 0
            if len(voiced) != self.num_frames[row]:
                raise UserError(
                    f"{scp}: {utt}: {len(voiced)} frames, but {path} says "
                    f"{self.num_frames[row]}: run compute_vad.sh again"
                )
            voiced_bits += np.packbits(voiced).tobytes()
            self.num_frames[row] = voiced.sum()
        return np.frombuffer(voiced_bits, np.uint8)

    def places(self, row: int, first: int, last: int) -> np.ndarray:
        """Where frames `first` up to `last` (excluded) are in the recording."""
        if self._voiced is None:
            return np.arange(first, last)
        begin = self._ends[row - 1] if row else 0
        voiced = np.unpackbits(self._voiced[begin : self._ends[row]])
        return np.flatnonzero(voiced)[first:last]

    def digest(self) -> bytes:
        """Utterances, lengths and VAD decisions, as bytes to hash."""
        counts = zip(self.utts, self.num_frames.tolist(), strict=True)
        voiced = b"" if self._voiced is None else self._voiced.tobytes()
        return b"".join(f"{utt} {count} ".encode() for utt, count in counts) + voiced


class FrameTable:
    """The frames of some utterances of a data directory, read by offset.

    num_frames `(N,)`: of each utterance, frames there are to read (voiced ones, with
    VAD); a row is a place in it. utts: those wanted; all of feats.scp by default.
    Raises UserError for an utterance without features, and as VoicedFrames does.
    """

    def __init__(self, data_dir, config: FrontendConfig, utts=None):
        self._config = config
        self._scp = Path(data_dir) / "feats.scp"
        feats = read_table(self._scp, None)
        utts = list(feats) if utts is None else list(utts)
        self._rxfiles = Texts(_pick(feats, utts, self._scp).values())
        self._voiced = VoicedFrames(data_dir, config, utts)
        self.utts, self.num_frames = self._voiced.utts, self._voiced.num_frames

    def read(self, row: int, first: int = 0, last: int | None = None) -> np.ndarray:
        """Frames `first` up to `last` (excluded) of `num_frames[row]`, `(T, F)`.

        Only the rows of the ark that cover them are read. Raises UserError that
        names the utterance for features that are missing, short or not finite.
        """
        last = int(self.num_frames[row]) if last is None else last
        keep = self._voiced.places(row, first, last)
        there = slice(int(keep[0]), int(keep[-1]) + 1)
        where = f"{self._scp}: {self.utts[row]}"
        try:
            features = kaldi_io.read_matrix(self._rxfiles[row], there)
        except UserError as error:
            raise UserError(f"{where}: {error}") from None
        if len(keep) < there.stop - there.start:
            features = features[keep - keep[0]]
        if not np.isfinite(features).all():
            raise UserError(f"{where}: features hold NaN or infinity: make them again")
        return apply_cmn(features, self._config.cmn)

    def piece(self, row: int, num_frames: int, rng) -> np.ndarray:
        """`num_frames` frames from a random place, `(T, F)`.

        An utterance shorter than that is repeated.
        """
        there = int(self.num_frames[row])
        if there >= num_frames:
            first = int(rng.integers(there - num_frames + 1))
            return self.read(row, first, first + num_frames)
        return repeat(self.read(row), num_frames, rng)

    def file(self, row: int) -> str:
        """The ark where the features of an utterance are."""
        return kaldi_io.parse_location(self._rxfiles[row]).path

    def digest(self, probes) -> str:
        """A hash of lengths and VAD, and of the features of the rows `probes`."""
        digest = hashlib.sha256(self._voiced.digest())
        for row in probes:
            digest.update(self.read(row).tobytes())
        return digest.hexdigest()


class Copies:
    """Texts with each of `prefixes` before them in turn, made when asked for."""

    def __init__(self, texts: Texts, prefixes: list[str]):
        self._texts, self._prefixes = texts, prefixes

    def __len__(self) -> int:
        return len(self._prefixes) * len(self._texts)

    def __iter__(self) -> Iterator[str]:
        return (prefix + text for prefix in self._prefixes for text in self._texts)

    def __getitem__(self, row):
        number, row = divmod(row, len(self._texts))
        return self._prefixes[number] + self._texts[row]


class AudioTable:
    """Pieces of recordings, changed at random, as features: for training alone.

    Every utterance is there once for each speed; at a speed other than 1, both it
    and its speaker get the prefix `sp<speed>-`, as Kaldi names them. `utts`, `spks`,
    num_frames `(N,)`: all of them at the first speed, then at the next; VAD is that
    of the recordings as they are. Features need not have been made, if VAD is off:
    lengths then are those of utt2dur. Raises UserError as FrameTable and WavTable do.
    """

    def __init__(
        self,
        data_dir,
        config: FrontendConfig,
        features: FeatureConfig,
        changes: augment.AugmentConfig,
    ):
        self._config, self._changes = config, changes
        self._voiced = VoicedFrames(data_dir, config, features=features)
        self._wavs = WavTable(data_dir)
        self._extractor = Extractor(features)
        utts, path = list(self._voiced.utts), Path(data_dir) / "utt2spk"
        utt2spk = _pick(read_table(path), utts, path)
        self._spks = Texts(utt2spk.values())
        _pick(dict.fromkeys(self._wavs), utts, path.with_name("wav.scp"))
        prefixes = ["" if speed == 1 else f"sp{speed:g}-" for speed in changes.speeds]
        self.utts = Copies(self._voiced.utts, prefixes)
        self.spks = Copies(self._spks, prefixes)
        # Frames before and behind a piece, so that its own are whole.
        self._margin = math.ceil(features.length / features.shift)
        self._augmenter = augment.Augmenter(
            changes, features.sampling_rate, self._wavs, utt2spk
        )
        _check_copies(utts, prefixes, changes.speeds, path)
        there = self._voiced.num_frames
        self.num_frames = np.concatenate(
            [(there / speed).astype(np.int64) for speed in changes.speeds]
        )

    def file(self, row: int) -> str:
        """The file where the recording of an utterance is."""
        return self._wavs.file(self._voiced.utts[row % len(self._voiced.utts)])

    def piece(self, row: int, num_frames: int, rng) -> np.ndarray:
        """`num_frames` frames `(T, F)` of a random piece; a short one is repeated."""
        samples, rows = self._cut(row, num_frames, rng)
        return apply_cmn(self._extractor(samples)[rows], self._config.cmn)

    def wave(self, row: int, num_frames: int, rng) -> tuple[np.ndarray, np.ndarray]:
        """The piece before its features, for `features`: samples and row numbers."""
        samples, rows = self._cut(row, num_frames, rng)
        return self._extractor.padded(samples), rows

    def features(self, waves, rows):
        """What `piece` gives, of several waves at once, on their device.

        waves: `(B, N)` with zeros behind; rows `(B, T)`. Returns `(B, T, F)`.
        """
        features = self._extractor.batch(waves)
        rows = rows[:, :, None].expand(-1, -1, features.shape[2])
        features = features.gather(1, rows)
        if self._config.cmn == "utterance":
            features = features - features.double().mean(dim=1, keepdim=True).float()
        return features

    def _cut(self, row: int, num_frames: int, rng) -> tuple[np.ndarray, np.ndarray]:
        """The samples `(N,)` of a random piece, and those `(num_frames,)` of its
        frames that count: the voiced ones, again and again if they are too few.
        """
        number, row = divmod(row, len(self._voiced.utts))
        speed = self._changes.speeds[number]
        low, high = self._changes.tempo
        tempo = rng.uniform(low, high) if low < high else low
        there = int(self._voiced.num_frames[row])
        wanted = min(there, math.ceil(num_frames * speed * tempo))
        first = int(rng.integers(there - wanted + 1)) if wanted < there else 0
        places = self._voiced.places(row, first, first + wanted + _SPARE)
        begin = max(0, int(places[0]) - self._margin)
        original = self._read(self._voiced.utts[row], begin, int(places[-1]) + 1)
        rate = self._extractor.config.sampling_rate
        samples = augment.change_speed(original, speed)
        samples = augment.change_tempo(samples, tempo, rate)
        samples = self._augmenter(samples, self._spks[row], rng)
        # Frame n shows what was so many times n frames behind the beginning.
        ratio = len(original) / len(samples)
        frames = np.arange(self._extractor.config.num_frames(len(samples)))
        before = begin + np.rint(frames * ratio).astype(int)
        rows = np.flatnonzero(np.isin(before, places))[:num_frames]
        if len(rows) < num_frames:
            rows = repeat(rows, num_frames, rng)
        return samples, rows

    def _read(self, utt: str, begin: int, end: int) -> np.ndarray:
        """The samples of frames `begin` to `end` (excluded), and a margin behind."""
        rate, shift = self._extractor.config.sampling_rate, self._extractor.config.shift
        part = slice(begin * shift, (end + self._margin) * shift)
        samples, _ = self._wavs.read(utt, rate, part)
        lack = (end - begin) * shift - len(samples)
        if lack > min(MAX_LACK_S * rate, (end - begin) * shift / 2):
            raise UserError(
                f"{utt}: its recording ends {lack / rate:.2f} s before its table of "
                "lengths says: make features again, or run steps/get_utt2dur.sh"
            )
        return samples

    def digest(self, probes) -> str:
        """A hash of lengths, VAD and noises, and of the recordings of rows `probes`."""
        digest = hashlib.sha256(self._voiced.digest())
        digest.update(self._augmenter.digest())
        digest.update(self._wavs.digest())
        for row in probes:
            utt = self._voiced.utts[row % len(self._voiced.utts)]
            digest.update(self._wavs.read(utt)[0].tobytes())
        return digest.hexdigest()


def repeat(frames: np.ndarray, num_frames: int, rng) -> np.ndarray:
    """Frames `(T, ...)` from a random one on, again and again, `num_frames` in all."""
    rows = int(rng.integers(len(frames))) + np.arange(num_frames)
    return frames.take(rows, axis=0, mode="wrap")


def _check_copies(utts: list[str], prefixes: list[str], speeds, path) -> None:
    """Raise UserError for a copy whose name is that of one before it."""
    known = set(utts)
    for number, (prefix, speed) in enumerate(zip(prefixes, speeds, strict=True)):
        for name in (prefix + utt for utt in utts):
            for other in prefixes[:number]:
                if name.startswith(other) and name.removeprefix(other) in known:
                    raise UserError(
                        f"{path}: '{name}' is there already, which a copy at speed "
                        f"{speed:g} would be: rename it, or leave speeds out"
                    )


def _pick(table: dict, utts: list[str], path) -> dict:
    """The entries of `utts`. Raises UserError that counts and names missing ones."""
    missing = [utt for utt in utts if utt not in table]
    if missing:
        raise UserError(
            f"{path}: no line for {len(missing)} of {len(utts)} utterances, first "
            f"'{missing[0]}': make it again, or run utils/fix_data_dir.py "
            f"{Path(path).parent}"
        )
    return {utt: table[utt] for utt in utts}


def _lengths_by_duration(path: Path, features: FeatureConfig) -> dict[str, int]:
    if not path.exists():
        raise UserError(
            f"{path}: no such file, nor utt2num_frames: make features, or run "
            f"steps/get_utt2dur.sh {path.parent}"
        )
    return {
        utt: features.num_frames(round(dur_s * features.sampling_rate))
        for utt, dur_s in read_floats(path).items()
    }


def _parse_length(text: str, where: str) -> int:
    if not re.fullmatch("0*[1-9][0-9]{0,11}", text):
        raise UserError(f"{where}: '{text}' is not a number of frames")
    return int(text)

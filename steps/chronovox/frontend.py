"""What a network sees of a data directory: voiced frames, mean-normalised.

Training reads pieces of utterances and extraction whole ones, both from here, so
that the two cannot drift apart. Voiced frames are selected first; the mean is
that of the frames selected.
"""

from dataclasses import dataclass
from pathlib import Path
from typing import Literal

import numpy as np

from chronovox import kaldi_io
from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.features import apply_cmn


@dataclass(frozen=True)
class FrontendConfig:
    """cmn: subtract no mean, that of what is read, or a sliding one of 300 frames.

    vad: keep the frames that vad.scp marks as voiced.
    """

    cmn: Literal["none", "utterance", "sliding"] = "utterance"
    vad: bool = True


class FrameTable:
    """The frames of some utterances of a data directory, read by offset.

    num_frames: utterance -> frames there are to read (voiced ones, with VAD).
    utts: those wanted; all of feats.scp by default. Raises UserError for an
    utterance without features, without VAD, or whose VAD has another length.
    """

    def __init__(self, data_dir, config: FrontendConfig, utts=None):
        data_dir = Path(data_dir)
        self._config = config
        self._scp = data_dir / "feats.scp"
        feats = read_table(self._scp, None)
        utts = list(feats) if utts is None else list(utts)
        self._rxfiles = _pick(feats, utts, self._scp)
        lengths_path = data_dir / "utt2num_frames"
        lengths = _pick(read_table(lengths_path), utts, lengths_path)
        self.num_frames = {
            utt: _parse_length(text, f"{lengths_path}: {utt}")
            for utt, text in lengths.items()
        }
        self._voiced: dict[str, np.ndarray] = {}  # one bit a frame
        if config.vad:
            scp = data_dir / "vad.scp"
            for utt, rxfile in _pick(read_table(scp, None), utts, scp).items():
                voiced = kaldi_io.read_vector(rxfile) > 0
                if len(voiced) != self.num_frames[utt]:
                    raise UserError(
                        f"{scp}: {utt}: {len(voiced)} frames, but {lengths_path} says "
                        f"{self.num_frames[utt]}: run compute_vad.sh again"
                    )
                self._voiced[utt] = np.packbits(voiced)
                self.num_frames[utt] = int(voiced.sum())

    def read(self, utt: str, first: int = 0, last: int | None = None) -> np.ndarray:
        """Frames `first` up to `last` (excluded) of `num_frames[utt]`, `(T, F)`.

        Only the rows of the ark that cover them are read. Raises UserError that
        names the utterance for features that are missing, short or not finite.
        """
        last = self.num_frames[utt] if last is None else last
        keep = None
        rows = slice(first, last)
        if self._config.vad:
            keep = np.flatnonzero(np.unpackbits(self._voiced[utt]))[first:last]
            rows = slice(int(keep[0]), int(keep[-1]) + 1)
        try:
            features = kaldi_io.read_matrix(self._rxfiles[utt], rows)
        except UserError as error:
            raise UserError(f"{self._scp}: {utt}: {error}") from None
        if keep is not None:
            features = features[keep - keep[0]]
        if not np.isfinite(features).all():
            raise UserError(
                f"{self._scp}: {utt}: features hold NaN or infinity: make them again"
            )
        return apply_cmn(features, self._config.cmn)

    def bits(self, utt: str) -> bytes:
        """The VAD decisions of an utterance, packed; empty without VAD."""
        return self._voiced[utt].tobytes() if self._config.vad else b""


def _pick(table: dict[str, str], utts: list[str], path) -> dict[str, str]:
    """The entries of `utts`. Raises UserError that counts and names missing ones."""
    missing = [utt for utt in utts if utt not in table]
    if missing:
        raise UserError(
            f"{path}: no line for {len(missing)} of {len(utts)} utterances, first "
            f"'{missing[0]}': make it again, or run utils/fix_data_dir.py "
            f"{Path(path).parent}"
        )
    return {utt: table[utt] for utt in utts}


def _parse_length(text: str, where: str) -> int:
    if not (text.isascii() and text.isdigit() and int(text) > 0):
        raise UserError(f"{where}: '{text}' is not a number of frames")
    return int(text)

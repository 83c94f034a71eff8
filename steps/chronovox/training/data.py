"""Pieces of utterances for training, read by offset; nothing depends on a worker.

A sample is a pure function of (seed, epoch, number in the epoch), and a batch of
(seed, step), so a training can go on from any step, and be split over processes.
"""

import hashlib
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from chronovox import augment
from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.features import FeatureConfig
from chronovox.frontend import AudioTable, FrameTable
from chronovox.training.settings import TrainingConfig

# What a stream of random numbers is for; part of its seed.
_ORDER, _LENGTH, _PIECE, _MASK = range(4)
MAX_WORKERS = 256
_PROBES = 32  # utterances whose features count in the digest


class Sample(NamedTuple):
    """One piece: `number` is that of the sample in the epoch, before shuffling."""

    epoch: int
    number: int
    num_frames: int


class TrainingSet(Dataset):
    """The utterances of a data directory that are long enough, and their pieces.

    An utterance gives ceil(its frames / longest chunk) samples an epoch.
    `dropped` maps utterances to reasons; `speakers` are those that have any left,
    sorted, and a label is a place in it; `lost_speakers` are the others.
    Raises UserError for an utterance without a speaker, and if fewer than two
    speakers are left. features: those of the data.
    """

    def __init__(self, data_dir, config: TrainingConfig, features: FeatureConfig):
        self._seed, self._mask = config.seed, config.mask
        if config.augment is None:
            self._frames = FrameTable(data_dir, config.frontend)
            utt2spk = read_table(f"{data_dir}/utt2spk")
        else:
            self._frames = AudioTable(
                data_dir, config.frontend, features, config.augment
            )
            utt2spk = self._frames.utt2spk
        shortest, longest = config.chunk_frames
        kind = "voiced frames" if config.frontend.vad else "frames"
        self.utts, self.dropped = [], {}
        for utt, num_frames in self._frames.num_frames.items():
            if utt not in utt2spk:
                raise UserError(
                    f"{data_dir}/utt2spk: no line for '{utt}', which feats.scp has: "
                    f"run utils/fix_data_dir.py {data_dir}"
                )
            if num_frames < shortest:
                self.dropped[utt] = f"{num_frames} {kind}, {shortest} are needed"
            else:
                self.utts.append(utt)
        spks = [utt2spk[utt] for utt in self.utts]
        self.speakers = sorted(set(spks))
        everybody = {utt2spk[utt] for utt in self._frames.num_frames}
        self.lost_speakers = sorted(everybody - set(spks))
        if len(self.speakers) < 2:
            raise UserError(
                f"{data_dir}: {len(self.speakers)} speakers with utterances of at "
                f"least {shortest} {kind}, training needs 2 or more"
            )
        label = {spk: number for number, spk in enumerate(self.speakers)}
        self._labels = [label[spk] for spk in spks]
        num_frames = np.array([self._frames.num_frames[utt] for utt in self.utts])
        self._ends = np.cumsum(-(-num_frames // longest))
        self.feat_dim = features.dim
        self._reading = torch.full((MAX_WORKERS,), -1).share_memory_()

    def __len__(self) -> int:
        """Samples in an epoch."""
        return int(self._ends[-1])

    def utterance(self, sample: Sample) -> str:
        """The utterance that a sample is cut from."""
        return self.utts[self._row(sample)]

    def _row(self, sample: Sample) -> int:
        return int(np.searchsorted(self._ends, sample.number, side="right"))

    def __getitem__(self, sample: Sample) -> tuple[np.ndarray, int]:
        """The piece `(T, F)` from a random place, and the speaker's label."""
        row = self._row(sample)
        utt = self.utts[row]
        worker = get_worker_info()
        if worker is not None:
            self._reading[worker.id] = row
        rng = np.random.default_rng([self._seed, _PIECE, sample.epoch, sample.number])
        features = self._frames.piece(utt, sample.num_frames, rng)
        if features.shape[1] != self.feat_dim:
            raise UserError(
                f"{utt}: features of {features.shape[1]} values, others have "
                f"{self.feat_dim}: make them again"
            )
        rng = np.random.default_rng([self._seed, _MASK, sample.epoch, sample.number])
        if worker is not None:
            self._reading[worker.id] = -1
        return augment.mask(features, self._mask, rng), self._labels[row]

    def being_read(self) -> list[str]:
        """The utterances that worker processes are at, or died at."""
        return [self.utts[row] for row in self._reading.tolist() if row >= 0]

    def digest(self) -> str:
        """A hash of utterances, speakers, lengths, VAD, and a part of the data."""
        digest = hashlib.sha256()
        for utt, label in zip(self.utts, self._labels, strict=True):
            digest.update(f"{utt} {self.speakers[label]}\n".encode())
        rows = np.linspace(0, len(self.utts) - 1, _PROBES).astype(int)
        digest.update(self._frames.digest([self.utts[n] for n in rows]).encode())
        return digest.hexdigest()


class BatchPlan:
    """Which samples each step takes: one shuffled epoch after the other.

    A batch may span the end of an epoch, so no sample is left out.
    """

    def __init__(self, num_samples: int, config: TrainingConfig):
        self._num_samples = num_samples
        self._batch_size = config.batch_size
        self._chunk_frames = config.chunk_frames
        self._seed = config.seed
        self._order: tuple[int, np.ndarray] | None = None

    def batch(self, step: int) -> list[Sample]:
        """The samples of step `step` = 0, 1, ...; all of one length."""
        shortest, longest = self._chunk_frames
        rng = np.random.default_rng([self._seed, _LENGTH, step])
        num_frames = int(rng.integers(shortest, longest + 1))
        samples = []
        for place in range(step * self._batch_size, (step + 1) * self._batch_size):
            epoch, place = divmod(place, self._num_samples)
            samples.append(Sample(epoch, int(self._shuffled(epoch)[place]), num_frames))
        return samples

    def _shuffled(self, epoch: int) -> np.ndarray:
        if self._order is None or self._order[0] != epoch:
            rng = np.random.default_rng([self._seed, _ORDER, epoch])
            self._order = epoch, rng.permutation(self._num_samples)
        return self._order[1]

    def epoch(self, step: int) -> float:
        """Epochs done before step `step`."""
        return step * self._batch_size / self._num_samples


def collate(pieces) -> tuple[torch.Tensor, torch.Tensor]:
    """Pieces of one length -> features `(B, T, F)`, labels `(B,)`."""
    features, labels = zip(*pieces, strict=True)
    return torch.from_numpy(np.stack(features)), torch.tensor(labels)

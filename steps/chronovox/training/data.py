"""Pieces of utterances for training, read by offset; nothing depends on a worker.

A sample is a pure function of (seed, epoch, number in the epoch), and a batch of
(seed, step), so a training can go on from any step, and be split over processes.
"""

import hashlib
import os
from collections.abc import Iterator
from itertools import compress
from typing import NamedTuple

import numpy as np
import torch
from torch.utils.data import Dataset, get_worker_info

from chronovox import augment
from chronovox.cli import UserError
from chronovox.datadir import Texts, read_table
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
    `num_utts` counts them. `dropped` maps the others to reasons; `speakers` are those
    that have any left, sorted, and a label is a place in it; `lost_speakers` are the
    others. Names are kept so that workers, forked from here, do not come to own them by
    looking at them.
    Raises UserError for an utterance without a speaker, and if fewer than two
    speakers are left. features: those of the data. batch_features: samples of
    augmented recordings come as waves, for `to_device`, which computes the features
    of a whole batch.
    """

    def __init__(
        self,
        data_dir,
        config: TrainingConfig,
        features: FeatureConfig,
        batch_features: bool = False,
    ):
        self._seed, self._mask = config.seed, config.mask
        self._batch_features = batch_features
        if batch_features:
            check_batch_features(config, features)
        if config.augment is None:
            self._frames = FrameTable(data_dir, config.frontend)
            spks = _speakers(data_dir, self._frames.utts)
        else:
            self._frames = AudioTable(
                data_dir, config.frontend, features, config.augment
            )
            spks = self._frames.spks
        shortest, longest = config.chunk_frames
        kind = "voiced frames" if config.frontend.vad else "frames"
        num_frames = self._frames.num_frames
        self._is_kept = num_frames >= shortest
        self.num_utts = int(self._is_kept.sum())
        self.dropped = {
            self._frames.utts[row]: f"{num_frames[row]} {kind}, {shortest} are needed"
            for row in np.flatnonzero(~self._is_kept)
        }
        self.speakers = sorted(set(compress(spks, self._is_kept)))
        self.lost_speakers = sorted(set(spks) - set(self.speakers))
        if len(self.speakers) < 2:
            raise UserError(
                f"{data_dir}: {len(self.speakers)} speakers with utterances of at "
                f"least {shortest} {kind}, training needs 2 or more"
            )
        label = {spk: number for number, spk in enumerate(self.speakers)}
        self._labels = np.fromiter((label.get(spk, -1) for spk in spks), np.int32)
        self._ends = np.cumsum(np.where(self._is_kept, -(-num_frames // longest), 0))
        self.feat_dim = features.dim
        if config.shuffle_arks:
            numbers: dict[str, int] = {}  # in the order of the utterances
            self._file = np.full(len(num_frames), -1)
            for row in np.flatnonzero(self._is_kept).tolist():
                file = self._frames.file(row)
                self._file[row] = numbers.setdefault(file, len(numbers))
            self._paths = Texts(numbers)
            self._asked_for = np.full(len(numbers), -1)
        self._reading = torch.full((MAX_WORKERS,), -1).share_memory_()

    def __len__(self) -> int:
        """Samples in an epoch."""
        return int(self._ends[-1])

    def utts(self) -> Iterator[str]:
        """The utterances, in the order of their samples."""
        return compress(self._frames.utts, self._is_kept)

    def utterance(self, sample: Sample) -> str:
        """The utterance that a sample is cut from."""
        return self._frames.utts[self._row(sample)]

    def _row(self, sample: Sample) -> int:
        return int(np.searchsorted(self._ends, sample.number, side="right"))

    def files(self) -> np.ndarray:
        """For each sample of an epoch, the number of the file it is read from."""
        rows = np.searchsorted(self._ends, np.arange(len(self)), side="right")
        return self._file[rows]

    def read_ahead(self, samples: list[Sample]) -> list[Sample]:
        """Have the system read the files of `samples` from end to end, for later.

        Each file is asked for once an epoch. Returns `samples`.
        """
        for sample in samples:
            number = self._file[self._row(sample)]
            if self._asked_for[number] < sample.epoch:
                self._asked_for[number] = sample.epoch
                _ask_for(self._paths[number])
        return samples

    def __getitem__(self, sample: Sample):
        """A piece from a random place, and the speaker's label.

        The piece is features `(T, F)`, masked; with batch_features (wave `(N,)`,
        its rows `(T,)` that count, what is masked of them).
        """
        row = self._row(sample)
        worker = get_worker_info()
        if worker is not None:
            self._reading[worker.id] = row
        shape = sample.num_frames, self.feat_dim
        parts = augment.mask_parts(shape, self._mask, self._rng(_MASK, sample))
        rng = self._rng(_PIECE, sample)
        if self._batch_features:
            piece = (*self._frames.wave(row, sample.num_frames, rng), list(parts))
        else:
            features = self._frames.piece(row, sample.num_frames, rng)
            if features.shape[1] != self.feat_dim:
                raise UserError(
                    f"{self._frames.utts[row]}: features of {features.shape[1]} "
                    f"values, others have {self.feat_dim}: make them again"
                )
            piece = augment.mask(features, parts)
        if worker is not None:
            self._reading[worker.id] = -1
        return piece, int(self._labels[row])

    def _rng(self, purpose: int, sample: Sample):
        return np.random.default_rng([self._seed, purpose, sample.epoch, sample.number])

    def to_device(self, batch, device) -> tuple[torch.Tensor, torch.Tensor]:
        """What `collate` gave -> features `(B, T, F)` and labels `(B,)` on `device`."""
        *pieces, labels = batch
        if not self._batch_features:
            return pieces[0].to(device), labels.to(device)
        waves, rows, masked = pieces
        features = self._frames.features(waves.to(device), rows.to(device))
        means = features.mean(dim=1, keepdim=True).expand_as(features)
        for number, parts in enumerate(masked):
            for part in parts:
                features[number][part] = means[number][part]
        return features, labels.to(device)

    def being_read(self) -> list[str]:
        """The utterances that worker processes are at, or died at."""
        return [self._frames.utts[row] for row in self._reading.tolist() if row >= 0]

    def digest(self) -> str:
        """A hash of utterances, speakers, lengths, VAD, and a part of the data."""
        digest = hashlib.sha256()
        labels = self._labels[self._is_kept].tolist()
        for utt, label in zip(self.utts(), labels, strict=True):
            digest.update(f"{utt} {self.speakers[label]}\n".encode())
        probes = np.linspace(0, self.num_utts - 1, _PROBES).astype(int)
        rows = np.flatnonzero(self._is_kept)[probes].tolist()
        digest.update(self._frames.digest(rows).encode())
        return digest.hexdigest()


def _speakers(data_dir, utts) -> Texts:
    """Who speaks in each of `utts`. Raises UserError for one that utt2spk lacks."""
    utt2spk = read_table(f"{data_dir}/utt2spk")
    for utt in utts:
        if utt not in utt2spk:
            raise UserError(
                f"{data_dir}/utt2spk: no line for '{utt}', which feats.scp has: "
                f"run utils/fix_data_dir.py {data_dir}"
            )
    return Texts(utt2spk[utt] for utt in utts)


class BatchPlan:
    """Which samples each step takes: one shuffled epoch after the other.

    A batch may span the end of an epoch, so no sample is left out. files: the file
    of each sample, which `shuffle_arks` needs.
    """

    def __init__(self, num_samples: int, config: TrainingConfig, files=None):
        self._num_samples = num_samples
        self._batch_size = config.batch_size
        self._chunk_frames = config.chunk_frames
        self._seed = config.seed
        self._files = files
        self._shuffle_arks = config.shuffle_arks
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
            order = rng.permutation(self._num_samples)
            if self._files is not None:
                turn = rng.permutation(self._files.max() + 1) // self._shuffle_arks
                order = order[np.argsort(turn[self._files[order]], kind="stable")]
            self._order = epoch, order
        return self._order[1]

    def epoch(self, step: int) -> float:
        """Epochs done before step `step`."""
        return step * self._batch_size / self._num_samples


def _ask_for(path: str) -> None:
    """Tell the system that a file will be read; it reads on its own."""
    try:
        descriptor = os.open(path, os.O_RDONLY)
    except OSError:
        return  # a pipe, or missing, which is said where it is read
    os.posix_fadvise(descriptor, 0, 0, os.POSIX_FADV_WILLNEED)
    os.close(descriptor)


def check_batch_features(config: TrainingConfig, features: FeatureConfig) -> None:
    """Raise UserError for settings whose features are computed one by one alone."""
    if config.augment is None:
        raise UserError("--batch-features: there is no `augment:` in the settings")
    if config.frontend.cmn == "sliding" or features.use_energy:
        raise UserError(
            "--batch-features: not with cmn: sliding, nor with use_energy: true"
        )


def collate(pieces) -> tuple:
    """Pieces -> features `(B, T, F)`, labels `(B,)`; of waves, those `(B, N)` with
    zeros behind, their rows `(B, T)`, what is masked, and labels.
    """
    items, labels = zip(*pieces, strict=True)
    labels = torch.tensor(labels)
    if isinstance(items[0], np.ndarray):
        return torch.from_numpy(np.stack(items)), labels
    waves, rows, masked = zip(*items, strict=True)
    waves = torch.nn.utils.rnn.pad_sequence(
        [torch.from_numpy(wave) for wave in waves], batch_first=True
    )
    return waves, torch.from_numpy(np.stack(rows)), masked, labels

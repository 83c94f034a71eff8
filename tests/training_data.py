"""Data directories of made-up features, for tests of training and extraction."""

from itertools import combinations
from pathlib import Path

import numpy as np
import yaml

from chronovox import config, kaldi_io
from chronovox.config import from_dict
from chronovox.datadir import write_spk2utt, write_table
from chronovox.features import FeatureConfig
from chronovox.files import write_lines
from chronovox.training.settings import TrainingConfig

FEATURES = FeatureConfig(type="fbank", num_mel_bins=8)
SETTINGS = {
    "model": {"type": "xvector", "width": 16, "pool_dim": 24, "embed_dim": 12},
    "frontend": {"cmn": "none", "vad": True},
    "loss": {"type": "aam", "margin": 0.1, "scale": 16.0, "margin_warmup_steps": 5},
    "schedule": {"peak_lr": 0.01, "final_lr": 0.001, "warmup_steps": 5},
    "batch_size": 8,
    "chunk_frames": [20, 30],
    "num_steps": 60,
    "log_every": 20,
    "evaluate_every": 30,
    "checkpoint_every": 10,
}


def write_settings(path, **changes) -> Path:
    """A small config; `changes` replace whole top-level keys."""
    Path(path).write_text(yaml.safe_dump({**SETTINGS, **changes}))
    return Path(path)


def settings(**changes) -> TrainingConfig:
    """The small config, with other top-level keys."""
    return from_dict({**SETTINGS, **changes}, TrainingConfig, "test")


def make_dir(path, speakers, utts_per_speaker=4, lengths=(40, 90), seed=0) -> Path:
    """Features of speakers that differ in mean and in variance, with VAD."""
    path = Path(path)
    rng = np.random.default_rng(seed)
    utt2spk, num_frames = {}, {}
    (path / "trials").mkdir(parents=True)
    with (
        kaldi_io.ArkWriter(path / "feats.ark", path / "feats.scp", 2) as feats,
        kaldi_io.ArkWriter(path / "vad.ark", path / "vad.scp", 1) as vad,
    ):
        for spk in sorted(speakers):
            mean, spread = rng.normal(size=(2, FEATURES.dim))
            for number in range(utts_per_speaker):
                utt = f"{spk}-{number}"
                frames = int(rng.integers(*lengths))
                noise = rng.normal(size=(frames, FEATURES.dim))
                feats.write(utt, mean + np.exp(0.5 * spread) * noise)
                voiced = rng.random(frames) < 0.9
                voiced[:20] = True
                vad.write(utt, voiced)
                utt2spk[utt], num_frames[utt] = spk, frames
    write_table(path / "utt2spk", utt2spk)
    write_spk2utt(path / "spk2utt", utt2spk)
    write_table(path / "utt2num_frames", num_frames)
    config.save(FEATURES, path / "conf/features.yaml")
    write_lines(
        path / "trials/random",
        [
            f"{a} {b} {'target' if utt2spk[a] == utt2spk[b] else 'nontarget'}"
            for a, b in combinations(utt2spk, 2)
        ],
    )
    return path


def replace_line(path, key: str, line: str | None) -> None:
    """Replace or remove the line of `key` in a table."""
    path = Path(path)
    kept = [old for old in path.read_text().splitlines() if old.split()[0] != key]
    write_lines(path, sorted([*kept, line] if line else kept))


def make_world(folder: Path) -> list[str]:
    """Config, training and development directory, and where the model goes."""
    train = make_dir(folder / "train", [f"t{n}" for n in range(8)])
    dev = make_dir(folder / "dev", [f"d{n}" for n in range(5)], seed=1)
    config = write_settings(folder / "xvector.yaml")
    return [str(path) for path in (config, train, dev, folder / "exp")]

"""Data directories for tests, made of given samples or recordings."""

from pathlib import Path

import numpy as np
import soundfile

from chronovox.datadir import write_spk2utt, write_table


def noise(num_samples: int, seed: int = 0) -> np.ndarray:
    """Noise `(N,)` that grows from very low to loud, so that VAD has a choice."""
    level = np.geomspace(1e-4, 0.2, max(num_samples, 1))[:num_samples]
    wave = np.random.default_rng(seed).normal(size=num_samples) * level
    return np.clip(wave, -0.9, 0.9).astype(np.float32)


def make_data_dir(path, wav_scp: dict[str, str]) -> Path:
    """A data directory over entries of wav.scp; the speaker is all before `-`."""
    path = Path(path)
    path.mkdir(parents=True, exist_ok=True)
    write_table(path / "wav.scp", wav_scp)
    set_utts(path, wav_scp)
    return path


def set_utts(path, utts) -> None:
    """Write utt2spk, spk2utt and utt2session for `utts`."""
    utt2spk = {utt: utt.split("-")[0] for utt in utts}
    write_table(path / "utt2spk", utt2spk)
    write_table(path / "utt2session", dict.fromkeys(utts, "s1"))
    write_spk2utt(path / "spk2utt", utt2spk)


def make_noise_dir(path, lengths: dict[str, int], rate: int = 16000) -> Path:
    """A data directory of noise: utterance -> number of samples."""
    path = Path(path)
    entries = {}
    for seed, (utt, num_samples) in enumerate(lengths.items()):
        wav = path / "wav" / f"{utt}.wav"
        wav.parent.mkdir(parents=True, exist_ok=True)
        soundfile.write(wav, noise(num_samples, seed), rate)
        entries[utt] = str(wav)
    return make_data_dir(path, entries)

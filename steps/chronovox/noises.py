"""Data directories of noises and impulse responses, for chronovox.augment.

Every file is read whole once, so that no training stumbles over a bad one later.
"""

import argparse
import contextlib
import math
import os
import re
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import NamedTuple

import numpy as np

from chronovox import audio, augment, cli, datadir, datadir_ops, files
from chronovox.cli import UserError, log
from chronovox.coverage import Coverage

SUFFIXES = (".wav", ".flac")
MIN_DUR_S = 0.025  # one frame of the features


class Noise(NamedTuple):
    """A file, and its names: `key`, its source (speaker), its kind (session)."""

    key: str
    source: str
    kind: str
    path: Path


class Settings(NamedTuple):
    """How noises are made ready.

    sampling_rate: in Hz; files of another are resampled. window_s: parts into which
    recordings are cut, the silent ones left out; 0 leaves them whole.
    nj: files read at a time.
    """

    sampling_rate: int = 16000
    window_s: int = 0
    nj: int = 4
    max_fail_ratio: float = 0.05


class _Made(NamedTuple):
    """A file that can be used: where it is, and its parts (name, start s, end s)."""

    path: str
    parts: list[tuple[str, float, float]]
    silent: list[str]


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of a script that makes such directories, as Settings has them."""
    parser.add_argument(
        "--window", type=cli.natural, default=10, metavar="S",
        help="cut long recordings of noise into parts of S seconds or a little more, "
        "each as likely, the silent ones left out; 0: leave them whole (default: 10)",
    )  # fmt: skip
    parser.add_argument(
        "--sampling-rate", type=cli.positive_int, default=16000,
        help="of the features, in Hz (default: 16000)",
    )  # fmt: skip
    parser.add_argument(
        "--nj", type=cli.positive_int, default=4, help="files at a time (default: 4)"
    )
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05,
        help="share of the files that may be dropped (default: 0.05)",
    )  # fmt: skip


def clean(name: str) -> str:
    """A name as part of a key: only letters, digits, '.', '_' and '-'."""
    return re.sub(r"[^\w.-]", "_", name)


def find_files(folder: Path) -> list[Path]:
    """All sound files below `folder`, sorted, links followed, hidden ones left out."""

    def refuse(error: OSError):
        raise UserError(f"{error.filename}: cannot be listed: {error.strerror}")

    found = []
    for place, folders, names in os.walk(folder, followlinks=True, onerror=refuse):
        folders[:] = sorted(name for name in folders if not name.startswith("."))
        found += [
            Path(place, name)
            for name in names
            if name.lower().endswith(SUFFIXES) and not name.startswith(".")
        ]
    return sorted(found)


def write_noise_dir(data_dir, noises: list[Noise], settings: Settings) -> None:
    """Write a data directory over the files that can be used.

    Of several channels the first is taken; that and another sampling rate make a
    copy, DATA_DIR/audio/KEY.flac. log/dropped lists the other files with the reason,
    log/silent the silent parts of good ones, which are left out. Raises UserError for
    two files of one name, and if more than max_fail_ratio of the files, or all, are
    of no use.
    """
    data_dir = Path(data_dir)
    _check_keys(noises)
    (data_dir / "wav.scp").unlink(missing_ok=True)  # its copies may be replaced
    coverage, made = Coverage(), {}
    for noise, prepare in _prepared(noises, data_dir / "audio", settings):
        with coverage.item(noise.key):
            made[noise] = prepare()
    coverage.finish(data_dir / "log" / "dropped", settings.max_fail_ratio)
    silent = [part for item in made.values() for part in item.silent]
    files.write_lines(data_dir / "log" / "silent", silent)
    _write_tables(data_dir, made, settings.window_s > 0)
    used = {item.path for item in made.values()}
    for copy in (data_dir / "audio").glob("*.flac"):  # of an earlier run
        if os.path.abspath(copy) not in used:
            copy.unlink()
    dur_s = datadir.read_floats(data_dir / "utt2dur").values()
    log.info(
        "%s: %d entries, %.2f hours; %d silent parts left out",
        data_dir, len(dur_s), sum(dur_s) / 3600, len(silent),
    )  # fmt: skip


def _check_keys(noises: list[Noise]) -> None:
    paths: dict[str, Path] = {}
    for noise in noises:
        other = paths.setdefault(noise.key, noise.path)
        if other != noise.path:
            raise UserError(
                f"{other} and {noise.path} are both named '{noise.key}': rename one"
            )


def _prepared(noises: list[Noise], copies: Path, settings: Settings):
    """Yield each noise, and the function that returns what became of it, or raises."""
    with ThreadPoolExecutor(settings.nj) as pool:
        try:
            for noise, future in [
                (noise, pool.submit(_prepare, noise, copies, settings))
                for noise in noises
            ]:
                yield noise, future.result
        except BaseException:
            pool.shutdown(cancel_futures=True)
            raise


def _prepare(noise: Noise, copies: Path, settings: Settings) -> _Made:
    """Read a file, copy it if it has to be changed, and find its parts."""
    path = os.path.abspath(noise.path)
    rate = settings.sampling_rate
    if not path.isprintable():
        raise UserError(f"{path!r}: odd characters, or no UTF-8: rename it")
    try:
        channels, found_rate = audio.read_file(path)
        samples = channels[:, 0]
        if channels.shape[1] > 1:
            with _of_channel_1():
                audio.check_samples(samples)
        if channels.shape[1] > 1 or found_rate != rate:
            samples = augment.change_speed(samples, found_rate / rate)
            path = os.path.abspath(copies / f"{noise.key}.flac")
            with files.atomic_write(path, "wb") as stream:
                stream.write(audio.flac_record(samples, rate))
        if len(samples) < MIN_DUR_S * rate:
            raise UserError(
                f"too short: {len(samples)} samples, less than {MIN_DUR_S} s: remove it"
            )
        parts, silent = _parts(noise.key, samples, settings)
    except UserError as error:
        raise UserError(f"{noise.path}: {error}") from None
    return _Made(path, parts, silent)


@contextlib.contextmanager
def _of_channel_1():
    try:
        yield
    except UserError as error:
        raise UserError(f"channel 1, the one we take: {error}") from None


def _parts(key: str, samples: np.ndarray, settings: Settings):
    """The parts (name, start s, end s) of a recording, and the names of silent ones."""
    rate, window_s = settings.sampling_rate, settings.window_s
    dur_s = len(samples) / rate
    if window_s == 0:
        return [(key, 0.0, dur_s)], []
    starts = range(0, max(1, int(dur_s // window_s)) * window_s, window_s)
    parts, silent = [], []
    for start in starts:
        last = start == starts[-1]  # the rest is added to it
        end = dur_s if last else float(start + window_s)
        piece = samples[start * rate : len(samples) if last else int(end) * rate]
        name = f"{key}-{start:05d}"
        if piece.min() < piece.max():
            parts.append((name, float(start), end))
        else:
            silent.append(name)
    if not parts:
        raise UserError(f"silent: each of its {len(starts)} parts is: remove it")
    return parts, silent


def _write_tables(data_dir: Path, made: dict[Noise, _Made], segments: bool) -> None:
    """Write all tables in place of those of an earlier run."""
    datadir_ops.remove_earlier(data_dir)
    owner = {part[0]: noise for noise, item in made.items() for part in item.parts}
    utt2spk = {utt: noise.source for utt, noise in owner.items()}
    if problem := datadir_ops.speaker_problem(utt2spk):
        raise UserError(f"{data_dir}: {problem}")
    datadir.write_table(data_dir / "utt2spk", utt2spk)
    datadir.write_spk2utt(data_dir / "spk2utt", utt2spk)
    datadir.write_table(
        data_dir / "utt2session", {utt: noise.kind for utt, noise in owner.items()}
    )
    if segments:
        spans = {
            utt: f"{noise.key} {start:g} {math.ceil(end * 1000) / 1000:.3f}"
            for noise, item in made.items()
            for utt, start, end in item.parts
        }
        datadir.write_table(data_dir / "segments", spans)
    datadir.write_table(
        data_dir / "wav.scp", {noise.key: item.path for noise, item in made.items()}
    )
    table = audio.WavTable(data_dir)
    dur_s = {utt: table.duration_s(utt) for utt in table}
    datadir.write_table(data_dir / "utt2dur", dur_s)

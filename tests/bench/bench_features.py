#!/usr/bin/env python3
"""Benchmark features against kaldi-native-fbank, on the same real files, one thread.

Prints rows `name value unit`: how many times as fast computing 80
log-mel bins is, and going from FLAC files to a plain ark in one process. The two
take turns; a ratio is that of the median times.

Usage: tests/bench/bench_features.py [--num-files N] [--repeats N] SPEECH_DIR
e.g.:  tests/bench/bench_features.py ../shared/data/speech
"""

import os
import statistics
import tempfile
import time
from pathlib import Path

os.environ["OMP_NUM_THREADS"] = "1"

import kaldi_native_fbank as knf
import kaldi_native_io
import numpy as np
import soundfile
import torch

from chronovox import cli, datadir, kaldi_io
from chronovox.audio import WavTable
from chronovox.features import Extractor, FeatureConfig


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("speech_dir", help="folder with .flac files of 16 kHz")
    parser.add_argument("--num-files", type=cli.positive_int, default=60)
    parser.add_argument("--repeats", type=cli.positive_int, default=9)
    return parser


def fbank_of_kaldi(samples: np.ndarray, settings: FeatureConfig) -> np.ndarray:
    options = knf.FbankOptions()
    options.frame_opts.dither = 0
    options.frame_opts.snip_edges = settings.snip_edges
    options.mel_opts.num_bins = settings.num_mel_bins
    options.mel_opts.high_freq = settings.high_freq
    online = knf.OnlineFbank(options)
    # A list is taken faster than an array.
    online.accept_waveform(settings.sampling_rate, (samples * 32768).tolist())
    online.input_finished()
    return np.stack([online.get_frame(i) for i in range(online.num_frames_ready)])


def take_turns(ours, theirs, repeats: int) -> tuple[float, float]:
    """Median times in seconds of two functions without arguments."""
    times = {ours: [], theirs: []}
    for turn in range(repeats + 1):
        for function in (ours, theirs):
            start = time.perf_counter()
            function()
            if turn > 0:  # the first turn warms up
                times[function].append(time.perf_counter() - start)
    return statistics.median(times[ours]), statistics.median(times[theirs])


def bench_compute(waves, settings, repeats: int) -> tuple[float, float]:
    extractor = Extractor(settings)
    return take_turns(
        lambda: [extractor(samples) for samples in waves],
        lambda: [fbank_of_kaldi(samples, settings) for samples in waves],
        repeats,
    )


def bench_flac_to_ark(paths, settings, repeats: int) -> tuple[float, float]:
    extractor = Extractor(settings)
    with tempfile.TemporaryDirectory() as folder:
        work = Path(folder)
        entries = {f"utt-{i:05d}": str(path) for i, path in enumerate(paths)}
        datadir.write_table(work / "wav.scp", entries)

        def ours():
            wavs = WavTable(work)
            with kaldi_io.ArkWriter(work / "o.ark", work / "o.scp") as writer:
                for utt in wavs:
                    samples, _ = wavs.read(utt, settings.sampling_rate)
                    writer.write(utt, extractor(samples))

        def theirs():
            target = f"ark,scp:{work}/k.ark,{work}/k.scp"
            with kaldi_native_io.FloatMatrixWriter(target) as writer:
                for utt, path in entries.items():
                    samples, _ = soundfile.read(path, dtype="float32")
                    writer.write(utt, fbank_of_kaldi(samples, settings))

        return take_turns(ours, theirs, repeats)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    torch.set_num_threads(1)
    paths = sorted(Path(args.speech_dir).glob("*/*/*/*.flac"))
    if not paths:
        raise cli.UserError(f"{args.speech_dir}: no */*/*/*.flac in it")
    paths = paths[:: max(1, len(paths) // args.num_files)][: args.num_files]
    settings = FeatureConfig("fbank")
    waves = [soundfile.read(path, dtype="float32")[0] for path in paths]
    dur_s = sum(map(len, waves)) / settings.sampling_rate
    for what, (ours, theirs) in (
        ("fbank", bench_compute(waves, settings, args.repeats)),
        ("flac_to_ark", bench_flac_to_ark(paths, settings, args.repeats)),
    ):
        print(f"{what} {dur_s / ours:.0f} times_real_time")
        print(f"{what}_against_kaldi_native_fbank {theirs / ours:.2f} times_as_fast")
    return 0


if __name__ == "__main__":
    cli.run(main)

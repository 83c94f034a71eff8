#!/usr/bin/env python3
"""Write the recordings of some utterances into an ark of 16-bit FLAC: one job's part.

Utterances of `segments` are cut out. Whatever can be read (m4a, mp3, any
sampling rate) becomes FLAC at one rate, and is changed if asked: --speed moves
tempo and pitch, --augment adds noise, babble, reverberation, tempo and volume by a
file of settings. What is drawn depends on --seed and the utterance alone.

Usage: steps/pack_audio.py [options] DATA UTTS PARTS_DIR JOB ARK SCP
e.g.:  steps/pack_audio.py --sampling-rate 16000 data/train log/utts.1 log 1 \\
         audio/train.1.ark audio/train.1.scp

PARTS_DIR gets utt2dur.JOB and dropped.JOB. UTTS is a part of DATA/wav.scp or
segments.
"""

from pathlib import Path

import numpy as np

from chronovox import audio, augment, cli, config, kaldi_io
from chronovox.coverage import Coverage, read_keys
from chronovox.datadir import read_table, write_table


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("data", help="data directory with wav.scp (and segments)")
    parser.add_argument("utts", help="table of the utterances of this job")
    parser.add_argument("parts_dir", help="where this job's tables go")
    parser.add_argument("job", type=cli.positive_int, help="number of this job")
    parser.add_argument("ark", help="ark to write")
    parser.add_argument("scp", help="its table")
    parser.add_argument(
        "--sampling-rate", type=cli.positive_int, default=16000,
        help="of what is written, in Hz (default: 16000)",
    )  # fmt: skip
    parser.add_argument("--speed", type=float, default=1.0, help="factor (default: 1)")
    parser.add_argument("--augment", help="settings, such as conf/augment.yaml")
    parser.add_argument("--seed", type=cli.natural, default=0, help="default: 0")
    parser.add_argument(
        "--allow-pipes", type=cli.boolean, default=False,
        help="true|false: run the commands of wav.scp (default: false)",
    )  # fmt: skip
    return parser


def make_augmenter(args, wavs):
    """The function (samples, utterance) -> changed samples."""
    rate = args.sampling_rate
    changes = augment.AugmentConfig()
    if args.augment:
        changes = config.load(args.augment, augment.AugmentConfig)
    if changes.speeds != [1.0]:
        raise cli.UserError(
            f"{args.augment}: speeds: one data directory has one speed: give --speed"
        )
    utt2spk = read_table(Path(args.data) / "utt2spk")
    augmenter = augment.Augmenter(changes, rate, wavs, utt2spk)

    def change(samples: np.ndarray, utt: str) -> np.ndarray:
        rng = np.random.default_rng([args.seed, *utt.encode()])
        samples = augment.change_speed(samples, args.speed)
        tempo = rng.uniform(*changes.tempo)
        samples = augment.change_tempo(samples, tempo, rate)
        return augmenter(samples, utt2spk[utt], rng)

    return change


def main(argv=None) -> int:
    parser = get_parser()
    args = parser.parse_args(argv)
    if not 0.5 <= args.speed <= 2:
        parser.error(f"argument --speed: from 0.5 to 2, got {args.speed:g}")
    wavs = audio.WavTable(args.data, args.allow_pipes)
    change = make_augmenter(args, wavs)
    coverage, dur_s = Coverage(), {}
    with kaldi_io.ArkWriter(args.ark, args.scp, 1) as writer:
        for utt in read_keys(args.utts):
            with coverage.item(utt):
                samples, rate = wavs.read(utt)
                samples = augment.change_speed(samples, rate / args.sampling_rate)
                samples = change(samples, utt)
                record = audio.flac_record(samples, args.sampling_rate)
                writer.write_record(utt, record)
                dur_s[utt] = round(len(samples) / args.sampling_rate, 6)
    parts = Path(args.parts_dir)
    write_table(parts / f"utt2dur.{args.job}", dur_s)
    coverage.finish(parts / f"dropped.{args.job}")
    return 0


if __name__ == "__main__":
    cli.run(main)

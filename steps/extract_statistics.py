#!/usr/bin/env python3
"""Untrained reference vectors of some utterances: one job's part.

floor    mean and standard deviation of MFCC over the voiced frames: what a
         system must beat that learns anything
channel  mean log-mel spectrum of the frames without speech (the 5 frames of
         lowest energy where fewer than 5 have none): what room, microphone and
         noise alone give away

Both come straight from the recordings, whatever features DATA has.

Usage: steps/extract_statistics.py [options] KIND CONFIG DATA UTTS PARTS_DIR JOB ARK SCP
e.g.:  steps/extract_statistics.py floor conf/mfcc.yaml data/test data/test/wav.scp \\
         exp/floor/parts 1 exp/floor/parts/x.1.ark exp/floor/parts/x.1.scp

UTTS is any table whose first field is an utterance: a part of wav.scp or segments.
"""

from pathlib import Path

import numpy as np

from chronovox import cli, config, kaldi_io
from chronovox.audio import WavTable
from chronovox.cli import UserError
from chronovox.coverage import Coverage, read_keys
from chronovox.features import Extractor, FeatureConfig, VadConfig, energy_vad

MIN_NONSPEECH = 5  # frames


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("kind", choices=["floor", "channel"])
    parser.add_argument("config", help="feature settings, such as conf/mfcc.yaml")
    parser.add_argument("data", help="data directory with wav.scp (and segments)")
    parser.add_argument("utts", help="table of the utterances of this job")
    parser.add_argument("parts_dir", help="where the list of dropped utterances goes")
    parser.add_argument("job", type=cli.positive_int, help="number of this job")
    parser.add_argument("ark", help="ark of vectors to write")
    parser.add_argument("scp", help="its table")
    parser.add_argument(
        "--vad-config", default="conf/vad.yaml", help="default: conf/vad.yaml"
    )
    parser.add_argument(
        "--allow-pipes", type=cli.boolean, default=False,
        help="true|false: run the commands of wav.scp (default: false)",
    )  # fmt: skip
    return parser


def floor_vector(features: np.ndarray, voiced: np.ndarray) -> np.ndarray:
    """Features `(T, F)`, voiced `(T,)` of 0/1 -> mean and deviation `(2 F,)`."""
    if not voiced.any():
        raise UserError(f"none of {len(voiced)} frames is voiced")
    kept = features[voiced > 0].astype(np.float64)
    return np.concatenate([kept.mean(axis=0), kept.std(axis=0)])


def channel_vector(
    features: np.ndarray, voiced: np.ndarray, log_energy: np.ndarray
) -> np.ndarray:
    """Features `(T, F)` -> their mean `(F,)` over the frames without speech."""
    frames = np.flatnonzero(voiced == 0)
    if len(frames) < MIN_NONSPEECH:
        frames = np.argsort(log_energy, kind="stable")[:MIN_NONSPEECH]
    return features[frames].mean(axis=0, dtype=np.float64)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    import torch

    torch.set_num_threads(1)
    settings = config.load(args.config, FeatureConfig)
    vad_settings = config.load(args.vad_config, VadConfig)
    wavs = WavTable(args.data, args.allow_pipes)
    extractor = Extractor(settings)
    coverage = Coverage()
    with kaldi_io.ArkWriter(args.ark, args.scp, ndim=1) as writer:
        for utt in read_keys(args.utts):
            with coverage.item(utt):
                samples, _ = wavs.read(utt, settings.sampling_rate)
                features = extractor(samples)
                if len(features) == 0:
                    raise UserError(f"too short: {len(samples)} samples, no frame")
                log_energy = extractor.log_energy(samples)
                voiced = energy_vad(log_energy, vad_settings)
                if args.kind == "floor":
                    vector = floor_vector(features, voiced)
                else:
                    vector = channel_vector(features, voiced, log_energy)
                writer.write(utt, vector)
    coverage.finish(Path(args.parts_dir) / f"dropped.{args.job}")
    return 0


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Mark the voiced frames of some utterances, by Kaldi's energy VAD: one job's part.

The log-energy comes from column 0 of the features (MFCC, or fbank made with
use_energy: true), or from the recordings, framed as DATA/conf/features.yaml says.
An utterance without a voiced frame is dropped, and listed in PARTS_DIR/dropped.JOB.

Usage: steps/compute_vad.py [options] CONFIG DATA UTTS PARTS_DIR JOB ARK SCP
e.g.:  steps/compute_vad.py --source wav conf/vad.yaml data/train \\
         log/feats.1.scp log 1 vad.1.ark vad.1.scp

UTTS is a part of DATA/feats.scp.
"""

from pathlib import Path

from chronovox import cli, config, datadir, kaldi_io
from chronovox.audio import WavTable
from chronovox.cli import UserError
from chronovox.coverage import Coverage
from chronovox.features import (
    Extractor,
    FeatureConfig,
    VadConfig,
    energy_vad,
    has_log_energy,
)


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("config", help="settings, such as conf/vad.yaml")
    parser.add_argument("data", help="data directory with feats.scp")
    parser.add_argument("utts", help="this job's part of feats.scp")
    parser.add_argument("parts_dir", help="where the list of dropped utterances goes")
    parser.add_argument("job", type=cli.positive_int, help="number of this job")
    parser.add_argument("ark", help="VAD ark to write")
    parser.add_argument("scp", help="its table")
    parser.add_argument(
        "--source", choices=["feats", "wav"], default="feats",
        help="where the log-energy comes from (default: feats)",
    )  # fmt: skip
    parser.add_argument(
        "--allow-pipes", type=cli.boolean, default=False,
        help="true|false: run the commands of wav.scp (default: false)",
    )  # fmt: skip
    return parser


def log_energy_reader(data: Path, source: str, allow_pipes: bool):
    """The function (utterance, its entry in feats.scp) -> log-energies `(T,)`."""
    path = data / "conf" / "features.yaml"
    settings = config.load(path, FeatureConfig)
    if source == "feats":
        if not has_log_energy(settings):
            raise UserError(
                f"{path}: log-mel features without energy hold no log-energy: give "
                "--source wav, or make them with use_energy: true"
            )
        return lambda utt, rxfile: kaldi_io.read_matrix(rxfile)[:, 0]
    wavs = WavTable(data, allow_pipes)
    extractor = Extractor(settings)

    def from_wav(utt: str, rxfile: str):
        samples, _ = wavs.read(utt, settings.sampling_rate)
        log_energy = extractor.log_energy(samples)
        num_frames = kaldi_io.read_shape(rxfile)[0]
        if len(log_energy) != num_frames:
            raise UserError(
                f"{len(log_energy)} frames in the recording, {num_frames} in "
                "feats.scp: make the features again"
            )
        return log_energy

    return from_wav


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    settings = config.load(args.config, VadConfig)
    log_energy = log_energy_reader(Path(args.data), args.source, args.allow_pipes)
    coverage = Coverage()
    with kaldi_io.ArkWriter(args.ark, args.scp, ndim=1) as writer:
        for utt, rxfile in datadir.read_table(args.utts, None).items():
            with coverage.item(utt):
                voiced = energy_vad(log_energy(utt, rxfile), settings)
                if not voiced.any():
                    raise UserError(f"none of {len(voiced)} frames is voiced")
                writer.write(utt, voiced)
    coverage.finish(Path(args.parts_dir) / f"dropped.{args.job}")
    return 0


if __name__ == "__main__":
    cli.run(main)

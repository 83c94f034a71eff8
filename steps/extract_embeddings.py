#!/usr/bin/env python3
"""Extract the embeddings of some utterances with a trained network: one job's part.

Whole utterances, in batches of like lengths. An utterance with fewer frames
than the network needs is dropped, and listed in PARTS_DIR/dropped.JOB.

Usage: steps/extract_embeddings.py [options] EXP_M DATA UTTS PARTS_DIR JOB ARK SCP
e.g.:  steps/extract_embeddings.py exp/xvector_aam_s1 data/test log/feats.1.scp log 1 \\
         xvector.1.ark xvector.1.scp

UTTS is a part of DATA/feats.scp.
"""

from pathlib import Path

from chronovox import cli, config, kaldi_io
from chronovox.cli import UserError
from chronovox.coverage import Coverage, read_keys
from chronovox.features import FeatureConfig
from chronovox.frontend import FrameTable


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("exp", help="folder of the model")
    parser.add_argument("data", help="data directory with feats.scp, vad.scp")
    parser.add_argument("utts", help="this job's part of feats.scp")
    parser.add_argument("parts_dir", help="where the list of dropped utterances goes")
    parser.add_argument("job", type=cli.positive_int, help="number of this job")
    parser.add_argument("ark", help="ark of embeddings to write")
    parser.add_argument("scp", help="its table")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="cpu",
        help="auto takes a GPU if there is one (default: cpu)",
    )  # fmt: skip
    parser.add_argument(
        "--batch-frames", type=cli.positive_int, default=20000,
        help="frames of a batch, padding included (default: 20000)",
    )  # fmt: skip
    return parser


def check_features(exp: Path, data: Path) -> FeatureConfig:
    """The feature settings of the model. Raises UserError if the data has others."""
    paths = exp / "features.yaml", data / "conf" / "features.yaml"
    model, made = [config.load(path, FeatureConfig) for path in paths]
    config.check_same(
        model, paths[0], made, paths[1], f"make the features of {data} as the model's"
    )
    return model


def load_network(exp: Path, model: dict, feat_dim: int, device: str):
    """The trained network of `exp`, ready to use. Raises UserError."""
    from chronovox import models
    from chronovox.models.extraction import choose_device
    from chronovox.training.checkpoint import load_state

    network = models.build(model, feat_dim)
    try:
        network.load_state_dict(load_state(exp / "final.pt"))
    except (RuntimeError, TypeError, AttributeError) as error:
        raise UserError(
            f"{exp}/final.pt is not of the network that {exp}/config.yaml describes: "
            f"{' '.join(str(error).split())}"
        ) from None
    return network.eval().to(choose_device(device))


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    from chronovox.models.extraction import embed
    from chronovox.training import settings as training_settings

    exp, data = Path(args.exp), Path(args.data)
    settings = training_settings.load(exp / "config.yaml")
    feat_dim = check_features(exp, data).dim
    network = load_network(exp, settings.model, feat_dim, args.device)
    frames = FrameTable(data, settings.frontend, read_keys(args.utts))
    coverage = Coverage()
    kept = []
    for row, num_frames in enumerate(frames.num_frames):
        with coverage.item(frames.utts[row]):
            if num_frames < network.min_frames:
                raise UserError(
                    f"too short: {num_frames} frames, the network needs "
                    f"{network.min_frames}"
                )
            kept.append(row)
    vectors = embed(network, frames, kept, args.batch_frames)
    with kaldi_io.ArkWriter(args.ark, args.scp, ndim=1) as writer:
        for utt in sorted(vectors):
            writer.write(utt, vectors[utt])
    coverage.finish(Path(args.parts_dir) / f"dropped.{args.job}")
    return 0


if __name__ == "__main__":
    cli.run(main)

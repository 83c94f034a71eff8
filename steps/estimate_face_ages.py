#!/usr/bin/env python3
"""Estimate the ages of some faces by a network: one job's part.

A picture that cannot be read, or has no face in it, is dropped, and listed in
PARTS_DIR/dropped.JOB. PARTS_DIR/face_age.JOB.{ark,scp} get the posteriors of the ages
0 to 100, unless the network has none; face2age.JOB has lines `<face> <years>`.

Usage: steps/estimate_face_ages.py [options] CONFIG FACES PARTS_DIR JOB
e.g.:  steps/estimate_face_ages.py conf/dex.yaml exp/dex/parts/face.1.scp \\
         exp/dex/parts 1

FACES is a part of face.scp: lines `<face> <picture>`.
"""

import contextlib
from pathlib import Path

from chronovox import cli, datadir, kaldi_io
from chronovox.cli import UserError
from chronovox.coverage import Coverage


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("config", help="settings, such as conf/dex.yaml")
    parser.add_argument("faces", help="this job's part of face.scp")
    parser.add_argument("parts_dir", help="where the results go")
    parser.add_argument("job", type=cli.positive_int, help="number of this job")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="cpu",
        help="auto takes a GPU if there is one (default: cpu)",
    )  # fmt: skip
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    from chronovox.faces import ages, pictures
    from chronovox.models.extraction import choose_device

    pictures.cv2.setNumThreads(1)  # jobs are many already
    settings = ages.load_settings(args.config)
    network = ages.load_network(settings).to(choose_device(args.device))
    read = ages.face_reader(settings.crop, network.image_size)
    faces = datadir.read_table(args.faces, None)
    results = ages.estimate_all(network, read, [*faces.values()], settings.batch_size)
    parts, years, coverage = Path(args.parts_dir), {}, Coverage()
    names = [parts / f"face_age.{args.job}.{kind}" for kind in ("ark", "scp")]
    with (
        kaldi_io.ArkWriter(*names, ndim=1)
        if network.has_posterior
        else contextlib.nullcontext()
    ) as writer:
        for face, result in zip(faces, results, strict=True):
            with coverage.item(face):
                if isinstance(result, UserError):
                    raise result
                if writer:
                    writer.write(face, result.posterior)
                years[face] = f"{result.years:.4f}"
    datadir.write_table(parts / f"face2age.{args.job}", years)
    coverage.finish(parts / f"dropped.{args.job}")
    return 0


if __name__ == "__main__":
    cli.run(main)

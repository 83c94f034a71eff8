#!/usr/bin/env python3
"""Estimate the ages of some faces by a network: one job's part.

A picture that cannot be read, or has no face in it, is dropped, and listed in
PARTS_DIR/dropped.JOB. PARTS_DIR/face_age.JOB.scp lists the posteriors of the ages 0 to
100, unless the network has none; face2age.JOB has lines `<face> <years>`.

The faces are done a thousand at a time. A job that was killed, and is run again on the
same pictures with the same settings, keeps the thousands that it had done.

Usage: steps/estimate_face_ages.py [options] CONFIG FACES PARTS_DIR JOB
e.g.:  steps/estimate_face_ages.py conf/dex.yaml exp/dex/parts/face.1.scp \\
         exp/dex/parts 1

FACES is a part of face.scp: lines `<face> <picture>`.
"""

import contextlib
import json
from pathlib import Path

from chronovox import cli, datadir, files, kaldi_io
from chronovox.cli import UserError, log
from chronovox.coverage import list_dropped

CHUNK = 1000


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


def read_done(path: Path, fingerprint: str) -> dict | None:
    """What is known of a chunk, if it was done before, of the same faces."""
    try:
        done = json.loads(path.read_text())
        return done if done["fingerprint"] == fingerprint else None
    except (FileNotFoundError, ValueError, TypeError, KeyError):
        return None


def estimate_chunk(faces: dict[str, str], results, writer) -> dict:
    """Years of some faces, and why others have none; posteriors go to the writer."""
    years, dropped = {}, {}
    for face, result in zip(faces, results, strict=True):
        if isinstance(result, UserError):
            log.warning("dropped %s: %s", face, result)
            dropped[face] = str(result)
            continue
        if writer:
            writer.write(face, result.posterior)
        years[face] = f"{result.years:.4f}"
    return {"years": years, "dropped": dropped}


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    from chronovox.faces import ages, pictures
    from chronovox.models.extraction import choose_device

    pictures.cv2.setNumThreads(1)  # jobs are many already
    settings = ages.load_settings(args.config)
    network = ages.load_network(settings).to(choose_device(args.device))
    read = ages.face_reader(settings.crop, network.image_size)
    faces = [*datadir.read_table(args.faces, None).items()]
    parts, of_settings = Path(args.parts_dir), ages.fingerprint(settings)
    years, dropped, posteriors = {}, {}, {}
    size = max(CHUNK, settings.batch_size)
    for first in range(0, len(faces), size):
        some = dict(faces[first : first + size])
        ark, scp, record = (
            parts / f"chunk.{args.job}.{first}.{kind}"
            for kind in ("ark", "scp", "json")
        )
        fingerprint = files.fingerprint(of_settings + json.dumps(some), some.values())
        done = read_done(record, fingerprint)
        if not done:
            record.unlink(missing_ok=True)  # it is of the ark that is there
            results = ages.estimate_all(
                network, read, [*some.values()], settings.batch_size
            )
            with (
                kaldi_io.ArkWriter(ark, scp, ndim=1)
                if network.has_posterior
                else contextlib.nullcontext()
            ) as writer:
                done = estimate_chunk(some, results, writer)
            with files.atomic_write(record) as stream:
                json.dump({"fingerprint": fingerprint, **done}, stream)
        years |= done["years"]
        dropped |= done["dropped"]
        if network.has_posterior and done["years"]:
            posteriors |= datadir.read_table(scp)
    if network.has_posterior:
        datadir.write_table(parts / f"face_age.{args.job}.scp", posteriors)
    datadir.write_table(parts / f"face2age.{args.job}", years)
    list_dropped(len(faces), dropped, parts / f"dropped.{args.job}")
    return 0


if __name__ == "__main__":
    cli.run(main)

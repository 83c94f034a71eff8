#!/usr/bin/env python3
"""Join the vectors that jobs made into one ark, and average those of each speaker.

Writes OUT_DIR/xvector.{ark,scp}, spk_xvector.{ark,scp}, num_utts.ark (text:
`<spk> <number of utterances>`), and made_from: `<name> <sha256>` of those SOURCES
that exist, by which scoring refuses vectors that are older than their sources. The
bytes do not depend on the number of jobs.

Usage: steps/join_vectors.py SCP UTT2SPK OUT_DIR [SOURCES ...]
e.g.:  steps/join_vectors.py exp/floor/parts/xvector.scp data/test/utt2spk \\
         exp/floor/embeddings_test data/test/corpus.json
"""

from pathlib import Path

from chronovox import cli, vectors
from chronovox.datadir import write_table
from chronovox.files import sha256


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("scp", help="table of the vectors of all jobs")
    parser.add_argument("utt2spk")
    parser.add_argument("out_dir")
    parser.add_argument(
        "sources", metavar="SOURCES", nargs="*", help="files that decide the vectors"
    )
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    ark, scp = (Path(args.out_dir) / f"xvector.{kind}" for kind in ("ark", "scp"))
    num_utts = vectors.write_joined(args.scp, ark, scp)
    num_spks = vectors.write_speaker_means(scp, args.utt2spk, args.out_dir)
    sources = [path for path in map(Path, args.sources) if path.exists()]
    if sources:
        made_from = {path.name: sha256(path) for path in sources}
        write_table(Path(args.out_dir) / "made_from", made_from)
    cli.log.info("%d vectors of %d speakers in %s", num_utts, num_spks, args.out_dir)
    return 0


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Adapt the PLDA of a back end to vectors of another domain, without their labels.

Usage: steps/adapt_backend.py [options] BACKEND_IN DATA EMBEDDINGS BACKEND_OUT
  e.g.: steps/adapt_backend.py exp/xv_s1/backends/plda data/unlabelled \\
            exp/xv_s1/embeddings_unlabelled exp/xv_s1/backends/plda_adapted

BACKEND_IN is what steps/train_backend.py wrote, by settings with `score: plda`. Reads
EMBEDDINGS/xvector.scp of recordings like those that will be scored. In directions in
which these vary more than the model says, --within-share of the surplus is added to the
covariance within speakers, and --between-share to that of speakers; directions in which
they vary less stay (Kaldi's ivector-adapt-plda, where the shares are called
--within-covar-scale and --between-covar-scale). The mean of the model becomes theirs,
and so does the mean that is subtracted, where the settings say `center: true`.
Everything else stays: settings, transform, cohort.

Speakers have no part in it; DATA/utt2spk is read for one reason: those of EMBEDDINGS
are added to BACKEND_OUT/speakers, so that steps/score_trials.py refuses trials of them.
Where nobody knows them, let each utterance be a speaker of its own: nothing will then
be refused, so make sure that the trials have other speakers.
"""

from collections import Counter
from pathlib import Path

from chronovox import cli, kaldi_io
from chronovox.cli import UserError, log
from chronovox.datadir import read_table
from chronovox.scoring import backend as backends
from chronovox.scoring import origin


def get_parser():
    parser = cli.parser(__doc__)
    # Those of Kaldi's sre16 recipe; its program by itself has 0.3 and 0.7.
    parser.add_argument(
        "--within-share", type=cli.fraction, default=0.75, metavar="X", help="(0.75)"
    )
    parser.add_argument(
        "--between-share", type=cli.fraction, default=0.25, metavar="X", help="(0.25)"
    )
    parser.add_argument("backend_in", help="EXP_M/backends/NAME")
    parser.add_argument("data", help="data directory of the embeddings")
    parser.add_argument("embeddings", help="folder with xvector.scp")
    parser.add_argument("backend_out")
    return parser


def check_network(folder: Path, embeddings: Path) -> None:
    """Raise UserError unless both were made by one network, if any is known."""
    records = [path / "made_from" for path in (folder, embeddings)]
    first, second = (
        read_table(path).get("final.pt") if path.exists() else None for path in records
    )
    if first != second:
        raise UserError(
            f"{records[1]}: not the network of {records[0]}: extract the embeddings "
            "with the network that the back end was trained for"
        )


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    folder, out = Path(args.backend_in), Path(args.backend_out)
    data, embeddings = Path(args.data), Path(args.embeddings)
    if out.exists() and out.samefile(folder):
        raise UserError(f"{out}: is the back end itself: write to another folder")
    backend = backends.load(folder)
    origin.check_origin(
        embeddings, [data / "corpus.json", data / "wav.scp"],
        "extract them again (./run.sh --stage 5)",
    )  # fmt: skip
    check_network(folder, embeddings)
    scp = embeddings / "xvector.scp"
    keys, vectors = kaldi_io.read_vectors(scp)
    speakers = origin.speakers_of(keys, data, scp)
    backends.clear(out)
    try:
        adapted = backends.adapted(
            backend, vectors, args.within_share, args.between_share
        )
    except UserError as error:
        raise UserError(f"{folder} and {scp}: {error}") from None
    if len(keys) <= vectors.shape[1]:
        log.warning(
            "%s: %d vectors of dimension %d: too few to tell how they vary",
            scp, len(keys), vectors.shape[1],
        )  # fmt: skip
    counts = Counter(speakers)
    log.info("%s: %d vectors of %d speakers", out, len(keys), len(counts))
    for spk, count in read_table(folder / "speakers").items():
        counts[spk] += int(count)
    record = folder / "made_from"
    backends.save(adapted, out, counts, record.exists() and read_table(record))
    return 0


if __name__ == "__main__":
    cli.run(main)

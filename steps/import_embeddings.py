#!/usr/bin/env python3
"""Take embeddings that another toolkit made, to be scored like ours.

Usage: steps/import_embeddings.py [options] SCP DATA EXP_M
  e.g.: steps/import_embeddings.py --train-speakers train/spk2utt wespeaker.scp \\
            data/test exp/wespeaker

SCP is a Kaldi table of vectors, keyed by utterance. Those of the utterances of
DATA/utt2spk are copied; others are left aside. Utterances without a vector are told
first, and listed in missing; more of them than --max-fail-ratio allows are an error, as
is a trial of one, when it is scored.

  --train-speakers FILE  a list of the speakers that trained the network, or a table
                         keyed by them (spk2utt), or called utt2spk: scoring refuses
                         trials of them. Without it nothing can tell, and results are
                         marked training-unknown

Writes EXP_M/embeddings_SET/{xvector,spk_xvector}.{ark,scp}, num_utts.ark, missing and
made_from, where SET is the last part of DATA; EXP_M/imported, the source of each set;
and EXP_M/spk2id with --train-speakers.
"""

from pathlib import Path

from chronovox import cli, vectors
from chronovox.cli import UserError, log
from chronovox.datadir import read_lines, read_table, write_table
from chronovox.files import sha256, write_lines

SHOWN = 10


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--train-speakers", metavar="FILE", help="(unknown)")
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05,
        help="of utterances that may have no vector (0.05)",
    )  # fmt: skip
    for name in ("scp", "data", "exp"):
        parser.add_argument(name)
    return parser


def write_missing(utts: list[str], num_utts: int, args, path: Path) -> None:
    """List the utterances without a vector. Raises UserError if they are too many."""
    write_lines(path, utts)
    if not utts:
        return
    more = f", ... all in {path}" if len(utts) > SHOWN else ""
    problem = (
        f"{args.scp}: {len(utts)} of {num_utts} utterances of {args.data} have no "
        f"vector: {', '.join(utts[:SHOWN])}{more}"
    )
    if len(utts) == num_utts or len(utts) > args.max_fail_ratio * num_utts:
        raise UserError(
            f"{problem}: keys must be those of {args.data}/utt2spk, and at most "
            f"--max-fail-ratio {args.max_fail_ratio} may lack"
        )
    log.warning(
        "%s: where a trial needs one, take them out of a copy of %s "
        "(utils/subset_data_dir.py), and select its trials again", problem, args.data,
    )  # fmt: skip


def write_training(exp: Path, path) -> None:
    """Write EXP_M/spk2id from the first fields of a table, or remove it."""
    (exp / "spk2id").unlink(missing_ok=True)
    if path is None:
        return
    if Path(path).name == "utt2spk":
        speakers = sorted(set(read_table(path).values()))
    else:
        speakers = sorted(
            {line.split()[0] for line in read_lines(path) if line.split()}
        )
    log.info("%s: %d speakers trained the network", path, len(speakers))
    write_table(exp / "spk2id", {spk: number for number, spk in enumerate(speakers)})


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    exp, data = Path(args.exp), Path(args.data)
    for name in ("config.yaml", "final.pt"):
        if (exp / name).exists():
            raise UserError(f"{exp}: {name} is there, of a training: name another")
    if data.name.split() != [data.name]:
        raise UserError(f"{data}: has a blank in its name: rename or link it")
    out = exp / f"embeddings_{data.name}"
    table, utt2spk = read_table(args.scp, None), read_table(data / "utt2spk")
    out.mkdir(parents=True, exist_ok=True)
    for name in ("xvector.scp", "spk_xvector.scp", "made_from"):
        (out / name).unlink(missing_ok=True)
    missing = [utt for utt in utt2spk if utt not in table]
    write_missing(missing, len(utt2spk), args, out / "missing")
    # What they are of stands before they do.
    write_training(exp, args.train_speakers)
    imported = exp / "imported"
    known = read_table(imported, None) if imported.exists() else {}
    write_table(imported, {**known, data.name: args.scp})
    sources = [data / name for name in ("corpus.json", "wav.scp")]
    write_table(out / "made_from", {
        "source": sha256(args.scp),
        **{path.name: sha256(path) for path in sources if path.exists()},
    })  # fmt: skip
    wanted = out / "wanted.scp"
    write_table(wanted, {utt: table[utt] for utt in utt2spk if utt in table})
    num_utts = vectors.write_joined(wanted, out / "xvector.ark", out / "xvector.scp")
    wanted.unlink()
    num_spks = vectors.write_speaker_means(out / "xvector.scp", data / "utt2spk", out)
    log.info(
        "%s: %d vectors in, %d out, of %d speakers; %d utterances have none",
        out, len(table), num_utts, num_spks, len(missing),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)

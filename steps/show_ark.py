#!/usr/bin/env python3
"""Show what an ark holds: key, type, shape and statistics of every record.

usage: steps/show_ark.py [--limit N] [--values true] X.ark|X.scp [--keys K ...]
e.g.:  steps/show_ark.py data/test/feats.scp --limit 5
       steps/show_ark.py exp/m/embeddings_test/xvector.ark --keys a-1-1 --values true
       steps/show_ark.py exp/m/embeddings_test/num_utts.ark
       steps/show_ark.py data/train_packed/wav.scp --limit 5

Reads scp files (feats.scp, vad.scp, with ranges too; wav.scp, recordings in arks
too: their values are samples), binary arks, and text arks with numbers, vectors
`[ 1 2 ]` or matrices. Types are Kaldi's: FM and DM are matrices, FV and DV vectors,
of float and double; CM, CM2 and CM3 are compressed. A broken record is an error that
names it.
"""

import numpy as np

from chronovox import audio, cli, datadir, kaldi_io


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--keys", nargs="+", metavar="K", help="only these records")
    parser.add_argument("--limit", type=cli.positive_int, help="only the first N")
    parser.add_argument(
        "--values", type=cli.boolean, default=False, help="print the values too"
    )
    parser.add_argument("path", metavar="X.ark|X.scp")
    return parser


def read_scp(path: str, keys: list[str] | None):
    """Yield (key, type, array); only the records asked for are read."""
    for key, rxfile in datadir.read_table(path, None).items():
        if keys is None or key in keys:
            try:
                if audio.is_audio(rxfile):
                    samples, rate = audio.read_entry(rxfile)
                    yield key, f"audio, {rate} Hz", samples
                else:
                    yield key, *kaldi_io.read_record(rxfile)
            except cli.UserError as error:
                raise cli.UserError(f"{path}: {key}: {error}") from None


def is_binary(path: str) -> bool:
    """Whether the ark's first record, behind `<key> `, starts as a binary one.

    Raises UserError for recordings, whose lengths the scp alone tells.
    """
    with open(path, "rb") as stream:
        start = stream.read(4096).partition(b" ")[2]
    if start[:4] in (b"RIFF", b"fLaC"):
        raise cli.UserError(f"{path}: recordings: look into them by their scp")
    return start[:1] in (b"\0", b"P")


def read_text(path: str):
    """Yield (key, type, array) of a text ark; a value may go on over several lines."""
    rows: list[str] = []
    key = ""
    for number, line in enumerate(datadir.read_lines(path), 1):
        where = f"{path}:{number}"
        if not rows:
            key, _, line = line.partition(" ")
        rows.append(line)
        is_open = "[" in rows[0] and "]" not in line
        if not is_open:
            yield key, "text", parse_text(rows, f"{where}: {key}")
            rows = []
    if rows:
        raise cli.UserError(f"{path}: {key}: the text ends before ']'")


def parse_text(rows: list[str], where: str) -> np.ndarray:
    """A number `()`, a vector `(D,)` or a matrix `(T, F)`. Raises UserError."""
    cells = [row.replace("[", " ").replace("]", " ").split() for row in rows]
    cells = [row for row in cells if row]
    try:
        array = np.array(cells, np.float64)
    except ValueError:
        raise cli.UserError(f"{where}: neither numbers nor a matrix of them") from None
    if "[" not in rows[0]:
        if array.size != 1:
            raise cli.UserError(f"{where}: expected one number")
        return array.reshape(())
    return array[0] if len(rows) == 1 and len(array) else array


def describe(array: np.ndarray) -> str:
    """Shape and statistics; NaN is counted, and left out of the statistics."""
    shape = "x".join(map(str, array.shape)) or "number"
    values = array[~np.isnan(array)].astype(np.float64)
    nans = f"NaN {array.size - values.size}"
    if not values.size:
        return f"{shape}  no values  {nans}"
    statistics = {
        "min": values.min(), "mean": values.mean(),
        "max": values.max(), "std": values.std(),
    }  # fmt: skip
    words = [f"{name} {value:.4g}" for name, value in statistics.items()]
    return "  ".join([shape, *words, nans])


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    if args.path.endswith(".scp"):
        records = read_scp(args.path, args.keys)
    elif is_binary(args.path):
        records = kaldi_io.read_records(args.path)
    else:
        records = read_text(args.path)
    found = set()
    rows = size = nans = 0
    for key, kind, array in records:
        if args.keys is not None and key not in args.keys:
            continue
        print(f"{key}  {kind}  {describe(array)}")
        if args.values:
            for row in np.atleast_2d(array):
                print("  " + " ".join(f"{value:.6g}" for value in row))
        found.add(key)
        rows += len(array) if array.ndim == 2 else 1
        size += array.size
        nans += int(np.isnan(array).sum())
        if len(found) == args.limit:
            break
    missing = sorted(set(args.keys or ()) - found)
    if missing:
        raise cli.UserError(f"{args.path}: no record '{missing[0]}'")
    if not found:
        raise cli.UserError(f"{args.path}: holds no record")
    print(f"{len(found)} records, {rows} rows, {size} values, NaN {nans}")
    return 0


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Copy some of the utterances of a data directory to another.

usage: utils/subset_data_dir.py [--speakers|--per-spk|--first|--last|--shortest]
           SRC N DST
       utils/subset_data_dir.py --utt-list FILE SRC DST
       utils/subset_data_dir.py --spk-list FILE SRC DST
e.g.:  utils/subset_data_dir.py --per-spk data/train 5 data/train_5

Without an option, N utterances spread evenly over the list. All tables are kept,
ages, sessions, dates and faces too; trial lists and lhotse manifests are not.
"""

import random
from pathlib import Path

from chronovox import cli, datadir, datadir_ops


def get_parser():
    parser = cli.parser(__doc__)
    which = parser.add_mutually_exclusive_group()
    for option, text in {
        "--speakers": "whole speakers, drawn until there are N utterances or more",
        "--per-spk": "N utterances of each speaker, or all if there are fewer",
        "--first": "the first N utterances",
        "--last": "the last N utterances",
        "--shortest": "the N shortest, by utt2num_frames or else utt2dur",
    }.items():
        which.add_argument(option, action="store_true", help=text)
    which.add_argument("--utt-list", metavar="FILE", help="a line begins with an id")
    which.add_argument("--spk-list", metavar="FILE", help="a line begins with an id")
    parser.add_argument("--seed", type=int, default=0, help="of --speakers (0)")
    parser.add_argument("src", metavar="SRC")
    parser.add_argument("num", metavar="N", nargs="?", type=cli.positive_int)
    parser.add_argument("dst", metavar="DST")
    return parser


def evenly(items: list, num: int) -> list:
    """`num` of the items, spread over the list."""
    return [items[i * len(items) // num] for i in range(num)]


def listed(path: str, known: dict, what: str) -> set[str]:
    """The ids of a list that are known; says how many are not. Raises UserError."""
    ids = {(line.split() or [""])[0] for line in datadir.read_lines(path)}
    unknown = sorted(ids - known.keys())
    if len(unknown) == len(ids):
        raise cli.UserError(f"{path}: no {what} of it is there, such as '{unknown[0]}'")
    if unknown:
        cli.log.warning(
            "%s: %d of %d are not there, such as '%s'",
            path, len(unknown), len(ids), unknown[0],
        )  # fmt: skip
    return ids - set(unknown)


def whole_speakers(spk2utt: dict[str, list[str]], num: int, seed: int) -> list[str]:
    speakers = list(spk2utt)
    random.Random(seed).shuffle(speakers)
    chosen: list[str] = []
    while len(chosen) < num:
        chosen += spk2utt[speakers.pop()]
    return chosen


def shortest(data: datadir_ops.DataDir, num: int, src: str) -> list[str]:
    for name in ("utt2num_frames", "utt2dur"):
        if name in data.tables:
            length = {
                utt: datadir.parse_float(value, f"{Path(src) / name}: {utt}")
                for utt, value in data.tables[name].items()
            }
            missing = sorted(data.utt2spk.keys() - length.keys())
            if missing:
                raise cli.UserError(f"{Path(src) / name}: no line for '{missing[0]}'")
            return sorted(data.utt2spk, key=lambda utt: (length[utt], utt))[:num]
    raise cli.UserError(f"{src}: --shortest needs utt2num_frames or utt2dur")


def choose(args, data: datadir_ops.DataDir):
    """The utterances that the options ask for."""
    utts = list(data.utt2spk)
    spk2utt = datadir.invert(data.utt2spk)
    if args.utt_list:
        return listed(args.utt_list, data.utt2spk, "utterance")
    if args.spk_list:
        speakers = listed(args.spk_list, spk2utt, "speaker")
        return [utt for utt in utts if data.utt2spk[utt] in speakers]
    if args.per_spk:
        few = [evenly(u, min(args.num, len(u))) for u in spk2utt.values()]
        return [utt for chosen in few for utt in chosen]
    if args.num > len(utts):
        raise cli.UserError(f"{args.src}: {args.num} of {len(utts)} utterances wanted")
    if args.speakers:
        return whole_speakers(spk2utt, args.num, args.seed)
    if args.shortest:
        return shortest(data, args.num, args.src)
    if args.first:
        return utts[: args.num]
    return utts[-args.num :] if args.last else evenly(utts, args.num)


def main(argv=None) -> int:
    parser = get_parser()
    args = parser.parse_args(argv)
    if (args.num is None) != bool(args.utt_list or args.spk_list):
        parser.error("give either N or one of --utt-list and --spk-list")
    datadir_ops.refuse_same(args.src, args.dst)
    data = datadir_ops.load(args.src)
    chosen = choose(args, data)
    cli.log.info("%d utterances in, %d out", len(data.utt2spk), len(chosen))
    datadir_ops.save(datadir_ops.keep(data, chosen), args.dst)
    return 0


if __name__ == "__main__":
    cli.run(main)

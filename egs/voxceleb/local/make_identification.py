#!/usr/bin/env python3
"""Turn VoxCeleb1's split for identification into a list of ours.

Usage: local/make_identification.py [--max-fail-ratio X] IDEN_SPLIT DATA LIST
e.g.:  local/make_identification.py iden_split.txt data/test \\
           data/test/identification/iden

IDEN_SPLIT is iden_split.txt as published, lines `3 id10001/1zcIwhmdeo4/00001.wav`: 1 is
training, 2 validation, 3 test. The utterances of part 1 enrol their speaker, in
LIST/enrolments; those of part 3 are LIST/tests; those of part 2 are not used.
Utterances that DATA lacks are left out, with the tests of speakers of whom none is left
to enrol; LIST/dropped says why. Numbers that are not the published ones give a warning.
"""

from collections import Counter
from pathlib import Path

from chronovox import cli
from chronovox.coverage import list_dropped
from chronovox.datadir import read_table, read_text
from chronovox.scoring.identification import write_list
from chronovox.trials.published import key_of

ENROL, TEST = "1", "3"
# As published: utterances of each part, and speakers.
PARTS = {"1": 138361, "2": 6904, "3": 8251}
NUM_SPEAKERS = 1251


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05, metavar="X",
        help="share of utterances that DATA may lack (0.05)",
    )  # fmt: skip
    parser.add_argument("iden_split")
    parser.add_argument("data", help="data directory that the utterances are of")
    parser.add_argument("list", help="folder to write")
    return parser


def read_split(path) -> dict[str, str]:
    """Utterance -> part; lines may end as on Windows. Raises UserError."""
    parts: dict[str, str] = {}
    for number, line in enumerate(read_text(path).splitlines(), 1):
        fields = line.split()
        if len(fields) != 2 or fields[0] not in PARTS or fields[1].count("/") != 2:
            raise cli.UserError(
                f"{path}:{number}: expected '1|2|3 <speaker>/<video>/<utterance>.wav', "
                f"found '{line}'"
            )
        utt = key_of(fields[1])
        if utt in parts:
            raise cli.UserError(f"{path}:{number}: {fields[1]} stands twice")
        parts[utt] = fields[0]
    return parts


def compare(path, parts: dict[str, str], num_speakers: int) -> None:
    """Warn of numbers that are not the published ones."""
    found = Counter(parts.values())
    rows = [(found[part], number, f"part {part}") for part, number in PARTS.items()]
    for has, number, what in [*rows, (num_speakers, NUM_SPEAKERS, "speakers")]:
        if has != number:
            cli.log.warning("%s: %s: %d, published: %d", path, what, has, number)


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    parts = read_split(args.iden_split)
    utt2spk = read_table(Path(args.data) / "utt2spk")
    reasons = {
        utt: f"not in {args.data}/utt2spk" for utt in parts if utt not in utt2spk
    }
    known = [utt for utt in parts if utt in utt2spk]
    compare(args.iden_split, parts, len({utt2spk[utt] for utt in known}))
    enrolments: dict[str, list[str]] = {}
    for utt in known:
        if parts[utt] == ENROL:
            enrolments.setdefault(utt2spk[utt], []).append(utt)
    tests = [utt for utt in known if parts[utt] == TEST]
    for utt in tests:
        if utt2spk[utt] not in enrolments:
            reasons[utt] = f"no utterance of {utt2spk[utt]} enrols"
    folder = Path(args.list)
    (folder / "tests").unlink(missing_ok=True)  # of an earlier list
    list_dropped(len(parts), reasons, folder / "dropped", args.max_fail_ratio)
    write_list(folder, enrolments, [utt for utt in tests if utt not in reasons])
    cli.log.info(
        "%s: %d speakers enrolled, %d tests", folder, len(enrolments), len(tests)
    )
    return 0


if __name__ == "__main__":
    cli.run(main)

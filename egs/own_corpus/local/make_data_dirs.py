#!/usr/bin/env python3
"""Split the speakers of a corpus and make data/train, data/dev and data/test.

usage: local/make_data_dirs.py [options] RECORDINGS CONVERTED DATA
e.g.:  local/make_data_dirs.py --test-speakers 20 data/local/recordings \\
           data/local/audio data

Development and test speakers are drawn among those with two or more sessions,
because only these give target trials that cross sessions; where nobody has two
sessions, among all with two or more utterances. The others train. Names are cleaned
as in RECORDINGS before they are compared.
"""

import csv
import random
from pathlib import Path

from list_recordings import clean

from chronovox import cli, datadir, manifests

SAMPLING_RATE = 16000


def get_parser():
    parser = cli.parser(__doc__)
    which = "a number, or names joined by commas"
    parser.add_argument("--test-speakers", default="", help=f"{which} (a fifth)")
    parser.add_argument(
        "--dev-speakers", default="", help=f"{which} (a fifth of the rest)"
    )
    parser.add_argument(
        "--speakers",
        help="tab-separated table with a header: speaker, and any of gender (m or f) "
        "and a column whose name ends in nationality",
    )
    parser.add_argument("--seed", type=int, default=1, help="of the draw (1)")
    parser.add_argument("recordings", help="lines `utt spk session path`")
    parser.add_argument("converted", help="lines `utt num_samples path`")
    parser.add_argument("data", help="where train, dev and test are made")
    return parser


def read_speakers(path: str | None) -> dict[str, dict[str, str]]:
    """speaker -> {gender, nationality}, empty values left out. Raises UserError."""
    if path is None:
        return {}
    lines = datadir.read_lines(path)
    lines[0] = lines[0].removeprefix("\ufeff")  # some programs' mark of UTF-8
    rows = csv.DictReader(lines, delimiter="\t")
    if "speaker" not in (rows.fieldnames or ()):
        raise cli.UserError(f"{path}:1: no column 'speaker' in the header")
    speakers: dict[str, dict[str, str]] = {}
    for row in rows:
        where = f"{path}:{rows.line_num}"
        spk = clean((row["speaker"] or "").strip())
        values = {"gender": (row.get("gender") or "").strip()[:1].lower()}
        for name, value in row.items():
            if name and name.endswith("nationality"):
                values["nationality"] = (value or "").strip().replace(" ", "_")
        if values["gender"] not in ("", "m", "f"):
            raise cli.UserError(f"{where}: gender '{row['gender']}' is not m or f")
        if not spk or spk in speakers:
            problem = f"speaker '{spk}' stands twice" if spk else "no speaker"
            raise cli.UserError(f"{where}: {problem}")
        speakers[spk] = {k: v for k, v in values.items() if v}
    return speakers


def warn_of_unknown(path: str | None, about, known: set[str]) -> None:
    """Say how many speakers of the table have no recording."""
    unknown = sorted(set(about) - known)
    if unknown:
        cli.log.warning(
            "%s: %d of %d speakers have no usable recording, such as '%s'",
            path, len(unknown), len(about), unknown[0],
        )  # fmt: skip


def eligible(utterances, taken: set[str]) -> list[str]:
    """Speakers that can give target trials: cross-session ones where there are any."""
    sessions: dict[str, list[str]] = {}
    for _, spk, session in utterances:
        sessions.setdefault(spk, []).append(session)
    free = {spk: names for spk, names in sorted(sessions.items()) if spk not in taken}
    crossing = [spk for spk, names in free.items() if len(set(names)) > 1]
    return crossing or [spk for spk, names in free.items() if len(names) > 1]


def choose(option: str, value: str, candidates, known, rng) -> set[str]:
    """The speakers that `--test-speakers` or `--dev-speakers` asks for."""
    if value and not value.isdecimal() or value in known:
        names = {clean(name.strip()) for name in value.split(",")}
        if not names <= known:
            raise cli.UserError(
                f"{option}: no usable recording of {', '.join(sorted(names - known))}"
            )
        return names
    count = int(value) if value else max(2, len(candidates) // 5)
    if not 2 <= count <= len(candidates):
        raise cli.UserError(
            f"{option}: {count} speakers wanted, at least 2 needed, and "
            f"{len(candidates)} that recorded more than once are there"
        )
    return set(rng.sample(candidates, count))


def split_speakers(utterances, test: str, dev: str, seed: int) -> dict[str, str]:
    """speaker -> train, dev or test. Raises UserError."""
    known = {spk for _, spk, _ in utterances}
    rng = random.Random(seed)
    where = dict.fromkeys(sorted(known), "train")
    taken: set[str] = set()
    for option, value, name in (
        ("--test-speakers", test, "test"),
        ("--dev-speakers", dev, "dev"),
    ):
        chosen = choose(option, value, eligible(utterances, taken), known, rng)
        if chosen & taken:
            raise cli.UserError(
                f"{option}: {', '.join(sorted(chosen & taken))}: is in the test set too"
            )
        taken |= chosen
        where.update(dict.fromkeys(chosen, name))
    if list(where.values()).count("train") < 2:
        raise cli.UserError("fewer than 2 speakers are left for training")
    return where


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    about = read_speakers(args.speakers)
    audio = {}
    for line in datadir.read_lines(args.converted):
        utt, num_samples, path = line.split(" ", 2)
        audio[utt] = (path, int(num_samples))
    utterances = []
    for line in datadir.read_lines(args.recordings):
        utt, spk, session, _ = line.split("\t")
        if utt in audio:
            utterances.append((utt, spk, session))
    warn_of_unknown(args.speakers, about, {spk for _, spk, _ in utterances})
    where = split_speakers(utterances, args.test_speakers, args.dev_speakers, args.seed)
    entries: dict[str, list] = {"train": [], "dev": [], "test": []}
    for utt, spk, session in utterances:
        path, num_samples = audio[utt]
        entries[where[spk]].append(
            manifests.utterance(
                utt,
                path,
                num_samples,
                SAMPLING_RATE,
                spk,
                session,
                **about.get(spk, {}),
            )  # fmt: skip
        )
    for name, items in entries.items():
        manifests.write_data_dir(Path(args.data) / name, items)
        count = list(where.values()).count(name)
        cli.log.info("%s: %d speakers, %d utterances", name, count, len(items))
    return 0


if __name__ == "__main__":
    cli.run(main)

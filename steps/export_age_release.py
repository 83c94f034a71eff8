#!/usr/bin/env python3
"""Write the ages and trial lists of a data directory in the published layout.

Usage: steps/export_age_release.py DATA OUT [SET ...]
  e.g.: steps/export_age_release.py data/test release/vox1 Vox-CA5 Vox-CA10 only-CA5

Reads DATA/utt2age, utt2spk, utt2session, trials/SET and, where they are, spk2gender
and spk2nationality.

Writes
  OUT/segment2age.npy      a dictionary <speaker>-<session> -> years, as numpy saves it
  OUT/ages.csv             VoxCeleb_ID,video_id,gender,nationality,age; gender and
                           nationality are empty where they are not known
  OUT/trials/SET/trials    <enrol> <test> target|nontarget
  OUT/trials/SET/test.txt  1|0 <spk>/<session>/<name>.wav <spk>/<session>/<name>.wav

The age of a session is the mean of its utterances'; where these differ, it is said.
steps/import_ages.py reads segment2age.npy and ages.csv.
"""

import csv
import statistics
from pathlib import Path

from chronovox import cli
from chronovox.ages import read_sessions
from chronovox.ages.pickled import write_numbers
from chronovox.cli import UserError, log
from chronovox.datadir import read_floats, read_table
from chronovox.files import atomic_write
from chronovox.trials import check_name, read_trials, write_trials
from chronovox.trials.published import write_published

COLUMNS = ("VoxCeleb_ID", "video_id", "gender", "nationality", "age")


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("data", help="data directory with utt2age")
    parser.add_argument("out")
    parser.add_argument("sets", nargs="*", metavar="SET", help="of DATA/trials")
    return parser


def session_ages(data: Path, sessions) -> dict[tuple[str, str], float]:
    """(speaker, session) -> mean years of its utterances, sorted.

    sessions: utterance -> (speaker, session). Raises UserError for an utterance of
    utt2age that is not among them.
    """
    path = data / "utt2age"
    found: dict[tuple[str, str], list[float]] = {}
    for utt, age in read_floats(path).items():
        if utt not in sessions:
            raise UserError(
                f"{path}: '{utt}' is not in utt2spk: run utils/fix_data_dir.py"
            )
        found.setdefault(sessions[utt], []).append(age)
    spread = {pair: max(ages) - min(ages) for pair, ages in found.items()}
    if any(spread.values()):
        (spk, session), years = max(spread.items(), key=lambda item: item[1])
        log.warning(
            "%s: the utterances of %d of %d sessions differ in age, by %.9g years in "
            "session %s of %s: means are written",
            path, sum(map(bool, spread.values())), len(found), years, session, spk,
        )  # fmt: skip
    return {pair: statistics.mean(ages) for pair, ages in sorted(found.items())}


def write_segment2age(path: Path, ages) -> None:
    """Raises UserError if the names of two sessions would be one."""
    joined: dict[str, float] = {}
    for (spk, session), age in ages.items():
        name = f"{spk}-{session}"
        if name in joined:
            raise UserError(f"{path}: two sessions would be named '{name}': rename one")
        joined[name] = age
    write_numbers(path, joined)


def write_csv(path: Path, data: Path, ages) -> None:
    """Write a row for each session that has an age."""
    tables = [
        read_table(data / name, None) if (data / name).exists() else {}
        for name in ("spk2gender", "spk2nationality")
    ]
    with atomic_write(path) as stream:
        writer = csv.writer(stream, lineterminator="\n")
        writer.writerow(COLUMNS)
        for (spk, session), age in ages.items():
            traits = (table.get(spk, "") for table in tables)
            writer.writerow([spk, session, *traits, f"{age:.9g}"])


def write_set(name: str, data: Path, out: Path, sessions) -> None:
    """Write a trial list in both forms. Raises UserError if labels contradict data."""
    trials = read_trials(data / "trials" / name)
    utt2spk = {utt: spk for utt, (spk, _) in sessions.items()}
    utt2session = {utt: session for utt, (_, session) in sessions.items()}
    trials.speakers(utt2spk, data / "utt2spk")
    write_trials(out / "trials" / name / "trials", trials)
    path = out / "trials" / name / "test.txt"
    write_published(path, trials, utt2spk, utt2session)
    log.info("%s: %d trials", path.parent, len(trials))


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    data, out = Path(args.data), Path(args.out)
    for name in args.sets:
        check_name(name)
    sessions = read_sessions(data)
    ages = session_ages(data, sessions)
    write_segment2age(out / "segment2age.npy", ages)
    write_csv(out / "ages.csv", data, ages)
    for name in args.sets:
        write_set(name, data, out, sessions)
    num_sessions = len(set(sessions.values()))
    log.info(
        "%s: %d sessions in, %d with an age out, %d without",
        out, num_sessions, len(ages), num_sessions - len(ages),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)

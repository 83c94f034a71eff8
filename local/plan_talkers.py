#!/usr/bin/env python3
"""Decide who speaks when, and with which voice; write the truth aside.

usage: local/plan_talkers.py [options] SETTINGS DATA TRUTH
e.g.:  local/plan_talkers.py --size small conf/talkers.yaml data exp/truth

Makes DATA/local/talkers (one name a line), DATA/local/people (with those who only show
their face) and DATA/local/talkers.yaml (the settings with the options), removes
recordings and pictures of people of an earlier plan, and makes TRUTH: talkers.tsv,
sessions.tsv, utt2age, settings.yaml. Only evaluation may read TRUTH.
"""

import dataclasses
import shutil
from pathlib import Path

from talkers import world
from talkers.settings import PARAMETERS, Settings

from chronovox import cli, config, datadir, files


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--size", help="small, default or large (that of SETTINGS)")
    parser.add_argument("--seed", type=int, help="of the world (that of SETTINGS)")
    parser.add_argument("--ageing", type=float, help="dose (that of SETTINGS)")
    parser.add_argument("--world", help="ageing or channel_dated (that of SETTINGS)")
    parser.add_argument("settings", help="such as conf/talkers.yaml")
    parser.add_argument("data", help="where train, dev and test will be made")
    parser.add_argument("truth", help="where the truth is written")
    return parser


def read_settings(args) -> Settings:
    """The settings, with what the command line says instead. Raises UserError."""
    values = dataclasses.asdict(config.load(args.settings, Settings))
    for name in ("size", "seed", "ageing", "world"):
        if getattr(args, name) is not None:
            values[name] = getattr(args, name)
    return config.from_dict(values, Settings, f"{args.settings} and options")


def remove_strangers(made: Path, names: set[str]) -> None:
    """Remove the recordings or pictures of people whom the plan does not have."""
    for folder in sorted(made.glob("t[0-9]*")):
        if folder.name not in names:
            shutil.rmtree(folder)


def write_truth(truth: Path, settings: Settings, talkers: list[world.Talker]) -> None:
    """Write dates of birth, ages, and the parameters of all voices."""
    talker_rows = [
        ["talker", "group", "nationality", "gender", "birth", "ageless", "onset",
         *(f"own_{name}" for name in PARAMETERS)]
    ]  # fmt: skip
    session_rows = [["talker", "session", "date", "age", *PARAMETERS]]
    ages = {}
    for talker in talkers:
        law = talker.law
        talker_rows.append(
            [talker.name, talker.group, talker.nationality, talker.gender,
             talker.birth.isoformat(), str(law.ageless).lower(), f"{law.onset:.3f}",
             *(f"{law.own[name]:.4f}" for name in PARAMETERS)]
        )  # fmt: skip
        for session in talker.sessions:
            session_rows.append(
                [talker.name, session.name, session.date.isoformat(),
                 f"{session.age:.3f}",
                 *(f"{session.voice[name]:.4f}" for name in PARAMETERS)]
            )  # fmt: skip
            for utterance in session.utterances:
                ages[utterance.name] = f"{session.age:.3f}"
    files.write_lines(truth / "talkers.tsv", map("\t".join, talker_rows))
    files.write_lines(truth / "sessions.tsv", map("\t".join, session_rows))
    datadir.write_table(truth / "utt2age", ages)
    config.save(settings, truth / "settings.yaml")


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    settings = read_settings(args)
    talkers = world.build(settings)
    speaking = [talker.name for talker in talkers if talker.group in world.SPLITS]
    data = Path(args.data)
    people = [talker.name for talker in talkers]
    remove_strangers(data / "audio", set(speaking))
    remove_strangers(data / "pictures", set(people))
    write_truth(Path(args.truth), settings, talkers)
    config.save(settings, data / "local" / "talkers.yaml")
    files.write_lines(data / "local" / "talkers", speaking)
    files.write_lines(data / "local" / "people", people)
    cli.log.info(
        "size %s, seed %d, world %s, ageing %g: %d talkers, %d utterances",
        settings.size, settings.seed, settings.world, settings.ageing, len(speaking),
        sum(len(s.utterances) for t in talkers for s in t.sessions),
    )  # fmt: skip
    return 0


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Make the data directories of the talkers corpus from what was made of it.

usage: local/make_data_dirs.py SETTINGS AUDIO PICTURES DATA UTTERANCES [UTTERANCES ...]
e.g.:  local/make_data_dirs.py data/local/talkers.yaml data/audio data/pictures data \\
           data/local/utterances.1 data/local/utterances.2

Lhotse manifests and the Kaldi tables exported from them, and corpus.json, which
says what corpus this is, in DATA/train, DATA/dev and DATA/test, and the faces seen
with the utterances. No age is in them. DATA/portraits: `<picture> <age>` of the people
who do not speak.
"""

import json
from pathlib import Path

from talkers import frames, world
from talkers.settings import Settings, describe
from talkers.sound import SAMPLING_RATE

from chronovox import cli, config, datadir, files, manifests


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("settings", help="with all options in it")
    parser.add_argument("audio", help="directory of the recordings")
    parser.add_argument("pictures", help="directory of the pictures")
    parser.add_argument("data", help="where train, dev and test are made")
    parser.add_argument("utterances", nargs="+", help="lists of speak_talkers.py")
    return parser


def read_num_samples(paths) -> dict[str, int]:
    """utterance -> number of samples, of all lists."""
    num_samples: dict[str, int] = {}
    for path in paths:
        for utt, value in datadir.read_table(path).items():
            num_samples[utt] = int(value)
    return num_samples


def made(path: Path) -> str:
    """The path, of a file that is there. Raises UserError for one that is not."""
    if not path.is_file():
        raise cli.UserError(f"{path}: was not made: run stage 0 again")
    return str(path)


def entries(talker: world.Talker, audio: Path, num_samples: dict[str, int]):
    """The manifest entries of a talker. Raises UserError if a recording is missing."""
    for session in talker.sessions:
        for utterance in session.utterances:
            path = audio / talker.name / session.name / f"{utterance.name}.wav"
            if utterance.name not in num_samples:
                raise cli.UserError(f"{path}: was not made: run stage 0 again")
            yield manifests.utterance(
                utterance.name, made(path), num_samples[utterance.name], SAMPLING_RATE,
                talker.name, session.name, gender=talker.gender,
                nationality=talker.nationality, date=session.date.isoformat(),
            )  # fmt: skip


def write_faces(folder: Path, settings, talkers, pictures: Path) -> None:
    """Write the faces of some talkers: face.scp and face2utt."""
    shown = [
        frame
        for talker in talkers
        for session in talker.sessions
        for frame in frames.of_session(settings, talker, session)
    ]
    face2utt = {frame.name: frame.utterance for frame in shown}
    face_scp = {frame.name: made(pictures / frame.path) for frame in shown}
    datadir.write_table(folder / "face2utt", face2utt)
    datadir.write_table(folder / "face.scp", face_scp)


def write_portraits(path: Path, settings, talkers, pictures: Path) -> None:
    """Write the pictures and ages of the people who only show their face."""
    shown = [
        portrait
        for talker in talkers
        if talker.group not in world.SPLITS
        for portrait in frames.portraits(settings, talker)
    ]
    files.write_lines(path, [f"{made(pictures / p.path)} {p.age:.3f}" for p in shown])


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    settings = config.load(args.settings, Settings)
    num_samples = read_num_samples(args.utterances)
    audio, pictures = Path(args.audio).absolute(), Path(args.pictures).absolute()
    talkers = world.build(settings)
    count = 0
    for split in world.SPLITS:
        group = [talker for talker in talkers if talker.group == split]
        items = [e for talker in group for e in entries(talker, audio, num_samples)]
        data_dir = Path(args.data) / split
        manifests.write_data_dir(data_dir, items)
        write_faces(data_dir / "faces", settings, group, pictures)
        with files.atomic_write(data_dir / "corpus.json") as out:
            out.write(json.dumps(describe(settings), indent=2) + "\n")
        hours = sum(recording.duration for recording, _ in items) / 3600
        cli.log.info(
            "%s: %d talkers, %d utterances, %.2f h",
            data_dir, len(group), len(items), hours,
        )  # fmt: skip
        count += len(items)
    write_portraits(Path(args.data) / "portraits", settings, talkers, pictures)
    cli.log.info(
        "%d in, %d out, %d dropped", len(num_samples), count, len(num_samples) - count
    )
    return 0


if __name__ == "__main__":
    cli.run(main)

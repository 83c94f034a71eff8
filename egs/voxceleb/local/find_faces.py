#!/usr/bin/env python3
"""Find the pictures of faces of VoxCeleb1 or VoxCeleb2.

Usage: local/find_faces.py [options] --corpus 1|2 ROOT META DATA [DATA ...]
e.g.:  local/find_faces.py --corpus 1 /corpora/voxceleb1 vox1_meta.csv data/test

In ROOT, or up to three folders below it, lie folders of speakers, named id and five
digits or as META calls them for VGGFace; so unzippedFaces/A.J._Buckley. In these, or
in one folder more (unzippedFaces' 1.6), lie videos with
  <frame>.jpg               frames of a video, as VoxCeleb1's
  <utterance>/<frame>.jpg   frames of each utterance, as VoxCeleb2's
jpeg and png will do as well. DATA/faces/face.scp gets `<face> <picture>` and face2utt
`<face> <utterance>`; frames of a video are shared out among its utterances in turn,
which is right for ages by session. Folders of videos, utterances and speakers that no
DATA has are listed in LOG/faces<corpus>.ignored, where LOG is DATA/../local.
"""

import contextlib
from collections.abc import Iterator
from itertools import cycle
from pathlib import Path

from voxceleb import trees
from voxceleb.metadata import SPEAKER, read_speakers

from chronovox import cli, datadir, files
from chronovox.coverage import UNWRITABLE, shown

SUFFIXES = (".jpg", ".jpeg", ".png")


class Videos:
    """The utterances of a data directory by speaker and video, and its faces."""

    def __init__(self, data_dir: Path):
        self.faces = data_dir / "faces"
        self.utts: dict[str, dict[str, list[str]]] = {}
        sessions = datadir.read_table(data_dir / "utt2session")
        for utt, spk in datadir.read_table(data_dir / "utt2spk").items():
            self.utts.setdefault(spk, {}).setdefault(sessions[utt], []).append(utt)


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("--corpus", type=int, choices=[1, 2], required=True)
    parser.add_argument(
        "--optional", type=cli.boolean, default=False, metavar="BOOL",
        help="that there are no pictures is no error (false)",
    )  # fmt: skip
    parser.add_argument("root", metavar="ROOT")
    parser.add_argument("meta", metavar="META")
    parser.add_argument("data", nargs="+", type=Path, metavar="DATA")
    return parser


def pictures(folder: Path) -> list[Path]:
    _, names = trees.listing(folder)
    return [folder / name for name in names if name.lower().endswith(SUFFIXES)]


def find_videos(folder: Path, known) -> Iterator[tuple[str, Path]]:
    """The folders of known videos, in a speaker's folder or in one folder more.

    Others are given by an empty name.
    """
    for name in trees.listing(folder)[0]:
        inner = [] if name in known else trees.listing(folder / name)[0]
        if name in known or not any(map(known.__contains__, inner)):
            yield name if name in known else "", folder / name
        else:
            for video in inner:
                yield video if video in known else "", folder / name / video


def faces_of_video(folder: Path, utts: list[str], prefix: str, ignored: dict):
    """Yield (face, picture, utterance) of a video's folder."""
    turns = cycle(utts)
    for path in pictures(folder):
        yield f"{prefix}-{path.stem}", path, next(turns)
    for name in trees.listing(folder)[0]:
        utt = f"{prefix}-{name}"
        if utt not in utts:
            ignored[folder / name] = f"no utterance {utt}"
            continue
        for path in pictures(folder / name):
            yield f"{utt}-{path.stem}", path, utt


def faces_of_speaker(folders, spk: str, videos, ignored) -> dict[str, tuple[str, str]]:
    """Face -> (picture, utterance), of all folders of a speaker."""
    found: dict[str, tuple[str, str]] = {}
    for folder in folders:
        for video, place in find_videos(folder, videos):
            if not video:
                ignored[place] = f"no video {place.name} of {spk}"
                continue
            prefix = f"{spk}-{video}"
            for face, path, utt in faces_of_video(
                place, videos[video], prefix, ignored
            ):
                if UNWRITABLE.search(str(path)) or len(face.split()) != 1:
                    ignored[path] = "blanks or control characters in its name"
                elif found.setdefault(face, (str(path), utt))[0] != str(path):
                    ignored[path] = f"there twice: {found[face][0]} is used"
    return found


def find_folders(root: Path, speakers, ignored) -> dict[str, list[Path]]:
    """Speaker -> folders in which pictures of them lie."""
    names = {speaker.face_name: spk for spk, speaker in speakers.items()}
    names |= {spk: spk for spk in speakers}
    found: dict[str, list[Path]] = {}
    places = trees.find_trees(
        root, lambda name: name in names or SPEAKER.fullmatch(name)
    )
    for tree, folders in places.items():
        if not trees.holds(tree, folders, SUFFIXES):
            continue
        cli.log.info("%s: pictures of %d speakers", tree, len(folders))
        for name in folders:
            found.setdefault(names.get(name, name), []).append(tree / name)
        for folder in trees.others(tree, places):
            ignored[folder] = "no speaker's name"
    return found


def write_faces(data: Videos, folders: dict[str, list[Path]], ignored) -> int:
    """Write faces/face.scp and face2utt of a data directory; returns how many.

    Speaker by speaker: there may be millions, and keys begin with the speaker.
    """
    number, videos = 0, set()
    with contextlib.ExitStack() as stack:
        scp, face2utt = (
            stack.enter_context(files.atomic_write(data.faces / name))
            for name in ("face.scp", "face2utt")
        )
        for spk in sorted(data.utts.keys() & folders.keys()):
            found = faces_of_speaker(folders[spk], spk, data.utts[spk], ignored)
            for face in sorted(found):
                path, utt = found[face]
                scp.write(f"{face} {path}\n")
                face2utt.write(f"{face} {utt}\n")
                videos.add(utt)
            number += len(found)
    if not number:
        for name in ("face.scp", "face2utt"):
            (data.faces / name).unlink()
    cli.log.info(
        "%s: %d faces, of %d of %d utterances",
        data.faces, number, len(videos),
        sum(len(utts) for of in data.utts.values() for utts in of.values()),
    )  # fmt: skip
    return number


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    speakers = read_speakers(args.meta, args.corpus)
    sets, ignored = [Videos(path) for path in args.data], {}
    folders = find_folders(Path(args.root).resolve(), speakers, ignored)
    if not folders and args.optional:
        cli.log.info("%s: no pictures of faces", args.root)
        return 0
    if not folders:
        raise cli.UserError(
            f"{args.root}: no pictures ({', '.join(SUFFIXES)}) in folders of speakers "
            f"and videos, in it or {trees.DEPTH} folders below it"
        )
    for spk in sorted(folders.keys() - {spk for data in sets for spk in data.utts}):
        ignored |= {path: f"no utterance of {spk}" for path in folders[spk]}
    number = sum(write_faces(data, folders, ignored) for data in sets)
    path = args.data[0].parent / "local" / f"faces{args.corpus}.ignored"
    lines = [f"{shown(place)} {why}" for place, why in sorted(ignored.items())]
    files.write_lines(path, lines)
    cli.log.info("%d folders and pictures not used (%s)", len(lines), path)
    if not number and not args.optional:
        raise cli.UserError(f"{args.root}: no picture is of a video that is known")
    return 0


if __name__ == "__main__":
    cli.run(main)

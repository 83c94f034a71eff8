#!/usr/bin/env python3
"""Make data directories of the noises, music and speech of MUSAN, for augmentation.

Usage: local/prepare_musan.py [options] MUSAN DATA
e.g.:  local/prepare_musan.py --nj 8 /corpora/musan data

MUSAN (openslr.org/17) holds music, noise and speech, either as published,
<type>/<source>/<file>.wav, or split into pieces of some seconds,
<type>/<source>/<file>/<NNNNN>.wav; flac will do for wav. DATA/musan_noise,
musan_music and musan_speech are what `noises` of conf/augment.yaml and the `data` of
its babble name. There a speaker is a file of MUSAN as published, of which the
utterances are parts: see --window.

Each file is read once. What cannot be used is listed in DATA/musan_*/log/dropped with
the reason; other sampling rates and several channels (the first is taken) become
copies in DATA/musan_*/audio.
"""

from pathlib import Path

from chronovox import cli, noises

TYPES = ("noise", "music", "speech")


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("musan", help="the folder that holds music, noise and speech")
    parser.add_argument("data", help="where the data directories are made")
    parser.add_argument(
        "--types", default=",".join(TYPES), help="joined by commas (default: all three)"
    )
    noises.add_options(parser)
    return parser


def check_root(musan: Path, types: list[str]) -> None:
    """Raise UserError, with the right folder if it is near, unless `musan` is it."""
    missing = [name for name in types if not (musan / name).is_dir()]
    if not missing:
        return
    for near in (musan / "musan", musan / "musan_split", musan.parent):
        if all((near / name).is_dir() for name in types):
            raise cli.UserError(
                f"{musan}: no folder {missing[0]}: did you mean {near}?"
            )
    raise cli.UserError(
        f"{musan}: no folder {missing[0]}: name the folder that holds "
        f"{', '.join(types)}, or those that are there with --types"
    )


def find_noises(folder: Path) -> tuple[list[noises.Noise], bool]:
    """The files of one type, and whether they are split already."""
    found, depths = [], set()
    for path in noises.find_files(folder):
        parts = path.relative_to(folder).parts
        depths.add(len(parts))
        if len(depths) > 1 or len(parts) not in (2, 3):
            raise cli.UserError(
                f"{path}: neither {folder}/<source>/<file>.wav nor, as all others "
                f"then are, {folder}/<source>/<file>/<NNNNN>.wav: move it"
            )
        source = noises.clean(path.stem if len(parts) == 2 else parts[1])
        key = source if len(parts) == 2 else f"{source}-{noises.clean(path.stem)}"
        found.append(noises.Noise(key, source, noises.clean(parts[0]), path))
    if not found:
        raise cli.UserError(
            f"{folder}: no <source>/<file>.wav in it: unpack MUSAN again"
        )
    return found, depths == {3}


def main(argv=None) -> int:
    parser = get_parser()
    args = parser.parse_args(argv)
    types = args.types.split(",")
    if not set(types) <= set(TYPES):
        parser.error(f"argument --types: some of {','.join(TYPES)}, got '{args.types}'")
    musan = Path(args.musan)
    check_root(musan, types)
    found = {name: find_noises(musan / name) for name in types}
    for name, (files, split) in found.items():
        settings = noises.Settings(
            args.sampling_rate, 0 if split else args.window, args.nj,
            args.max_fail_ratio,
        )  # fmt: skip
        noises.write_noise_dir(Path(args.data) / f"musan_{name}", files, settings)
    return 0


if __name__ == "__main__":
    cli.run(main)

#!/usr/bin/env python3
"""Make data directories of the impulse responses and noises of RIRS_NOISES.

Usage: local/prepare_rirs.py [options] RIRS_NOISES DATA
e.g.:  local/prepare_rirs.py --rirs smallroom,mediumroom,real /corpora/RIRS_NOISES data

RIRS_NOISES (openslr.org/28) holds simulated_rirs/<size>room/Room<NNN>/*.wav,
real_rirs_isotropic_noises/*.wav with rir_list and noise_list, and
pointsource_noises/*.wav; flac will do for wav, and simulated_rirs alone will do too.
DATA/rirs is what `reverb` of conf/augment.yaml names: the kinds of --rirs, where a
speaker is a room and a session a kind. Noises that are there become
DATA/pointsource_noises and DATA/isotropic_noises, cut into parts (--window).

Real responses and noises have several channels, of which the first is taken. Each
file is read once; what cannot be used is listed in DATA/*/log/dropped with the reason,
and what had to be changed is copied to DATA/*/audio.
"""

from pathlib import Path

from chronovox import cli, noises
from chronovox.datadir import read_lines

REAL = "real_rirs_isotropic_noises"
POINT = "pointsource_noises"
ROOMS = ("smallroom", "mediumroom", "largeroom")


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("rirs_noises", help="the folder that holds simulated_rirs")
    parser.add_argument("data", help="where the data directories are made")
    parser.add_argument(
        "--rirs", default="smallroom,mediumroom",
        help="kinds of responses, joined by commas: smallroom, mediumroom, largeroom, "
        "real (default: smallroom,mediumroom, as in most recipes)",
    )  # fmt: skip
    noises.add_options(parser)
    return parser


def simulated(root: Path, kind: str) -> list[noises.Noise]:
    """The responses of one size of rooms: <kind>/<room>/<room>-<number>.wav."""
    folder = root / "simulated_rirs" / kind
    if not folder.is_dir():
        for near in (root / "RIRS_NOISES", root.parent):
            if (near / "simulated_rirs" / kind).is_dir():
                raise cli.UserError(f"{folder}: no such folder: did you mean {near}?")
        raise cli.UserError(
            f"{folder}: no such folder: name the folder that holds simulated_rirs, or "
            "the kinds that are there with --rirs"
        )
    found = []
    for path in noises.find_files(folder):
        parts = path.relative_to(folder).parts
        if len(parts) != 2:
            raise cli.UserError(f"{path}: not {folder}/<room>/<file>.wav: move it")
        room = f"{kind}-{noises.clean(parts[0])}"
        number = noises.clean(path.stem).removeprefix(f"{noises.clean(parts[0])}-")
        found.append(noises.Noise(f"{room}-{number}", room, kind, path))
    return not_empty(folder, found)


def not_empty(folder: Path, found: list) -> list:
    if not found:
        raise cli.UserError(f"{folder}: no wav in it: unpack RIRS_NOISES again")
    return found


def listed(root: Path, name: str) -> list[noises.Noise]:
    """The files that rir_list or noise_list names, by the last word of its lines."""
    folder = root / REAL
    if not (folder / name).is_file():
        raise cli.UserError(
            f"{folder / name}: no such file: it tells responses from noises: unpack "
            f"RIRS_NOISES again, or do without real ones (--rirs; move {REAL} away)"
        )
    kind = name.removesuffix("_list")
    found = []
    for number, line in enumerate(read_lines(folder / name), 1):
        if not line.split():
            raise cli.UserError(f"{folder / name}:{number}: an empty line")
        path = folder / Path(line.split()[-1]).name
        if not path.exists() and path.with_suffix(".flac").exists():
            path = path.with_suffix(".flac")
        key = noises.clean(path.stem)
        found.append(noises.Noise(key, key, f"real_{kind}", path))
    return not_empty(folder, found)


def warn_of_unlisted(root: Path, found: list[noises.Noise]) -> None:
    known = {noise.path for noise in found}
    others = [path for path in noises.find_files(root / REAL) if path not in known]
    if others:
        cli.log.warning(
            "%d files are in neither rir_list nor noise_list and are not used, such "
            "as %s", len(others), others[0],
        )  # fmt: skip


def point_sources(root: Path) -> list[noises.Noise]:
    found = []
    for path in noises.find_files(root / POINT):
        key = noises.clean(path.stem)
        found.append(noises.Noise(key, key, "pointsource", path))
    return not_empty(root / POINT, found)


def main(argv=None) -> int:
    parser = get_parser()
    args = parser.parse_args(argv)
    kinds = args.rirs.split(",")
    if not set(kinds) <= {*ROOMS, "real"}:
        parser.error(
            f"argument --rirs: some of {','.join(ROOMS)},real, got '{args.rirs}'"
        )
    root, data = Path(args.rirs_noises), Path(args.data)
    responses = [
        noise for kind in ROOMS if kind in kinds for noise in simulated(root, kind)
    ]
    noise_sets = {}
    if (root / REAL).is_dir() or "real" in kinds:
        real, isotropic = listed(root, "rir_list"), listed(root, "noise_list")
        warn_of_unlisted(root, real + isotropic)
        responses += real if "real" in kinds else []
        noise_sets["isotropic_noises"] = isotropic
    if (root / POINT).is_dir():
        noise_sets[POINT] = point_sources(root)
    settings = noises.Settings(args.sampling_rate, 0, args.nj, args.max_fail_ratio)
    noises.write_noise_dir(data / "rirs", responses, settings)
    for name, found in noise_sets.items():
        cut = settings._replace(window_s=args.window)
        noises.write_noise_dir(data / name, found, cut)
    if not noise_sets:
        cli.log.info("%s: no noises, only responses", root)
    return 0


if __name__ == "__main__":
    cli.run(main)

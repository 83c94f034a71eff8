#!/usr/bin/env python3
"""Draw all pictures of some people: frames of talkers, portraits of `face` people.

usage: local/draw_faces.py SETTINGS PEOPLE PICTURES
e.g.:  local/draw_faces.py data/local/talkers.yaml data/local/people.1 data/pictures

Makes PICTURES/<talker>/<session>/<face>.jpg and PICTURES/<person>/<portrait>.jpg, 64
pixels wide. A person's folder is emptied first.
"""

import shutil
from pathlib import Path

from talkers import frames, world
from talkers.settings import Settings

from chronovox import cli, config, datadir, files
from chronovox.faces import pictures


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("settings", help="with all options in it")
    parser.add_argument("people", help="names, one a line")
    parser.add_argument("pictures", help="where the pictures are made")
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    pictures.cv2.setNumThreads(1)
    settings = config.load(args.settings, Settings)
    people = {talker.name: talker for talker in world.build(settings)}
    count = 0
    for name in datadir.read_lines(args.people):
        if name not in people:
            raise cli.UserError(f"{args.people}: nobody called '{name}' in this world")
        folder = Path(args.pictures) / name
        if folder.exists():
            shutil.rmtree(folder)
        for path, picture in frames.draw(settings, people[name]):
            with files.atomic_write(Path(args.pictures) / path, "wb") as out:
                out.write(pictures.jpeg(picture))
            count += 1
    cli.log.info("%d pictures drawn", count)
    return 0


if __name__ == "__main__":
    cli.run(main)

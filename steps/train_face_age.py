#!/usr/bin/env python3
"""Train or fine-tune a network that tells the age of a face.

Ages are classes, 0 to 100, and the estimate is their expectation, as in DEX. Every
picture is read once before training begins; one that cannot be read, or has no face in
it, is left out, as are impossible ages, and listed. Run again, it goes on from the
newest checkpoint; if settings, list or pictures have changed it starts anew; a
finished training is left as it is.

Usage: steps/train_face_age.py [options] CONFIG LIST EXP
e.g.:  steps/train_face_age.py conf/face_age.yaml data/portraits exp/face_age

LIST has lines `<path of a picture> <age in years>`. Writes EXP/final.pt, the network;
EXP/config.yaml, the settings for steps/estimate_face_ages.sh; EXP/training.yaml,
checkpoints/, runinfo.json, log/dropped.
"""

from pathlib import Path

from chronovox import cli, config, files, runinfo


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("config", help="settings, such as conf/face_age.yaml")
    parser.add_argument("list", help="pictures and ages")
    parser.add_argument("exp", help="where the network goes")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto",
        help="auto takes a GPU if there is one (default: auto)",
    )  # fmt: skip
    parser.add_argument(
        "--num-workers", type=cli.natural, default=0,
        help="processes that read the pictures (default: 0, in this one)",
    )  # fmt: skip
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05,
        help="share of pictures that may be left out (default: 0.05)",
    )  # fmt: skip
    return parser


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    from chronovox.faces import ages, pictures
    from chronovox.models.extraction import choose_device
    from chronovox.training import face_ages, folder, loop
    from chronovox.training.checkpoint import Checkpoints, save_state

    pictures.cv2.setNumThreads(1)
    exp = Path(args.exp)
    device = choose_device(args.device)
    settings = face_ages.load_settings(args.config)
    portraits, _ = face_ages.read_portraits(args.list)
    given = [args.list, *(portrait.path for portrait in portraits)]
    fingerprint = files.fingerprint(ages.fingerprint(settings), given)
    with folder.locked(exp):
        if folder.is_finished(exp, fingerprint):
            cli.log.info("%s/final.pt is finished: nothing to do", exp)
            return 0
        (exp / "final.pt").unlink(missing_ok=True)
        network = face_ages.initial_network(settings)
        faces = face_ages.read_faces(
            args.list, settings, network.image_size, exp / "log" / "dropped",
            args.max_fail_ratio,
        )  # fmt: skip
        config.save(settings, exp / "training.yaml")
        runinfo.write(
            exp / "runinfo.json", seed=settings.seed, fingerprint=fingerprint,
            device=str(device),
        )  # fmt: skip
        checkpoints = Checkpoints(exp / "checkpoints")
        with loop.reading(faces):
            face_ages.train(
                network, faces, settings, checkpoints, fingerprint, device,
                args.num_workers,
            )  # fmt: skip
        config.save(
            face_ages.settings_for_use(settings, exp / "final.pt"), exp / "config.yaml"
        )
        save_state(network.state_dict(), exp / "final.pt")
        cli.log.info("wrote %s/final.pt", exp)
    return 0


if __name__ == "__main__":
    cli.run(main)

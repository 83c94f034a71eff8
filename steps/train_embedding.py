#!/usr/bin/env python3
"""Train a network that turns an utterance into an embedding of its speaker.

Reads pieces of utterances straight from feats.scp and vad.scp or, where the settings
have `augment:`, from wav.scp, and changes them. Run again, it goes on from the newest
checkpoint; if settings, seed or data have changed it starts anew; a finished training
is left as it is. The error rate on development trials is written to the log, and
nothing is chosen by it. SIGUSR1 or SIGTERM, as before a time limit, ends it after the
step with a checkpoint and exit code 85, which job runners take for: run me again. With
--num-procs it runs under torchrun; with --num-nodes srun starts it on each node.

Usage: steps/train_embedding.py [options] CONFIG DATA_TRAIN DATA_DEV EXP_M
e.g.:  steps/train_embedding.py --seed 1 conf/xvector_aam.yaml data/train data/dev \\
         exp/xvector_aam_s1

Writes EXP_M/config.yaml, spk2id, features.yaml, final.pt (the network alone),
checkpoints/, runinfo.json, log/dropped, log/tensorboard (curves).
"""

import argparse
import contextlib
import hashlib
import os
import signal
import sys
from pathlib import Path

from chronovox import cli, config, datadir, jobs
from chronovox.cli import UserError, log
from chronovox.features import FeatureConfig
from chronovox.staging import staged


def seed(text: str) -> int:
    """The type of --seed: what numpy and torch both take."""
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"expected 0 to 2^31 - 1, got '{text}'")
    return int(text)


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("config", help="settings, such as conf/xvector_aam.yaml")
    parser.add_argument(
        "data_train", help="data directory, with what the settings read of it"
    )
    parser.add_argument(
        "data_dev", help="data directory of other speakers, with features"
    )
    parser.add_argument("exp", help="where the model goes")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto",
        help="auto takes a GPU if there is one (default: auto)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=seed, help="of weights and batches (default: the config's)"
    )
    parser.add_argument(
        "--precision", choices=["fp32", "bf16"],
        help="of the network's matrix products (default: the config's)",
    )  # fmt: skip
    parser.add_argument(
        "--num-workers", type=cli.natural, default=0,
        help="processes that read and change the data (default: 0, in this one)",
    )  # fmt: skip
    parser.add_argument(
        "--batch-features", type=cli.boolean, default=False,
        help="true: compute the features of changed recordings on the training's "
        "device, a batch at a time (default: false, where the data is read)",
    )  # fmt: skip
    parser.add_argument(
        "--num-procs", type=cli.positive_int, default=1,
        help="processes that share each batch, one a GPU (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--num-nodes", type=cli.positive_int, default=1,
        help="nodes of Slurm with that many processes each (default: 1)",
    )  # fmt: skip
    parser.add_argument(
        "--scratch", type=cli.boolean, default=False,
        help="true: copy what is read to $TMPDIR first, a disk of this machine "
        "(default: false)",
    )  # fmt: skip
    parser.add_argument(
        "--dev-trials", help="default: DATA_DEV/trials/random", metavar="FILE"
    )
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05,
        help="share of utterances that may be too short (default: 0.05)",
    )  # fmt: skip
    return parser


def check_data(data_train: Path, data_dev: Path) -> FeatureConfig:
    """The feature settings of both. Raises UserError if they or speakers conflict.

    Where data_train has none, those of data_dev hold for what is computed of its
    recordings.
    """
    paths = [data / "conf" / "features.yaml" for data in (data_train, data_dev)]
    if not paths[0].exists() and not (data_train / "feats.scp").exists():
        paths = paths[1:]
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file: make features (./run.sh --stage 3)")
    train, *others = [config.load(path, FeatureConfig) for path in paths]
    for dev in others:
        config.check_same(
            train, paths[0], dev, paths[1], "make the features of both in the same way"
        )
    speakers = [
        set(datadir.read_table(data / "utt2spk").values())
        for data in (data_train, data_dev)
    ]
    shared = sorted(speakers[0] & speakers[1])
    if shared:
        raise UserError(
            f"{data_dev}/utt2spk: {len(shared)} speakers are in {data_train} as well, "
            f"first '{shared[0]}': the two must share none"
        )
    return train


def stop_requests():
    """From now on SIGUSR1 and SIGTERM only note that training is to stop."""
    caught: list[int] = []
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, lambda number, frame: caught.append(number))
    return lambda: bool(caught)


def read_settings(args, features: FeatureConfig):
    """The settings of the training, and the frames its network needs at least."""
    from chronovox import models
    from chronovox.training import settings as training_settings

    settings = training_settings.load(
        args.config, seed=args.seed, precision=args.precision
    )
    min_frames = models.build(settings.model, features.dim).min_frames
    if settings.chunk_frames[0] < min_frames:
        raise UserError(
            f"{args.config}: chunk_frames: {settings.chunk_frames[0]} frames, but the "
            f"network needs {min_frames} or more"
        )
    return settings, min_frames


def on_scratch(data: Path, exp: Path, settings, ranks, should_stop):
    """The context of a copy of `data` on $TMPDIR. Raises UserError without one, and
    Stopped between two files.
    """
    from chronovox.training.loop import Stopped

    def check():
        if should_stop():
            raise Stopped("stopped before training: run again to begin")

    scratch = os.environ.get("TMPDIR")
    if not scratch:
        raise UserError("--scratch true: TMPDIR is not set: set it to a local disk")
    scps = ["feats.scp" if settings.augment is None else "wav.scp"]
    if settings.frontend.vad:
        scps.append("vad.scp")
    return staged(data, exp, scps, scratch, ranks.wait, ranks.first_here, check)


def run(args, exp: Path, ranks, device, stack: contextlib.ExitStack) -> int:
    from chronovox.training.checkpoint import Checkpoints, save_state
    from chronovox.training.data import MAX_WORKERS, TrainingSet
    from chronovox.training.development import Development
    from chronovox.training.folder import describe, is_finished, report_dropped
    from chronovox.training.loop import Stopped, reading, train

    if args.num_workers > MAX_WORKERS:
        raise UserError(f"--num-workers: {args.num_workers}, {MAX_WORKERS} at most")
    should_stop = stop_requests()
    data_train, data_dev = Path(args.data_train), Path(args.data_dev)
    features = check_data(data_train, data_dev)
    settings, min_frames = read_settings(args, features)
    ranks.check_batch_size(settings.batch_size)
    train_set = TrainingSet(data_train, settings, features, args.batch_features)
    if ranks.first:
        report_dropped(train_set, exp / "log" / "dropped", args.max_fail_ratio)
    text = config.to_yaml(settings) + config.to_yaml(features) + train_set.digest()
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    if ranks.from_first(lambda: fingerprint) != fingerprint:
        raise UserError(f"{exp}: process {ranks.rank} has other settings or data")
    if ranks.from_first(lambda: is_finished(exp, fingerprint)):
        log.info("%s/final.pt is finished: nothing to do", exp)
        return 0
    trials = args.dev_trials or data_dev / "trials" / "random"
    development = Development(data_dev, trials, settings.frontend, min_frames)

    if ranks.first:
        describe(
            exp, settings, features, train_set.speakers, fingerprint=fingerprint,
            device=str(device), num_procs=ranks.count,
        )  # fmt: skip
    checkpoints = Checkpoints(
        exp / "checkpoints", settings.checkpoint_every, settings.average
    )
    try:
        if args.scratch:
            copy = on_scratch(data_train, exp, settings, ranks, should_stop)
            data_train = stack.enter_context(copy)
            train_set = TrainingSet(data_train, settings, features, args.batch_features)
        with reading(train_set):
            network = train(
                settings, train_set, development, checkpoints, fingerprint, device,
                args.num_workers, should_stop, exp / "log" / "tensorboard", ranks,
            )  # fmt: skip
    except Stopped as stopped:
        log.info("%s: %s", exp, stopped)
        return jobs.REQUEUE_CODE
    if ranks.first:
        save_state(network.state_dict(), exp / "final.pt")
        log.info("wrote %s/final.pt", exp)
    ranks.wait()  # torchrun would not wait for long, once others have ended
    return 0


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    # Read when torch is loaded: a thread that waits for another leaves the core to
    # whatever else runs there. Spinning made training three times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    from chronovox.models.extraction import choose_device
    from chronovox.training.folder import locked
    from chronovox.training.ranks import joined, launch, started_by_torchrun

    if args.num_procs * args.num_nodes > 1 and not started_by_torchrun():
        argv = sys.argv[1:] if argv is None else argv
        return launch(args.num_nodes, args.num_procs, __file__, argv)
    exp = Path(args.exp)
    with contextlib.ExitStack() as stack:
        ranks, device = stack.enter_context(joined(choose_device(args.device)))
        if ranks.first:
            stack.enter_context(locked(exp))
        return run(args, exp, ranks, device, stack)


if __name__ == "__main__":
    cli.run(main)

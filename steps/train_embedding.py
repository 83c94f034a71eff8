#!/usr/bin/env python3
"""Train a network that turns an utterance into an embedding of its speaker.

Reads pieces of utterances straight from feats.scp and vad.scp. Run again, it
goes on from the newest checkpoint; if settings, seed or data have changed it
starts anew; a finished training is left as it is. The error rate on development
trials is written to the log, and nothing is chosen by it. SIGUSR1 or SIGTERM, as
before a time limit, ends it after the step with a checkpoint and exit code 85,
which job runners take for: run me again.

Usage: steps/train_embedding.py [options] CONFIG DATA_TRAIN DATA_DEV EXP_M
e.g.:  steps/train_embedding.py --seed 1 conf/xvector_aam.yaml data/train data/dev \\
         exp/xvector_aam_s1

Writes EXP_M/config.yaml, spk2id, features.yaml, final.pt (the network alone),
checkpoints/, runinfo.json, log/dropped, log/tensorboard (curves).
"""

import argparse
import contextlib
import fcntl
import hashlib
import json
import os
import signal
from pathlib import Path

from chronovox import cli, config, datadir, jobs, runinfo
from chronovox.cli import UserError, log
from chronovox.features import FeatureConfig
from chronovox.files import write_lines


def seed(text: str) -> int:
    """The type of --seed: what numpy and torch both take."""
    if not (text.isascii() and text.isdigit()) or int(text) >= 2**31:
        raise argparse.ArgumentTypeError(f"expected 0 to 2^31 - 1, got '{text}'")
    return int(text)


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("config", help="settings, such as conf/xvector_aam.yaml")
    parser.add_argument("data_train", help="data directory with feats.scp, vad.scp")
    parser.add_argument("data_dev", help="the same, of other speakers")
    parser.add_argument("exp", help="where the model goes")
    parser.add_argument(
        "--device", choices=["auto", "cpu", "cuda"], default="auto",
        help="auto takes a GPU if there is one (default: auto)",
    )  # fmt: skip
    parser.add_argument(
        "--seed", type=seed, help="of weights and batches (default: the config's)"
    )
    parser.add_argument(
        "--num-workers", type=cli.natural, default=0,
        help="processes that read and change the data (default: 0, in this one)",
    )  # fmt: skip
    parser.add_argument(
        "--dev-trials", help="default: DATA_DEV/trials/random", metavar="FILE"
    )
    parser.add_argument(
        "--max-fail-ratio", type=cli.fraction, default=0.05,
        help="share of utterances that may be too short (default: 0.05)",
    )  # fmt: skip
    return parser


@contextlib.contextmanager
def locked(folder: Path):
    """Hold `folder` alone. Raises UserError if another process does."""
    folder.mkdir(parents=True, exist_ok=True)
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        yield
    except BlockingIOError:
        raise UserError(f"{folder}: another process is training this model") from None
    finally:
        os.close(descriptor)


def check_data(data_train: Path, data_dev: Path) -> FeatureConfig:
    """The feature settings of both. Raises UserError if they or speakers conflict."""
    paths = [data / "conf" / "features.yaml" for data in (data_train, data_dev)]
    for path in paths:
        if not path.exists():
            raise UserError(f"{path}: no such file: make features (./run.sh --stage 3)")
    train, dev = [config.load(path, FeatureConfig) for path in paths]
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


def report_dropped(train_set, path: Path, max_fail_ratio: float) -> None:
    """Write the list of dropped utterances and log the counts. Raises UserError."""
    dropped = train_set.dropped
    write_lines(path, [f"{utt} {reason}" for utt, reason in dropped.items()])
    total = len(train_set.utts) + len(dropped)
    log.info(
        "%d utterances in, %d out, %d dropped because too short (%s); %d speakers, "
        "%d samples an epoch",
        total, len(train_set.utts), len(dropped), path, len(train_set.speakers),
        len(train_set),
    )  # fmt: skip
    if train_set.lost_speakers:
        lost = train_set.lost_speakers
        log.warning("%d speakers have none left: %s", len(lost), " ".join(lost))
    if len(dropped) > max_fail_ratio * total:
        raise UserError(
            f"{len(dropped)} of {total} utterances are too short, more than "
            f"--max-fail-ratio {max_fail_ratio} allows: lower the first number of "
            f"chunk_frames, or raise the ratio; {path} lists them"
        )


def is_finished(exp: Path, fingerprint: str) -> bool:
    """Whether final.pt is there, of the same settings and data."""
    try:
        info = json.loads((exp / "runinfo.json").read_text())
        found = info["fingerprint"]
    except (FileNotFoundError, ValueError, TypeError, KeyError, RecursionError):
        return False
    return (exp / "final.pt").exists() and found == fingerprint


def stop_requests():
    """From now on SIGUSR1 and SIGTERM only note that training is to stop."""
    caught: list[int] = []
    for number in (signal.SIGUSR1, signal.SIGTERM):
        signal.signal(number, lambda number, frame: caught.append(number))
    return lambda: bool(caught)


def run(args, exp: Path) -> int:
    from chronovox import models
    from chronovox.training import settings as training_settings
    from chronovox.training.checkpoint import Checkpoints, save_state
    from chronovox.training.data import MAX_WORKERS, TrainingSet
    from chronovox.training.development import Development
    from chronovox.training.loop import Stopped, train

    if args.num_workers > MAX_WORKERS:
        raise UserError(f"--num-workers: {args.num_workers}, {MAX_WORKERS} at most")
    settings = training_settings.load(args.config, args.seed)
    data_train, data_dev = Path(args.data_train), Path(args.data_dev)
    features = check_data(data_train, data_dev)
    min_frames = models.build(settings.model, features.dim).min_frames
    if settings.chunk_frames[0] < min_frames:
        raise UserError(
            f"{args.config}: chunk_frames: {settings.chunk_frames[0]} frames, but the "
            f"network needs {min_frames} or more"
        )
    train_set = TrainingSet(data_train, settings, features)
    report_dropped(train_set, exp / "log" / "dropped", args.max_fail_ratio)
    text = config.to_yaml(settings) + config.to_yaml(features) + train_set.digest()
    fingerprint = hashlib.sha256(text.encode()).hexdigest()
    if is_finished(exp, fingerprint):
        log.info("%s/final.pt is finished: nothing to do", exp)
        return 0
    trials = args.dev_trials or data_dev / "trials" / "random"
    development = Development(data_dev, trials, settings.frontend, min_frames)

    device = models.extraction.choose_device(args.device)
    (exp / "final.pt").unlink(missing_ok=True)
    config.save(settings, exp / "config.yaml")
    config.save(features, exp / "features.yaml")
    datadir.write_table(
        exp / "spk2id", {spk: n for n, spk in enumerate(train_set.speakers)}
    )
    runinfo.write(
        exp / "runinfo.json", fingerprint=fingerprint, seed=settings.seed,
        device=str(device),
    )  # fmt: skip
    checkpoints = Checkpoints(
        exp / "checkpoints", settings.checkpoint_every, settings.average
    )
    try:
        network = train(
            settings, train_set, development, checkpoints, fingerprint, device,
            args.num_workers, stop_requests(), exp / "log" / "tensorboard",
        )  # fmt: skip
    except Stopped as stopped:
        log.info("%s: %s", exp, stopped)
        return jobs.REQUEUE_CODE
    save_state(network.state_dict(), exp / "final.pt")
    log.info("wrote %s/final.pt", exp)
    return 0


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    # Read when torch is loaded: a thread that waits for another leaves the core to
    # whatever else runs there. Spinning made training three times slower.
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    with locked(Path(args.exp)):
        return run(args, Path(args.exp))


if __name__ == "__main__":
    cli.run(main)

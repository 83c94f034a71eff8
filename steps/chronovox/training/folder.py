"""The folder of a model, exp/M, while it is trained: who holds it, what it says."""

import json
from pathlib import Path

from chronovox import config, datadir, files, runinfo
from chronovox.cli import UserError, log
from chronovox.features import FeatureConfig
from chronovox.training.settings import TrainingConfig


def locked(exp: Path):
    """Hold `exp` alone. Raises UserError if another process does."""
    return files.locked(exp, "another process is training this model")


def report_dropped(train_set, path: Path, max_fail_ratio: float) -> None:
    """Write the list of dropped utterances and log the counts. Raises UserError."""
    dropped = train_set.dropped
    files.write_lines(path, [f"{utt} {reason}" for utt, reason in dropped.items()])
    total = train_set.num_utts + len(dropped)
    log.info(
        "%d utterances in, %d out, %d dropped because too short (%s); %d speakers, "
        "%d samples an epoch",
        total, train_set.num_utts, len(dropped), path, len(train_set.speakers),
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


def describe(
    exp: Path, settings: TrainingConfig, features: FeatureConfig, speakers, **info
) -> None:
    """Write what travels with the model, before there is one; info: for runinfo."""
    (exp / "final.pt").unlink(missing_ok=True)
    config.save(settings, exp / "config.yaml")
    config.save(features, exp / "features.yaml")
    datadir.write_table(exp / "spk2id", {spk: n for n, spk in enumerate(speakers)})
    runinfo.write(exp / "runinfo.json", seed=settings.seed, **info)

"""What scores come from: model, settings, and speakers that no trial may share."""

import hashlib
import re
from pathlib import Path

from chronovox.cli import UserError, log
from chronovox.datadir import read_lines, read_table
from chronovox.files import sha256
from chronovox.scoring.files import name_below

OVERLAP_MARK = "speaker-overlap"
OWN_LIST_MARK = "calibration-list"  # scores of the trials that calibrated them
UNKNOWN_MARK = "training-unknown"  # of imported embeddings


def describe_model(model: Path) -> dict:
    """Name, seed and fingerprint of the configuration, the seed left out of it."""
    if not model.is_dir():
        raise UserError(
            f"{model}: no such directory: train it (./run.sh --stage 4), or give "
            "--model EXP_M"
        )
    seed, fingerprint = None, "-"
    config = model / "config.yaml"
    if config.exists():
        text = "\n".join([*read_lines(config), ""])
        line = re.search(r"^seed: *([0-9]{1,10}) *$\n?", text, re.MULTILINE)
        if line:
            seed = int(line[1])
            text = text.replace(line[0], "", 1)
        fingerprint = hashlib.sha256(text.encode()).hexdigest()[:12]
    elif (model / "imported").exists():
        fingerprint = "imported"
    return {"model": name_below("exp", model), "seed": seed, "config": fingerprint}


def training_speakers(model: Path) -> list[Path]:
    """The table of the speakers that trained the model; none if it is untrained.

    Raises UserError if a trained model has lost it.
    """
    path = model / "spk2id"
    if path.exists():
        return [path]
    for name in ("config.yaml", "final.pt"):
        if (model / name).exists():
            raise UserError(
                f"{path}: no such file, but {model / name} is there: without the "
                "speakers of the training no honest trial can be told: restore it"
            )
    return []


def check_origin(folder: Path, sources: list[Path], remedy: str) -> None:
    """Refuse a folder of which one of `sources` has changed since it was made.

    Raises UserError. The record of what it was made from is `made_from` in it.
    """
    record = folder / "made_from"
    made_from = read_table(record) if record.exists() else {}
    for path in sources:
        now = sha256(path) if path.exists() else None
        if now and not record.exists():
            raise UserError(
                f"{record}: no such file: nothing tells whether {path} made what is "
                f"in {folder}: {remedy}"
            )
        if made_from.get(path.name) != now:
            raise UserError(
                f"{record}: {path} has changed since {folder} was made: {remedy}"
            )


def check_system(
    model: Path, backend: Path, learns: bool, data: Path, embeddings: Path
) -> tuple[dict, list[Path]]:
    """Describe a model, and name the tables of speakers that no list may share.

    The description has `marks`: of embeddings made elsewhere, nobody may know by whom
    the network was trained.

    backend: the folder of a back end, and whether it `learns` from vectors; embeddings:
    the folder of those of `data`. Raises UserError if one of them is older than what it
    was made from.
    """
    seen = training_speakers(model)
    if learns:
        seen.append(backend / "speakers")
    unknown = (model / "imported").exists() and not training_speakers(model)
    info = {**describe_model(model), "marks": [UNKNOWN_MARK] if unknown else []}
    network = model / "final.pt"
    sources = [network, data / "corpus.json", data / "wav.scp"]
    if network.exists():  # untrained references have feature settings of their own
        sources.append(data / "conf" / "features.yaml")
    check_origin(embeddings, sources, "extract them again (./run.sh --stage 5)")
    if learns:
        check_origin(backend, [network], "train it again (./run.sh --stage 6)")
    return info, seen


def fingerprint(keys: list[str], vectors) -> str:
    """The SHA-256 of embeddings, in hex: of their keys, and of `(N, D)`."""
    total = hashlib.sha256("\n".join(keys).encode())
    total.update(vectors)
    return total.hexdigest()


def speakers_of(keys: list[str], data: Path, scp) -> list[str]:
    """The speakers of embeddings, by DATA/utt2spk. Raises UserError for one unknown."""
    utt2spk = read_table(data / "utt2spk")
    unknown = [key for key in keys if key not in utt2spk]
    if unknown:
        raise UserError(f"{data}/utt2spk: no line for '{unknown[0]}', which {scp} has")
    return [utt2spk[key] for key in keys]


def find_overlap(
    speakers: set[str], tables, allow: bool, what: str = "trials"
) -> list[str]:
    """Marks for `what` is scored if its `speakers` occur in tables keyed by speaker.

    Raises UserError if some do and `allow` is false.
    """
    marks = []
    for table in tables:
        shared = sorted(speakers.intersection(read_table(table, None)))
        if not shared:
            continue
        problem = (
            f"{len(shared)} of {len(speakers)} speakers of the {what} are in {table}: "
            f"{', '.join(shared[:5])}{', ...' if len(shared) > 5 else ''}"
        )
        if not allow:
            raise UserError(
                f"{problem}: use {what} of other speakers, or mark the results by "
                "--allow-speaker-overlap true"
            )
        log.warning("%s: the results will be marked", problem)
        marks = [OVERLAP_MARK]
    return marks

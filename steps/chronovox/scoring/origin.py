"""What embeddings were made from, so that no score is credited to another model."""

import hashlib
import json
from pathlib import Path

from chronovox import files
from chronovox.cli import UserError

NAME = "made_from.json"
# What is compared -> the files that tell it, of the model or of the data directory.
# utt2num_frames stands for the features: feats.scp names places, not contents.
MODEL = {"model": ("final.pt",)}
DATA = {
    "features": ("conf/features.yaml", "utt2num_frames"),
    "corpus": ("corpus.json",),
}


def write_origin(model, data, embeddings) -> None:
    """Write EMBEDDINGS/made_from.json, the SHA-256 of what there is."""
    origin = {**_digests(model, MODEL), **_digests(data, DATA)}
    with files.atomic_write(Path(embeddings) / NAME) as stream:
        json.dump(origin, stream, indent=2, sort_keys=True)
        stream.write("\n")


def check_origin(embeddings, model, data=None) -> None:
    """Raise UserError if `embeddings` are not of the network and the data as they are.

    What is absent is not compared: an untrained model has no final.pt; without
    `data` the network alone is.
    """
    path = Path(embeddings) / NAME
    remedy = "extract again: ./run.sh --stage 5 (steps/extract_embeddings.sh)"
    now = _digests(model, MODEL)
    if data is not None:
        now |= _digests(data, DATA)
    try:
        origin = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(origin, dict):
            raise ValueError
    except FileNotFoundError:
        if "model" not in now:
            return
        raise UserError(
            f"{path}: no such file: nothing tells whether {model}/final.pt made "
            f"{embeddings}: {remedy}"
        ) from None
    except ValueError:
        raise UserError(f"{path}: damaged: {remedy}") from None
    for name, digest in now.items():
        if origin.get(name, digest) != digest:
            names = " or ".join((MODEL | DATA)[name])
            raise UserError(
                f"{embeddings}: made from another {name}: "
                f"{model if name in MODEL else data} has another {names} now: {remedy}"
            )


def _digests(folder, table: dict) -> dict[str, str]:
    """Name -> SHA-256 over its files, for those names whose files are all there."""
    found = {}
    for name, parts in table.items():
        paths = [Path(folder) / part for part in parts]
        if all(path.exists() for path in paths):
            text = "\n".join(map(files.sha256, paths))
            found[name] = hashlib.sha256(text.encode()).hexdigest()
    return found

"""Tables of embeddings: parts joined into one ark, and the mean of each speaker."""

from pathlib import Path

import numpy as np

from chronovox import kaldi_io
from chronovox.cli import UserError
from chronovox.datadir import invert, read_table, write_table


def write_joined(scp, ark, scp_out) -> int:
    """Copy the vectors of `scp` to one ark and its table; returns their number.

    The bytes written do not depend on how many jobs made the vectors. Raises
    UserError for a vector that is missing, truncated, or of another dimension.
    """
    table = read_table(scp, None)
    size = None
    with kaldi_io.ArkWriter(ark, scp_out, ndim=1) as writer:
        for utt, rxfile in table.items():
            vector = kaldi_io.read_vector(rxfile)
            size = size or vector.size
            if vector.size != size:
                raise UserError(
                    f"{scp}: {utt}: dimension {vector.size}, others have {size}"
                )
            writer.write(utt, vector)
    return len(table)


def write_speaker_means(scp, utt2spk_path, out_dir) -> int:
    """Write OUT_DIR/spk_xvector.{ark,scp} and num_utts.ark; returns the speakers.

    A speaker's vector `(D,)` is the mean over those of the speaker's utterances
    that `scp` lists; num_utts.ark (text) holds their number. Speakers without
    any are left out. Raises UserError for an utterance without a speaker.
    """
    out = Path(out_dir)
    utts, vectors = kaldi_io.read_vectors(scp)
    utt2spk = read_table(utt2spk_path)
    unknown = [utt for utt in utts if utt not in utt2spk]
    if unknown:
        raise UserError(f"{utt2spk_path}: no line for '{unknown[0]}', which {scp} has")
    rows = {utt: row for row, utt in enumerate(utts)}
    spk2utt = invert({utt: utt2spk[utt] for utt in utts})
    with kaldi_io.ArkWriter(
        out / "spk_xvector.ark", out / "spk_xvector.scp", 1
    ) as writer:
        for spk, members in spk2utt.items():
            mean = vectors[[rows[utt] for utt in members]].mean(
                axis=0, dtype=np.float64
            )
            writer.write(spk, mean)
    write_table(
        out / "num_utts.ark", {spk: len(members) for spk, members in spk2utt.items()}
    )
    return len(spk2utt)

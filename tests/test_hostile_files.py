"""Files made to run code: no script runs it, and each ends with a clear error.

What is here is not in the tests of the readers: PKL records (test_kaldi_io), pipes
of wav.scp and arks (test_audio, test_kaldi_io, test_feature_steps), a YAML tag
(test_cli_files_config), options (test_parse_options).
"""

import fuzz_seeds
import fuzzing
import pytest
from training_data import FEATURES, make_dir, write_settings

import compute_features
import compute_vad
import extract_embeddings
import join_vectors
import pack_audio
import score_trials
import show_ark
import train_embedding
from chronovox import config, runinfo
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.files import sha256

MARKER = fuzz_seeds.MARKER
ENTRIES = [
    f"touch {MARKER} |",
    f"|touch {MARKER}",
    f"/x;touch {MARKER};.ark:2",
    f"$(touch {MARKER})",
    f"`touch {MARKER}`:5",
    f"--help={MARKER}",
    "-rf",
    "pickled.ark:2",
    "object.npy",
    "object.npz:0",
]


@pytest.fixture
def folder():
    """Where scripts work; whatever they start is noted, and fails the test."""
    runinfo.commit()  # asks git, once
    fuzz_seeds.numpy_files()
    fuzz_seeds.vector_arks()
    fuzz_seeds.checkpoints()
    with fuzzing.guarded() as path:
        (path / "pickled.ark").write_bytes(b"a PKL" + fuzz_seeds.PICKLES[1])
        _, array, archive = fuzz_seeds.numpy_files()
        (path / "object.npy").write_bytes(array)
        (path / "object.npz").write_bytes(archive)
        yield path
        assert not (path / MARKER).exists()
        assert not fuzzing.seen()


def refused(main, *words) -> str:
    with pytest.raises(UserError) as error:
        main([str(word) for word in words])
    assert "\n" not in str(error.value)
    return str(error.value)


def make_model(folder, content: bytes):
    exp = folder / "exp"
    exp.mkdir()
    write_settings(exp / "config.yaml")
    config.save(FEATURES, exp / "features.yaml")
    (exp / "final.pt").write_bytes(content)
    return exp


def cosine(folder):
    """A back end."""
    (folder / "cosine").mkdir(exist_ok=True)
    (folder / "cosine/config.yaml").write_text("score: cosine\n")
    return folder / "cosine"


@pytest.mark.parametrize("entry", ENTRIES)
def test_an_entry_of_an_scp_is_only_a_name(folder, entry):
    data = make_dir(folder / "data", ["a", "b"], 2)
    write_table(folder / "x.scp", {"a-0": entry})
    refused(show_ark.main, folder / "x.scp")
    refused(join_vectors.main, folder / "x.scp", data / "utt2spk", folder / "out")

    (folder / "emb").mkdir()
    write_table(folder / "emb/xvector.scp", {"a-0": entry, "b-0": entry})
    (folder / "trials").write_text("a-0 a-1 target\na-0 b-0 nontarget\n")
    words = ("--model", folder, "--backend", cosine(folder), data, folder / "trials",
             folder / "emb", "scores")  # fmt: skip
    refused(score_trials.main, *words)

    write_table(data / "wav.scp", dict.fromkeys(read_table(data / "utt2spk"), entry))
    words = (folder, 1, folder / "out.ark", folder / "out.scp")
    if entry.endswith("|"):  # refused for the whole table
        refused(compute_features.main, data, data / "wav.scp", *words)
    else:  # an item each, dropped and listed
        assert (
            compute_features.main(list(map(str, (data, data / "wav.scp", *words)))) == 0
        )
        assert len((folder / "dropped.1").read_text().splitlines()) == 4
    if not entry.endswith("|"):
        assert pack_audio.main(list(map(str, (data, data / "wav.scp", *words)))) == 0
    vad = folder / "vad.yaml"
    vad.write_text("{}\n")
    scp = folder / "x.scp"
    refused(compute_vad.main, "--source", "feats", vad, data, scp, *words)


def test_numpy_files_are_no_arks(folder):
    for name in ("object.npy", "object.npz", "pickled.ark"):
        assert name in refused(show_ark.main, folder / name)


@pytest.mark.parametrize("number", range(len(fuzz_seeds.checkpoints())))
def test_a_network_of_code_is_not_loaded(folder, number):
    content = fuzz_seeds.checkpoints()[number]
    exp = make_model(folder, content)
    data = make_dir(folder / "data", ["a", "b"], 2)
    words = (exp, data, data / "feats.scp", folder, 1, "x.ark", "x.scp")
    message = refused(extract_embeddings.main, *words)
    assert "final.pt" in message and not (folder / "x.ark").exists()
    made_from = {"final.pt": sha256(exp / "final.pt"), "wav.scp": "x"}
    (folder / "emb").mkdir()
    write_table(folder / "emb/made_from", made_from)
    (folder / "trials").write_text("a-0 a-1 target\na-0 b-0 nontarget\n")
    words = ("--model", exp, "--backend", cosine(folder), data, folder / "trials",
             folder / "emb", "scores")  # fmt: skip
    refused(score_trials.main, *words)


def test_training_goes_past_checkpoints_of_code(folder):
    train = make_dir(folder / "train", [f"t{n}" for n in range(4)])
    dev = make_dir(folder / "dev", ["d0", "d1"], seed=1)
    settings = write_settings(folder / "x.yaml", num_steps=2, chunk_frames=[20, 25])
    exp = folder / "exp"
    (exp / "checkpoints").mkdir(parents=True)
    words = [str(word) for word in (settings, train, dev, exp)]
    for content in fuzz_seeds.checkpoints()[1:]:
        (exp / "final.pt").unlink(missing_ok=True)
        for path in (exp / "checkpoints").iterdir():
            path.unlink()
        (exp / "checkpoints/step_1.pt").write_bytes(content)
        assert train_embedding.main([*words, "--device", "cpu"]) == 0
        assert (exp / "final.pt").exists()


@pytest.mark.parametrize(
    "name", ["-rf", "--help", "a;touch FUZZ_RAN", "$(touch FUZZ_RAN)"]
)
def test_file_names_are_only_names(folder, name):
    (folder / f"{name}.ark").write_bytes(fuzz_seeds.vector_arks()[0])
    assert show_ark.main(["--", f"{name}.ark"]) == 0
    (folder / name).mkdir()
    (folder / name / "utt2spk").write_text("a-1 a\n")
    assert read_table(f"{name}/utt2spk") == {"a-1": "a"}

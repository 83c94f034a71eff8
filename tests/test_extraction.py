"""Extraction: nothing lost, nothing twice, whatever the number of jobs."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
from training_data import FEATURES, make_dir, replace_line, write_settings

import extract_embeddings
from chronovox import config, kaldi_io, models
from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.features import apply_cmn
from chronovox.files import sha256
from chronovox.training import settings as training_settings
from chronovox.training.checkpoint import load_state, save_state

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def model(tmp_path) -> Path:
    """The folder of an untrained model."""
    torch.manual_seed(0)
    exp = tmp_path / "exp"
    exp.mkdir()
    write_settings(exp / "config.yaml", frontend={"cmn": "utterance", "vad": True})
    config.save(FEATURES, exp / "features.yaml")
    save_state(network_of(exp).state_dict(), exp / "final.pt")
    return exp


def network_of(exp):
    settings = training_settings.load(exp / "config.yaml")
    return models.build(settings.model, FEATURES.dim)


@pytest.fixture
def data(tmp_path) -> Path:
    return make_dir(tmp_path / "data", ["a", "b", "c"], 5, lengths=(20, 200))


def shell(*words: str) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["steps/extract_embeddings.sh", *map(str, words)],
        cwd=ROOT, env={**os.environ, "CHRONOVOX_PYTHON": sys.executable},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


def job(exp, data, folder, *options: str) -> Path:
    """Extract all of `data` in one job; returns the scp."""
    folder.mkdir(exist_ok=True)
    ark, scp = folder / "xvector.1.ark", folder / "xvector.1.scp"
    words = [exp, data, data / "feats.scp", folder, 1, ark, scp, *options]
    assert extract_embeddings.main([str(word) for word in words]) == 0
    return scp


def test_an_embedding_is_that_of_the_voiced_utterance(model, data, tmp_path):
    keys, vectors = kaldi_io.read_vectors(job(model, data, tmp_path / "out"))
    network = network_of(model)
    network.load_state_dict(load_state(model / "final.pt"))
    network.eval()
    feats, vad = (
        read_table(data / "feats.scp", None),
        read_table(data / "vad.scp", None),
    )
    assert keys == sorted(feats)
    for key, vector in zip(keys, vectors, strict=True):
        voiced = kaldi_io.read_vector(vad[key]) > 0
        frames = apply_cmn(kaldi_io.read_matrix(feats[key])[voiced], "utterance")
        with torch.inference_mode():
            expected = network(torch.from_numpy(frames)[None])[0].numpy()
        np.testing.assert_allclose(vector, expected, rtol=1e-4, atol=1e-6)


def test_the_size_of_batches_does_not_matter(model, data, tmp_path):
    _, one = kaldi_io.read_vectors(
        job(model, data, tmp_path / "one", "--batch-frames", "1")
    )
    _, many = kaldi_io.read_vectors(job(model, data, tmp_path / "many"))
    differences = np.linalg.norm(one - many, axis=1) / np.linalg.norm(one, axis=1)
    assert differences.max() <= 1e-5


def test_jobs_lose_and_repeat_nothing(model, data, tmp_path):
    tables = {}
    for nj in (1, 4):
        out = tmp_path / f"out{nj}"
        done = shell("--nj", nj, model, data, out)
        assert done.returncode == 0, done.stdout
        assert "15 in, 15 out, 0 dropped" in done.stdout
        keys, tables[nj] = kaldi_io.read_vectors(out / "xvector.scp")
        assert keys == sorted(read_table(data / "feats.scp", None))
        speakers, means = kaldi_io.read_vectors(out / "spk_xvector.scp")
        assert speakers == ["a", "b", "c"]
        np.testing.assert_allclose(means[1], tables[nj][5:10].mean(axis=0), rtol=1e-5)
        assert (out / "num_utts.ark").read_text() == "a 5\nb 5\nc 5\n"
        np.testing.assert_allclose(tables[nj], tables[1], rtol=1e-4, atol=1e-6)
    again = tmp_path / "out4"
    before = {path.name: path.read_bytes() for path in again.glob("*.ark")}
    assert shell("--nj", 4, model, data, again).returncode == 0
    assert {path.name: path.read_bytes() for path in again.glob("*.ark")} == before
    made_from = read_table(again / "made_from")
    names = ("conf/features.yaml", "wav.scp")
    sources = [model / "final.pt", *(data / name for name in names)]
    sources = [path for path in sources if path.exists()]
    assert len(sources) >= 2
    assert made_from == {path.name: sha256(path) for path in sources}


def test_what_is_too_short_is_dropped_with_its_reason(model, tmp_path):
    data = make_dir(tmp_path / "data", ["a", "b"])
    with kaldi_io.ArkWriter(data / "x.ark", data / "x.scp", 1) as writer:
        length = int(read_table(data / "utt2num_frames")["a-1"])
        writer.write("a-1", np.arange(length) < 14)
    replace_line(data / "vad.scp", "a-1", (data / "x.scp").read_text().strip())
    out = tmp_path / "out"
    done = shell("--nj", 2, model, data, out)
    assert done.returncode == 1 and "more than --max-fail-ratio 0.05" in done.stdout
    assert not (out / "xvector.scp").exists()
    done = shell("--nj", 2, "--max-fail-ratio", "0.2", model, data, out)
    assert done.returncode == 0 and "8 in, 7 out, 1 dropped" in done.stdout
    reason = (out / "dropped").read_text()
    assert reason == "a-1 too short: 14 frames, the network needs 15\n"
    assert (out / "num_utts.ark").read_text() == "a 3\nb 4\n"


def test_features_made_otherwise_are_refused(model, data, tmp_path):
    path = data / "conf/features.yaml"
    path.write_text(path.read_text().replace("frame_shift_ms: 10", "frame_shift_ms: 5"))
    with pytest.raises(UserError, match=r"differ \(frame_shift_ms: 10.0 and 5.0\)"):
        job(model, data, tmp_path / "out")


def test_a_setting_without_end_is_refused(model, data, tmp_path):
    path = model / "features.yaml"
    text = path.read_text().replace("frame_length_ms: 25.0", "frame_length_ms: .inf")
    path.write_text(text)
    with pytest.raises(UserError, match=r"features.yaml: .*infinity"):
        job(model, data, tmp_path / "out")


def test_an_utterance_without_vad_is_refused(model, data, tmp_path):
    replace_line(data / "vad.scp", "b-2", None)
    with pytest.raises(UserError, match="no line for 1 of 15 utterances, first 'b-2'"):
        job(model, data, tmp_path / "out")


def test_vad_of_another_length_is_refused(model, data, tmp_path):
    replace_line(data / "utt2num_frames", "b-2", "b-2 7")
    with pytest.raises(UserError, match="b-2: .* frames, but .* says 7"):
        job(model, data, tmp_path / "out")


def test_features_that_are_not_finite_are_refused(model, data, tmp_path):
    rxfile = read_table(data / "feats.scp", None)["a-3"]
    path, _, offset = rxfile.rpartition(":")
    with open(path, "r+b") as stream:
        stream.seek(int(offset) + 15)  # behind the header of a float matrix
        stream.write(np.float32(np.nan).tobytes())
    with pytest.raises(UserError, match="a-3: features hold NaN"):
        job(model, data, tmp_path / "out")


def test_weights_of_another_network_are_refused(model, data, tmp_path):
    write_settings(model / "config.yaml", model={"type": "xvector", "width": 17})
    with pytest.raises(UserError, match="final.pt is not of the network that"):
        job(model, data, tmp_path / "out")


def test_missing_files_and_arguments(model, data, tmp_path):
    done = shell(model, data)
    assert done.returncode == 2 and "Usage" in done.stdout
    done = shell("--help")
    assert done.returncode == 0 and "--batch-frames N" in done.stdout
    feats = (data / "feats.scp").read_bytes()
    (data / "feats.scp").write_bytes(b"")
    done = shell(model, data, tmp_path / "out")
    assert done.returncode == 1
    assert "feats.scp: run steps/make_fbank.sh" in done.stdout
    (data / "feats.scp").write_bytes(feats)
    (model / "final.pt").unlink()
    done = shell(model, data, tmp_path / "out")
    assert done.returncode == 1 and "no such file" in done.stdout

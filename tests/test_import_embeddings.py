"""Embeddings of other toolkits: copied by key, what lacks is told, origin is marked."""

import numpy as np
import pytest

import import_embeddings
import score_trials
import train_backend
from chronovox import kaldi_io
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.scoring import read_info, read_scores
from chronovox.trials import read_trials


@pytest.fixture
def world(tmp_path):
    """Twenty utterances of five speakers, and vectors of more than those."""
    data = tmp_path / "data/test"
    data.mkdir(parents=True)
    utts = [f"s{spk}-{number}" for spk in range(5) for number in range(4)]
    write_table(data / "utt2spk", {utt: utt[:2] for utt in utts})
    (data / "list").write_text("s0-0 s0-1 target\ns0-0 s1-0 nontarget\n")
    generator = np.random.default_rng(0)
    scp = tmp_path / "theirs.scp"
    with kaldi_io.ArkWriter(tmp_path / "theirs.ark", scp, ndim=1) as writer:
        for utt in [*utts, "z-1"]:
            writer.write(utt, generator.normal(size=3).astype(np.float32))
    return {"data": data, "scp": scp, "exp": tmp_path / "exp/theirs"}


def run(world, *options):
    words = [*options, world["scp"], world["data"], world["exp"]]
    return import_embeddings.main([str(word) for word in words])


def score(world):
    backend, out = world["exp"] / "backends/cosine", world["exp"] / "scores/list"
    config = world["data"] / "cosine.yaml"
    config.write_text("score: cosine\n")
    embeddings = world["exp"] / "embeddings_test"
    train_backend.main([str(p) for p in (config, world["data"], embeddings, backend)])
    score_trials.main([
        "--model", str(world["exp"]), "--backend", str(backend), str(world["data"]),
        str(world["data"] / "list"), str(embeddings), str(out),
    ])  # fmt: skip
    trials = read_trials(world["data"] / "list")
    return read_info(out, trials), read_scores(out, trials)


def test_vectors_are_scored_as_they_are(world):
    assert run(world) == 0
    keys, vectors = kaldi_io.read_vectors(world["exp"] / "embeddings_test/xvector.scp")
    assert keys == sorted(read_table(world["data"] / "utt2spk"))
    theirs = dict(kaldi_io.read_ark(world["scp"].with_suffix(".ark")))
    info, scores = score(world)
    assert (info["model"], info["seed"], info["config"]) == ("theirs", None, "imported")
    assert info["marks"] == ["training-unknown"]
    one, other = theirs["s0-0"], theirs["s1-0"]
    cosine = one @ other / np.linalg.norm(one) / np.linalg.norm(other)
    assert scores[1] == pytest.approx(cosine, abs=1e-6)


def test_known_training_speakers_are_refused(world, tmp_path):
    (tmp_path / "speakers").write_text("a1 one\nb1 two\n")
    run(world, "--train-speakers", tmp_path / "speakers")
    assert score(world)[0]["marks"] == []
    (tmp_path / "speakers").write_text("s1\na1\n")
    run(world, "--train-speakers", tmp_path / "speakers")
    with pytest.raises(UserError, match="1 of 2 speakers .* are in .*spk2id"):
        score(world)
    run(world)  # forgotten again, and said so
    assert score(world)[0]["marks"] == ["training-unknown"]


def test_missing_keys_are_told_first(world, capsys, caplog):
    lines = world["scp"].read_text().splitlines()
    world["scp"].write_text("\n".join(lines[2:]) + "\n")
    with pytest.raises(UserError, match="2 of 20 .* no vector: s0-0, s0-1: keys must"):
        run(world)
    assert (world["exp"] / "embeddings_test/missing").read_text() == "s0-0\ns0-1\n"
    assert not (world["exp"] / "embeddings_test/xvector.scp").exists()
    run(world, "--max-fail-ratio", "0.1")
    with pytest.raises(UserError, match="list:1: 's0-0' is not in"):
        score(world)
    world["scp"].write_text("q-1 theirs.ark:5\n")
    with pytest.raises(UserError, match="20 of 20 utterances"):
        run(world, "--max-fail-ratio", "1")


def test_a_failed_import_leaves_nothing_of_an_earlier_one(world):
    out = world["exp"] / "embeddings_test"
    run(world)
    assert {"xvector.scp", "spk_xvector.scp", "made_from"} <= {
        path.name for path in out.iterdir()
    }
    world["scp"].write_text("q-1 theirs.ark:5\n")
    with pytest.raises(UserError, match="20 of 20 utterances"):
        run(world)
    for name in ("xvector.scp", "spk_xvector.scp", "made_from"):
        assert not (out / name).exists()


def test_what_vectors_are_of_stands_before_they_do(world, tmp_path, monkeypatch):
    (tmp_path / "speakers").write_text("a1\n")
    out = world["exp"] / "embeddings_test"

    def killed(*words):
        raise KeyboardInterrupt

    monkeypatch.setattr("chronovox.vectors.write_joined", killed)
    with pytest.raises(KeyboardInterrupt):
        run(world, "--train-speakers", tmp_path / "speakers")
    assert read_table(world["exp"] / "spk2id") == {"a1": "0"}
    assert read_table(world["exp"] / "imported") == {"test": str(world["scp"])}
    assert (out / "made_from").exists() and not (out / "xvector.scp").exists()


def test_a_trained_model_is_not_written_over(world):
    world["exp"].mkdir(parents=True)
    (world["exp"] / "config.yaml").write_text("seed: 1\n")
    with pytest.raises(UserError, match="config.yaml is there, of a training"):
        run(world)

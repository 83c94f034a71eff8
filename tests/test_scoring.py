"""Cosine scores and score files."""

import json
from pathlib import Path

import numpy as np
import pytest
from scipy.spatial.distance import cosine

import score_trials
import train_backend
from chronovox.cli import UserError
from chronovox.datadir import write_table
from chronovox.files import sha256
from chronovox.kaldi_io import ArkWriter
from chronovox.scoring import name_below, read_scores, write_scores
from chronovox.scoring.cosine import cosine_scores
from chronovox.trials import Trials, read_trials


def write_embeddings(path: Path, vectors: dict) -> Path:
    """xvector.{ark,scp} of (key, vector), and spk_xvector of the key's first letter."""
    path.mkdir(parents=True)
    for name, table in (
        ("xvector", vectors),
        ("spk_xvector", {key[:2]: vector for key, vector in vectors.items()}),
    ):
        with ArkWriter(path / f"{name}.ark", path / f"{name}.scp", ndim=1) as writer:
            for key in sorted(table):
                writer.write(key, table[key])
    return path


@pytest.fixture
def world(tmp_path):
    """data, trials, model with spk2id, its embeddings, and those of training."""
    generator = np.random.default_rng(0)
    utts = [f"s{spk}-{number}" for spk in range(3) for number in range(2)]
    data = tmp_path / "data" / "test"
    data.mkdir(parents=True)
    write_table(data / "utt2spk", {utt: utt[:2] for utt in utts})
    (data / "list").write_text(
        "s0-0 s0-1 target\ns2-0 s0-0 nontarget\ns1-1 s1-0 target\n"
    )
    model = tmp_path / "exp" / "net_s3"
    vectors = {utt: generator.normal(size=16).astype(np.float32) for utt in utts}
    others = {f"t{n}-0": generator.normal(size=16) + 1 for n in range(5)}
    write_embeddings(model / "test", vectors)
    write_embeddings(model / "train", others)
    write_table(model / "spk2id", {f"t{n}": n for n in range(5)})
    (model / "config.yaml").write_text("model: tdnn\nseed: 3\n")
    train = tmp_path / "data" / "train"
    write_table(train / "utt2spk", {utt: utt[:2] for utt in others})
    return {
        "data": data, "train": train, "model": model, "vectors": vectors,
        "others": others,
    }  # fmt: skip


def train(world, name, settings, embeddings="train") -> Path:
    """Train a back end, whose settings are given as YAML."""
    model = world["model"]
    out = model / "backends" / name
    (model / f"{name}.yaml").write_text(settings)
    words = [model / f"{name}.yaml", world["train"], model / embeddings, out]
    assert train_backend.main([str(word) for word in words]) == 0
    return out


def score(world, *options, name="scores", backend=None) -> Path:
    data, model = world["data"], world["model"]
    out = model / name
    backend = backend or train(world, "cosine", "score: cosine\n")
    paths = [data, data / "list", model / "test", out]
    words = ["--model", model, "--backend", backend, *options, *paths]
    assert score_trials.main([str(word) for word in words]) == 0
    return out


def test_cosine_agrees_with_scipy_over_several_blocks():
    generator = np.random.default_rng(1)
    vectors = generator.normal(size=(50, 300)).astype(np.float32)
    enrol, test = generator.integers(50, size=(2, 8000))
    scores = cosine_scores(vectors, enrol, test)
    assert scores.shape == (8000,) and scores.dtype == np.float32
    for n in (0, 1, 217, 218, 7999):
        expected = 1 - cosine(vectors[enrol[n]], vectors[test[n]])
        assert scores[n] == pytest.approx(expected, abs=1e-6)


def test_a_score_does_not_depend_on_the_other_trials():
    generator = np.random.default_rng(2)
    vectors = generator.normal(size=(40, 257)).astype(np.float32)
    enrol, test = generator.integers(40, size=(2, 9000))
    together = cosine_scores(vectors, enrol, test)
    alone = [cosine_scores(vectors, enrol[n : n + 1], test[n : n + 1])[0]
             for n in range(0, 9000, 450)]  # fmt: skip
    assert together[::450].tolist() == alone


def test_a_zero_vector_has_no_score():
    with pytest.raises(UserError, match="vector 1 is zero"):
        cosine_scores(np.array([[1.0, 0.0], [0.0, 0.0]]), [0], [1])


def test_scores_are_three_fields_and_exact(world):
    lines = score(world).read_text().splitlines()
    trials = read_trials(world["data"] / "list")
    assert [line.split()[:2] for line in lines] == [
        ["s0-0", "s0-1"], ["s2-0", "s0-0"], ["s1-1", "s1-0"]
    ]  # fmt: skip
    values = read_scores(world["model"] / "scores", trials)
    for (enrol, test), value in zip(
        (line.split()[:2] for line in lines), values, strict=True
    ):
        expected = 1 - cosine(world["vectors"][enrol], world["vectors"][test])
        assert value == pytest.approx(expected, abs=1e-6)
        assert float(np.float32(value)) == pytest.approx(value, rel=1e-8)


def test_the_mean_of_other_embeddings_is_subtracted(world):
    path = score(world, backend=train(world, "mean", "center: true\n"))
    mean = np.mean(list(world["others"].values()), axis=0)
    enrol, test, value = path.read_text().split()[:3]
    vectors = world["vectors"]
    expected = 1 - cosine(vectors[enrol] - mean, vectors[test] - mean)
    assert float(value) == pytest.approx(expected, abs=1e-6)


def test_what_made_the_scores_stands_beside_them(world):
    info = json.loads(score(world).with_name("scores.json").read_text())
    assert (info["model"], info["seed"], info["backend"]) == ("net_s3", 3, "cosine")
    assert info["marks"] == []
    first = info["config"]
    # The seed is no part of the configuration; everything else is.
    (world["model"] / "config.yaml").write_text("model: tdnn\nseed: 4\n")
    info = json.loads(score(world).with_name("scores.json").read_text())
    assert (info["config"], info["seed"]) == (first, 4)
    (world["model"] / "config.yaml").write_text("model: ecapa\nseed: 4\n")
    info = json.loads(score(world).with_name("scores.json").read_text())
    assert info["config"] != first
    (world["model"] / "config.yaml").unlink()
    info = json.loads(score(world).with_name("scores.json").read_text())
    assert (info["config"], info["seed"]) == ("-", None)


def test_scoring_again_gives_the_same_bytes(world):
    first = score(world)
    before = first.read_bytes(), first.with_name("scores.json").read_bytes()
    score(world)
    assert before == (first.read_bytes(), first.with_name("scores.json").read_bytes())


def test_speakers_of_training_are_refused(world):
    write_table(world["model"] / "spk2id", {"s0": 0, "s2": 1, "t0": 2})
    with pytest.raises(UserError) as error:
        score(world)
    assert "2 of 3 speakers of the trials are in" in str(error.value)
    assert "spk2id: s0, s2: use trials of other speakers" in str(error.value)
    assert "--allow-speaker-overlap true" in str(error.value)
    path = score(world, "--allow-speaker-overlap", "true")
    info = json.loads(path.with_name("scores.json").read_text())
    assert info["marks"] == ["speaker-overlap"]


def test_speakers_of_the_back_end_are_refused(world):
    world["train"] = world["data"]
    for settings in ("center: true\n", "norm: {kind: s}\n"):
        backend = train(world, "seen", settings, "test")
        with pytest.raises(UserError, match=r"3 of 3 speakers .*seen/speakers: s0, s1"):
            score(world, backend=backend)
    # Plain cosine learns nothing from them.
    assert score(world, backend=train(world, "unseen", "length: unit\n", "test"))


def test_a_model_without_spk2id_is_untrained_or_refused(world):
    (world["model"] / "spk2id").unlink()
    with pytest.raises(UserError, match="spk2id: no such file, but .*config.yaml is"):
        score(world)
    (world["model"] / "config.yaml").unlink()
    assert score(world).exists()


def test_a_mean_of_another_network_is_refused(world):
    network = world["model"] / "final.pt"
    network.write_bytes(b"one")
    for name, digest in (("test", sha256(network)), ("train", "0" * 64)):
        write_table(world["model"] / name / "made_from", {"final.pt": digest})
    assert score(world).exists()
    backend = train(world, "mean", "center: true\n")
    with pytest.raises(UserError, match=r"mean/made_from: .*final.pt has changed"):
        score(world, backend=backend)
    # The mean may be of another corpus than the trials, but of that of its own data.
    made_from = {"corpus.json": "0", "final.pt": sha256(network)}
    write_table(world["model"] / "train" / "made_from", made_from)
    with pytest.raises(UserError, match=r"train/made_from: .*corpus.json has changed"):
        train(world, "mean", "center: true\n")
    (world["train"] / "corpus.json").write_text("train")
    made_from["corpus.json"] = sha256(world["train"] / "corpus.json")
    write_table(world["model"] / "train" / "made_from", made_from)
    assert score(world, backend=train(world, "mean", "center: true\n")).exists()


def test_embeddings_of_another_network_or_corpus_are_refused(world):
    network, corpus = world["model"] / "final.pt", world["data"] / "corpus.json"
    network.write_bytes(b"one")
    with pytest.raises(UserError, match="made_from: no such file"):
        score(world)
    corpus.write_text("{}")
    features = world["data"] / "conf" / "features.yaml"
    features.parent.mkdir()
    features.write_text("type: fbank\n")
    sources = (network, corpus, features)
    made_from = {path.name: sha256(path) for path in sources}
    write_table(world["model"] / "test" / "made_from", made_from)
    assert score(world).exists()
    for path in sources:
        before = path.read_bytes()
        path.write_bytes(b"another")
        with pytest.raises(UserError, match=f"{path.name} has changed since"):
            score(world)
        path.write_bytes(before)
    corpus.unlink()
    with pytest.raises(UserError, match="corpus.json has changed"):
        score(world)


def test_untrained_vectors_of_another_corpus_are_refused(world):
    for name in ("spk2id", "config.yaml"):
        (world["model"] / name).unlink()
    corpus = world["data"] / "corpus.json"
    corpus.write_text("{}")
    record = world["model"] / "test" / "made_from"
    write_table(record, {"corpus.json": sha256(corpus)})
    assert score(world).exists()
    corpus.write_text('{"seed": 2}')
    with pytest.raises(UserError, match="corpus.json has changed since"):
        score(world)


def test_unknown_keys_are_named_by_line(world):
    path = world["data"] / "list"
    path.write_text("s0-0 s0-1 target\ns0-0 s9-1 nontarget\n")
    with pytest.raises(UserError) as error:
        score(world)
    scp = world["model"] / "test" / "xvector.scp"
    assert f"{path}:2: 's9-1' is not in {scp}: " in str(error.value)


def test_other_bad_input_is_named(world, tmp_path, capsys):
    with pytest.raises(SystemExit) as stop:
        score_trials.main(["--model", "x", "data", "trials", "embeddings", "scores"])
    assert stop.value.code == 2
    assert "are required: --backend" in capsys.readouterr().err
    write_embeddings(world["model"] / "wide", {"t0-0": np.ones(17)})
    backend = train(world, "wide", "center: true\n", "wide")
    with pytest.raises(UserError, match="xvector.scp: dimension 16, but .* on 17"):
        score(world, backend=backend)
    with pytest.raises(UserError, match="nosuch: no trained back end"):
        score(world, backend=tmp_path / "nosuch")
    backend = train(world, "cosine", "score: cosine\n")
    world["model"] = tmp_path / "no_such_model"
    with pytest.raises(UserError, match="no_such_model: no such directory"):
        score(world, backend=backend)


def test_names_below_a_directory():
    assert name_below("exp", "exp/net_s1") == "net_s1"
    assert name_below("exp", "/home/exp/me/exp/a/net/") == "a/net"
    assert name_below("data", "elsewhere/test") == "elsewhere/test"
    assert name_below("exp", "somewhere/exp") == "somewhere/exp"


# Score files


@pytest.mark.parametrize("bad", [np.nan, -np.inf, 1e39])
def test_what_could_not_be_read_is_not_written(tmp_path, bad):
    trials = Trials.of(["a", "a"], ["b", "c"], np.array([True, False]), "list")
    with pytest.raises(
        UserError, match="s: a score is NaN, infinite or too large: not"
    ):
        write_scores(tmp_path / "s", trials, np.array([1.0, bad]), {})
    assert not (tmp_path / "s").exists()


def test_a_description_never_stands_beside_other_scores(tmp_path, monkeypatch):
    path, listed = tmp_path / "scores", tmp_path / "list"
    described = tmp_path / "scores.json"
    listed.write_text("a b target\na c nontarget\n")
    trials = read_trials(listed)

    def killed(self, *columns):
        assert not described.exists()
        raise KeyboardInterrupt

    for place in ("chronovox.trials.lists.Trials.blocks", "chronovox.files.sha256"):
        write_scores(path, trials, np.zeros(2), {"model": "one"})
        assert described.exists()
        with monkeypatch.context() as patch:
            patch.setattr(place, killed)
            with pytest.raises(KeyboardInterrupt):
                write_scores(path, trials, np.ones(2), {"model": "two"})
        assert not described.exists()


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b 0.5\n", "1 trials have no score, the first is LIST:2: 'a c'"),
        ("a b 0.5\na c 1\na d 2\n", "SCORES:3: 'a d' is not in LIST; 1 scores have"),
        (
            "a b 0.5\na c 1\na b 2\n",
            "SCORES:3: 'a b' stands in line 1 already: score again",
        ),
        ("a b nan\na c 1\n", "SCORES:1: 'nan' is not a number"),
        ("a b 1\na c -inf\n", "SCORES:2: '-inf' is not a number"),
        ("a b 1e999\na c 1\n", "SCORES:1: '1e999' is not a finite number"),
        ("a b 1\na c -1e307\n", "SCORES:2: '-1e307' is too large for a score: score"),
        ("a b 0.5\na c 1 target\n", "SCORES:2: expected 3 fields, found 4"),
        ("a b 0.5\na c 1", "SCORES: the last line has no line end"),
        ("b a 0.5\na c 1\n", "the first is LIST:1: 'a b'"),
    ],
)
def test_scores_that_do_not_fit_the_trials_are_refused(tmp_path, text, message):
    (tmp_path / "s").write_text(text)
    listed = tmp_path / "t"
    trials = Trials.of(["a", "a"], ["b", "c"], np.array([True, False]), str(listed))
    with pytest.raises(UserError) as error:
        read_scores(tmp_path / "s", trials)
    said = str(error.value).replace(str(listed), "LIST")
    assert message in said.replace(str(tmp_path / "s"), "SCORES")


def test_a_trial_that_stands_twice_is_refused(tmp_path):
    (tmp_path / "s").write_text("a b 1\n")
    trials = Trials.of(["a", "a"], ["b", "b"], np.array([True, True]), "list")
    with pytest.raises(
        UserError, match="list:2: 'a b' stands in line 1 already: remove"
    ):
        read_scores(tmp_path / "s", trials)


@pytest.mark.parametrize("size", [1, 2**24])
def test_a_score_that_stands_twice_is_found_in_any_block(tmp_path, monkeypatch, size):
    monkeypatch.setattr("chronovox.trials.lists._BLOCK_BYTES", size)
    (tmp_path / "s").write_text("a c 2\na b 1\na c 3\n")
    trials = Trials.of(["a", "a"], ["b", "c"], np.array([True, False]), "list")
    with pytest.raises(UserError, match="s:3: 'a c' stands in line 1 already"):
        read_scores(tmp_path / "s", trials)


def test_scores_come_in_the_order_of_the_trials(tmp_path):
    (tmp_path / "s").write_text("a c 2\na b 1.5e-3\n")
    trials = Trials.of(["a", "a"], ["b", "c"], np.array([True, False]), "list")
    assert read_scores(tmp_path / "s", trials).tolist() == [0.0015, 2.0]


def test_settings_of_a_model_that_are_no_text_are_named(world):
    (world["model"] / "config.yaml").write_bytes(b"seed: 1\n\xff\n")
    with pytest.raises(UserError, match="config.yaml: not UTF-8 text"):
        score(world)

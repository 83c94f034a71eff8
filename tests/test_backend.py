"""Back ends: PLDA, LDA, whitening, score normalisation, Kaldi's files."""

import shutil

import numpy as np
import pytest
from conftest import ROOT
from scipy.stats import multivariate_normal
from sklearn.discriminant_analysis import LinearDiscriminantAnalysis
from test_scoring import score, train, world, write_embeddings  # noqa: F401  # fixture

import compute_metrics
from chronovox import config, kaldi_io
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.evaluation import results
from chronovox.scoring import backend, plda, read_scores
from chronovox.scoring.backend import BackendConfig
from chronovox.scoring.normalisation import CohortSide, NormConfig, normalised
from chronovox.scoring.pairs import Sides, pair_scores, score_blocks
from chronovox.scoring.plda_file import read_plda, write_plda
from chronovox.trials import read_trials

DIM = 4


def random_model(seed=0, dim=DIM):
    """Mean, B and W."""
    rng = np.random.default_rng(seed)
    between, within = rng.normal(size=(2, dim, dim))
    return (
        rng.normal(size=dim),
        between @ between.T,
        within @ within.T + 0.1 * np.eye(dim),
    )


def draw(seed, mean, between, within, counts):
    """Vectors of speakers with so many each, and their numbers."""
    rng = np.random.default_rng(seed)
    zero = np.zeros(len(mean))
    speakers = np.repeat(np.arange(len(counts)), counts)
    of_speaker = rng.multivariate_normal(zero, between, len(counts))
    own = rng.multivariate_normal(zero, within, len(speakers))
    return mean + of_speaker[speakers] + own, speakers


def ratio_by_scipy(model, enrol, test) -> float:
    """The log ratio of the joint densities of enrolment vectors `(n, D)` and a test,
    of one speaker and of two, from their whole covariance."""
    mean, between, within = model
    size, dim = len(enrol) + 1, len(mean)
    together = np.kron(np.ones((size, size)), between) + np.kron(np.eye(size), within)
    apart = together.copy()
    apart[-dim:, :-dim] = 0
    apart[:-dim, -dim:] = 0
    values = np.concatenate([enrol.ravel(), test])
    one, two = (
        multivariate_normal.logpdf(values, np.tile(mean, size), covariance)
        for covariance in (together, apart)
    )
    return one - two


def test_the_score_is_the_ratio_of_normal_densities():
    """Of enrolments of one, two and five vectors."""
    parts = random_model()
    model = plda.from_covariances(*parts)
    rng = np.random.default_rng(1)
    counts = np.array([1, 2, 5])
    enrol = [rng.normal(size=(n, DIM)) * 2 for n in counts]
    tests = rng.normal(size=(6, DIM)) * 2
    means = np.stack([vectors.mean(axis=0) for vectors in enrol])
    sides = model.sides(
        model.coordinates(means, counts, "none"), counts,
        model.coordinates(tests, 1, "none"),
    )  # fmt: skip
    rows, columns = (part.ravel() for part in np.indices((3, 6)))
    found = pair_scores(sides, rows, columns)
    expected = [
        ratio_by_scipy(parts, enrol[i], tests[j])
        for i, j in zip(rows, columns, strict=True)
    ]
    np.testing.assert_allclose(found, expected, rtol=0, atol=1e-6)
    ((_, scores),) = score_blocks(sides)
    np.testing.assert_allclose(scores.ravel(), expected, rtol=0, atol=1e-6)


def test_em_recovers_the_covariances_of_simulated_speakers():
    mean, between, within = random_model()
    counts = np.random.default_rng(2).integers(1, 9, 5000)
    model = plda.train(*draw(3, mean, between, within, counts), num_iters=20)
    for found, true in (model.between, between), (model.within, within):
        assert np.linalg.norm(found - true) < 0.05 * np.linalg.norm(true)
    assert np.abs(model.mean - mean).max() < 0.1


def log_likelihood(model: plda.Plda, vectors, speakers) -> float:
    total = 0.0
    for speaker in np.unique(speakers):
        own = vectors[speakers == speaker]
        size = len(own)
        covariance = np.kron(np.ones((size, size)), model.between)
        covariance += np.kron(np.eye(size), model.within)
        mean = np.tile(model.mean, size)
        total += multivariate_normal.logpdf(own.ravel(), mean, covariance)
    return total


def test_em_never_lowers_the_likelihood():
    vectors, speakers = draw(4, *random_model(), np.array([1, 2, 3, 5, 8] * 4))
    found = [
        log_likelihood(plda.train(vectors, speakers, n), vectors, speakers)
        for n in range(6)
    ]
    assert all(np.diff(found) > -1e-9) and found[-1] > found[0]


def test_coordinates_are_those_that_the_model_promises():
    mean, between, within = random_model()
    model = plda.from_covariances(mean, between, within)
    turn = model.transform
    np.testing.assert_allclose(turn @ within @ turn.T, np.eye(DIM), atol=1e-10)
    np.testing.assert_allclose(turn @ between @ turn.T, np.diag(model.psi), atol=1e-10)
    assert (np.diff(model.psi) <= 0).all()
    smooth = model.smoothed(0.3)
    np.testing.assert_allclose(smooth.between, between, atol=1e-10)
    grown = np.linalg.inv(turn) @ np.diag(1 + 0.3 * model.psi) @ np.linalg.inv(turn).T
    np.testing.assert_allclose(smooth.within, grown, atol=1e-10)


def test_lengths_in_the_coordinates_of_the_model():
    model = plda.from_covariances(*random_model())
    vectors = np.random.default_rng(5).normal(size=(3, DIM))
    counts = np.array([1, 2, 7])
    plain = model.coordinates(vectors, counts, "none")
    simple = model.coordinates(vectors, counts, "simple")
    np.testing.assert_allclose(np.linalg.norm(simple, axis=1), np.sqrt(DIM))
    expected = model.coordinates(vectors, counts, "expected")
    # What is expected of the square of each coordinate is psi + 1 / n.
    squares = expected**2 / (model.psi + 1 / counts[:, None])
    np.testing.assert_allclose(squares.mean(axis=1), 1)
    for scaled in (simple, expected):
        ratio = scaled / plain
        np.testing.assert_allclose(ratio, ratio[:, :1] * np.ones(DIM))
    with pytest.raises(UserError, match="no direction"):
        model.coordinates(model.mean[None], 1, "simple")


# As Kaldi prints a model (ivector-copy-plda --binary=false).
KALDI_TEXT = """<Plda>  [ 0.5 -1.25 ]
 [
  2 0.125
  -0.5 1 ]
 [ 3.5 0.25 ]
</Plda> """


def test_a_text_file_of_kaldi_comes_back_as_it_was(tmp_path):
    (tmp_path / "plda").write_text(KALDI_TEXT)
    model = read_plda(tmp_path / "plda")
    assert model.mean.tolist() == [0.5, -1.25] and model.psi.tolist() == [3.5, 0.25]
    assert model.transform.tolist() == [[2, 0.125], [-0.5, 1]]
    for text in (True, False):
        write_plda(tmp_path / "again", model, text)
        again = read_plda(tmp_path / "again")
        for name in ("mean", "transform", "psi"):
            assert (getattr(again, name) == getattr(model, name)).all()
    assert (tmp_path / "again").read_bytes().startswith(b"\0B<Plda> DV \4\2\0\0\0")
    write_plda(tmp_path / "text", model, text=True)
    words = [float(w) if w[-1].isdigit() else w for w in KALDI_TEXT.split()]
    written = (tmp_path / "text").read_text().split()
    assert [float(w) if w[-1].isdigit() else w for w in written] == words


def test_float_models_are_read_too(tmp_path):
    def record(kind, dims, values):
        sizes = b"".join(b"\4" + np.int32(size).tobytes() for size in dims)
        return kind + sizes + np.array(values, "<f4").tobytes()

    parts = [
        b"\0B<Plda> ", record(b"FV ", [2], [1, 2]),
        record(b"FM ", [2, 2], [1, 0, 0, 1]), record(b"FV ", [2], [4, 3]), b"</Plda> ",
    ]  # fmt: skip
    (tmp_path / "plda").write_bytes(b"".join(parts))
    model = read_plda(tmp_path / "plda")
    assert model.mean.tolist() == [1, 2] and model.psi.tolist() == [4, 3]


def test_damaged_models_are_refused(tmp_path):
    path = tmp_path / "plda"
    write_plda(path, plda.from_covariances(*random_model()))
    whole = path.read_bytes()
    for length in range(0, len(whole) - 1, 7):
        path.write_bytes(whole[:length])
        with pytest.raises(UserError, match="plda: "):
            read_plda(path)
    for old, new, message in [
        ("0.5 -1.25", "0.5 nan", "holds NaN"),
        ("3.5 0.25", "3.5 -1", "impossible covariances"),
        ("2 0.125\n  -0.5 1", "2 0\n  2 0", "impossible covariances"),
        ("3.5 0.25", "3.5", "shapes"),
        ("-0.5 1", "-0.5", "3 of transform"),
        ("2 0.125", "2 x", "no Kaldi PLDA model: could not convert"),
        ("</Plda>", "", "expected <Plda>"),
    ]:
        assert KALDI_TEXT.count(old) == 1
        path.write_text(KALDI_TEXT.replace(old, new))
        with pytest.raises(UserError, match=message):
            read_plda(path)
    with pytest.raises(UserError, match="none: No such file"):
        read_plda(tmp_path / "none")


def test_too_little_to_train_on_is_an_error():
    with pytest.raises(UserError, match="two speakers are needed"):
        plda.train(np.eye(3), np.array([0, 1, 2]))
    with pytest.raises(
        UserError, match="PLDA: .* the covariance is singular: they are"
    ):
        plda.train(np.random.default_rng(0).normal(size=(4, 6)), np.array([0, 0, 1, 1]))


# Transforms


def trained(vectors, speakers, **options) -> backend.Backend:
    return backend.train(BackendConfig(**options), vectors, [f"s{n}" for n in speakers])


def test_whitening_gives_the_identity():
    vectors, speakers = draw(8, *random_model(), np.full(200, 5))
    found = trained(vectors, speakers, center=True, whiten=True).prepared(vectors)
    np.testing.assert_allclose(np.cov(found.T, bias=True), np.eye(DIM), atol=1e-3)
    assert np.abs(found.mean(axis=0)).max() < 1e-3
    line = np.random.default_rng(0).normal(size=(9, 1))
    found = trained(line, np.arange(9), center=True, whiten=True).prepared(line)
    assert found.std() == pytest.approx(1, rel=1e-4)
    with pytest.raises(UserError, match="whiten: .* is singular"):
        trained(vectors[:3], speakers[:3], whiten=True)


def test_lda_is_that_of_scikit_learn():
    vectors, speakers = draw(9, *random_model(dim=6), np.full(50, 6))
    found = trained(vectors, speakers, center=True, lda_dim=2).prepared(vectors)
    oracle = LinearDiscriminantAnalysis(solver="eigen", n_components=2)
    expected = oracle.fit(vectors, speakers).transform(vectors)
    for column in range(2):  # of either sign, and of any mean
        found[:, column] *= np.sign(
            np.corrcoef(found[:, column], expected[:, column])[0, 1]
        )
    expected -= expected.mean(axis=0)
    scale = found.std(axis=0) / expected.std(axis=0)
    np.testing.assert_allclose(found, expected * scale, atol=2e-3)
    np.testing.assert_allclose(scale, scale[0], rtol=1e-3)
    with pytest.raises(UserError, match="lda_dim: 7, but 50 speakers .* allow 6"):
        trained(vectors, speakers, lda_dim=7)


def test_lengths_before_the_comparison():
    vectors, speakers = draw(10, *random_model(), np.full(9, 2))
    for length, norm in (("unit", 1.0), ("sqrt", np.sqrt(DIM))):
        found = trained(vectors, speakers, length=length).prepared(vectors)
        np.testing.assert_allclose(np.linalg.norm(found, axis=1), norm, rtol=1e-5)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ("whiten: true\nlda_dim: 3\n", "whiten and lda_dim: LDA undoes it"),
        ("lda_dim: 0\n", "lda_dim is from 1 on"),
        ("plda: {smoothing: 0.1}\n", "plda: has no part in `score: cosine`"),
        (
            "score: plda\nplda: {length: unit}\n",
            "'unit' is not one of expected, simple",
        ),
        ("norm: {top: 1}\n", "top is from 2 on"),
        ("norm: {kind: as3}\n", "'as3' is not one of z, t, s, as1, as2"),
        ("centre: true\n", "unknown key 'centre' .*did you mean 'center'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, options, message):
    (tmp_path / "x.yaml").write_text(options)
    with pytest.raises(UserError, match=message):
        config.load(tmp_path / "x.yaml", BackendConfig)


CONF = [*ROOT.glob("conf/backends/*.yaml"), *ROOT.glob("egs/*/conf/backends/*.yaml")]


@pytest.mark.parametrize("path", sorted(CONF))
def test_the_settings_of_conf_are_valid(path):
    assert config.load(path, BackendConfig).score in ("cosine", "plda")


# Score normalisation


def textbook(kind, top, score, of_enrol, of_test) -> float:
    """Of one trial, from the scores of both sides with every member of the cohort."""
    if kind == "z":
        return (score - of_enrol.mean()) / of_enrol.std()
    if kind == "t":
        return (score - of_test.mean()) / of_test.std()
    if kind == "as1":
        of_enrol, of_test = np.sort(of_enrol)[-top:], np.sort(of_test)[-top:]
    if kind == "as2":
        best = np.argsort(of_enrol)[-top:], np.argsort(of_test)[-top:]
        of_enrol, of_test = of_enrol[best[1]], of_test[best[0]]
    return np.mean([(score - x.mean()) / x.std() for x in (of_enrol, of_test)])


@pytest.mark.parametrize("kind", ["z", "t", "s", "as1", "as2"])
def test_normalisation_is_that_of_the_textbook(kind, monkeypatch):
    """Also over several blocks, and where the speaker of an utterance is left out."""
    monkeypatch.setattr("chronovox.scoring.pairs._BLOCK", 300)
    monkeypatch.setattr("chronovox.scoring.normalisation._GATHERED", 50)
    rng = np.random.default_rng(11)
    enrol, tests, cohort = (rng.normal(size=(n, 5)) for n in (30, 25, 40))
    bias, cohort_bias = rng.normal(size=30), rng.normal(size=40)
    sides = Sides(enrol, tests, bias)
    whose = np.arange(40)
    own = np.arange(100, 130), np.arange(200, 225)
    whose[:3] = own[0][2]
    whose[5] = own[1][4]
    rows = rng.integers(30, size=200), rng.integers(25, size=200)
    rows[0][0], rows[1][1] = 2, 4
    scores = pair_scores(sides, *rows)
    found = normalised(
        scores, *rows, CohortSide(Sides(enrol, cohort, bias), own[0], whose),
        CohortSide(Sides(cohort, tests, cohort_bias).turned(), own[1], whose),
        NormConfig(kind, 10),
    )  # fmt: skip
    for n, (i, j) in enumerate(zip(*rows, strict=True)):
        of_enrol = enrol[i] @ cohort.T + bias[i]
        of_test = cohort @ tests[j] + cohort_bias
        if i == 2 or j == 4:
            known = ~np.isin(whose, [own[0][i], own[1][j]])
            if kind != "as2":  # of each side its own
                of_enrol = of_enrol[whose != own[0][i]]
                of_test = of_test[whose != own[1][j]]
            elif not known.all():
                continue
        expected = textbook(kind, 10, scores[n], of_enrol, of_test)
        assert found[n] == pytest.approx(expected, abs=1e-9)


def test_a_cohort_that_says_nothing_is_an_error():
    one = Sides(np.ones((2, 3)), np.ones((2, 3)))
    parts = CohortSide(one, np.array([0, 1]), np.array([7, 8]))
    with pytest.raises(UserError, match="are all the same"):
        normalised([1.0], [0], [1], parts, parts, NormConfig("s"))
    parts = CohortSide(one, np.array([0, 1]), np.array([1, 8]))
    with pytest.raises(UserError, match="fewer than two members of the cohort"):
        normalised([1.0], [0], [1], parts, parts, NormConfig("s"))


# The steps


def test_every_part_of_a_back_end_comes_back(world, tmp_path):  # noqa: F811
    names = [f"t{n}-{u}" for n in range(12) for u in range(4)]
    rng = np.random.default_rng(12)
    spread = {name[:-2]: rng.normal(size=16) for name in names}
    vectors = {n: (spread[n[:-2]] + rng.normal(size=16)).astype("f4") for n in names}
    write_embeddings(world["model"] / "more", vectors)
    write_table(world["train"] / "utt2spk", {name: name[:-2] for name in sorted(names)})
    write_table(
        world["train"] / "utt2age",
        {name: 20 + 5 * int(name[-1]) for name in sorted(names)},
    )
    text = "center: true\nlda_dim: 8\nlength: sqrt\nscore: plda\n"
    for cohort, size in (("speakers", 12), ("utterances", 48), ("ages", 36)):
        out = train(
            world,
            "all",
            f"{text}norm: {{kind: as1, top: 5, cohort: {cohort}}}\n",
            "more",
        )
        assert len(read_table(out / "cohort")) == size
        path = score(world, backend=out, name=cohort)
        found = read_scores(path, read_trials(world["data"] / "list"))
        # Again, by hand from what was trained.
        again = backend.load(out)
        assert again.mean.shape == (16,) and again.transform.shape == (8, 16)
        tests = np.stack([world["vectors"][u] for u in ("s0-0", "s0-1")])
        cohort = again.prepared(again.cohort[1])
        pair = again.prepared(tests)
        one = np.ones(len(cohort))
        of_enrol = again.sides(pair[:1], np.ones(1), cohort)
        raw = pair_scores(again.sides(pair[:1], np.ones(1), pair[1:]), [0], [0])[0]
        columns = np.arange(len(cohort))
        expected = textbook(
            "as1", 5, raw, pair_scores(of_enrol, 0 * columns, columns),
            pair_scores(again.sides(cohort, one, pair[1:]), columns, 0 * columns),
        )  # fmt: skip
        assert found[0] == pytest.approx(expected, rel=1e-6)


def test_several_utterances_make_an_enrolment(world):  # noqa: F811
    data = world["data"]
    write_table(data / "enrolments", {"both": "s0-0 s0-1", "one": "s1-0"})
    write_table(
        data / "utt2session", {f"s{n}-{u}": "v" for n in range(3) for u in (0, 1)}
    )
    (data / "list").write_text(
        "both s2-0 nontarget\none s1-1 target\ns1-0 s1-1 target\n"
    )
    path = score(world, backend=train(world, "mean", "center: true\n"))
    found = read_scores(path, read_trials(data / "list"))
    mean = np.mean(list(world["others"].values()), axis=0)
    u, v = world["vectors"]["s0-0"], world["vectors"]["s0-1"]
    a, b = (u + v) / 2 - mean, world["vectors"]["s2-0"] - mean
    assert found[0] == pytest.approx(a @ b / np.linalg.norm(a) / np.linalg.norm(b))
    assert found[1] == found[2]
    words = [data, data / "list", path, world["model"] / "results"]
    assert compute_metrics.main([str(word) for word in words]) == 0
    (row,) = results.read(world["model"] / "results")
    assert (row["n_target"], row["n_nontarget"], row["n_spk"]) == (2, 1, 2)
    (data / "list").write_text("one s1-1 target\nboth s0-1 target\n")
    with pytest.raises(UserError, match="list:2: 'both s0-1': the test is part of its"):
        score(world)
    (data / "list").write_text("s2-0 both nontarget\n")
    with pytest.raises(
        UserError, match="list:1: '.* both': the test is an enrolment of several"
    ):
        score(world)


def thirty_speakers(world) -> dict[str, np.ndarray]:  # noqa: F811
    """Training embeddings `more`, four of each; utterance -> vector."""
    rng = np.random.default_rng(13)
    names = [f"t{n:02d}-{u}" for n in range(30) for u in range(4)]
    spread = {name[:3]: rng.normal(size=16) for name in names}
    vectors = {n: (spread[n[:3]] + rng.normal(size=16)).astype("f4") for n in names}
    write_embeddings(world["model"] / "more", vectors)
    write_table(world["train"] / "utt2spk", {name: name[:3] for name in sorted(names)})
    return vectors


def test_plda_counts_utterances_or_sessions(world):  # noqa: F811
    thirty_speakers(world)
    data = world["data"]
    write_table(data / "enrolments", {"both": "s0-0 s0-1"})
    write_table(
        data / "utt2session", {f"s{n}-{u}": "v" for n in range(3) for u in (0, 1)}
    )
    (data / "list").write_text("both s2-0 nontarget\ns2-1 s2-0 target\n")
    plain = "score: plda\nplda: {length: none}\n"
    folder = train(world, "plda", plain, "more")
    model = read_plda(folder / "plda")
    pair = np.stack([world["vectors"][u] for u in ("s0-0", "s0-1")]).mean(axis=0)
    for count, number in (("utterances", 2), ("sessions", 1)):
        path = score(world, "--count", count, backend=folder, name=count)
        sides = model.sides(
            model.coordinates(pair[None], 1, "none"), number,
            model.coordinates(world["vectors"]["s2-0"][None], 1, "none"),
        )  # fmt: skip
        found = read_scores(path, read_trials(data / "list"))[0]
        assert found == pytest.approx(pair_scores(sides, [0], [0])[0], rel=1e-5)


def test_enrolments_of_several_sizes_are_normalised_by_their_own_scores(world):  # noqa: F811
    vectors = thirty_speakers(world)
    data = world["data"]
    write_table(data / "enrolments", {"both": "s0-0 s0-1"})
    (data / "list").write_text("both s2-0 nontarget\ns2-1 s2-0 target\n")
    text = "score: plda\nplda: {length: none}\nnorm: {kind: s, cohort: utterances}\n"
    folder = train(world, "plda", text, "more")
    found = read_scores(score(world, backend=folder), read_trials(data / "list"))
    model = read_plda(folder / "plda")
    cohort = model.coordinates(
        np.stack([vectors[n] for n in sorted(vectors)]), 1, "none"
    )
    test = model.coordinates(world["vectors"]["s2-0"][None], 1, "none")
    rows = np.arange(len(cohort))
    for number, utts in enumerate((("s0-0", "s0-1"), ("s2-1",))):
        mean = np.mean([world["vectors"][utt] for utt in utts], axis=0)
        enrol = model.coordinates(mean[None], 1, "none")
        size = len(utts)
        raw = pair_scores(model.sides(enrol, size, test), [0], [0])[0]
        of_enrol = pair_scores(model.sides(enrol, size, cohort), 0 * rows, rows)
        of_test = pair_scores(model.sides(cohort, 1, test), rows, 0 * rows)
        expected = textbook("s", 0, raw, of_enrol, of_test)
        assert found[number] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ({"s0-0": "s1-0"}, "enrolments: s0-0: is an utterance, too"),
        ({"m": "s0-0 s1-0"}, "enrolments: m: its utterances are of s0, s1"),
        ({"m": "s0-0 s9-9"}, "enrolments: m: 's9-9' is not in"),
        ({"m": "s0-0 s0-0"}, "enrolments: m: names an utterance twice"),
    ],
)
def test_bad_enrolments_are_named(world, table, message):  # noqa: F811
    write_table(world["data"] / "enrolments", table)
    with pytest.raises(UserError, match=message):
        score(world)


def test_the_speaker_of_an_utterance_is_left_out_of_its_cohort(world):  # noqa: F811
    """Where the trials share speakers with the cohort, which marks the scores."""
    names = [f"s{n}-{u}" for n in range(3) for u in range(2)] + ["t0-0", "t1-0", "t2-0"]
    vectors = world["vectors"] | world["others"]
    write_embeddings(world["model"] / "both", {name: vectors[name] for name in names})
    write_table(world["train"] / "utt2spk", {name: name[:2] for name in sorted(names)})
    folder = train(world, "s", "norm: {kind: s, cohort: utterances}\n", "both")
    with pytest.raises(UserError, match="3 of 3 speakers .* are in .*s/speakers"):
        score(world, backend=folder)
    path = score(world, "--allow-speaker-overlap", "true", backend=folder)
    found = read_scores(path, read_trials(world["data"] / "list"))
    units = {name: vectors[name] / np.linalg.norm(vectors[name]) for name in names}
    for value, (enrol, test) in zip(
        found, (("s0-0", "s0-1"), ("s2-0", "s0-0"), ("s1-1", "s1-0")), strict=True
    ):
        sides = [
            np.array([units[utt] @ units[n] for n in names if n[:2] != utt[:2]])
            for utt in (enrol, test)
        ]
        expected = textbook("s", 0, units[enrol] @ units[test], *sides)
        assert value == pytest.approx(expected, rel=1e-4)


def test_utterances_of_speakers_are_counted(world):  # noqa: F811
    speakers = {"t0-0": "t0", "t1-0": "t0", "t2-0": "t0", "t3-0": "t1", "t4-0": "t1"}
    write_table(world["train"] / "utt2spk", speakers)
    folder = train(world, "mean", "center: true\n")
    assert read_table(folder / "speakers") == {"t0": "3", "t1": "2"}


def test_a_copied_back_end_keeps_its_own_cohort(world):  # noqa: F811
    text = "norm: {kind: s, cohort: utterances}\n"
    folder = train(world, "first", text)
    copy = folder.with_name("copy")
    shutil.copytree(folder, copy)
    before = score(world, backend=copy).read_bytes()
    moved = {name: vector + 3 for name, vector in world["others"].items()}
    write_embeddings(world["model"] / "moved", moved)
    train(world, "first", text, "moved")
    assert score(world, backend=copy).read_bytes() == before
    assert score(world, backend=folder).read_bytes() != before


def test_parts_that_do_not_fit_are_refused(world):  # noqa: F811
    wide = {name: np.ones(17) + n for n, name in enumerate(world["others"])}
    write_embeddings(world["model"] / "wide", wide)
    folder = train(world, "s", "norm: {kind: s, cohort: utterances}\n", "wide")
    with pytest.raises(UserError, match="dimension 16, but .* trained on 17"):
        score(world, backend=folder)
    folder = train(world, "mean", "center: true\n")
    kaldi_io.write_array(folder / "mean.vec", np.full(16, np.nan))
    with pytest.raises(UserError, match="mean: holds NaN or infinity"):
        score(world, backend=folder)


def test_a_failed_training_leaves_no_earlier_back_end(world):  # noqa: F811
    folder = train(world, "x", "center: true\n")
    with pytest.raises(UserError, match="two speakers are needed"):
        train(world, "x", "lda_dim: 9\n")
    with pytest.raises(UserError, match="x: no trained back end"):
        score(world, backend=folder)


def test_a_transform_of_kaldi_may_have_an_offset(world):  # noqa: F811
    rng = np.random.default_rng(15)
    vectors = rng.normal(size=(5, 3)).astype("f4")
    affine = rng.normal(size=(2, 4)).astype("f4")
    found = backend.Backend(BackendConfig(), None, affine).prepared(vectors)
    np.testing.assert_allclose(
        found, vectors @ affine[:, :3].T + affine[:, 3], rtol=1e-5
    )

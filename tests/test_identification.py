"""Identification: searches, rates and their intervals, lists, and the steps."""

import json

import numpy as np
import pytest
from sklearn.metrics import top_k_accuracy_score
from test_backend import textbook, thirty_speakers
from test_scoring import train, world, write_embeddings  # noqa: F401  # fixture

import score_identification
import select_identification
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.evaluation.identification import (
    RATES,
    TABLE,
    Searches,
    measure,
    rates,
    search,
)
from chronovox.scoring import backend
from chronovox.scoring.backend import BackendConfig
from chronovox.scoring.identification import read_list
from chronovox.scoring.normalisation import (
    CohortSide,
    NormConfig,
    normalised_blocks,
)
from chronovox.scoring.pairs import Sides
from chronovox.trials.lists import Speakers

# Rates


def whole(scores, own) -> Searches:
    """The searches of tests `(M, N)`, in blocks of two."""
    scores, own = np.asarray(scores, float), np.asarray(own)
    starts = range(0, len(scores), 2)
    return search(((slice(n, n + 2), scores[n : n + 2]) for n in starts), own)


def test_top_k_is_that_of_scikit_learn():
    rng = np.random.default_rng(0)
    own = np.concatenate([np.arange(20), rng.integers(20, size=81)])
    scores = rng.normal(size=(101, 20)) + 1.5 * (own[:, None] == np.arange(20))
    found = rates(whole(scores, own), np.ones(101, int))
    for k in (1, 5):
        expected = top_k_accuracy_score(own, scores, k=k, labels=np.arange(20))
        assert found[f"top_{k}"] == pytest.approx(expected, abs=1e-12)
    assert np.isnan(found["dir_0.01"]) and np.isnan(found["dir_0.1"])


def test_ties_count_against_the_system():
    scores = [[3, 3, 1, 0, 0, 0], [3, 2, 1, 0, 0, 0], [1, 1, 1, 1, 1, 1]]
    found = whole(scores, [0, 0, 2])
    assert found.rank.tolist() == [2, 1, 6] and found.best.tolist() == [3, 3, 1]
    found = rates(found, np.ones(3, int))
    assert found["top_1"] == 1 / 3 and found["top_5"] == 2 / 3
    # The best impostor scores as high as the second test: it is not let through.
    found = rates(whole([*scores, [3, 0, 0, 0, 0, 0]], [0, 0, 2, -1]), np.ones(4, int))
    assert found["dir_0.01"] == found["dir_0.1"] == 0


def test_detection_by_hand():
    """Ten tests of two who are enrolled, twenty impostors' with the best scores 1 to
    20. Two of these, a tenth, may pass: those of 20 and 19, but not 18. None may be a
    hundredth. Of the ten, 21 and 25 are above all, 19 above 18; 30 is of the wrong
    one; 18 is not above."""
    ours = np.array([21, 25, 19, 18, 17, 5, 30, 2, 12, 10])
    right = np.array([1, 1, 1, 1, 1, 1, 0, 1, 1, 1])
    scores = np.zeros((30, 2))
    scores[np.arange(10), 1 - right] = ours
    scores[10:, 1] = np.random.default_rng(1).permutation(np.arange(1, 21))
    own = np.array([0] * 10 + [-1] * 20)
    found = rates(whole(scores, own), np.ones(30, int))
    assert found == {"top_1": 0.9, "top_5": 1.0, "dir_0.01": 0.2, "dir_0.1": 0.3}


def by_definition(scores, own, fpir: float) -> float:
    """1 - FNIR(N, 1, T) at the lowest T of all scores that the FPIR allows."""
    best = scores.max(axis=1)
    for threshold in np.unique([*best, best.min() - 1]):
        if (best[own < 0] > threshold).mean() <= fpir:
            break
    hits = [
        row[mate] > threshold and (np.delete(row, mate) < row[mate]).all()
        for row, mate in zip(scores[own >= 0], own[own >= 0], strict=True)
    ]
    return np.mean(hits)


@pytest.mark.parametrize("seed", range(5))
def test_detection_is_that_of_a_loop_over_thresholds(seed):
    """With many ties, and where a tenth and a hundredth are no whole numbers."""
    rng = np.random.default_rng(seed)
    own = rng.integers(-8, 12, size=300 + 13 * seed).clip(-1)
    scores = rng.integers(12, size=(len(own), 12)) / 3
    scores += (own[:, None] == np.arange(12)) * rng.integers(5, size=(len(own), 1))
    found = rates(whole(scores, own), np.ones(len(own), int))
    for fpir in ("0.01", "0.1"):
        expected = by_definition(scores, own, float(fpir))
        assert found[f"dir_{fpir}"] == pytest.approx(expected, abs=1e-12)


def test_a_test_that_is_drawn_twice_counts_twice():
    rng = np.random.default_rng(2)
    own = rng.integers(-5, 6, size=200).clip(-1)
    searches = whole(rng.normal(size=(200, 6)), own)
    counts = rng.integers(4, size=200)
    again = np.repeat(np.arange(200), counts)
    twice = Searches(searches.rank[again], searches.best[again])
    assert rates(searches, counts) == rates(twice, np.ones(len(again), int))
    assert all(np.isnan(list(rates(searches, 0 * counts).values())))


def test_intervals_are_those_of_a_binomial_where_speakers_have_one_test():
    """And of so many times fewer where each has four, all right or all wrong."""
    rng = np.random.default_rng(3)
    rank = np.where(rng.random(500) < 0.8, 1, 7)
    share = (rank == 1).mean()
    for size in (1, 4):
        searches = Searches(np.repeat(rank, size), np.zeros(500 * size))
        row = measure(searches, np.repeat(np.arange(500) + 7, size), 2000)
        assert row["top_1"] == share and row["dir_0.1"] is row["dir_0.1_lo"] is None
        half = 1.96 * np.sqrt(share * (1 - share) / 500)
        bounds = row["top_1_lo"], row["top_1_hi"]
        np.testing.assert_allclose(bounds, (share - half, share + half), atol=0.005)


def test_few_speakers_get_no_interval():
    rank = np.array([1, 1, 2, 1, 1, 0, 0, 0, 0, 0, 0])
    searches = Searches(rank, np.arange(11.0))
    row = measure(searches, np.array([0, 1, 2, 3, 3, 4, 5, 6, 7, 8, 9]), 50)
    assert row["top_1"] == 0.8 and row["top_1_lo"] is None
    row = measure(searches, np.array([0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 8]), 50)
    assert row["top_1_lo"] < 0.8 and row["dir_0.1"] == 0 and row["dir_0.1_lo"] is None
    row = measure(searches, np.arange(11), 50)
    assert row["dir_0.1_lo"] == 0


def test_a_score_that_is_no_number_is_refused():
    with pytest.raises(UserError, match="NaN"):
        whole([[1, np.nan], [0, 1]], [0, 1])


# Scores of all tests with all enrolments


@pytest.mark.parametrize("kind", ["z", "t", "s", "as1", "as2"])
def test_blocks_are_normalised_as_by_the_textbook(kind, monkeypatch):
    monkeypatch.setattr("chronovox.scoring.pairs._BLOCK", 300)
    rng = np.random.default_rng(4)
    enrol, tests, cohort = (rng.normal(size=(n, 5)) for n in (30, 25, 40))
    bias, cohort_bias = rng.normal(size=30), rng.normal(size=40)
    whose = np.arange(40)
    own = np.arange(100, 130), np.arange(200, 225)
    whose[:3], whose[5] = own[0][2], own[1][4]
    blocks = normalised_blocks(
        Sides(enrol, tests, bias).turned(),
        CohortSide(Sides(enrol, cohort, bias), own[0], whose),
        CohortSide(Sides(cohort, tests, cohort_bias).turned(), own[1], whose),
        NormConfig(kind, 10),
    )
    found = np.full((25, 30), np.nan)
    for rows, scores in blocks:
        found[rows] = scores
    assert rows.start > 0
    raw = tests @ enrol.T + bias
    of_enrol = enrol @ cohort.T + bias[:, None]
    of_test = tests @ cohort.T + cohort_bias
    for j, i in np.ndindex(25, 30):
        sides = of_enrol[i], of_test[j]
        if i == 2 or j == 4:
            if kind == "as2":  # the textbook of the other tests does not say
                continue
            sides = sides[0][whose != own[0][i]], sides[1][whose != own[1][j]]
        expected = textbook(kind, 10, raw[j, i], *sides)
        assert found[j, i] == pytest.approx(expected, abs=1e-9)


def test_a_cohort_that_says_nothing_is_an_error():
    one = Sides(np.ones((2, 3)), np.ones((2, 3)))
    for whose, message in (([7, 8], "are all the same"), ([1, 8], "fewer than two")):
        parts = CohortSide(one, np.array([0, 1]), np.array(whose))
        for kind in ("s", "as2"):
            with pytest.raises(UserError, match=message):
                list(normalised_blocks(one, parts, parts, NormConfig(kind)))


NORMS = [None, *(NormConfig(kind, 4) for kind in ("z", "t", "s", "as1", "as2"))]


@pytest.mark.parametrize("score", ["cosine", "plda"])
@pytest.mark.parametrize("norm", NORMS, ids=lambda norm: norm and norm.kind)
def test_all_against_all_is_every_pair(score, norm):
    """Enrolments of several sizes; two speakers are of the cohort, too."""
    rng = np.random.default_rng(5)
    training = rng.normal(size=(40, 6)) + np.repeat(rng.normal(size=(10, 6)), 4, axis=0)
    names = [f"t{n // 4}" for n in range(40)]
    settings = BackendConfig(center=True, score=score, norm=norm)
    trained = backend.train(settings, training, names, norm and (names, training))
    vectors = rng.normal(size=(20, 6)).astype(np.float32)
    members, counts = [[0, 1, 2], [3], [4, 5], [6, 7, 8]], np.array([3, 1, 2, 3])
    test = np.array([9, 12, 10, 19, 11])
    people = ["t1", "t2", "x", "y"]
    of_enrol, of_test = np.array([0, 2, 3, 1]), np.array([2, 0, 3, 1, 2])
    blocks = trained.score_all(
        vectors, members, counts, test, Speakers(people, of_enrol, of_test)
    )
    ((_, found),) = list(blocks)
    rows, columns = (part.ravel() for part in np.indices((5, 4)))
    whose = Speakers(people, of_enrol[columns], of_test[rows])
    pairs = trained.score(vectors, members, counts, columns, test[rows], whose)
    np.testing.assert_allclose(found.ravel(), pairs, rtol=1e-4, atol=1e-5)


# The steps


@pytest.fixture
def searched(world):  # noqa: F811
    """Eight speakers of four utterances: `iden` enrols the first two of s0 to s5, and
    the others are tests."""
    rng = np.random.default_rng(6)
    names = [f"s{n}-{u}" for n in range(8) for u in range(4)]
    spread = {f"s{n}": rng.normal(size=16) for n in range(8)}
    vectors = {n: (spread[n[:2]] + rng.normal(size=16)).astype("f4") for n in names}
    write_embeddings(world["model"] / "eight", vectors)
    data = world["data"]
    write_table(data / "utt2spk", {name: name[:2] for name in names})
    write_table(data / "utt2session", {name: f"v{name[-1]}" for name in names})
    folder = data / "identification" / "iden"
    table = {f"s{n}": f"s{n}-0 s{n}-1" for n in range(6)}
    write_table(folder / "enrolments", table)
    tests = [n for n in names if n[-1] in "23" or n[:2] in ("s6", "s7")]
    (folder / "tests").write_text("".join(f"{name}\n" for name in tests))
    return {**world, "eight": vectors, "list": folder, "tests": tests}


def identify(searched, *options, folder=None) -> list[dict]:
    model = searched["model"]
    folder = folder or train(searched, "cosine", "score: cosine\n")
    out = model / "results"
    paths = [searched["data"], searched["list"], model / "eight", out]
    words = ["--model", model, "--backend", folder, "--draws", 200, *options, *paths]
    assert score_identification.main([str(word) for word in words]) == 0
    return TABLE.read(out)


def test_rates_go_into_a_table_and_are_printed(searched, capsys):
    (row,) = identify(searched)
    vectors = searched["eight"]
    enrol = np.stack([vectors[f"s{n}-0"] + vectors[f"s{n}-1"] for n in range(6)])
    tests = np.stack([vectors[utt] for utt in searched["tests"]])
    enrol, tests = (x / np.linalg.norm(x, axis=1)[:, None] for x in (enrol, tests))
    own = np.array([min(int(u[1]), 6) for u in searched["tests"]])
    own[own == 6] = -1
    scores = tests @ enrol.T
    mated = own >= 0
    for k in (1, 5):
        labels = np.arange(6)
        expected = top_k_accuracy_score(own[mated], scores[mated], k=k, labels=labels)
        assert row[f"top_{k}"] == pytest.approx(expected)
        assert row[f"top_{k}_lo"] <= expected <= row[f"top_{k}_hi"]
    expected = by_definition(scores, own, 0.1)
    assert row["dir_0.1"] == pytest.approx(expected)
    assert row["dir_0.1_lo"] is None  # of two impostors
    assert [row[name] for name in TABLE.key] == ["net_s3", "test", "iden", "cosine", 3]
    counts = "n_enrolled", "n_mated", "n_impostor"
    assert [row[name] for name in counts] == [6, 12, 8] and row["marks"] == []
    lines = capsys.readouterr().out.splitlines()
    assert lines[0].split() == ["model", "backend", "seed", *RATES]
    assert lines[1].startswith("net_s3 cosine  3") and len(lines) == 2
    assert f" {100 * row['top_1']:.2f} [" in lines[1]
    assert lines[1].endswith(f"{100 * expected:.2f}")
    # Again, and by another back end.
    assert identify(searched)[0] == row
    thirty_speakers(searched)
    plda = train(searched, "plda", "score: plda\n", "more")
    capsys.readouterr()
    rows = identify(searched, folder=plda)
    assert [r["backend"] for r in rows] == ["cosine", "plda"] and rows[0] == row
    assert len(capsys.readouterr().out.splitlines()) == 3
    table = {name: f"{name}-0" for name in ("s0", "s1")}
    write_table(searched["list"] / "enrolments", table)
    again = identify(searched, folder=plda)[1]
    assert again["n_enrolled"] == 2 and again["list_sha256"] != row["list_sha256"]
    assert len(capsys.readouterr().out.splitlines()) == 2


def test_plda_counts_utterances_or_sessions_of_enrolments(searched):
    thirty_speakers(searched)
    text = "score: plda\nplda: {length: none}\n"
    folder = train(searched, "plda", text, "more")
    sessions = read_table(searched["data"] / "utt2session")
    rows = [identify(searched, "--count", c, folder=folder)[0]
            for c in ("utterances", "sessions")]  # fmt: skip
    assert rows[0] | {"count": "", "command": ""} == (
        rows[1] | {"count": "", "command": ""}
    )
    write_table(searched["data"] / "utt2session", dict.fromkeys(sessions, "v"))
    found = read_list(searched["data"], searched["list"])
    members = [[4 * n, 4 * n + 1] for n in range(6)]
    vectors = np.stack(list(searched["eight"].values()))
    names = list(searched["eight"])
    trained = backend.load(folder)
    for count, number in (("utterances", 2), ("sessions", 1)):
        (row,) = identify(searched, "--count", count, folder=folder)
        blocks = trained.score_all(
            vectors, members, np.full(6, number),
            np.array([names.index(utt) for utt in found.tests]), found.speakers,
        )  # fmt: skip
        expected = rates(search(blocks, found.own), np.ones(20, int))
        assert {name: row[name] for name in RATES} == expected


def test_speakers_of_the_training_are_refused_or_marked(searched, capsys):
    write_table(searched["model"] / "spk2id", {"s0": 0, "s7": 1, "t0": 2})
    message = r"2 of 8 speakers of the tests and enrolments are in .*spk2id: s0, s7"
    with pytest.raises(UserError, match=message):
        identify(searched)
    (row,) = identify(searched, "--allow-speaker-overlap", "true")
    assert row["marks"] == ["speaker-overlap"]
    said = capsys.readouterr().out
    assert "net_s3 * cosine" in said and "* marked: speaker-overlap" in said
    write_table(searched["model"] / "spk2id", {"t0": 2})
    data, searched["train"] = searched["train"], searched["data"]
    folder = train(searched, "seen", "center: true\n", "eight")
    searched["train"] = data
    with pytest.raises(UserError, match="8 of 8 speakers .* are in .*seen/speakers"):
        identify(searched, folder=folder)


def test_embeddings_of_an_unknown_training_are_marked(searched):
    for name in ("spk2id", "config.yaml"):
        (searched["model"] / name).unlink()
    write_table(searched["model"] / "imported", {"test": "theirs.scp"})
    assert identify(searched)[0]["marks"] == ["training-unknown"]
    searched["train"] = searched["data"]
    folder = train(searched, "seen", "center: true\n", "eight")
    allowed = "--allow-speaker-overlap", "true"
    rows = identify(searched, *allowed, folder=folder)
    assert rows[1]["marks"] == ["training-unknown", "speaker-overlap"]


def test_what_is_older_than_its_origin_is_refused(searched):
    (searched["data"] / "wav.scp").write_text("a b\n")
    with pytest.raises(UserError, match="made_from: no such file"):
        identify(searched)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("tests", "s0-2", "s0-1", "tests:1: 's0-1' is part of the enrolment 's0'"),
        ("tests", "s0-2", "s9-2", "tests:1: 's9-2' is not in .*/utt2spk"),
        ("tests", "s0-2", "s0", "tests:1: 's0' is not in .*/utt2spk"),
        ("tests", "s0-3", "s0-2", "tests:2: 's0-2' stands twice"),
        ("tests", "s0-2", "s0-2 s0", "tests:1: expected 1 fields, found 2"),
        ("enrolments", "s0 ", "s0-3 ", "enrolments: s0-3: is an utterance, too"),
        ("enrolments", "s0-1", "s9-1", "enrolments: s0: 's9-1' is not in"),
        ("enrolments", "s0-1", "s1-3", "enrolments: s0: its utterances are of s0, s1"),
        ("enrolments", "s5 ", "s7 ", "s7: is another speaker than its own, s5"),
        ("enrolments", "s1 ", "s0-b s0-3\ns1 ", "s0-b: s0 is enrolled twice: make one"),
    ],
)
def test_bad_lists_are_named(searched, name, old, new, message):
    path = searched["list"] / name
    text = path.read_text()
    assert text.count(old) == 1
    path.write_text(text.replace(old, new))
    with pytest.raises(UserError, match=message):
        identify(searched)


def test_lists_that_search_nothing_are_refused(searched):
    folder = searched["list"]
    write_table(folder / "enrolments", {"s0": "s0-0"})
    with pytest.raises(UserError, match="a search needs two enrolments"):
        identify(searched)
    write_table(folder / "enrolments", {"s0": "s0-0", "s1": "s1-0"})
    (folder / "tests").write_text("s7-0\ns6-1\n")
    with pytest.raises(UserError, match="no test is of a speaker of"):
        identify(searched)
    for name in ("tests", "enrolments"):
        (folder / name).unlink()
        with pytest.raises(UserError, match=f"{name}: no such file: make the list"):
            identify(searched)


def test_utterances_without_a_vector_are_named(searched):
    utt2spk = read_table(searched["data"] / "utt2spk")
    write_table(searched["data"] / "utt2spk", {**utt2spk, "s7-9": "s7", "s8-0": "s8"})
    tests, table = searched["list"] / "tests", searched["list"] / "enrolments"
    text = tests.read_text()
    tests.write_text(text + "s7-9\n")
    with pytest.raises(UserError, match="tests: 1 have no vector, such as 's7-9'"):
        identify(searched)
    tests.write_text(text)
    table.write_text(table.read_text() + "s8 s8-0\n")
    with pytest.raises(UserError, match="enrolments: s8: s8-0 has no vector"):
        identify(searched)


@pytest.mark.parametrize(
    "change", [{"top_1": "x"}, {"dir_0.1_lo": 1}, {"marks": None}, {"seed": "1"}]
)
def test_a_damaged_table_is_not_overwritten(searched, change):
    (row,) = identify(searched)
    path = searched["model"] / "results" / "identification.json"
    path.write_text(json.dumps({"rows": [{**row, **change}]}))
    before = path.read_bytes()
    message = "identification.json: damaged .*: remove it and score again"
    with pytest.raises(UserError, match=message):
        identify(searched)
    assert path.read_bytes() == before


# Lists made of a data directory


@pytest.fixture
def dated(tmp_path):
    """Ten speakers of three sessions of two utterances, a the last; t0 has one."""
    data = tmp_path / "data"
    names = [f"s{n}-{v}-{u}" for n in range(10) for v in "abc" for u in (0, 1)]
    names += ["t0-a-0", "t0-a-1"]
    write_table(data / "utt2spk", {name: name[:2] for name in names})
    write_table(data / "utt2session", {name: name[3] for name in names})
    dates = {"a": "2011-02-01", "b": "1999-12-31", "c": "2004-05-06"}
    keys = sorted({(name[:2], name[3]) for name in names})
    table = {f"{spk} {v}": dates[v] for spk, v in keys}
    write_table(data / "session2date", table)
    return data


def select(data, *options):
    words = [*options, data, data / "identification/first"]
    assert select_identification.main([str(word) for word in words]) == 0
    folder = data / "identification/first"
    tests = (folder / "tests").read_text().split()
    return read_table(folder / "enrolments", None), tests


def test_the_first_session_enrols_and_others_are_tests(dated):
    enrolments, tests = select(dated)
    assert len(enrolments) == 9 and enrolments["t0"] == "t0-a-0 t0-a-1"
    assert all(
        enrolments[spk] == f"{spk}-b-0 {spk}-b-1" for spk in enrolments if spk != "t0"
    )
    assert tests == [f"s{n}-{v}-{u}" for n in range(10) for v in "ac" for u in (0, 1)]
    found = read_list(dated, dated / "identification/first")
    assert (found.own < 0).sum() == 8
    assert select(dated) == (enrolments, tests)
    drawn = {tuple(select(dated, "--seed", n)[0]) for n in range(9)}
    assert len(drawn) > 3
    enrolments, tests = select(
        dated, "--num-enrol-sessions", 2, "--impostor-share", 0
    )  # fmt: skip
    assert len(enrolments) == 11 and len(tests) == 20
    assert enrolments["s0"] == "s0-b-0 s0-b-1 s0-c-0 s0-c-1"


def test_sessions_are_ordered_by_day_numbers_or_names(dated):
    days = {"a": "100", "b": "20.5", "c": "3"}
    keys = read_table(dated / "session2date", 3, 2)
    write_table(dated / "session2date", {key: days[key[-1]] for key in keys})
    assert select(dated)[0]["t0"] == "t0-a-0 t0-a-1"
    assert {text[3] for spk, text in select(dated)[0].items() if spk != "t0"} == {"c"}
    (dated / "session2date").unlink()
    assert {text[3] for text in select(dated)[0].values()} == {"a"}


def test_what_makes_no_list_is_refused(dated):
    with pytest.raises(UserError, match="10 have tests, 10 of these are impostors"):
        select(dated, "--impostor-share", 1)
    keys = read_table(dated / "session2date", 3, 2)
    keys.pop("s3 b")
    write_table(dated / "session2date", keys)
    with pytest.raises(UserError, match="session2date: no line for 's3 b'"):
        select(dated)
    (dated / "session2date").unlink()
    sessions = read_table(dated / "utt2session")
    sessions.pop("s3-b-0")
    write_table(dated / "utt2session", sessions)
    with pytest.raises(UserError, match="utt2session: no line for 's3-b-0'"):
        select(dated)

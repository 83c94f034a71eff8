"""The error rate by condition: each value against a loop over the lines of the list."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT

import measure_conditions
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.evaluation import bootstrap, cllr, eer, min_dcf
from chronovox.scoring import write_scores
from chronovox.trials import Trials, read_trials, write_trials

DATES = {"v0": "1990-01-01", "v1": "1993-06-01", "v2": "2013-01-02"}
YEARS = {"v0": 0.0, "v1": 3.4, "v2": 23.0}
NATIONS = ["Fr"] * 7 + ["De"] * 4 + ["It"]
SPEAKERS = [f"s{number:02d}" for number in range(12)]


@pytest.fixture
def data(tmp_path) -> Path:
    """Twelve speakers, two utterances in each of 1990, 1993 and 2013."""
    data = tmp_path / "data" / "test"
    (data / "trials").mkdir(parents=True)
    rng = np.random.default_rng(0)
    utts = {
        f"{spk}-{session}-{number}": (spk, session)
        for spk in SPEAKERS for session in DATES for number in "ab"
    }  # fmt: skip
    birth = {spk: 20 + 3 * number for number, spk in enumerate(SPEAKERS)}
    for name, table in {
        "utt2spk": {utt: spk for utt, (spk, _) in utts.items()},
        "utt2session": {utt: session for utt, (_, session) in utts.items()},
        "utt2age": {utt: birth[spk] + YEARS[v] for utt, (spk, v) in utts.items()},
        "utt2dur": {utt: f"{rng.uniform(2, 9):.3f}" for utt in utts},
        "spk2gender": dict(zip(SPEAKERS, "fm" * 6, strict=True)),
        "spk2nationality": dict(zip(SPEAKERS, NATIONS, strict=True)),
    }.items():
        write_table(data / name, table)
    lines = [f"{spk} {v} {date}\n" for spk in SPEAKERS for v, date in DATES.items()]
    (data / "session2date").write_text("".join(lines))
    names = list(utts)
    enrol, test, is_target = [], [], []
    for row, utt in enumerate(names):
        spk = row // 6
        own = [other for other in names[6 * spk : 6 * spk + 6] if other != utt]
        others = [other for other in names if other[:3] != utt[:3]]
        enrol += [utt] * 9
        test += [*rng.choice(own, 4, False), *rng.choice(others, 5, False)]
        is_target += [True] * 4 + [False] * 5
    test = [str(name) for name in test]
    write_trials(data / "trials/random", Trials.of(enrol, test, is_target, ""))
    return data


def make_scores(
    data, backend="plda", llr=True, model="net_s1", rise=2.0, name="random"
):
    """Ratios; targets score lower by `rise` after twenty years."""
    trials = read_trials(data / "trials" / name)
    rng = np.random.default_rng(len(backend))
    scores = rng.normal(size=len(trials)) - 1.0
    for row, (enrol, test, target) in enumerate(trials.blocks(trials.is_target)):
        years = abs(YEARS[enrol[4:6]] - YEARS[test[4:6]])
        scores[row] += target * (3.0 - rise * (years > 19))
    path = data.parents[1] / "exp" / model / "scores_test" / f"{name}.{backend}"
    info = {"model": model, "seed": 1, "config": "c", "backend": backend, "marks": [],
            "llr": llr, "embeddings_sha256": "0"}  # fmt: skip
    write_scores(path, trials, scores, info)
    return path


def measure(data, *scores, draws=100, name="random") -> list[dict]:
    out = data.parents[1] / "exp/results"
    words = ["--draws", draws, data, data / "trials" / name, *scores, out]
    assert measure_conditions.main(list(map(str, words))) == 0
    return json.loads((out / "conditions.json").read_text())["rows"]


def find(rows, condition, value) -> dict:
    (row,) = (r for r in rows if (r["condition"], r["value"]) == (condition, value))
    return row


def expected_values(data) -> dict:
    """What each value of each condition holds, told by hand: (enrol, test) -> bool."""
    ages, durs = (
        {utt: float(x) for utt, x in read_table(data / name).items()}
        for name in ("utt2age", "utt2dur")
    )
    gender = read_table(data / "spk2gender")
    trials = read_trials(data / "trials/random")
    pairs = list(zip(trials.enrol, trials.test, strict=True))
    shorter = sorted(min(durs[a], durs[b]) for a, b in pairs)
    low, high = (round(float(np.quantile(shorter, q)), 2) for q in (1 / 3, 2 / 3))
    found = {
        ("gender", g): lambda a, b, g=g: gender[a[:3]] == gender[b[:3]] == g
        for g in "fm"
    }
    found["nationality", "Fr"] = lambda a, b: a[:3] <= "s06"
    bounds = [0, 30, 40, 50, 60, 200]
    names = ["under 30", "30-39", "40-49", "50-59", "60 and over"]
    for value, least, most in zip(names, bounds, bounds[1:], strict=False):
        found["age", value] = lambda a, b, x=least, y=most: x <= ages[a] < y
    for value, least, most in (
        (f"under {low:.2f} s", 0, low),
        (f"{low:.2f}-{high:.2f} s", low, high),
        (f"{high:.2f} s and over", high, 99),
    ):
        found["duration", value] = lambda a, b, x=least, y=most: (
            x <= min(durs[a], durs[b]) < y
        )
    spans = {"0-5": (0, 5), "15-20": (15, 20), "20+": (20, 99)}
    for value, (least, most) in spans.items():
        found["gap", value] = lambda a, b, x=least, y=most: (
            a[:3] != b[:3] or x <= abs(YEARS[a[4:6]] - YEARS[b[4:6]]) < y
        )
    found["session", "same"] = lambda a, b: a[:3] != b[:3] or a[4:6] == b[4:6]
    found["session", "different"] = lambda a, b: a[:3] != b[:3] or a[4:6] != b[4:6]
    return found


def repeated_eer(rows, weights) -> float:
    """The EER where each speaker is there so many times."""
    kept = {True: [], False: []}
    for enrol, test, target, score in rows:
        times = weights[enrol[:3]] * (1 if target else weights[test[:3]])
        kept[target] += [score] * times
    return eer(kept[True], kept[False]) if kept[True] and kept[False] else np.nan


def test_every_value_as_told_by_a_loop(data):
    path = make_scores(data)
    rows = measure(data, path, draws=15)
    trials = read_trials(data / "trials/random")
    scores = np.loadtxt(path, usecols=2)
    lines = list(trials.blocks(trials.is_target, scores))
    draws = bootstrap.draw_speakers(12, 15)
    all_drawn = {}
    for (condition, value), holds in expected_values(data).items():
        row = find(rows, condition, value)
        kept = [line for line in lines if holds(*line[:2])]
        target = [score for *_, label, score in kept if label]
        nontarget = [score for *_, label, score in kept if not label]
        speakers = {enrol[:3] for enrol, _, label, _ in kept if label}
        counts = len(target), len(nontarget), len(speakers)
        assert (row["n_target"], row["n_nontarget"], row["n_spk"]) == counts
        if len(speakers) < 5 or not target:
            assert row["eer"] is row["eer_lo"] is row["mindcf_0.05"] is None
            continue
        assert row["eer"] == pytest.approx(eer(target, nontarget))
        assert row["mindcf_0.05"] == pytest.approx(min_dcf(target, nontarget, 0.05))
        missed = np.mean(np.array(target) < np.log(19))
        accepted = np.mean(np.array(nontarget) >= np.log(19))
        assert row["actdcf_0.05"] == pytest.approx(missed + 19 * accepted)
        assert row["cllr"] == pytest.approx(cllr(target, nontarget))
        drawn = all_drawn[condition, value] = np.array([
            repeated_eer(kept, dict(zip(SPEAKERS, draw.tolist(), strict=True)))
            for draw in draws
        ])  # fmt: skip
        bounds = row["eer_lo"], row["eer_hi"]
        assert bounds == pytest.approx(bootstrap.interval(drawn))
    none = find(rows, "gap", "10-15")
    assert none["n_target"] == 0 and none["n_nontarget"] == 360 and none["eer"] is None
    rise = find(rows, "gap", "20+ minus 0-5")
    values = [find(rows, "gap", value)["eer"] for value in ("0-5", "20+")]
    assert rise["eer"] == pytest.approx(values[1] - values[0])
    drawn = all_drawn["gap", "20+"] - all_drawn["gap", "0-5"]
    assert (rise["eer_lo"], rise["eer_hi"]) == pytest.approx(bootstrap.interval(drawn))
    assert rise["eer_lo"] > 0 and rise["n_target"] is None


def test_what_is_counted_but_not_rated(data):
    rows = measure(data, make_scores(data))
    mixed = find(rows, "gender", "mixed")
    assert mixed["n_target"] == 0 < mixed["n_nontarget"] and mixed["eer"] is None
    few = find(rows, "nationality", "De")
    assert few["n_spk"] == 4 and few["n_target"] == 96 and few["cllr"] is None
    for name, value in (("gender", "fm"), ("nationality", "Fr De It")):
        own = [row["n_target"] for row in rows if row["condition"] == name]
        assert sum(own) == 288, value
    assert not [row for row in rows if row["value"] == "unknown"]
    listed = data / "trials/random"
    pairs = (line.split() for line in listed.read_text().splitlines())
    alike = [p for p in pairs if (int(p[0][1:3]) - int(p[1][1:3])) % 2 == 0]
    listed.write_text("".join(" ".join(pair) + "\n" for pair in alike))
    rows = measure(data, make_scores(data))
    assert not [row for row in rows if row["value"] == "mixed"]


def test_scores_that_are_no_ratios_have_no_actual_costs(data):
    rows = measure(data, make_scores(data, "cosine", llr=False))
    row = find(rows, "session", "same")
    assert row["eer"] is not None and row["mindcf_0.05"] is not None
    assert row["actdcf_0.05"] is row["cllr"] is None


def test_without_an_effect_the_rise_holds_zero(data):
    rows = measure(data, make_scores(data, rise=0.0), draws=300)
    rise = find(rows, "gap", "20+ minus 0-5")
    assert rise["eer_lo"] < 0 < rise["eer_hi"]


def test_years_by_day_numbers_and_by_ages(data):
    path = make_scores(data)
    before = measure(data, path)
    text = (data / "session2date").read_text()
    numbers = text
    for date, day in zip(DATES.values(), ("0", "1247", "8402"), strict=True):
        numbers = numbers.replace(date, day)
    (data / "session2date").write_text(numbers)
    assert measure(data, path) == before
    (data / "session2date").unlink()
    assert measure(data, path) == before
    (data / "session2date").write_text(text.replace("s00 v1 1993-06-01", "s00 v1 9"))
    with pytest.raises(UserError, match="s00 v1: ISO dates and day numbers in one ta"):
        measure(data, path)
    (data / "session2date").write_text(text.replace("s00 v0 1990-01", "s00 v0 1990-13"))
    with pytest.raises(
        UserError, match="session2date: s00 v0: there is no day 1990-13"
    ):
        measure(data, path)


def test_missing_tables_are_named_in_one_line(data, caplog):
    path = make_scores(data)
    for name in ("spk2nationality", "session2date", "utt2age", "utt2dur"):
        (data / name).unlink()
    rows = measure(data, path)
    assert {row["condition"] for row in rows} == {"gender", "session"}
    (said,) = (r.getMessage() for r in caplog.records if r.levelname == "WARNING")
    assert said == (
        f"{data} has no table for: nationality (spk2nationality); gap (session2date "
        "with utt2session, or utt2age); age (utt2age); duration (utt2dur)"
    )
    for name in ("spk2gender", "utt2session"):
        (data / name).unlink()
    assert measure(data, path) == []  # and what was there is gone
    assert "no table of any condition: nothing to measure" in caplog.text


def test_what_a_table_lacks_is_counted_as_unknown(data):
    path = make_scores(data)
    trials = read_trials(data / "trials/random")
    lines = list(trials.blocks(trials.is_target))
    for name, gone in {
        "spk2gender": "s00", "spk2nationality": "s00", "utt2age": "s01-v0-a",
        "utt2dur": "s02-v1-b", "utt2session": "s03-v2-a",
    }.items():  # fmt: skip
        table = read_table(data / name)
        del table[gone]
        write_table(data / name, table)
    rows = measure(data, path)
    for condition, holds in {
        "gender": lambda a, b: "s00" in (a[:3], b[:3]),
        "nationality": lambda a, b: a[:3] == "s00",
        "age": lambda a, b: a == "s01-v0-a",
        "duration": lambda a, b: "s02-v1-b" in (a, b),
        "gap": lambda a, b: "s03-v2-a" in (a, b) or a[:3] != b[:3],
        "session": lambda a, b: "s03-v2-a" in (a, b) or a[:3] != b[:3],
    }.items():
        kinds = [label for a, b, label in lines if holds(a, b)]
        row = find(rows, condition, "unknown")
        assert row["n_target"] == sum(kinds) > 0, condition
        assert row["n_nontarget"] == len(kinds) - sum(kinds), condition
        assert row["eer"] is None
        assert list(row) == list(rows[0])
    for name in "spk2gender", "utt2age":  # of nobody that is in the list
        (data / name).write_text("other 30\n")
    rows = measure(data, path)
    for condition in "gender", "age":
        row = find(rows, condition, "unknown")
        assert (row["n_target"], row["n_spk"], row["eer"]) == (288, 12, None)


def test_enrolments_of_several_utterances(data):
    """Means of days and ages, the sum of durations, all of the sessions."""
    several = {f"e-{spk}": f"{spk}-v0-a {spk}-v1-a" for spk in SPEAKERS}
    write_table(data / "enrolments", several)
    write_table(data / "utt2dur", {utt: "3.0" for utt in read_table(data / "utt2spk")})
    enrol = [name for name in several for _ in range(3)]
    test, is_target = [], []
    for number, spk in enumerate(SPEAKERS):
        test += [f"{spk}-v1-b", f"{spk}-v2-b", f"{SPEAKERS[number - 1]}-v2-a"]
        is_target += [True, True, False]
    trials = Trials.of(enrol, test, is_target, "")
    write_trials(data / "trials/some", trials)
    rows = measure(data, make_scores_of(data, "some"), name="some")
    assert find(rows, "session", "same")["n_target"] == 12
    assert find(rows, "session", "different")["n_target"] == 12
    # 1.7 years before 1993; 21.3 years after it.
    assert find(rows, "gap", "0-5")["n_target"] == 12
    assert find(rows, "gap", "20+")["n_target"] == 12
    # 20 + 3 n years at the first, 1.7 more on average: under 30 for n = 0, 1, 2.
    assert find(rows, "age", "under 30")["n_spk"] == 3
    assert find(rows, "duration", "3.00 s and over")["n_target"] == 24


def test_a_session_that_is_of_both_sides_in_part_is_another(data):
    table = {f"e-{spk}": f"{spk}-v0-b {spk}-v1-b" for spk in SPEAKERS}
    table |= {f"f-{spk}": f"{spk}-v0-b {spk}-v0-a" for spk in SPEAKERS}
    write_table(data / "enrolments", table)
    enrol = [f"{spk}-v0-a" for spk in SPEAKERS for _ in range(2)]
    test = [f"{side}-{spk}" for spk in SPEAKERS for side in "ef"]
    enrol += enrol
    test += test[2:] + test[:2]
    trials = Trials.of(enrol, test, np.arange(48) < 24, "")
    write_trials(data / "trials/some", trials)
    rows = measure(data, make_scores_of(data, "some"), name="some")
    for value in ("same", "different"):
        assert find(rows, "session", value)["n_target"] == 12


def make_scores_of(data, name) -> Path:
    trials = read_trials(data / "trials" / name)
    path = data.parents[1] / "exp/x/scores_test" / f"{name}.cosine"
    info = {"model": "x", "seed": None, "config": "-", "backend": "cosine",
            "marks": ["speaker-overlap"], "llr": False,
            "embeddings_sha256": "0"}  # fmt: skip
    scores = np.random.default_rng(1).normal(size=len(trials)) + trials.is_target
    write_scores(path, trials, scores, info)
    return path


def test_rows_are_replaced_by_system_and_list(data):
    first, second = make_scores(data), make_scores(data, "cosine", llr=False)
    one = measure(data, first)
    both = measure(data, second)
    assert both[len(both) - len(one) :] == one  # cosine stands before plda
    assert measure(data, first, second) == both
    table = read_table(data / "spk2nationality")
    write_table(data / "spk2nationality", dict.fromkeys(table, "Fr"))
    rows = measure(data, first)
    assert len(rows) == len(both) - 2
    with pytest.raises(UserError, match="another of the score files is of the same sy"):
        measure(data, first, first)


def test_the_tables_for_people(data, capsys):
    rows = measure(data, make_scores(data))
    said = capsys.readouterr().out
    assert said.startswith("net_s1, plda: test, trials random\n")
    row = find(rows, "gap", "20+")
    for line in said.splitlines():
        words = line.split()
        if words and words[0] == "20+" and words[1] != "minus":
            assert words[1:4] == [
                str(row[n]) for n in ("n_target", "n_nontarget", "n_spk")
            ]
            assert words[4] == f"{100 * row['eer']:.2f}"
            assert words[-1] == f"{row['cllr']:.3f}"
    header, *lines = (
        (data.parents[1] / "exp/results/conditions.tsv").read_text().splitlines()
    )
    assert header.replace("\t", " ").startswith(
        "model data trials backend seed condition value n_target n_nontarget n_spk "
        "eer eer_lo eer_hi mindcf_0.05"
    )
    cells = dict(zip(header.split("\t"), lines[len(rows) - 1].split("\t"), strict=True))
    assert cells["eer"] == f"{100 * rows[-1]['eer']:.3f}"
    assert measure_conditions.main(list(map(str, [
        data, data / "trials/random", make_scores_of(data, "random"),
        data.parents[1] / "exp/results",
    ]))) == 0  # fmt: skip
    assert "x, cosine (marked: speaker-overlap): test" in capsys.readouterr().out


def test_two_processes_at_once_lose_nothing(data):
    paths = [make_scores(data, model=f"net{number}") for number in range(4)]
    out = data.parents[1] / "exp/results"
    running = [
        subprocess.Popen(
            [sys.executable, ROOT / "steps/measure_conditions.py", "--draws", "5", data,
             data / "trials/random", *half, out],
            env={**os.environ, "PYTHONPATH": str(ROOT / "steps")},
            stdout=subprocess.DEVNULL,
        )
        for half in (paths[:2], paths[2:])
    ]  # fmt: skip
    assert [process.wait() for process in running] == [0, 0]
    rows = json.loads((out / "conditions.json").read_text())["rows"]
    models = [row["model"] for row in rows]
    assert models == sorted(models)
    assert {models.count(f"net{number}") for number in range(4)} == {len(rows) // 4}


def test_bad_input_is_named(data):
    path = make_scores(data)
    out = data.parents[1] / "exp/results"
    out.mkdir(parents=True)
    for text in ("{", "[]", '{"rows": [{}]}', '{"rows": [1]}'):
        (out / "conditions.json").write_text(text)
        with pytest.raises(UserError, match="conditions.json: damaged .*measure again"):
            measure(data, path)
    listed = data / "trials/random"
    listed.write_text("".join(reversed(listed.read_text().splitlines(keepends=True))))
    with pytest.raises(UserError, match="are of another version of .*random: score ag"):
        measure(data, path)

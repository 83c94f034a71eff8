"""How long an enrolment lasts: loops over repeated trials, worlds of known laws."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from scipy.optimize import brentq
from scipy.stats import norm

import measure_lifetime
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.evaluation import bootstrap, cllr, lifetime
from chronovox.evaluation.metrics import SortedTrials
from chronovox.scoring import write_scores
from chronovox.trials import Trials, read_trials, write_trials

EDGES = (0, 2, 5, 10, 15, 20)


def make_list(folder: Path, prefix: str, num_speakers: int, years, per_speaker: int,
              num_nontargets: int, seed=0) -> None:  # fmt: skip
    """Speakers with an enrolment in year 0 and tests in `years`, dated by days."""
    rng = np.random.default_rng(seed)
    utt2spk, utt2session, dates = {}, {}, []
    for number in range(num_speakers):
        spk = f"{prefix}{number:03d}"
        for row, year in enumerate((0.0, *years)):
            session = f"v{row:03d}"
            dates.append(f"{spk} {session} {365.25 * year:.4f}\n")
            for utt in range(1 if row == 0 else per_speaker):
                name = f"{spk}-{session}-{utt:02d}"
                utt2spk[name], utt2session[name] = spk, session
    (folder / "trials").mkdir(parents=True)
    write_table(folder / "utt2spk", utt2spk)
    write_table(folder / "utt2session", utt2session)
    (folder / "session2date").write_text("".join(sorted(dates)))
    tests = [utt for utt in utt2spk if "-v000-" not in utt]
    enrol = [f"{utt2spk[utt]}-v000-00" for utt in tests]
    is_target = [True] * len(tests)
    others = [
        (f"{prefix}{number:03d}-v000-00", utt)
        for number in range(num_speakers)
        for utt in tests
        if utt2spk[utt] != f"{prefix}{number:03d}"
    ]
    chosen = rng.choice(len(others), num_nontargets, replace=False)
    enrol += [others[row][0] for row in chosen]
    test = [*tests, *(others[row][1] for row in chosen)]
    is_target += [False] * num_nontargets
    write_trials(folder / "trials/list", Trials.of(enrol, test, is_target, ""))


def years_of(data: Path, trials: Trials) -> np.ndarray:
    session = read_table(data / "utt2session")
    rows = (line.split() for line in (data / "session2date").read_text().splitlines())
    day = {(spk, name): float(number) for spk, name, number in rows}
    days = [
        (day[a[:4], session[a]], day[b[:4], session[b]])
        for a, b in zip(trials.enrol, trials.test, strict=True)
    ]
    return np.abs(np.diff(days, axis=1)[:, 0]) / 365.25


def make_scores(data: Path, mean, slope, spread=0.0, backend="plda", llr=True,
                model="net_s1", seed=1, decimals=9, **more) -> Path:  # fmt: skip
    """Non-targets N(0, 1), targets N(mean - slope years, 1), speakers apart."""
    trials = read_trials(data / "trials/list")
    rng = np.random.default_rng([seed, len(trials)])
    speakers = np.array([int(key[1:4]) for key in trials.enrol])
    offset = spread * rng.normal(size=speakers.max() + 1)[speakers]
    level = mean - slope * years_of(data, trials) + offset
    scores = rng.normal(size=len(trials)) + np.where(trials.is_target, level, 0.0)
    path = data.parents[1] / "exp" / model / f"scores_{data.name}" / f"list.{backend}"
    info = {"model": model, "seed": 1, "config": "c", "backend": backend, "marks": [],
            "llr": llr, "embeddings_sha256": "0"} | more  # fmt: skip
    write_scores(path, trials, scores.round(decimals), info)
    return path


def call(tmp_path, dev, test, *options) -> list[dict]:
    data, out = tmp_path / "data", tmp_path / "exp/results"
    words = [*options]
    for name, scores in ("dev", dev), ("test", test):
        words += [data / name, data / name / "trials/list", scores]
    assert measure_lifetime.main(list(map(str, [*words, out]))) == 0
    return json.loads((out / "lifetime.json").read_text())["rows"]


@pytest.fixture
def world(tmp_path):
    """Ten test speakers, 1, 3, 7, 12 and 25 years after; 1,500 development scores."""
    make_list(tmp_path / "data/dev", "d", 20, [1.0], 4, 1500)
    make_list(tmp_path / "data/test", "t", 10, [1.0, 3.0, 7.0, 12.0, 25.0], 6, 200)
    return tmp_path


def scores_of(world, **how):
    return [
        make_scores(world / "data" / name, 3.0, 0.12, spread=0.6, **how)
        for name in ("dev", "test")
    ]


# Thresholds


@pytest.mark.parametrize("number", [100, 199, 200, 700, 2900, 3001])
def test_the_threshold_is_the_lowest_that_keeps_the_rate(number):
    rng = np.random.default_rng(number)
    for scores in (rng.normal(size=number), rng.integers(0, 40, number) / 4):
        found = lifetime.thresholds(scores)
        for rate, one_in in {"0.01": 100, "0.001": 1000}.items():
            if number < one_in:
                assert np.isnan(found[rate])
                continue
            kept = [t for t in scores if one_in * (scores > t).sum() <= number]
            assert found[rate] == min(kept)
            assert one_in * (scores >= found[rate]).sum() > number


def test_too_few_nontargets(world, caplog):
    dev = world / "data/dev/trials/list"
    lines = dev.read_text().splitlines(keepends=True)
    kinds = {
        kind: [line for line in lines if line.split()[2] == kind]
        for kind in ("target", "nontarget")
    }
    dev.write_text("".join(kinds["target"] + kinds["nontarget"][:999]))
    (row,) = call(world, *scores_of(world))
    assert row["thresholds"]["0.001"] is row["doubling"]["0.001"] is None
    assert row["far"]["0.001"] == row["bins"][0]["frr_0.001"] == [None] * 3
    assert None not in row["bins"][0]["frr_0.01"]
    said = [record.getMessage() for record in caplog.records]
    assert f"{dev}: 999 non-targets: no threshold for 0.001: it takes 1000" in said
    assert f"{dev}: 999 non-targets: that for 0.01 rests on 9 false alarms" in said
    for few in (99, 1):
        dev.write_text("".join(kinds["target"] + kinds["nontarget"][:few]))
        assert call(world, *scores_of(world)) == []  # and what was there is gone
        assert f"{few} non-targets: too few to fix a threshold" in caplog.text
    for kind, other in ("target", "non-target"), ("nontarget", "target"):
        dev.write_text("".join(kinds[kind]))
        with pytest.raises(UserError, match=f"list: there is no {other} trial"):
            call(world, *scores_of(world))


# Against loops


def test_a_nontarget_counts_as_often_as_both_its_speakers():
    draws = np.array([[1, 1, 1], [2, 0, 1], [3, 2, 1]])
    enrol, test = np.array([0, 1, 2, 0]), np.array([1, 2, 0, 2])
    column = np.array([0.1, 0.7, 0.4, 1.0])
    found = lifetime.nontarget_means(draws, enrol, test, [column])[:, 0]
    weights = draws[:, enrol] * draws[:, test]
    assert found == pytest.approx((weights * column).sum(1) / weights.sum(1))


def test_costs_are_against_nontargets_of_any_time(world):
    scores, table = scores_of(world), world / "data/test/session2date"
    (before,) = call(world, *scores)
    lines = table.read_text().splitlines(True)
    table.write_text("".join(line for line in lines if " v005 " not in line))
    (after,) = call(world, *scores)
    assert after["bins"][0] == before["bins"][0]
    assert after["bins"][0]["cllr_loss"] and after["bins"][5]["n_target"] == 0


def doubling_by_hand(points) -> float:
    """points: (center, rate), by walking from one to the next."""
    points = [(center, rate) for center, rate in points if not np.isnan(rate)]
    goal = 2 * points[0][1]
    for (x, before), (y, after) in zip(points, points[1:], strict=False):
        if after >= goal and after > 0:
            return x + (y - x) * (goal - before) / (after - before)
    return np.inf


def measures_by_hand(lines, fixed, unit_score, edges) -> dict:
    """Of lines (years, is target, score), repeated as often as they count."""
    found, points = {}, {rate: [] for rate in fixed}
    nontargets = np.array([score for _, target, score in lines if not target])
    for rate, limit in fixed.items():
        found["far", rate] = np.mean(nontargets > limit)
    first = None
    for place, (low, high) in enumerate(zip(edges, [*edges[1:], 99], strict=True)):
        own = [(y, s) for y, target, s in lines if target and low <= y < high]
        years, scores = np.array(own).reshape(-1, 2).T
        if place == 0:
            first = scores.mean()
        if not len(scores):
            continue
        found[place, "shift"] = (scores.mean() - first) / unit_score
        for rate, limit in fixed.items():
            found[place, f"frr_{rate}"] = np.mean(scores <= limit)
            points[rate].append((years.mean(), np.mean(scores <= limit)))
        for prior in (0.01, 0.05):
            at = np.log(1 / prior - 1)
            missed, accepted = np.mean(scores < at), np.mean(nontargets >= at)
            cost = prior * missed + (1 - prior) * accepted
            found[place, f"actdcf_{prior}"] = cost / prior
        both = np.concatenate([scores, nontargets])
        curve = SortedTrials(both, np.arange(len(both)) < len(scores)).curve()
        found[place, "cllr_loss"] = cllr(scores, nontargets) - curve.min_cllr()
    for rate, where in points.items():
        found["doubling", rate] = doubling_by_hand(where)
    return found


def test_everything_as_told_by_repeated_trials(world):
    num_draws, edges = 25, (0, 2, 5, 10, 20)
    dev, test = scores_of(world, decimals=1)  # ties
    options = ["--draws", num_draws, "--bins", " ".join(map(str, edges))]
    (row,) = call(world, dev, test, *options)
    listed = read_trials(world / "data/dev/trials/list")
    other = np.loadtxt(dev, usecols=2)[~listed.is_target]
    assert row["thresholds"] == lifetime.thresholds(other)
    trials = read_trials(world / "data/test/trials/list")
    years = years_of(world / "data/test", trials)
    lines = list(zip(years, trials.is_target, np.loadtxt(test, usecols=2), strict=True))
    people = trials.speakers({key: key[:4] for key in trials.keys}, "")
    draws = bootstrap.draw_speakers(10, num_draws)
    found = []
    for draw in [np.ones(10, int), *draws]:
        times = draw[people.enrol] * np.where(trials.is_target, 1, draw[people.test])
        many = [line for line, n in zip(lines, times, strict=True) for _ in range(n)]
        found.append(measures_by_hand(many, row["thresholds"], other.std(), edges))
    got = {("far", rate): row["far"][rate] for rate in ("0.01", "0.001")}
    for place, one in enumerate(row["bins"]):
        got |= {(place, name): one[name] for name in lifetime.RATES}
        inside = trials.is_target & (
            np.searchsorted(edges, years, "right") == place + 1
        )
        assert one["n_target"] == inside.sum() == 60 and one["n_spk"] == 10
        assert one["center"] == pytest.approx(years[inside].mean())
        assert (one["low"], one["high"]) == (edges[place], [*edges[1:], None][place])
    assert set(got) == {name for name in found[0] if name[0] != "doubling"}
    for name, (value, *bounds) in got.items():
        assert value == pytest.approx(found[0][name]), name
        drawn = np.array([one[name] for one in found[1:]])
        assert bounds == pytest.approx(bootstrap.interval(drawn)), name
    for rate in ("0.01", "0.001"):
        value, low, high = row["doubling"][rate]
        times = sorted(one["doubling", rate] for one in found[1:])
        ends = found[0]["doubling", rate], times[0], times[-1]  # 0.025 x 24 is below 1
        for got, wanted in zip((value, low, high), ends, strict=True):
            assert got == (pytest.approx(wanted) if np.isfinite(wanted) else None)


@pytest.mark.parametrize(
    ("rates", "expected"),
    [
        ([0.1, 0.15, 0.25], 4.0),  # from 0.15 in year 3 to 0.25 in 5
        ([0.1, 0.2, 0.1], 3.0),
        ([0.1, 0.3, 0.2], 2.0),
        ([0.1, 0.05, 0.19], np.inf),
        ([0.1, np.nan, 0.3], 3.0),
        ([0.0, 0.0, 0.1], 3.0),
        ([0.0, 0.0, 0.0], np.inf),
        ([np.nan, 0.1, 0.2], np.nan),
    ],
)
def test_doubling_by_hand(rates, expected):
    found = lifetime.doubling_time(np.array([1.0, 3.0, 5.0]), np.array(rates))
    assert found == pytest.approx(expected, nan_ok=True)


def test_draws_that_never_double_count_as_later_than_all_others():
    centers = np.repeat([[1.0], [5.0]], 41, axis=1)
    last = np.linspace(0.2, 0.6, 40)
    last[30:] = 0.1
    rates = np.stack([np.full(41, 0.1), [0.3, *last]])
    value, low, high = lifetime.doubling(centers, rates)
    assert value == pytest.approx(3.0) and high is None
    assert 1.0 < low < 3.0
    rates[1, 0] = 0.15
    value, again, high = lifetime.doubling(centers, rates)
    assert (value, again, high) == (None, low, None)
    rates[0, 0] = 0.0
    assert lifetime.doubling(centers, rates) is None
    rates[:, 1:] = np.nan
    rates[:, 0] = 0.1, 0.3
    assert lifetime.doubling(centers, rates) == [pytest.approx(3.0), None, None]


# Worlds that are known


def make_known(tmp_path, slope):
    """A miss rate of Phi(threshold - 4 + slope x years) at one in a hundred."""
    make_list(tmp_path / "data/dev", "d", 40, [1.0], 20, 20000)
    years = [*np.arange(0.5, 2), *np.arange(2.5, 5), *np.arange(5.5, 24, 1.5)]
    make_list(tmp_path / "data/test", "t", 60, years, 4, 4000)
    found = [
        make_scores(tmp_path / f"data/{name}", 4.0, slope, spread=0.0)
        for name in ("dev", "test")
    ]
    return found, np.array(years)


def test_a_law_is_found_again(tmp_path):
    slope = 0.08
    scores, years = make_known(tmp_path, slope)
    (row,) = call(tmp_path, *scores)
    for rate in (0.01, 0.001):
        threshold = norm.isf(rate)
        assert row["thresholds"][f"{rate}"] == pytest.approx(threshold, abs=0.15)

        def missed(year, threshold=threshold):
            return norm.cdf(threshold - 4.0 + slope * year)

        truth = []
        for one in row["bins"]:
            own = years[(years >= one["low"]) & (years < (one["high"] or 99))]
            value, low, high = one[f"frr_{rate}"]
            truth.append(missed(own).mean())
            assert low <= value <= high
            assert value == pytest.approx(truth[-1], rel=0.25)
            shift = -slope * (own.mean() - years[:2].mean())
            assert one["shift"][0] == pytest.approx(shift, abs=0.2)
        time = brentq(lambda year: missed(year) - 2 * truth[0], 0, 40)  # noqa: B023
        value, low, high = row["doubling"][f"{rate}"]
        assert low < time < high
        assert value == pytest.approx(time, rel=0.25)
        assert row["far"][f"{rate}"][0] == pytest.approx(rate, rel=0.5)


def test_without_ageing_nothing_doubles(tmp_path):
    scores, _ = make_known(tmp_path, 0.0)
    holds = []
    for seed in range(12):
        test = make_scores(tmp_path / "data/test", 4.0, 0.0, seed=seed, llr=False)
        (row,) = call(tmp_path, scores[0], test, "--draws", 200)
        assert row["bins"][0]["shift"] == [0.0, 0.0, 0.0]
        shifts = [one["shift"] for one in row["bins"][1:]]
        holds += [low <= 0 <= high for _, low, high in shifts]
        for rate in ("0.01", "0.001"):
            value, _, high = row["doubling"][rate]
            assert value is high is None
    assert len(holds) == 60 and np.mean(holds) > 0.8


def test_ratios_alone_have_costs(world):
    (row,) = call(world, *scores_of(world, backend="cosine", llr=False))
    assert {row["bins"][0][name] for name in lifetime.LLR_COSTS} == {None}


# Times


def test_years_by_dates_by_ages_and_days(world, caplog):
    scores, data = scores_of(world), world / "data/test"
    (by_days,) = call(world, *scores)
    session = read_table(data / "utt2session")
    numbers = dict(zip(("v000", "v001", "v002", "v003", "v004", "v005"),
                       (0, 1, 3, 7, 12, 25), strict=True))  # fmt: skip
    ages = {utt: 40 + numbers[name] for utt, name in session.items()}
    write_table(data / "utt2age", ages)
    dates = (data / "session2date").read_text()
    (data / "session2date").unlink()
    (by_ages,) = call(world, *scores)
    for one, other in zip(by_days["bins"], by_ages["bins"], strict=True):
        assert other.pop("center") == pytest.approx(one.pop("center"))
        assert other == one
    rows = call(world, *scores, "--unit", "days")
    assert [row["unit"] for row in rows] == ["years"]
    assert "no time is known: add session2date and utt2session" in caplog.text
    (data / "session2date").write_text(dates)
    rows = call(world, *scores, "--unit", "days", "--bins", "0 1000 4000")
    assert [row["unit"] for row in rows] == ["days", "years"]
    assert [one["n_target"] for one in rows[0]["bins"]] == [60, 120, 120]
    assert rows[0]["bins"][1]["center"] == pytest.approx(5 * 365.25)
    kept = [line for line in dates.splitlines(True) if not line.startswith("t000 v005")]
    (data / "session2date").write_text("".join(kept))
    row = call(world, *scores)[1]
    assert row["bins"][5]["n_target"] == 54 and row["bins"][5]["n_spk"] == 9
    assert "6 of 300 targets have no time between their sides" in caplog.text


def test_a_bin_of_few_speakers_has_no_rates(world, caplog):
    data = world / "data/test/session2date"
    lines = data.read_text().splitlines()
    # Only t000 to t003 have anything before three years.
    moved = [
        line if line[:4] < "t004" or " v001 " not in line else f"{line[:9]} 8000"
        for line in lines
    ]
    data.write_text("".join(f"{line}\n" for line in moved))
    (row,) = call(world, *scores_of(world))
    first, second = row["bins"][:2]
    assert (first["n_spk"], first["n_target"]) == (4, 24) and first[
        "center"
    ] is not None
    assert first["frr_0.01"] == first["shift"] == [None] * 3
    assert first["cllr_loss"] is None
    assert second["shift"] == [0.0, 0.0, 0.0]
    assert row["bins"][4]["n_target"] == 0 and row["bins"][4]["center"] is None
    assert row["doubling"]["0.01"][0] is None or row["doubling"]["0.01"][0] > 3
    assert call(world, *scores_of(world), "--bins", "40 50") == []
    assert "no bin has targets of 5 speakers: choose other --bins" in caplog.text


# Refusals and the tables


def test_shared_speakers_and_other_systems_are_refused(world):
    dev, test = scores_of(world)
    for how, message in (
        ({"backend": "cosine"}, "backend plda, but cosine in"),
        ({"model": "net_s2"}, "model net_s1, but net_s2 in"),
        ({"config": "d"}, "config c, but d in"),
    ):
        other = make_scores(world / "data/test", 3.0, 0.12, **how)
        with pytest.raises(UserError, match=f"list.plda: {message} .*: give scores of"):
            call(world, dev, other)
    make_scores(world / "data/test", 3.0, 0.12)
    with pytest.raises(
        UserError, match="10 speakers of .* are in .*, too, such as t000"
    ):
        words = [world / "data/test", world / "data/test/trials/list", test]
        measure_lifetime.main(list(map(str, [*words, *words, world / "exp/results"])))
    for bad in ("", "0 0", "5 2", "-1 2", "0 x", "0 inf", "0 nan"):
        with pytest.raises(SystemExit):
            call(world, dev, test, "--bins", bad)
    assert not (world / "exp/results").exists()


def test_marks_are_those_of_both_score_files(world):
    """But that dev has the list of the calibration is as it should be."""
    own = "calibration-list"
    dev = make_scores(world / "data/dev", 3.0, 0.12, marks=[own, "training-unknown"])
    for marks in (["speaker-overlap"], [own]):
        test = make_scores(world / "data/test", 3.0, 0.12, marks=marks)
        (row,) = call(world, dev, test, "--draws", 5)
        assert row["marks"] == [*marks, "training-unknown"]


def test_rows_are_replaced_by_system_list_and_unit(world):
    first, second = scores_of(world), scores_of(world, backend="cosine", llr=False)
    one = call(world, *first)
    both = call(world, *second)
    assert [row["backend"] for row in both] == ["cosine", "plda"] and both[1:] == one
    assert call(world, *first) == both
    fewer = call(world, *first, "--bins", "0 10")
    assert [len(row["bins"]) for row in fewer] == [6, 2]
    out = world / "exp/results"
    (out / "lifetime.json").write_text('{"rows": [{"model": 1}]}')
    with pytest.raises(UserError, match="lifetime.json: damaged .*measure again"):
        call(world, *first)


def test_the_tables_for_people(world, capsys):
    (row,) = call(world, *scores_of(world, marks=["speaker-overlap"]))
    said = capsys.readouterr().out
    assert said.startswith(
        "net_s1, plda (marked: speaker-overlap): test, trials list, "
    )
    text = (world / "exp/results/lifetime.tsv").read_text().splitlines()
    rows = [
        dict(zip(text[0].split("\t"), x.split("\t"), strict=True)) for x in text[1:]
    ]
    for one, cells, line in zip(row["bins"], rows, said.splitlines()[2:8], strict=True):
        assert (cells["dev_trials"], cells["n_target"]) == (
            "dev/list",
            str(one["n_target"]),
        )
        value, low, _ = one["frr_0.01"]
        if value is None:
            assert cells["frr_0.01"] == cells["actdcf_0.05_hi"] == "-"
            continue
        assert cells["frr_0.01"] == f"{100 * value:.3f}"
        assert cells["frr_0.01_lo"] == f"{100 * low:.3f}"
        assert cells["shift_hi"] == f"{one['shift'][2]:.4f}"
        assert cells["cllr_loss"] == f"{one['cllr_loss'][0]:.4f}"
        assert f" {100 * value:.2f} " in line
    assert "at 0.1 %: false alarms of this list" in said


def test_two_processes_at_once_lose_nothing(world):
    systems = [scores_of(world, model=f"net{number}") for number in range(4)]
    data, out = world / "data", world / "exp/results"
    lists = {
        name: [data / name, data / name / "trials/list"] for name in ("dev", "test")
    }
    running = [
        subprocess.Popen(
            [sys.executable, ROOT / "steps/measure_lifetime.py", "--draws", "5",
             *lists["dev"], dev, *lists["test"], test, out],
            env={**os.environ, "PYTHONPATH": str(ROOT / "steps")},
            stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
        )
        for dev, test in systems
    ]  # fmt: skip
    assert [process.wait() for process in running] == [0] * 4
    rows = json.loads((out / "lifetime.json").read_text())["rows"]
    assert [row["model"] for row in rows] == [f"net{number}" for number in range(4)]

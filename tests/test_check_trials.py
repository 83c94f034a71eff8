"""check_trials: what is wrong with a list, its numbers, what metadata tell of it."""

import os
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trials import (
    ROOT,
    allowed,
    make_data,
    make_pool,
    rows_of,
    rules,
    run,
    worlds,
    write_text,
)

import check_trials
import select_trials
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.trials import Trials
from chronovox.trials.allowance import Allowance
from chronovox.trials.checking import Check
from chronovox.trials.statistics import describe

RULES = sorted((ROOT / "conf/trials").glob("*.yaml"))
CROSS_AGE = ROOT / "conf/trials/Vox-CA10.yaml"


@pytest.fixture(scope="module")
def data(tmp_path_factory):
    """32 speakers in groups of 8, eight videos each: spk00 over 35 years, spk31 over 3,
    others over 10 to 35."""
    data = make_data(tmp_path_factory.mktemp("check") / "data", 32, 8, 2)
    rng = np.random.default_rng(0)
    ages = {}
    for number in range(32):
        spk, reach = f"spk{number:02d}", rng.uniform(10, 35)
        years = rng.uniform(20, 45) + reach * rng.random(8)
        if spk == "spk00":
            years = 20 + 5 * np.arange(8)
        if spk == "spk31":
            years = np.where(np.arange(8) > 0, 33, 30)
        for session, age in enumerate(years):
            ages |= {f"{spk}-{session}-{utt}": f"{age:.3f}" for utt in range(2)}
    write_table(data / "utt2age", ages)
    write_table(data / "utt2dur", {utt: rng.uniform(4, 20) for utt in ages})
    return data


@pytest.fixture
def quick(monkeypatch):
    """No audit."""
    monkeypatch.setattr(check_trials, "auc", lambda *_: 0.5)


def check(data, path, rules_path=CROSS_AGE) -> int:
    return check_trials.main(["--rules", str(rules_path), str(data), str(path)])


def select(data, path, rules_path=CROSS_AGE):
    select_trials.main(["--rules", str(rules_path), str(data), str(path)])
    return path


@pytest.mark.parametrize("rules_path", RULES, ids=lambda path: path.stem)
def test_every_shipped_list_obeys_its_rules(data, tmp_path, quick, capsys, rules_path):
    assert check(data, select(data, tmp_path / "list", rules_path), rules_path) == 0
    printed = capsys.readouterr().out
    numbers = dict(line.rsplit(" ", 1) for line in printed.splitlines())
    per_target = 5 if rules_path.stem == "calibration" else 1
    assert int(numbers["non-targets"]) == per_target * int(numbers["targets"])
    assert int(numbers["targets"]) > 0


@pytest.mark.parametrize("name", ["Vox-CA10-matched", "match-CA10"])
def test_lists_by_age_are_the_same_bytes_whatever_the_hash_seed(data, tmp_path, name):
    written = set()
    for hash_seed in ("0", "12345"):
        out = tmp_path / hash_seed / "list"
        subprocess.run(
            [sys.executable, ROOT / "steps/select_trials.py", "--seed", "3",
             "--rules", ROOT / f"conf/trials/{name}.yaml", data, out],
            env={**os.environ, "PYTHONHASHSEED": hash_seed,
                 "PYTHONPATH": str(ROOT / "steps")},
            check=True, capture_output=True,
        )  # fmt: skip
        written.add(out.read_bytes() + out.with_name("list.shortages").read_bytes())
    assert len(written) == 1


def flip_first(lines):
    return [lines[0].replace(" target", " nontarget"), *lines[1:]]


def turn_first(lines):
    enrol, test, label = lines[0].split()
    return [*lines, f"{test} {enrol} {label}"]


def change_test(utt):
    return lambda lines: [f"{lines[0].split()[0]} {utt} {lines[0].split()[2]}",
                          *lines[1:]]  # fmt: skip


DAMAGE = {
    "label": (flip_first, ":1: labelled nontarget, but the utterances are of one"),
    "self": (
        lambda lines: [f"{lines[0].split()[0]} {lines[0].split()[0]} target",
                       *lines[1:]],
        ":1: an utterance compared with itself",
    ),
    "both orders": (turn_first, ": the pair stands in line 1 already"),
    "one less": (
        lambda lines: lines[1:],
        ":1: spk00-0-0 has 1 target trials, not 2, and no shortage is listed",
    ),
    "none": (
        lambda lines: [line for line in lines if not line.startswith("spk00-0-0 ")],
        "list: spk00-0-0 enrols in no trial, and no shortage is listed",
    ),
    "gap": (change_test("spk00-0-1"), ":1: no target by the rules: one session, ages"),
    "traits": (
        lambda lines: [*lines, "spk00-0-0 spk01-0-0 nontarget"],
        ": the speakers do not share gender and nationality",
    ),
    "who enrols": (
        lambda lines: [*lines, "spk31-0-0 spk27-0-0 nontarget"],
        ": may not enrol: the ages of its speaker span 3.00 years",
    ),
}  # fmt: skip


@pytest.fixture(scope="module")
def cross_age(data, tmp_path_factory):
    return select(data, tmp_path_factory.mktemp("cross_age") / "list")


@pytest.mark.parametrize("kind", DAMAGE)
def test_what_breaks_a_rule_is_told_by_line(data, cross_age, quick, capsys, kind):
    good = cross_age.read_text()
    change, message = DAMAGE[kind]
    try:
        write_text(cross_age, "\n".join(change(good.splitlines())) + "\n")
        assert check(data, cross_age) == 1
    finally:
        write_text(cross_age, good)
    printed = capsys.readouterr().out
    assert message in printed
    lines = [line.split(":")[1] for line in printed.splitlines() if "list:" in line]
    numbers = [int(line) for line in lines if line.isdecimal()]
    assert numbers == sorted(numbers)


def test_a_pair_of_a_matched_list_that_is_no_match_is_told(
    data, tmp_path, quick, capsys
):
    rules_path = CROSS_AGE.with_name("Vox-CA10-matched.yaml")
    path = select(data, tmp_path / "list", rules_path)
    ages = read_table(data / "utt2age")
    lines = path.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if line.endswith("nontarget"))
    enrol, test, _ = lines[number].split()
    far = max(ages, key=lambda utt: abs(float(ages[utt]) - float(ages[test])))
    lines[number] = f"{enrol} {far} nontarget"
    write_text(path, "\n".join(lines) + "\n")
    assert check(data, path, rules_path) == 1
    assert "ages of non-targets are up to " in capsys.readouterr().out
    near = min(
        set(ages) - {enrol}, key=lambda u: abs(float(ages[u]) - float(ages[enrol]))
    )
    lines[number] = f"{enrol} {near} nontarget"
    write_text(path, "\n".join(lines) + "\n")
    assert check(data, path, rules_path) == 1
    assert f"list:{number + 1}: no target may be 0." in capsys.readouterr().out


def test_a_list_shares_the_non_targets_of_the_one_that_it_is_like(
    data, tmp_path, quick, capsys, caplog
):
    only, match = (ROOT / f"conf/trials/{kind}-CA10.yaml" for kind in ("only", "match"))
    path = select(data, tmp_path / "match", match)
    assert check(data, path, match) == 0
    assert "only-CA10: no such list: its non-targets are not compared" in caplog.text
    other = select(data, tmp_path / "only-CA10", only)
    assert check(data, path, match) == 0
    lines = path.read_text().splitlines()
    number = next(n for n, line in enumerate(lines) if line.endswith("nontarget"))
    enrol, test, _ = lines[number].split()
    for gone, message in [
        (f"{enrol} {test} ", f":{number + 1}: no non-target of {other}"),
        (f"{enrol} ", f":{number + 1}: {enrol} does not enrol in {other}"),
    ]:
        kept = [x for x in other.read_text().splitlines() if not x.startswith(gone)]
        write_text(other, "\n".join(kept) + "\n")
        assert check(data, path, match) == 1
        assert message in capsys.readouterr().out


def test_shortages_that_are_none_are_told(data, cross_age, quick, capsys):
    shortages = cross_age.with_name("list.shortages")
    good = shortages.read_text()
    try:
        write_text(shortages, good + "spk00-0-0 target 1 of 2: nothing left\n")
        assert check(data, cross_age) == 1
        found = "list: spk00-0-0: a shortage of 1 target trials, not 2\n"
        assert found in capsys.readouterr().out
        write_text(shortages, good + "spk00-0-0 both 1 of 2: nothing left\n")
        with pytest.raises(UserError, match=r"list.shortages:\d+: expected '<utt>"):
            check(data, cross_age)
    finally:
        write_text(shortages, good)


def test_a_list_without_shortages_may_leave_out_who_it_likes(
    data, cross_age, tmp_path, quick
):
    lines = cross_age.read_text().splitlines(keepends=True)
    some = [line for line in lines if line.startswith("spk00-0-0 ")]
    path = write_text(tmp_path / "published", "".join(some))
    assert check(data, path) == 0


def test_an_utterance_that_is_not_in_the_data_is_told(data, tmp_path):
    path = write_text(tmp_path / "list", "spk00-0-0 x target\n")
    with pytest.raises(UserError, match="list:1: 'x' is not in utt2spk"):
        check(data, path)


def test_a_table_that_the_audit_alone_reads_is_named(data, tmp_path, cross_age):
    table = (data / "spk2gender").read_text()
    try:
        write_text(data / "spk2gender", table.partition("\n")[2])
        with pytest.raises(UserError, match="'spk00'; the audit reads it: mend it, or"):
            check(data, cross_age, ROOT / "conf/trials/only-CA10.yaml")
    finally:
        write_text(data / "spk2gender", table)


@settings(max_examples=200, deadline=None)
@given(worlds(), rules, st.integers(0, 5), st.data())
def test_the_check_agrees_with_the_rules_pair_by_pair(world, rule, seed, data):
    """Nothing is said of what is selected; of other pairs, if the rules forbid them."""
    allowance = Allowance(make_pool(world), rule)
    trials, shortages = run(world, rule, seed)
    if len(trials):
        short = {(s.utt, s.label): s.found for s in shortages}
        assert list(Check(trials, allowance, None).violations(short)) == []
    utts, drawn = sorted(world[0]), {frozenset(row[:2]) for row in rows_of(trials)}
    pairs = st.tuples(st.sampled_from(utts), st.sampled_from(utts), st.booleans())
    enrol, test, is_target = data.draw(
        pairs.filter(lambda pair: frozenset(pair[:2]) not in drawn)
    )
    more = Trials.of(
        [*trials.enrol, enrol], [*trials.test, test],
        np.append(trials.is_target, is_target), "list",
    )  # fmt: skip
    told = [
        message
        for line, message in Check(more, allowance, None).violations(None)
        if line == len(trials) and "no shortage is listed" not in message
    ]
    assert bool(told) != allowed(world, rule, enrol, test, is_target)


def test_the_numbers_of_a_list_by_hand():
    gap = np.array([1.0, 4.0, np.nan, 2.0])
    found = describe(np.array([True, True, False, False]), np.array([3, 3, 5, 3]), gap)
    assert found == {
        "spk": 2, "trials": 4, "targets": 2, "non-targets": 2,
        "target-gap-mean": "2.50", "target-gap-sd": "1.50",
        "non-target-gap-mean": "2.00", "non-target-gap-sd": "0.00",
    }  # fmt: skip


# The audit


def areas(data, path, rules_path, capsys) -> dict[str, float]:
    check(data, select(data, path, rules_path), rules_path)
    lines = capsys.readouterr().out.splitlines()
    cells = [line[4:].rsplit(" ", 1) for line in lines if line.startswith("AUC ")]
    return {name: float(value) for name, value in cells}


def test_the_audit_names_what_tells_targets_from_non_targets(data, tmp_path, capsys):
    """Random trials by gender and nationality; cross-age ones by their ages alone."""
    path = tmp_path / "list"
    of_any = areas(data, path, ROOT / "conf/trials/only-I.yaml", capsys)
    # Every other non-target is of the other gender, three of four of another group.
    assert 0.7 < of_any["gender"] < 0.8 and 0.7 < of_any["nationality"] < 0.8
    assert of_any["session"] > 0.9
    aged = areas(data, path, CROSS_AGE, capsys)
    assert aged["gap"] > 0.7 and aged["both ages"] > 0.65
    for name in ("gender", "nationality", "age of enrolment", "duration"):
        assert abs(aged[name] - 0.5) < 0.1, name
    assert list(aged) == [
        "gender", "nationality", "session", "age of enrolment", "age of test",
        "both ages", "gap", "duration", "all of these",
    ]  # fmt: skip


def test_ages_tell_nothing_of_a_matched_list(data, tmp_path, capsys):
    rules_path = CROSS_AGE.with_name("Vox-CA10-matched.yaml")
    found = areas(data, tmp_path / "list", rules_path, capsys)
    for name in ("age of enrolment", "age of test", "both ages", "gap"):
        assert abs(found[name] - 0.5) < 0.1, name


def test_a_list_too_small_to_be_audited_says_so(data, tmp_path, capsys):
    text = "spk00-0-0 spk00-7-0 target\nspk00-0-0 spk04-0-0 nontarget\n"
    check(data, write_text(tmp_path / "list", text))
    assert "AUC gap nan\n" in capsys.readouterr().out

"""Trial lists: reading, and selection under rules."""

import itertools
import os
import subprocess
import sys
from collections import Counter
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare, norm

import select_trials
from chronovox import config
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.trials import Trials, read_trials, write_trials
from chronovox.trials.allowance import Allowance
from chronovox.trials.pool import Pool, codes
from chronovox.trials.rules import (
    Negatives,
    Positives,
    Rules,
    SpeakerRule,
    read_rules,
)
from chronovox.trials.selection import select

ROOT = Path(__file__).resolve().parents[1]


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# Reading and writing


def test_trials_survive_a_round_trip_in_file_order(tmp_path):
    trials = Trials.of(
        ["b", "a", "b"], ["c", "b", "a"], np.array([True, False, True]), ""
    )
    write_trials(tmp_path / "list", trials)
    text = (tmp_path / "list").read_text()
    assert text == "b c target\na b nontarget\nb a target\n"
    again = read_trials(tmp_path / "list")
    assert (again.enrol, again.test) == (trials.enrol, trials.test)
    assert again.is_target.tolist() == [True, False, True]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a b target\na b\n", ":2: expected 3 fields, found 2: 'a b'"),
        ("a b target 0.5\n", ":1: expected 3 fields, found 4"),
        ("a b target\n\n", ":2: expected 3 fields, found 0"),
        ("a b\nc target c d nontarget\n", ":1: expected 3 fields, found 2"),
        ("a b target\nc c target\n", ":2: 'c' is compared with itself"),
        ("a b target\na c imposter\n", ":2: label 'imposter' is not target or nonta"),
        ("", ": empty file"),
        ("a b target", ": the last line has no line end"),
    ],
)
def test_bad_trial_lists_are_refused_by_line(tmp_path, text, message):
    path = write_text(tmp_path / "list", text)
    with pytest.raises(UserError) as error:
        read_trials(path)
    assert f"{path}{message}" in str(error.value)


def test_a_label_that_contradicts_utt2spk_is_refused(tmp_path):
    trials = read_trials(write_text(tmp_path / "list", "a b target\na c target\n"))
    with pytest.raises(UserError, match="list:2: labelled target, but by utt2spk"):
        trials.speakers({"a": "s", "b": "s", "c": "t"}, "utt2spk")


def test_speakers_are_those_of_the_list(tmp_path):
    trials = read_trials(write_text(tmp_path / "list", "a b target\na c nontarget\n"))
    speakers = trials.speakers({"a": "t", "b": "t", "c": "s", "d": "q"}, "utt2spk")
    assert speakers.names == ["s", "t"]
    assert (speakers.enrol.tolist(), speakers.test.tolist()) == ([1, 1], [1, 0])


# Selection: properties over random small worlds


@st.composite
def worlds(draw):
    """utterance -> (speaker, session, age), speaker -> gender; names say nothing."""
    utterances, genders = {}, {}
    for speaker in range(draw(st.integers(2, 6))):
        genders[f"x{speaker}"] = draw(st.sampled_from(["m", "f"]))
        for session in range(draw(st.integers(1, 3))):
            # 35.3 - 25.3 is a little less than 10, in floating point.
            ages = [20.0, 21.5, 24.1, 25.3, 30.0, 35.3, np.nan]
            age = draw(st.sampled_from(ages))
            for _ in range(draw(st.integers(1, 3))):
                utt = f"u{7 * len(utterances) % 64}"
                utterances[utt] = (f"x{speaker}", f"day{session}", age)
    return utterances, genders


gaps = st.sampled_from(
    [{}, {"min_gap": 10.0}, {"max_gap": 1.5}, {"min_gap": 2.0, "max_gap": 10.0}]
)
positives = st.builds(
    lambda session, number, gap: Positives(session, per_enrolment=number, **gap),
    st.sampled_from(["same", "different", "any"]), st.integers(1, 3), gaps,
)  # fmt: skip
speakers = st.sampled_from(
    [SpeakerRule(), SpeakerRule(10.0), SpeakerRule(10.0, strict=False)]
)
negatives = st.builds(
    Negatives, st.sampled_from([[], ["gender"]]), st.integers(2, 3),
    per_enrolment=st.integers(1, 3),
)  # fmt: skip
rules = st.builds(Rules, positives, speakers, negatives)


def make_pool(world) -> Pool:
    utterances, genders = world
    utts = sorted(utterances)
    values = [utterances[utt] for utt in utts]
    age = np.array([age for _, _, age in values])
    return Pool(
        utts,
        codes(spk for spk, _, _ in values),
        codes((spk, session) for spk, session, _ in values),
        {"gender": codes(genders[spk] for spk, _, _ in values)},
        age,
        np.full(len(utts), 0.5),
    )


def run(world, rule, seed=1, base=None):
    pool = make_pool(world)
    return select(Allowance(pool, rule), seed, base and Allowance(pool, base))


def close(gap, bound):
    return abs(gap - bound) < 1e-9


def takes_part(world, rule, utt) -> bool:
    """Not so without an age, where the rules say anything of ages."""
    bounds = rule.positives.min_gap, rule.positives.max_gap, rule.speakers.min_age_span
    aged = world[0][utt][2] == world[0][utt][2]
    return aged or (bounds == (None,) * 3 and rule.negatives.gap_tolerance is None)


def may_enrol(world, rule, utt) -> bool:
    """The rules, restated for one enrolment."""
    utterances, genders = world
    own = utterances[utt][0]
    if not takes_part(world, rule, utt):
        return False
    others = {utterances[u][0] for u in utterances if takes_part(world, rule, u)}
    group = [spk for spk in others if genders[spk] == genders[own]]
    size = len(group if rule.negatives.same else others)
    ages = [age for spk, _, age in utterances.values() if spk == own and age == age]
    span, need = max(ages, default=0) - min(ages, default=0), rule.speakers.min_age_span
    if need is not None and (
        close(span, need) and rule.speakers.strict or span < need - 1e-9
    ):
        return False
    return size >= rule.negatives.min_group_size


def allowed(world, rule, enrol, test, is_target) -> bool:
    """The rules, restated for one pair."""
    utterances, genders = world
    spk, other = utterances[enrol][0], utterances[test][0]
    if enrol == test or not may_enrol(world, rule, enrol):
        return False
    if not takes_part(world, rule, test):
        return False
    if not is_target:
        return spk != other and (
            not rule.negatives.same or genders[spk] == genders[other]
        )
    return is_target_pair(world, rule, enrol, test)


def is_target_pair(world, rule, enrol, test) -> bool:
    """The rules of positives alone, restated for one pair."""
    (spk, session, _), (other, other_session, _) = (world[0][u] for u in (enrol, test))
    wanted = {"any": True, "same": session == other_session,
              "different": session != other_session}  # fmt: skip
    return (
        enrol != test
        and spk == other
        and wanted[rule.positives.session]
        and takes_part(world, rule, enrol)
        and takes_part(world, rule, test)
        and in_gap(world, rule.positives, enrol, test)
    )


def in_gap(world, rule, enrol, test) -> bool:
    """Whether the years between two utterances are what positives may have."""
    gap = abs(world[0][enrol][2] - world[0][test][2])
    low, high = rule.min_gap, rule.max_gap
    if low is not None and not (gap > low or close(gap, low)):
        return False
    return high is None or gap < high or close(gap, high)


def rows_of(trials):
    return list(zip(trials.enrol, trials.test, trials.is_target.tolist(), strict=True))


@settings(max_examples=300, deadline=None)
@given(worlds(), rules, st.integers(0, 5))
def test_no_trial_breaks_a_rule_and_none_is_missed(world, rule, seed):
    trials, shortages = run(world, rule, seed)
    rows = rows_of(trials)
    pairs = {frozenset(row[:2]) for row in rows}
    assert len(pairs) == len(rows), "a pair stands twice, in one order or both"
    assert all(allowed(world, rule, *row) for row in rows)

    short = {(s.utt, s.label): (s.found, s.asked) for s in shortages}
    for utt in world[0]:
        found = [
            sum(row[0] == utt and row[2] == kind for row in rows) for kind in (1, 0)
        ]
        asked = rule.positives.per_enrolment
        ratio = rule.negatives.per_enrolment / asked
        for label, is_target, number, want in (
            ("target", True, found[0], asked),
            ("nontarget", False, found[1], int(np.ceil(found[0] * ratio - 1e-9))),
        ):
            assert number <= want
            if number == want:
                assert (utt, label) not in short
                continue
            assert short[utt, label] == (number, want), "a shortage is not reported"
            for other in world[0]:
                if allowed(world, rule, utt, other, is_target):
                    assert frozenset((utt, other)) in pairs, "a trial was missed"


@settings(max_examples=150, deadline=None)
@given(worlds(), positives, st.floats(0, 3), st.integers(0, 5))
def test_matched_non_targets_are_as_old_as_targets(world, rule, tolerance, seed):
    number = rule.per_enrolment
    rule = Rules(rule, SpeakerRule(), Negatives([], 2, tolerance, number))
    plain = Rules(rule.positives, negatives=Negatives(per_enrolment=number))
    rows, of = rows_of(run(world, rule, seed).trials), {}
    pairs = {frozenset(row[:2]) for row in rows}
    assert len(pairs) == len(rows)
    for enrol, test, is_target in rows:
        assert allowed(world, plain, enrol, test, is_target)
        assert in_gap(world, rule.positives, enrol, test)
        of.setdefault(enrol, ([], []))[is_target].append(world[0][test][2])
    for nontargets, targets in of.values():
        assert len(targets) == len(nontargets)
        # In order, for where the n-th smallest lie too far apart no pairing is near.
        far = np.abs(np.subtract(sorted(targets), sorted(nontargets)))
        assert far.max() <= tolerance + 2e-6

    # Who lacks targets has none left that a free non-target is as old as.
    for enrol in world[0]:
        if len(of.get(enrol, ([],))[0]) == number:
            continue
        for target, other in itertools.permutations(set(world[0]) - {enrol}, 2):
            assert not (
                allowed(world, rule, enrol, target, True)
                and allowed(world, rule, enrol, other, False)
                and in_gap(world, rule.positives, enrol, other)
                and abs(world[0][target][2] - world[0][other][2]) <= tolerance - 1e-9
                and frozenset((enrol, target)) not in pairs
                and frozenset((enrol, other)) not in pairs
            )


def test_a_target_that_no_non_target_matches_is_not_drawn():
    """Of three targets one has a non-target of its age: it is found for every seed."""
    world = {"a": ("x0", "day", 20.0), "n": ("x1", "day", 50.0)}
    for number, age in enumerate((30.0, 40.0, 50.2)):
        world[f"t{number}"] = ("x0", "day", age)
    rule = Rules(Positives(min_gap=5, per_enrolment=1),
                 negatives=Negatives(gap_tolerance=0.5, per_enrolment=1))  # fmt: skip
    for seed in range(20):
        rows = rows_of(run((world, {"x0": "m", "x1": "m"}), rule, seed).trials)
        pairs = {frozenset(row[:2]) for row in rows}
        assert frozenset(("a", "n")) in pairs or frozenset(("a", "t2")) in pairs
        assert {row[0] for row in rows} & {"a", "t0", "t1"}


@settings(max_examples=150, deadline=None)
@given(worlds(), rules, positives, st.integers(0, 5))
def test_a_list_like_another_shares_enrolments_and_non_targets(world, base, own, seed):
    number = base.positives.per_enrolment
    rule = Rules(replace(own, per_enrolment=number), like="base")
    rows = rows_of(run(world, rule, seed, base).trials)
    others = rows_of(run(world, base, seed).trials)
    assert {row for row in rows if not row[2]} <= {row for row in others if not row[2]}
    for utt in world[0]:
        count, asked = [
            Counter(label for enrol, _, label in some if enrol == utt)
            for some in (rows, others)
        ]
        assert count[True] <= asked[True]
        share = -(-count[True] * base.negatives.per_enrolment // number)
        assert count[False] == min(share, asked[False])
        free = Rules(replace(own, per_enrolment=number))
        if count[True] < asked[True]:
            drawn = {frozenset(row[:2]) for row in rows}
            for other in world[0]:
                if is_target_pair(world, free, utt, other):
                    assert frozenset((utt, other)) in drawn
    assert all(is_target_pair(world, free, *row[:2]) for row in rows if row[2])


def test_a_list_of_no_such_name_is_no_base(tmp_path):
    path = tmp_path / "x.yaml"
    path.write_text("like: only../../x\npositives: {session: any}\n")
    with pytest.raises(UserError, match="x.yaml: like: only../../x: a list is named"):
        read_rules(path)


@pytest.mark.parametrize(
    ("base", "own", "message"),
    [
        ("negatives: {gap_tolerance: 1}", "", "matches ages: no list is like that"),
        ("positives: {per_enrolment: 3}\nnegatives: {per_enrolment: 3}",
         ", per_enrolment: 5", "per_enrolment: .* says 3 for both"),
    ],
)  # fmt: skip
def test_a_list_cannot_be_like_every_other(tmp_path, base, own, message):
    write_text(tmp_path / "base.yaml", base + "\n")
    path = write_text(
        tmp_path / "x.yaml", f"like: base\npositives: {{session: any{own}}}\n"
    )
    with pytest.raises(UserError, match=message):
        read_rules(path)


def test_unknown_rules_name_those_that_there_are():
    with pytest.raises(UserError, match="only-CA9.yaml: no such file: .*CA5.yaml"):
        read_rules(ROOT / "conf/trials/only-CA9.yaml")


def test_gaps_must_be_sure():
    """At 97.7 %, two standard deviations of the gap: 2 * sqrt(0.5 ** 2 + 0.5 ** 2)."""
    world = {"a": ("x0", "d0", 20.0), "b": ("x0", "d1", 31.4), "c": ("x0", "d2", 31.5),
             "z": ("x1", "d0", 20.0)}, {"x0": "m", "x1": "m"}  # fmt: skip
    sure = Positives(min_gap=10.0, confidence=norm.cdf(2.0))
    trials, _ = run(world, Rules(sure))
    targets = {frozenset(row[:2]) for row in rows_of(trials) if row[2]}
    assert targets == {frozenset("ac")}


@pytest.mark.parametrize("number", [1, 2])
@pytest.mark.parametrize("tolerance", [None, 0.5])
def test_the_draw_is_uniform_over_the_allowed_partners(number, tolerance):
    """Every age is that of two sessions of each speaker."""
    utterances = {
        f"u{n}": (f"x{n % 4}", f"day{n // 8}", 20.0 + n // 8 % 3) for n in range(48)
    }
    world = (utterances, dict.fromkeys((f"x{n}" for n in range(4)), "m"))
    negatives = Negatives(gap_tolerance=tolerance, per_enrolment=number)
    rule = Rules(Positives("different", per_enrolment=number), SpeakerRule(), negatives)
    counts = {True: Counter(), False: Counter()}
    for seed in range(400):
        for *pair, label in rows_of(run(world, rule, seed).trials):
            counts[label][tuple(pair)] += 1
    for kind in (True, False):
        pairs = [(a, b) for a in utterances for b in utterances
                 if allowed(world, rule, a, b, kind)]  # fmt: skip
        observed = [counts[kind][pair] for pair in pairs]
        assert sum(observed) == counts[kind].total()
        if tolerance is None or kind:
            assert chisquare(observed).pvalue > 1e-4
            continue
        # As often as targets of its age, of which there are fewer at no gap.
        for years in range(3):
            some = [n for n, (a, b) in zip(observed, pairs, strict=True)
                    if (utterances[b][2] - utterances[a][2]) % 3 == years]  # fmt: skip
            assert chisquare(some).pvalue > 1e-4


def test_the_draw_of_an_utterance_does_not_depend_on_those_before_it():
    """Dropping enrolments that come first changes nothing for the last one."""
    utterances = {
        f"u{n:02d}": (f"x{n % 4}", f"day{n % 8 // 4}", 20.0) for n in range(48)
    }
    genders = {"x0": "m", "x1": "m", "x2": "f", "x3": "f"}
    rule = Rules(Positives("different"), SpeakerRule(), Negatives(["gender"]))

    def of_women(world_utterances):
        trials = run((world_utterances, genders), rule).trials
        return [row for row in rows_of(trials) if utterances[row[0]][0] in ("x2", "x3")]

    women = {u: v for u, v in utterances.items() if v[0] in ("x2", "x3")}
    assert of_women(women) == of_women(utterances)


# The script


def make_data(path: Path, speakers=12, sessions=4, utts=3, traits=True) -> Path:
    """A data directory; genders and nationalities alternate, 3 speakers a group."""
    path.mkdir(parents=True)
    names = [f"spk{n:02d}" for n in range(speakers)]
    utt2spk, utt2session = {}, {}
    for name in names:
        for session in range(sessions):
            for number in range(utts):
                utt2spk[f"{name}-{session}-{number}"] = name
                utt2session[f"{name}-{session}-{number}"] = f"v{session}"
    write_table(path / "utt2spk", utt2spk)
    write_table(path / "utt2session", utt2session)
    if traits:
        write_table(path / "spk2gender", {s: "mf"[n % 2] for n, s in enumerate(names)})
        places = ["Norway", "Peru"]
        write_table(
            path / "spk2nationality",
            {s: places[n // 2 % 2] for n, s in enumerate(names)},
        )
    return path


def test_the_script_writes_list_stats_and_shortages(tmp_path, caplog):
    data = make_data(tmp_path / "data")
    out = data / "trials" / "random"
    rules_path = ROOT / "conf" / "trials" / "random.yaml"
    assert select_trials.main(["--rules", str(rules_path), str(data), str(out)]) == 0
    trials = read_trials(out)
    assert len(trials) == 4 * 144 and trials.is_target.sum() == 2 * 144
    stats = (data / "trials" / "random.stats").read_text()
    numbers = "spk 12\ntrials 576\ntargets 288\nnon-targets 288\n"
    assert stats == f"{numbers}age-rule none\n"
    assert (data / "trials" / "random.shortages").read_text() == ""
    assert "too few: 12 speakers and 288 targets" in caplog.text


def test_small_groups_are_left_out_and_listed(tmp_path):
    data = make_data(tmp_path / "data", speakers=14)
    rules_path = write_text(
        tmp_path / "rules.yaml",
        "negatives: {same: [gender, nationality], min_group_size: 4}\n",
    )
    out = tmp_path / "hard"
    select_trials.main(["--rules", str(rules_path), str(data), str(out)])
    # 14 speakers in groups of 4, 4, 3 and 3.
    spoken = {key.split("-")[0] for key in read_trials(out).enrol}
    assert spoken == {f"spk{n:02d}" for n in range(14) if n % 4 < 2}
    shortages = (tmp_path / "hard.shortages").read_text().splitlines()
    assert len(shortages) == 72
    assert shortages[0] == "spk02-0-0 target 0 of 2: its group has 3 speakers"


def test_a_speaker_of_one_session_is_listed_not_filled(tmp_path):
    data = make_data(tmp_path / "data")
    sessions = read_table(data / "utt2session")
    sessions |= {utt: "v0" for utt in sessions if utt.startswith("spk03")}
    write_table(data / "utt2session", sessions)
    out = tmp_path / "random"
    rules_path = ROOT / "conf" / "trials" / "random.yaml"
    select_trials.main(["--rules", str(rules_path), str(data), str(out)])
    assert not any(key.startswith("spk03") for key in read_trials(out).enrol)
    shortages = (tmp_path / "random.shortages").read_text().splitlines()
    assert len(shortages) == 12
    assert (
        shortages[0]
        == "spk03-0-0 target 0 of 2: its speaker has one session (utt2session)"
    )


def test_same_bytes_whatever_the_hash_seed(tmp_path):
    data = make_data(tmp_path / "data")
    written = set()
    for hash_seed in ("0", "1", "12345"):
        out = tmp_path / hash_seed / "random"
        subprocess.run(
            [sys.executable, ROOT / "steps" / "select_trials.py", "--seed", "3",
             "--rules", ROOT / "conf" / "trials" / "random.yaml", data, out],
            env={**os.environ, "PYTHONHASHSEED": hash_seed,
                 "PYTHONPATH": str(ROOT / "steps")},
            check=True, capture_output=True,
        )  # fmt: skip
        written.add(out.read_bytes())
    assert len(written) == 1


def test_the_seed_changes_the_list(tmp_path):
    data = make_data(tmp_path / "data")
    rules_path = ROOT / "conf" / "trials" / "random.yaml"
    lists = []
    for seed in ("1", "2"):
        out = tmp_path / f"list{seed}"
        select_trials.main(
            ["--rules", str(rules_path), "--seed", seed, str(data), str(out)]
        )
        lists.append(out.read_bytes())
    assert lists[0] != lists[1]


@pytest.mark.parametrize(
    ("change", "rules_text", "message"),
    [
        (["rm", "spk2nationality"], "negatives: {same: [nationality]}",
         "spk2nationality: no such file; `negatives.same: nationality` of"),
        (["rm", "spk2gender"], "negatives: {same: [gender]}",
         "spk2gender: no such file; `negatives.same: gender` of"),
        (["rm", "utt2session"], "positives: {session: different}",
         "utt2session: no such file; `positives.session: different` of"),
        (["one session"], "positives: {session: different}",
         "144 of 144 utterances, its speaker has one session (utt2session): use"),
        ([], "negatives: {same: [gender], min_group_size: 50}",
         "for 144 of 144 utterances, its group has 6 speakers: use other rules"),
        (["cut", "utt2session"], "positives: {session: same}",
         "utt2session: 1 keys have no entry, the first is 'spk11-3-2'"),
        ([], "negatives: {min_group: 5}",
         "negatives: unknown key 'min_group' (did you mean 'min_group_size'?)"),
        ([], "positives: {per_enrolment: 0}", "per_enrolment must be from 1 to"),
        ([], "positives: {session: other}", "'other' is not one of same, different"),
    ],
)  # fmt: skip
def test_what_data_lack_is_said(tmp_path, change, rules_text, message):
    data = make_data(tmp_path / "data")
    if change[:1] == ["rm"]:
        (data / change[1]).unlink()
    elif change[:1] == ["one session"]:
        utts = read_table(data / "utt2session")
        write_table(data / "utt2session", dict.fromkeys(utts, "v0"))
    elif change[:1] == ["cut"]:
        lines = (data / change[1]).read_text().splitlines(keepends=True)
        (data / change[1]).write_text("".join(lines[:-1]))
    rules_path = write_text(tmp_path / "rules.yaml", rules_text + "\n")
    with pytest.raises(UserError) as error:
        select_trials.main(
            ["--rules", str(rules_path), str(data), str(tmp_path / "list")]
        )
    assert message in str(error.value)
    assert not (tmp_path / "list").exists()


def test_a_list_that_fails_leaves_no_earlier_one(tmp_path):
    data, out = make_data(tmp_path / "data"), tmp_path / "list"
    rules_path = write_text(tmp_path / "rules.yaml", "positives: {session: any}\n")
    words = ["--rules", str(rules_path), str(data), str(out)]
    select_trials.main(words)
    files = [out, out.with_name("list.stats"), out.with_name("list.shortages")]
    assert all(path.exists() for path in files)
    with pytest.raises(UserError, match="no such file"):
        select_trials.main(["--rules", str(tmp_path / "typo.yaml"), *words[2:]])
    assert all(path.exists() for path in files)
    write_text(rules_path, "positives: {min_gap: 10}\n")
    with pytest.raises(UserError, match="ask for ages"):
        select_trials.main(words)
    assert not any(path.exists() for path in files)


def test_one_speaker_is_not_enough(tmp_path):
    data = make_data(tmp_path / "data", speakers=1)
    rules_path = ROOT / "conf" / "trials" / "random.yaml"
    with pytest.raises(UserError, match="only one speaker, spk00"):
        select_trials.main(["--rules", str(rules_path), str(data), str(data / "list")])


def test_a_list_name_with_a_dot_is_refused(tmp_path):
    rules_path = ROOT / "conf" / "trials" / "random.yaml"
    with pytest.raises(UserError, match="a list is named with letters"):
        select_trials.main(["--rules", str(rules_path), "data", str(tmp_path / "a.b")])


BOTH = ["gender", "nationality"]
SHIPPED = {
    "random": Rules(Positives("different")),
    "hard": Rules(Positives("different"), negatives=Negatives(BOTH, 5)),
    "our-E": Rules(),
    "our-H": Rules(negatives=Negatives(BOTH, 5)),
    "only-N": Rules(negatives=Negatives(["nationality"])),
    "only-H": Rules(negatives=Negatives(["gender"])),
    "only-I": Rules(Positives("same")),
    "calibration": Rules(
        Positives("different", per_enrolment=20), negatives=Negatives(per_enrolment=100)
    ),
}
for years, more in ((5, 7), (10, 12), (15, 17), (20, 22)):
    aged = Positives(min_gap=years), SpeakerRule(more, strict=True)
    SHIPPED |= {
        f"only-CA{years}": Rules(*aged),
        f"Vox-CA{years}": Rules(*aged, Negatives(BOTH)),
        f"Vox-CA{years}-matched": Rules(*aged, Negatives(BOTH, gap_tolerance=0.5)),
        f"match-CA{years}": Rules(
            Positives("different", max_gap=2), like=f"only-CA{years}"
        ),
    }


def test_the_shipped_rules_are_what_they_say():
    """The sets of Qin et al. (Interspeech 2022), two and two an enrolment."""
    paths = sorted((ROOT / "conf/trials").glob("*.yaml"))
    assert {path.stem: config.load(path, Rules) for path in paths} == SHIPPED
    assert (Positives().per_enrolment, Negatives().per_enrolment) == (2, 2)

"""Trial lists: reading, and selection under rules."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import chisquare

import select_trials
from chronovox import config
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.trials import Trials, read_trials, write_trials
from chronovox.trials.pool import Pool
from chronovox.trials.rules import Negatives, Positives, Rules
from chronovox.trials.selection import select

ROOT = Path(__file__).resolve().parents[1]


def write_text(path: Path, text: str) -> Path:
    path.write_text(text)
    return path


# Reading and writing


def test_trials_survive_a_round_trip_in_file_order(tmp_path):
    trials = Trials(["b", "a", "b"], ["c", "b", "a"], np.array([True, False, True]), "")
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
    """utterance -> (speaker, session), speaker -> group; names say nothing."""
    utterances, groups = {}, {}
    for speaker in range(draw(st.integers(2, 6))):
        groups[f"x{speaker}"] = draw(st.sampled_from(["m", "f"]))
        for session in range(draw(st.integers(1, 3))):
            for _ in range(draw(st.integers(1, 3))):
                utterances[f"u{7 * len(utterances) % 64}"] = (
                    f"x{speaker}",
                    f"day{session}",
                )
    return utterances, groups


rules = st.builds(
    Rules,
    st.builds(
        Positives, st.sampled_from(["same", "different", "any"]), st.integers(1, 3)
    ),
    st.builds(
        Negatives,
        st.sampled_from([[], ["gender"]]),
        st.integers(2, 3),
        st.integers(1, 3),
    ),
)


def run(world, rule, seed=1):
    utterances, groups = world
    utt2spk = {utt: spk for utt, (spk, _) in utterances.items()}
    sessions = {utt: session for utt, (_, session) in utterances.items()}
    shared = groups if rule.negatives.same else dict.fromkeys(groups)
    return select(Pool(rule, utt2spk, sessions, shared), rule, seed)


def allowed(world, rule, enrol, test, is_target) -> bool:
    """The rules, restated for one pair."""
    utterances, groups = world
    spk, session = utterances[enrol]
    other, other_session = utterances[test]
    same = [name for name in groups if groups[name] == groups[spk]]
    group = same if rule.negatives.same else list(groups)
    if enrol == test or len(group) < rule.negatives.min_group_size:
        return False
    if not is_target:
        return spk != other and other in group
    wanted = {"any": True, "same": session == other_session,
              "different": session != other_session}  # fmt: skip
    return spk == other and wanted[rule.positives.session]


@settings(max_examples=150, deadline=None)
@given(worlds(), rules, st.integers(0, 5))
def test_no_trial_breaks_a_rule_and_none_is_missed(world, rule, seed):
    trials, shortages = run(world, rule, seed).trials, run(world, rule, seed).shortages
    rows = list(zip(trials.enrol, trials.test, trials.is_target.tolist(), strict=True))
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


def test_the_draw_is_uniform_over_the_allowed_partners():
    utterances = {f"u{n}": (f"x{n % 4}", f"day{n // 8}") for n in range(24)}
    world = (utterances, dict.fromkeys((f"x{n}" for n in range(4)), "m"))
    rule = Rules(Positives("different", 1), Negatives([], 2, 2))
    counts = {True: {}, False: {}}
    for seed in range(400):
        trials = run(world, rule, seed).trials
        for row in zip(trials.enrol, trials.test, trials.is_target, strict=True):
            counts[bool(row[2])][row[:2]] = counts[bool(row[2])].get(row[:2], 0) + 1
    for kind in (True, False):
        pairs = [(a, b) for a in utterances for b in utterances
                 if allowed(world, rule, a, b, kind)]  # fmt: skip
        observed = [counts[kind].get(pair, 0) for pair in pairs]
        assert sum(observed) == sum(counts[kind].values())
        assert chisquare(observed).pvalue > 1e-4


def test_the_draw_of_an_utterance_does_not_depend_on_those_before_it():
    """Dropping enrolments that come first changes nothing for the last one."""
    utterances = {f"u{n:02d}": (f"x{n % 4}", f"day{n % 8 // 4}") for n in range(48)}
    groups = {"x0": "m", "x1": "m", "x2": "f", "x3": "f"}
    rule = Rules(Positives("different"), Negatives(["gender"]))

    def of_women(world_utterances):
        trials = run((world_utterances, groups), rule).trials
        return [
            row for row in zip(trials.enrol, trials.test, strict=True)
            if utterances[row[0]][0] in ("x2", "x3")
        ]  # fmt: skip

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
    assert stats == "spk 12\ntrials 576\ntargets 288\nnon-targets 288\n"
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
    assert shortages[0] == "spk03-0-0 target 0 of 2: the rules allow no partner"


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
         "no speaker has two sessions (utt2session), so no target trial obeys"),
        ([], "negatives: {same: [gender], min_group_size: 50}",
         "no group of 50 speakers of the same gender is there"),
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


def test_one_speaker_is_not_enough(tmp_path):
    data = make_data(tmp_path / "data", speakers=1)
    rules_path = ROOT / "conf" / "trials" / "random.yaml"
    with pytest.raises(UserError, match="only one speaker, spk00"):
        select_trials.main(["--rules", str(rules_path), str(data), str(data / "list")])


def test_a_list_name_with_a_dot_is_refused(tmp_path):
    rules_path = ROOT / "conf" / "trials" / "random.yaml"
    with pytest.raises(UserError, match="a list is named with letters"):
        select_trials.main(["--rules", str(rules_path), "data", str(tmp_path / "a.b")])


@pytest.mark.parametrize("name", ["random", "hard"])
def test_the_shipped_rules_are_what_they_say(name):
    shipped = config.load(ROOT / "conf" / "trials" / f"{name}.yaml", Rules)
    hard = name == "hard"
    assert shipped == Rules(
        Positives("different", 2),
        Negatives(["gender", "nationality"] if hard else [], 5 if hard else 2, 2),
    )

"""The table of results: rows, replacement, means of seeds, and the printed form."""

import json
import os
import re
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from recipe_tools import environment

import compute_metrics
import print_results
from chronovox.cli import UserError
from chronovox.datadir import write_table
from chronovox.evaluation import bootstrap, cllr, eer, min_dcf, results
from chronovox.evaluation.metrics import SortedTrials
from chronovox.scoring import write_scores
from chronovox.trials import Trials, read_trials, write_trials

ROOT = Path(__file__).resolve().parents[1]


@pytest.fixture
def data(tmp_path) -> Path:
    """A data directory with 12 speakers and the trial lists `random` and `hard`."""
    path = tmp_path / "data" / "test"
    (path / "trials").mkdir(parents=True)
    utts = [f"s{spk:02d}-{number}" for spk in range(12) for number in range(4)]
    write_table(path / "utt2spk", {utt: utt[:3] for utt in utts})
    generator = np.random.default_rng(0)
    for name in ("random", "hard"):
        enrol, test, is_target = [], [], []
        for row, utt in enumerate(utts):
            enrol += [utt] * 2
            test.append(utts[row - 1 if row % 4 else row + 3])
            test.append(utts[(row + 4 * generator.integers(1, 11)) % 48])
            is_target += [True, False]
        trials = Trials.of(enrol, test, np.array(is_target), "")
        write_trials(path / "trials" / name, trials)
    return path


def make_scores(data: Path, model: str, seed, name="random", backend="cosine",
                config="c0ffee", quality=2.0, marks=(), llr=False,
                embeddings="0") -> Path:  # fmt: skip
    """A score file of a model under exp/, and the .json beside it."""
    trials = read_trials(data / "trials" / name)
    generator = np.random.default_rng([len(model), seed or 0, len(backend)])
    scores = generator.normal(size=len(trials)) + quality * trials.is_target
    path = data.parents[1] / "exp" / model / "scores_test" / f"{name}.{backend}"
    info = {"model": model, "seed": seed, "backend": backend, "config": config,
            "marks": list(marks), "llr": llr,
            "embeddings_sha256": embeddings}  # fmt: skip
    write_scores(path, trials, scores.astype(np.float32), info)
    return path


def compute(data: Path, *scores, options=(), name="random") -> list[dict]:
    out = data.parents[1] / "exp" / "results"
    paths = [data, data / "trials" / name, *scores, out]
    assert compute_metrics.main([*options, *map(str, paths)]) == 0
    return table(out)


def table(results_dir: Path) -> list[dict]:
    header, *lines = (results_dir / "results.tsv").read_text().splitlines()
    names = header.split("\t")
    return [dict(zip(names, line.split("\t"), strict=True)) for line in lines]


def test_a_row_holds_what_design_says(data):
    path = make_scores(data, "net_s1", 1)
    (data / "corpus.json").write_text('{"name": "talkers", "hash": "abc"}')
    rows = compute(data, path)
    columns = """model data trials backend seed n_target n_nontarget n_spk
        eer eer_lo eer_hi eer_kaldi mindcf_0.01 mindcf_0.05 mindcf_0.001
        trials_sha256 config commit command marks
        min_cllr cllr few_errors mindcf_0.5"""
    assert list(rows[0]) == columns.split()
    row = rows[0]
    assert [row[name] for name in results.KEY] == [
        "net_s1", "test", "random", "cosine", "1"
    ]  # fmt: skip
    assert (row["n_target"], row["n_nontarget"], row["n_spk"]) == ("48", "48", "12")
    trials = read_trials(data / "trials" / "random")
    scores = np.loadtxt(path, usecols=2)
    expected = eer(scores[trials.is_target], scores[~trials.is_target])
    assert row["eer"] == f"{100 * expected:.3f}"
    assert float(row["eer_lo"]) < float(row["eer"]) < float(row["eer_hi"])
    assert len(row["mindcf_0.01"].split(".")[1]) == 4
    assert (row["config"], row["marks"]) == ("c0ffee", "-")
    stored = results.read(data.parents[1] / "exp" / "results")[0]
    assert stored["corpus"] == {"name": "talkers", "hash": "abc"}
    assert stored["eer"] == pytest.approx(expected)


def test_ratios_are_measured_as_such_at_any_prior(data):
    plain = make_scores(data, "net_s1", 1)
    ratios = make_scores(data, "net_s1", 1, backend="plda", llr=True)
    first, second = compute(data, plain, ratios, options=["--p-targets", "0.2 0.5"])
    assert (first["cllr"], first["actdcf_0.2"]) == ("-", "-")
    trials = read_trials(data / "trials" / "random")
    scores = np.loadtxt(ratios, usecols=2)
    target, nontarget = scores[trials.is_target], scores[~trials.is_target]
    for prior in (0.2, 0.5):
        threshold = np.log(1 / prior - 1)
        cost = prior * np.mean(target < threshold)
        cost += (1 - prior) * np.mean(nontarget >= threshold)
        assert float(second[f"actdcf_{prior}"]) == pytest.approx(
            cost / min(prior, 1 - prior), abs=6e-5
        )
        lowest = min_dcf(target, nontarget, prior)
        assert second[f"mindcf_{prior}"] == f"{lowest:.4f}"
    assert second["cllr"] == f"{cllr(target, nontarget):.4f}"
    assert {"mindcf_0.2", "actdcf_0.2"} <= set(second["few_errors"].split(","))
    stored = results.read(data.parents[1] / "exp/results")[1]
    for name, (low, high) in stored["intervals"].items():
        assert low <= stored[name] <= high, name
    priors = ("0.01", "0.05", "0.001", "0.5", "0.2")
    costs = {f"{kind}_{p}" for kind in ("mindcf", "actdcf") for p in priors}
    assert set(stored["intervals"]) == {"eer", "cllr", "min_cllr", *costs}
    assert stored["scores"] == [str(ratios)]
    for bad in ("0", "1", "x", "nan", "0.1,0.2"):
        with pytest.raises(SystemExit):
            compute(data, plain, options=["--p-targets", bad])


def test_rows_are_replaced_by_key_sorted_and_repeatable(data):
    first = make_scores(data, "net_s10", 10)
    second = make_scores(data, "net_s2", 2, config="f00d")
    out = data.parents[1] / "exp" / "results"
    compute(data, first)
    assert len(compute(data, second)) == 2
    compute(data, make_scores(data, "net_s2", 2, name="hard"), name="hard")
    before = (out / "results.tsv").read_bytes()
    assert [(r["model"], r["trials"]) for r in table(out)] == [
        ("net_s10", "random"), ("net_s2", "hard"), ("net_s2", "random")
    ]  # fmt: skip
    compute(data, second)
    assert (out / "results.tsv").read_bytes() == before
    old = table(out)[0]["eer"]
    make_scores(data, "net_s10", 10, quality=0.5)
    rows = compute(data, first)
    assert len(rows) == 3 and float(rows[0]["eer"]) > float(old)


def test_few_speakers_get_no_interval(data):
    listed = data / "trials" / "random"
    rows = [line.split() for line in listed.read_text().splitlines()]
    first = sorted({row[0].split("-")[0] for row in rows})[:6]
    for number, wanted in ((6, True), (4, False)):
        few = [row for row in rows if row[0].split("-")[0] in first[:number]]
        few = [row for row in few if row[1].split("-")[0] in first[:number]]
        listed.write_text("".join(" ".join(row) + "\n" for row in few))
        row = compute(data, make_scores(data, "net_s1", 1))[0]
        assert row["n_spk"] == str(number)
        assert (row["eer_lo"] != "-") == (row["eer_hi"] != "-") == wanted
        assert row["eer"] != "-"


def test_lists_of_one_name_are_told_apart(data, capsys):
    compute(data, make_scores(data, "net_s1", 1))
    out = str(data.parents[1] / "exp" / "results")
    assert print_results.main([out]) == 0
    assert "several lists" not in capsys.readouterr().out
    listed = data / "trials" / "random"
    listed.write_text("".join(sorted(listed.read_text().splitlines(True)[:-2])))
    compute(data, make_scores(data, "net_s2", 2))
    assert print_results.main([out]) == 0
    said = capsys.readouterr().out
    heads = [line for line in said.splitlines() if ", trials random [" in line]
    assert len(set(heads)) == 2 and "One name stands for several lists" in said


def test_seeds_of_one_configuration_get_a_mean(data):
    paths = [make_scores(data, f"net_s{seed}", seed) for seed in (10, 2, 1)]
    paths[0] = make_scores(data, "net_s10", 10, marks=["speaker-overlap"])
    other = make_scores(data, "other_s1", 1, config="f00d")
    rows = compute(data, *paths, other, options=["--draws", "200"])
    assert [(row["model"], row["seed"]) for row in rows] == [
        ("net", "mean(1,2,10)"), ("net_s1", "1"), ("net_s10", "10"), ("net_s2", "2"),
        ("other_s1", "1"),
    ]  # fmt: skip
    mean, single = rows[0], rows[1:4]
    for name in ("eer", "eer_kaldi", "mindcf_0.01", "mindcf_0.001"):
        expected = np.mean([float(row[name]) for row in single])
        assert float(mean[name]) == pytest.approx(expected, abs=1e-3)
    assert mean["marks"] == "speaker-overlap"

    # The interval: per draw of speakers the mean over as many seeds, drawn as well.
    trials = read_trials(data / "trials" / "random")
    speakers = trials.speakers({k: k[:3] for k in trials.enrol + trials.test}, "")
    draws = bootstrap.draw_speakers(12, 200)
    values = [
        bootstrap.eer_of_draws(
            SortedTrials(np.loadtxt(path, usecols=2), trials.is_target), speakers, draws
        )
        for path in reversed(paths)
    ]
    drawn = np.random.default_rng([1, 3, 1]).multinomial(3, [1 / 3] * 3, size=200)
    low, high = bootstrap.interval((drawn.T * values).sum(axis=0) / 3)
    assert (mean["eer_lo"], mean["eer_hi"]) == (f"{100 * low:.3f}", f"{100 * high:.3f}")


def test_a_mean_rests_on_few_errors_where_one_of_its_seeds_does(data, monkeypatch):
    monkeypatch.setattr("chronovox.evaluation.metrics.MIN_ERRORS", 1)
    qualities = {1: 1.0, 2: 9.0}
    paths = [make_scores(data, f"net_s{s}", s, quality=q) for s, q in qualities.items()]
    mean, poor, good = compute(data, *paths)
    few = [set(row["few_errors"].split(",")) for row in (mean, poor, good)]
    assert mean["seed"] == "mean(1,2)" and few[0] == few[1] | few[2]
    assert "mindcf_0.5" in few[2] - few[1]


def test_rows_of_older_embeddings_go(data, caplog):
    """Those of the model and list, and the means that have them; no others."""
    seeds = [make_scores(data, f"net_s{seed}", seed) for seed in (1, 2)]
    compute(data, *seeds, make_scores(data, "other_s1", 1, config="f00d"))
    compute(data, make_scores(data, "net_s1", 1, backend="plda"))
    old = [make_scores(data, f"net_s{s}", s, config="old", backend="z") for s in (3, 4)]
    compute(data, *old)
    compute(data, make_scores(data, "net_s1", 1, name="hard"), name="hard")
    assert "are gone from" not in caplog.text
    make_scores(data, "net_s1", 1, embeddings="1")
    rows = compute(data, seeds[0])
    assert "2 rows of other embeddings of these models" in caplog.text
    names = "model", "backend", "trials"
    assert [tuple(row[name] for name in names) for row in rows] == [
        ("net", "z", "random"), ("net_s1", "cosine", "hard"),
        ("net_s1", "cosine", "random"), ("net_s2", "cosine", "random"),
        ("net_s3", "z", "random"), ("net_s4", "z", "random"),
        ("other_s1", "cosine", "random"),
    ]  # fmt: skip
    # A mean goes only with embeddings that it has not.
    caplog.clear()
    assert compute(data, *seeds)[1]["model"] == "net"
    plda = make_scores(data, "net_s1", 1, backend="plda", embeddings="1")
    assert len(compute(data, plda)) == 9 and "are gone from" not in caplog.text
    # References may be of several embeddings.
    floor = {"model": "floor", "seed": None, "config": "-"}
    compute(data, make_scores(data, **floor))
    other = make_scores(data, **floor, backend="b", embeddings="1")
    assert len(compute(data, other)) == 11 and "are gone from" not in caplog.text


def test_rows_of_an_older_list_go(data, caplog):
    seeds = [make_scores(data, f"net_s{seed}", seed) for seed in (1, 2)]
    compute(data, *seeds, make_scores(data, "other_s1", 1, config="f00d"))
    compute(data, make_scores(data, "net_s1", 1, backend="plda"))
    listed = data / "trials/random"
    listed.write_text("".join(sorted(listed.read_text().splitlines(True))))
    rows = compute(data, make_scores(data, "net_s1", 1))
    assert "random: 2 rows of other" in caplog.text
    found = [(row["model"], row["backend"]) for row in rows]
    assert found == [(name, "cosine") for name in ("net_s1", "net_s2", "other_s1")]


def test_models_named_otherwise_are_joined(data):
    paths = [make_scores(data, "red", 1), make_scores(data, "blue", 2)]
    assert compute(data, *paths)[1]["model"] == "blue+red"


def test_one_seed_twice_is_refused(data):
    paths = [make_scores(data, "red", 1), make_scores(data, "blue", 1)]
    with pytest.raises(UserError, match="red, blue: one configuration with one seed"):
        compute(data, *paths)
    with pytest.raises(UserError, match="two of the score files are of the same sys"):
        compute(data, paths[0], paths[0])


def test_best_of_keeps_the_strongest_row_alone(data):
    make = {"model": "floor", "seed": None, "config": "-"}
    weak = make_scores(data, **make, quality=0.3)
    strong = make_scores(data, **make, backend="cosine_mean", quality=3.0)
    rows = compute(data, weak, strong, options=["--best-of", "true"])
    assert [(r["backend"], r["seed"], r["marks"]) for r in rows] == [
        ("cosine_mean", "-", "best-of")
    ]  # fmt: skip
    # When the other becomes the best, the row of before goes.
    make_scores(data, **make, quality=6.0, marks=["speaker-overlap"])
    rows = compute(data, weak, strong, options=["--best-of", "true"])
    assert [(row["backend"], row["marks"]) for row in rows] == [
        ("cosine", "speaker-overlap,best-of")
    ]
    trained = make_scores(data, "net_s1", 1)
    with pytest.raises(UserError, match="--best-of chooses .*, and net_s1 is trained"):
        compute(data, weak, trained, options=["--best-of", "true"])


def test_two_processes_at_once_lose_nothing(data):
    paths = [make_scores(data, f"net{n}", n, config=f"c{n}") for n in range(6)]
    out = data.parents[1] / "exp" / "results"
    code = """if True:
        import sys, compute_metrics
        data, trials, out, *paths = sys.argv[1:]
        for path in paths:
            compute_metrics.main(["--draws", "5", data, trials, path, out])
    """
    running = [
        subprocess.Popen(
            [sys.executable, "-c", code, data, data / "trials" / "random", out, *half],
            env={**os.environ, "PYTHONPATH": str(ROOT / "steps")},
        )
        for half in (paths[:3], paths[3:])
    ]
    assert [process.wait() for process in running] == [0, 0]
    assert [row["model"] for row in table(out)] == [f"net{n}" for n in range(6)]


def test_scores_of_an_older_list_are_refused(data):
    path = make_scores(data, "net_s1", 1)
    listed = data / "trials" / "random"
    lines = listed.read_text().splitlines(keepends=True)
    listed.write_text("".join(lines[::-1]))
    with pytest.raises(UserError) as error:
        compute(data, path)
    assert "these scores are of another version of" in str(error.value)
    assert "score again with steps/score_trials.py" in str(error.value)
    assert not (data.parents[1] / "exp" / "results").exists()


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda t: t[1:], "1 trials have no score, the first is"),
        (lambda t: [*t, "x y 1"], "1 scores have no trial"),
        (lambda t: [*t, t[0]], "stands in line 1 already"),
        (lambda t: [t[0][: t[0].rindex(" ")] + " nan", *t[1:]], "'nan' is not a num"),
        (lambda t: [t[0] + " target", *t[1:]], ":1: expected 3 fields, found 4"),
    ],
)
def test_bad_scores_give_no_number(data, change, message):
    path = make_scores(data, "net_s1", 1)
    lines = change(path.read_text().splitlines())
    path.write_text("".join(f"{line}\n" for line in lines))
    with pytest.raises(UserError) as error:
        compute(data, path)
    assert message in str(error.value)
    assert not (data.parents[1] / "exp" / "results").exists()


@pytest.mark.parametrize("label", ["target", "nontarget"])
def test_trials_of_one_kind_give_no_number(data, label):
    listed = data / "trials" / "random"
    kept = [s for s in listed.read_text().splitlines(True) if s.split()[2] == label]
    listed.write_text("".join(kept))
    path = make_scores(data, "net_s1", 1)
    other = {"target": "non-target", "nontarget": "target"}[label]
    with pytest.raises(UserError, match=f"random: there is no {other} trial"):
        compute(data, path)


def test_scores_whose_sums_would_be_infinite_are_refused(data):
    path = make_scores(data, "net_s1", 1, llr=True)
    lines = [line.split() for line in path.read_text().splitlines()]
    path.write_text("".join(f"{a} {b} {float(x):.3f}e307\n" for a, b, x in lines))
    with pytest.raises(UserError, match=r":1: '.*e307' is too large for a score"):
        compute(data, path)
    assert not (data.parents[1] / "exp" / "results").exists()


def test_rows_without_the_columns_that_came_later_are_read(data):
    compute(data, make_scores(data, "net_s1", 1))
    path = data.parents[1] / "exp/results"
    (row,) = results.read(path)
    for name in ("min_cllr", "cllr", "few_errors"):
        row.pop(name, None)
    (path / "results.json").write_text(json.dumps({"rows": [row]}))
    assert results.read(path) == [row]
    rows = compute(data, make_scores(data, "net_s2", 2))
    assert [r["min_cllr"] == "-" for r in rows] == [True, False]
    del row["marks"]
    (path / "results.json").write_text(json.dumps({"rows": [row]}))
    with pytest.raises(UserError, match="results.json: damaged"):
        results.read(path)


def test_a_missing_or_damaged_description_is_named(data):
    path = make_scores(data, "net_s1", 1)
    beside = path.with_name("random.cosine.json")
    for text, message in (("{", "damaged"), ("[]", "damaged"), ("{}", "damaged")):
        beside.write_text(text)
        with pytest.raises(UserError, match=f"random.cosine.json: {message}: score ag"):
            compute(data, path)
    beside.unlink()
    with pytest.raises(UserError, match=r"random.cosine.json: no such file: score ag"):
        compute(data, path)


def test_a_damaged_table_is_not_overwritten(data):
    path = make_scores(data, "net_s1", 1)
    compute(data, path)
    out = data.parents[1] / "exp" / "results"
    for text in ("{", '{"rows": [{}]}'):
        (out / "results.json").write_text(text)
        with pytest.raises(UserError, match="results.json: damaged"):
            compute(data, path)
    (out / "results.json").unlink()
    with pytest.raises(UserError, match="results.json: no such file, but results.tsv"):
        compute(data, path)


def test_blanks_in_a_cell_do_not_break_the_table():
    row = dict.fromkeys(results.COLUMNS, "a\tb\nc")
    assert {results.cell(row, name) for name in results.COLUMNS} == {"a b c"}


def test_the_printed_table(data, capsys):
    (data / "corpus.json").write_text('{"name": "talkers"}')
    for name in ("random", "hard"):
        paths = [make_scores(data, f"xvector_aam_s{s}", s, name=name,
                             backend="cosine_mean") for s in (1, 2, 3)]  # fmt: skip
        compute(data, *paths, name=name)
        floor = make_scores(data, "floor", None, name=name, config="-", quality=0.5)
        compute(data, floor, name=name, options=["--best-of", "true"])
    said = capsys.readouterr().out
    assert "floor cosine - hard eer" in said and "mindcf_0.01" in said
    assert print_results.main([str(data.parents[1] / "exp" / "results")]) == 0
    printed = capsys.readouterr().out
    lines = printed.splitlines()
    assert max(map(len, lines)) <= 100
    assert lines[0].startswith("test, trials hard: 48 targets, 48 non-targets, 12 enr")
    names = [line.split()[0] for line in lines[2:7]]
    assert names == ["xvector_aam", *(f"xvector_aam_s{s}" for s in (1, 2, 3)), "floor"]
    assert "mean(1,2,3)" in lines[2] and "(untrained)" in lines[6]
    assert lines[8].startswith("test, trials random:")
    assert "talkers is synthetic" in printed and "marked" not in printed


def test_marked_rows_carry_a_star(data, capsys):
    compute(data, make_scores(data, "net_s1", 1, marks=["speaker-overlap"]))
    print_results.main([str(data.parents[1] / "exp" / "results")])
    printed = capsys.readouterr().out
    assert "net_s1 * cosine" in printed and "* marked: speaker-overlap" in printed


def test_rows_of_older_settings_are_told_apart(data, capsys):
    compute(data, *(make_scores(data, f"net_s{seed}", seed) for seed in (1, 2, 3)))
    compute(data, make_scores(data, "other_s1", 1, config="0ther5"))
    results_dir = str(data.parents[1] / "exp" / "results")
    print_results.main([results_dir])
    assert "[c0ffee]" not in capsys.readouterr().out
    changed = [make_scores(data, f"net_s{s}", s, config="f00dab12") for s in (1, 2)]
    compute(data, *changed)
    print_results.main([results_dir])
    printed = capsys.readouterr().out
    for text in (
        r"net \[f00dab\] +cosine +mean\(1,2\) ", r"net_s1 \[f00dab\] +cosine +1 ",
        r"net \[c0ffee\] +cosine +mean\(1,2,3\) ", r"net_s3 \[c0ffee\] +cosine +3 ",
        r"other_s1 +cosine", "net: rows of different settings",
    ):  # fmt: skip
        assert re.search(text, printed), (text, printed)


def test_draws_without_both_kinds_are_said(tmp_path, caplog):
    data = tmp_path / "data" / "test"
    (data / "trials").mkdir(parents=True)
    write_table(data / "utt2spk", {"a1": "a", "a2": "a", "b1": "b"})
    (data / "trials" / "random").write_text("a1 a2 target\na1 b1 nontarget\n")
    compute(data, make_scores(data, "net_s1", 1))
    assert "draws of speakers hold trials of one kind only" in caplog.text


def test_there_must_be_results_to_print(tmp_path):
    with pytest.raises(UserError, match="results.json: no such file: run steps/comp"):
        print_results.main([str(tmp_path)])


def test_results_json_is_strict_json(data):
    compute(data, make_scores(data, "net_s1", 1))
    text = (data.parents[1] / "exp" / "results" / "results.json").read_text()
    assert json.loads(text, parse_constant=lambda name: pytest.fail(name))["rows"]


@pytest.mark.parametrize("content", [b"{", b"[]", b"\xff", b"[" * 20000])
def test_a_damaged_corpus_description_is_named(data, content):
    (data / "corpus.json").write_bytes(content)
    with pytest.raises(UserError, match="corpus.json: damaged"):
        compute(data, make_scores(data, "net_s1", 1))


@pytest.mark.parametrize(
    "change",
    [{"model": 3}, {"marks": [1]}, {"config": None}, {"model": "\ud800"},
     {"seed": 2**63}, {"seed": -(2**63)}],
)  # fmt: skip
def test_a_description_with_odd_types_is_damaged(data, change):
    path = make_scores(data, "net_s1", 1)
    described = path.with_name(f"{path.name}.json")
    info = {**json.loads(described.read_text()), **change}
    described.write_text(json.dumps(info))
    with pytest.raises(UserError, match="damaged: score again"):
        compute(data, path)


@pytest.mark.parametrize(
    "change",
    [{"eer": float("inf")}, {"eer": 10**400}, {"data": ["a"]}, {"marks": "x"},
     {"corpus": 3}, {"model": "\ud800"}],
)  # fmt: skip
def test_a_table_with_odd_values_is_damaged(data, change):
    compute(data, make_scores(data, "net_s1", 1))
    path = data.parents[1] / "exp/results"
    rows = [{**row, **change} for row in results.read(path)]
    (path / "results.json").write_text(json.dumps({"rows": rows}))
    with pytest.raises(UserError, match="results.json: damaged"):
        print_results.main([str(path)])


# What runs all of these


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--trials", " \n"], "--trials: expected names, got"),
        (["--backends", ""], "--backends: expected names, got ''"),
        (["--backends", "plda"], "--backends: without --train there is cosine alone"),
        (["--backends", "cosine plda"], "without --train there is cosine alone"),
    ],
)
def test_wrong_options_of_the_evaluation_are_refused(tmp_path, words, message):
    for name in ("steps", "utils", "conf", "path.sh"):
        (tmp_path / name).symlink_to(ROOT / name)
    done = subprocess.run(
        ["steps/evaluate_models.sh", *words, "data/test", "exp/results", "exp/net"],
        cwd=tmp_path, env=environment(), capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert (done.returncode, done.stdout) == (2, "")
    assert message in done.stderr and "Usage: steps/evaluate_models.sh" in done.stderr
    assert not (tmp_path / "exp").exists()

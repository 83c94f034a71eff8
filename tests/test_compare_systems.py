"""Comparison of systems, draw by draw, against loops over the draws."""

import json

import numpy as np
import pytest
from test_results import data, make_scores  # noqa: F401

import compare_systems
from chronovox.cli import UserError
from chronovox.evaluation import bootstrap, eer
from chronovox.trials import read_trials


def compare(data, *scores, options=()) -> list[dict]:  # noqa: F811
    out = data.parents[1] / "exp" / "results"
    words = [*options, data, data / "trials/random", *scores, out]
    assert compare_systems.main([str(word) for word in words]) == 0
    return json.loads((out / "comparisons.json").read_text())["rows"]


def draws_of(data, path, num_draws):  # noqa: F811
    """The EER of each draw of speakers, by repeating trials."""
    trials = read_trials(data / "trials/random")
    scores = np.loadtxt(path, usecols=2)
    speakers = trials.speakers({key: key[:3] for key in trials.keys}, "")
    rates = []
    for counts in bootstrap.draw_speakers(len(speakers.names), num_draws):
        repeats = counts[speakers.enrol]
        repeats = repeats * np.where(trials.is_target, 1, counts[speakers.test])
        many, kind = np.repeat(scores, repeats), np.repeat(trials.is_target, repeats)
        rates.append(eer(many[kind], many[~kind]))
    return np.array(rates)


def test_the_difference_is_of_the_same_draws(data, capsys):  # noqa: F811
    paths = [
        make_scores(data, "net_s1", 1, quality=1.0),
        make_scores(data, "net_s1", 1, backend="plda", quality=2.5),
    ]
    rows = compare(data, *paths, options=["--draws", "100"])
    assert {row["metric"] for row in rows} == {"eer", "mindcf_0.01", "mindcf_0.05"}
    row = next(row for row in rows if row["metric"] == "eer")
    assert (row["a"], row["b"]) == ("net_s1, cosine", "net_s1, plda")
    first, second = (draws_of(data, path, 100) for path in paths)
    low, high = np.quantile(second - first, [0.025, 0.975])
    assert (row["lo"], row["hi"]) == pytest.approx((low, high))
    assert row["difference"] == pytest.approx(row["value_b"] - row["value_a"])
    assert row["p"] == max(2 * np.mean(second >= first), 0.02)
    printed = capsys.readouterr().out
    assert f"[{100 * low:.2f}, {100 * high:.2f}]" in printed
    assert rows == compare(data, *paths, options=["--draws", "100"])


def test_a_system_differs_from_itself_by_nothing(data):  # noqa: F811
    """Two back ends of the same models and scores: their seeds are drawn alike."""
    paths = [
        make_scores(data, f"net_s{seed}", seed, backend=backend, quality=seed)
        for backend in ("cosine", "plda")
        for seed in (1, 2, 3)
    ]
    for path in paths[3:]:
        twin = path.with_name(path.name.replace("plda", "cosine"))
        path.write_bytes(twin.read_bytes())
    for row in compare(data, *paths, options=["--draws", "50"]):
        assert (row["a"], row["b"]) == ("net, cosine", "net, plda")
        assert (row["difference"], row["lo"], row["hi"], row["p"]) == (0, 0, 0, 1)


def test_seeds_of_other_models_are_drawn_apart(data):  # noqa: F811
    """As good, but not the same models: the interval holds what seeds do."""
    one, two = (
        [
            make_scores(data, f"{name}_s{seed}", seed, config=name, quality=3.0 * seed)
            for seed in (1, 2)
        ]
        for name in ("red", "blue")
    )
    for path, twin in zip(two, one, strict=True):
        path.write_bytes(twin.read_bytes())
    row = next(row for row in compare(data, *one, *two) if row["metric"] == "eer")
    assert row["difference"] == 0 and row["lo"] < 0 < row["hi"]


def eer_row(rows, name) -> dict:
    (row,) = (r for r in rows if (r["metric"], r["b"]) == ("eer", name))
    return row


def test_few_speakers_get_no_interval(data):  # noqa: F811
    listed = data / "trials/random"
    rows = [line.split() for line in listed.read_text().splitlines()]
    for number, wanted in ((6, True), (4, False)):
        kept = [row for row in rows if max(row[0][:3], row[1][:3]) < f"s{number:02d}"]
        listed.write_text("".join(" ".join(row) + "\n" for row in kept))
        backends = "cosine", "plda"
        paths = [make_scores(data, "net_s1", 1, backend=name) for name in backends]
        row = eer_row(compare(data, *paths, options=["--draws", "50"]), "net_s1, plda")
        assert [row[name] is not None for name in ("lo", "hi", "p")] == [wanted] * 3


def test_configurations_of_one_name_are_told_apart(data):  # noqa: F811
    configs = "c0ffee99", "f00dab12"
    paths = [
        make_scores(data, f"net_s{seed}", seed, config=config)
        for seed, config in enumerate(configs)
    ]
    paths.append(make_scores(data, "other_s1", 1, config="0ther5"))
    rows = compare(data, *paths, options=["--draws", "5"])
    assert {row["a"] for row in rows} == {"net_s0 [c0ffee], cosine"}
    names = {row["b"] for row in rows}
    assert names == {"net_s1 [f00dab], cosine", "other_s1, cosine"}


def test_two_systems_of_one_name_are_refused(data):  # noqa: F811
    path = make_scores(data, "floor", None, config="-")
    with pytest.raises(UserError, match="two systems have one name, floor, cosine, fl"):
        compare(data, path, path, options=["--draws", "5"])


def test_few_errors_and_marks_are_shown(data, capsys, monkeypatch):  # noqa: F811
    monkeypatch.setattr(
        "chronovox.evaluation.metrics.few_errors",
        lambda curve, priors: ["mindcf_0.05"] if curve.eer() < 0.1 else [],
    )
    few, some = (
        make_scores(data, "net_s1", 1, backend=name, quality=quality, marks=marks)
        for name, quality, marks in (("few", 9.0, []), ("some", 0.5, ["best-of"]))
    )
    plain = make_scores(data, "net_s1", 1, backend="plain", quality=0.5)
    options = ["--draws", "5"]
    for paths, dagger, star in (
        ((some, plain), False, True), ((plain, few), True, False),
        ((few, some), True, True),
    ):  # fmt: skip
        rows = compare(data, *paths, options=options)
        said = capsys.readouterr().out
        lines = [line for line in said.splitlines() if " net_s1, " in line]
        costs = [line for line in lines if line.startswith("  mindcf_0.05 \N{DAGGER}")]
        assert len(costs) == dagger
        assert [line for line in lines if "\N{DAGGER}" in line] == costs
        assert all((" * " in line) == star for line in lines) and len(lines) == 3
        assert ("* marked: best-of" in said) == star
        assert ("\N{DAGGER} rests on fewer" in said) == dagger
    assert all(
        row["marks"] == ["best-of"] for row in rows if row["b"] == "net_s1, some"
    )


def test_one_system_alone_is_refused(data):  # noqa: F811
    path = make_scores(data, "net_s1", 1)
    with pytest.raises(UserError, match="nothing to compare it with"):
        compare(data, path)
    out = data.parents[1] / "exp/results"
    out.mkdir(parents=True, exist_ok=True)
    (out / "comparisons.json").write_text('{"rows": [{"data": 1}]}')
    other = make_scores(data, "net_s1", 1, backend="plda")
    with pytest.raises(UserError, match="comparisons.json: damaged"):
        compare(data, path, other)

"""Calibration and fusion: weights, measures of quality, and what is refused."""

import json
import logging
from pathlib import Path

import numpy as np
import pytest
from conftest import ROOT
from scipy.optimize import minimize
from test_scoring import score, train, world, write_embeddings  # noqa: F401  # fixture

import calibrate_scores
import compute_metrics
import measure_quality
import select_trials
import train_calibration
from chronovox import config
from chronovox.cli import UserError
from chronovox.datadir import read_floats, read_table, write_table
from chronovox.evaluation import metrics, results
from chronovox.scoring import calibration, read_info, read_scores, write_scores
from chronovox.scoring.backend import Backend, BackendConfig
from chronovox.scoring.calibration import CalibrationConfig
from chronovox.scoring.normalisation import NormConfig
from chronovox.trials import Trials, read_trials, write_trials
from chronovox.trials.rules import Negatives, Positives, Rules, SpeakerRule, age_rule
from chronovox.trials.statistics import read_age_rule

MU = 3.0  # of the ratios of targets; their variance is twice that


def ratios(rng, is_target) -> np.ndarray:
    """True log-likelihood ratios: normal with means +-MU and the variance 2 MU."""
    means = np.where(is_target, MU, -MU)
    return means + np.sqrt(2 * MU) * rng.normal(size=len(is_target))


def by_scipy(columns: dict, is_target, p_target: float) -> np.ndarray:
    """Offset and weights at the least cost, which has no ridge."""
    inputs = np.stack(list(columns.values()), axis=1)
    sign = np.where(is_target, -1.0, 1.0)
    share = np.where(
        is_target, p_target / is_target.sum(), (1 - p_target) / (~is_target).sum()
    )
    odds = np.log(p_target / (1 - p_target))

    def cost(weights):
        found = sign * (inputs @ weights[1:] + weights[0] + odds)
        slope = share * sign / (1 + np.exp(-found))
        return share @ np.logaddexp(0, found), np.append(slope.sum(), inputs.T @ slope)

    start = np.zeros(len(columns) + 1)
    done = minimize(cost, start, jac=True, method="BFGS", options={"gtol": 1e-9})
    return done.x


def kinds(num_targets, num_nontargets) -> np.ndarray:
    return np.arange(num_targets + num_nontargets) < num_targets


def of_systems(*columns) -> dict:
    return {f"m/b{number}": column for number, column in enumerate(columns)}


@pytest.mark.parametrize("p_target", [0.5, 0.05, 0.001, 0.99])
def test_weights_are_those_of_the_least_cost(p_target):
    rng = np.random.default_rng(1)
    is_target = kinds(800, 3000)
    llr = ratios(rng, is_target)
    views = llr + rng.normal(size=llr.shape), 0.3 * llr - 2 + rng.normal(size=llr.shape)
    columns = of_systems(*views) | {"duration": rng.normal(size=llr.shape)}
    found = calibration.train(columns, is_target, p_target)
    expected = by_scipy(columns, is_target, p_target)
    assert list(found) == ["offset", *columns]
    np.testing.assert_allclose(list(found.values()), expected, rtol=1e-3, atol=1e-4)


def test_known_ratios_come_back_from_an_affine_function_of_them():
    rng = np.random.default_rng(2)
    is_target = kinds(50000, 50000)
    llr = ratios(rng, is_target)
    found = calibration.train(of_systems((llr - 2) / 5), is_target, 0.5)
    assert found["m/b0"] == pytest.approx(5, rel=0.03)
    assert found["offset"] == pytest.approx(2, abs=0.06)


def curve_of(weights, columns, is_target, p_targets=(0.5, 0.05)) -> metrics.Curve:
    trained = calibration.Calibration(CalibrationConfig(), [], None, weights, "")
    return metrics.SortedTrials(trained.llrs(columns), is_target, p_targets).curve()


def test_costs_on_other_trials_are_near_the_least():
    rng = np.random.default_rng(3)
    columns, is_target = [], kinds(4000, 20000)
    for _ in range(2):
        columns.append(of_systems(0.2 * ratios(rng, is_target) + 7))
    curve = curve_of(
        calibration.train(columns[0], is_target, 0.5), columns[1], is_target
    )
    assert curve.min_cllr() < curve.cllr() < 1.03 * curve.min_cllr()
    for p_target in (0.5, 0.05):
        least = curve.min_dcf(p_target)
        assert least <= curve.act_dcf(p_target) < 1.05 * least


def test_a_fusion_is_better_than_either_view():
    rng = np.random.default_rng(4)
    is_target = kinds(4000, 8000)
    halves = []
    for _ in range(2):
        llr = ratios(rng, is_target)
        noise = 3 * rng.normal(size=(2, len(llr)))
        halves.append(of_systems(llr + noise[0], 100 * (llr + noise[1])))
    found = {}
    for names in (("m/b0",), ("m/b1",), ("m/b0", "m/b1")):
        trained, tested = ({n: half[n] for n in names} for half in halves)
        weights = calibration.train(trained, is_target, 0.5)
        curve = curve_of(weights, tested, is_target)
        found[names] = curve.cllr(), curve.eer()
    both = found.pop(("m/b0", "m/b1"))
    assert all(both[n] < 0.9 * min(one[n] for one in found.values()) for n in (0, 1))


def test_trials_that_are_parted_perfectly_have_finite_weights():
    is_target = kinds(3, 4)
    scores = np.array([2.0, 3, 2.5, -1, -2, 0, -3])
    found = calibration.train(of_systems(scores), is_target, 0.5)
    assert 2 < found["m/b0"] < 50
    llr = found["offset"] + found["m/b0"] * scores
    assert llr[:3].min() > 5 and llr[3:].max() < -5


def test_inputs_that_say_nothing_or_the_same_are_no_trouble():
    rng = np.random.default_rng(5)
    is_target = kinds(500, 500)
    llr = ratios(rng, is_target)
    alone = calibration.train(of_systems(llr), is_target, 0.5)
    twice = calibration.train(of_systems(llr, llr), is_target, 0.5)
    constant = np.full(1000, 0.1)
    more = calibration.train(of_systems(llr) | {"faces": constant}, is_target, 0.5)
    assert twice["m/b0"] == pytest.approx(alone["m/b0"] / 2, rel=1e-3)
    assert twice["m/b1"] == pytest.approx(alone["m/b0"] / 2, rel=1e-3)
    assert more.pop("faces") == 0 and more == pytest.approx(alone, rel=1e-6)
    for scale in (1e-300, 1e300):
        with pytest.raises(UserError, match="m/b0: numbers too"):
            calibration.train(of_systems(scale * llr), is_target, 0.5)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("p_target: 0\n", "p_target must be from 0.0001 to 0.9999"),
        ("quality: [age]\n", "'age' is not one of duration, norm, cohort, faces, gap"),
        ("quality: [norm, norm]\n", "quality names a measure twice"),
        ("measures: [norm]\n", "unknown key 'measures'"),
    ],
)
def test_wrong_settings_are_refused(tmp_path, text, message):
    (tmp_path / "x.yaml").write_text(text)
    with pytest.raises(UserError, match=message):
        config.load(tmp_path / "x.yaml", CalibrationConfig)


def test_the_settings_of_conf_are_valid():
    for folder in (ROOT, ROOT / "egs/own_corpus", ROOT / "egs/voxceleb"):
        paths = sorted(folder.glob("conf/calibration/*.yaml"))
        found = {p.stem: config.load(p, CalibrationConfig) for p in paths}
        assert found == {
            "linear": CalibrationConfig(),
            "quality": CalibrationConfig(
                quality=["duration", "norm", "cohort", "faces"]
            ),
            "gap": CalibrationConfig(quality=["gap"]),
        }


# The steps


def make_set(folder: Path, name: str, seed: int, num_speakers=8) -> dict:
    """A data directory with a list, true ratios of its trials, and durations."""
    rng = np.random.default_rng(seed)
    data = folder / "data" / name
    utts = [f"{name}{n:02d}-{u}" for n in range(num_speakers) for u in range(6)]
    write_table(data / "utt2spk", {utt: utt.split("-")[0] for utt in utts})
    lines = []
    for row, utt in enumerate(utts):
        for other in utts[row + 1 :]:
            same = utt.split("-")[0] == other.split("-")[0]
            lines.append(f"{utt} {other} {'target' if same else 'nontarget'}\n")
    (data / "list").write_text("".join(lines))
    numbers = f"trials {len(lines)}\ntargets {15 * num_speakers}\nage-rule none\n"
    (data / "list.stats").write_text(numbers)
    trials = read_trials(data / "list")
    write_table(data / "utt2dur", {utt: f"{rng.uniform(0.5, 8):.3f}" for utt in utts})
    return {"data": data, "trials": trials, "llr": ratios(rng, trials.is_target)}


INFO = {
    "model": "net_s3", "seed": 3, "config": "0123", "backend": "plda", "marks": [],
    "llr": False, "system_sha256": "aa", "embeddings_sha256": "bb",
}  # fmt: skip


def put_scores(part: dict, name: str, scores, **info) -> Path:
    path = part["data"] / name
    write_scores(path, part["trials"], np.asarray(scores), INFO | info)
    return path


@pytest.fixture
def sets(tmp_path) -> dict:
    """Development and test set, each with the scores `plda`: a tenth of the ratios."""
    found = {
        name: make_set(tmp_path, name, n) for n, name in enumerate(("dev", "test"))
    }
    for part in found.values():
        put_scores(part, "list.plda", part["llr"] / 10 + 1)
    return found | {"folder": tmp_path}


def call(main, *words) -> None:
    assert main([str(word) for word in words]) == 0


def calibrate(sets, settings="{}\n", scores=("plda",), out="plda_llr", options=()):
    """Train on the development set."""
    folder, data = sets["folder"], sets["dev"]["data"]
    (folder / "x.yaml").write_text(settings)
    paths = [data / f"list.{name}" for name in scores]
    call(
        train_calibration.main, *options, folder / "x.yaml", data, data / "list",
        *paths, folder / out,
    )  # fmt: skip
    return folder / out


def apply(sets, calibrated, *options, scores=("plda",), part="test") -> Path:
    data = sets[part]["data"]
    paths = [data / f"list.{name}" for name in scores]
    out = data / f"list.{calibrated.name}"
    call(calibrate_scores.main, *options, calibrated, data, data / "list", *paths, out)
    return out


def test_the_steps_calibrate_and_say_what_they_did(sets):
    dev, test = sets["dev"], sets["test"]
    folder = calibrate(sets)
    names, numbers = zip(
        *(line.split() for line in (folder / "weights").read_text().splitlines()),
        strict=True,
    )
    assert names == ("offset", "net_s3/plda")
    expected = by_scipy({"x": dev["llr"] / 10 + 1}, dev["trials"].is_target, 0.5)
    np.testing.assert_allclose(list(map(float, numbers)), expected, rtol=1e-3)
    assert read_table(folder / "speakers") == {f"dev{n:02d}": "282" for n in range(8)}
    path = apply(sets, folder)
    llrs = read_scores(path, test["trials"])
    expected = float(numbers[0]) + float(numbers[1]) * (test["llr"] / 10 + 1)
    np.testing.assert_allclose(llrs, expected, rtol=1e-6, atol=1e-7)
    info = read_info(path, test["trials"])
    assert info["llr"] is True and info["backend"] == "plda_llr"
    assert info["system_sha256"] not in (None, "aa")
    same = "model", "seed", "config", "marks", "embeddings_sha256"
    assert {name: info[name] for name in same} == {name: INFO[name] for name in same}
    words = ["--draws", 20, test["data"], test["data"] / "list", path]
    call(compute_metrics.main, *words, sets["folder"] / "results")
    (row,) = results.read(sets["folder"] / "results")
    assert row["cllr"] < 1.5 * row["min_cllr"] and row["actdcf_0.5"] < 0.5


def test_a_ratio_depends_on_its_own_trial_alone(sets):
    test = sets["test"]
    folder = calibrate(sets)
    whole = apply(sets, folder).read_text().splitlines()
    lines = (test["data"] / "list").read_text().splitlines(keepends=True)
    (test["data"] / "list").write_text("".join(lines[5:900:7]))
    test["trials"] = read_trials(test["data"] / "list")
    put_scores(test, "list.plda", (test["llr"] / 10 + 1)[5:900:7])
    assert apply(sets, folder).read_text().splitlines() == whole[5:900:7]


def test_a_fusion_joins_what_differs(sets):
    other = {"model": "net_s4", "seed": 4, "backend": "cosine", "system_sha256": "cc"}
    for name in ("dev", "test"):
        noise = np.random.default_rng(7).normal(size=len(sets[name]["llr"]))
        put_scores(sets[name], "list.cosine", sets[name]["llr"] + noise, **other)
        put_scores(sets[name], "list.both", sets[name]["llr"], backend="both",
                   marks=["best-of"])  # fmt: skip
    folder = calibrate(sets, scores=("cosine", "plda"), out="fused")
    assert read_info(
        apply(sets, folder, scores=("cosine", "plda")), sets["test"]["trials"]
    ) == {
        **read_info(sets["test"]["data"] / "list.fused", sets["test"]["trials"]),
        "model": "net_s4+net_s3", "seed": None, "config": "0123", "backend": "fused",
        "embeddings_sha256": "bb", "marks": [],
    }  # fmt: skip
    folder = calibrate(sets, scores=("plda", "both"), out="fused")
    path = apply(sets, folder, scores=("plda", "both"))
    info = read_info(path, sets["test"]["trials"])
    assert (info["model"], info["seed"]) == ("net_s3", 3)
    assert info["marks"] == ["best-of"]  # of the score file, and of the calibration
    put_scores(sets["test"], "list.both", sets["test"]["llr"], backend="both")
    path = apply(sets, folder, scores=("plda", "both"))
    assert read_info(path, sets["test"]["trials"])["marks"] == ["best-of"]


def test_a_fusion_tells_the_marks_and_embeddings_of_all_scores(sets):
    other = {"model": "net_s4", "backend": "cosine", "embeddings_sha256": "cc"}
    for part in (sets["dev"], sets["test"]):
        noise = np.random.default_rng(7).normal(size=len(part["llr"]))
        put_scores(part, "list.cosine", part["llr"] + noise, **other)
    folder = calibrate(sets, scores=("plda", "cosine"), out="fused")
    part, marks = sets["test"], ["training-unknown"]
    put_scores(part, "list.cosine", part["llr"] + noise, **other, marks=marks)
    path = apply(sets, folder, scores=("plda", "cosine"))
    info = read_info(path, part["trials"])
    assert (info["embeddings_sha256"], info["marks"]) == ("bb+cc", marks)


def test_a_calibrated_file_can_be_calibrated_again(sets):
    folder = calibrate(sets)
    apply(sets, folder, part="dev")
    apply(sets, folder)
    again = calibrate(sets, scores=("plda_llr",), out="again")
    weights = calibration.load(again).weights
    assert weights["net_s3/plda_llr"] == pytest.approx(1, abs=1e-3)
    assert weights["offset"] == pytest.approx(0, abs=1e-3)
    info = read_info(apply(sets, again, scores=("plda_llr",)), sets["test"]["trials"])
    assert info["marks"] == ["calibration-list"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"backend": "cosine"}, "of net_s3/cosine, where .*plda_llr was trained on .*"
         "net_s3/plda: give one of each of net_s3/plda, in this order"),
        ({"model": "net_s4"}, "scores of net_s4/plda, where"),
        ({"seed": 4}, "not the system that .* was trained on: another seed"),
        ({"config": "4567"}, "another config: score again"),
        ({"system_sha256": "ab"}, "another system_sha256"),
    ],
)  # fmt: skip
def test_scores_of_other_systems_are_refused(sets, changes, message):
    folder = calibrate(sets)
    put_scores(sets["test"], "list.plda", sets["test"]["llr"], **changes)
    with pytest.raises(UserError, match=message):
        apply(sets, folder)


def test_number_and_order_of_score_files_count(sets):
    for name in ("dev", "test"):
        part = sets[name]
        put_scores(part, "list.cosine", part["llr"], backend="cosine")
    folder = calibrate(sets, scores=("plda", "cosine"), out="fused")
    with pytest.raises(
        UserError, match="list.cosine: .*give one of each of net_s3/plda, net_s3/cosine"
    ):
        apply(sets, folder, scores=("cosine", "plda"))
    with pytest.raises(UserError, match="fused: of 2 score files, not 1: give one"):
        apply(sets, folder)
    with pytest.raises(UserError, match="two of the score files are of net_s3/plda"):
        calibrate(sets, scores=("plda", "plda"))
    data = sets["test"]["data"]
    words = folder, data, data / "list", data / "list.plda", data / "list.plda"
    with pytest.raises(UserError, match="list.plda: is one of the score files"):
        call(calibrate_scores.main, *words)


def test_speakers_of_the_calibration_are_refused_or_marked(sets):
    folder = calibrate(sets)
    path = apply(sets, folder, part="dev")  # the list itself
    assert read_info(path, sets["dev"]["trials"])["marks"] == ["calibration-list"]
    part = sets["dev"]
    write_trials(part["trials"].path, Trials.of(
        part["trials"].test, part["trials"].enrol, part["trials"].is_target, ""
    ))  # fmt: skip
    part["trials"] = read_trials(part["trials"].path)
    put_scores(part, "list.plda", part["llr"])
    with pytest.raises(UserError, match="8 of 8 speakers .*plda_llr/speakers"):
        apply(sets, folder, part="dev")
    path = apply(sets, folder, "--allow-speaker-overlap", "true", part="dev")
    assert read_info(path, sets["dev"]["trials"])["marks"] == ["speaker-overlap"]


def test_what_is_odd_is_said(sets, caplog):
    caplog.set_level(logging.WARNING)
    put_scores(sets["dev"], "list.plda", -sets["dev"]["llr"])
    folder = calibrate(sets)
    assert "higher scores speak for different speakers" in caplog.text
    assert calibration.load(folder).weights["net_s3/plda"] == pytest.approx(-1, abs=0.5)
    put_scores(sets["dev"], "list.plda", np.ones(len(sets["dev"]["llr"])))
    calibrate(sets)
    assert "net_s3/plda never varies: its weight is 0" in caplog.text


def test_nothing_is_taken_for_a_calibration_that_is_none(sets, monkeypatch):
    """Of failed and of killed trainings, and of damaged files."""
    folder = calibrate(sets)
    with pytest.raises(UserError, match="x.yaml: unknown key 'priors'"):
        calibrate(sets, "priors: 1\n")
    assert calibration.load(folder).weights  # nothing was begun

    def killed(*words):
        raise KeyboardInterrupt

    for place in ("chronovox.config.save", "chronovox.datadir.write_table"):
        calibrate(sets)
        with monkeypatch.context() as patch:
            patch.setattr(place, killed)
            with pytest.raises(KeyboardInterrupt):
                calibrate(sets)
        with pytest.raises(UserError, match="plda_llr: no trained calibration"):
            apply(sets, folder)
    calibrate(sets)
    dev = sets["dev"]["data"]
    lines = (dev / "list").read_text().splitlines(keepends=True)
    lines = [line for line in lines if line.endswith(" target\n")]
    (dev / "list").write_text("".join(lines))
    sets["dev"]["trials"] = read_trials(dev / "list")
    put_scores(sets["dev"], "list.plda", sets["dev"]["llr"][: len(lines)])
    with pytest.raises(UserError, match="list: trials of one kind only"):
        calibrate(sets)
    with pytest.raises(UserError, match="plda_llr: no trained calibration"):
        apply(sets, folder)


@pytest.mark.parametrize(
    ("name", "old", "new", "message"),
    [
        ("weights", "offset", "ofset", "weights: of ofset, net_s3/plda, expected"),
        ("weights", "offset ", "offset x", "weights:1: 'x-?[0-9.]*' is not a number"),
        ("weights", "net_s3/plda", "offset", "weights:2: damaged: train it again"),
        ("systems.json", "{", "[", "systems.json: damaged: train it again"),
        ("systems.json", '"seed": 3', '"seed": "3"', "systems.json: damaged"),
        ("config.yaml", "quality: []", "quality: [gap]", "expected those of .*, gap"),
    ],
)
def test_damaged_calibrations_are_refused(sets, name, old, new, message):
    folder = calibrate(sets)
    text = (folder / name).read_text()
    (folder / name).write_text(text.replace(old, new, 1))
    with pytest.raises(UserError, match=message):
        apply(sets, folder)
    (folder / name).unlink()
    with pytest.raises(UserError, match="no such file|no trained calibration"):
        apply(sets, folder)


def test_folders_of_something_else_are_left_alone(sets):
    (sets["folder"] / "net").mkdir()
    (sets["folder"] / "net" / "config.yaml").write_text("model: tdnn\n")
    with pytest.raises(UserError, match="net: holds no calibration: name a folder of"):
        calibrate(sets, out="net")
    assert (sets["folder"] / "net" / "config.yaml").exists()
    with pytest.raises(UserError, match="plda: is called as the back end of a score"):
        calibrate(sets, out="plda")


# Measures of quality


def put_quality(sets, **tables) -> list[Path]:
    """A folder of measures for each set; None leaves the table out."""
    found = []
    for name in ("dev", "test"):
        data, folder = sets[name]["data"], sets["folder"] / f"quality_{name}"
        durations = {u: f"{v:.3f}" for u, v in read_floats(data / "utt2dur").items()}
        for table, values in ({"duration": durations} | tables).items():
            if values is not None:
                write_table(folder / table, values)
        write_table(folder / "made_from", {"embeddings": "bb", "backend": "dd"})
        found.append(folder)
    return found


def test_a_measure_that_matters_lowers_the_cost(sets):
    """Scores of short utterances are lower, whoever speaks."""
    for name in ("dev", "test"):
        part = sets[name]
        table = read_floats(part["data"] / "utt2dur")
        shorter = [min(table[a], table[b]) for a, b in part["trials"].blocks()]
        put_scores(part, "list.plda", part["llr"] + 4 * np.log(shorter))
    dev, test = put_quality(sets)
    found = {}
    for settings in ("{}\n", "quality: [duration]\n"):
        folder = calibrate(sets, settings, options=("--quality", dev))
        path = apply(sets, folder, "--quality", test)
        llrs = read_scores(path, sets["test"]["trials"])
        is_target = sets["test"]["trials"].is_target
        found[settings] = metrics.cllr(llrs[is_target], llrs[~is_target])
    plain, better = found.values()
    assert better < 0.7 * plain
    weights = calibration.load(folder).weights
    assert list(weights) == ["offset", "net_s3/plda", "duration"]
    ratio = weights["duration"] / weights["net_s3/plda"]
    assert ratio == pytest.approx(-4, abs=0.6)


@pytest.mark.parametrize(
    ("measure", "table", "message"),
    [
        (
            "norm",
            None,
            "quality_dev/norm: no such file: it is made by steps/measure_qu",
        ),
        ("cohort", None, "cohort: no such file: .*measure_quality.py --backend DIR"),
        ("faces", {"dev00-0": 1}, "list:48: 'dev00-1' is not in .*dev/faces .made by"),
        ("norm", "", "quality_dev/norm: empty file"),
        ("norm", "dev00-0 nan\n", "norm: dev00-0: 'nan' is not a number"),
        ("duration", "all 0", "duration: 0, of one of 'dev00-0 dev00-1', is no dura"),
        ("faces", "all -1", "faces: -1, of one of 'dev00-0 dev00-1', is no faces"),
    ],
)
def test_missing_and_bad_measures_are_named(sets, measure, table, message):
    dev, _ = put_quality(sets, **{measure: table if isinstance(table, dict) else None})
    if isinstance(table, str):
        if table.startswith("all"):
            utts = read_table(sets["dev"]["data"] / "utt2spk")
            table = "".join(f"{utt} {table.split()[1]}\n" for utt in utts)
        (dev / measure).write_text(table)
    with pytest.raises(UserError, match=message):
        calibrate(sets, f"quality: [{measure}]\n", options=("--quality", dev))


def test_measures_are_of_the_scored_embeddings_and_of_one_back_end(sets):
    norms = {
        utt: f"{number}"
        for name in ("dev", "test")
        for number, utt in enumerate(read_table(sets[name]["data"] / "utt2spk"), 1)
    }
    dev, test = put_quality(sets, norm=norms, cohort=norms)
    settings = "quality: [norm, cohort]\n"
    with pytest.raises(UserError, match="asks for norm, cohort: give --quality DIR"):
        calibrate(sets, settings)
    folder = calibrate(sets, settings, options=("--quality", dev))
    apply(sets, folder, "--quality", test)
    write_table(test / "made_from", {"embeddings": "bb", "backend": "ee"})
    with pytest.raises(UserError, match="test/cohort: of another back end than that"):
        apply(sets, folder, "--quality", test)
    write_table(test / "made_from", {"embeddings": "b", "backend": "dd"})
    with pytest.raises(UserError, match="measures of other embeddings than those"):
        apply(sets, folder, "--quality", test)
    (test / "made_from").unlink()
    with pytest.raises(UserError, match="made_from: no such file: no measures made"):
        apply(sets, folder, "--quality", test)


def measure(world, *options, data="data", embeddings="test") -> Path:  # noqa: F811
    out = world["model"] / "quality"
    call(measure_quality.main, *options, world[data], world["model"] / embeddings, out)
    return out


def test_measures_of_utterances(world):  # noqa: F811
    data, vectors = world["data"], world["vectors"]
    utts = sorted(vectors)
    write_table(data / "utt2dur", {utt: n + 0.25 for n, utt in enumerate(utts)})
    write_table(data / "utt2num_faces", {utt: n for n, utt in enumerate(utts[:5])})
    write_table(data / "enrolments", {"both": "s0-0 s0-1", "s2": "s2-0 s2-1"})
    folder = train(world, "asnorm", "norm: {kind: as1, top: 2}\n")
    out = measure(world, "--backend", folder)
    assert read_floats(out / "duration") == {
        utt: n + 0.25 for n, utt in enumerate(utts)
    } | {"both": 0.75, "s2": 4.75}
    assert read_floats(out / "faces") == {
        "both": 0.5, **{utt: n for n, utt in enumerate(utts[:5])}
    }  # fmt: skip
    norms = {utt: np.linalg.norm(vectors[utt]) for utt in utts}
    norms["both"] = (norms["s0-0"] + norms["s0-1"]) / 2
    norms["s2"] = (norms["s2-0"] + norms["s2-1"]) / 2
    assert read_floats(out / "norm") == pytest.approx(norms, rel=1e-6)
    others = np.stack([v / np.linalg.norm(v) for v in world["others"].values()])
    cosines = {
        utt: np.sort(others @ vectors[utt] / norms[utt])[-2:].mean() for utt in utts
    }
    found = read_floats(out / "cohort")
    assert {u: found[u] for u in utts} == pytest.approx(cosines, rel=1e-4)
    assert found["both"] == pytest.approx((found["s0-0"] + found["s0-1"]) / 2)
    info = read_info(score(world), read_trials(data / "list"))
    assert read_table(out / "made_from")["embeddings"] == info["embeddings_sha256"]
    (data / "utt2num_faces").unlink()
    measure(world)
    left = {path.name for path in out.iterdir()}
    assert left == {"duration", "norm", "made_from"}


def test_the_cohort_leaves_out_the_speaker_and_takes_all_without_top():
    vectors = np.random.default_rng(8).normal(size=(6, 4)).astype("f4")
    raw = np.random.default_rng(9).normal(size=(7, 4)).astype("f4")
    whose = ["a", "b", "c", "a", "d", "e", "f"]
    settings = BackendConfig(norm=NormConfig("s"))
    found = Backend(settings, cohort=(whose, raw)).cohort_means(vectors, list("aabbxx"))
    cosines = vectors / np.linalg.norm(vectors, axis=1)[:, None]
    cosines = cosines @ (raw / np.linalg.norm(raw, axis=1)[:, None]).T
    for row, speaker in enumerate("aabbxx"):
        known = [n for n, name in enumerate(whose) if name != speaker]
        assert found[row] == pytest.approx(cosines[row, known].mean(), rel=1e-5)


def test_measures_are_refused_of_what_does_not_fit(world):  # noqa: F811
    with pytest.raises(UserError, match="cosine: no cohort: name a back end"):
        measure(world, "--backend", train(world, "cosine", "score: cosine\n"))
    folder = train(world, "asnorm", "norm: {kind: as1, top: 2}\n")
    write_table(world["model"] / "test" / "made_from", {"final.pt": "ab"})
    with pytest.raises(UserError, match="embeddings of another network than those"):
        measure(world, "--backend", folder)
    with pytest.raises(UserError, match="utt2spk: no line for 't0-0', which"):
        measure(world, embeddings="train")
    assert not list((world["model"] / "quality").iterdir())


# The gap, and what rules say of ages


def aged_set(path: Path) -> Path:
    """A data directory of twelve speakers over 24 years."""
    utts = {
        f"{path.name}{n:02d}-{year:02d}-{u}": 20 + year + n % 3
        for n in range(12) for year in (0, 1, 8, 16, 24) for u in (0, 1)
    }  # fmt: skip
    speakers = {utt: utt.split("-")[0] for utt in utts}
    write_table(path / "utt2spk", speakers)
    write_table(path / "utt2session", {utt: utt.split("-")[1] for utt in utts})
    write_table(path / "utt2age", {utt: f"{age}" for utt, age in utts.items()})
    names = sorted(set(speakers.values()))
    write_table(path / "spk2gender", {name: "f" for name in names})
    write_table(path / "spk2nationality", {name: "Peru" for name in names})
    return path


def pick(data: Path, name: str) -> dict:
    """Select the list of conf/trials/NAME; its scores fall with the gap."""
    out = data / "trials" / name
    call(select_trials.main, "--rules", ROOT / f"conf/trials/{name}.yaml", data, out)
    trials, age = read_trials(out), read_floats(data / "utt2age")
    gap = np.array([abs(age[a] - age[b]) for a, b in trials.blocks()])
    rng = np.random.default_rng(len(trials))
    scores = ratios(rng, trials.is_target) - 0.3 * gap
    write_scores(f"{out}.plda", trials, scores, INFO)
    return {"data": data, "list": out, "gap": gap, "trials": trials}


def train_on(part: dict, folder: Path) -> Path:
    call(
        train_calibration.main, ROOT / "conf/calibration/gap.yaml", part["data"],
        part["list"], f"{part['list']}.plda", folder,
    )  # fmt: skip
    return folder


def test_the_gap_is_refused_where_rules_mention_age(tmp_path):
    """In training and in application, but for lists that match gaps."""
    dev, test = (aged_set(tmp_path / name) for name in ("dev", "test"))
    folder = tmp_path / "gap_aware"
    with pytest.raises(
        UserError, match="Vox-CA5: gap: by .*Vox-CA5.stats the rules .*mention age"
    ):
        train_on(pick(dev, "Vox-CA5"), folder)
    train_on(pick(dev, "random"), folder)
    matched = pick(dev, "Vox-CA5-matched")
    train_on(matched, folder)
    weights = calibration.load(folder).weights
    assert weights["gap"] / weights["net_s3/plda"] == pytest.approx(0.3, abs=0.1)

    def use(part):
        words = (
            folder,
            part["data"],
            part["list"],
            f"{part['list']}.plda",
            tmp_path / "o",
        )
        call(calibrate_scores.main, *words)
        return read_scores(tmp_path / "o", part["trials"])

    for name in ("Vox-CA5-matched", "random"):
        part = pick(test, name)
        found = use(part)
        scores = read_scores(f"{part['list']}.plda", part["trials"])
        expected = weights["offset"] + weights["net_s3/plda"] * scores
        np.testing.assert_allclose(
            found, expected + weights["gap"] * part["gap"], atol=1e-7
        )
    for name in ("Vox-CA5", "only-CA5", "match-CA5"):
        if name == "match-CA5":
            pick(test, "only-CA5")
        with pytest.raises(UserError, match=f"{name}: gap: by .* mention age"):
            use(pick(test, name))


def test_what_rules_say_of_ages():
    aged, matched = Positives(min_gap=5), Negatives(gap_tolerance=0.5)
    assert age_rule(Rules(), None) == "none"
    assert age_rule(Rules(aged), None) == "unmatched"
    assert age_rule(Rules(Positives(max_gap=2)), None) == "unmatched"
    assert age_rule(Rules(speakers=SpeakerRule(7)), None) == "unmatched"
    assert age_rule(Rules(aged, negatives=matched), None) == "matched"
    assert age_rule(Rules(negatives=Negatives(gap_tolerance=9)), None) == "unmatched"
    assert age_rule(Rules(like="x"), Rules(aged)) == "unmatched"
    assert age_rule(Rules(like="x"), Rules()) == "none"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (None, "list.stats: no such file: nothing tells whether the rules of .* age"),
        ("trials 1128\ntargets 120\n", "stats: no line `age-rule none|matched|unm"),
        ("age-rule maybe\n", "no line `age-rule"),
        ("trials 1128\ntargets 7\nage-rule none\n", "targets 7, but .* has 120: they"),
    ],
)
def test_a_list_that_tells_nothing_of_ages_is_refused(sets, text, message):
    path = sets["dev"]["data"] / "list.stats"
    assert read_age_rule(sets["dev"]["trials"]) == "none"
    path.unlink() if text is None else path.write_text(text)
    with pytest.raises(UserError, match=message) as error:
        calibrate(sets, "quality: [gap]\n")
    assert "select the list again (steps/select_trials.py)" in str(error.value)


def test_ages_that_are_missing_are_named(sets):
    with pytest.raises(UserError, match="dev/utt2age: no such file: it is written by"):
        calibrate(sets, "quality: [gap]\n")
    write_table(sets["dev"]["data"] / "utt2age", {"dev00-0": 20})
    with pytest.raises(UserError, match="list:48: 'dev00-1' is not in .*utt2age"):
        calibrate(sets, "quality: [gap]\n")


def test_scores_tell_what_made_them(world):  # noqa: F811
    """One system as long as its back end is trained on the same vectors."""
    trials = read_trials(world["data"] / "list")
    folder = train(world, "mean", "center: true\n")
    first = read_info(score(world, backend=folder), trials)["system_sha256"]
    assert len(first) == 64
    train(world, "mean", "center: true\n")
    assert read_info(score(world, backend=folder), trials)["system_sha256"] == first
    moved = {name: vector + 3 for name, vector in world["others"].items()}
    write_embeddings(world["model"] / "moved", moved)
    train(world, "mean", "center: true\n", "moved")
    path = score(world, backend=folder)
    assert read_info(path, trials)["system_sha256"] != first
    info = json.loads(Path(f"{path}.json").read_text())
    del info["system_sha256"]  # as of an earlier version
    Path(f"{path}.json").write_text(json.dumps(info))
    assert read_info(path, trials)["system_sha256"] is None

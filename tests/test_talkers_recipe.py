"""The default recipe in its small size, end to end, as a user runs it."""

import csv
import gzip
import json
import os
import shutil
import time
from pathlib import Path

import numpy
import soundfile
import torch
from kaldi_features import oracle
from recipe_tools import (
    SMALL,
    TINY_MODEL,
    digests,
    run,
    run_and_interrupt,
    run_and_kill,
    set_clocks_apart,
)

from chronovox import config, datadir, models
from chronovox.features import Extractor, FeatureConfig, apply_cmn
from chronovox.training import settings as training_settings
from chronovox.training.checkpoint import load_state

LISTS = ("random", "hard")


def read_results(folder):
    with open(folder / "exp/results/results.tsv", newline="") as stream:
        return list(csv.DictReader(stream, delimiter="\t"))


def test_a_bare_run_ends_with_the_table(finished_recipe):
    rows = read_results(finished_recipe)
    assert {(row["model"], row["trials"]) for row in rows} == {
        (model, name)
        for model in ("xvector_tiny_s1", "floor", "channel")
        for name in LISTS
    }
    assert all(0 <= float(row["eer"]) <= 100 for row in rows)
    screen = (finished_recipe / "exp/screen.log").read_text()
    table = screen[screen.index("run.sh: stage 7") :]
    assert "xvector_tiny_s1" in table and "synthetic" in table


def test_scores_are_calibrated_measured_and_reported(finished_recipe):
    """Calibration and fusion by lists, and every table that the report shows."""
    out = finished_recipe / "exp/results"
    rows = read_results(finished_recipe)
    backends = {row["backend"] for row in rows if row["model"] == "xvector_tiny_s1"}
    plain = {"cosine", "asnorm", "plda"}
    assert backends == plain | {f"{name}_llr" for name in plain} | {"fusion"}
    for row in rows:
        is_ratio = row["backend"].endswith(("_llr", "fusion", "plda"))
        assert (row["cllr"] != "-") == is_ratio
    for name in ("comparisons", "conditions", "lifetime", "ages"):
        assert json.loads((out / f"{name}.json").read_text())["rows"], name
    page = (out / "report.html").read_text()
    assert "not found" not in page and "What is not shown" not in page
    screen = (finished_recipe / "exp/screen.log").read_text()
    assert "fusion" in screen and "cosine_llr" not in screen[screen.index("stage 7") :]


def test_embeddings_of_another_toolkit_give_the_same(finished_recipe, tmp_path):
    """Those of the recipe's own network, under another name."""
    folder, model = finished_recipe, "exp/xvector_tiny_s1"
    words = [
        f"--{part}{option} {path}"
        for part, name in (("", "test"), ("train-", "train"), ("dev-", "dev"))
        for option, path in (("embeddings", f"{model}/embeddings_{name}/xvector.scp"),)
    ]
    words += ["--data data/test", "--train data/train", "--dev data/dev"]
    words += [
        f"--train-speakers {model}/spk2id",
        "--name theirs",
        f"--results {tmp_path}",
    ]
    run(folder, "steps/evaluate_embeddings.sh", *" ".join(words).split())
    theirs = json.loads((tmp_path / "results.json").read_text())["rows"]
    ours = json.loads((folder / "exp/results/results.json").read_text())["rows"]
    ours = {(r["trials"], r["backend"]): r for r in ours if r["model"] in model}
    assert {(row["trials"], row["backend"]) for row in theirs} == set(ours)
    for row in theirs:
        assert (row["model"], row["config"], row["marks"]) == ("theirs", "imported", [])
        twin = ours[row["trials"], row["backend"]]
        assert (row["eer"], row.get("cllr")) == (
            twin["eer"], twin.get("cllr")
        )  # fmt: skip
    assert (tmp_path / "report.html").exists()
    shutil.rmtree(folder / "exp/theirs")


def test_ages_are_the_means_of_the_faces_of_a_session(finished_recipe):
    for name in ("train", "dev", "test"):
        data = finished_recipe / "data" / name
        years = datadir.read_floats(finished_recipe / f"exp/dex/{name}/face2age")
        spk, session = (
            datadir.read_table(data / table) for table in ("utt2spk", "utt2session")
        )
        seen: dict[tuple[str, str], list[float]] = {}
        for face, utt in datadir.read_table(data / "faces/face2utt").items():
            seen.setdefault((spk[utt], session[utt]), []).append(years[face])
        assert {len(faces) for faces in seen.values()} == {5}
        ages = datadir.read_floats(data / "utt2age")
        assert ages.keys() == spk.keys()
        for utt, age in ages.items():
            assert abs(age - numpy.mean(seen[spk[utt], session[utt]])) < 1e-6
        with gzip.open(data / "supervisions.jsonl.gz", "rt") as stream:
            told = {
                item["id"]: item["custom"]["age"] for item in map(json.loads, stream)
            }
        assert told.keys() == ages.keys()
        assert all(abs(told[utt] - age) < 1e-6 for utt, age in ages.items())


def test_the_network_beats_the_floor_on_random_trials(finished_recipe):
    eer = {
        row["model"]: float(row["eer"])
        for row in read_results(finished_recipe)
        if row["trials"] == "random" and row["backend"] != "cosine_mean"
    }
    assert eer["xvector_tiny_s1"] < eer["channel"]


def test_stage_6_alone_scores_again_to_the_same_bytes(finished_recipe):
    before = digests(finished_recipe / "exp")
    shutil.rmtree(finished_recipe / "exp/results")
    done = run(finished_recipe, "./run.sh", *SMALL, *TINY_MODEL, "--stage", "6")
    assert "stage 5" not in done.stdout
    assert digests(finished_recipe / "exp") == before


def test_truth_is_not_needed_by_stages_1_to_6(finished_recipe, tmp_path):
    before = digests(finished_recipe / "exp")
    truth = finished_recipe / "exp/truth"
    assert any(truth.iterdir())
    shutil.move(truth, tmp_path / "truth")
    options = [*SMALL, *TINY_MODEL, "--stage", "1", "--stop-stage", "6"]
    shutil.rmtree(finished_recipe / "exp/xvector_tiny_s1")
    run(finished_recipe, "./run.sh", *options)
    shutil.move(tmp_path / "truth", truth)
    assert digests(finished_recipe / "exp") == before


def test_a_run_stopped_in_every_stage_gives_the_undisturbed_result(finished_recipe):
    """By kill -9 and by Ctrl-C, while clocks are an hour apart."""
    folder = finished_recipe
    data, exp = digests(folder / "data"), digests(folder / "exp")
    kept = {name: folder / name for name in ("data", "exp", "fbank")}
    for name, path in kept.items():
        path.rename(folder / f"undisturbed_{name}")
    # Where each stage is caught: once this file is there, it is at work.
    moments = {
        0: folder / "data/audio",
        1: folder / "exp/dex",
        3: folder / "exp/make_fbank",
        4: folder / "exp/xvector_tiny_s1/checkpoints",
        5: folder / "exp/xvector_tiny_s1/embeddings_train",
        6: folder / "exp/xvector_tiny_s1/scores_test",
    }
    stage = 0
    for kill_at, path in moments.items():
        words = ["./run.sh", *SMALL, *TINY_MODEL, "--stage", str(stage)]
        alive = run_and_kill(folder, words, path.exists, whole_group=kill_at % 2 == 0)
        assert alive, f"stage {kill_at} was over before it could be killed"
        stage = words[-1] = kill_at
        set_clocks_apart(folder / "data", hours=1 - stage % 2 * 2)
        run_and_interrupt(folder, list(map(str, words)), after_s=1.5)
    run(folder, "./run.sh", *SMALL, *TINY_MODEL, "--stage", str(stage))
    try:
        assert digests(folder / "data") == data
        assert digests(folder / "exp") == exp
    finally:
        for name, path in kept.items():
            shutil.rmtree(path, ignore_errors=True)
            (folder / f"undisturbed_{name}").rename(path)


def test_list_stages_names_all_eight(finished_recipe):
    for words in (["--list-stages"], ["--nj", "2", "--list-stages", "--stage", "3"]):
        done = run(finished_recipe, "./run.sh", *words)
        assert [line[0] for line in done.stdout.splitlines()] == list("01234567")


def test_wrong_options_are_usage_errors(finished_recipe):
    before = digests(finished_recipe)
    for words in (
        "--stagee 1", "--stage", "--stage two", "data", "--stages 6", "--STAGES 6",
        "--help-message x", "--stage 8", "--stage -1", "--stop-stage 9",
        "--stage 5 --stop-stage 3", "--seeds one", "--device gpu",
        "--model-config conf/none.yaml", "--max-fail-ratio 5", "--train-cmd x",
        "--model exp/xvector_tiny_s1 --stop-stage 4",
    ):  # fmt: skip
        done = run(finished_recipe, "./run.sh", *words.split(), code=2)
        assert "Usage" in done.stdout, words
    done = run(finished_recipe, "./run.sh", "--trials", "", code=2)
    assert "--trials: expected names, got ''" in done.stdout
    assert digests(finished_recipe) == before


def silence_one(data_dir) -> str:
    """Put a silent recording in the place of the first one; returns its name."""
    table = datadir.read_table(data_dir / "wav.scp")
    utt = min(table)
    silent = data_dir.parent / "silent.wav"
    soundfile.write(silent, numpy.zeros(32000), 16000)
    datadir.write_table(data_dir / "wav.scp", {**table, utt: str(silent)})
    return utt


def test_recordings_that_are_dropped_leave_the_trials_too(finished_recipe, tmp_path):
    folder = tmp_path / "project"
    shutil.copytree(finished_recipe, folder, symlinks=True)
    shutil.rmtree(folder / "exp")
    silent = {name: silence_one(folder / "data" / name) for name in ("test", "dev")}
    options = [*SMALL, *TINY_MODEL]
    run(folder, "./run.sh", *options, "--stage", "1", "--stop-stage", "2")
    set_clocks_apart(folder / "data", hours=1)
    for path in folder.glob("data/*/trials/*"):  # as if they were newer than all
        os.utime(path, times=(time.time() + 7200,) * 2)
    run(folder, "./run.sh", *options, "--stage", "3")
    for name, utt in silent.items():
        lists = [folder / "data" / name / "trials" / kind for kind in LISTS]
        assert lists[0].exists()
        for path in [*filter(Path.exists, lists), folder / "data" / name / "feats.scp"]:
            assert utt not in path.read_text().split(), path
        packed = (folder / "data" / name / "supervisions.jsonl.gz").read_bytes()
        assert f'"{utt}"' not in gzip.decompress(packed).decode()
    models = {row["model"] for row in read_results(folder)}
    assert models == {"xvector_tiny_s1", "floor", "channel"}


def test_an_existing_model_goes_through_stages_5_to_7(finished_recipe):
    model = finished_recipe / "exp/imported"
    shutil.copytree(finished_recipe / "exp/xvector_tiny_s1", model)
    for folder in ("embeddings_train", "embeddings_test", "scores_test"):
        shutil.rmtree(model / folder)
    words = ["--model", "exp/imported", "--trials", "random hard"]
    done = run(finished_recipe, "./run.sh", *words, *SMALL)
    assert "stage 4" not in done.stdout
    scores = "scores_test/hard.cosine"
    trained = finished_recipe / "exp/xvector_tiny_s1" / scores
    assert (model / scores).read_bytes() == trained.read_bytes()
    shutil.rmtree(model)


def test_features_of_kaldi_give_the_same_embeddings(finished_recipe, shared_data):
    """The network cannot tell our fbank from kaldi-native-fbank's, on real speech."""
    model = finished_recipe / "exp/xvector_tiny_s1"
    settings = config.load(model / "features.yaml", FeatureConfig)
    network = models.build(
        training_settings.load(model / "config.yaml").model, settings.dim
    )
    network.load_state_dict(load_state(model / "final.pt"))
    network.eval()
    extractor = Extractor(settings)
    paths = sorted((shared_data / "speech/arabic_sc").glob("*/round05/*_0.flac"))
    assert len(paths) == 20
    for path in paths:
        samples, _ = soundfile.read(path, dtype="float32")
        with torch.inference_mode():
            ours, theirs = (
                network(torch.from_numpy(apply_cmn(features, "utterance"))[None])[0]
                for features in (extractor(samples), oracle(samples, settings))
            )
        assert torch.cosine_similarity(ours, theirs, dim=0) >= 0.99999, path

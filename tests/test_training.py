"""Training: data, losses, schedules, the loop, and what a kill leaves behind."""

import math
import os
import re
import signal
import subprocess
import sys
import time
import zipfile
from pathlib import Path

import numpy as np
import pytest
import torch
from conftest import ROOT
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from training_data import (
    FEATURES,
    make_dir,
    make_world,
    replace_line,
    settings,
    write_settings,
)

import train_embedding
from chronovox import jobs, kaldi_io, models
from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.frontend import FrameTable, FrontendConfig
from chronovox.training import folder, loop, schedule
from chronovox.training import settings as training_settings
from chronovox.training.checkpoint import Checkpoints, load_state, save_state
from chronovox.training.data import BatchPlan, Sample, TrainingSet
from chronovox.training.loss import angular_margin_logits
from chronovox.training.ranks import ALONE
from chronovox.training.settings import LossConfig, ScheduleConfig

SCRIPT = Path(train_embedding.__file__)
SHIPPED = sorted(
    path
    for folder in (ROOT, *ROOT.glob("egs/*"))
    for path in folder.glob("conf/*.yaml")
    if re.search("^model:", path.read_text(), re.MULTILINE)
)


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


# --- data


def test_a_chunk_is_a_slice_of_the_whole(tmp_path):
    data = make_dir(tmp_path / "data", ["a", "b"])
    feats, vad = (
        read_table(data / "feats.scp", None),
        read_table(data / "vad.scp", None),
    )
    frames = FrameTable(data, FrontendConfig(cmn="none", vad=True))
    assert list(frames.utts) == list(feats)
    for row, (utt, rxfile) in enumerate(feats.items()):
        voiced = kaldi_io.read_vector(vad[utt]) > 0
        whole = kaldi_io.read_matrix(rxfile)[voiced]
        assert frames.num_frames[row] == len(whole)
        np.testing.assert_array_equal(frames.read(row), whole)
        np.testing.assert_array_equal(frames.read(row, 3, 17), whole[3:17])
    plain = FrameTable(data, FrontendConfig(cmn="utterance", vad=False))
    chunk = kaldi_io.read_matrix(feats["a-0"])[5:25]
    np.testing.assert_allclose(
        plain.read(0, 5, 25), chunk - chunk.mean(axis=0), atol=1e-5
    )


def test_a_sample_is_a_pure_function(tmp_path):
    data = make_dir(tmp_path / "data", ["a", "b"], lengths=(900, 990))
    first = TrainingSet(data, settings(seed=3), FEATURES)
    sample = Sample(epoch=2, number=1, num_frames=25)
    features, label = first[sample]
    assert features.shape == (25, 8) and label == 0
    for number in range(len(first)):
        first[Sample(0, number, 20)]
    np.testing.assert_array_equal(
        TrainingSet(data, settings(seed=3), FEATURES)[sample][0], features
    )
    for other in (
        TrainingSet(data, settings(seed=4), FEATURES)[sample][0],
        first[Sample(3, 1, 25)][0],
    ):
        assert not np.array_equal(other, features)


def test_samples_are_in_proportion_to_length_and_short_utterances_repeat(tmp_path):
    data = make_dir(tmp_path / "data", ["a", "b"], lengths=(25, 120))
    train_set = TrainingSet(data, settings(chunk_frames=[20, 30]), FEATURES)
    frames = FrameTable(data, FrontendConfig())
    lengths = dict(zip(frames.utts, frames.num_frames, strict=True))
    counts = dict.fromkeys(train_set.utts(), 0)
    assert len(counts) == train_set.num_utts
    for number in range(len(train_set)):
        counts[train_set.utterance(Sample(0, number, 30))] += 1
    assert counts == {utt: math.ceil(lengths[utt] / 30) for utt in counts}
    long = TrainingSet(data, settings(chunk_frames=[20, 500]), FEATURES)
    features, _ = long[Sample(0, 0, 500)]
    there = lengths[next(long.utts())]
    assert there < 250
    np.testing.assert_array_equal(features[:there], features[there : 2 * there])


def test_each_epoch_takes_every_sample_once():
    num_samples, config = 37, settings(batch_size=8)
    plan = BatchPlan(num_samples, config)
    samples = [sample for step in range(37) for sample in plan.batch(step)]
    orders = []
    for epoch in range(8):
        numbers = [s.number for s in samples if s.epoch == epoch]
        assert sorted(numbers) == list(range(num_samples))
        orders.append(numbers)
    assert orders[0] != orders[1]
    assert plan.batch(5) == BatchPlan(num_samples, config).batch(5)
    assert plan.batch(5) != BatchPlan(num_samples, settings(seed=9)).batch(5)
    lengths = [{s.num_frames for s in plan.batch(step)} for step in range(37)]
    assert all(len(of_step) == 1 for of_step in lengths)
    assert set.union(*lengths) <= set(range(20, 31)) and len(set.union(*lengths)) > 5


def test_what_is_too_short_is_listed_and_counted(world, tmp_path, caplog):
    make_dir(tmp_path / "short", ["a", "b", "c"], lengths=(21, 22))
    config = write_settings(tmp_path / "long.yaml", chunk_frames=[30, 40])
    train = make_dir(tmp_path / "mixed", ["x", "y"], lengths=(60, 61))
    arguments = [str(config), str(train), world[2], world[3]]
    caplog.set_level("INFO")
    train_embedding.main(arguments)
    assert "8 utterances in, 8 out, 0 dropped" in caplog.text
    arguments[1] = str(tmp_path / "short")
    with pytest.raises(UserError, match="0 speakers with utterances of at least 30"):
        train_embedding.main(arguments)


def test_speakers_that_lose_everything_are_named(world, tmp_path, caplog):
    train = make_dir(tmp_path / "more", ["a", "b", "c"])
    for number in range(4):
        shorten(train, f"b-{number}")
    world[1] = str(train)
    with pytest.raises(UserError, match="4 of 12 utterances are too short"):
        train_embedding.main(world)
    dropped = (Path(world[3]) / "log/dropped").read_text().splitlines()
    assert dropped[0] == "b-0 5 voiced frames, 20 are needed"
    train_embedding.main([*world, "--max-fail-ratio", "0.5"])
    assert "1 speakers have none left: b" in caplog.text
    assert list(read_table(Path(world[3]) / "spk2id")) == ["a", "c"]


def shorten(data, utt) -> None:
    """Leave five voiced frames to an utterance."""
    num_frames = int(read_table(data / "utt2num_frames")[utt])
    ark = data / f"{utt}.ark"
    with kaldi_io.ArkWriter(ark, f"{ark}.scp", 1) as writer:
        writer.write(utt, np.arange(num_frames) < 5)
    replace_line(data / "vad.scp", utt, Path(f"{ark}.scp").read_text().strip())


# --- losses and schedules


def test_angular_margin_by_hand():
    cosine = torch.tensor([[0.5, 0.1], [0.3, -0.99], [1.0, -1.0]])
    logits = angular_margin_logits(cosine, torch.tensor([0, 1, 0]), 0.2, 30.0)
    assert logits[0, 0].item() == pytest.approx(30 * math.cos(math.pi / 3 + 0.2))
    assert logits[0, 1].item() == pytest.approx(3.0)
    # acos(-0.99) + 0.2 is beyond pi.
    expected = 30 * (-0.99 - 0.2 * math.sin(0.2))
    assert logits[1, 1].item() == pytest.approx(expected, rel=1e-5)
    assert logits[2, 0].item() == pytest.approx(30 * math.cos(0.2), rel=1e-3)


def test_angular_margin_has_finite_gradients_and_falls_with_the_angle():
    cosine = torch.linspace(-1, 1, 401)[:, None].requires_grad_()
    labels = torch.zeros(401, dtype=torch.long)
    logits = angular_margin_logits(cosine, labels, 0.3, 1.0)
    assert (logits[1:] > logits[:-1]).all()
    logits.sum().backward()
    assert cosine.grad.isfinite().all()


def test_learning_rate_by_hand():
    config = ScheduleConfig(1.0, 0.01, warmup_steps=4, decay="exponential")
    rates = [schedule.learning_rate(config, step, 9) for step in range(9)]
    expected = [0.2, 0.4, 0.6, 0.8, 1.0, 10**-0.5, 0.1, 10**-1.5, 0.01]
    assert rates == pytest.approx(expected)
    cosine = ScheduleConfig(1.0, 0.2, decay="cosine")
    rates = [schedule.learning_rate(cosine, step, 5) for step in range(5)]
    half = 0.8 * 0.5 * math.sqrt(0.5)
    assert rates == pytest.approx([1.0, 0.6 + half, 0.6, 0.6 - half, 0.2])
    assert schedule.learning_rate(ScheduleConfig(1.0, 0.5), 0, 1) == 0.5


def test_margin_grows_to_its_value():
    config = LossConfig(margin=0.2, margin_warmup_steps=4)
    margins = [schedule.margin(config, step) for step in range(6)]
    assert margins == pytest.approx([0.0, 0.05, 0.1, 0.15, 0.2, 0.2])
    assert schedule.margin(LossConfig(margin=0.3), 0) == 0.3


# --- the whole script


@pytest.mark.parametrize("loss", ["aam", "softmax"])
def test_it_learns_to_tell_unseen_speakers_apart(world, tmp_path, loss, caplog):
    caplog.set_level("INFO")
    write_settings(world[0], loss={"type": loss}, num_steps=100)
    world[1] = str(make_dir(tmp_path / "many", [f"m{n}" for n in range(24)]))
    assert train_embedding.main([*world, "--seed", "5"]) == 0
    rates = [float(x) for x in re.findall(r"development EER ([\d.]+)", caplog.text)]
    assert rates[-1] < 15
    assert re.search(r"step 100 of 100, epoch .*waited for data", caplog.text)
    exp = Path(world[3])
    assert list(load_state(exp / "final.pt"))[0] == "frames.0.affine.weight"
    assert "seed: 5" in (exp / "config.yaml").read_text()
    assert (exp / "features.yaml").exists() and (exp / "runinfo.json").exists()
    kept = sorted(path.name for path in (exp / "checkpoints").iterdir())
    assert kept == ["step_100.pt", "step_90.pt"]
    curves = EventAccumulator(str(exp / "log/tensorboard")).Reload()
    drawn = [
        round(event.value, 2) for event in curves.Scalars("development_eer_percent")
    ]
    assert drawn == rates
    assert [event.step for event in curves.Scalars("loss")] == [20, 40, 60, 80, 100]


def start(arguments, **options) -> subprocess.Popen:
    environment = {
        **os.environ, "OMP_NUM_THREADS": "1", "PYTHONPATH": str(SCRIPT.parent),
    }  # fmt: skip
    return subprocess.Popen(
        [sys.executable, str(SCRIPT), *arguments, "--device", "cpu"],
        env=environment, stderr=subprocess.PIPE, text=True, **options,
    )  # fmt: skip


def test_killed_and_resumed_training_gives_the_same_bytes(world, tmp_path):
    write_settings(world[0], num_steps=300, evaluate_every=100)
    quiet = [*world[:3], str(tmp_path / "quiet")]
    undisturbed = start(quiet)
    assert undisturbed.wait(120) == 0, undisturbed.stderr.read()
    exp = Path(world[3])
    for awaited in (20, 130):
        process = start(world)
        wait_for(exp / f"checkpoints/step_{awaited}.pt", process)
        process.send_signal(signal.SIGKILL)
        assert process.wait() == -signal.SIGKILL
    process = start(world)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0, log
    assert re.search(r"continuing from .*/step_\d+\.pt", log)
    names = ["final.pt", "config.yaml", "features.yaml", "spk2id"]
    names += ["checkpoints/step_290.pt", "checkpoints/step_300.pt"]
    for name in names:
        assert (exp / name).read_bytes() == (tmp_path / "quiet" / name).read_bytes()
    assert len(list((exp / "checkpoints").iterdir())) == 2


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_all_processes_asked_to_stop_it_saves_too(world, number):
    """As job runners do it: the signal goes to those that read the data as well."""
    write_settings(world[0], num_steps=100000, checkpoint_every=50)
    process = start([*world, "--num-workers", "2"], start_new_session=True)
    exp = Path(world[3])
    wait_for(exp / "checkpoints/step_50.pt", process)
    os.killpg(process.pid, number)
    _, log = process.communicate(timeout=60)
    assert process.returncode == jobs.REQUEUE_CODE, log
    step = int(re.search(r"stopped after step (\d+): run again", log)[1])
    assert load_state(exp / f"checkpoints/step_{step}.pt")["step"] == step
    assert "Traceback" not in log


@pytest.mark.parametrize("number", [signal.SIGUSR1, signal.SIGTERM])
def test_asked_to_stop_it_saves_and_goes_on_to_the_same_bytes(world, tmp_path, number):
    write_settings(world[0], num_steps=300, evaluate_every=100, checkpoint_every=150)
    undisturbed = start([*world[:3], str(tmp_path / "quiet")])
    exp = Path(world[3])
    process = start(world)
    wait_for(exp / "checkpoints", process)
    wait_for(exp / "runinfo.json", process)
    time.sleep(0.5)
    process.send_signal(number)
    _, log = process.communicate(timeout=60)
    assert process.returncode == jobs.REQUEUE_CODE, log
    step = int(re.search(r"stopped after step (\d+): run again", log)[1])
    assert (exp / f"checkpoints/step_{step}.pt").exists()
    assert not (exp / "final.pt").exists()
    process = start(world)
    _, log = process.communicate(timeout=120)
    assert process.returncode == 0 and f"step_{step}.pt" in log, log
    assert undisturbed.wait(120) == 0, undisturbed.stderr.read()
    final = (tmp_path / "quiet/final.pt").read_bytes()
    assert (exp / "final.pt").read_bytes() == final


def test_worker_processes_change_nothing(world, tmp_path):
    train_embedding.main([*world, "--device", "cpu"])
    other = [*world[:3], str(tmp_path / "workers"), "--device", "cpu"]
    train_embedding.main([*other, "--num-workers", "2"])
    for name in ("final.pt", "checkpoints/step_60.pt"):
        first = (Path(world[3]) / name).read_bytes()
        assert (tmp_path / "workers" / name).read_bytes() == first


def test_what_a_worker_cannot_read_is_named(world, monkeypatch):
    replace_line(Path(world[1]) / "feats.scp", "t3-1", "t3-1 /none/feats.ark:5")
    with pytest.raises(UserError) as error:
        train_embedding.main([*world, "--num-workers", "2"])
    assert "feats.scp: t3-1: " in str(error.value)
    assert "Traceback" not in str(error.value)


@pytest.mark.parametrize("how", ["hangs", "is killed"])
def test_a_worker_that_is_stuck_or_gone_is_named(world, monkeypatch, how):
    piece = FrameTable.piece

    def stuck(self, row, num_frames, rng):
        if self.utts[row] == "t5-2" and torch.utils.data.get_worker_info():
            if how == "is killed":
                os.kill(os.getpid(), signal.SIGKILL)
            time.sleep(60)
        return piece(self, row, num_frames, rng)

    monkeypatch.setattr(FrameTable, "piece", stuck)
    monkeypatch.setattr(loop, "HANG_S", 3.0)
    with pytest.raises(UserError, match=r"DataLoader .*was reading .*t5-2.*run again"):
        train_embedding.main([*world, "--num-workers", "2"])


def wait_for(path, process) -> None:
    deadline = time.monotonic() + 60
    while not path.exists():
        assert process.poll() is None, process.stderr.read()
        assert time.monotonic() < deadline
        time.sleep(0.001)


def test_a_finished_model_is_left_alone_and_changed_settings_start_anew(world, caplog):
    caplog.set_level("INFO")
    train_embedding.main(world)
    final = Path(world[3]) / "final.pt"
    before = final.read_bytes(), final.stat().st_mtime_ns
    train_embedding.main(world)
    assert "is finished: nothing to do" in caplog.text
    assert (final.read_bytes(), final.stat().st_mtime_ns) == before
    train_embedding.main([*world, "--seed", "2"])
    assert "of other settings or data: training starts anew" in caplog.text
    assert final.read_bytes() != before[0]


def test_a_loss_that_is_not_finite_stops_with_the_batch(world):
    write_settings(world[0], schedule={"peak_lr": 1e30}, optimizer={"type": "sgd"})
    with pytest.raises(UserError, match=r"step \d+: loss .* rate .*peak_lr.*t\d-\d"):
        train_embedding.main(world)
    assert not (Path(world[3]) / "final.pt").exists()


def test_a_damaged_checkpoint_gives_way_to_the_one_before(tmp_path, caplog):
    folder = tmp_path / "checkpoints"
    checkpoints = Checkpoints(folder)
    for step in (1, 2, 3):
        checkpoints.save(step, {"step": step, "weight": torch.ones(1000)})
    newest = folder / "step_3.pt"
    assert sorted(p.name for p in folder.iterdir()) == ["step_2.pt", "step_3.pt"]
    data = newest.read_bytes()
    flipped = bytearray(data)
    flipped[len(data) // 2] ^= 1
    for damaged in (data[:-100], bytes(flipped), b"", b"no archive"):
        newest.write_bytes(damaged)
        with pytest.raises(UserError, match=r"step_3\.pt: damaged .*remove it"):
            load_state(newest)
        caplog.clear()
        path, state = checkpoints.newest()
        assert (path.name, state["step"]) == ("step_2.pt", 2)
        assert re.search(r"step_3.pt: damaged .*taking the one before", caplog.text)
    (folder / "step_2.pt").write_bytes(b"")
    assert checkpoints.newest() is None


def test_the_last_checkpoints_of_the_rhythm_are_averaged(tmp_path):
    checkpoints = Checkpoints(tmp_path, every=10, average=3)
    for step in (10, 20, 25, 30, 38, 40, 47, 50):
        weight = torch.full((3,), float(step))
        part = {"weight": weight, "count": torch.tensor(step)}
        checkpoints.save(step, {"network": part})
    assert sorted(p.name for p in tmp_path.iterdir()) == [
        "step_30.pt", "step_40.pt", "step_47.pt", "step_50.pt"
    ]  # fmt: skip
    mean = checkpoints.average("network")
    assert mean["weight"].tolist() == [40.0] * 3 and mean["count"] == 50
    checkpoints.save(53, {"network": {"weight": torch.zeros(3)}})
    one = Checkpoints(tmp_path, every=10).average("network")
    assert one["weight"].tolist() == [0.0] * 3


def test_an_average_is_the_mean_of_the_networks_of_the_last_steps(world, tmp_path):
    options = [*world[:3], str(tmp_path / "mean"), "--device", "cpu"]
    write_settings(world[0], average=3)
    train_embedding.main(options)
    states = [
        load_state(tmp_path / f"mean/checkpoints/step_{n}.pt")["network"]
        for n in (40, 50, 60)
    ]
    final = load_state(tmp_path / "mean/final.pt")
    for name, value in final.items():
        if value.is_floating_point():
            expected = np.mean([state[name].numpy() for state in states], axis=0)
            np.testing.assert_allclose(value.numpy(), expected, rtol=1e-5, atol=1e-7)


def test_bf16_learns_where_the_cpu_has_it(world, tmp_path, caplog, monkeypatch):
    if not loop.has_bf16():
        with pytest.raises(UserError, match="this CPU has neither avx512_bf16 nor"):
            loop.check_precision("bf16", torch.device("cpu"))
        return
    caplog.set_level("INFO")
    world[1] = str(make_dir(tmp_path / "many", [f"m{n}" for n in range(24)]))
    write_settings(world[0], num_steps=100)
    world += ["--device", "cpu", "--precision", "bf16"]
    assert train_embedding.main(world) == 0
    assert "precision: bf16" in (Path(world[3]) / "config.yaml").read_text()
    rates = [float(x) for x in re.findall(r"development EER ([\d.]+)", caplog.text)]
    assert rates[-1] < 15
    for value in load_state(Path(world[3]) / "final.pt").values():
        assert value.dtype in (torch.float32, torch.int64)
    monkeypatch.setattr(loop, "has_bf16", lambda: False)
    with pytest.raises(UserError, match="use precision: fp32"):
        train_embedding.main([*world, "--seed", "2"])


def test_code_in_a_checkpoint_is_refused(tmp_path):
    torch.save({"step": Trap(tmp_path / "ran")}, tmp_path / "step_1.pt")
    with pytest.raises(UserError, match="damaged"):
        load_state(tmp_path / "step_1.pt")
    assert not (tmp_path / "ran").exists()


class Trap:
    """Makes a file when it is unpickled as code."""

    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return (os.mkdir, (str(self.path),))


def test_a_state_gives_the_same_bytes_again(tmp_path):
    weight = torch.nn.Linear(3, 3)
    optimizer = torch.optim.AdamW(weight.parameters())
    weight(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    save_state({"optimizer": optimizer.state_dict()}, tmp_path / "a.pt")
    again = load_state(tmp_path / "a.pt")
    save_state(again, tmp_path / "b.pt")
    assert (tmp_path / "a.pt").read_bytes() == (tmp_path / "b.pt").read_bytes()


# --- bad input


def test_training_and_development_must_share_no_speaker(world, tmp_path):
    world[2] = str(make_dir(tmp_path / "overlap", ["d1", "t3"]))
    with pytest.raises(UserError, match="1 speakers are in .*first 't3'"):
        train_embedding.main(world)


def test_training_and_development_features_must_agree(world):
    path = Path(world[2]) / "conf/features.yaml"
    path.write_text(path.read_text().replace("low_freq: 20.0", "low_freq: 40.0"))
    with pytest.raises(UserError, match="low_freq: 20.0 and 40.0"):
        train_embedding.main(world)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("utt2spk", "no line for 't2-1', which feats.scp has"),
        ("vad.scp", "vad.scp: no line for 1 of 32 utterances, first 't2-1'"),
        ("utt2num_frames", "utt2num_frames: no line for 1 of 32"),
    ],
)
def test_an_utterance_missing_from_a_table_is_named(world, table, message):
    replace_line(Path(world[1]) / table, "t2-1", None)
    with pytest.raises(UserError, match=message):
        train_embedding.main(world)


def test_one_speaker_is_not_enough(world, tmp_path):
    world[1] = str(make_dir(tmp_path / "one", ["a"]))
    with pytest.raises(UserError, match="1 speakers .*needs 2 or more"):
        train_embedding.main(world)


def test_missing_development_trials_name_the_remedy(world):
    (Path(world[2]) / "trials/random").unlink()
    with pytest.raises(UserError, match="select_trials.py"):
        train_embedding.main(world)


def test_settings_are_strict(world):
    for changes, message in (
        ({"batchsize": 3}, "unknown key 'batchsize'.*'batch_size'"),
        ({"loss": {"type": "arcface"}}, "'arcface' is not one of softmax, aam"),
        ({"chunk_frames": [30, 20]}, "chunk_frames is"),
        ({"chunk_frames": [10, 20]}, "network needs 15"),
        ({"model": {"type": "tdnn"}}, "model: type 'tdnn'"),
        ({"seed": -1}, "seed is from 0 to 2"),
        ({"seed": 99999999999}, "seed is from 0 to 2"),
    ):
        write_settings(world[0], **changes)
        with pytest.raises(UserError, match=message):
            train_embedding.main(world)


@pytest.mark.parametrize("path", SHIPPED, ids=lambda path: f"{path.parts[-3:]}")
def test_the_settings_of_every_recipe_build_a_network(path):
    given = training_settings.load(path)
    network = models.build(given.model, 80).eval()
    assert given.chunk_frames[0] >= network.min_frames
    with torch.inference_mode():
        shape = network(torch.zeros(2, network.min_frames, 80)).shape
    assert shape == (2, given.model["embed_dim"])


def test_two_trainings_of_one_model_are_refused(world):
    with (
        folder.locked(Path(world[3])),
        pytest.raises(UserError, match="another process is training this model"),
    ):
        train_embedding.main(world)


@pytest.mark.parametrize("seed", ["-1", "99999999999", "x"])
def test_a_seed_out_of_range_is_a_usage_error(world, seed, capsys):
    with pytest.raises(SystemExit) as error:
        train_embedding.main(["--seed", seed, *world])
    assert error.value.code == 2
    assert "expected 0 to 2^31 - 1" in capsys.readouterr().err


def test_a_network_type_that_is_no_name_is_named(world):
    write_settings(Path(world[0]), model={"type": ["a"]})
    with pytest.raises(UserError, match="is not one of xvector"):
        train_embedding.main(world)


# --- what the fuzz found


def test_a_checkpoint_that_unpacks_to_more_than_its_file_is_refused(tmp_path):
    save_state({"step": 1}, tmp_path / "whole.pt")
    with (
        zipfile.ZipFile(tmp_path / "whole.pt") as whole,
        zipfile.ZipFile(tmp_path / "bomb.pt", "w", zipfile.ZIP_DEFLATED) as bomb,
    ):
        for part in whole.infolist():
            bomb.writestr(part.filename, whole.read(part))
        bomb.writestr("archive/data/0", bytes(2**26))
    with pytest.raises(UserError, match="it would unpack to 671"):
        load_state(tmp_path / "bomb.pt")


def test_a_long_text_in_a_checkpoint_is_refused(tmp_path):
    """torch looks through its own errors, which quote it, for minutes."""
    save_state({"x" * 70000: 1}, tmp_path / "step_1.pt")
    with pytest.raises(UserError, match="damaged .a text of 70000 characters"):
        load_state(tmp_path / "step_1.pt")


def test_what_is_no_state_is_no_checkpoint(tmp_path):
    torch.save([1, 2], tmp_path / "list.pt")
    with pytest.raises(UserError, match="damaged .a list, no state"):
        load_state(tmp_path / "list.pt")


def test_the_error_about_code_proposes_no_other_way_to_load_it(tmp_path):
    torch.save({"step": Trap(tmp_path / "ran")}, tmp_path / "step_1.pt")
    with pytest.raises(UserError) as error:
        load_state(tmp_path / "step_1.pt")
    assert "it holds more than tensors, numbers and text" in str(error.value)
    assert "weights_only" not in str(error.value)


@pytest.mark.parametrize(
    "change",
    [{"step": None}, {"network": 3}, {"network": {1: 2}}, {"optimizer": {"state": []}}],
)
def test_a_checkpoint_of_odd_types_does_not_fit(tmp_path, change):
    network, head = torch.nn.Linear(2, 2), torch.nn.Linear(2, 2)
    optimizer = loop.make_optimizer(settings().optimizer, network, head)
    parts = {"network": network, "head": head, "optimizer": optimizer}
    checkpoints = Checkpoints(tmp_path)
    checkpoints.save(3, {**loop.state_of(parts, 3, "f"), **change})
    with pytest.raises(UserError, match="step_3.pt: does not fit this network"):
        loop.resume(parts, checkpoints, "f", ALONE)


@pytest.mark.parametrize("text", ["3", "[]", "{}", "[" * 20000, "nul"])
def test_a_damaged_runinfo_is_no_finished_training(tmp_path, text):
    (tmp_path / "runinfo.json").write_text(text)
    (tmp_path / "final.pt").touch()
    assert not folder.is_finished(tmp_path, "f")


def test_a_length_of_many_digits_is_named(world):
    replace_line(Path(world[1]) / "utt2num_frames", "t2-1", "t2-1 " + "9" * 5000)
    with pytest.raises(UserError, match="utt2num_frames: t2-1: '999.* is not a number"):
        train_embedding.main(world)


def test_a_batch_that_no_memory_holds_is_refused():
    with pytest.raises(UserError, match="batch_size is from 2"):
        settings(batch_size=2**40)

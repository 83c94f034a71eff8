"""Training straight from recordings, and from packed arks one after the other."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
import torch
from data_dirs import make_data_dir, make_noise_dir
from hypothesis import given
from hypothesis import strategies as st
from training_data import FEATURES, make_dir, make_world, settings, write_settings

import train_embedding
from chronovox.cli import UserError
from chronovox.datadir import write_table
from chronovox.features import FeatureConfig
from chronovox.training.checkpoint import load_state
from chronovox.training.data import BatchPlan, Sample, TrainingSet, collate


@pytest.fixture(autouse=True)
def one_thread():
    torch.set_num_threads(1)


@pytest.fixture
def world(tmp_path):
    return make_world(tmp_path)


# --- straight from recordings


RECORDINGS = {"a-0": 20000, "a-1": 26000, "b-0": 18000, "b-1": 40000, "c-0": 24000}
FBANK = FeatureConfig(type="fbank")
CHANGES = {"prob": 0.5, "babble": {"num_speakers": [1, 2]}, "tempo": [0.9, 1.1]}


def recordings(folder, **changes):
    """A training set of recordings without features, and its settings."""
    data = make_noise_dir(folder / "data", RECORDINGS)
    assert not (data / "feats.scp").exists()
    durations = {utt: count / 16000 for utt, count in RECORDINGS.items()}
    write_table(data / "utt2dur", durations)
    config = settings(
        augment=CHANGES, frontend={"cmn": "utterance", "vad": False}, **changes
    )
    return data, config


def test_features_need_not_be_made(tmp_path):
    data, config = recordings(tmp_path)
    train_set = TrainingSet(data, config, FBANK)
    lengths = [(count + 80) // 160 for count in RECORDINGS.values()]
    assert train_set._frames.num_frames.tolist() == lengths
    (data / "utt2dur").unlink()
    with pytest.raises(UserError, match=r"utt2dur: no such file.*get_utt2dur.sh"):
        TrainingSet(data, config, FBANK)


@pytest.mark.parametrize(("augmented", "limit"), [(True, 300), (False, 150)])
def test_an_utterance_takes_some_hundred_bytes(tmp_path, augmented, limit):
    """In each process, for a million of them, three speeds and babble included."""
    babble = {"prob": 0.5, "babble": {"num_speakers": [1, 2]}}
    changes = {"speeds": [0.9, 1.0, 1.1], **babble} if augmented else None
    config = settings(augment=changes, frontend={"cmn": "none", "vad": False})
    sizes = {}
    for count in (300, 1000, 5000):  # the first loads modules
        data = tmp_path / str(count)
        utts = [f"id{n // 100:05}-21Uxsk56VDQ-{n:05}" for n in range(count)]
        paths = {utt: f"/data/aac/{utt.replace('-', '/')}.wav" for utt in utts}
        make_data_dir(data, paths)
        write_table(data / "feats.scp", {u: f"/data/fbank/{u[:7]}.ark:9" for u in utts})
        write_table(data / "utt2num_frames", dict.fromkeys(utts, 800))
        write_table(data / "utt2spk", {utt: utt[:7] for utt in utts})
        tracemalloc.start()
        train_set = TrainingSet(data, config, FBANK)
        sizes[count] = tracemalloc.get_traced_memory()[0]
        tracemalloc.stop()
        assert train_set.num_utts == count * (3 if augmented else 1)
    assert (sizes[5000] - sizes[1000]) / 4000 < limit


def test_features_of_a_batch_are_those_of_its_pieces(tmp_path):
    mask = {"time_masks": 2, "max_frames": 5, "freq_masks": 1, "max_bins": 9}
    data, config = recordings(tmp_path, mask=mask)
    one_by_one = TrainingSet(data, config, FBANK)
    at_once = TrainingSet(data, config, FBANK, batch_features=True)
    device = torch.device("cpu")
    for num_frames in (25, 300):  # 300: every utterance is repeated
        samples = [Sample(3, number, num_frames) for number in range(len(one_by_one))]
        expected, labels = one_by_one.to_device(
            collate([one_by_one[sample] for sample in samples]), device
        )
        features, same = at_once.to_device(
            collate([at_once[sample] for sample in samples]), device
        )
        assert features.shape == (len(samples), num_frames, 80)
        assert torch.equal(same, labels)
        torch.testing.assert_close(features, expected, atol=1e-4, rtol=0)


def test_what_cannot_be_computed_in_batches_is_refused(tmp_path):
    data, config = recordings(tmp_path)
    for changes, features in (
        ({"augment": None}, FBANK),
        ({"frontend": {"cmn": "sliding", "vad": False}}, FBANK),
        ({}, FeatureConfig(type="fbank", use_energy=True)),
    ):
        given = {"augment": CHANGES, "frontend": {"vad": False}, **changes}
        with pytest.raises(UserError, match="--batch-features: "):
            TrainingSet(data, settings(**given), features, batch_features=True)


# --- arks read one after the other


@given(st.integers(1, 9), st.integers(0, 5))
def test_arks_are_taken_a_few_at_a_time_and_every_sample_once(num_arks, seed):
    files = np.arange(120) * 7 % 8  # sample 0, 1, ... lies in one of 8 arks
    config = settings(batch_size=10, shuffle_arks=num_arks, seed=seed)
    plan = BatchPlan(120, config, files)
    orders = []
    for epoch in range(2):
        steps = range(12 * epoch, 12 * (epoch + 1))
        numbers = [s.number for step in steps for s in plan.batch(step)]
        assert sorted(numbers) == list(range(120))
        groups = [numbers[n : n + 15 * num_arks] for n in range(0, 120, 15 * num_arks)]
        assert all(len(set(files[group])) <= num_arks for group in groups)
        orders.append(numbers)
    assert orders[0] != orders[1]
    assert BatchPlan(120, config, files).batch(17) == plan.batch(17)


def test_each_ark_is_asked_for_once_an_epoch(tmp_path, monkeypatch):
    data = make_dir(tmp_path / "data", ["a", "b"])
    train_set = TrainingSet(data, settings(shuffle_arks=1), FEATURES)
    asked = []
    monkeypatch.setattr(os, "posix_fadvise", lambda *given: asked.append(given[1:]))
    batch = [Sample(epoch, number, 20) for epoch in (0, 1) for number in range(5)]
    assert train_set.read_ahead(batch) == batch
    train_set.read_ahead(batch)
    assert asked == [(0, 0, os.POSIX_FADV_WILLNEED)] * 2
    assert set(train_set.files()) == {0} and len(train_set.files()) == len(train_set)


def test_a_training_that_takes_arks_in_turn_resumes_to_the_same(world):
    config, train, dev, exp = world
    write_settings(config, shuffle_arks=1)
    train_embedding.main([config, train, dev, exp])
    whole = load_state(Path(exp, "final.pt"))
    Path(exp, "final.pt").unlink()
    Path(exp, "checkpoints/step_60.pt").unlink()
    train_embedding.main([config, train, dev, exp])
    again = load_state(Path(exp, "final.pt"))
    assert all(torch.equal(value, again[name]) for name, value in whole.items())

"""Training of the network that tells ages: lists, resumption, fine-tuning, errors."""

import os
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from conftest import ROOT

import estimate_face_ages
import train_face_age
from chronovox import datadir
from chronovox.cli import UserError
from chronovox.training import face_ages
from chronovox.training.checkpoint import load_state

TINY = yaml.safe_load((ROOT / "tests/face_age_tiny.yaml").read_text())


@pytest.fixture(scope="module")
def portraits(tmp_path_factory) -> Path:
    """A list of 60 pictures whose brightness is the age; a blank in each path."""
    folder = tmp_path_factory.mktemp("portraits")
    rng = np.random.default_rng(0)
    lines = []
    for number in range(60):
        age = float(rng.uniform(20, 80))
        picture = np.clip(rng.normal(2.5 * age, 5, (40, 40, 3)), 0, 255)
        path = folder / f"face {number}.png"
        cv2.imwrite(str(path), picture.astype(np.uint8))
        lines.append(f"{path} {age:.2f}\n")
    (folder / "list").write_text("".join(lines))
    return folder / "list"


def write_config(path: Path, **changes) -> Path:
    path.write_text(yaml.safe_dump({**TINY, **changes}))
    return path


def train(settings, portraits, exp, *options) -> int:
    words = ["--device", "cpu", *options, settings, portraits, exp]
    return train_face_age.main([str(word) for word in words])


def weights(exp: Path) -> dict:
    return load_state(exp / "final.pt")


def equal(a: dict, b: dict) -> bool:
    return a.keys() == b.keys() and all(torch.equal(a[name], b[name]) for name in a)


def test_it_learns_and_estimate_face_ages_takes_its_network(portraits, tmp_path):
    settings = write_config(tmp_path / "x.yaml", gain=0.0, num_steps=200)
    assert train(settings, portraits, tmp_path / "exp") == 0
    rows = [line.rsplit(" ", 1) for line in portraits.read_text().splitlines()]
    faces = {f"f{number:02d}": path for number, (path, _) in enumerate(rows)}
    datadir.write_table(tmp_path / "face.scp", faces)
    (tmp_path / "parts").mkdir()
    words = [tmp_path / "exp/config.yaml", tmp_path / "face.scp", tmp_path / "parts", 1]
    assert estimate_face_ages.main([str(word) for word in words]) == 0
    years = np.array([*datadir.read_floats(tmp_path / "parts/face2age.1").values()])
    truth = np.array([float(age) for _, age in rows])
    guess = np.abs(truth - np.median(truth)).mean()
    assert np.abs(years - truth).mean() < guess / 2


def test_workers_and_runs_change_nothing(portraits, tmp_path):
    settings = write_config(tmp_path / "x.yaml", num_steps=12)
    train(settings, portraits, tmp_path / "alone")
    train(settings, portraits, tmp_path / "workers", "--num-workers", 2)
    assert equal(weights(tmp_path / "alone"), weights(tmp_path / "workers"))
    stamp = (tmp_path / "alone/final.pt").stat().st_mtime_ns
    train(settings, portraits, tmp_path / "alone")
    assert (tmp_path / "alone/final.pt").stat().st_mtime_ns == stamp
    train(write_config(settings, num_steps=12, seed=2), portraits, tmp_path / "alone")
    assert not equal(weights(tmp_path / "alone"), weights(tmp_path / "workers"))


def test_another_list_or_picture_begins_anew(portraits, tmp_path):
    folder = tmp_path / "portraits"
    shutil.copytree(portraits.parent, folder)
    text = portraits.read_text().replace(f"{portraits.parent}/", f"{folder}/")
    (folder / "list").write_text(text)
    settings = write_config(tmp_path / "x.yaml", num_steps=4)
    words = settings, folder / "list", tmp_path / "exp"
    train(*words)
    first = weights(tmp_path / "exp")
    picture = folder / "face 3.png"
    cv2.imwrite(str(picture), np.zeros((40, 40, 3), np.uint8))
    train(*words)
    second = weights(tmp_path / "exp")
    assert not equal(first, second)
    (folder / "list").write_text(text.rpartition("\n")[0].rpartition("\n")[0] + "\n")
    train(*words)
    assert not equal(second, weights(tmp_path / "exp"))


def test_killed_and_run_again_it_comes_to_the_same_weights(portraits, tmp_path):
    settings = write_config(tmp_path / "x.yaml", num_steps=200, checkpoint_every=5)
    train(settings, portraits, tmp_path / "whole")
    exp = tmp_path / "killed"
    words = [ROOT / "steps/train_face_age.py", settings, portraits, exp]
    process = subprocess.Popen([sys.executable, *map(str, words)])
    deadline = time.monotonic() + 120
    while not list(exp.glob("checkpoints/step_*.pt")):
        assert time.monotonic() < deadline and process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    assert not (exp / "final.pt").exists()
    train(settings, portraits, exp)
    assert equal(weights(exp), weights(tmp_path / "whole"))


def test_it_goes_on_from_given_weights(portraits, tmp_path):
    settings = write_config(tmp_path / "x.yaml", num_steps=20)
    train(settings, portraits, tmp_path / "first")
    begun = face_ages.initial_network(
        face_ages.load_settings(
            write_config(tmp_path / "y.yaml", weights=str(tmp_path / "first/final.pt"))
        )
    )
    begun, given = begun.state_dict(), weights(tmp_path / "first")
    assert begun.keys() == given.keys()
    for name, value in given.items():  # the counter of BatchNorm begins anew
        assert torch.equal(begun[name], value) or name.endswith("num_batches_tracked")


def test_what_cannot_be_used_is_left_out_and_listed(portraits, tmp_path):
    (tmp_path / "text.jpg").write_text("no picture")
    lines = [f"{tmp_path}/missing.jpg 30\n", f"{tmp_path}/text.jpg 30\n"]
    first = portraits.read_text().splitlines()[0].rsplit(" ", 1)[0]
    rest = portraits.read_text().splitlines(keepends=True)[1:]
    lines += [f"{first} 336\n", *rest]
    (tmp_path / "list").write_text("".join(lines))
    settings = write_config(tmp_path / "x.yaml", num_steps=2)
    words = (settings, tmp_path / "list", tmp_path / "exp")
    with pytest.raises(UserError, match="3 of 62"):
        train(*words, "--max-fail-ratio", "0.01")
    assert not (tmp_path / "exp/final.pt").exists()
    assert train(*words) == 0
    dropped = (tmp_path / "exp/log/dropped").read_text()
    assert dropped.splitlines() == [
        f"{first} an age of 336 years: 0 to 100 are known",
        f"{tmp_path}/missing.jpg {tmp_path}/missing.jpg: no such file",
        f"{tmp_path}/text.jpg {tmp_path}/text.jpg: no picture that can be read",
    ]


@pytest.mark.parametrize(
    "line, message",
    [
        ("a.jpg", "list:2: expected `<path> <age>`"),
        ("a.jpg old", "list:2: 'old' is not a number"),
        ("b.jpg 30", "list:2: 'b.jpg' is there twice"),
    ],
)
def test_a_bad_line_is_named(tmp_path, line, message):
    (tmp_path / "list").write_text(f"b.jpg 20\n{line}\n")
    with pytest.raises(UserError, match=message):
        face_ages.read_portraits(tmp_path / "list")


def test_a_network_without_classes_is_refused(portraits, tmp_path):
    settings = write_config(tmp_path / "x.yaml", network={"type": "ssrnet"})
    with pytest.raises(UserError, match="ssrnet has no classes of ages"):
        train(settings, portraits, tmp_path / "exp")


@pytest.mark.parametrize(
    "flip, shift, gain", [(True, 0, 0), (False, 0.1, 0), (False, 0, 0.2)]
)
def test_each_change_of_a_face_is_what_it_says(flip, shift, gain):
    settings = face_ages.FaceTrainingConfig({}, flip=flip, shift=shift, gain=gain)
    face = np.random.default_rng(0).integers(0, 200, (20, 20, 3), dtype=np.uint8)
    found = [
        face_ages.changed(face, settings, np.random.default_rng(n)) for n in range(200)
    ]
    if flip:
        mirrored = [np.array_equal(f, face[:, ::-1]) for f in found]
        assert all(
            m or np.array_equal(f, face) for m, f in zip(mirrored, found, strict=True)
        )
        assert 60 <= sum(mirrored) <= 140
    elif shift:
        shifts = range(-2, 3)
        allowed = [
            face[np.ix_(*(np.clip(np.arange(20) + n, 0, 19) for n in (down, right)))]
            for down in shifts for right in shifts
        ]  # fmt: skip
        assert all(any(np.array_equal(f, a) for a in allowed) for f in found)
        assert len({f.tobytes() for f in found}) == 25
    else:
        ratio = np.array([f.sum() / face.sum() for f in found])
        assert 0.8 <= ratio.min() < 0.82 and 1.18 < ratio.max() <= 1.2
        np.testing.assert_allclose(found[0], face * ratio[0], rtol=1e-9)


def test_an_epoch_takes_every_face_once():
    settings = face_ages.FaceTrainingConfig({}, batch_size=7)
    portraits = [face_ages.Portrait(str(n), 30.0) for n in range(10)]
    faces = face_ages.FaceSet(portraits, settings, read=None)
    samples = [sample for step in range(10) for sample in faces.batch(step)]
    for epoch in range(7):
        inside = [number for e, number in samples if e == epoch]
        assert sorted(inside) == list(range(10))
    assert len(samples) == 70

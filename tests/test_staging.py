"""Copies on a local disk, as training reads them from."""

import os
import shutil
from pathlib import Path

import pytest
import torch
from data_dirs import make_noise_dir
from training_data import make_dir, write_settings

import train_embedding
from chronovox import kaldi_io
from chronovox.audio import WavTable
from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.staging import staged
from chronovox.training.checkpoint import load_state


def test_what_is_read_is_the_same_and_lies_on_the_scratch_disk(tmp_path):
    data = make_dir(tmp_path / "data", ["a", "b"])
    with staged(data, tmp_path / "exp", ["feats.scp", "vad.scp"], tmp_path / "s") as d:
        here, there = (read_table(x / "feats.scp", None) for x in (d, data))
        assert here.keys() == there.keys()
        for utt, rxfile in here.items():
            assert rxfile.startswith(f"{tmp_path}/s/")
            ours, theirs = kaldi_io.read_matrix(rxfile), there[utt]
            assert (ours == kaldi_io.read_matrix(theirs)).all()
        assert read_table(d / "utt2spk") == read_table(data / "utt2spk")
        assert (d / "conf/features.yaml").exists() and (d / "vad.scp").exists()
        with staged(data, tmp_path / "other", ["vad.scp"], tmp_path / "s") as other:
            assert other != d and not (other / "feats.scp").exists()
        assert d.exists() and not other.exists()
    assert not list((tmp_path / "s").iterdir())


def test_recordings_keep_the_ending_that_tells_their_format(tmp_path):
    data = make_noise_dir(tmp_path / "data", {"a-0": 4000, "b-0": 5000})
    with staged(data, "exp", ["wav.scp"], tmp_path / "s") as folder:
        table = WavTable(folder)
        assert all(table.file(utt).endswith(".wav") for utt in table)
        for utt in table:
            assert (table.read(utt)[0] == WavTable(data).read(utt)[0]).all()
    (data / "wav.scp").write_text("a-0 sox x.wav -t wav - |\n")
    with (
        pytest.raises(UserError, match=r"wav.scp: a-0: a command cannot be copied"),
        staged(data, "exp", ["wav.scp"], tmp_path / "s"),
    ):
        pass
    (data / "wav.scp").write_text(f"a-0 {tmp_path}/gone.wav\n")
    with (
        pytest.raises(UserError, match=r"gone.wav: no such file"),
        staged(data, "exp", ["wav.scp"], tmp_path / "s"),
    ):
        pass


def test_what_a_killed_process_left_is_used_if_it_is_the_same(tmp_path, monkeypatch):
    data = make_dir(tmp_path / "data", ["a", "b"])
    given = data, "exp", ["feats.scp", "vad.scp"], tmp_path / "s"
    copied = []
    plain = shutil.copyfileobj
    monkeypatch.setattr(
        shutil, "copyfileobj", lambda a, *b: (copied.append(Path(a.name)), plain(a, *b))
    )
    with staged(*given) as folder:
        shutil.copytree(folder, tmp_path / "left")
    assert data / "feats.ark" in copied
    shutil.move(tmp_path / "left", folder)
    os.utime(data / "vad.ark")
    copied.clear()
    with staged(*given):
        assert copied == [data / "vad.ark"]


def test_training_reads_the_copies_and_gives_the_same_network(tmp_path, monkeypatch):
    train = make_dir(tmp_path / "train", [f"t{n}" for n in range(4)])
    dev = make_dir(tmp_path / "dev", ["d0", "d1"], seed=1)
    config = write_settings(tmp_path / "x.yaml", num_steps=10)
    words = [str(config), str(train), str(dev)]
    monkeypatch.delenv("TMPDIR", raising=False)
    with pytest.raises(UserError, match="TMPDIR is not set"):
        train_embedding.main(["--scratch", "true", *words, str(tmp_path / "exp")])
    monkeypatch.setenv("TMPDIR", str(tmp_path / "scratch"))
    train_embedding.main([*words, str(tmp_path / "plain")])
    opened, plain = set(), kaldi_io.read_matrix
    monkeypatch.setattr(
        kaldi_io, "read_matrix", lambda path, *more: (
            opened.add(path.startswith(f"{tmp_path}/scratch/")), plain(path, *more)
        )[1],
    )  # fmt: skip
    train_embedding.main(["--scratch", "true", *words, str(tmp_path / "exp")])
    assert opened == {True, False}  # False: the development data
    ours, theirs = (load_state(tmp_path / exp / "final.pt") for exp in ("exp", "plain"))
    assert all(torch.equal(value, theirs[name]) for name, value in ours.items())
    assert not list((tmp_path / "scratch").iterdir())


def test_what_is_no_longer_there_is_no_longer_in_the_copy(tmp_path):
    data = make_noise_dir(tmp_path / "data", {"a-0": 4000, "b-0": 5000})
    given = data, "exp", ["wav.scp"], tmp_path / "s"
    for name, text in (("segments", "a-0 a-0 0 0.1\nb-0 b-0 0 0.1\n"), ("text", "x\n")):
        (data / name).write_text(text)
    with staged(*given) as folder:
        shutil.copytree(folder, tmp_path / "left")
    shutil.move(tmp_path / "left", folder)
    (data / "segments").unlink()
    (data / "text").unlink()
    wavs = (data / "wav.scp").read_text().splitlines()
    (data / "wav.scp").write_text(f"{wavs[0]}\n")
    with staged(*given):
        assert not (folder / "segments").exists() and not (folder / "text").exists()
        assert len(list((folder / "files").iterdir())) == 1
        with (
            pytest.raises(UserError, match="another process reads these copies"),
            staged(*given),
        ):
            pass
        assert (folder / "wav.scp").exists()


def test_copying_stops_between_two_files(tmp_path):
    data = make_noise_dir(tmp_path / "data", {"a-0": 4000, "b-0": 5000})
    asked = []

    def check():
        asked.append(1)
        if len(asked) == 2:
            raise InterruptedError

    given = data, "exp", ["wav.scp"], tmp_path / "s"
    with pytest.raises(InterruptedError), staged(*given, check=check):
        pass
    assert not list((tmp_path / "s").iterdir())

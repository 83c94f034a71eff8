"""Durations by headers alone: right, cheap, and honest about what is broken."""

import io
import os
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from data_dirs import make_data_dir, make_noise_dir, noise, set_utts
from test_audio import save, save_m4a

from chronovox import audio, datadir_check, kaldi_io
from chronovox.audio import WavTable
from chronovox.cli import UserError
from chronovox.datadir import read_floats, read_table, write_table

FORMATS = ["wav", "flac", "ogg", "opus", "mp3", "m4a"]


def get_utt2dur(*words, code=0):
    done = subprocess.run(
        ["steps/get_utt2dur.sh", *map(str, words)], cwd=ROOT,
        env={**os.environ, "CHRONOVOX_PYTHON": sys.executable},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


def record(folder, suffix, num_samples=60 * 16000):
    path = folder / f"x.{suffix}"
    samples = noise(num_samples) + np.float32(1e-3)
    return save_m4a(path, samples) if suffix == "m4a" else save(path, samples)


def one(folder, rxfile, **options):
    table = WavTable(make_data_dir(folder / "one", {"a-1": str(rxfile)}), **options)
    return table, "a-1"


@pytest.fixture
def bytes_read(monkeypatch):
    """How many bytes of the files opened were read: a list with one number."""
    count = [0]

    class Counting(io.FileIO):
        def readinto(self, buffer):
            got = super().readinto(buffer)
            count[0] += got
            return got

        def read(self, size=-1):
            data = super().read(size)
            count[0] += len(data)
            return data

    monkeypatch.setattr(kaldi_io, "open_file", Counting)
    return count


@pytest.mark.parametrize("suffix", FORMATS)
def test_lengths_are_those_of_the_samples_and_headers_alone_are_read(
    tmp_path, suffix, bytes_read
):
    path = record(tmp_path, suffix)
    table, utt = one(tmp_path, path)
    length = table.length(utt)
    in_all = bytes_read[0]
    # m4a keeps a table of its frames in the header, ogg its length at the end.
    assert in_all < min(80_000, path.stat().st_size / 2)
    if suffix in ("wav", "flac"):
        assert in_all < 10_000
    samples, rate = table.read(utt)
    assert bytes_read[0] - in_all >= path.stat().st_size * 0.9  # they are counted
    assert length == (len(samples), rate) == (60 * 16000, 16000)


def test_a_record_in_an_ark_is_measured_by_its_header(tmp_path, bytes_read):
    with kaldi_io.ArkWriter(tmp_path / "a.ark", tmp_path / "a.scp", 1) as writer:
        for n in range(1, 4):
            wave = np.random.default_rng(n).uniform(-0.5, 0.5, 16000 * n)
            writer.write_record(f"a-{n}", audio.flac_record(wave, 16000))
    table = WavTable(make_data_dir(tmp_path / "d", read_table(tmp_path / "a.scp")))
    assert [table.duration_s(utt) for utt in table] == [1.0, 2.0, 3.0]
    assert bytes_read[0] < 40_000 < (tmp_path / "a.ark").stat().st_size / 3


def test_what_is_cut_off_behind_the_header(tmp_path):
    """A wav tells by its size; of a flac the header's length stands."""
    wav, flac = record(tmp_path, "wav"), record(tmp_path, "flac")
    os.truncate(wav, 20000)
    os.truncate(flac, 20000)
    table, utt = one(tmp_path, wav)
    with pytest.raises(UserError, match="a-1: .*x.wav: truncated: 1900044 bytes"):
        table.length(utt)
    table, utt = one(tmp_path, flac)
    assert table.length(utt) == (60 * 16000, 16000)
    with pytest.raises(UserError, match=r"x.flac: (damaged|truncated)"):
        table.read(utt)


def test_a_sparse_file_of_two_hours_takes_no_time(tmp_path, bytes_read):
    path = record(tmp_path, "wav", 16000)
    data = bytearray(path.read_bytes())
    size = 2 * 3600 * 16000 * 2
    data[4:8], data[40:44] = (
        (36 + size).to_bytes(4, "little"),
        size.to_bytes(4, "little"),
    )
    path.write_bytes(data)
    os.truncate(path, 44 + size)
    table, utt = one(tmp_path, path)
    assert table.duration_s(utt) == 7200 and bytes_read[0] < 1000


def test_segments_are_as_long_as_they_are_cut(tmp_path):
    data = make_data_dir(tmp_path / "d", {"r": str(record(tmp_path, "flac", 64000))})
    segments = {"a-1": "r 0 1", "a-2": "r 1.1 2.00009", "a-3": "r 3.2 4.4999"}
    write_table(data / "segments", segments)
    set_utts(data, segments)
    get_utt2dur("--nj", 2, data)
    table = WavTable(data)
    found = read_floats(data / "utt2dur")
    assert found == {utt: round(len(table.read(utt)[0]) / 16000, 6) for utt in table}
    write_table(data / "segments", {"a-1": "r 5 6", "a-2": "r 0 1", "a-3": "r 0 2"})
    get_utt2dur("--max-fail-ratio", 0.5, data)
    assert read_table(data / "utt2dur") == {"a-2": "1.0", "a-3": "2.0"}
    assert (
        "beyond the recording of 4 s" in (data / "log/get_utt2dur.dropped").read_text()
    )


def test_every_number_of_jobs_gives_the_same_table(tmp_path):
    data = make_noise_dir(tmp_path / "d", {f"a-{n}": 16000 + n for n in range(7)})
    tables = set()
    for nj in (1, 3, 20):
        assert "7 in, 7 out, 0 dropped" in get_utt2dur("--nj", nj, data)
        tables.add((data / "utt2dur").read_bytes())
    assert len(tables) == 1
    assert datadir_check.find_problems(data, no_feats=True, no_text=True) == []


def test_all_that_cannot_be_measured_is_listed_with_the_reason(tmp_path):
    good = record(tmp_path, "wav", 16000)
    (tmp_path / "empty.wav").touch()
    (tmp_path / "text.wav").write_text("no audio at all\n")
    (tmp_path / "text.m4a").write_text("no audio at all\n")
    (tmp_path / "head.wav").write_bytes(good.read_bytes()[:44])
    soundfile.write(tmp_path / "two.wav", np.zeros((100, 2)), 16000)
    soundfile.write(tmp_path / "none.wav", np.zeros(0), 16000)
    reasons = {
        "missing.wav": "no such file", "empty.wav": "empty file (0 bytes)",
        "text.wav": "damaged, or no audio", "text.m4a": "damaged, or no audio",
        "head.wav": "truncated: 32000 bytes", "two.wav": "2 channels: make it mono",
        "none.wav": "empty: 0 samples", "good.ark:7": "no such file",
    }  # fmt: skip
    bad = {f"b-{n}": str(tmp_path / name) for n, name in enumerate(reasons)}
    data = make_data_dir(tmp_path / "d", {"a-1": str(good), **bad})
    said = get_utt2dur(data, code=1)
    assert "8 of 9 were dropped, more than --max-fail-ratio 0.05" in said
    assert not (data / "utt2dur").exists()
    said = get_utt2dur("--max-fail-ratio", 1, data, tmp_path / "log")
    assert "9 in, 1 out, 8 dropped" in said and "fix_data_dir.py" in said
    assert read_table(data / "utt2dur") == {"a-1": "1.0"}
    lines = (tmp_path / "log/get_utt2dur.dropped").read_text().splitlines()
    for line, (name, reason) in zip(lines, reasons.items(), strict=True):
        assert name in line and reason in line
    (data / "wav.scp").write_text(f"a-1 {tmp_path}/missing.wav\n")
    assert "1 of 1 were dropped" in get_utt2dur("--max-fail-ratio", 1, data, code=1)


def test_pipes_run_only_if_allowed(tmp_path):
    path = record(tmp_path, "wav", 8000)
    data = make_data_dir(tmp_path / "d", {"a-1": f"cat {path} |"})
    get_utt2dur(data, code=1)
    log = (data / "log/get_utt2dur.1.log").read_text()
    assert "give --allow-pipes true" in log
    get_utt2dur("--allow-pipes", "true", data)
    assert read_table(data / "utt2dur") == {"a-1": "0.5"}


def test_wrong_usage(tmp_path):
    assert "Usage" in get_utt2dur(code=2)
    assert "no such file" in get_utt2dur(tmp_path, code=1)
    (tmp_path / "wav.scp").touch()
    assert "empty: " in get_utt2dur(tmp_path, code=1)


def test_real_speech_is_as_long_as_it_is_read(shared_data, tmp_path):
    corpus = shared_data / "speech/arabic_sc/00000001"
    entries = {
        f"a-{path.parent.name}-{path.stem}": str(path)
        for path in sorted(corpus.glob("*/*.flac"))
    }
    data = make_data_dir(tmp_path / "d", entries)
    table = WavTable(data)
    assert len(table) == 30
    for utt in table:
        assert table.length(utt) == (len(table.read(utt)[0]), 16000)

"""Recordings written into arks, resampled and changed, as data directories."""

import os
import re
import subprocess
import sys

import numpy as np
import pytest
import soundfile
from conftest import ROOT
from data_dirs import make_data_dir, make_noise_dir, set_utts

from chronovox import datadir_check
from chronovox.audio import WavTable
from chronovox.datadir import read_table

LENGTHS = {f"{spk}-{n}": 16000 + 800 * n for spk in "abcdefghij" for n in range(2)}


def pack(*words, code=0):
    done = subprocess.run(
        ["steps/pack_audio.sh", *map(str, words)], cwd=ROOT,
        env={**os.environ, "CHRONOVOX_PYTHON": sys.executable},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == code, done.stdout
    return done.stdout


@pytest.fixture(scope="module")
def source(tmp_path_factory):
    return make_noise_dir(tmp_path_factory.mktemp("pack") / "src", LENGTHS)


def test_packed_recordings_are_the_same_samples(source, tmp_path):
    (source / "utt2age").write_text("a-0 40.5\n")
    arks = {}
    for nj in (1, 3):
        out = tmp_path / f"out{nj}"
        said = pack("--nj", nj, source, out, tmp_path / f"audio{nj}")
        assert "20 in, 20 out, 0 dropped" in said
        assert datadir_check.find_problems(out, no_feats=True, no_text=True) == []
        assert (out / "utt2age").read_text() == "a-0 40.5\n"
        packed, plain = WavTable(out), WavTable(source)
        arks[nj] = {utt: packed.read(utt) for utt in packed}
        assert list(packed) == list(plain) == list(arks[nj])
        for utt, (samples, rate) in arks[nj].items():
            assert rate == 16000
            np.testing.assert_array_equal(samples, plain.read(utt)[0])
            assert float(read_table(out / "utt2dur")[utt]) == len(samples) / 16000
    assert len(list((tmp_path / "audio3").glob("out3.*.ark"))) == 3


@pytest.mark.parametrize("told", [True, False])
def test_parts_of_packed_recordings_are_parts_of_the_whole(tmp_path, told):
    """A search in a FLAC stream must not end in one of the records behind it."""
    lengths = {f"a-{n:02d}": 80000 + 1000 * n for n in range(12)}
    source = make_noise_dir(tmp_path / "src", lengths)
    pack("--nj", 1, source, tmp_path / "out", tmp_path / "audio")
    ark = tmp_path / "audio/out.1.ark"
    found = re.findall(rb"comment=bytes=(\d{10})", ark.read_bytes())
    assert len(found) == 12 and sum(map(int, found)) == pytest.approx(
        ark.stat().st_size - 12 * len("a-00 ")
    )
    if not told:  # as other programs write it
        ark.write_bytes(ark.read_bytes().replace(b"comment=bytes=", b"comment=_____="))
    table, rng = WavTable(tmp_path / "out"), np.random.default_rng(0)
    for utt, length in lengths.items():
        whole, _ = table.read(utt)
        for first in rng.integers(length - 4000, size=8):
            part, _ = table.read(utt, 16000, slice(first, first + 4000))
            np.testing.assert_array_equal(part, whole[first : first + 4000])


def test_the_loudest_samples_of_16_bits_stay_as_they_are(tmp_path):
    samples = np.array([-32768, 32767, 5] * 3000, np.int16)
    soundfile.write(tmp_path / "r.wav", samples, 16000)
    source = make_data_dir(tmp_path / "src", {"a-1": str(tmp_path / "r.wav")})
    pack(source, tmp_path / "out", tmp_path / "audio")
    packed, _ = WavTable(tmp_path / "out").read("a-1")
    np.testing.assert_array_equal(packed * 32768, samples)


def test_segments_are_cut_out_and_other_rates_resampled(tmp_path):
    wave = np.sin(2 * np.pi * 440 * np.arange(44100 * 2) / 44100)
    soundfile.write(tmp_path / "r.wav", 0.5 * wave, 44100)
    src = make_data_dir(tmp_path / "src", {"r": str(tmp_path / "r.wav")})
    set_utts(src, ["a-1", "a-2"])
    (src / "segments").write_text("a-1 r 0 0.5\na-2 r 0.5 2\n")
    pack(src, tmp_path / "out", tmp_path / "audio")
    assert not (tmp_path / "out/segments").exists()
    table = WavTable(tmp_path / "out")
    for utt, dur_s in (("a-1", 0.5), ("a-2", 1.5)):
        samples, rate = table.read(utt)
        assert (rate, len(samples)) == (16000, dur_s * 16000)
        spectrum = np.abs(np.fft.rfft(samples * np.hanning(len(samples))))
        assert spectrum.argmax() / dur_s == pytest.approx(440, abs=2)


def test_changed_copies_depend_on_seed_and_utterance_alone(source, tmp_path):
    found = {}
    for name, options in (
        ("one", ["--nj", "1"]),
        ("four", ["--nj", "4"]),
        ("seed", ["--nj", "4", "--seed", "5"]),
    ):
        options += ["--augment", ROOT / "conf/augment.yaml"]
        pack(*options, source, tmp_path / name, tmp_path / f"audio_{name}")
        table = WavTable(tmp_path / name)
        found[name] = {utt: table.read(utt)[0] for utt in table}
    for utt, samples in found["one"].items():
        np.testing.assert_array_equal(samples, found["four"][utt])
        other = found["seed"][utt]
        assert len(samples) != len(other) or not np.allclose(samples, other)


def test_speed_and_what_cannot_be_read(source, tmp_path):
    pack("--speed", "0.8", source, tmp_path / "slow", tmp_path / "audio")
    assert len(WavTable(tmp_path / "slow").read("b-0")[0]) == 20000
    broken = make_data_dir(
        tmp_path / "broken",
        {**read_table(source / "wav.scp"), "a-0": str(tmp_path / "none.wav")},
    )
    out = tmp_path / "out"
    said = pack("--max-fail-ratio", "0.01", broken, out, tmp_path / "audio", code=1)
    assert "1 of 20 were dropped" in said and not (out / "wav.scp").exists()
    pack(broken, out, tmp_path / "audio")
    assert len(read_table(out / "utt2spk")) == 19
    assert "none.wav: no such file" in (out / "log/dropped").read_text()
    said = pack("--speed", "9", source, out, tmp_path / "audio", code=1)
    assert "--speed: from 0.5 to 2" in said
    (tmp_path / "bad.yaml").write_text("speeds: [1.0, 1.1]\n")
    said = pack("--augment", tmp_path / "bad.yaml", source, out, tmp_path / "a", code=1)
    assert "one data directory has one speed: give --speed" in said

"""The steps that make features and reference vectors, from recordings to arks."""

import os
import subprocess
import sys

import kaldi_native_io
import numpy as np
import pytest
import soundfile
from conftest import ROOT
from data_dirs import make_data_dir, make_noise_dir, set_utts
from kaldi_features import SETTINGS, oracle

import collect_parts
import compute_features
import extract_statistics
import join_vectors
import set_up_features
from chronovox import config, kaldi_io, vectors
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.features import Extractor, FeatureConfig


def compute(data, *options, kind="fbank", jobs=1, work=None):
    """The steps of make_fbank.sh without its shell; returns the exit codes."""
    work = work or data / "log"
    table = data / ("segments" if (data / "segments").exists() else "wav.scp")
    codes = [set_up_features.main([kind, str(ROOT / f"conf/{kind}.yaml"), str(data)])]
    lines = table.read_text().splitlines(keepends=True)
    for job in range(1, jobs + 1):
        part = work / f"utts.{job}"
        part.parent.mkdir(parents=True, exist_ok=True)
        size = -(-len(lines) // jobs)
        part.write_text("".join(lines[(job - 1) * size : job * size]))
        codes.append(
            compute_features.main(
                [*options, str(data), str(part), str(work), str(job),
                 str(work / f"f.{job}.ark"), str(work / f"f.{job}.scp")]
            )
        )  # fmt: skip
    return codes


def collect(data, jobs=1, *options):
    log = data / "log"
    return collect_parts.main(
        [*options, "--dropped", f"{log}/dropped.JOB={log}/dropped", str(jobs),
         str(data / "wav.scp"),
         f"{log}/utt2num_frames.JOB={data}/utt2num_frames",
         f"{log}/utt2dur.JOB={data}/utt2dur",
         f"{log}/f.JOB.scp={data}/feats.scp"]
    )  # fmt: skip


LENGTHS = {"a-1": 16000, "a-2": 8000, "b-1": 20000, "b-2": 12345, "c-1": 40000}


@pytest.mark.parametrize("compress", ["false", "true"])
def test_arks_are_read_by_kaldi(tmp_path, compress):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    assert compute(data, "--compress", compress) == [0, 0]
    assert collect(data) == 0
    extractor = Extractor(SETTINGS["fbank"])
    with kaldi_native_io.SequentialFloatMatrixReader(f"scp:{data}/feats.scp") as reader:
        matrices = {key: np.array(value) for key, value in reader}
    assert list(matrices) == list(LENGTHS)
    for utt, path in read_table(data / "wav.scp").items():
        expected = extractor(soundfile.read(path, dtype="float32")[0])
        if compress == "false":
            np.testing.assert_array_equal(matrices[utt], expected)
        else:
            np.testing.assert_allclose(matrices[utt], expected, atol=0.2)
    assert read_table(data / "utt2num_frames")["b-2"] == "77"
    assert read_table(data / "utt2dur")["b-2"] == "0.771563"
    assert (data / "frame_shift").read_text() == "0.01\n"
    settings = config.load(data / "conf/features.yaml", FeatureConfig)
    assert settings == SETTINGS["fbank"]


def test_features_do_not_depend_on_the_number_of_jobs(tmp_path):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    records = []
    for jobs in (1, 3):
        compute(data, jobs=jobs, work=tmp_path / str(jobs))
        paths = [tmp_path / str(jobs) / f"f.{job}.ark" for job in range(1, jobs + 1)]
        records.append(b"".join(path.read_bytes() for path in paths))
    assert records[0] == records[1]


def test_features_of_segments(tmp_path):
    data = make_noise_dir(tmp_path / "data", {"reco": 64000})
    path = read_table(data / "wav.scp")["reco"]
    write_table(data / "segments", {"a-1": "reco 0.5 1.5", "a-2": "reco 1.5 3.25"})
    set_utts(data, ["a-1", "a-2"])
    assert compute(data) == [0, 0]
    frames = read_table(data / "log/utt2num_frames.1")
    assert frames == {"a-1": "100", "a-2": "175"}
    samples = soundfile.read(path, dtype="float32")[0][24000:52000]
    read = kaldi_io.read_matrix(read_table(data / "log/f.1.scp")["a-2"])
    np.testing.assert_array_equal(read, Extractor(SETTINGS["fbank"])(samples))


def bad_files_dir(tmp_path, num_good):
    """Good utterances beside one that is missing, and one of a single sample."""
    lengths = {f"a-{i:02d}": 4000 + i for i in range(num_good)}
    data = make_noise_dir(tmp_path / "data", {**lengths, "b-1": 1})
    entries = read_table(data / "wav.scp")
    return make_data_dir(data, {**entries, "b-2": str(tmp_path / "none.wav")})


def test_bad_utterances_are_dropped_with_a_reason(tmp_path, caplog):
    data = bad_files_dir(tmp_path, num_good=40)
    caplog.set_level("INFO")
    assert compute(data, jobs=2) == [0, 0, 0]
    assert collect(data, 2) == 0
    assert "42 in, 40 out, 2 dropped" in caplog.text
    assert len(read_table(data / "feats.scp")) == 40
    missing = tmp_path / "none.wav"
    assert (data / "log/dropped").read_text() == (
        "b-1 too short: 1 samples, no frame\n"
        f"b-2 b-2: {missing}: no such file: correct the path in wav.scp\n"
    )


def test_too_many_bad_utterances_are_an_error(tmp_path):
    data = bad_files_dir(tmp_path, num_good=10)
    compute(data)
    with pytest.raises(UserError, match="2 of 12 were dropped.*first: b-1: too short"):
        collect(data)
    assert not (data / "feats.scp").exists()
    assert collect(data, 1, "--max-fail-ratio", "0.2") == 0


def test_no_good_utterance_is_an_error(tmp_path):
    data = make_noise_dir(tmp_path / "data", {"a-1": 16000}, rate=8000)
    compute(data)
    with pytest.raises(UserError, match="a-1.wav: 8000 Hz, but .* 16000 Hz: resample"):
        collect(data, 1, "--max-fail-ratio", "1")


def test_a_lost_part_is_an_error(tmp_path):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    compute(data, jobs=2)
    scp = data / "log/f.2.scp"
    scp.write_text("".join(scp.read_text().splitlines(keepends=True)[:-1]))
    with pytest.raises(UserError, match="'c-1' is missing"):
        collect(data, 2)
    scp.unlink()
    with pytest.raises(UserError, match="f.2.scp: no such file: did job 2 fail"):
        collect(data, 2)


def test_pipes_are_refused(tmp_path):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    write_table(data / "wav.scp", {"a-1": f"cat {data}/wav/a-1.wav |"})
    with pytest.raises(UserError, match="--allow-pipes true"):
        compute(data)
    assert compute(data, "--allow-pipes", "true") == [0, 0]
    assert read_table(data / "log/utt2num_frames.1") == {"a-1": "100"}


def test_settings_of_another_type(tmp_path):
    with pytest.raises(UserError, match="type is mfcc, but fbank.*make_mfcc.sh"):
        set_up_features.main(["fbank", str(ROOT / "conf/mfcc.yaml"), str(tmp_path)])


def extract(kind, data, out, monkeypatch):
    monkeypatch.chdir(ROOT)
    parts = [str(out / "parts"), "1", str(out / "x.ark"), str(out / "x.scp")]
    settings = {"floor": "conf/mfcc.yaml", "channel": "conf/fbank.yaml"}
    arguments = [kind, settings[kind], str(data), str(data / "wav.scp"), *parts]
    assert extract_statistics.main(arguments) == 0
    join = [str(out / "x.scp"), str(data / "utt2spk"), str(out)]
    assert join_vectors.main(join) == 0
    return kaldi_io.read_vectors(out / "xvector.scp")


def test_floor_vectors(tmp_path, monkeypatch):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    utts, table = extract("floor", data, tmp_path / "out", monkeypatch)
    assert utts == list(LENGTHS) and table.shape == (5, 60)
    samples = soundfile.read(data / "wav/b-2.wav", dtype="float32")[0]
    mfcc = oracle(samples, SETTINGS["mfcc"])
    above = mfcc[:, 0] > 5.5 + 0.5 * mfcc[:, 0].mean()
    voiced = np.convolve(above, np.ones(5), "same") > 0  # 0.12 of 5 frames: one
    assert 5 < voiced.sum() < len(voiced)
    expected = np.concatenate([mfcc[voiced].mean(0), mfcc[voiced].std(0)])
    np.testing.assert_allclose(table[3], expected, atol=1e-3)


def test_channel_vectors(tmp_path, monkeypatch):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    rng = np.random.default_rng(0)
    loud = rng.normal(0, 0.1, 16000)  # voiced throughout
    soundfile.write(data / "wav/a-1.wav", loud, 16000)
    _, table = extract("channel", data, tmp_path / "out", monkeypatch)
    assert table.shape == (5, 80)
    for row, utt in ((0, "a-1"), (3, "b-2")):
        samples = soundfile.read(data / f"wav/{utt}.wav", dtype="float32")[0]
        fbank = oracle(samples, SETTINGS["fbank"])
        energy = oracle(samples, SETTINGS["mfcc"])[:, 0]
        above = energy > 5.5 + 0.5 * energy.mean()
        frames = np.convolve(above, np.ones(5), "same") == 0
        if utt == "a-1":
            assert frames.sum() < 5
            frames = np.argsort(energy)[:5]
        np.testing.assert_allclose(table[row], fbank[frames].mean(0), atol=1e-3)


def test_speaker_means_and_counts(tmp_path):
    rng = np.random.default_rng(0)
    table = {utt: rng.normal(size=7).astype(np.float32) for utt in LENGTHS}
    with kaldi_io.ArkWriter(tmp_path / "x.ark", tmp_path / "x.scp", 1) as writer:
        for utt in table:
            writer.write(utt, table[utt])
    set_utts(tmp_path, [*LENGTHS, "d-1"])
    ark, scp = tmp_path / "xvector.ark", tmp_path / "xvector.scp"
    assert vectors.write_joined(tmp_path / "x.scp", ark, scp) == 5
    assert vectors.write_speaker_means(scp, tmp_path / "utt2spk", tmp_path) == 3
    path = f"scp:{tmp_path}/spk_xvector.scp"
    with kaldi_native_io.SequentialFloatVectorReader(path) as reader:
        means = {key: np.array(value) for key, value in reader}
    with kaldi_native_io.SequentialInt32Reader(
        f"ark:{tmp_path}/num_utts.ark"
    ) as reader:
        assert dict(reader) == {"a": 2, "b": 2, "c": 1}
    np.testing.assert_allclose(means["b"], (table["b-1"] + table["b-2"]) / 2, atol=1e-6)
    set_utts(tmp_path, ["a-1"])
    with pytest.raises(UserError, match="utt2spk: no line for 'a-2'"):
        vectors.write_speaker_means(scp, tmp_path / "utt2spk", tmp_path)


def run(*words, code=0):
    """Run a shell step in the root of the project; returns what it says."""
    done = subprocess.run(
        [*map(str, words)],
        cwd=ROOT,
        env={**os.environ, "CHRONOVOX_PYTHON": sys.executable},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == code, done.stdout + done.stderr
    return done.stdout + done.stderr


@pytest.mark.parametrize("kind", ["fbank", "mfcc"])
def test_shell_steps(tmp_path, kind):
    data = make_noise_dir(tmp_path / "x", LENGTHS)
    work = (tmp_path / "log", tmp_path / "feats")
    said = run(f"steps/make_{kind}.sh", "--nj", 2, data, *work)
    assert "5 in, 5 out, 0 dropped" in said
    assert list(read_table(data / "feats.scp")) == list(LENGTHS)
    assert (work[1] / f"raw_{kind}_x.2.ark").exists()
    assert "Ended (code 0)" in (work[0] / f"make_{kind}_x.2.log").read_text()
    source = "wav" if kind == "fbank" else "feats"
    said = run("steps/compute_vad.sh", "--nj", 9, "--source", source, data, *work)
    assert "5 in, 5 out, 0 dropped" in said
    frames = read_table(data / "utt2num_frames")
    for utt, rxfile in read_table(data / "vad.scp").items():
        assert len(kaldi_io.read_vector(rxfile)) == int(frames[utt])


def test_a_mending_that_was_killed_is_finished_first(tmp_path):
    data = make_noise_dir(tmp_path / "x", LENGTHS)
    write_table(data / "utt2spk", {"a-1": "a", "b-1": "b", "c-1": "c"})
    assert "spk2utt" in run("steps/make_fbank.sh", data, code=1)
    (data / ".backup").mkdir()
    (data / ".backup/dropped").write_text("a-2 not in text\nb-2 not in text\n")
    (data / ".backup/unfinished").touch()
    assert "3 in, 3 out" in run("steps/make_fbank.sh", data)
    assert "a-2 not in text" in (data / ".backup/dropped").read_text()


def test_failed_features_leave_no_table_behind(tmp_path):
    data = make_noise_dir(tmp_path / "x", LENGTHS)
    run("steps/make_fbank.sh", data)
    (data / "wav/a-1.wav").unlink()
    said = run("steps/make_fbank.sh", data, code=1)
    assert "1 of 5 were dropped" in said and "a-1.wav: no such file" in said
    assert not (data / "feats.scp").exists()
    assert "a-1.wav" in (data / "log/make_fbank_x.dropped").read_text()


def test_features_with_other_settings_leave_nothing_of_the_earlier(tmp_path):
    data = make_noise_dir(tmp_path / "x", LENGTHS)
    run("steps/make_fbank.sh", data)
    run("steps/compute_vad.sh", "--source", "wav", data)
    options = ["--cmd", "false"]  # every job fails
    run("steps/make_mfcc.sh", *options, data, code=1)
    assert "type: mfcc" in (data / "conf/features.yaml").read_text()
    assert not (data / "feats.scp").exists() and not (data / "vad.scp").exists()


def test_wrong_settings_leave_the_features_as_they_are(tmp_path):
    data = make_noise_dir(tmp_path / "x", LENGTHS)
    run("steps/make_fbank.sh", data)
    before = (data / "feats.scp").read_bytes()
    (tmp_path / "bad.yaml").write_text("type: fbank\nnum_mel_bin: 40\n")
    said = run("steps/make_fbank.sh", "--config", tmp_path / "bad.yaml", data, code=1)
    assert "did you mean 'num_mel_bins'" in said
    assert (data / "feats.scp").read_bytes() == before


def test_empty_tables_are_named(tmp_path):
    data = make_noise_dir(tmp_path / "x", LENGTHS)
    run("steps/make_fbank.sh", data)
    (data / "feats.scp").write_text("")
    assert f"compute_vad.sh: empty: {data}/feats.scp" in run(
        "steps/compute_vad.sh", data, code=1
    )
    (data / "wav.scp").write_text("")
    assert f"make_feats.sh: empty: {data}/wav.scp" in run(
        "steps/make_fbank.sh", data, code=1
    )
    words = ["--kind", "floor", data, tmp_path / "out"]
    said = run("steps/extract_statistics.sh", *words, code=1)
    assert f"extract_statistics.sh: empty: {data}/wav.scp" in said


def test_shell_steps_say_how_they_are_used(tmp_path):
    for script in ("make_fbank", "make_mfcc", "compute_vad", "extract_statistics"):
        said = run(f"steps/{script}.sh", code=2)
        assert "Usage: steps/" in said and script in said
        assert "Usage: steps/" in run(f"steps/{script}.sh", "--help")
    data = make_noise_dir(tmp_path / "x", LENGTHS)
    said = run("steps/make_fbank.sh", "--config", "conf/none.yaml", data, code=1)
    assert "no such file: 'conf/none.yaml'" in said


@pytest.mark.parametrize("kind", ["floor", "channel"])
def test_vectors_do_not_depend_on_the_number_of_jobs(tmp_path, kind):
    data = make_noise_dir(tmp_path / "x", LENGTHS)
    made = []
    for jobs in (1, 3):
        out = tmp_path / f"out{jobs}"
        options = ["--kind", kind, "--nj", jobs]
        run("steps/extract_statistics.sh", *options, data, out)
        made.append({p.name: p.read_bytes() for p in out.glob("*.ark")})
        assert not (out / "parts").exists()
    assert made[0] == made[1]
    assert sorted(made[0]) == ["num_utts.ark", "spk_xvector.ark", "xvector.ark"]

"""egs/own_corpus on a few real speakers, and on what people really hand over."""

import csv
import os
import shutil

import numpy as np
import pytest
import soundfile
import yaml
from data_dirs import noise
from recipe_tools import ROOT, TINY_MODEL, copy_project, digests, run

from chronovox import datadir

TEST_SPEAKERS = ["00000011", "00000012", "00000013"]
SPEAKERS = [f"{n:08d}" for n in range(1, 8)] + TEST_SPEAKERS


@pytest.fixture(scope="module")
def recipe(tmp_path_factory):
    return copy_project(tmp_path_factory.mktemp("project")) / "egs/own_corpus"


def change_format(path, ending: str, rate: int = 16000, channels: int = 1) -> None:
    """Write a recording again in another format, in place of the old one."""
    samples, old_rate = soundfile.read(path)
    samples = np.repeat(samples, rate // old_rate)
    soundfile.write(
        path.with_suffix(ending), np.stack([samples] * channels, axis=1), rate
    )
    path.unlink()


@pytest.fixture(scope="module")
def corpus(shared_data, tmp_path_factory):
    """Ten real speakers, four sessions each; some files as phones write them."""
    folder = tmp_path_factory.mktemp("my recordings")
    for spk in SPEAKERS:
        for n in (1, 4, 7, 10):
            source = shared_data / "speech/arabic_sc" / spk / f"round{n:02d}"
            shutil.copytree(source, folder / spk / f"day {n}")
    day = folder / SPEAKERS[0] / "day 1"
    one, two, three = sorted(day.iterdir())
    change_format(one, ".wav", rate=48000, channels=2)
    change_format(two, ".ogg")
    change_format(three, ".mp3")
    (folder / SPEAKERS[1] / "day 1/notes.txt").write_text("quiet room\n")
    (folder / SPEAKERS[1] / "day 1/broken.wav").write_bytes(b"RIFF but no more")
    soundfile.write(folder / SPEAKERS[2] / "day 1/phone.wav", noise(8000), 8000)
    return folder


def test_a_corpus_of_real_speakers_runs_to_the_table(recipe, corpus):
    done = run(
        recipe, "./run.sh", "--corpus", str(corpus), "--nj", "2", "--seeds", "1 2",
        "--test-speakers", ",".join(TEST_SPEAKERS),
        TINY_MODEL[0], "../../" + TINY_MODEL[1],
    )  # fmt: skip
    with open(recipe / "exp/results/results.tsv", newline="") as stream:
        rows = list(csv.DictReader(stream, delimiter="\t"))
    assert {row["model"] for row in rows} >= {
        "xvector_tiny_s1", "xvector_tiny_s2", "floor", "channel",
    }  # fmt: skip
    assert "mean(1,2)" in {row["seed"] for row in rows}
    speakers = (recipe / "data/test/spk2utt").read_text().splitlines()
    assert [line.split()[0] for line in speakers] == TEST_SPEAKERS
    sessions = datadir.read_table(recipe / "data/test/utt2session")
    for enrol, test, label in datadir.read_rows(recipe / "data/test/trials/random", 3):
        same_speaker = enrol.split("-")[0] == test.split("-")[0]
        assert same_speaker == (label == "target")
        assert not same_speaker or sessions[enrol] != sessions[test]
    for table, name, reason in (
        ("ignored", "notes.txt", "not audio"), ("dropped", "broken.wav", "damaged"),
        ("dropped", "phone.wav", "8000 Hz"),
    ):  # fmt: skip
        lines = (recipe / "data/local" / table).read_text().splitlines()
        assert reason in next(line for line in lines if name in line)
    assert "122 in, 120 out, 2 dropped" in done.stdout
    assert "1 other files ignored" in done.stdout


def test_converted_recordings_are_16_khz_mono_of_the_same_length(recipe, corpus):
    converted = sorted((recipe / "data/audio").rglob("*.flac"))
    assert len(converted) == 3
    for path in converted:
        info = soundfile.info(path)
        assert (info.samplerate, info.channels) == (16000, 1)
        assert abs(info.duration - 5.0) < 0.1


def test_what_cannot_work_is_refused_with_the_remedy(recipe, corpus, tmp_path):
    def refused(*words):
        options = ["--stop-stage", "0", "--nj", "2", *words]
        return run(recipe, "./run.sh", *options, code=1).stdout

    names = ("corpora", "options")
    known = [(recipe / "data/local" / name).read_bytes() for name in names]
    assert "no such directory" in refused("--corpus", str(tmp_path / "none"))
    assert "no <speaker>/<session>/<utterance>" in refused("--corpus", str(tmp_path))
    assert "no usable recording of nobody" in refused(
        "--corpus", str(corpus), "--test-speakers", "nobody,00000011"
    )
    table = tmp_path / "speakers.tsv"
    table.write_text("speaker\tgender\n00000001\tx\n")
    assert f"{table}:2: gender 'x'" in refused(
        "--corpus", str(corpus), "--speakers", str(table)
    )
    # Without --corpus the last one is used, with the options that are given now.
    assert "no usable recording of somebody" in refused("--test-speakers", "somebody")
    # What was refused is not remembered.
    assert known == [(recipe / "data/local" / name).read_bytes() for name in names]
    run(recipe, "./run.sh", "--stop-stage", "0", "--nj", "2")
    before = digests(recipe / "data/local")
    run(recipe, "./run.sh", "--corpus", "x", "--dev-speakers", "9", "--bad", code=2)
    run(recipe, "./run.sh", "--test-speakers", "--corpus", "x", code=2)
    run(recipe, "./run.sh", "--corpus", "x", "--stage", "1", "--stop-stage", "1")
    assert digests(recipe / "data/local") == before
    shutil.rmtree(recipe / "data/local")
    assert "give ./run.sh --corpus DIR" in refused()


def test_help_names_the_options_of_this_recipe():
    done = run(ROOT / "egs/own_corpus", "./run.sh", "--help")
    assert "--test-speakers" in done.stdout and "../../run.sh" in done.stdout


def save(path, samples, rate=16000, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    soundfile.write(path, samples, rate, **options)
    return path


@pytest.fixture
def small(tmp_path):
    """Six speakers with two sessions of two short recordings each."""
    corpus = tmp_path / "corpus"
    for n in range(24):
        name = f"spk {n // 4}/day {n // 2 % 2}/{n % 2}.wav"
        save(corpus / name, noise(2000, n))
    return corpus


def prepare(recipe, corpus, *words, code=0):
    shutil.rmtree(recipe / "data", ignore_errors=True)
    options = ["--stop-stage", "0", "--nj", "1", "--corpus", str(corpus)]
    return run(recipe, "./run.sh", *options, *words, code=code).stdout


def test_bad_recordings_are_dropped_up_to_the_ratio(recipe, small):
    day = small / "spk 0/day 0"
    cut = save(day / "cut.wav", np.stack([noise(9000)] * 2, 1), 48000)
    cut.write_bytes(cut.read_bytes()[:20000])
    save(day / "nan.wav", np.full(100, np.nan), subtype="FLOAT")
    save(day / "silent.wav", np.zeros(100))
    save(day / "cancel.wav", np.stack([noise(900), -noise(900)], 1))
    save(day / "tab\tline\n.wav", noise(900))
    os.rename(save(day / "tmp.wav", noise(900)), os.fsencode(day) + b"/caf\xe9.wav")
    save(small / "spk 0/lost.wav", noise(900))
    (day / "._0.wav").write_bytes(b"of another system")
    assert "7 of 31 were dropped, more than --max-fail-ratio 0.05" in prepare(
        recipe, small, code=1
    )
    assert "31 in, 24 out, 7 dropped" in prepare(
        recipe, small, "--prepare-opts", "--max-fail-ratio 0.3"
    )
    dropped = (recipe / "data/local/dropped").read_text().splitlines()
    assert len(dropped) == 7
    for name, reason in (
        ("cut.wav", "truncated"), ("nan.wav", "NaN"), ("silent.wav", "silent"),
        ("cancel.wav", "silent"), (r"tab\x09line\x0a.wav", "rename it"),
        (r"caf\xe9.wav", "rename it"), ("lost.wav", "move it"),
    ):  # fmt: skip
        assert reason in next(line for line in dropped if name in line)
    assert "._0.wav hidden" in (recipe / "data/local/ignored").read_text()


def test_a_corpus_of_junk_is_refused(recipe, tmp_path):
    save(tmp_path / "a/b/c.wav", np.zeros(100))
    assert "1 of 1 were dropped" in prepare(recipe, tmp_path, code=1)
    (tmp_path / "a/b/c.wav").rename(tmp_path / "a/b/\t.wav")
    assert r"\x09.wav: control characters" in prepare(recipe, tmp_path, code=1)


def test_names_are_cleaned_in_tables_and_options(recipe, small, tmp_path):
    lines = [f"spk {n}\t{'mf'[n % 2]}" for n in range(6)] + ["stranger\tf"]
    table = tmp_path / "speakers.tsv"
    table.write_text("\n".join(["speaker\tgender", *lines, ""]), encoding="utf-8-sig")
    done = prepare(
        recipe, small, "--speakers", str(table),
        "--test-speakers", "spk 0, spk 1", "--dev-speakers", "spk_2,spk 3",
    )  # fmt: skip
    assert "1 of 7 speakers have no usable recording, such as 'stranger'" in done
    assert (recipe / "data/test/spk2gender").read_text() == "spk_0 m\nspk_1 f\n"


def test_sessions_that_cleaning_would_merge_are_refused(recipe, small):
    save(small / "spk 0/day+1/x.wav", noise(900))
    done = prepare(recipe, small, code=1)
    assert "day 1 and" in done and "day+1 are both session 'spk_0-day_1'" in done


def test_training_on_changed_recordings(recipe, small, tmp_path):
    """Noises and responses of any shape, and options for the training."""
    for seed, path in enumerate(sorted(small.glob("*/*/*.wav"))):
        save(path, noise(8000, seed))
    save(tmp_path / "noises/traffic/stereo.wav", np.stack([noise(9000)] * 2, 1), 44100)
    save(tmp_path / "noises/fan.flac", noise(400))
    save(tmp_path / "rooms/hall.wav", noise(2000) * np.exp(-np.arange(2000) / 300))
    config = yaml.safe_load((ROOT / TINY_MODEL[1]).read_text())
    config |= {"num_steps": 4, "chunk_frames": [15, 20], "batch_size": 8}
    config["augment"] = {
        "speeds": [0.9, 1.0], "tempo": [0.9, 1.1], "prob": 1.0,
        "noises": {"noise": {"data": "data/noises"}},
        "babble": {"num_speakers": [1, 1]}, "reverb": {"data": "data/responses"},
    }  # fmt: skip
    (tmp_path / "changed.yaml").write_text(yaml.safe_dump(config))
    prepare(
        recipe, small, "--noises", str(tmp_path / "noises"),
        "--responses", str(tmp_path / "rooms"),
    )  # fmt: skip
    assert list(datadir.read_table(recipe / "data/noises/wav.scp")) == [
        "fan", "traffic_stereo",
    ]  # fmt: skip
    run(
        recipe, "./run.sh", "--stage", "2", "--stop-stage", "4", "--nj", "1",
        "--model-config", str(tmp_path / "changed.yaml"), "--seeds", "1",
        "--train-opts", "--num-workers 1 --num-procs 2",
    )  # fmt: skip
    model = recipe / "exp/changed_s1"
    assert (model / "final.pt").exists()
    speakers = list(datadir.read_table(model / "spk2id"))
    plain = [spk for spk in speakers if not spk.startswith("sp0.9-")]
    assert speakers == sorted(plain + [f"sp0.9-{spk}" for spk in plain])
    assert '"num_procs": 2' in (model / "runinfo.json").read_text()


def test_a_folder_without_noises_is_refused(recipe, small, tmp_path):
    said = prepare(recipe, small, "--noises", str(tmp_path / "none"), code=1)
    assert "none: no such folder" in said
    (tmp_path / "empty").mkdir()
    said = prepare(recipe, small, "--responses", str(tmp_path / "empty"), code=1)
    assert "empty: no .wav or .flac file in it" in said
    prepare(recipe, small, "--noises", code=2)

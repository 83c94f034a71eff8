"""egs/own_corpus on a few real speakers, and on what people really hand over."""

import csv
import shutil

import numpy as np
import pytest
import soundfile
from recipe_tools import ROOT, TINY_MODEL, copy_project, run

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
    soundfile.write(folder / SPEAKERS[2] / "day 1/phone.wav", np.ones(8000) / 9, 8000)
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
    dropped = (recipe / "data/local/dropped").read_text()
    for name, reason in (
        ("notes.txt", "not audio"), ("broken.wav", "unreadable"),
        ("phone.wav", "8000 Hz"),
    ):  # fmt: skip
        line = next(line for line in dropped.splitlines() if name in line)
        assert reason in line
    assert "3 files dropped" in done.stdout


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
    shutil.rmtree(recipe / "data/local")
    assert "give ./run.sh --corpus DIR" in refused()


def test_help_names_the_options_of_this_recipe():
    done = run(ROOT / "egs/own_corpus", "./run.sh", "--help")
    assert "--test-speakers" in done.stdout and "../../run.sh" in done.stdout

"""utils/*.py on lists and data directories, called as scripts are."""

import logging
import os
import subprocess
import sys
import tempfile
from pathlib import Path

import kaldi_native_io
import numpy as np
import pytest
import soundfile
from conftest import ROOT, load_script
from hypothesis import given
from hypothesis import strategies as st
from table_dirs import UTTS, full_tables, lines, read_dir, write_dir

from chronovox import datadir_check
from chronovox.audio import flac_record
from chronovox.cli import UserError
from chronovox.kaldi_io import ArkWriter

FULL = full_tables()
split_scp = load_script("utils/split_scp.py")
filter_scp = load_script("utils/filter_scp.py")
subset = load_script("utils/subset_data_dir.py")
combine = load_script("utils/combine_data.py")
copy = load_script("utils/copy_data_dir.py")
to_spk2utt = load_script("utils/utt2spk_to_spk2utt.py")
to_utt2spk = load_script("utils/spk2utt_to_utt2spk.py")
check_speakers = load_script("utils/check_speakers.py")


@pytest.fixture
def source(tmp_path):
    return write_dir(tmp_path / "src", FULL)


# Lists


@given(st.integers(1, 40), st.integers(1, 12))
def test_parts_are_whole_consecutive_and_even(num_lines, num_parts):
    with tempfile.TemporaryDirectory() as folder:
        text = lines(*(f"k{n} v" for n in range(num_lines)))
        Path(folder, "x").write_text(text)
        words = [f"{folder}/x", *(f"{folder}/x.{n}" for n in range(num_parts))]
        if num_parts > num_lines:
            with pytest.raises(UserError, match=f"use at most --nj {num_lines}"):
                split_scp.main(words)
            return
        split_scp.main(words)
        parts = [Path(out).read_text() for out in words[1:]]
        assert "".join(parts) == text
        sizes = [part.count("\n") for part in parts]
        assert sizes == sorted(sizes, reverse=True) and sizes[0] - sizes[-1] <= 1


def test_lists_are_filtered_by_any_field(tmp_path, capsys):
    path = write_dir(tmp_path, {"utt2spk": FULL["utt2spk"], "ids": "a some words\nc\n"})
    words = [str(path / "ids"), str(path / "utt2spk")]
    filter_scp.main(["-f", "2", *words])
    assert capsys.readouterr().out == lines(
        "a-1-1 a", "a-1-2 a", "a-2-1 a", "c-1-1 c"
    )  # fmt: skip
    filter_scp.main(["--exclude", "true", "-f", "2", *words])
    assert capsys.readouterr().out == lines("b-1-1 b", "b-2-1 b")
    with pytest.raises(UserError, match="no line of .*utt2spk is left by the ids"):
        filter_scp.main(words)
    with pytest.raises(UserError, match="utt2spk:1: no field 3 in 'a-1-1 a'"):
        filter_scp.main(["--field", "3", *words])


def test_lists_come_from_a_pipe_too(tmp_path):
    write_dir(tmp_path, {"ids": "b\n"})
    for script, words, stdin, expected in (
        ("filter_scp.py", ["ids"], "a 1\nb 2\n", "b 2\n"),
        ("utt2spk_to_spk2utt.py", [], FULL["utt2spk"], FULL["spk2utt"]),
        ("spk2utt_to_utt2spk.py", [], FULL["spk2utt"], FULL["utt2spk"]),
    ):
        done = subprocess.run(
            [sys.executable, ROOT / "utils" / script, *words], cwd=tmp_path,
            input=stdin, capture_output=True, text=True, check=True,
            env={**os.environ, "PYTHONPATH": str(ROOT / "steps")},
        )  # fmt: skip
        assert done.stdout == expected


def test_utt2spk_and_spk2utt_turn_into_each_other(source, capsys):
    to_spk2utt.main([str(source / "utt2spk")])
    assert capsys.readouterr().out == FULL["spk2utt"]
    to_utt2spk.main([str(source / "spk2utt")])
    assert capsys.readouterr().out == FULL["utt2spk"]
    (source / "spk2utt").write_text("a a-1 a-2\nb a-2\n")
    with pytest.raises(UserError, match="'a-2' is listed twice, at 'a' and 'b'"):
        to_utt2spk.main([str(source / "spk2utt")])


def test_speakers_of_train_and_test_that_overlap_are_refused(tmp_path):
    one = write_dir(tmp_path / "one", {"utt2spk": lines("a-1 a", "b-1 b")})
    two = write_dir(tmp_path / "two", {"utt2spk": lines("b-2 b", "c-1 c")})
    three = write_dir(tmp_path / "three", {"utt2spk": lines("c-1 c")})
    assert check_speakers.main([str(one), str(three)]) == 0
    with pytest.raises(UserError, match="share 1 speakers, such as b"):
        check_speakers.main([str(one), str(two)])
    with pytest.raises(UserError, match="one: the same directory as"):
        check_speakers.main([str(one), str(three), f"{one}/../one"])


# Subsets


def utts_of(path) -> list[str]:
    assert datadir_check.find_problems(path) == []
    return [line.split()[0] for line in (path / "utt2spk").read_text().splitlines()]


@pytest.mark.parametrize(
    ("option", "num", "expected"),
    [
        (None, 3, ["a-1-1", "a-2-1", "b-2-1"]),
        (None, 6, UTTS),
        ("--first", 2, ["a-1-1", "a-1-2"]),
        ("--last", 2, ["b-2-1", "c-1-1"]),
        ("--shortest", 2, ["b-2-1", "c-1-1"]),
        ("--per-spk", 2, ["a-1-1", "a-1-2", "b-1-1", "b-2-1", "c-1-1"]),
    ],
)
def test_subsets_by_number(source, tmp_path, option, num, expected):
    (source / "utt2num_frames").unlink()
    subset.main([*filter(None, [option]), str(source), str(num), str(tmp_path / "dst")])
    assert utts_of(tmp_path / "dst") == expected
    kept = read_dir(tmp_path / "dst")
    assert kept.keys() == FULL.keys() - {"utt2num_frames"} or "a-1-1" not in expected
    for name in kept:
        assert set(kept[name].splitlines()) <= set(FULL[name].splitlines()) or (
            name == "spk2utt"
        )


def test_frames_come_before_seconds_for_the_shortest(source, tmp_path):
    frames = lines(*(f"{utt} {n}" for n, utt in enumerate(UTTS, 1)))
    (source / "utt2num_frames").write_text(frames)
    subset.main(["--shortest", str(source), "1", str(tmp_path / "dst")])
    assert utts_of(tmp_path / "dst") == ["a-1-1"]


def test_whole_speakers_until_there_are_enough(source, tmp_path):
    sets = set()
    for seed in range(10):
        subset.main(
            ["--speakers", "--seed", str(seed), str(source), "3", str(tmp_path / "d")]
        )
        utts = utts_of(tmp_path / "d")
        speakers = {utt[0] for utt in utts}
        assert utts == [utt for utt in UTTS if utt[0] in speakers]
        assert len(utts) >= 3
        sets.add(tuple(sorted(speakers)))
    assert len(sets) > 1


def test_subsets_by_list_say_what_is_not_there(source, tmp_path, caplog):
    write_dir(tmp_path, {"utts": lines("b-2-1 x", "z", "a-1-2"), "spks": "c\na\n"})
    with caplog.at_level(logging.INFO):
        subset.main(
            ["--utt-list", str(tmp_path / "utts"), str(source), str(tmp_path / "d")]
        )
    assert utts_of(tmp_path / "d") == ["a-1-2", "b-2-1"]
    assert "1 of 3 are not there, such as 'z'" in caplog.text
    assert "6 utterances in, 2 out" in caplog.text
    subset.main(
        ["--spk-list", str(tmp_path / "spks"), str(source), str(tmp_path / "d")]
    )
    assert utts_of(tmp_path / "d") == ["a-1-1", "a-1-2", "a-2-1", "c-1-1"]


def test_wrong_subsets_are_refused(source, tmp_path, capsys):
    src, dst = str(source), str(tmp_path / "d")
    write_dir(tmp_path, {"none": "x\ny\n"})
    none = str(tmp_path / "none")
    for words, message in (
        ([src, "7", dst], "7 of 6 utterances wanted"),
        ([src, "2", src], "the same directory as"),
        (["--utt-list", none, src, dst], "no utterance of it is there, such as 'x'"),
        (["--spk-list", none, src, dst], "no speaker of it is there"),
        ([none, "2", dst], "utt2spk: no such file"),
    ):
        with pytest.raises(UserError, match=message):
            subset.main(words)
    for words in (
        [src, dst], ["--first", "--last", src, "1", dst], [src, "0", dst],
        ["--utt-list", none, src, "3", dst],
    ):  # fmt: skip
        with pytest.raises(SystemExit) as stopped:
            subset.main(words)
        assert stopped.value.code == 2
    (source / "utt2dur").unlink()
    (source / "utt2num_frames").unlink()
    with pytest.raises(UserError, match="--shortest needs utt2num_frames or utt2dur"):
        subset.main(["--shortest", src, "2", dst])
    assert not (tmp_path / "d").exists()


# Copies


def test_trials_and_manifests_are_not_carried_and_that_is_said(
    source, tmp_path, caplog
):
    write_dir(source, {"trials/random": "x y target\n", "recordings.jsonl.gz": "z"})
    with caplog.at_level(logging.INFO):
        copy.main([str(source), str(tmp_path / "dst")])
    assert read_dir(tmp_path / "dst") == FULL
    assert "not carried: recordings.jsonl.gz, trials" in caplog.text


def test_new_names_reach_every_table(source, tmp_path):
    (source / "utt2uniq").write_text(FULL["utt2spk"].replace(" ", " orig-"))
    words = ["--utt-prefix", "sp0.9-", "--spk-prefix", "sp0.9-", "--utt-suffix", "-n"]
    copy.main([*words, str(source), str(tmp_path / "dst")])
    copied = read_dir(tmp_path / "dst")
    assert datadir_check.find_problems(tmp_path / "dst") == []
    assert copied["spk2utt"].startswith("sp0.9-a sp0.9-a-1-1-n sp0.9-a-1-2-n")
    assert copied["utt2uniq"].startswith("sp0.9-a-1-1-n orig-a\n")
    assert copied["session2date"].startswith("sp0.9-a 1 2001-01-01\n")
    assert copied["utt2age"].startswith("sp0.9-a-1-1-n 20.5\n")
    assert copied["wav.scp"].startswith("sp0.9-a-1-1-n /audio/a-1-1.wav\n")
    assert copied["faces/face2utt"].startswith("sp0.9-a-1-1-f1-n sp0.9-a-1-1-n\n")
    assert copied["spk2nationality"] == lines(
        "sp0.9-a Irish", "sp0.9-b Irish", "sp0.9-c Welsh"
    )  # fmt: skip
    assert copied.keys() == FULL.keys() | {"utt2uniq"}


def test_recordings_keep_their_names(source, tmp_path):
    segments = lines(*(f"{utt} rec 0 1" for utt in UTTS))
    write_dir(source, {"segments": segments, "wav.scp": "rec /x.wav\n"})
    copy.main(["--utt-suffix", "-n", str(source), str(tmp_path / "dst")])
    copied = read_dir(tmp_path / "dst")
    assert copied["segments"].startswith("a-1-1-n rec 0 1\n")
    assert copied["wav.scp"] == "rec /x.wav\n"


def test_a_new_speaker_that_is_no_prefix_is_refused(source, tmp_path):
    with pytest.raises(UserError, match="'x-a' is no prefix of utterance 'a-1-1'"):
        copy.main(["--spk-prefix", "x-", str(source), str(tmp_path / "dst")])
    with pytest.raises(UserError, match="names hold no blanks"):
        copy.main(["--utt-suffix", "a b", str(source), str(tmp_path / "dst")])
    assert not (tmp_path / "dst").exists()


# Combinations


def test_parts_combine_to_the_whole(source, tmp_path):
    for spk in "abc":
        write_dir(tmp_path, {f"{spk}.list": spk + "\n"})
        subset.main(
            ["--spk-list", str(tmp_path / f"{spk}.list"), str(source),
             str(tmp_path / spk)]
        )  # fmt: skip
    for spk, name in (("b", "faces/face.scp"), ("b", "faces/face2utt")):
        write_dir(tmp_path / spk, {name: FULL[name].splitlines(True)[0]})
    combine.main([str(tmp_path / "ab"), str(tmp_path / "b"), str(tmp_path / "a")])
    combined = read_dir(tmp_path / "ab")
    assert combined["utt2spk"] == lines(*FULL["utt2spk"].splitlines()[:5])
    assert combined["session2date"] == lines(*FULL["session2date"].splitlines()[:4])
    assert combined["utt2age"] == FULL["utt2age"]
    assert combined["faces/face.scp"] == FULL["faces/face.scp"]
    assert combined["conf/features.yaml"] == FULL["conf/features.yaml"]
    assert combined.keys() == FULL.keys()
    assert datadir_check.find_problems(tmp_path / "ab") == []


def test_a_copy_joins_its_original_with_utt2uniq(source, tmp_path, caplog):
    copy.main(["--utt-suffix", "-noise", str(source), str(tmp_path / "noise")])
    write_dir(
        tmp_path / "noise", {"utt2uniq": lines(*(f"{u}-noise {u}" for u in UTTS))}
    )
    (tmp_path / "noise/text").unlink()
    with caplog.at_level(logging.INFO):
        combine.main([str(tmp_path / "d"), str(source), str(tmp_path / "noise")])
    assert f"no text in {tmp_path / 'noise'}: left out" in caplog.text
    combined = read_dir(tmp_path / "d")
    assert combined["utt2uniq"].startswith("a-1-1 a-1-1\na-1-1-noise a-1-1\n")
    assert "text" not in combined
    assert combined["spk2gender"] == FULL["spk2gender"]
    assert datadir_check.find_problems(tmp_path / "d", no_text=True) == []


def test_whole_recordings_become_segments_where_others_have_them(source, tmp_path):
    parts = {
        "utt2spk": "d-1 d\nd-2 d\n", "spk2utt": "d d-1 d-2\n",
        "utt2session": "d-1 1\nd-2 1\n", "wav.scp": "rec /x.wav\n",
        "segments": "d-1 rec 0 1\nd-2 rec 1 2\n",
    }  # fmt: skip
    write_dir(tmp_path / "parts", parts)
    combine.main([str(tmp_path / "dst"), str(source), str(tmp_path / "parts")])
    combined = read_dir(tmp_path / "dst")
    assert "a-1-1 a-1-1 0 6.5\n" in combined["segments"]
    assert "d-2 rec 1 2\n" in combined["segments"]
    assert (
        datadir_check.find_problems(tmp_path / "dst", no_feats=True, no_text=True) == []
    )
    (source / "utt2dur").unlink()
    with pytest.raises(UserError, match="src: needs utt2dur, as others have segments"):
        combine.main([str(tmp_path / "dst"), str(source), str(tmp_path / "parts")])


def test_contradictions_are_refused(source, tmp_path):
    def refused(message, **changed):
        other = {
            "utt2spk": "a-9 a\n", "utt2session": "a-9 1\n", "wav.scp": "a-9 /x\n",
            **changed,
        }  # fmt: skip
        path = write_dir(tmp_path / "other", other)
        with pytest.raises(UserError, match=message):
            combine.main([str(tmp_path / "dst"), str(source), str(path)])
        for name in changed:
            (path / name).unlink()

    refused("utterance 'a-1-1' is in .*src and in .*other: rename", utt2spk="a-1-1 a\n")
    refused("spk2gender: 'a' is 'f' in .*src, 'm' in", spk2gender="a m\n")
    refused("session2date: 'a 1' is '2001-01-01' in", session2date="a 1 2002-01-01\n")
    refused("frame_shift and .*frame_shift differ", frame_shift="0.02\n")
    for words in ([str(tmp_path / "dst"), str(source), str(source)],):
        with pytest.raises(UserError, match="the same directory as"):
            combine.main(words)
    with pytest.raises(UserError, match="the same directory as"):
        combine.main([str(source), str(tmp_path / "other"), str(source)])


# For people


show_ark = load_script("steps/show_ark.py")


@pytest.fixture
def arks(tmp_path):
    matrix = np.arange(12, dtype=np.float32).reshape(4, 3)
    with ArkWriter(tmp_path / "m.ark", tmp_path / "m.scp", 2) as writer:
        writer.write("a", matrix)
        writer.write("b", matrix[:2] - 5)
    with ArkWriter(tmp_path / "v.ark", tmp_path / "v.scp", 1) as writer:
        writer.write("a", matrix[0])
    return tmp_path


def shown(capsys, *words) -> list[str]:
    assert show_ark.main(list(map(str, words))) == 0
    return capsys.readouterr().out.splitlines()


def test_show_ark_prints_type_shape_statistics_and_totals(arks, capsys):
    expected = [
        "a  FM  4x3  min 0  mean 5.5  max 11  std 3.452  NaN 0",
        "b  FM  2x3  min -5  mean -2.5  max 0  std 1.708  NaN 0",
        "2 records, 6 rows, 18 values, NaN 0",
    ]
    assert shown(capsys, arks / "m.ark") == expected
    assert shown(capsys, arks / "m.scp") == expected
    assert shown(capsys, arks / "m.scp", "--limit", "1")[1].startswith("1 records, 4")


def test_show_ark_prints_the_values_of_some_keys(arks, capsys):
    out = shown(capsys, arks / "m.ark", "--values", "true", "--keys", "b")
    assert out[1:3] == ["  -5 -4 -3", "  -2 -1 0"]
    assert shown(capsys, arks / "v.scp", "--values", "true")[1] == "  0 1 2"
    with pytest.raises(UserError, match="no record 'c'"):
        show_ark.main([str(arks / "m.ark"), "--keys", "a", "c"])


def test_show_ark_reads_recordings(tmp_path, capsys):
    samples = np.array([0.0, 0.5, -0.25, 0.25], np.float32)
    with ArkWriter(tmp_path / "a.ark", tmp_path / "a.scp", 1) as writer:
        writer.write_record("a", flac_record(samples, 16000))
    soundfile.write(tmp_path / "b.wav", samples, 8000, "PCM_16")
    with open(tmp_path / "a.scp", "a") as scp:
        scp.write(f"b {tmp_path / 'b.wav'}\n")
    statistics = "4  min -0.25  mean 0.125  max 0.5  std 0.2795  NaN 0"
    assert shown(capsys, tmp_path / "a.scp") == [
        f"a  audio, 16000 Hz  {statistics}", f"b  audio, 8000 Hz  {statistics}",
        "2 records, 2 rows, 8 values, NaN 0",
    ]  # fmt: skip
    with pytest.raises(UserError, match="a.ark: recordings: look into them by their"):
        show_ark.main([str(tmp_path / "a.ark")])


def test_show_ark_honours_ranges_and_names_broken_records(arks, capsys):
    entry = (arks / "m.scp").read_text().splitlines()[0]
    (arks / "r.scp").write_text(f"{entry}[1:2,0:1]\n")
    assert shown(capsys, arks / "r.scp")[0].startswith("a  FM  2x2  min 3  mean 5 ")
    (arks / "r.scp").write_text(f"{entry}[1:4]\n")
    with pytest.raises(UserError, match=r"r.scp: a: .*rows 1 to 4 of 4 asked for"):
        show_ark.main([str(arks / "r.scp")])
    content = (arks / "m.ark").read_bytes()
    (arks / "m.ark").write_bytes(content[:-1])
    for name in ("m.ark", "m.scp"):
        with pytest.raises(
            UserError, match="b: .*the ark is truncated: 23 of 24 bytes"
        ):
            show_ark.main([str(arks / name)])
    (arks / "m.ark").write_bytes(b"")
    with pytest.raises(UserError, match="empty file|no record"):
        show_ark.main([str(arks / "m.ark")])


def test_show_ark_counts_nan_of_foreign_arks(tmp_path, capsys):
    with kaldi_native_io.FloatVectorWriter(f"ark:{tmp_path}/x.ark") as writer:
        writer.write("a", np.array([1, np.nan, 3], np.float32))
        writer.write("b", np.array([np.nan], np.float32))
    assert shown(capsys, tmp_path / "x.ark") == [
        "a  FV  3  min 1  mean 2  max 3  std 1  NaN 1",
        "b  FV  1  no values  NaN 1",
        "2 records, 2 rows, 4 values, NaN 2",
    ]


def test_show_ark_reads_text_arks(tmp_path, capsys):
    path = tmp_path / "num_utts.ark"
    path.write_text("a 3\nb 4\n")
    assert shown(capsys, path) == [
        "a  text  number  min 3  mean 3  max 3  std 0  NaN 0",
        "b  text  number  min 4  mean 4  max 4  std 0  NaN 0",
        "2 records, 2 rows, 2 values, NaN 0",
    ]
    with kaldi_native_io.FloatMatrixWriter(f"ark,t:{tmp_path}/m.ark") as writer:
        writer.write("a", np.eye(2, dtype=np.float32))
        writer.write("b", np.ones((1, 3), np.float32))
    out = shown(capsys, tmp_path / "m.ark", "--values", "true")
    assert out[0].startswith("a  text  2x2  min 0") and out[1] == "  1 0"
    with kaldi_native_io.FloatVectorWriter(f"ark,t:{tmp_path}/v.ark") as writer:
        writer.write("a", np.array([1.5, 2], np.float32))
    assert shown(capsys, tmp_path / "v.ark")[0].startswith("a  text  2  min 1.5")
    for text, message in (
        ("a x\n", "t.ark:1: a: neither numbers"), ("a 1 2\n", "expected one number"),
        ("a [ 1\n2 3\n", "a: the text ends before ']'"),
        ("a [ 1\n2 3 ]\n", "neither numbers nor a matrix"),
    ):  # fmt: skip
        (tmp_path / "t.ark").write_text(text)
        with pytest.raises(UserError) as error:
            show_ark.main([str(tmp_path / "t.ark")])
        assert message in str(error.value)

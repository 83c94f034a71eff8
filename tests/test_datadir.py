"""Tables and whole data directories: reading, checking, changing, mending."""

import gzip
import itertools
import tempfile
import time

import pytest
from conftest import load_script
from hypothesis import given
from hypothesis import strategies as st
from table_dirs import UTTS, full_tables, lines, read_dir, write_dir

from chronovox import datadir, datadir_check, datadir_ops
from chronovox.cli import UserError

FULL = full_tables()
validate = load_script("utils/validate_data_dir.py")
fix = load_script("utils/fix_data_dir.py")


def problems(tmp_path, options=(), **changed):
    """The problems of the full directory with some files changed (None: missing)."""
    names = {name: name.replace(".", "_").replace("/", "__") for name in FULL}
    tables = {name: changed.pop(names[name], text) for name, text in FULL.items()}
    path = write_dir(tmp_path / "data", {**tables, **changed})
    found = datadir_check.find_problems(path, *options)
    return [problem.replace(f"{path}/", "") for problem in found]


# Tables


def test_a_table_is_read_with_the_rest_of_the_line_as_value(tmp_path):
    path = tmp_path / "wav.scp"
    path.write_text("a sox x.wav |\nb /a path/b.wav\n")
    assert datadir.read_table(path, None) == {"a": "sox x.wav |", "b": "/a path/b.wav"}


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("a 1\na 1\n", "t:2: duplicate key 'a'"),
        ("b 1\na 1\n", "t:2: key 'a' is out of order after 'b': sort with LC_ALL=C"),
        ("a 1 2\n", "t:1: expected 2 fields, found 3: 'a 1 2'"),
        ("a\n", "t:1: expected '<key> <value>'"),
        ("a 1\n\nb 1\n", "t:2: expected '<key> <value>': ''"),
        ("a\t1\n", "t:1: expected '<key> <value>'"),
        (" a 1\n", "t:1: expected '<key> <value>'"),
        ("a 1\r\n", "t:1: ends as on Windows: remove the carriage returns"),
        ("a 1\nb 2", "t: the last line has no line end: was it cut off?"),
        ("", "t: empty file"),
        (b"a \xff\n", "t: not UTF-8 text (byte 2)"),
        (b"\x1f\x8b\x08", "t: compressed: gunzip it first"),
    ],
)
def test_a_bad_table_names_file_and_line(tmp_path, text, message):
    path = tmp_path / "t"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as error:
        datadir.read_table(path)
    assert message in str(error.value)


def test_missing_files_and_directories_are_named(tmp_path):
    with pytest.raises(UserError, match="none: no such file"):
        datadir.read_table(tmp_path / "none")
    with pytest.raises(UserError, match="is a directory"):
        datadir.read_table(tmp_path)


KEYS = st.text(st.characters(codec="utf-8", categories=["L", "N", "P"]), min_size=1)


@given(st.dictionaries(KEYS, KEYS, min_size=1))
def test_tables_come_back_as_written_and_sorted_as_the_c_locale_does(tables_in):
    with tempfile.NamedTemporaryFile() as stream:
        path = f"{stream.name}.table"
        datadir.write_table(path, tables_in)
        assert datadir.read_table(path) == tables_in
        with open(path, "rb") as written:
            keys = [line.split()[0] for line in written]
        assert keys == sorted(keys)


@given(st.binary(max_size=60))
def test_any_bytes_give_a_table_or_a_user_error(content):
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(content)
        stream.flush()
        for read in (datadir.read_table, datadir.read_segments, datadir.read_floats):
            try:
                table = read(stream.name)
            except UserError as error:
                assert stream.name in str(error)
            else:
                assert list(table) == sorted(table)


@pytest.mark.parametrize("text", ["nan", "inf", "1e", "1_0", "0x1", "", "١"])
def test_what_python_takes_for_a_number_but_kaldi_does_not_is_refused(text):
    with pytest.raises(UserError, match="is not a number"):
        datadir.parse_float(text, "x")


def test_segments_end_after_they_start(tmp_path):
    path = tmp_path / "segments"
    path.write_text("a r 0.5 1.5\n")
    assert datadir.read_segments(path) == {"a": ("r", 0.5, 1.5)}
    path.write_text("a r 1.5 1.5\n")
    with pytest.raises(UserError, match=r"a: start 1.5 s, end 1.5 s"):
        datadir.read_segments(path)


@given(st.dictionaries(st.text(max_size=3), st.text(max_size=5)))
def test_texts_in_one_piece_are_those_of_a_list_and_a_table(texts):
    texts = dict(sorted(texts.items()))
    keys, table = datadir.Texts(texts), datadir.TextTable(texts)
    assert list(keys) == list(texts)
    assert [keys[n] for n in range(-len(keys), 0)] == list(texts)
    assert table == texts and list(table) == list(texts)
    assert ("\x7f" in table) == ("\x7f" in texts)
    with pytest.raises(IndexError):
        keys[len(texts)]


# The check


def test_a_good_directory_passes(tmp_path, capsys):
    assert problems(tmp_path) == []
    assert validate.main([str(tmp_path / "data")]) == 0
    assert capsys.readouterr().out == (
        "validate_data_dir.py: Successfully validated data-directory "
        f"{tmp_path / 'data'}\n"
    )


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        ({"wav_scp": None}, "wav.scp: no such file"),
        ({"feats_scp": None}, "feats.scp: no such file"),
        ({"text": None}, "text: no such file"),
        ({"utt2session": None}, "utt2session: no such file"),
        ({"utt2spk": None}, "utt2spk: no such file"),
        ({"utt2spk": ""}, "utt2spk: empty file"),
        ({"utt2spk": FULL["utt2spk"][:-1]}, "utt2spk: the last line has no line end"),
        (
            {"utt2spk": FULL["utt2spk"].replace("b-1-1 b", "b-1-1 b x")},
            "utt2spk:4: expected 2 fields, found 3: 'b-1-1 b x'",
        ),
        (
            {"spk2utt": FULL["spk2utt"].replace("a-1-1 a-1-2", "a-1-2 a-1-1")},
            "spk2utt: a: not what utt2spk says",
        ),
        (
            {"spk2utt": lines("a a-1-1")},
            "spk2utt: no line for speaker 'b' (and 1 more)",
        ),
        ({"spk2gender": lines("a f", "b x", "c f")}, "b: 'x' is neither m nor f"),
        ({"spk2gender": lines("a f", "b m")}, "spk2gender: no line for speaker 'c'"),
        (
            {"spk2nationality": FULL["spk2nationality"] + "d French\n"},
            "spk2nationality: speaker 'd' is unknown",
        ),
        ({"utt2dur": FULL["utt2dur"].replace(" 6.5", " 0")}, "a-1-1: 0 is not above 0"),
        (
            {"utt2dur": lines("a-1-1 2")},
            "utt2dur: no line for utterance 'a-1-2' (and 4",
        ),
        (
            {"utt2num_frames": FULL["utt2num_frames"].replace("150", "15.0")},
            "utt2num_frames: a-1-1: '15.0' is not a whole number",
        ),
        ({"utt2age": lines("a-1-1 old")}, "utt2age: a-1-1: 'old' is not a number"),
        ({"utt2age": lines("z 3")}, "utt2age: utterance 'z' is unknown"),
        (
            {"feats_scp": FULL["feats.scp"] + "d-1 x:1\n"},
            "feats.scp: utterance 'd-1' is unknown: run utils/fix_data_dir.py",
        ),
        ({"vad_scp": lines("a-1-1 x:1")}, "vad.scp: no line for utterance 'a-1-2'"),
        (
            {"utt2session": FULL["utt2session"].replace("c-1-1 1\n", "")},
            "utt2session: no line for utterance 'c-1-1'",
        ),
        (
            {"session2date": FULL["session2date"].replace("b 2 20\n", "")},
            "session2date: no line for session 'b 2'",
        ),
        (
            {"wav_scp": FULL["wav.scp"].replace("/audio/a-2", "~/a-2")},
            "a-2-1: '~/a-2-1.wav': write out what ~ stands for",
        ),
        (
            {"wav_scp": FULL["wav.scp"].replace("c-1-1", "c-1-0")},
            "wav.scp: recording 'c-1-0' is unknown",
        ),
        (
            {"text": FULL["text"].replace("c-1-1 some", "c-1-1 #0")},
            "text: c-1-1: '#0' is no word",
        ),
        (
            {"text": FULL["text"].replace("c-1-1 some", "c-1-1 some\u00a0more")},
            "text: c-1-1: odd white space",
        ),
        (
            {"wav_scp": None, "segments": lines("a-1-1 r 0 1")},
            "segments: there is no wav.scp",
        ),
        ({"frame_shift": "fast\n"}, "frame_shift: 'fast' is not a number"),
        ({"faces__face2utt": lines("f a-1-1")}, "face2utt: face 'f' is unknown"),
        (
            {"faces__face2utt": FULL["faces/face2utt"].replace(" a-2-1", " z")},
            "face2utt: utterance 'z' is unknown",
        ),
        ({"cmvn.scp": lines("a x:1")}, "cmvn.scp: no line for speaker 'b'"),
    ],
)
def test_the_check_names_what_is_wrong(tmp_path, changed, message):
    found = problems(tmp_path, **changed)
    assert any(message in problem for problem in found), found


def test_options_allow_what_is_not_there(tmp_path):
    assert problems(
        tmp_path, (True, True, True), wav_scp=None, feats_scp=None, text=None
    ) == []  # fmt: skip


def test_no_feats_allows_tables_that_dropped_utterances(tmp_path):
    """A stage that makes features anew finds what the last run of it left."""
    part = FULL["feats.scp"].replace("c-1-1 /ark/feats.ark:5\n", "")
    assert problems(tmp_path, (True,), feats_scp=part) == []
    assert problems(tmp_path, (False,), feats_scp=part) != []


def test_a_speaker_must_be_a_prefix_of_its_utterances(tmp_path):
    found = problems(tmp_path, utt2spk=FULL["utt2spk"].replace("c-1-1 c", "c-1-1 d"))
    assert (
        "utt2spk: speaker 'd' is no prefix of utterance 'c-1-1': name utterances "
        "<spk>-<utt>, as Kaldi sorts both ways"
    ) in found


@pytest.mark.parametrize(
    ("separator", "good"), [("-", True), ("/", True), ("_", False)]
)
def test_speakers_of_different_length_sort_both_ways(separator, good):
    """Kaldi's facts: id1-a and id10-a pass, id1_a and id10_a do not."""
    utt2spk = {f"{spk}{separator}a": spk for spk in ("id1", "id10")}
    assert (datadir_ops.speaker_problem(utt2spk) is None) == good


@given(st.lists(st.sampled_from("1-_/a"), min_size=1, max_size=3).map("".join))
def test_the_order_of_speakers_is_judged_as_sort_k2_does(spk):
    for other, (x, y) in itertools.product(
        ("1", "1-", "a1"), (("-1", "-a"), ("a", "_"))
    ):
        utt2spk = {spk + x: spk, other + y: other}
        rows = sorted(utt2spk.items())
        same = sorted(rows, key=lambda row: (row[1], row[0])) == rows
        assert (datadir_ops.speaker_problem(utt2spk) is None) == same


def test_segments_are_checked_against_recordings(tmp_path):
    segments = lines(*(f"{utt} rec{n % 2} 0 1.5" for n, utt in enumerate(UTTS)))
    wav = lines("rec0 /x.wav", "rec1 /y.wav")
    assert problems(tmp_path, wav_scp=wav, segments=segments) == []
    found = problems(tmp_path, wav_scp=lines("rec0 /x.wav"), segments=segments)
    assert any("wav.scp: no line for recording 'rec1'" in p for p in found)
    bad = segments.replace("0 1.5", "2 1.5", 1)
    found = problems(tmp_path, wav_scp=wav, segments=bad)
    assert "segments: a-1-1: start 2 s, end 1.5 s" in found
    found = problems(tmp_path, wav_scp=wav, segments=segments.replace(" 1.5", "", 1))
    assert "segments:1: expected 4 fields, found 3: 'a-1-1 rec0 0'" in found


def test_all_problems_are_listed_up_to_twenty(tmp_path):
    ages = lines(*(f"a-{n:02d} x" for n in range(30)))
    write_dir(tmp_path, {**FULL, "utt2age": ages})
    with pytest.raises(UserError) as error:
        validate.main([str(tmp_path)])
    text = str(error.value).splitlines()
    assert "31 problems" in text[0]
    assert len(text) == 22 and text[-1] == "  and 11 more"
    with pytest.raises(UserError, match="no such directory"):
        validate.main([str(tmp_path / "none")])


# Changes


def test_copying_keeps_every_byte(tmp_path):
    source = write_dir(tmp_path / "a", FULL)
    datadir_ops.save(datadir_ops.load(source), tmp_path / "b")
    assert read_dir(tmp_path / "b") == FULL


def test_keep_filters_every_table(tmp_path):
    data = datadir_ops.load(write_dir(tmp_path / "a", FULL))
    datadir_ops.save(datadir_ops.keep(data, ["a-2-1", "b-1-1"]), tmp_path / "b")
    kept = read_dir(tmp_path / "b")
    assert kept.keys() == FULL.keys()
    assert kept["session2date"] == lines("a 2 2011-01-01", "b 1 10")
    assert kept["spk2utt"] == lines("a a-2-1", "b b-1-1")
    assert kept["spk2nationality"] == lines("a Irish", "b Irish")
    assert kept["utt2age"] == lines("a-2-1 30.5", "b-1-1 41")
    assert kept["faces/face.scp"] == lines("a-2-1-f1 /3.png")
    assert kept["wav.scp"] == lines("a-2-1 /audio/a-2-1.wav", "b-1-1 /audio/b-1-1.wav")
    assert datadir_check.find_problems(tmp_path / "b") == []


def test_keep_filters_recordings_by_segments(tmp_path):
    segments = lines(*(f"{utt} rec-{utt[0]} 0 1" for utt in UTTS))
    wav = lines("rec-a /x.wav", "rec-b /y.wav", "rec-c /z.wav")
    tables = {**FULL, "segments": segments, "wav.scp": wav, "reco2dur": lines(
        "rec-a 1", "rec-b 1", "rec-c 1")}  # fmt: skip
    data = datadir_ops.load(write_dir(tmp_path, tables))
    kept = datadir_ops.keep(data, ["b-1-1"]).tables
    assert kept["wav.scp"] == {"rec-b": "/y.wav"}
    assert kept["reco2dur"] == {"rec-b": "1"}


def test_a_table_of_which_nothing_is_left_is_not_written(tmp_path):
    data = datadir_ops.load(write_dir(tmp_path / "a", FULL))
    datadir_ops.save(datadir_ops.keep(data, ["c-1-1"]), tmp_path / "b")
    kept = read_dir(tmp_path / "b")
    assert not {"utt2age", "faces/face.scp"} & kept.keys()
    with pytest.raises(UserError, match="no utterance is left"):
        datadir_ops.save(datadir_ops.keep(data, []), tmp_path / "b")


def test_tables_of_an_earlier_directory_at_the_same_place_go(tmp_path):
    write_dir(tmp_path / "b", {**FULL, "text": lines("old x"), "trials/r": "kept\n",
                               "recordings.jsonl.gz": "old"})  # fmt: skip
    data = datadir_ops.load(write_dir(tmp_path / "a", {**FULL, "text": None}))
    datadir_ops.save(data, tmp_path / "b")
    expected = {name: text for name, text in FULL.items() if name != "text"}
    assert read_dir(tmp_path / "b") == {**expected, "trials/r": "kept\n"}


# Mending


def mend(tmp_path, **changed):
    """fix_data_dir on the full directory with changes; returns what is there then."""
    path = write_dir(tmp_path / "data", {**FULL, **changed})
    assert fix.main([str(path)]) == 0
    assert datadir_check.find_problems(path) == []
    return read_dir(path)


def test_mending_a_good_directory_changes_nothing(tmp_path):
    assert mend(tmp_path) == FULL
    assert not (tmp_path / "data/.backup").exists()


def test_order_blank_lines_repeats_and_line_ends_are_mended(tmp_path):
    untidy = "\r\n".join([*FULL["utt2spk"].split("\n")[::-1], "a-1-1\t a "])
    assert mend(tmp_path, utt2spk=untidy) == FULL
    assert (tmp_path / "data/.backup/utt2spk").read_bytes() == untidy.encode()


def without(name, *keys):
    """The text of a full table less the lines of these keys."""
    rows = FULL[name].splitlines()
    return lines(*(row for row in rows if not row.startswith(keys)))


def test_only_what_all_tables_have_is_kept_and_the_rest_listed(tmp_path):
    changed = {
        "feats.scp": without("feats.scp", "a-1-1"),
        "utt2session": without("utt2session", "a-1-2"),
        "session2date": without("session2date", "b 2"),
        "spk2gender": without("spk2gender", "c"),
    }
    fixed = mend(tmp_path, **changed)
    assert fixed["utt2spk"] == lines("a-2-1 a", "b-1-1 b")
    assert fixed["utt2age"] == lines("a-2-1 30.5", "b-1-1 41")
    assert fixed["session2date"] == lines("a 2 2011-01-01", "b 1 10")
    assert fixed["faces/face2utt"] == lines("a-2-1-f1 a-2-1")
    backup = tmp_path / "data/.backup"
    assert (backup / "dropped").read_text() == lines(
        "a-1-1 not in feats.scp", "a-1-2 not in utt2session",
        "b-2-1 session b 2 not in session2date", "c-1-1 speaker c not in spk2gender",
    )  # fmt: skip
    assert (backup / "faces/face.scp").read_text() == FULL["faces/face.scp"]


def test_a_killed_mending_is_finished_by_the_next(tmp_path, monkeypatch):
    wanted = mend(tmp_path / "whole", **{"feats.scp": without("feats.scp", "b-1-1")})
    reasons = (tmp_path / "whole/data/.backup/dropped").read_text()
    write = datadir.write_table
    for number in range(1, len(FULL) - 5):
        left = itertools.count(1)

        def write_some(path, table, left=left, number=number):
            if next(left) == number:
                raise KeyboardInterrupt
            write(path, table)

        path = write_dir(
            tmp_path / f"{number}",
            {**FULL, "feats.scp": without("feats.scp", "b-1-1")},
        )
        with monkeypatch.context() as context, pytest.raises(KeyboardInterrupt):
            context.setattr(datadir, "write_table", write_some)
            fix.main([str(path)])
        assert (path / ".backup/unfinished").exists()
        assert fix.main([str(path)]) == 0
        assert read_dir(path) == wanted
        assert not (path / ".backup/unfinished").exists()
        assert (path / ".backup/dropped").read_text() == reasons
        assert (path / ".backup/utt2spk").read_text() == FULL["utt2spk"]


def test_what_is_dropped_leaves_the_manifests_too(tmp_path):
    path = write_dir(tmp_path, {**FULL, "text": lines("a-2-1 x", "b-1-1 y")})
    old = {}
    for name in ("recordings", "supervisions"):
        rows = [f'{{"id": "{utt}", "duration": 1.5}}\n'.encode() for utt in UTTS]
        old[name] = gzip.compress(b"".join(rows))
        (path / f"{name}.jsonl.gz").write_bytes(old[name])
    fix.main([str(path)])
    for name, packed in old.items():
        kept = gzip.decompress((path / f"{name}.jsonl.gz").read_bytes())
        assert kept == rows[2] + rows[3]
        assert (path / f".backup/{name}.jsonl.gz").read_bytes() == packed
    (path / "text").write_text(lines("a-2-1 x"))
    (path / "recordings.jsonl.gz").write_text("something else")
    with pytest.raises(UserError, match="jsonl.gz: not a lhotse manifest: remove it"):
        fix.main([str(path)])


def test_missing_ages_and_an_empty_table_drop_nobody(tmp_path):
    fixed = mend(tmp_path, **{"utt2age": lines("a-1-1 20.5"), "utt2dur": ""})
    assert fixed["utt2spk"] == FULL["utt2spk"]
    assert "utt2dur" not in fixed


@pytest.mark.parametrize(
    ("changed", "message"),
    [
        (
            {"utt2spk": FULL["utt2spk"] + "a-1-1 b\n"},
            "utt2spk:7: 'a-1-1' is 'b' here and 'a' before: remove one of the lines",
        ),
        ({"utt2spk": "a-1-1 a b\n"}, "utt2spk:1: expected 2 fields, found 3"),
        (
            {"feats.scp": "z /x\n"},
            "no utterance would be left: a-1-1: not in feats.scp",
        ),
        ({"spk2gender": lines("a x", "b m", "c f")}, "left to mend by hand:"),
    ],
)
def test_what_cannot_be_guessed_is_refused(tmp_path, changed, message):
    path = write_dir(tmp_path, {**FULL, **changed})
    with pytest.raises(UserError) as error:
        fix.main([str(path)])
    assert message in str(error.value)
    assert read_dir(path) == {**FULL, **changed}


def test_a_long_number_is_refused_at_once():
    """The pattern once took time by the square of its length: minutes."""
    begin = time.perf_counter()
    for text in ("1" * 70000 + "x", "1" * 70000 + "." + "1" * 70000 + "x"):
        with pytest.raises(UserError, match="is not a number"):
            datadir.parse_float(text, "x")
    assert time.perf_counter() - begin < 2


@pytest.mark.parametrize("blank", ["\u2003", "\x0b", "\x85", "\x1c", "\t"])
def test_a_key_with_an_odd_blank_is_refused(tmp_path, blank):
    """Split at it elsewhere, it would be another key."""
    (tmp_path / "utt2spk").write_text(f"a{blank}b c\n", newline="\n")
    with pytest.raises(UserError, match=r"utt2spk:1: expected '<key> <value>'"):
        datadir.read_table(tmp_path / "utt2spk")


def test_lines_of_frame_shift_make_one_problem(tmp_path):
    write_dir(tmp_path, {**full_tables(), "frame_shift": "1\n2\n"})
    assert [p for p in datadir_check.find_problems(tmp_path) if "frame_shift" in p] == [
        f"{tmp_path}/frame_shift: '1 2' is not a number"
    ]

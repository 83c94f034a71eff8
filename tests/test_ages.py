"""Ages of utterances: from faces, from published labels, and published by us."""

import csv
import gzip
import hashlib
import io
import json
import os
import pickle
import shutil
import statistics
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from table_dirs import full_tables, write_dir

import convert_trials
import export_age_release
import import_ages
import label_ages
import select_trials
from chronovox import datadir_check
from chronovox.ages import tables
from chronovox.ages.pickled import read_numbers, write_numbers
from chronovox.ages.published import match, read_csv, read_segment2age, read_utt2age
from chronovox.cli import UserError
from chronovox.datadir import read_floats, read_lines, read_table, write_table
from chronovox.trials import read_trials

AGE_FILES = ("utt2age", "utt2age_std", "utt2num_faces", "utt2age.source")


@pytest.fixture
def data(tmp_path) -> Path:
    """Three speakers, five sessions, six utterances; no ages yet."""
    absent = dict.fromkeys((*AGE_FILES, "faces/face.scp"))
    return write_dir(tmp_path / "data", full_tables() | absent)


def put(path: Path, content: str | bytes) -> Path:
    path.write_bytes(content.encode() if isinstance(content, str) else content)
    return path


def set_faces(data: Path, faces: dict[str, tuple[str, float | None]]) -> Path:
    """Write face2utt, and face2age for faces with an age; returns the latter."""
    write_table(
        data / "faces/face2utt", {face: utt for face, (utt, _) in faces.items()}
    )
    ages = {face: age for face, (_, age) in faces.items() if age is not None}
    write_table(data / "face2age", ages)
    return data / "face2age"


FACES = {
    "a-1-1-f1": ("a-1-1", 20.0),
    "a-1-1-f2": ("a-1-1", 24.0),
    "a-1-2-f1": ("a-1-2", 34.0),
    "a-2-1-f1": ("a-2-1", 40.0),
    "b-1-1-f1": ("b-1-1", 50.0),
    "b-1-1-f2": ("b-1-1", None),  # unreadable
    "b-2-1-f1": ("b-2-1", 60.5),
    "c-1-1-f1": ("c-1-1", 70.0),
}


def label(data, face2age, *options) -> int:
    return label_ages.main([*map(str, options), str(data), str(face2age)])


def read_ages(data) -> list[dict[str, float]]:
    return [read_floats(data / name) for name in AGE_FILES[:3]]


# From faces


def test_a_session_shares_the_age_of_all_its_faces(data, caplog):
    caplog.set_level("INFO")
    assert label(data, set_faces(data, FACES)) == 0
    ages, stds, nums = read_ages(data)
    assert ages == {"a-1-1": 26.0, "a-1-2": 26.0, "a-2-1": 40.0, "b-1-1": 50.0,
                    "b-2-1": 60.5, "c-1-1": 70.0}  # fmt: skip
    spread = ((6**2 + 2**2 + 8**2) / 2) ** 0.5
    assert stds == {utt: pytest.approx(spread, abs=1e-6) for utt in ("a-1-1", "a-1-2")}
    assert nums == {"a-1-1": 3, "a-1-2": 3, "a-2-1": 1, "b-1-1": 1, "b-2-1": 1,
                    "c-1-1": 1}  # fmt: skip
    assert (data / "utt2age.source").read_text() == (
        "label_ages face2age: --by session --statistic mean --min-faces 1\n"
    )
    assert (data / "utt2age.dropped").read_text() == ""
    assert "6 in, 6 out, 0 dropped" in caplog.text
    assert datadir_check.find_problems(data) == [
        f"{data}/faces/face2utt: face 'a-1-1-f1' is unknown (and 7 more): run "
        "utils/fix_data_dir.py"  # there is no face.scp here
    ]


def test_an_utterance_may_have_the_age_of_its_own_faces(data):
    label(data, set_faces(data, FACES), "--by", "utterance")
    ages, stds, nums = read_ages(data)
    assert (ages["a-1-1"], ages["a-1-2"]) == (22.0, 34.0)
    assert (nums["a-1-1"], nums["a-1-2"]) == (2, 1)
    assert stds == {"a-1-1": pytest.approx(8**0.5, abs=1e-6)}


def test_the_median_is_not_drawn_by_one_wrong_face(data):
    ages = (30.0, 31.0, 32.0, 90.0)
    faces = {f"a-1-1-f{n}": ("a-1-1", age) for n, age in enumerate(ages)}
    faces |= {f"{utt}-f": (utt, 5.0) for utt in ("a-2-1", "b-1-1", "b-2-1", "c-1-1")}
    label(data, set_faces(data, faces), "--statistic", "median")
    assert read_ages(data)[0]["a-1-2"] == 31.5


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.tuples(st.sampled_from(["a-1-1", "a-1-2", "a-2-1", "b-1-1"]),
                  st.floats(0.5, 120.0)), min_size=1, max_size=20),
    st.sampled_from(["session", "utterance"]), st.sampled_from(["mean", "median"]),
    st.integers(1, 4),
)  # fmt: skip
def test_ages_of_any_faces(tmp_path_factory, drawn, by, statistic, least):
    absent = dict.fromkeys(AGE_FILES)
    data = write_dir(tmp_path_factory.mktemp("data"), full_tables() | absent)
    faces = {f"f{n:02}": pair for n, pair in enumerate(drawn)}
    kin = {"a-1-1": ("a-1-1", "a-1-2"), "a-1-2": ("a-1-1", "a-1-2")}
    expected = {}
    for utt in read_table(data / "utt2spk"):
        wanted = kin.get(utt, (utt,)) if by == "session" else (utt,)
        ages = [age for other, age in drawn if other in wanted]
        if len(ages) >= least:
            expected[utt] = getattr(statistics, statistic)(ages)
    words = ["--by", by, "--statistic", statistic, "--min-faces", least]
    words += ["--max-fail-ratio", 1]
    if not expected:
        with pytest.raises(UserError, match="6 of 6 were dropped"):
            label(data, set_faces(data, faces), *words)
        assert not (data / "utt2age").exists()
        return
    label(data, set_faces(data, faces), *words)
    assert read_floats(data / "utt2age") == pytest.approx(expected, rel=1e-8)
    lacking = read_lines(data / "utt2age.dropped") if len(expected) < 6 else []
    assert {line.split()[0] for line in lacking} == read_table(
        data / "utt2spk"
    ).keys() - expected.keys()


def test_too_few_faces_are_listed_and_counted(data):
    face2age = set_faces(data, FACES)
    with pytest.raises(UserError, match="4 of 6 were dropped, more than --max-fail"):
        label(data, face2age, "--min-faces", 2)
    assert not (data / "utt2age").exists()
    label(data, face2age, "--min-faces", 2, "--max-fail-ratio", 0.7)
    ages, stds, nums = read_ages(data)
    assert ages.keys() == stds.keys() == {"a-1-1", "a-1-2"}
    assert nums["c-1-1"] == 1
    assert read_lines(data / "utt2age.dropped")[0] == (
        "a-2-1 its session has 1 faces with an age, fewer than --min-faces 2"
    )


def test_one_face_tells_no_confidence(data):
    """Trials that must be sure leave an age of one face out: it has no spread."""
    label(data, set_faces(data, FACES))
    rules = data / "rules.yaml"
    argv = ["--rules", str(rules), str(data), str(data / "list")]
    gap = "positives:\n  session: different\n  min_gap: 5.0\n"
    put(rules, gap)
    assert select_trials.main(argv) == 0
    put(rules, gap + "  confidence: 0.51\n")
    with pytest.raises(UserError, match="no target trial obeys"):
        select_trials.main(argv)


@pytest.mark.parametrize(
    ("faces", "message"),
    [
        ({"f1": ("a-9-9", 3.0)}, "face2utt: face 'f1' is of utterance 'a-9-9', which"),
        ({"f1": ("a-1-1", None), "f2": ("a-1-1", None)}, "face2age: empty file"),
        ({"f1": ("a-1-1", -3.0)}, "face2age: f1: -3.0 is not above 0 and up to 120"),
        ({"f1": ("a-1-1", 120.5)}, "face2age: f1: 120.5 is not above 0"),
        ({"f1": ("a-1-1", float("nan"))}, "face2age: f1: 'nan' is not a number"),
    ],
)
def test_bad_faces_are_refused(data, faces, message):
    with pytest.raises(UserError, match=message):
        label(data, set_faces(data, faces))
    assert not (data / "utt2age").exists()


def test_faces_of_other_data_do_not_count(data, caplog):
    caplog.set_level("INFO")
    face2age = set_faces(data, FACES)
    write_table(face2age, read_table(face2age) | {"z-1": 3})
    label(data, face2age)
    assert "8 faces; 7 have an age in" in caplog.text
    assert "where 1 are of other data" in caplog.text
    put(face2age, "z-1 3\n")
    with pytest.raises(UserError, match="no face of .*/faces/face2utt is in it"):
        label(data, face2age)


def test_an_utterance_without_a_session_is_named(data):
    put(data / "utt2session", "a-1-1 1\n")
    with pytest.raises(UserError, match="utt2session: no line for 'a-1-2', 5 in all"):
        label(data, set_faces(data, FACES))
    assert label(data, data / "face2age", "--by", "utterance") == 0


# Whose ages they are

VIDEO_AGES = {"a-1": 21.5, "a-2": 31.25, "b-1": 45, "b-2": 46.0, "c-1": 30.1}


def import_file(data, kind, path, *options) -> int:
    words = ["--format", kind, *map(str, options), str(data), str(path)]
    return import_ages.main(words)


def test_ages_of_another_source_stay(data, tmp_path):
    face2age = set_faces(data, FACES)
    npy = tmp_path / "segment2age.npy"
    write_numbers(npy, VIDEO_AGES)
    label(data, face2age)
    before = (data / "utt2age").read_bytes()
    remedy = rf"remove {data}/utt2age\* first"
    with pytest.raises(
        UserError, match=f"not by import_ages segment2age.npy.*{remedy}"
    ):
        import_file(data, "segment2age", npy)
    assert (data / "utt2age").read_bytes() == before
    for path in data.glob("utt2age*"):
        path.unlink()

    import_file(data, "segment2age", npy)
    assert not (data / "utt2age_std").exists()
    assert not (data / "utt2num_faces").exists(), "of the faces, that are not used"
    with pytest.raises(
        UserError, match="import_ages segment2age.npy.*not by label_age"
    ):
        label(data, face2age)
    before = (data / "utt2age").read_bytes()
    import_file(data, "segment2age", npy)
    for folder, ages in (("other", {}), (".", {"a-1": 22.5})):  # of the same name, too
        other = tmp_path / folder / "segment2age.npy"
        if folder == "other":
            other = shutil.copy(npy, tmp_path / "other.npy")
        write_numbers(other, VIDEO_AGES | ages)
        with pytest.raises(UserError, match=f"not by import_ages {other.name}"):
            import_file(data, "segment2age", other)
    assert (data / "utt2age").read_bytes() == before


def test_ages_that_nobody_signed_stay(data):
    put(data / "utt2age", "a-1-1 30\n")
    with pytest.raises(UserError, match="utt2age.source: unknown"):
        label(data, set_faces(data, FACES))
    put(data / "utt2age.source", "label_ages\n")
    with pytest.raises(UserError, match="utt2age.source: label_ages"):
        label(data, data / "face2age")


def test_the_same_source_writes_again(data):
    face2age = set_faces(data, FACES)
    label(data, face2age)
    before = {name: (data / name).read_bytes() for name in AGE_FILES}
    label(data, face2age, "--by", "utterance", "--statistic", "median")
    assert "--statistic median" in (data / "utt2age.source").read_text()
    label(data, face2age)
    assert before == {name: (data / name).read_bytes() for name in AGE_FILES}


def test_ages_of_a_killed_writer_are_not_mixed(data, tmp_path, monkeypatch):
    """`utt2age` is written last, and goes first."""
    label(data, set_faces(data, FACES))
    before = {name: (data / name).read_bytes() for name in AGE_FILES}
    for stop in AGE_FILES[:3]:

        def write(path, table, stop=stop):
            if path.name == stop:
                raise KeyboardInterrupt
            write_table(path, table)

        monkeypatch.setattr(tables, "write_table", write)
        with pytest.raises(KeyboardInterrupt):
            label(data, data / "face2age", "--by", "utterance")
        assert not (data / "utt2age").exists()
    monkeypatch.undo()
    label(data, data / "face2age")
    assert before == {name: (data / name).read_bytes() for name in AGE_FILES}


# Published labels


def numpy_file(value, protocol=4, dtype=object) -> bytes:
    """As numpy.save writes it, whose header does not tell the pickle's version."""
    stream = io.BytesIO()
    np.save(stream, np.array(value, dtype), allow_pickle=True)
    if protocol == 4:
        return stream.getvalue()
    head = stream.getvalue()[:128]
    return head + pickle.dumps(np.array(value, dtype), protocol)


numbers = (
    st.floats(allow_nan=False)
    | st.integers(-(2**31), 2**31)
    | st.floats(width=32, allow_nan=False).map(np.float32)
    | st.floats(allow_nan=False).map(np.float64)
    | st.integers(-(2**15), 2**15 - 1).map(np.int16)
)


@settings(max_examples=100, deadline=None)
@given(
    st.dictionaries(st.text(st.characters(codec="utf-8"), max_size=8), numbers),
    st.integers(2, 5), st.booleans(),
)  # fmt: skip
def test_any_dictionary_of_numpy_is_read(tmp_path_factory, table, protocol, old):
    path = tmp_path_factory.mktemp("npy") / "x.npy"
    content = numpy_file(table, protocol)
    if old and protocol == 2:  # as numpy was called before version 2
        content = content.replace(
            b"numpy._core.multiarray\n", b"numpy.core.multiarray\n"
        )
    found = read_numbers(put(path, content))
    assert found == {key: float(value) for key, value in table.items()}
    assert all(type(value) is float for value in found.values())
    write_numbers(path, found)
    assert np.load(path, allow_pickle=True).item() == found == read_numbers(path)


def test_scalars_of_either_byte_order_are_read(tmp_path):
    table = {order: np.dtype(f"{order}f8").type(1.5) for order in "<>"}
    swapped = np.array([2.5], ">f4")[0]
    table["other"] = swapped
    path = put(tmp_path / "x.npy", numpy_file(table))
    assert read_numbers(path) == {"<": 1.5, ">": 1.5, "other": 2.5}


class Call:
    """Unpickled as code, it calls a function."""

    def __init__(self, function, *args):
        self.made = function, args

    def __reduce__(self):
        return self.made


def hostile_files(marker: str) -> dict[str, bytes]:
    """Files that make the folder `marker` when unpickled, and bombs."""
    head = numpy_file({})[:128]
    trap = Call(os.mkdir, marker)
    made = {
        f"{where} {protocol}": numpy_file(value, protocol)
        for where, value in (
            ("value", {"a-1": trap}), ("root", trap), ("tuple", {"a-1": (1, [trap])}),
            ("eval", {"a-1": Call(eval, f"__import__('os').mkdir({marker!r})")}),
            ("key", {"a-1": 3.0, "b-1": Call(getattr, Call(os.mkdir, marker), "x")}),
        )
        for protocol in (2, 3, 4, 5)
    }  # fmt: skip
    text = marker.encode()
    made |= {
        "protocol 0": head + pickle.dumps(trap, 0),
        "INST": head + b"(S'" + text + b"'\niposix\nmkdir\n.",
        "OBJ": head + b"(cposix\nmkdir\nS'" + text + b"'\no.",
        "NEWOBJ": head + b"\x80\x02cposix\nmkdir\n(V" + text + b"\nt\x81.",
        "extension": head + b"\x80\x02\x82\x01.",
        "persistent": head + b"\x80\x02Vx\nQ.",
        "memo": head + b"\x80\x02Nr\xff\xff\xff\xff.",
        "bytes": head + b"\x80\x04\x8e\xff\xff\xff\xff\xff\xff\xff\x00.",
        "deep key": head + b"\x80\x02})" + b"\x85" * 10**5 + b"Ns.",
        "deep value": head + b"\x80\x02}X\x01\x00\x00\x00a)" + b"\x85" * 10**5 + b"s.",
        "code of numpy": numpy_file({"a": Call(np.fromfile, "/etc/passwd")}),
        "dotted": head + b"\x80\x04\x8c\x05numpy\x8c\x09f2py.diag\x93.",
    }
    return made


def test_hostile_files_run_no_code(tmp_path):
    marker = tmp_path / "RAN"
    files = hostile_files(str(marker))
    for name, content in files.items():
        path = put(tmp_path / "x.npy", content)
        with pytest.raises(UserError, match="not a dictionary of numbers") as error:
            read_numbers(path)
        assert not marker.exists(), name
        assert str(path) in str(error.value) and "\n" not in str(error.value), name
    with pytest.raises(UserError, match="it asks for 'posix mkdir'"):
        read_numbers(put(tmp_path / "x.npy", files["value 4"]))
    pickle.loads(files["value 4"][128:])
    assert marker.exists(), "the files are hostile indeed"


@pytest.mark.parametrize(
    ("content", "message"),
    [
        (b"", "it is no .npy file"),
        (b"PK\3\4", "it is no .npy file"),
        (b"\x93NUMPY", "index out of range"),
        (b"\x93NUMPY\1\0v", "requires a buffer of 2 bytes"),
        (numpy_file({"a": 1.0})[:-40], "exhausted|cut off|expected"),
        (numpy_file([1.0], dtype=float), "it holds an array: .*<f8"),
        (numpy_file([{"a": 1.0}]), r"it holds an array: .*\(1,\)"),
        (numpy_file("text"), "it is another object"),
        (numpy_file({1: 2.0}), "a key is of type int"),
        (numpy_file({"a": True}), "a value is no number but of type bool"),
        (numpy_file({"a": np.complex64(1)}), "a value is no number"),
        (numpy_file({"a": 10**400}), "it holds|too large"),
    ],
)
def test_other_numpy_files_are_refused(tmp_path, content, message):
    path = put(tmp_path / "x.npy", content)
    with pytest.raises(UserError, match=rf"x\.npy: not a dictionary.*({message})"):
        read_numbers(path)


def test_values_that_are_no_numbers_are_rejected_one_by_one(data, tmp_path):
    npy = put(tmp_path / "x.npy", numpy_file(VIDEO_AGES | {"a-1": None, "a-2": "old"}))
    assert import_file(data, "segment2age", npy, "--max-fail-ratio", "0.9") == 0
    rejected = (data / "utt2age.rejected").read_text().splitlines()
    assert rejected == ["key 'a-1': 'None' is not a number",
                        "key 'a-2': 'old' is not a number"]  # fmt: skip
    dropped = (data / "utt2age.dropped").read_text()
    assert f"a-1-1 session 1 of a: rejected: {data}/utt2age.rejected\n" in dropped
    npy = put(npy, numpy_file({"b-1": 30.0}))
    for path in data.glob("utt2age*"):
        path.unlink()
    import_file(data, "segment2age", npy, "--max-fail-ratio", "0.9")
    dropped = (data / "utt2age.dropped").read_text()
    assert "a-1-1 session 1 of a: not in FILE\n" in dropped


def test_a_failed_import_leaves_no_ages_of_an_earlier_one(data, tmp_path):
    npy = put(tmp_path / "x.npy", numpy_file(VIDEO_AGES))
    import_file(data, "segment2age", npy)
    with pytest.raises(UserError, match="no such file"):
        import_file(data, "segment2age", tmp_path / "none.npy")
    assert (data / "utt2age").exists()
    face2age = set_faces(data, FACES)
    for path in data.glob("utt2age*"):
        path.unlink()
    label(data, face2age)
    with pytest.raises(UserError, match="more than --max-fail-ratio"):
        label(data, face2age, "--min-faces", "100")
    assert not (data / "utt2age").exists() and (data / "utt2age.dropped").exists()


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(UserError, match="absent.npy: no such file"):
        read_numbers(tmp_path / "absent.npy")
    with pytest.raises(UserError, match="no such file"):
        read_numbers(tmp_path)


def test_segment2age_gives_every_utterance_the_age_of_its_video(data, tmp_path, caplog):
    caplog.set_level("INFO")
    npy = tmp_path / "segment2age.npy"
    put(npy, numpy_file(VIDEO_AGES | {"z-1": 50.0, "a/9": 20.0}))
    assert import_file(data, "segment2age", npy) == 0
    assert read_floats(data / "utt2age") == {
        "a-1-1": 21.5, "a-1-2": 21.5, "a-2-1": 31.25, "b-1-1": 45, "b-2-1": 46,
        "c-1-1": 30.1,
    }  # fmt: skip
    digest = hashlib.sha256(npy.read_bytes()).hexdigest()[:12]
    assert (data / "utt2age.source").read_text() == (
        f"import_ages segment2age.npy {digest}: --format segment2age\n"
    )
    assert "7 entries, 2 of sessions that" in caplog.text
    assert "6 in, 6 out, 0 dropped" in caplog.text


def test_keys_are_matched_and_never_split(tmp_path):
    """YouTube's names hold dashes; so may ours."""
    names = [("id1", "-a-b"), ("id1", "b"), ("id10", "x_-"), ("s-1", "t-2")]
    for sep in "-/":
        path = put(tmp_path / "x.npy", numpy_file(
            {f"{spk}{sep}{video}": 20.0 + n for n, (spk, video) in enumerate(names)}
        ))  # fmt: skip
        found = match(read_segment2age(path), names, path)
        assert found.ages == {pair: 20.0 + n for n, pair in enumerate(names)}
        assert (found.rejected, found.num_unknown) == ([], 0)


def test_a_key_that_could_be_two_sessions_is_refused(tmp_path):
    path = put(tmp_path / "x.npy", numpy_file({"a-b-c": 30.0}))
    with pytest.raises(UserError, match="session b-c of a or session c of a-b: rename"):
        match(read_segment2age(path), [("a-b", "c"), ("a", "b-c")], path)


def test_agevoxceleb_is_read(data, tmp_path):
    path = put(
        tmp_path / "utt2age.train",
        "a/1/00001 21\r\na/1/00002 21\r\na/2/1 31\nb/1/1\t45\nb/2/1 46 \nc/1/1 30",
    )
    import_file(data, "utt2age", path)
    ages = read_floats(data / "utt2age")
    assert ages["a-1-2"] == 21 and ages["c-1-1"] == 30
    for text in ("a/1 3\n", "a/1/1\n", "a/1/1/1 3\n", "a/1/1 3 4\n", "a/1/1 3\n\n"):
        with pytest.raises(UserError, match=":[12]: expected '<speaker>/<video>/<utt"):
            read_utt2age(put(path, text))


QUIRKS = (
    "\ufeffname , VoxCeleb_ID,video_id , gender,nationality_wiki,age \r\n"
    '"Jon_Huntsman,_Jr.",a,1,m,"Trinidad, Tobago",29.0\r\n'
    "Beyoncé ,a , 2 ,f,USA, 39.5 \r\n"
    'Said ""so"",b,1,m,USA,-4\r\n'
    '"The ""Rock""",b,2,m,USA,336\r\n'
    "\r\n"
    "Nobody,z,1,m,USA,30\r\n"
    "Someone,a,1,f,USA,29\r\n"
    "Unknown,c,1,f,USA,\r\n"
)


def test_quirks_of_published_csv_files(data, tmp_path, caplog):
    caplog.set_level("INFO")
    path = put(tmp_path / "ages.csv", QUIRKS)
    with pytest.raises(UserError, match="3 of 6 were dropped"):
        import_file(data, "csv", path)
    import_file(data, "csv", path, "--max-fail-ratio", 0.5)
    assert read_table(data / "utt2age") == {
        "a-1-1": "29", "a-1-2": "29", "a-2-1": "39.5"
    }  # fmt: skip
    assert read_lines(data / "utt2age.rejected") == [
        "line 4: -4 is not above 0 and up to 120 years",
        "line 5: 336 is not above 0 and up to 120 years",
        "line 9: '' is not a number",
    ]
    assert read_lines(data / "utt2age.dropped") == [
        f"b-1-1 session 1 of b: rejected: {data}/utt2age.rejected",
        f"b-2-1 session 2 of b: rejected: {data}/utt2age.rejected",
        f"c-1-1 session 1 of c: rejected: {data}/utt2age.rejected",
    ]
    assert "7 entries, 1 of sessions that" in caplog.text
    assert "6 in, 3 out, 3 dropped" in caplog.text


def test_different_ages_of_one_session_are_all_rejected(data, tmp_path):
    path = put(
        tmp_path / "ages.csv",
        "VoxCeleb_ID,video_id,age\na,1,29.0\na,1,31\na,2,30\na,2,30.0\n",
    )
    import_file(data, "csv", path, "--max-fail-ratio", 1)
    assert read_table(data / "utt2age") == {"a-2-1": "30"}
    assert read_lines(data / "utt2age.rejected") == [
        "session 1 of a: different ages: 29 (line 2), 31 (line 3)"
    ]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", ": empty file"),
        ("\n \n", ": empty file"),
        (
            "VoxCeleb_ID,video_id\n",
            ":1: expected one column 'age', found 0; the column",
        ),
        ("VoxCeleb_ID,video_id,age,age\n", ":1: expected one column 'age', found 2"),
        ("VoxCeleb_ID,video_id,age\na,1,3\na,1\n", ":3: expected 3 fields, found 2"),
        ("VoxCeleb_ID,video_id,age\na,1,3,4\n", ":2: expected 3 fields, found 4"),
        ('VoxCeleb_ID,video_id,age\na,"1,3\na,1,4\n', ":3: not CSV: unexpected end"),
    ],
)
def test_damaged_csv_files_are_refused_by_line(tmp_path, text, message):
    path = put(tmp_path / "x.csv", text)
    with pytest.raises(UserError) as error:
        read_csv(path, ["VoxCeleb_ID", "video_id", "age"])
    assert f"{path}{message}" in str(error.value)


def test_three_columns_are_named(data):
    for names in ("a,b", "a,b,c,d", "a,,c", "a,b,a"):
        with pytest.raises(SystemExit) as end:
            import_file(data, "csv", "x.csv", "--columns", names)
        assert end.value.code == 2


words = st.text(st.characters(codec="utf-8", exclude_characters="\0\r"), max_size=6)
names = st.text("ab-_é,'\" ", min_size=1, max_size=5).map(lambda t: f"x{t}y")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(st.tuples(words, names, names, st.floats()), max_size=6),
    st.permutations(["note", "spk", "video", "years"]),
    st.sampled_from(["\n", "\r\n"]),
    st.sampled_from([csv.QUOTE_MINIMAL, csv.QUOTE_ALL]),
)  # fmt: skip
def test_any_csv_that_python_writes_is_read(
    tmp_path_factory, rows, order, end, quoting
):
    stream = io.StringIO()
    writer = csv.DictWriter(stream, order, lineterminator=end, quoting=quoting)
    writer.writeheader()
    for row in rows:
        writer.writerow(dict(zip(("note", "spk", "video", "years"), row, strict=True)))
    path = tmp_path_factory.mktemp("csv") / "x.csv"
    put(path, stream.getvalue())
    found = read_csv(path, ["spk", "video", "years"])
    assert [(entry.session, entry.age) for entry in found] == [
        (f"{' '.join(spk.split())}/{' '.join(video.split())}", repr(age))
        for _, spk, video, age in rows
    ]
    pairs = {tuple(" ".join(name.split()) for name in row[1:3]) for row in rows}
    try:
        matched = match(found, pairs, path)
    except UserError as error:
        assert "rename one" in str(error)
        return
    assert all(0 < age <= 120 for age in matched.ages.values())
    assert matched.num_unknown == 0
    assert len(matched.ages) + len(matched.rejected) >= len(pairs)


# Real files


def videos_dir(path: Path, pairs) -> Path:
    """A data directory with two utterances of each (speaker, video)."""
    utts = {
        f"{spk}-{video}-0000{n}": (spk, video) for spk, video in pairs for n in "12"
    }
    write_dir(path, {"utt2spk": "", "utt2session": ""})
    write_table(path / "utt2spk", {utt: pair[0] for utt, pair in utts.items()})
    write_table(path / "utt2session", {utt: pair[1] for utt, pair in utts.items()})
    return path


@pytest.mark.parametrize(
    ("name", "rows", "low", "high"),
    [("vox2_age-train.csv", 1690, 12, 90), ("vox2_age-test.csv", 1127, 12, 83)],
)
def test_real_ages_of_voxceleb2(shared_data, tmp_path, caplog, name, rows, low, high):
    caplog.set_level("INFO")
    source = shared_data / "voxceleb_meta" / name
    # Names hold commas, but none of the last two fields does.
    pairs = [
        tuple(line.rsplit(",", 2)[1:])
        for line in source.read_text(encoding="utf-8").splitlines()[1:]
    ]
    assert len(set(pairs)) == rows
    data = videos_dir(tmp_path / "data", [*pairs, ("id99999", "-without_an")])
    columns = "VoxCeleb_ID,video_id,speaker_age"
    import_file(data, "csv", source, "--columns", columns)
    ages = read_floats(data / "utt2age")
    assert len(ages) == 2 * rows
    assert (min(ages.values()), max(ages.values())) == (low, high)
    assert f"{2 * rows + 2} in, {2 * rows} out, 2 dropped" in caplog.text
    if name == "vox2_age-test.csv":  # "Jon_Huntsman,_Jr."
        assert ages["id04257-zY52c8lsGBU-00002"] == 52


def test_videos_of_two_people_have_an_age_of_each(shared_data, tmp_path):
    path = shared_data / "voxceleb_meta" / "vox1_person_videos.json.gz"
    people = json.loads(gzip.decompress(path.read_bytes()))
    owners: dict[str, list[str]] = {}
    for spk, videos in people.items():
        for video in videos:
            owners.setdefault(video, []).append(spk)
    shared = {video: spks for video, spks in owners.items() if len(spks) > 1}
    assert len(shared) == 324
    ages = {
        (spk, video): 20.0 + n + number / 1000
        for number, (video, spks) in enumerate(sorted(shared.items()))
        for n, spk in enumerate(spks)
    }
    data = videos_dir(tmp_path / "data", ages)
    npy = tmp_path / "segment2age.npy"
    write_numbers(npy, {f"{spk}-{video}": age for (spk, video), age in ages.items()})
    import_file(data, "segment2age", npy)
    assert read_floats(data / "utt2age") == {
        f"{spk}-{video}-0000{n}": pytest.approx(age, rel=1e-8)
        for (spk, video), age in ages.items()
        for n in "12"
    }


# Published by us


def export(data, out, *names) -> int:
    return export_age_release.main([str(data), str(out), *names])


@pytest.mark.parametrize("kind", ["segment2age.npy", "ages.csv"])
def test_what_is_released_is_read_back(data, tmp_path, kind):
    faces = {f"{utt}-f{n}": (utt, 20.0 + n / 7 + len(utt) * int(utt[2]))
             for utt in read_table(data / "utt2spk") for n in (1, 2)}  # fmt: skip
    label(data, set_faces(data, faces))
    before = (data / "utt2age").read_bytes()
    assert export(data, tmp_path / "out") == 0
    for path in data.glob("utt2age*"):
        path.unlink()
    form = "csv" if kind == "ages.csv" else "segment2age"
    import_file(data, form, tmp_path / "out" / kind)
    assert (data / "utt2age").read_bytes() == before


@settings(max_examples=30, deadline=None)
@given(
    st.lists(
        st.floats(0.001, 120) | st.floats(1, 100, width=32), min_size=5, max_size=5
    )
)
def test_any_ages_make_the_round_trip(tmp_path_factory, ages):
    folder = tmp_path_factory.mktemp("trip")
    data = write_dir(folder / "data", full_tables() | dict.fromkeys(AGE_FILES))
    first, second = folder / "first", folder / "second"
    first.mkdir()
    write_numbers(first / "segment2age.npy", dict(zip(VIDEO_AGES, ages, strict=True)))
    import_file(data, "segment2age", first / "segment2age.npy")
    export(data, second)
    found = read_numbers(second / "segment2age.npy")
    assert found == pytest.approx(dict(zip(VIDEO_AGES, ages, strict=True)), rel=1e-8)
    single = {age for age in ages if float(np.float32(age)) == age}
    assert single <= {float(np.float32(age)) for age in found.values()}
    utt2age = read_floats(data / "utt2age")
    assert {utt[:3]: age for utt, age in utt2age.items()} == found
    for path in data.glob("utt2age*"):
        path.unlink()
    import_file(data, "segment2age", second / "segment2age.npy")
    assert read_floats(data / "utt2age") == utt2age


def test_the_released_layout(data, tmp_path, caplog):
    put(data / "utt2age", "a-1-1 20\na-1-2 22\na-2-1 31.5\nb-1-1 40\n")
    put(data / "spk2nationality", 'a Trinidad,"Tobago"\nb Irish\nc Welsh\n')
    (data / "spk2gender").unlink()
    (data / "trials").mkdir()
    text = "a-1-1 a-2-1 target\na-1-2 b-1-1 nontarget\nc-1-1 b-2-1 nontarget\n"
    put(data / "trials" / "only-CA10", text)
    caplog.set_level("INFO")
    out = tmp_path / "out"
    export(data, out, "only-CA10")
    table = np.load(out / "segment2age.npy", allow_pickle=True)
    assert table.shape == () and table.dtype == object
    assert table.item() == {"a-1": 21.0, "a-2": 31.5, "b-1": 40.0}
    assert (out / "ages.csv").read_text() == (
        "VoxCeleb_ID,video_id,gender,nationality,age\n"
        'a,1,,"Trinidad,""Tobago""",21\na,2,,"Trinidad,""Tobago""",31.5\nb,1,,Irish,40\n'
    )
    assert (out / "trials/only-CA10/trials").read_text() == text
    test_txt = out / "trials/only-CA10/test.txt"
    assert test_txt.read_text() == (
        "1 a/1/1.wav a/2/1.wav\n0 a/1/2.wav b/1/1.wav\n0 c/1/1.wav b/2/1.wav\n"
    )
    assert "1 of 3 sessions differ in age, by 2 years in session 1 of a" in caplog.text
    assert "5 sessions in, 3 with an age out, 2 without" in caplog.text
    convert_trials.main([str(data), str(test_txt), str(data / "trials/again")])
    again = read_trials(data / "trials/again")
    assert again.enrol == read_trials(data / "trials/only-CA10").enrol
    words = ["--to", "voxceleb", str(data), str(data / "trials/again")]
    convert_trials.main([*words, str(tmp_path / "test.txt")])
    assert (tmp_path / "test.txt").read_text() == test_txt.read_text()


@pytest.mark.parametrize(
    ("change", "name", "message"),
    [
        ({}, "../x", "a list is named with letters"),
        ({}, "absent", "trials/absent: no such file"),
        ({"utt2age": None}, "list", "utt2age: no such file"),
        ({"utt2age": "x-1-1 30\n"}, "list", "utt2age: 'x-1-1' is not in utt2spk"),
        (
            {"trials/list": "a-1-1 b-1-1 target\n"},
            "list",
            ":1: labelled target, but by",
        ),
        ({"trials/list": "a-1-1 x target\n"}, "list", ":1: 'x' is not in"),
    ],
)
def test_what_cannot_be_released(data, tmp_path, change, name, message):
    put(data / "utt2age", "a-1-1 30\n")
    write_dir(data, {"trials/list": "a-1-1 a-2-1 target\n"} | change)
    for file, text in change.items():
        if text is None:
            (data / file).unlink()
    with pytest.raises(UserError, match=message):
        export(data, tmp_path / "out", name)


def test_two_sessions_of_one_name_cannot_be_released(data, tmp_path):
    put(data / "utt2spk", "a-b-c-1 a\na-b-c-2 a-b\n")
    put(data / "utt2session", "a-b-c-1 b-c\na-b-c-2 c\n")
    put(data / "utt2age", "a-b-c-1 30\na-b-c-2 31\n")
    with pytest.raises(UserError, match="two sessions would be named 'a-b-c'"):
        export(data, tmp_path / "out")

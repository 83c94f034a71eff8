"""Arks against kaldi_native_io (Kaldi's own code, compiled), and every trap."""

import errno
import os
import pickle
import struct
import tempfile
from pathlib import Path

import kaldi_native_io as kaldi
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from chronovox import kaldi_io
from chronovox.cli import UserError
from chronovox.kaldi_io import ArkWriter

RNG = np.random.default_rng(1)
MATRIX = RNG.normal(size=(7, 4)).astype(np.float32)
VECTOR = MATRIX[0].copy()


def write(path, arrays: dict, ndim=2, compress=False) -> Path:
    with ArkWriter(path / "x.ark", path / "x.scp", ndim, compress) as writer:
        for key, array in arrays.items():
            writer.write(key, array)
    return path / "x.ark"


def entries(path) -> list[str]:
    return [line.split()[1] for line in (path / "x.scp").read_text().splitlines()]


# Round trips


def test_kaldi_reads_our_matrices_and_vectors(tmp_path):
    write(tmp_path, {"a": MATRIX, "ä-1": MATRIX[:1]})
    with kaldi.SequentialFloatMatrixReader(f"scp:{tmp_path}/x.scp") as reader:
        read = dict((key, np.array(value)) for key, value in reader)
    np.testing.assert_array_equal(read["a"], MATRIX)
    np.testing.assert_array_equal(read["ä-1"], MATRIX[:1])
    write(tmp_path, {"a": VECTOR, "b": VECTOR[:1].astype(np.float64)}, ndim=1)
    with kaldi.RandomAccessFloatVectorReader(f"scp:{tmp_path}/x.scp") as reader:
        np.testing.assert_array_equal(reader["a"], VECTOR)
        np.testing.assert_array_equal(reader["b"], VECTOR[:1])


def test_kaldi_reads_our_compressed_matrices_as_we_do(tmp_path):
    ark = write(tmp_path, {"a": MATRIX * 5}, compress=True)
    with kaldi.SequentialFloatMatrixReader(f"ark:{ark}") as reader:
        theirs = np.array(next(iter(reader))[1])
    ours = kaldi_io.read_matrix(entries(tmp_path)[0])
    np.testing.assert_allclose(ours, theirs, atol=1e-5)
    assert 0 < np.abs(ours - MATRIX * 5).max() < 0.5


@pytest.mark.parametrize(
    ("writer", "array", "kind"),
    [
        (kaldi.FloatMatrixWriter, MATRIX, "FM"),
        (kaldi.DoubleMatrixWriter, MATRIX.astype(np.float64), "DM"),
        (kaldi.FloatVectorWriter, VECTOR, "FV"),
        (kaldi.DoubleVectorWriter, VECTOR.astype(np.float64), "DV"),
        (kaldi.Int32VectorWriter, [3, -1, 2**31 - 1], "int32"),
    ],
)
def test_we_read_what_kaldi_writes(tmp_path, writer, array, kind):
    with writer(f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp") as stream:
        stream.write("a", array)
        stream.write("b", array[:2])
    read = list(kaldi_io.read_records(tmp_path / "x.ark"))
    assert [(key, k) for key, k, _ in read] == [("a", kind), ("b", kind)]
    np.testing.assert_array_equal(read[0][2], np.asarray(array))
    np.testing.assert_array_equal(
        kaldi_io.read_record(entries(tmp_path)[1])[1], np.asarray(array)[:2]
    )
    assert kaldi_io.read_shape(entries(tmp_path)[0]) == np.shape(array)


@pytest.mark.parametrize("method", [2, 3, 5])  # tokens CM, CM2, CM3
def test_we_read_what_kaldi_compressed(tmp_path, method):
    wspecifier = f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp"
    with kaldi.CompressedMatrixWriter(wspecifier) as writer:
        writer.write("a", MATRIX, kaldi.CompressionMethod(method))
    with kaldi.SequentialFloatMatrixReader(f"ark:{tmp_path}/x.ark") as reader:
        theirs = np.array(next(iter(reader))[1])
    ours = kaldi_io.read_matrix(entries(tmp_path)[0])
    np.testing.assert_allclose(ours, theirs, atol=1e-6)
    rows = kaldi_io.read_matrix(entries(tmp_path)[0], slice(2, 5))
    np.testing.assert_array_equal(rows, ours[2:5])


def test_arks_are_the_same_bytes_as_those_of_kaldi(tmp_path):
    ark = write(tmp_path, {"a": MATRIX, "b": MATRIX[:3]})
    with kaldi.FloatMatrixWriter(f"ark:{tmp_path}/y.ark") as writer:
        writer.write("a", MATRIX)
        writer.write("b", MATRIX[:3])
    assert ark.read_bytes() == (tmp_path / "y.ark").read_bytes()


def test_scp_entries_are_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    with ArkWriter("x.ark", "x.scp") as writer:
        writer.write("a", MATRIX)
    assert entries(tmp_path) == [f"{tmp_path}/x.ark:2"]


def test_tables_of_vectors(tmp_path):
    write(tmp_path, {"a": VECTOR, "b": VECTOR + 1}, ndim=1)
    keys, vectors = kaldi_io.read_vectors(tmp_path / "x.scp")
    assert keys == ["a", "b"]
    np.testing.assert_array_equal(vectors, [VECTOR, VECTOR + 1])


# Ranges


def kaldi_range(path, text):
    (path / "r.scp").write_text(f"a {entries(path)[0]}{text}\n")
    with kaldi.SequentialFloatMatrixReader(f"scp:{path}/r.scp") as reader:
        return np.array(next(iter(reader))[1])


@pytest.mark.parametrize("text", ["[0:6]", "[2:4]", "[3:3]", "[2:4,1:2]", "[:,1:3]"])
def test_ranges_are_inclusive_as_in_kaldi(tmp_path, text):
    write(tmp_path, {"a": MATRIX})
    ours = kaldi_io.read_matrix(entries(tmp_path)[0] + text)
    np.testing.assert_array_equal(ours, kaldi_range(tmp_path, text))


def test_rows_are_counted_inside_a_range_and_read_alone(tmp_path):
    write(tmp_path, {"a": MATRIX})
    entry = entries(tmp_path)[0]
    np.testing.assert_array_equal(
        kaldi_io.read_matrix(f"{entry}[2:5]", slice(1, 3)), MATRIX[3:5]
    )
    assert kaldi_io.read_matrix(entry, slice(7, 7)).shape == (0, 4)
    assert kaldi_io.read_matrix(entry).flags.writeable


@pytest.mark.parametrize(
    ("text", "rows", "message"),
    [
        ("[0:7]", None, "rows 0 to 7 of 7 asked for"),
        ("[8:9]", None, "rows 8 to 9 of 7 asked for"),
        ("[0:2,0:4]", None, "columns 0 to 4 of 4 asked for"),
        ("[2:5]", slice(0, 5), "rows 0 to 4 of 4 asked for"),
        ("", slice(5, 8), "rows 5 to 7 of 7 asked for"),
        ("[3:2]", None, "range '[3:2]' is not [first:last]"),
        ("[1:2:3]", None, "is not [first:last]"),
        ("[0:1,0:1,0:1]", None, "more than two ranges"),
    ],
)
def test_what_lies_outside_is_refused_and_never_short(tmp_path, text, rows, message):
    write(tmp_path, {"a": MATRIX})
    with pytest.raises(UserError) as error:
        kaldi_io.read_matrix(entries(tmp_path)[0] + text, rows)
    assert message in str(error.value)


def test_ranges_of_vectors(tmp_path):
    write(tmp_path, {"a": VECTOR}, ndim=1)
    entry = entries(tmp_path)[0]
    np.testing.assert_array_equal(kaldi_io.read_vector(f"{entry}[1:2]"), VECTOR[1:3])
    for text, message in (("[0:4]", "values 0 to 4 of 4"), ("[0:1,0:1]", "no columns")):
        with pytest.raises(UserError, match=message):
            kaldi_io.read_vector(entry + text)


def test_locations_may_hold_colons_and_blanks():
    parse = kaldi_io.parse_location
    assert parse("/a b/c:d.ark:12") == kaldi_io.Location("/a b/c:d.ark", 12)
    assert parse("/a/x.wav") == kaldi_io.Location("/a/x.wav")
    assert parse("/a[1]/x:3[0:1]").ranges == (slice(0, 2),)


# Broken arks


@pytest.mark.parametrize("compress", [False, True])
@pytest.mark.parametrize("ndim", [1, 2])
def test_an_ark_cut_at_any_byte_is_never_short(tmp_path, ndim, compress):
    arrays = {"a": MATRIX, "b": MATRIX[:2]}
    if ndim == 1:
        arrays = {key: array[0] for key, array in arrays.items()}
    ark = write(tmp_path, arrays, ndim, compress)
    whole = dict(kaldi_io.read_ark(ark))
    content = ark.read_bytes()
    read = kaldi_io.read_matrix if ndim == 2 else kaldi_io.read_vector
    second = int(entries(tmp_path)[1].rpartition(":")[2])
    boundaries = {0: 0, second - len("b "): 1}
    for size in range(len(content)):
        ark.write_bytes(content[:size])
        if size in boundaries:
            assert list(dict(kaldi_io.read_ark(ark))) == ["a", "b"][: boundaries[size]]
        else:
            with pytest.raises(UserError):
                list(kaldi_io.read_ark(ark))
        with pytest.raises(UserError, match="truncated"):
            read(entries(tmp_path)[1])
    ark.write_bytes(content)
    for key, array in kaldi_io.read_ark(ark):
        np.testing.assert_array_equal(array, whole[key])


class Trap:
    """Unpickled, it would make a file."""

    def __init__(self, path):
        self._path = path

    def __reduce__(self):
        return Path.touch, (self._path,)


def test_pickled_records_are_refused_and_not_run(tmp_path):
    trap = tmp_path / "ran"
    (tmp_path / "x.ark").write_bytes(b"a PKL" + pickle.dumps(Trap(trap)))
    (tmp_path / "x.scp").write_text(f"a {tmp_path}/x.ark:2\n")
    for read in (
        lambda: list(kaldi_io.read_ark(tmp_path / "x.ark")),
        lambda: kaldi_io.read_matrix(entries(tmp_path)[0]),
        lambda: kaldi_io.read_vectors(tmp_path / "x.scp"),
    ):
        with pytest.raises(UserError, match=r"PKL is refused"):
            read()
    assert not trap.exists()


def test_pipes_run_only_when_they_are_allowed(tmp_path):
    ark = write(tmp_path, {"a": MATRIX})
    entry = f"tail -c +3 {ark} |"
    with pytest.raises(UserError, match="is a pipe: allow it with --allow-pipes true"):
        kaldi_io.read_matrix(entry)
    np.testing.assert_array_equal(kaldi_io.read_matrix(entry, allow_pipes=True), MATRIX)
    with pytest.raises(UserError, match="'echo no >&2; exit 3' ended with code 3: no"):
        kaldi_io.read_matrix("echo no >&2; exit 3 |", allow_pipes=True)
    with pytest.raises(UserError, match="truncated"):
        kaldi_io.read_matrix(f"head -c 40 {ark} | tail -c +3 |", allow_pipes=True)


def test_wrong_kinds_missing_files_and_repeated_keys_are_named(tmp_path):
    ark = write(tmp_path, {"a": MATRIX})
    with pytest.raises(UserError, match="a matrix, expected a vector"):
        kaldi_io.read_vector(entries(tmp_path)[0])
    ark.write_bytes(ark.read_bytes() * 2)
    with pytest.raises(UserError, match="x.ark: a: duplicate key"):
        list(kaldi_io.read_ark(ark))
    write(tmp_path, {"a": VECTOR}, ndim=1)
    with pytest.raises(UserError, match="a vector, expected a matrix"):
        kaldi_io.read_matrix(entries(tmp_path)[0])
    for read in (kaldi_io.read_matrix, kaldi_io.read_vector, kaldi_io.read_shape):
        with pytest.raises(UserError, match="none.ark: no such file"):
            read(f"{tmp_path}/none.ark:3")
    with pytest.raises(UserError, match="none.ark: no such file"):
        list(kaldi_io.read_ark(tmp_path / "none.ark"))


def test_an_empty_key_does_not_end_the_ark(tmp_path):
    ark = write(tmp_path, {"a": MATRIX})
    ark.write_bytes(ark.read_bytes() + b" \0BFM ")
    with pytest.raises(UserError, match="no binary Kaldi ark"):
        list(kaldi_io.read_ark(ark))


def test_a_table_of_vectors_names_the_bad_key(tmp_path):
    def refused(message):
        with pytest.raises(UserError, match=message):
            kaldi_io.read_vectors(tmp_path / "x.scp")

    write(tmp_path, {"a": VECTOR, "b": VECTOR[:3]}, ndim=1)
    refused("x.scp: b: dimension 3, others have 4")
    with kaldi.FloatVectorWriter(
        f"ark,scp:{tmp_path}/x.ark,{tmp_path}/x.scp"
    ) as writer:
        writer.write("a", np.array([1, np.nan], np.float32))
    refused("x.scp: a: holds NaN or infinity")
    (tmp_path / "x.scp").write_text("a /none.ark:2\n")
    refused("x.scp: a: /none.ark: no such file")
    (tmp_path / "x.scp").write_text("b x:2\na x:2\n")
    refused("'a' is out of order after 'b'")


# The writer


@pytest.mark.parametrize(
    ("key", "array", "message"),
    [
        ("b", MATRIX, "x.ark: b: not after 'b': keys must be sorted"),
        ("a", MATRIX, "not after 'b': keys must be sorted"),
        ("c d", MATRIX, "a key is not empty and holds no blank"),
        ("", MATRIX, "a key is not empty"),
        ("c", VECTOR, r"shape (4,), not 2-D"),
        ("c", MATRIX[:0], r"shape (0, 4), not 2-D"),
        ("c", MATRIX * np.nan, "c: holds NaN or infinity"),
        ("c", np.full((1, 1), 1e300), "c: holds NaN or infinity"),
    ],
)
def test_what_kaldi_could_not_read_back_is_not_written(tmp_path, key, array, message):
    before = write(tmp_path, {"old": MATRIX}).read_bytes()
    with (
        pytest.raises(UserError) as error,
        ArkWriter(tmp_path / "x.ark", tmp_path / "x.scp") as writer,
    ):
        writer.write("b", MATRIX)
        writer.write(key, array)
    assert message in str(error.value)
    assert (tmp_path / "x.ark").read_bytes() == before
    assert len(entries(tmp_path)) == 1
    assert sorted(p.name for p in tmp_path.iterdir()) == ["x.ark", "x.scp"]


def test_an_older_table_never_stands_beside_a_new_ark(tmp_path, monkeypatch):
    """Killed, or out of disk space, between the one and the other."""
    paths = (tmp_path / "x.ark", tmp_path / "x.scp")
    with kaldi_io.ArkWriter(*paths, ndim=1) as writer:
        writer.write("a", np.ones(3))

    def fails(path, table):
        raise OSError(errno.ENOSPC, "No space left on device", str(path))

    monkeypatch.setattr(kaldi_io, "write_table", fails)
    with pytest.raises(OSError), kaldi_io.ArkWriter(*paths, ndim=1) as writer:
        writer.write("b", np.ones(4))
    assert not paths[1].exists()


def test_a_row_matrix_is_no_vector(tmp_path):
    """Kaldi's vector readers refuse FM, which kaldiio writes for shape (1, D)."""
    with (
        pytest.raises(UserError, match=r"shape \(1, 4\), not 1-D"),
        ArkWriter(tmp_path / "x.ark", tmp_path / "x.scp", ndim=1) as writer,
    ):
        writer.write("a", MATRIX[:1])


# Any bytes


def headers() -> st.SearchStrategy[bytes]:
    number = st.integers(-(2**31), 2**31 - 1) | st.integers(-2, 9)
    dim = number.map(lambda n: b"\4" + struct.pack("<i", n))
    plain = st.tuples(st.sampled_from([b"FM ", b"FV ", b"DM ", b"DV "]), dim, dim).map(
        b"".join
    )
    packed = st.tuples(
        st.sampled_from([b"CM ", b"CM2 ", b"CM3 "]), st.binary(min_size=8, max_size=8),
        number.map(lambda n: struct.pack("<i", n)),
        number.map(lambda n: struct.pack("<i", n)),
    ).map(b"".join)  # fmt: skip
    return st.tuples(
        st.sampled_from([b"a \0B", b"a ", b"\0B"]), plain | packed | dim,
        st.binary(max_size=200),
    ).map(b"".join)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(st.binary(max_size=60) | headers(), st.integers(0, 4))
def test_any_bytes_give_arrays_or_a_user_error(content, offset):
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(content)
        stream.flush()
        for read in (
            lambda: list(kaldi_io.read_ark(stream.name)),
            lambda: kaldi_io.read_matrix(f"{stream.name}:{offset}"),
            lambda: kaldi_io.read_matrix(f"{stream.name}:{offset}", slice(0, 1)),
            lambda: kaldi_io.read_vector(f"{stream.name}:{offset}"),
            lambda: kaldi_io.read_shape(f"{stream.name}:{offset}"),
        ):
            try:
                read()
            except UserError as error:
                assert stream.name in str(error)


@given(st.text("ab:[]0123,-|. ", max_size=20))
def test_any_location_is_parsed_or_refused(text):
    try:
        location = kaldi_io.parse_location(text)
    except UserError:
        return
    assert location.offset is None or location.offset >= 0
    assert not text.strip().endswith("|")


# What the fuzz found


@pytest.mark.parametrize(
    "place", [":" + "9" * 20, ":" + "9" * 5000, "[0:" + "9" * 5000]
)
def test_a_place_beyond_any_file_is_refused(tmp_path, place):
    ark = write(tmp_path, {"a": MATRIX})
    text = f"{ark}{place}]" if "[" in place else f"{ark}{place}"
    with pytest.raises(UserError, match=r"x.ark.*9\.\.\. lies beyond any file"):
        kaldi_io.read_matrix(text)


def test_a_name_with_nul_and_a_directory_are_named():
    with pytest.raises(UserError, match=r"'a\\x00b': no file can have this name"):
        kaldi_io.read_vector("a\0b:2")
    with pytest.raises(UserError, match="/tmp: Is a directory"):
        kaldi_io.read_vector("/tmp:2")


def test_a_pipe_named_by_an_scp_is_not_waited_for(tmp_path):
    os.mkfifo(tmp_path / "x.ark")
    for read in (kaldi_io.read_vector, kaldi_io.read_matrix, kaldi_io.read_shape):
        with pytest.raises(UserError, match="x.ark: a pipe or a terminal, expected"):
            read(f"{tmp_path}/x.ark:2")


def test_rows_without_columns_are_a_damaged_header(tmp_path):
    """Else 2^31 - 1 empty rows are printed."""
    count = struct.pack("<i", 2**31 - 1)
    for head in (
        b"FM \4" + count + b"\4" + bytes(4),
        b"CM2 " + bytes(8) + count + bytes(4),
    ):
        (tmp_path / "x.ark").write_bytes(b"a \0B" + head)
        with pytest.raises(UserError, match="damaged header"):
            kaldi_io.read_matrix(f"{tmp_path}/x.ark:2")

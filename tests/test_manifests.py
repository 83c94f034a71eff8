"""Lhotse manifests and the data directories written from them."""

import gzip

import lhotse
import pytest
from table_dirs import full_tables, write_dir

import make_manifests
from chronovox import manifests
from chronovox.cli import UserError


def entry(utt: str, num_samples: int = 16000):
    return manifests.utterance(utt, f"/audio/{utt}.wav", num_samples, 16000, "a", "s1")


def names(folder) -> set[str]:
    return {str(p.relative_to(folder)) for p in folder.rglob("*") if p.is_file()}


WRITTEN = {
    "recordings.jsonl.gz", "supervisions.jsonl.gz", "wav.scp", "utt2spk", "spk2utt",
    "utt2dur", "utt2session",
}  # fmt: skip


def test_nothing_of_an_earlier_corpus_stays(tmp_path):
    """Features of the same names would pass for those of the new recordings."""
    earlier = {
        **full_tables(), "trials/random": "a-1 a-2 target\n", "segments": "a-1 r 0 1\n",
        "conf/features.yaml": "type: fbank\n", "frame_shift": "0.01\n",
        ".backup/dropped": "a-3 too short\n",
    }  # fmt: skip
    write_dir(tmp_path, earlier)
    (tmp_path / "notes").write_text("mine")
    manifests.write_data_dir(tmp_path, [entry("a-2"), entry("a-1", 8000)])
    assert names(tmp_path) == WRITTEN | {"notes"}
    assert (tmp_path / "utt2dur").read_text() == "a-1 0.500\na-2 1.000\n"


def test_the_same_entries_give_the_same_bytes(tmp_path):
    for order in (["a-1", "a-2"], ["a-2", "a-1"]):
        manifests.write_data_dir(tmp_path / order[0], map(entry, order))
    for name in WRITTEN:
        assert (tmp_path / "a-1" / name).read_bytes() == (
            tmp_path / "a-2" / name
        ).read_bytes()
    packed = (tmp_path / "a-1/recordings.jsonl.gz").read_bytes()
    assert gzip.decompress(packed).count(b"\n") == 2


def ages_in(folder) -> dict:
    supervisions = lhotse.load_manifest(folder / "supervisions.jsonl.gz")
    return {item.id: item.custom.get("age") for item in supervisions}


def test_ages_come_and_go(tmp_path):
    manifests.write_data_dir(tmp_path, [entry("a-1"), entry("a-2")])
    before = (tmp_path / "supervisions.jsonl.gz").read_bytes()
    manifests.write_ages(tmp_path, {"a-1": 20.5, "b": 3.0})
    assert ages_in(tmp_path) == {"a-1": 20.5, "a-2": None}
    manifests.write_ages(tmp_path, {"a-2": 21.0})
    assert ages_in(tmp_path) == {"a-1": None, "a-2": 21.0}
    manifests.write_ages(tmp_path, {})
    assert (tmp_path / "supervisions.jsonl.gz").read_bytes() == before


@pytest.mark.parametrize(
    "content",
    [b"no gzip", gzip.compress(b"{}\n")[:-4], gzip.compress(b"[]\n"), b"\x1f\x8b"],
)
def test_a_damaged_manifest_gets_no_ages(tmp_path, content):
    path = tmp_path / "supervisions.jsonl.gz"
    path.write_bytes(content)
    with pytest.raises(UserError, match="supervisions.jsonl.gz: damaged"):
        manifests.write_ages(tmp_path, {})
    assert path.read_bytes() == content


def test_tables_that_came_of_manifests_give_them_back(tmp_path):
    items = [
        manifests.utterance(
            f"{spk}-{n}", f"/my audio/{spk}{n}.m4a", 16000 + 16 * n, 16000, spk, "v",
            gender=gender, nationality="UK", date="2001-02-03",
        )
        for spk, gender in (("a", "m"), ("b", "f"))
        for n in range(3)
    ]  # fmt: skip
    manifests.write_data_dir(tmp_path, items)
    written = ("recordings.jsonl.gz", "supervisions.jsonl.gz")
    before = [(tmp_path / name).read_bytes() for name in written]
    for name in written:
        (tmp_path / name).unlink()
    make_manifests.main([str(tmp_path)])
    assert before == [(tmp_path / name).read_bytes() for name in written]


def test_tables_that_cannot_become_manifests_are_refused(tmp_path):
    manifests.write_data_dir(tmp_path, [entry("a-2"), entry("a-1")])
    (tmp_path / "utt2dur").write_text("a-1 1.000\n")
    with pytest.raises(UserError, match="utt2dur: no line for 'a-2'"):
        make_manifests.main([str(tmp_path)])
    (tmp_path / "segments").write_text("a-1 a-1 0 1\n")
    with pytest.raises(UserError, match="has segments"):
        make_manifests.main([str(tmp_path)])

"""convert_trials: published lists of VoxCeleb, and back."""

import gzip

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from test_trials import write_text

import check_trials
import convert_trials
from chronovox.cli import UserError
from chronovox.datadir import write_table
from chronovox.trials import Trials
from chronovox.trials.published import read_published, write_published

UTTS = ("id1/x-y/00001", "id1/z_w/00002", "id2/-q-/00001", "id2/x-y/00007")


@pytest.fixture
def data(tmp_path):
    """Two speakers; names of videos hold dashes, and are shared."""
    return write_data(tmp_path / "data", UTTS)


def write_data(data, names):
    parts = [name.split("/") for name in names]
    write_table(data / "utt2spk", {"-".join(part): part[0] for part in parts})
    write_table(data / "utt2session", {"-".join(part): part[1] for part in parts})
    return data


def convert(data, path, out, *words) -> int:
    return convert_trials.main([*map(str, (*words, data, path, out))])


FORMS = {
    "VoxCeleb": ("1 id1/x-y/00001.wav id1/z_w/00002.wav\n"
                 "0 id1/x-y/00001.wav id2/-q-/00001.wav\n"),
    "labels last": ("id1/x-y/00001.wav id1/z_w/00002.wav 1\n"
                    "id1/x-y/00001.wav id2/-q-/00001.wav 0\n"),
    "joined by dashes": ("id1-x-y-00001 id1-z_w-00002 target\n"
                         "id1-x-y-00001\tid2--q--00001 nontarget\n"),
    "with .wav": ("id1-x-y-00001.wav id1-z_w-00002.wav 1\n"
                  "id1-x-y-00001.wav id2--q--00001.wav 0\n"),
    "m4a": ("1 id1/x-y/00001.m4a id1/z_w/00002.m4a\n"
            "0 id1/x-y/00001.m4a id2/-q-/00001.m4a\n"),
    "Windows, no end": ("1 id1/x-y/00001.wav id1/z_w/00002.wav\r\n"
                        "0 id1/x-y/00001.wav id2/-q-/00001.wav"),
}  # fmt: skip


@pytest.mark.parametrize("form", FORMS)
def test_every_published_form_is_read_and_written_back(data, tmp_path, form):
    out = tmp_path / "trials"
    path = tmp_path / "list"
    path.write_bytes(FORMS[form].encode())
    assert convert(data, path, out) == 0
    assert out.read_text() == (
        "id1-x-y-00001 id1-z_w-00002 target\nid1-x-y-00001 id2--q--00001 nontarget\n"
    )
    assert convert(data, out, tmp_path / "back", "--to", "voxceleb") == 0
    assert (tmp_path / "back").read_text() == FORMS["VoxCeleb"]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1 id1/x-y/00001.wav\n", ":1: expected 3 fields, found 2"),
        (
            "1 a/b/c.wav d/e/f.wav\n2 a/b/c.wav d/e/f.wav\n",
            ":2: '2' is not target, non",
        ),
        ("a/b/c.wav d/e/f.wav same\n", ":1: 'same' is not target, nontarget, 1, 0"),
        ("1 a/b/c.wav d/e/f.wav\na/b/c.wav d/e/f.wav 1\n", ":2: 'a/b/c.wav' is not"),
        ("", ": empty file"),
        ("1 a/b/c.wav d/e/f.wav\n\n", ":2: expected 3 fields, found 0"),
        (f"0 {UTTS[0]}.wav {UTTS[1]}.wav\n", ":1: labelled nontarget, but by "),
    ],
)
def test_what_is_no_list_is_refused_by_line(data, tmp_path, text, message):
    path = write_text(tmp_path / "list", text)
    with pytest.raises(UserError) as error:
        convert(data, path, tmp_path / "trials")
    assert f"{path}{message}" in str(error.value)
    assert not (tmp_path / "trials").exists()


def test_trials_of_unknown_utterances_are_dropped_and_listed(data, tmp_path, caplog):
    good = f"1 {UTTS[0]}.wav {UTTS[1]}.wav\n"
    path = write_text(tmp_path / "list", good + "0 id9/x/00001.wav id1/x-y/00001.wav\n")
    out = tmp_path / "trials"
    with pytest.raises(UserError, match="1 of 2 trials were dropped, more than --max"):
        convert(data, path, out)
    assert not out.exists()
    caplog.set_level("INFO")
    assert convert(data, path, out, "--max-fail-ratio", "0.5") == 0
    assert "2 trials in, 1 out, 1 dropped" in caplog.text
    assert (tmp_path / "trials.dropped").read_text() == (
        f"id9-x-00001 id1-x-y-00001 line 2: not both in {data}\n"
    )


def test_an_utterance_compared_with_itself_is_dropped(data, tmp_path):
    itself = f"1 {UTTS[0]}.wav {UTTS[0]}.wav\n"
    path = write_text(tmp_path / "list", f"{itself}1 {UTTS[0]}.wav {UTTS[1]}.wav\n")
    assert convert(data, path, tmp_path / "out", "--max-fail-ratio", "0.5") == 0
    assert "line 1: compared with itself" in (tmp_path / "out.dropped").read_text()
    assert len((tmp_path / "out").read_text().splitlines()) == 1
    with pytest.raises(UserError, match="list: is the list itself"):
        convert(data, path, path)
    assert path.read_text().startswith(itself)


def test_a_name_that_is_no_utterance_is_dropped(data, tmp_path):
    path = write_text(tmp_path / "list", f"1 / {UTTS[1]}.wav\n0 .. {UTTS[1]}.wav\n")
    with pytest.raises(UserError, match="2 of 2 trials were dropped"):
        convert(data, path, tmp_path / "trials")


def test_utterances_that_make_no_path_are_refused(data, tmp_path):
    write_table(data / "utt2spk", {"a1": "id1", "a2": "id1"})
    write_table(data / "utt2session", {"a1": "x", "a2": "y"})
    path = write_text(tmp_path / "trials", "a1 a2 target\n")
    with pytest.raises(UserError, match="'a1' does not begin with 'id1-x-'"):
        convert(data, path, tmp_path / "list", "--to", "voxceleb")


names = st.text("ab-_.0", min_size=1, max_size=4).filter(
    lambda name: name.strip(".") and not name.endswith(".")
)


@settings(max_examples=200, deadline=None)
@given(st.lists(st.tuples(names, names, names), min_size=2, max_size=5), st.data())
def test_any_list_survives_both_ways(tmp_path_factory, parts, data):
    path = tmp_path_factory.mktemp("published") / "list"
    keys = {"-".join(part): part for part in parts}
    side = st.lists(st.sampled_from(sorted(keys)), min_size=3, max_size=3)
    trials = Trials.of(
        data.draw(side), data.draw(side), np.array([True, False, True]), ""
    )
    utt2spk = {key: part[0] for key, part in keys.items()}
    utt2session = {key: part[1] for key, part in keys.items()}
    write_published(path, trials, utt2spk, utt2session)
    again = read_published(path)
    assert (again.enrol, again.test) == (trials.enrol, trials.test)
    assert again.is_target.tolist() == trials.is_target.tolist()


@pytest.mark.parametrize(
    ("name", "targets", "nontargets", "in_both_orders"),
    [("veri_test", 18860, 18860, 338), ("veri_test2", 18802, 18809, 337)],
)
def test_the_lists_of_voxceleb1_o(
    shared_data,
    tmp_path,
    capsys,
    monkeypatch,
    name,
    targets,
    nontargets,
    in_both_orders,
):
    """There and back, and their published numbers; some pairs stand there twice."""
    published = shared_data / "voxceleb_meta" / f"{name}.txt.gz"
    text = gzip.decompress(published.read_bytes()).decode()
    sides = [line.split()[1:] for line in text.splitlines()]
    utts = sorted({side.removesuffix(".wav") for pair in sides for side in pair})
    data = write_data(tmp_path / "data", utts)
    path, out = tmp_path / "list", tmp_path / "O"
    path.write_bytes(text.encode())
    assert convert(data, path, out) == 0
    assert convert(data, out, tmp_path / "back", "--to", "voxceleb") == 0
    assert (tmp_path / "back").read_text().splitlines() == text.splitlines()

    # By rules that ask for another number of trials there is nothing else to say.
    rules = write_text(tmp_path / "rules.yaml", "positives: {session: any}\n")
    monkeypatch.setattr(check_trials, "auc", lambda *_: 0.5)
    assert check_trials.main(["--rules", str(rules), str(data), str(out)]) == 1
    printed = capsys.readouterr().out.splitlines()
    numbers = f"spk 40/trials {targets + nontargets}/targets {targets}"
    assert f"{numbers}/non-targets {nontargets}" in "/".join(printed)
    told = [line for line in printed if line.startswith(str(out))]
    twice = [line for line in told if "already" in line]
    assert len(twice) == in_both_orders
    assert all("no shortage is listed" in line for line in set(told) - set(twice))

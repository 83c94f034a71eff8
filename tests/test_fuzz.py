"""The fuzz in short, of every parser; tests/full/fuzz.py has a million inputs."""

import fuzzing
import pytest
from conftest import load_script
from fuzz_inputs import make
from fuzz_parsers import PARSERS, Parser

from chronovox.cli import UserError

SEED = 2  # tests/full/fuzz.py begins with others
DRAWN = 40


@pytest.mark.parametrize("parser", PARSERS, ids=lambda each: each.name)
def test_every_input_is_read_or_refused_in_one_line(parser):
    assert parser.seeds  # makes them outside of the guard
    for outcome in (
        fuzzing.run(parser, 0, max(100, int(20 * parser.share)), SEED),
        fuzzing.run_drawn(parser, DRAWN),
    ):
        assert not fuzzing.describe(outcome)
        assert outcome.inputs == outcome.accepted + outcome.refused
    assert fuzzing.run(parser, 0, len(parser.seeds), SEED).accepted, "no valid file"


def fake(parse) -> Parser:
    return Parser("fake", 1, parse, lambda: (b"x",), (b"x",))


def failures(parse, count=1) -> str:
    return "\n".join(fuzzing.describe(fuzzing.run(fake(parse), 0, count, 1)))


def test_the_fuzz_sees_what_must_not_happen(monkeypatch, tmp_path):
    def raising(error):
        def parse(content, folder):
            raise error

        return parse

    def runs(content, folder):
        import subprocess

        subprocess.run(["true"], check=True)

    def writes(content, folder):
        with open(tmp_path / "outside", "w"):
            pass

    def waits(content, folder):
        while True:
            pass

    assert "KeyError" in failures(raising(KeyError("k")))
    assert "names no file" in failures(raising(UserError("bad")))
    assert "several lines" in failures(raising(UserError("a\nb")))
    assert "subprocess.Popen" in failures(runs)
    assert "wrote" in failures(writes)
    monkeypatch.setattr(fuzzing, "BUDGET_S", 0.2)
    assert "Hang" in failures(waits)
    assert failures(lambda content, folder: None, 5) == ""


def test_an_input_can_be_made_again():
    inputs = [make(7, PARSERS[0], number) for number in range(200)]
    assert inputs == [make(7, PARSERS[0], number) for number in range(200)]
    assert len(set(inputs)) > 150


def test_the_table_of_the_long_fuzz_and_going_on(tmp_path, capsys):
    long = load_script("tests/full/fuzz.py")
    words = ["--inputs", "50", "--only", "segments", str(tmp_path)]
    assert long.main(words) == 0
    table = capsys.readouterr().out.splitlines()
    assert table[-2].split()[:2] == ["all", "50"]
    (made,) = tmp_path.glob("*/segments_0_50.json")
    before = made.stat().st_mtime_ns
    assert long.main(words) == 0
    assert made.stat().st_mtime_ns == before
    assert capsys.readouterr().out.splitlines() == table

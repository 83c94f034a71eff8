"""What every script stands on: errors and exit codes, atomic files, strict settings."""

import argparse
import contextlib
import os
import signal
import subprocess
import sys
import tempfile
import time
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import pytest
from conftest import ROOT
from hypothesis import given
from hypothesis import strategies as st

from chronovox import cli, config, files
from chronovox.cli import UserError

ENVIRONMENT = {**os.environ, "PYTHONPATH": str(ROOT / "steps")}


# cli


def run_script(tmp_path, body, *words, **options):
    path = tmp_path / "script.py"
    path.write_text(
        f'"""Help of it."""\nfrom chronovox import cli\ndef main():\n    {body}\n'
        "cli.run(main)\n"
    )
    return subprocess.run(
        [sys.executable, path, *words], env=ENVIRONMENT, check=False, text=True,
        capture_output=True, **options,
    )  # fmt: skip


@pytest.mark.parametrize(
    ("body", "code", "message"),
    [
        ("return 0", 0, ""),
        ("return 3", 3, ""),
        (
            "raise cli.UserError('a.scp: x: is wrong')",
            1,
            "script.py: error: a.scp: x: is wrong\n",
        ),
        (
            "open('/none/x')",
            1,
            "script.py: error: /none/x: No such file or directory\n",
        ),
        ("raise KeyboardInterrupt", 130, "script.py: interrupted\n"),
        ("cli.log.info('%d done', 3)", 0, "script.py: 3 done\n"),
        (
            "cli.parser(__doc__).parse_args(['--nosuch'])",
            2,
            "usage: script.py [-h]\n"
            "script.py: error: unrecognized arguments: --nosuch\n",
        ),
    ],
)
def test_exit_codes_and_messages_without_traceback(tmp_path, body, code, message):
    done = run_script(tmp_path, body)
    assert (done.returncode, done.stderr) == (code, message)


def test_a_mistake_of_ours_is_a_traceback(tmp_path):
    done = run_script(tmp_path, "return {}['x']")
    assert done.returncode == 1 and "Traceback" in done.stderr


def test_a_reader_that_goes_away_is_no_traceback(tmp_path):
    path = tmp_path / "many.py"
    path.write_text(
        "from chronovox import cli\n"
        "def main():\n    for n in range(100000): print(n)\n    return 0\n"
        "cli.run(main)\n"
    )
    done = subprocess.run(
        ["bash", "-c", f"'{sys.executable}' '{path}' | head -n 1"],
        env=ENVIRONMENT, capture_output=True, text=True, check=True,
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("0\n", "")


def test_types_of_options():
    assert cli.boolean("true") is True and cli.boolean("false") is False
    assert cli.positive_int("3") == 3 and cli.fraction("0.05") == 0.05
    for check, words in (
        (cli.boolean, ["True", "1", "yes", ""]),
        (cli.positive_int, ["0", "-1", "1.5", "x", "", "²"]),
        (cli.fraction, ["-0.1", "1.1", "nan", "x", ""]),
    ):
        for word in words:
            with pytest.raises(argparse.ArgumentTypeError, match="expected"):
                check(word)


def test_options_are_written_out_in_full():
    parser = cli.parser("doc")
    parser.add_argument("--values")
    with pytest.raises(SystemExit) as stopped:
        parser.parse_args(["--val", "x"])
    assert stopped.value.code == 2


def test_a_process_dies_with_its_parent(tmp_path):
    code = (
        "import os, sys, time; from chronovox import cli\n"
        "if os.fork() == 0:\n"
        "    cli.die_with_parent(); print(os.getpid(), flush=True); time.sleep(60)\n"
        "time.sleep(60)\n"
    )
    parent = subprocess.Popen(
        [sys.executable, "-c", code], env=ENVIRONMENT, stdout=subprocess.PIPE, text=True
    )
    child = int(parent.stdout.readline())
    parent.kill()
    parent.wait()
    deadline = time.monotonic() + 10
    status = Path(f"/proc/{child}/status")
    with contextlib.suppress(FileNotFoundError):
        while "Z (zombie)" not in status.read_text():
            assert time.monotonic() < deadline
            time.sleep(0.01)


# files


def test_a_file_appears_whole_or_not_at_all(tmp_path):
    path = tmp_path / "new folder" / "x"
    with files.atomic_write(path) as stream:
        stream.write("old\n")
        assert not path.exists()
    with pytest.raises(KeyError), files.atomic_write(path) as stream:
        stream.write("half of the n")
        raise KeyError
    assert path.read_text() == "old\n"
    assert os.listdir(path.parent) == ["x"]
    files.write_lines(path, ["ä", "b"])
    assert path.read_bytes() == "ä\nb\n".encode()


WRITER = """
import sys, time
from chronovox.files import atomic_write
with atomic_write(sys.argv[1]) as stream:
    stream.write("x" * 100_000)
    stream.flush()
    print("writing", flush=True)
    time.sleep(60)
"""


@contextlib.contextmanager
def writer_in_the_middle(path):
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path], env=ENVIRONMENT,
        stdout=subprocess.PIPE, text=True,
    )  # fmt: skip
    assert process.stdout.readline() == "writing\n"
    try:
        yield process
    finally:
        process.kill()
        process.wait()


def test_a_writer_killed_in_the_middle_leaves_the_old_file(tmp_path):
    path = tmp_path / "x"
    files.write_lines(path, ["old"])
    with writer_in_the_middle(path) as process:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert path.read_text() == "old\n"
    assert files.temporary_name(path).stat().st_size == 100_000
    files.write_lines(path, ["new"])
    assert path.read_text() == "new\n"
    assert os.listdir(tmp_path) == ["x"]


def test_two_live_writers_of_one_file_are_refused(tmp_path):
    path = tmp_path / "x"
    files.write_lines(path, ["old"])
    with (
        writer_in_the_middle(path),
        pytest.raises(UserError, match="x: another process is writing it"),
    ):
        files.write_lines(path, ["new"])
    assert path.read_text() == "old\n"
    files.write_lines(path, ["new"])


def test_many_writers_leave_one_whole_file(tmp_path):
    """Every one either writes it all, or says that another does."""
    path = tmp_path / "x"
    code = (
        "import sys; from chronovox import cli, files\n"
        "cli.run(lambda: files.write_lines(sys.argv[1], [sys.argv[2]] * 20000) or 0)"
    )
    writers = [
        subprocess.Popen(
            [sys.executable, "-c", code, path, str(n)], env=ENVIRONMENT,
            stderr=subprocess.PIPE, text=True,
        )
        for n in range(6)
    ]  # fmt: skip
    for process in writers:
        _, stderr = process.communicate()
        assert process.returncode == 0 or "another process is writing" in stderr
    assert any(process.returncode == 0 for process in writers)
    assert len(set(path.read_text().splitlines())) == 1
    assert path.read_text().count("\n") == 20000
    assert os.listdir(tmp_path) == ["x"]


def test_sha256_is_that_of_coreutils(tmp_path):
    path = tmp_path / "x"
    path.write_bytes(bytes(range(256)) * 999)
    done = subprocess.run(
        ["sha256sum", path], capture_output=True, text=True, check=True
    )
    assert files.sha256(path) == done.stdout.split()[0]


# config


@dataclass
class Inner:
    rate: float = 0.1


@dataclass
class Settings:
    """One field of every kind that settings use."""

    name: str
    size: int = 3
    scale: float = 1.0
    flag: bool = False
    kind: Literal["fbank", "mfcc"] = "fbank"
    widths: list[int] = field(default_factory=list)
    weights: dict[str, float] = field(default_factory=dict)
    limit: int | None = None
    inner: Inner = field(default_factory=Inner)

    def __post_init__(self):
        if self.size < 1:
            raise ValueError(f"size {self.size} is not 1 or more")


def load(tmp_path, text):
    path = tmp_path / "x.yaml"
    path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return config.load(path, Settings)


def test_settings_come_back_as_saved(tmp_path):
    settings = Settings(
        "ä b", 5, 2.5, True, "mfcc", [1, 2], {"a": 1.0}, 7, Inner(0.25)
    )  # fmt: skip
    config.save(settings, tmp_path / "x.yaml")
    assert config.load(tmp_path / "x.yaml", Settings) == settings


def test_whole_numbers_do_for_floats_and_null_for_what_may_be_none(tmp_path):
    settings = load(tmp_path, "name: x\nscale: 2\nlimit: null\ninner:\n  rate: 1\n")
    assert settings == Settings("x", scale=2.0, inner=Inner(1.0))
    assert isinstance(settings.scale, float)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("name: x\nsise: 1\n", "x.yaml: unknown key 'sise' (did you mean 'size'?)"),
        ("name: x\nqqqq: 1\n", "unknown key 'qqqq' (the keys are name, size, scale"),
        ("name: x\ninner: {rat: 1}\n", "x.yaml: inner: unknown key 'rat'"),
        ("size: 1\n", "x.yaml: key 'name' is missing"),
        ("", "key 'name' is missing"),
        ("name: x\nname: y\n", "key 'name' is written twice"),
        ("name: x\ninner: {rate: 1, rate: 2}\n", "key 'rate' is written twice"),
        ("name: 3\n", "x.yaml: name: expected str, got 3"),
        ("name: x\nsize: true\n", "size: expected int, got True"),
        ("name: x\nsize: 1.0\n", "size: expected int, got 1.0"),
        ("name: x\nscale: true\n", "scale: expected float, got True"),
        ("name: x\nscale: 1e-3\n", "scale: expected float, got '1e-3': write 1.0e-3"),
        ("name: x\nscale: .nan\n", "scale: expected float, got nan"),
        ("name: x\nflag: 1\n", "flag: expected bool, got 1"),
        ("name: x\nkind: spec\n", "kind: 'spec' is not one of fbank, mfcc"),
        ("name: x\nwidths: [1, a]\n", "widths[1]: expected int, got 'a'"),
        ("name: x\nwidths: 1\n", "widths: expected list[int], got 1"),
        ("name: x\nweights: {a: b}\n", "weights.a: expected float, got 'b'"),
        ("name: x\nlimit: a\n", "limit: expected int, got 'a'"),
        ("name: x\nsize: 0\n", "x.yaml: size 0 is not 1 or more"),
        ("- a\n", "x.yaml: expected `key: value` lines"),
        ("3: x\n", "x.yaml: not valid YAML: key 3 is not a name"),
        ("a: 1\nname: [x\n", "expected ',' or ']', but got '<stream end>' line 3"),
        ("name: !!python/object/apply:os.getcwd []\n", "not valid YAML: a tag (!)"),
        (b"name: \xff\n", "x.yaml: not valid YAML"),
        ("[" * 5000, "x.yaml: not valid YAML"),
    ],
)
def test_bad_settings_name_file_and_key(tmp_path, text, message):
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    assert message in str(error.value)


def test_missing_settings_are_named(tmp_path):
    with pytest.raises(UserError, match="none.yaml: no such file"):
        config.load(tmp_path / "none.yaml", Settings)


@given(st.text("name:size x12\n-[]{}&*!|>'\"%@`#,?", max_size=40))
def test_any_text_gives_settings_or_a_user_error(text):
    with tempfile.NamedTemporaryFile() as stream:
        stream.write(text.encode())
        stream.flush()
        with contextlib.suppress(UserError):
            assert isinstance(config.load(stream.name, Settings), Settings)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("size: 0x" + "f" * 5000, "a number beyond 64 bits"),
        ("scale: " + "9" * 400, "a number beyond 64 bits"),
        ("size: " + "1:" * 400 + "1.5", "not valid YAML"),
        ("size: !!int ''", "a tag (!)"),
        ("kind: !!bool x", "a tag (!)"),
        ("a: &a [x, x]\nname: [*a, *a]", "an alias (*)"),
        ('name: "a\\0b"', "is no text"),
        ('name: "\\ud800"', "is no text"),
        ('"a\\nb": 1', "unknown key 'a\\nb'"),
    ],
)
def test_yaml_that_python_cannot_hold_or_print_is_refused(tmp_path, text, message):
    with pytest.raises(UserError) as error:
        load(tmp_path, text)
    assert message in str(error.value) and "\n" not in str(error.value)


def test_aliases_of_aliases_do_not_fill_the_memory(tmp_path):
    lines = ["a0: &a0 [x, x]"]
    lines += [f"a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]" for n in range(1, 20)]
    with pytest.raises(UserError, match="an alias"):
        load(tmp_path, "\n".join(lines))


def test_an_error_does_not_command_the_terminal(capsys):
    def main():
        raise UserError("x: '\x1b[2J\x07é' is bad\n  more")

    with pytest.raises(SystemExit):
        cli.run(main)
    error = capsys.readouterr().err
    assert "error: x: '\\x1b[2J\\x07é' is bad\n  more\n" in error

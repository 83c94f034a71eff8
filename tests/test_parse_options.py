"""utils/parse_options.sh, sourced by a script as the recipes do."""

import subprocess

import pytest
from conftest import ROOT

SCRIPT = f"""
set -euo pipefail
help_message="Usage: script [options] DATA"
stage=0
nj=4
compress=true
fmax_hz=
name="a b"
max_fail_ratio=0.05
seeds=1
device=auto
. {ROOT}/utils/parse_options.sh
printf '%s|' "$stage" "$nj" "$compress" "$fmax_hz" "$name" -- "$@"
"""


def run(*words, script=SCRIPT):
    return subprocess.run(
        ["bash", "-c", script, "script.sh", *map(str, words)],
        capture_output=True, text=True, check=False,
    )  # fmt: skip


def values(*words):
    done = run(*words)
    assert done.returncode == 0, done.stderr
    return done.stdout.split("|")[:-1]


def refused(*words):
    done = run(*words)
    assert (done.returncode, done.stdout) == (2, "")
    assert "Usage: script" in done.stderr
    return done.stderr


def test_defaults_stay_without_options():
    assert values() == ["0", "4", "true", "", "a b", "--"]
    assert values("data") == ["0", "4", "true", "", "a b", "--", "data"]


def test_options_set_variables_that_exist():
    words = ["--stage", "-1", "--nj", "8", "--compress", "false", "--fmax-hz", "3 4"]
    assert values(*words, "x", "--nj", "2") == [
        "-1", "8", "false", "3 4", "a b", "--", "x", "--nj", "2",
    ]  # fmt: skip


def test_empty_values_double_dash_and_repeated_options():
    assert values("--name", "", "--", "--nj")[4:] == ["", "--", "--nj"]
    assert values("--nj", "1", "--nj", "2")[1] == "2"


def test_a_value_is_never_run(tmp_path):
    bad = f"$(touch {tmp_path}/ran)`touch {tmp_path}/ran`; touch {tmp_path}/ran; \"'"
    assert values("--name", bad)[4] == bad
    refused(f"--name[$(touch {tmp_path}/ran)]", "x")
    refused("--stage", f"a[$(touch {tmp_path}/ran)]")
    assert not (tmp_path / "ran").exists()


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--stag", "1"], "script.sh: unknown option: --stag"),
        (["-j", "1"], "unknown option: -j"),
        (["--stage"], "option without value: --stage"),
        (["--name", "--nj", "3"], "option without value: --name"),
        (["--nj=3"], "--nj=3: write --nj VALUE, without '='"),
        (["--compress", "yes"], "--compress: expected true or false, got 'yes'"),
        (["--compress", ""], "expected true or false"),
        (["--stage", "two"], "--stage: expected a whole number, got 'two'"),
        (["--stage", "1.5"], "expected a whole number"),
        (["--nj", "0"], "--nj: expected a number from 1 on, got '0'"),
        (["--nj", "2", "--Nj", "1"], "unknown option: --Nj"),
        (["---nj", "1"], "unknown option: ---nj"),
        (["--help-message", "x"], "unknown option: --help-message"),
        (["--max-fail-ratio", "0,1"], "expected a number from 0 to 1, got '0,1'"),
        (["--max-fail-ratio", "1.5"], "expected a number from 0 to 1"),
        (["--max-fail-ratio", ""], "expected a number from 0 to 1"),
        (["--seeds", ""], "--seeds: expected whole numbers, got ''"),
        (["--seeds", "1 two"], "--seeds: expected whole numbers, got '1 two'"),
        (["--device", "gpu"], "--device: expected auto, cpu or cuda, got 'gpu'"),
    ],
)
def test_wrong_options_are_fatal_with_usage(words, message):
    assert message in refused(*words)


@pytest.mark.parametrize("ratio", ["0", "1", "0.05", ".5", "1.0"])
def test_good_numbers_pass(ratio):
    assert values("--max-fail-ratio", ratio, "--seeds", "1 20 3")[-1] == "--"


def test_what_the_environment_exports_is_no_option(tmp_path, monkeypatch):
    monkeypatch.setenv("train_cmd", "run.pl")
    message = "train_cmd comes from the environment: if it is an option, unset it"
    assert message in refused("--train-cmd", "x")
    config = tmp_path / "x.conf"
    config.write_text("train_cmd=x\n")
    assert message in refused("--config", config)


def test_help_prints_the_message_and_exits_0():
    done = run("--nj", "2", "--help", "--unknown")
    assert (done.returncode, done.stdout) == (0, "Usage: script [options] DATA\n")


def test_config_yields_to_the_command_line_wherever_it_stands(tmp_path):
    config = tmp_path / "x.conf"
    config.write_text('nj=16 # jobs\nname="from file"\n')
    for words in (["--nj", "2", "--config", config], ["--config", config, "--nj", "2"]):
        assert values(*words, "data")[1:] == [
            "2", "true", "", "from file", "--", "data",
        ]  # fmt: skip


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("njj=3\n", "unknown option: njj"),
        ("compress=maybe\n", "compress: expected true or false, got 'maybe'"),
        ("stage=first\n", "stage: expected a whole number"),
        ('help_message="Usage: script 2"\n', "unknown option: help_message"),
    ],
)
def test_config_is_checked_as_the_command_line_is(tmp_path, text, message):
    config = tmp_path / "x.conf"
    config.write_text(text)
    assert message in refused("--config", config)
    assert "no such file" in refused("--config", tmp_path / "none")


def test_config_is_an_ordinary_option_of_a_script_that_has_one():
    script = f'config=a.yaml; . {ROOT}/utils/parse_options.sh; echo "$config"'
    assert run("--config", "b: c.yaml", script=script).stdout == "b: c.yaml\n"


def test_a_script_without_help_message_still_fails_cleanly():
    done = run("--x", "1", script=f"set -u; . {ROOT}/utils/parse_options.sh")
    assert (done.returncode, done.stderr) == (2, "script.sh: unknown option: --x\n")


def test_nothing_of_its_own_is_left_behind():
    done = run(
        script=f". {ROOT}/utils/parse_options.sh; compgen -v; compgen -A function"
    )
    assert "_po_" not in done.stdout

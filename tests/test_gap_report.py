"""The report of EER by years between sessions."""

import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from chronovox.datadir import write_table
from chronovox.evaluation import eer

ROOT = Path(__file__).resolve().parents[1]
SESSIONS = {"v0": "1990-01-01", "v1": "1993-06-01", "v2": "2013-01-02"}


@pytest.fixture
def data(tmp_path) -> Path:
    """Ten speakers in 1990, 1993 and 2013; targets score lower over 20 years."""
    spks = [f"s{number}" for number in range(10)]
    utt2spk = {f"{spk}-{session}": spk for spk in spks for session in SESSIONS}
    write_table(tmp_path / "utt2spk", utt2spk)
    write_table(tmp_path / "utt2session", {utt: utt[3:] for utt in utt2spk})
    dates = [f"{s} {v} {date}\n" for s in spks for v, date in SESSIONS.items()]
    (tmp_path / "session2date").write_text("".join(dates))
    generator = np.random.default_rng(0)
    trials, scores = [], []
    for number, spk in enumerate(spks):
        for session, mean in (("v1", 4.0), ("v2", 1.0)):
            pair = f"{spk}-v0 {spk}-{session}"
            trials.append(f"{pair} target\n")
            scores.append(f"{pair} {mean + generator.normal():.6f}\n")
        for step in (1, 2, 3):
            pair = f"{spk}-v0 {spks[(number + step) % 10]}-v1"
            trials.append(f"{pair} nontarget\n")
            scores.append(f"{pair} {generator.normal():.6f}\n")
    (tmp_path / "list").write_text("".join(trials))
    (tmp_path / "scores").write_text("".join(scores))
    return tmp_path


def report(data: Path) -> subprocess.CompletedProcess:
    return subprocess.run(
        [sys.executable, ROOT / "tests" / "full" / "gap_report.py", data, data / "list",
         data / "scores"],
        env={**os.environ, "PYTHONPATH": str(ROOT / "steps")},
        capture_output=True, text=True,
    )  # fmt: skip


def test_each_bin_holds_its_targets_and_all_nontargets(data):
    done = report(data)
    assert done.returncode == 0, done.stderr
    rows = [line.split(maxsplit=4) for line in done.stdout.splitlines()]
    assert [row[:3] for row in rows[1:-1]] == [
        ["0-5", "10", "10"], ["5-10", "0", "0"], ["10-15", "0", "0"],
        ["15-20", "0", "0"], ["20+", "10", "10"],
    ]  # fmt: skip
    fields = [line.split() for line in (data / "scores").read_text().splitlines()]
    target = [float(f[2]) for f in fields if f[1] == f"{f[0][:2]}-v2"]
    nontarget = [float(f[2]) for f in fields if f[0][:2] != f[1][:2]]
    assert rows[5][3] == f"{100 * eer(target, nontarget):.2f}"
    assert float(rows[1][3]) < float(rows[5][3])
    assert rows[6][:2] == ["rise", f"{float(rows[5][3]) - float(rows[1][3]):.2f}"]


def test_day_numbers_serve_as_dates(data):
    before = report(data).stdout
    text = (data / "session2date").read_text()
    for date, day in zip(SESSIONS.values(), ("0", "1247", "8402"), strict=True):
        text = text.replace(date, day)
    (data / "session2date").write_text(text)
    assert report(data).stdout == before


def test_a_session_without_a_date_is_named(data):
    lines = (data / "session2date").read_text().splitlines(keepends=True)
    (data / "session2date").write_text("".join(lines[1:]))
    done = report(data)
    assert done.returncode == 1
    assert "session2date: no date of session v0 of s0 ('s0-v0')" in done.stderr

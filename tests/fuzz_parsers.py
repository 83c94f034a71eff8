"""Every parser of the project under one form: bytes in, a value or a clear error out.

`PARSERS` lists them. A parse writes the bytes to files of its folder, reads them by
the code of the project, and checks what is accepted: written and read again it is the
same, lengths agree. The work begins in the folder, whose name stands in every error.
"""

import argparse
import contextlib
import functools
import importlib
import io
import json
import math
import sys
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import fuzz_seeds
import numpy as np
from conftest import ROOT, load_script
from table_dirs import full_tables

from chronovox import (
    augment,
    cli,
    config,
    coverage,
    datadir,
    datadir_check,
    datadir_ops,
    frontend,
    jobs,
    kaldi_io,
    runinfo,
)  # fmt: skip
from chronovox.cli import UserError
from chronovox.clusterconf import ClusterConf
from chronovox.evaluation import identification, results
from chronovox.faces import ages
from chronovox.features import FeatureConfig, VadConfig
from chronovox.scoring import calibration, origin, read_info, read_scores
from chronovox.scoring.backend import BackendConfig
from chronovox.scoring.identification import read_list, write_list
from chronovox.scoring.plda_file import read_plda, write_plda
from chronovox.training import face_ages
from chronovox.training import folder as model_folder
from chronovox.trials import read_trials, write_trials
from chronovox.trials.published import read_published
from chronovox.trials.rules import Rules
from chronovox.trials.statistics import read_age_rule

sys.path.insert(0, str(ROOT / "steps"))


@dataclass(frozen=True)
class Parser:
    """share: of a million inputs, in thousands; names: errors name a file."""

    name: str
    share: float
    parse: Callable
    make_seeds: Callable[[], tuple[bytes, ...]]
    tokens: tuple[bytes, ...]
    binary: bool = False
    names: bool = True

    @property
    def seeds(self) -> tuple[bytes, ...]:
        return _seeds(self.make_seeds)


@functools.cache
def _seeds(make) -> tuple[bytes, ...]:
    return make()


PARSERS: list[Parser] = []


def parser(name, share, make_seeds, tokens: str | tuple = (), **more):
    """Put a function into the list; tokens: words between blanks, `_` for a blank."""
    if isinstance(tokens, str):
        words = tokens.encode().split(b" ")
        tokens = tuple(word.replace(b"_", b" ") for word in words) + (b"\n", b" ")

    def register(parse):
        kept = tuple(tokens) + fuzz_seeds.TRAPS
        PARSERS.append(Parser(name, share, parse, make_seeds, kept, **more))
        return parse

    return register


def tables(*names: str) -> Callable:
    @functools.cache
    def make() -> tuple[bytes, ...]:
        return tuple(full_tables()[name].encode() for name in names)

    return make


def texts(*each: str) -> Callable:
    return lambda: tuple(text.encode() for text in each)


def put(folder: Path, content: bytes, name: str = "x") -> Path:
    path = folder / name
    path.parent.mkdir(exist_ok=True)
    path.write_bytes(content)
    return path


def same(one, other) -> None:
    assert one == other, f"read back {other!r}, wrote {one!r}"


def call(main, *argv) -> int:
    """Run a script as from the shell; its exit code. UserError for the codes 1, 2."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(io.StringIO()):
        try:
            cli.run(lambda: main([str(word) for word in argv]))
        except SystemExit as end:
            code = end.code
    assert code in (0, 1, 2), code
    if code:
        raise UserError(said.getvalue().strip())
    return code


@functools.cache
def step(name: str):
    return importlib.import_module(name)


@functools.cache
def script(path: str):
    return load_script(path)


# Tables


def check_table(path: Path, table: dict, *layout) -> None:
    assert list(table) == sorted(table)
    again = path.with_name("again")
    datadir.write_table(again, table)
    same(table, datadir.read_table(again, *layout))
    assert set(coverage.read_keys(again)) == {key.split()[0] for key in table}


@parser("utt2spk", 90, tables("utt2spk", "utt2session"), "a-1 b-2 a b _ é")
def parse_utt2spk(content, folder):
    path = put(folder, content)
    table = datadir.read_table(path)
    check_table(path, table)
    spk2utt = datadir.invert(table)
    assert sum(map(len, spk2utt.values())) == len(table)


@parser("wav.scp", 80, fuzz_seeds.scps, "a-1 _/a.wav _a.ark:12 [0:3] [0:1,2:3] : |")
def parse_scp(content, folder):
    path = put(folder, content)
    table = datadir.read_table(path, None)
    check_table(path, table, None)
    for rxfile in table.values():
        with contextlib.suppress(UserError):
            location = kaldi_io.parse_location(rxfile)
            assert location.offset is None or location.offset >= 0


@parser("segments", 80, texts("a r 0.5 1.5\nb r 2 3.25\n"), "a_ b_ r_ 0.5 1.5 _ -1 1e3")
def parse_segments(content, folder):
    for _, start_s, end_s in datadir.read_segments(put(folder, content)).values():
        assert 0 <= start_s < end_s < math.inf


@parser(
    "utt2dur", 70, tables("utt2dur", "utt2num_frames", "utt2age"), "a_ b_ 0.5 -1 e5"
)
def parse_floats(content, folder):
    assert all(map(math.isfinite, datadir.read_floats(put(folder, content)).values()))


@parser("session2date", 60, tables("session2date"), "a_1 _2001-01-01 _5 b_1")
def parse_dates(content, folder):
    path = put(folder, content)
    dates = datadir.read_session2date(path)
    with contextlib.suppress(UserError):
        table = datadir.read_table(path, *datadir.layout("session2date"))
        same({tuple(key.split()): value for key, value in table.items()}, dates)


@parser("any table", 60, lambda: tuple(t.encode() for t in full_tables().values()),
        "a-1 b-2 a_ b_ f m _1 _2001-01-01 0.5 /x.wav")  # fmt: skip
def parse_any_table(content, folder):
    name = datadir_ops.TABLES[sum(content) % len(datadir_ops.TABLES)]
    path = put(folder, content)
    table, problems = datadir.scan_table(path, *datadir.layout(name))
    if problems:
        raise UserError(problems[0])
    check_table(path, table, *datadir.layout(name))


@parser("utt2num_frames", 30, texts("a 5\nb 6\n"), "a_ b_ 5 6 0")
def parse_lengths(content, folder):
    put(folder, content, "utt2num_frames")
    settings = frontend.FrontendConfig(vad=False)
    lengths = frontend.VoicedFrames(folder, settings).num_frames
    assert (lengths > 0).all()


def _write_tables(content: bytes, folder: Path) -> None:
    """A data directory, one of its tables (told by the first byte) replaced."""
    known = full_tables()
    known["segments"] = "".join(
        f"{u} {u} 0.5 1.5\n" for u in known["utt2spk"].split()[::2]
    )
    names = sorted(known)
    chosen, *more = names[content[0] % len(names) :] if content else ["utt2spk"]
    for name in names:
        put(folder, content[1:] if name == chosen else known[name].encode(), name)
    if not content or content[0] < 128:
        (folder / "segments").unlink(missing_ok=True)


def dir_seeds() -> tuple[bytes, ...]:
    known = full_tables()
    known["segments"] = "a-1-1 a-1-1 0.5 1.5\n"
    ordered = sorted(known)
    return tuple(bytes([n]) + known[name].encode() for n, name in enumerate(ordered))


@parser("data directory", 8, dir_seeds, "a-1-1 a-1-2 b-1-1 a_ b_ f m _1 _2001-01-01 5")
def parse_data_dir(content, folder):
    _write_tables(content, folder)
    problems = datadir_check.find_problems(folder)
    assert not any("\n" in problem for problem in problems)
    data = datadir_ops.load(folder)
    few = datadir_ops.keep(data, list(data.utt2spk)[:2])
    named = datadir_ops.rename(few, lambda utt: f"x-{utt}", lambda spk: f"x-{spk}")
    joined = datadir_ops.combine({"one": few, "other": named})
    same(len(few.utt2spk) * 2, len(joined.utt2spk))
    datadir_ops.save(joined, folder / "joined")


@parser("fix_data_dir.py", 4, dir_seeds, "a-1-1 a-1-2 b-1-1 a_ b_ f m _1 5")
def parse_untidy(content, folder):
    _write_tables(content, folder)
    try:
        call(script("utils/fix_data_dir.py").main, folder)
        call(script("utils/validate_data_dir.py").main, folder, "--no-text")
    except UserError as error:  # problems stand in lines of their own, indented
        raise UserError(str(error).replace("\n  ", "; ")) from None


# Trials, scores, results

TRIALS = "a-1 b-1 nontarget\na-1 a-2 target\nb-1 b-2 target\nb-1 a-1 nontarget\n"
SCORES = "a-1 b-1 -0.5\na-1 a-2 0.25\nb-1 b-2 1e-3\nb-1 a-1 0\n"
SYSTEM = {
    "model": "m", "seed": 1, "config": "0123", "backend": "cosine", "marks": [],
    "system_sha256": "cd",
}  # fmt: skip
INFO = SYSTEM | {"llr": False, "embeddings_sha256": "ab"}


@parser("trials", 90, texts(TRIALS), "a-1_ b-1_ target nontarget target\n")
def parse_trials(content, folder):
    path = put(folder, content)
    trials = read_trials(path)
    write_trials(folder / "again", trials)
    again = read_trials(folder / "again")
    same((trials.enrol, trials.test), (again.enrol, again.test))
    same(trials.is_target.tolist(), again.is_target.tolist())
    trials.rows({"a-1": 0, "a-2": 1, "b-1": 2, "b-2": 3}, path)


@parser("published trials", 20,
        texts("1 s/v/1.wav s/w/2.wav\n0 s/v/1.wav t/v/1.wav\n",
              "s-v-1 s-w-2 target\ns-v-1 t-v-1 nontarget\n"),
        "1_ 0_ s/v/1.wav_ s-v-1_ / ../ .wav target nontarget \r\n")  # fmt: skip
def parse_published(content, folder):
    trials = read_published(put(folder, content))
    assert len(trials.enrol) == len(trials.test) == len(trials.is_target) > 0


@parser("scores", 60, texts(SCORES), "a-1_b-1_ a-1_a-2_ 0.5 -1e5 b-1_b-2_1\n")
def parse_scores(content, folder):
    trials = read_trials(put(folder, TRIALS.encode(), "trials"))
    scores = read_scores(put(folder, content), trials)
    assert scores.shape == (4,) and np.isfinite(scores).all()


def info_seeds() -> tuple[bytes, ...]:
    runinfo.commit()  # asks git, once and for all
    digest = fuzz_seeds.sha256(TRIALS.encode())
    plain = {**INFO, "trials_sha256": digest}
    return tuple(
        json.dumps(info, indent=indent).encode()
        for info in (plain, {**plain, "seed": None, "marks": ["speaker-overlap"]})
        for indent in (None, 2)
    )


JSON_WORDS = (
    '{ } [ ] : , "model" "seed" "rows" "name" "config" null true 1 "" "a" {"rows":[ ]}'
)


@parser("scores .json", 20, info_seeds, JSON_WORDS)
def parse_info(content, folder):
    trials = read_trials(put(folder, TRIALS.encode(), "trials"))
    put(folder, content, "x.json")
    info = read_info(folder / "x", trials)
    assert isinstance(info["model"], str)
    put(folder, SCORES.encode())
    put(folder, b"a-1 a\na-2 a\nb-1 b\nb-2 b\n", "utt2spk")
    for name in ("results.json", "results.tsv"):
        (folder / name).unlink(missing_ok=True)
    words = ["--draws", 2, folder, folder / "trials", folder / "x", folder]
    call(step("compute_metrics").main, *words)
    call(step("print_results").main, folder)


@parser("numbers of a list", 8,
        texts("spk 2\ntrials 4\ntargets 2\nnon-targets 2\nage-rule matched\n"),
        "trials_ targets_ age-rule_ none unmatched 4 2\n")  # fmt: skip
def parse_stats(content, folder):
    trials = read_trials(put(folder, TRIALS.encode(), "trials"))
    put(folder, content, "trials.stats")
    assert read_age_rule(trials) in ("none", "matched", "unmatched")


WEIGHTS = "offset -1.5\nm/cosine 7.25\nnorm 1e-05\n"


def calibration_parser(name, share, replaced: str, seeds, tokens):
    @parser(f"calibration {name}", share, seeds, tokens)
    def parse(content, folder):
        about = {"systems": [SYSTEM], "cohort": None, "trials_sha256": "ab"}
        put(folder, b"quality: [norm]\n", "config.yaml")
        put(folder, WEIGHTS.encode(), "weights")
        put(folder, json.dumps(about).encode(), "systems.json")
        put(folder, content, replaced)
        found = calibration.load(folder)
        calibration.save(found, folder / "again", {"a": 4})
        same(found, calibration.load(folder / "again"))
        calibration.check_systems(found, folder, ["x"], found.systems)


def system_seeds() -> tuple[bytes, ...]:
    systems = SYSTEM, SYSTEM | {"seed": None, "system_sha256": None, "marks": ["x"]}
    return tuple(
        json.dumps(
            {"systems": [system], "cohort": cohort, "trials_sha256": "ab"},
            indent=indent,
        ).encode()
        for system, cohort, indent in zip(systems, (None, "ef"), (None, 2), strict=True)
    )


calibration_parser("weights", 20, "weights", texts(WEIGHTS),
                   "offset_ m/cosine_ norm_ 1e-05 nan 1e999 -7.25\n _m")  # fmt: skip
calibration_parser("systems", 20, "systems.json", system_seeds,
                   f'{JSON_WORDS} "systems" "cohort" "backend" \\n')  # fmt: skip


def result_row(**changes) -> dict:
    row = dict.fromkeys(results.COLUMNS, "x")
    row |= {
        name: 0.25 for name in results.COLUMNS if name.startswith(("eer", "mindcf"))
    }
    row |= {"min_cllr": 0.25, "cllr": None, "few_errors": ["mindcf_0.01"]}
    return row | {"seed": 1, "n_target": 2, "n_nontarget": 2, "n_spk": 2, "marks": [],
                  "corpus": {"name": "talkers"}, **changes}  # fmt: skip


def search_rows() -> tuple[bytes, ...]:
    row = dict.fromkeys(identification.KEY, "x") | {"list_sha256": "x", "marks": []}
    row |= dict.fromkeys(("n_enrolled", "n_mated", "n_impostor"), 3) | {"seed": 1}
    for name in identification.RATES:
        row |= {name: 0.5, f"{name}_lo": 0.25, f"{name}_hi": 0.75}
    none = {f"dir_0.1{end}": None for end in ("", "_lo", "_hi")}
    other = {**row, **none, "seed": None, "marks": ["speaker-overlap"]}
    return tuple(json.dumps({"rows": some}).encode() for some in ([row, other], []))


def result_seeds() -> tuple[bytes, ...]:
    rows = [
        result_row(),
        result_row(seed=None, model="y", eer_lo=None, marks=["best-of"]),
    ]
    return tuple(json.dumps({"rows": some}).encode() for some in (rows, rows[:1], []))


@parser("results.json", 30, result_seeds, JSON_WORDS)
def parse_results(content, folder):
    put(folder, content, "results.json")
    rows = results.read(folder)
    call(step("print_results").main, folder)
    results.update(folder, [result_row(model="new")])
    known = {results.key_of(row) for row in rows} | {("new", "x", "x", "x", 1)}
    now = results.read(folder)
    same(known, set(map(results.key_of, now)))
    lines = (folder / "results.tsv").read_text().split("\n")
    assert {line.count("\t") for line in lines[:-1]} == {len(results.columns(now)) - 1}


@parser("identification.json", 10, search_rows, JSON_WORDS)
def parse_searches(content, folder):
    put(folder, content, "identification.json")
    rows = identification.TABLE.read(folder)
    identification.lines_of(rows)
    with identification.TABLE.updated(folder, rows[:1]) as table:
        known = {identification.TABLE.key_of(row) for row in rows}
        same(known, {identification.TABLE.key_of(row) for row in table})


@parser("enrolments and tests", 15, texts("a-1\nb-2\n", "a a-2\nb b-1\nx c-1 c-2\n"),
        "a b c a-1 a-2 b-1 b-2 c-1 c-2")  # fmt: skip
def parse_search_list(content, folder):
    utts = [f"{spk}-{n}" for spk in "abc" for n in (1, 2)]
    put(folder, "".join(f"{utt} {utt[0]}\n" for utt in utts).encode(), "utt2spk")
    put(folder, content, "tests")
    put(folder, b"a a-2\nb b-1\n", "enrolments")
    try:
        found = read_list(folder, folder)
    except UserError:
        put(folder, b"a-1\n", "tests")
        put(folder, content, "enrolments")
        found = read_list(folder, folder)
    write_list(folder, found.enrolments, found.tests)
    again = read_list(folder, folder)
    same(sorted(found.tests), again.tests)
    same({name: sorted(utts) for name, utts in found.enrolments.items()},
         again.enrolments)  # fmt: skip


@parser("corpus.json", 15, lambda: (b'{"name": "talkers", "n": 1.5}', *info_seeds()),
        JSON_WORDS)  # fmt: skip
def parse_corpus(content, folder):
    put(folder, content, "corpus.json")
    trials = read_trials(put(folder, TRIALS.encode(), "trials"))
    utt2spk = {"a-1": "a", "a-2": "a", "b-1": "b", "b-2": "b"}
    speakers = trials.speakers(utt2spk, "utt2spk")
    found = step("compute_metrics").describe_list(folder, trials, speakers)["corpus"]
    assert found is None or isinstance(found, dict)


@parser("runinfo.json", 20, lambda: (b'{"fingerprint": "f"}', *info_seeds()),
        JSON_WORDS)  # fmt: skip
def parse_runinfo(content, folder):
    put(folder, content, "runinfo.json")
    put(folder, b"", "final.pt")
    if not model_folder.is_finished(folder, "f"):
        raise UserError(f"{folder}: not finished")


@parser("config.yaml of scoring", 20, lambda: yaml_seeds(), "seed: _1 \n model: x")
def parse_model_config(content, folder):
    put(folder, content, "config.yaml")
    info = origin.describe_model(folder)
    assert info["seed"] is None or info["seed"] >= 0


def manifest_seeds() -> tuple[bytes, ...]:
    text = b'{"id": "a-1-1", "x": 1}\n{"id": "b-1-1"}\n'
    return (fuzz_seeds.packed(text), fuzz_seeds.packed(b""), text)


@parser("manifest", 15, manifest_seeds, '{ } "id": "a" \n', binary=True)
def parse_manifest(content, folder):
    data = datadir_ops.DataDir({"utt2spk": {"a-1-1": "a"}}, {})
    put(folder, content, "recordings.jsonl.gz")
    datadir_ops.save(data, folder, keep_manifests=True)


# Ages

AGE_TABLES = (
    "utt2age", "utt2age_std", "utt2num_faces", "utt2age.source", "faces/face.scp"
)  # fmt: skip


def ageless(folder: Path) -> None:
    """Three speakers without ages."""
    for name, text in full_tables().items():
        put(folder, text.encode(), name)
    for name in AGE_TABLES:
        (folder / name).unlink(missing_ok=True)


def check_ages(folder: Path) -> None:
    ages = datadir.read_floats(folder / "utt2age")
    assert all(0 < age <= 120 for age in ages.values())
    assert ages.keys() <= datadir.read_table(folder / "utt2spk").keys()
    call(step("export_age_release").main, folder, folder / "release")


@parser("face2age", 10, texts("a-1-1-f1 20.5\na-1-1-f2 24\na-2-1-f1 30\n"),
        "a-1-1-f1_ a-2-1-f1_ 20.5 _ -1 121 1e1")  # fmt: skip
def parse_face_ages(content, folder):
    ageless(folder)
    words = ("--max-fail-ratio", 1, folder, put(folder, content))
    call(step("label_ages").main, *words)
    check_ages(folder)


def import_parser(kind: str, share: float, seeds, tokens, **more):
    @parser(f"ages: {kind}", share, seeds, tokens, **more)
    def parse(content, folder):
        ageless(folder)
        words = ("--format", kind, "--max-fail-ratio", 1, folder, put(folder, content))
        call(step("import_ages").main, *words)
        check_ages(folder)


import_parser("segment2age", 20, fuzz_seeds.age_pickles, fuzz_seeds.AGE_TOKENS,
              binary=True)  # fmt: skip
import_parser("utt2age", 10, texts("a/1/1 20\na/2/1 31\nb/1/1 45\nz/1/1 50\n"),
              "a/1/ b/1/ 1 _ / 20.5 -4")  # fmt: skip
import_parser(
    "csv", 20,
    texts("VoxCeleb_ID,video_id,age\na,1,29.0\nb,1,40\nb,1,41\n",
          'x,age , VoxCeleb_ID,video_id\r\n"q, ""r""",29,a,2\r\n,-4,a,1\r\n'),
    'VoxCeleb_ID video_id age , " a, 1, b, 29.0 336 \r\n',
)  # fmt: skip


# Settings

YAML_WORDS = (
    "key: _1 _1.5 _[ ] _{ } - _- \n __ __- _'x' _&a _*a , _| _> # ? _!!int _~ true"
)


def yaml_seeds(*names: str) -> tuple[bytes, ...]:
    paths = [ROOT / "conf" / name for name in names or ("xvector_aam.yaml", "vad.yaml")]
    return tuple(path.read_bytes() for path in paths)


def check_settings(settings, folder: Path, cls) -> None:
    config.save(settings, folder / "again")
    same(settings, config.load(folder / "again", cls))


def settings_parser(name, share, cls, seeds, words):
    @parser(name, share, seeds, f"{YAML_WORDS} {words}")
    def parse(content, folder):
        settings = config.load(put(folder, content), cls)
        check_settings(settings, folder, cls)


settings_parser(
    "trial rules", 20, Rules,
    lambda: tuple(p.read_bytes() for p in sorted(ROOT.glob("conf/trials/*.yaml"))),
    "positives: negatives: same: [gender] session: different per_enrolment: 2",
)  # fmt: skip
settings_parser(
    "back end settings", 10, BackendConfig,
    lambda: tuple(p.read_bytes() for p in sorted(ROOT.glob("conf/backends/*.yaml"))),
    "center: true whiten: lda_dim: 2 length: unit sqrt score: plda norm: {kind: as1}",
)  # fmt: skip
settings_parser(
    "calibration settings", 8, calibration.CalibrationConfig,
    lambda: tuple(p.read_bytes() for p in sorted(ROOT.glob("conf/calibration/*.yaml"))),
    "p_target: 0.5 1.0e-4 quality: [norm] [duration, faces] gap cohort",
)  # fmt: skip
settings_parser(
    "feature settings", 20, FeatureConfig,
    lambda: yaml_seeds("fbank.yaml", "mfcc.yaml"),
    "type: fbank mfcc sampling_rate: 16000 num_mel_bins: high_freq: -400 window:",
)  # fmt: skip
settings_parser(
    "VAD settings", 8, VadConfig, lambda: yaml_seeds("vad.yaml"),
    "energy_threshold: 5.5 frames_context: 2",
)  # fmt: skip
settings_parser(
    "augment settings", 8, augment.AugmentConfig,
    lambda: (b"speeds: [0.9, 1.0, 1.1]\nprob: 0.5\nnoises:\n  music:\n    data: d\n"
             b"    snr_db: [0.0, 15.0]\nbabble: {num_speakers: [3, 8]}\n"
             b"reverb: {data: rirs}\nvolume_db: [-3.0, 3.0]\ntempo: [0.9, 1.1]\n",),
    "speeds: [1.0] prob: 0.5 noises: babble: reverb: data: snr_db: tempo:",
)  # fmt: skip


@parser(
    "training settings",
    8,
    lambda: yaml_seeds("xvector_aam.yaml") + fuzz_seeds.training_settings(),
    f"{YAML_WORDS} model: type: xvector resnet num_steps: augment: seed: loss:",
)
def parse_training(content, folder):  # fmt: skip
    from chronovox.training import settings

    loaded = settings.load(put(folder, content))
    check_settings(loaded, folder, settings.TrainingConfig)
    if max(v for v in (*loaded.model.values(), 0) if isinstance(v, int)) <= 64:
        from chronovox import models

        models.build(loaded.model, 8)


@parser(
    "select_trials.py",
    4,
    lambda: tuple(p.read_bytes() for p in sorted(ROOT.glob("conf/trials/*.yaml"))),
    f"{YAML_WORDS} positives: negatives: same: session: per_enrolment: 2",
)
def parse_selection(content, folder):  # fmt: skip
    for name, text in full_tables().items():
        put(folder, text.encode(), name)
    put(folder, content)
    words = ("--rules", folder / "x", folder, folder / "list")
    call(step("select_trials").main, *words)
    read_trials(folder / "list")


# Arks


def _read_all(path: Path) -> None:
    for _, kind, array in kaldi_io.read_records(path):
        assert array.dtype == (np.int32 if kind == "int32" else np.float32)
        assert array.nbytes <= 16 * path.stat().st_size


def _read_places(content: bytes, path: Path) -> None:
    found = [place for place in range(min(len(content), 4000))
             if content.startswith(b"\0B", place)][:3]  # fmt: skip
    for offset in (0, 2, *found):
        for read in (kaldi_io.read_matrix, kaldi_io.read_vector, kaldi_io.read_shape):
            with contextlib.suppress(UserError):
                read(f"{path}:{offset}")
        with contextlib.suppress(UserError):
            assert len(kaldi_io.read_matrix(f"{path}:{offset}", slice(0, 1))) == 1


def ark_parser(name, share, seeds):
    @parser(name, share, seeds, fuzz_seeds.ARK_TOKENS, binary=True)
    def parse(content, folder):
        path = put(folder, content, "x.ark")
        _read_places(content, path)
        _read_all(path)


ark_parser("ark of vectors", 40, fuzz_seeds.vector_arks)
ark_parser("ark of matrices", 40, fuzz_seeds.matrix_arks)
ark_parser("compressed ark", 40, fuzz_seeds.compressed_arks)


@parser("rxfilename", 90, texts("x.ark:2", "x.ark:2[0:1]", "x.ark:2[:,0:1]", "x.ark"),
        "x.ark :2 : [0:1] [0:1,0:1] [ ] , 0 9 -1 | x.ark:2")  # fmt: skip
def parse_rxfile(content, folder):
    ark = folder / "x.ark"
    if not ark.exists():
        put(folder, fuzz_seeds.matrix_arks()[0], "x.ark")
    text = content.decode("utf-8", "surrogateescape").replace("\n", " ")
    kind, array = kaldi_io.read_record(f"{folder}/{text}")
    assert kind == "FM" and array.ndim == 2
    with contextlib.suppress(UserError):
        kaldi_io.parse_location(text)


@parser("scp of vectors", 30, texts("a x.ark:2\nb x.ark:2\n", "a x.ark:2[0:1]\n"),
        "a_ b_ x.ark:2 x.ark [0:1] :0")  # fmt: skip
def parse_vector_scp(content, folder):
    put(folder, fuzz_seeds.vector_arks()[0], "x.ark")
    keys, vectors = kaldi_io.read_vectors(put(folder, content))
    assert vectors.shape[0] == len(keys) and np.isfinite(vectors).all()


@parser("show_ark.py", 20,
        lambda: fuzz_seeds.matrix_arks() + (b"a [ 1 2 ]\nb [\n 1 2\n 3 4 ]\nc 5\n",),
        "a_ b_ [ ] _1 _2 _nan 1e400 \n \0BFM_ \0BFV_ PKL")  # fmt: skip
def parse_shown(content, folder):
    path = put(folder, content, "x.ark")
    call(step("show_ark").main, path, "--values", "true")


# Audio


@parser("Kaldi PLDA", 10, fuzz_seeds.plda_models, fuzz_seeds.PLDA_TOKENS, binary=True)
def parse_plda(content, folder):
    model = read_plda(put(folder, content))
    write_plda(folder / "again", model, text=len(content) % 2 == 0)
    again = read_plda(folder / "again")
    for name in ("mean", "transform", "psi"):
        same(getattr(model, name).tolist(), getattr(again, name).tolist())


def audio_parser(kind: str, share: float):
    @parser(kind, share, lambda: fuzz_seeds.audio(kind), fuzz_seeds.AUDIO_TOKENS,
            binary=True)  # fmt: skip
    def parse(content, folder):
        from chronovox.audio import WavTable

        rxfile = str(put(folder, content, f"x.{kind}"))
        if kind == "ark":
            rxfile += ":2"
        put(folder, f"a {rxfile}\n".encode(), "wav.scp")
        with contextlib.suppress(FileNotFoundError):
            (folder / "segments").unlink()
        if len(content) % 3 == 0:
            put(folder, b"a a 0.001 0.004\n", "segments")
        samples, rate = WavTable(folder).read("a")
        assert samples.ndim == 1 and np.isfinite(samples).all() and rate > 0


for _kind, _share in (
    ("wav", 30), ("flac", 15), ("ark", 20), ("ogg", 4), ("mp3", 4), ("m4a", 4)
):  # fmt: skip
    audio_parser(_kind, _share)


# Checkpoints. Keras's are read in a process of its own, and tested by themselves.


@parser("checkpoint", 15, fuzz_seeds.checkpoints, fuzz_seeds.PICKLE_TOKENS, binary=True)
def parse_checkpoint(content, folder):
    from chronovox.training import checkpoint

    if not content.startswith(b"PK"):
        content = fuzz_seeds.as_checkpoint(content)
    put(folder, content, "step_1.pt")
    state = checkpoint.load_state(folder / "step_1.pt")
    checkpoint.save_state(state, folder / "again.pt")
    same(state.keys(), checkpoint.load_state(folder / "again.pt").keys())


@parser("caffemodel", 20, fuzz_seeds.caffemodels, fuzz_seeds.CAFFE_TOKENS, binary=True)
def parse_caffemodel(content, folder):
    from chronovox.checkpoints import caffe

    blobs = sum(caffe.read_caffemodel(put(folder, content)).values(), [])
    assert blobs and all(np.isfinite(blob).all() for blob in blobs)
    assert sum(blob.nbytes for blob in blobs) <= len(content)


@parser("sizes in ONNX", 10, fuzz_seeds.onnx_networks, fuzz_seeds.CAFFE_TOKENS,
        binary=True, names=False)  # fmt: skip
def parse_onnx_sizes(content, folder):
    from chronovox.checkpoints.protobuf import Damaged
    from chronovox.faces import detection

    try:
        same(len(content), len(detection.with_known_input(content, 640)))
    except Damaged as error:  # Detector names the file
        raise UserError(str(error)) from None


# Faces


@parser("picture", 10, fuzz_seeds.pictures, fuzz_seeds.PICTURE_TOKENS, binary=True)
def parse_picture(content, folder):
    from chronovox.faces import pictures

    picture = pictures.read_picture(put(folder, content))
    assert picture.ndim == 3 and picture.shape[2] == 3 and picture.dtype == np.uint8


@parser(
    "settings of face ages",
    8,
    lambda: yaml_seeds("dex.yaml", "ssrnet.yaml"),
    f"{YAML_WORDS} network: type: vgg16 weights: crop: detector: margin: batch_size: 4",
)
def parse_face_age_settings(content, folder):  # fmt: skip
    settings = ages.load_settings(put(folder, content))
    check_settings(settings, folder, ages.FaceAgeConfig)


@parser("portraits", 10, texts("a b.jpg 30\nc.png 20.5\n"),
        "a.jpg_ b_ 30 _ -4 336 nan 1e1 \n \t")  # fmt: skip
def parse_portraits(content, folder):
    portraits, dropped = face_ages.read_portraits(put(folder, content))
    assert all(0 <= portrait.age <= 100 for portrait in portraits)
    paths = [portrait.path for portrait in portraits]
    assert len({*paths, *dropped}) == len(paths) + len(dropped)


@parser(
    "settings of face training",
    8,
    lambda: yaml_seeds("face_age.yaml"),
    f"{YAML_WORDS} network: type: vgg16 weights: optimizer: schedule: batch_size: 4",
)
def parse_face_training(content, folder):
    settings = face_ages.load_settings(put(folder, content))
    check_settings(settings, folder, face_ages.FaceTrainingConfig)


# Jobs


@parser(
    "slurm.conf",
    25,
    lambda: ((ROOT / "conf/slurm.conf").read_bytes(),),
    "command_ option_ default_ sbatch gpu mem=* =* _--mem=$0 $0 gpu=0 num_threads=2 #",
)
def parse_slurm_conf(content, folder):  # fmt: skip
    conf = ClusterConf(put(folder, content))
    known = cli.parser("test")
    jobs.add_options(known)
    known.set_defaults(gpu=None, num_threads=None)
    known.add_argument("--config")
    _, task = usage(lambda: jobs.parse(known, ["x.log", "true"], conf))
    args = usage(lambda: known.parse_args(["--mem", "4G"]))
    words = usage(lambda: conf.words(known, conf.values(args)))
    assert words and len(task.numbers) == 1
    known.format_help()


def usage(work: Callable):
    """The result, or UserError for a usage error, which argparse prints."""
    said = io.StringIO()
    with contextlib.redirect_stderr(said), contextlib.redirect_stdout(said):
        try:
            return work()
        except SystemExit as end:
            assert end.code in (0, 2)
            raise UserError(said.getvalue().strip().replace("\n", " ")) from None


@parser(
    "job words",
    12,
    texts("--mem 4G JOB=1:3 log/x.JOB.log echo JOB", "--time 1:00:00 x.log true"),
    "JOB= JOB=1: 1:3 3 --mem_ --gpu_ --time_ 4G 1 _x.JOB.log_ _x _echo_ : N=",
    names=False,
)
def parse_job_words(content, folder):  # fmt: skip
    known = cli.parser("test")
    jobs.add_options(known)
    words = content.decode("utf-8", "surrogateescape").split()
    args, task = usage(lambda: jobs.parse(known, words))
    assert len(task.numbers) >= 1
    number = task.numbers[-1]
    assert len(task.command(number)) == len(task.words)
    assert len({str(task.log_path(n)) for n in task.numbers[:2]}) == min(
        2, len(task.numbers)
    )


@parser("numbers of options", 20, texts("4", "0.5", "true", "4G"), "1 0 . e G - _",
        names=False)  # fmt: skip
def parse_numbers(content, folder):
    text = content.decode("utf-8", "surrogateescape")
    accepted = 0
    for kind in (cli.positive_int, cli.natural, cli.fraction, cli.boolean):
        try:
            kind(text)
            accepted += 1
        except (argparse.ArgumentTypeError, ValueError) as error:
            # argparse takes both for a usage error.
            assert len(str(error).splitlines()) <= len(text.splitlines()) + 1
    try:
        value = datadir.parse_float(text, "x")
        same(value, datadir.parse_float(repr(value), "x"))
        accepted += 1
    except UserError:
        pass
    if not accepted:
        raise UserError("no number")

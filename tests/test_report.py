"""The report: what it shows, what it refuses, and that it opens without a network."""

import json
import re
import xml.etree.ElementTree as ET
from html.parser import HTMLParser
from itertools import pairwise
from pathlib import Path
from types import SimpleNamespace

import chromium
import numpy as np
import pytest
from conftest import absent
from sklearn.metrics import roc_curve

import compute_metrics
import make_report
from chronovox.cli import UserError
from chronovox.datadir import write_table
from chronovox.evaluation import curves, drawing, report_inputs, report_tables, results
from chronovox.evaluation.metrics import SortedTrials
from chronovox.evaluation.rows import folded
from chronovox.scoring import write_scores
from chronovox.training.progress import Progress
from chronovox.trials import read_trials

LISTS = "hard", "only-CA5", "only-CA10"
SYSTEM = {"model": "net_s1", "data": "test", "trials": "hard", "backend": "cosine",
          "seed": 1, "marks": [], "trials_sha256": "",
          "embeddings_sha256": "e" * 64}  # fmt: skip
BIN = {"low": 0, "high": 2, "n_target": 90, "n_spk": 12, "frr_0.01": [0.1, 0.05, 0.2],
       "frr_0.001": [0.2, 0.1, 0.3], "shift": [-0.1, -0.2, 0.0],
       "actdcf_0.01": [0.5, 0.4, None], "cllr_loss": None}  # fmt: skip
EXTRAS = {
    "lifetime.json": {"rows": [{
        **SYSTEM, "unit": "years", "dev_trials": "data/dev/trials/random",
        "bins": [BIN, {**BIN, "low": 2, "high": 5, "frr_0.01": [0.2, 0.15, 0.3]},
                 {**BIN, "low": 5, "high": None}],
        "doubling": {"0.01": [4.25, 3.1, None], "0.001": None},
    }]},
    "conditions.json": {"rows": [
        {**SYSTEM, "condition": "gender", "value": value, "n_target": 30,
         "n_nontarget": 31, "n_spk": 6, "eer": 0.0712, "eer_lo": None, "eer_hi": None}
        for value in "fm"
    ]},
    "comparisons.json": {"rows": [{
        "data": "test", "trials": "hard", "metric": "eer", "marks": [],
        "trials_sha256": "", "embeddings_sha256": ["e" * 64],
        "a": "net_s1, cosine", "b": "net_s1, plda",
        "value_a": 0.5, "value_b": 0.25, "difference": -0.25, "lo": -0.3123, "hi": -0.2,
    }]},
    "ages.json": {
        "rows": [{"data": "test", "num_faces": 5, "statistic": "mean", "mae": 4.56,
                  "bias": -0.5, "n": 48}],
        "points": {"true": [20, 30, 41.5], "estimated": [22.5, 29, 44]},
    },
}  # fmt: skip
SECTIONS = (
    "Error rates", "Detection costs and calibration", "Detection error trade-off",
    "Scores", "Error rate over the years between", "Calibration",
    "Lifetime of an enrolment", "Conditions", "Comparisons", "Age labels", "Training",
    "Ages in the trial lists", "Where every number comes from",
)  # fmt: skip


def make_data(home: Path) -> Path:
    """A data directory with 12 speakers, ages, and the lists of LISTS."""
    path = home / "data" / "test"
    (path / "trials").mkdir(parents=True)
    utts = [f"s{spk:02d}-{number}" for spk in range(12) for number in range(4)]
    write_table(path / "utt2spk", {utt: utt[:3] for utt in utts})
    write_table(path / "utt2age", {u: 20 + 7 * int(u[4:]) + int(u[1:3]) for u in utts})
    (path / "corpus.json").write_text('{"name": "talkers", "hash": "0123456789abcdef"}')
    for shift, name in enumerate(LISTS):
        lines = []
        for row, utt in enumerate(utts):
            lines.append(f"{utt} {utts[row - row % 4 + (row + 1) % 4]} target\n")
            lines.append(f"{utt} {utts[(row + 5 + 4 * shift) % 48]} nontarget\n")
        (path / "trials" / name).write_text("".join(lines))
    return path


def make_scores(data: Path, name: str, model="net_s1", backend="cosine", seed=1,
                config="c0ffee", quality=2.0, marks=(), llr=False) -> Path:  # fmt: skip
    """A score file, and what stands beside it."""
    trials = read_trials(data / "trials" / name)
    generator = np.random.default_rng([len(model), len(name), len(backend), seed or 0])
    scores = generator.normal(size=len(trials.is_target)) + quality * trials.is_target
    path = data.parents[1] / "exp" / model / "scores_test" / f"{name}.{backend}"
    info = {"model": model, "seed": seed, "backend": backend, "config": config,
            "marks": list(marks), "llr": llr,
            "embeddings_sha256": "e" * 64}  # fmt: skip
    write_scores(path, trials, scores.astype(np.float32), info)
    return path


def compute(data: Path, name: str, *paths: Path, options=()) -> Path:
    """Put score files into the table."""
    home = data.parents[1]
    out, listed = home / "exp" / "results", data / "trials" / name
    words = ["--draws", "20", *options, data, listed, *paths, out]
    assert compute_metrics.main(list(map(str, words))) == 0
    return out


def make_curves(folder: Path) -> None:
    config = SimpleNamespace(num_steps=40, log_every=10, batch_size=4)
    progress = Progress(0, config, folder)
    for step in range(1, 41):
        progress.update(step, 0.1, 1e-3, loss=5 / step, accuracy=0.5, waited_s=0.0)
    progress.draw(40, development_eer_percent=12.5)
    progress.close()


@pytest.fixture(scope="module")
def full(tmp_path_factory) -> Path:
    """A folder of results with everything that the report can show, and the report."""
    home = tmp_path_factory.mktemp("home")
    data = make_data(home)
    for name in LISTS:
        seeds = [make_scores(data, name, f"net_s{s}", seed=s) for s in (1, 2)]
        compute(data, name, *seeds)
        plda = make_scores(data, name, backend="plda", quality=3.0, llr=True)
        compute(data, name, plda, options=["--p-targets", "0.01 0.05 0.001 0.1"])
        floor = make_scores(data, name, "floor", "cosine", None, "-", quality=0.5)
        out = compute(data, name, floor, options=["--best-of", "true"])
    for seed in (1, 2):
        make_curves(out.parent / f"net_s{seed}" / "log" / "tensorboard")
    write_extras(out)
    assert make_report.main([str(out)]) == 0
    return out


def write_extras(out: Path, **changes) -> None:
    """What other steps measure, of the list `hard` as it is there; with changes."""
    rows = results.read(out)
    sha256 = next(r["trials_sha256"] for r in rows if r["trials"] == "hard")
    for name, document in EXTRAS.items():
        named = [
            {**row, "trials_sha256": sha256, **changes} for row in document["rows"]
        ]
        (out / name).write_text(json.dumps({**document, "rows": named}))


@pytest.fixture
def small(tmp_path) -> Path:
    """Results of one system on one list, without a report."""
    data = make_data(tmp_path)
    return compute(data, "hard", make_scores(data, "hard"))


class Page(HTMLParser):
    """What is in a page: open tags are counted, texts kept."""

    VOID = {"meta", "link", "img", "br"}

    def __init__(self, path: Path):
        super().__init__()
        self.open, self.ids, self.loaded, self.texts = [], [], [], []
        self.tags = []
        self.feed(path.read_text())
        self.close()
        assert not self.open

    def handle_starttag(self, tag, attrs):
        attrs = dict(attrs)
        self.tags.append(tag)
        self.ids += [attrs["id"]] if "id" in attrs else []
        named = ("src", "href", "xlink:href", "data", "srcset", "poster", "action")
        self.loaded += [attrs[name] for name in named if name in attrs]
        self.loaded += re.findall(r"url\(([^)]*)\)", attrs.get("style", ""))
        assert not any(name.startswith("on") for name in attrs)
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.handle_starttag(tag, attrs)
        if tag not in self.VOID:
            self.open.pop()

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.texts.append(" ".join(data.split()))

    @property
    def text(self) -> str:
        return " ".join(filter(None, self.texts))


def test_every_section_is_there(full):
    page = Page(full / "report.html")
    for title in SECTIONS:
        assert page.texts.count(title) == 2, title  # a link and a heading
    assert "Talkers is synthetic speech made to test methods: no number" in page.text
    assert "was not found" not in page.text and "What is not shown" not in page.text
    for text in (
        "4.2 [3.1, \N{EN DASH}]", "gender: f", "7.12", "-25.00 [-31.23, -20.00]",
        "from 5 years", "4.56", "P = 0.1",
    ):  # fmt: skip
        assert text in page.text, text
    row = next(r for r in results.read(full) if r["backend"] == "plda")
    low, high = row["intervals"]["cllr"]
    assert f"{row['cllr']:.3f} [{low:.3f}, {high:.3f}]" in page.text
    assert f"{row['mindcf_0.1']:.3f}" in page.text
    assert row["command"] in page.text and row["trials_sha256"] in page.text
    assert "0123456789abcdef" in page.text


def test_the_page_loads_nothing_and_has_no_id_twice(full):
    page = Page(full / "report.html")
    for address in page.loaded:
        assert address.startswith(("#", "data:")), address[:80]
        assert not address.startswith("#") or address[1:] in page.ids, address
    assert len(page.ids) == len(set(page.ids))
    assert not {"script", "iframe", "object", "base"} & set(page.tags)
    assert "@import" not in (full / "report.html").read_text()
    assert (full / "report.html").stat().st_size < 5_000_000


def test_pictures_stand_beside_the_page(full):
    names = {path.stem for path in (full / "pictures").iterdir()}
    expected = [f"{kind}_{name}" for name in LISTS
                for kind in ("det", "scores", "calibration", "ages")]  # fmt: skip
    expected += ["gap_1", "comparisons_eer_test_hard", "age_labels", "training_loss",
                 "training_accuracy", "training_development_eer_percent"]  # fmt: skip
    assert names >= set(expected)
    for name in names:
        svg = ET.parse(full / "pictures" / f"{name}.svg").getroot()
        assert svg.tag.endswith("}svg") and svg.attrib["viewBox"]
        png = (full / "pictures" / f"{name}.png").read_bytes()
        assert png.startswith(b"\x89PNG")
        width, height = np.frombuffer(png[16:24], ">u4")
        assert width > 600 and height > 200
    det = (full / "pictures" / "det_hard.svg").read_text()
    for text in ("net cosine", "net_s1 plda", "floor (reference)", "misses, %", ">20<"):
        assert text in det, text


def test_the_same_inputs_give_the_same_bytes_and_old_pictures_go(full):
    paths = [full / "report.html", *sorted((full / "pictures").iterdir())]
    before = [path.read_bytes() for path in paths]
    (full / "pictures" / "old.png").write_bytes(b"")
    assert make_report.main([str(full)]) == 0
    assert [full / "report.html", *sorted((full / "pictures").iterdir())] == paths
    assert [path.read_bytes() for path in paths] == before


def test_what_is_missing_is_said_with_its_command(small, caplog):
    rows = results.read(small)
    for row in rows:
        for name in ("scores", "trials_path", "data_path"):
            del row[name]
    (small / "results.json").write_text(json.dumps({"rows": rows}))
    assert make_report.main([str(small)]) == 0
    page = Page(small / "report.html")
    assert not {"figure", "svg", "img"} & set(page.tags)
    for name, command in report_inputs.COMMANDS.items():
        assert f"{name} was not found beside results.json: {command}" in page.text
    for command in ("steps/compute_metrics.py", "steps/train_embedding.py",
                    "./run.sh --stage 2 --trials all", "label_ages.py"):  # fmt: skip
        assert command in page.text
    assert "not shown" not in caplog.text


def test_there_must_be_results(tmp_path):
    with pytest.raises(UserError, match="results.json: no such file: run steps/comp"):
        make_report.main([str(tmp_path)])


def change_scores(home: Path) -> str:
    path = home / "exp/net_s1/scores_test/hard.cosine"
    trials = read_trials(home / "data/test/trials/hard")
    info = json.loads(path.with_name("hard.cosine.json").read_text())
    write_scores(path, trials, np.arange(len(trials.is_target)), info)
    return "in the table of results"


def change_embeddings(home: Path) -> str:
    path = home / "exp/net_s1/scores_test/hard.cosine.json"
    path.write_text(path.read_text().replace("e" * 64, "f" * 64))
    return "scores of other embeddings"


def change_trials(home: Path) -> str:
    path = home / "data/test/trials/hard"
    path.write_text("".join(path.read_text().splitlines(True)[::-1]))
    return "not the trials that the table of results was computed from"


def remove_scores(home: Path) -> str:
    (home / "exp/net_s1/scores_test/hard.cosine").unlink()
    return "hard.cosine: no such file"


@pytest.mark.parametrize(
    "change", [change_scores, change_embeddings, change_trials, remove_scores]
)
def test_scores_that_do_not_fit_are_left_out(small, caplog, change):
    said = change(small.parents[1])
    assert make_report.main([str(small)]) == 0
    page = Page(small / "report.html")
    assert "What is not shown" in page.text and said in page.text
    assert not (small / "pictures" / "det_hard.svg").exists()
    assert said in caplog.text and caplog.text.count(said) == 1


@pytest.mark.parametrize(
    "changes", [{"trials_sha256": "0" * 64}, {"embeddings_sha256": "f" * 64}]
)
def test_what_is_of_other_lists_or_embeddings_is_not_shown(small, changes):
    write_extras(small, **changes)
    assert make_report.main([str(small)]) == 0
    page = Page(small / "report.html")
    for name, number in (("lifetime", 1), ("conditions", 2), ("comparisons", 1)):
        assert f"{number} of {number} rows of {name}.json are of lists or" in page.text
    assert "gender: f" not in page.text


def test_conditions_without_any_rate_have_no_picture(small):
    write_extras(small)
    document = json.loads((small / "conditions.json").read_text())
    for row in document["rows"]:
        row["eer"] = None
    (small / "conditions.json").write_text(json.dumps(document))
    assert make_report.main([str(small)]) == 0
    assert not list((small / "pictures").glob("conditions*"))
    assert "gender: f" in Page(small / "report.html").text


def test_marks_of_what_is_measured_are_shown(small):
    write_extras(small, marks=["calibration-list"])
    assert make_report.main([str(small)]) == 0
    text = Page(small / "report.html").text
    assert text.count("* marked: calibration-list.") == 3
    assert "net_s1 cosine *" in text and "net_s1, plda *" in text


DAMAGES = [
    ("lifetime.json", lambda rows: rows[0]["bins"][0].update({"frr_0.01": [1, 2]})),
    ("lifetime.json", lambda rows: rows[0]["bins"][0].pop("n_spk")),
    ("lifetime.json", lambda rows: rows[0].update(bins=3)),
    ("lifetime.json", lambda rows: rows[0]["bins"][0].update(frr_x=[1, 1, 1])),
    ("lifetime.json", lambda rows: rows[0].update(doubling={"x": [1, 1, 1]})),
    ("conditions.json", lambda rows: rows[0].update(eer="x")),
    ("conditions.json", lambda rows: rows[0].update(eer=True)),
    ("comparisons.json", lambda rows: rows[0].update(a=None)),
    ("comparisons.json", lambda rows: rows[0].update(difference=10**400)),
    ("ages.json", lambda rows: rows[0].pop("mae")),
]


@pytest.mark.parametrize(("name", "damage"), DAMAGES)
def test_damaged_files_are_named(small, name, damage):
    document = json.loads(json.dumps(EXTRAS[name]))
    damage(document["rows"])
    command = report_inputs.COMMANDS[name]
    for text in (json.dumps(document), "{", "[]", '{"rows": [NaN]}', '{"rows": 1}'):
        (small / name).write_text(text)
        with pytest.raises(UserError) as error:
            report_inputs.read_document(small, name)
        assert f"{small}/{name}: damaged" in str(error.value)
        assert f"make it again with {command}" in str(error.value)
    with pytest.raises(UserError, match="damaged"):
        make_report.main([str(small)])
    assert not (small / "report.html").exists()


@pytest.mark.parametrize(
    "points", [{"true": [1]}, {"true": [1], "estimated": []}, 3,
               {"true": [None], "estimated": [1]}]
)  # fmt: skip
def test_damaged_points_are_named(small, points):
    with pytest.raises(UserError, match="ages.json: damaged.*report_ages"):
        report_inputs.age_points(small, {"rows": [], "points": points})


def test_names_are_text_and_nothing_else(small):
    name = "<script>alert(1)</script> $x_1$ & \x07 \u4eba"
    rows = results.read(small)
    for row in rows:
        row.update(backend=name, command=f"run '{name}'", corpus={"name": name})
    (small / "results.json").write_text(json.dumps({"rows": rows}))
    row = {**EXTRAS["conditions.json"]["rows"][0], "condition": name, "value": name}
    (small / "conditions.json").write_text(json.dumps({"rows": [row]}))
    assert make_report.main([str(small)]) == 0
    page = Page(small / "report.html")
    assert "script" not in page.tags and "<script>alert(1)</script>" in page.text
    for path in (small / "pictures").glob("*.svg"):
        ET.parse(path)
    assert "$x_1$" in (small / "pictures" / "det_hard.svg").read_text()


def base_row(**changes) -> dict:
    row = dict.fromkeys(results.COLUMNS, "x")
    row.update(model="net_s1", seed=1, config="c", marks=[], corpus=None, n_target=9,
               n_nontarget=9, n_spk=9, eer=0.2, eer_lo=0.1, eer_hi=0.3)  # fmt: skip
    row.update({"mindcf_0.01": 0.5, "mindcf_0.05": 0.4, "mindcf_0.001": 0.9})
    return {**row, **changes}


def marked(rows: list[dict]) -> set[str]:
    """The texts of the cells that are the best of their list."""
    tables = report_tables.error_tables(report_tables.Systems(rows))
    cells = [cell for table in tables for _, body in table.groups
             for line in body for cell in line]  # fmt: skip
    assert all(cell.best == cell.text.startswith("\N{BLACK STAR}") for cell in cells)
    return {cell.text[2:] for cell in cells if cell.best}


def test_only_trained_unmarked_single_models_can_be_best():
    rows = [
        base_row(eer=0.25, model="net_s2", seed=2),
        base_row(eer=0.20, model="net", seed="mean(1,2)"),
        base_row(eer=0.10, backend="y", marks=["speaker-overlap"]),
        base_row(eer=0.05, model="floor", config="-", seed=None, marks=["best-of"]),
        base_row(eer=0.04, model="floor2", config="-", seed=None),
    ]
    assert marked(rows) == {"25.00"}
    assert marked(rows[1:]) == set()
    tie = [base_row(), base_row(backend="y")]
    assert marked(tie) == {"20.00"}
    rows = [base_row(trials="a"), base_row(trials="b", eer=0.3)]
    assert marked(rows) == {"20.00", "30.00"}


def test_a_row_carries_its_star_on_the_list_of_its_mark():
    rows = [base_row(trials="a"), base_row(trials="b", marks=["speaker-overlap"])]
    table = report_tables.error_tables(report_tables.Systems(rows))[0]
    cells = table.groups[0][1][0]
    assert [c.text for c in cells] == ["net_s1", "\N{BLACK STAR} 20.00", "20.00 *"]


def test_a_marked_row_carries_its_star_in_the_table_of_costs():
    rows = [base_row(few_errors=[], marks=marks) for marks in ([], ["speaker-overlap"])]
    for row, name in zip(rows, ("net_s1", "net_s1 *"), strict=True):
        table, _ = report_tables.cost_table(report_tables.Systems([row]))
        assert table.groups[0][1][0][0].text == name


def test_only_ratios_of_the_same_scores_are_folded():
    plain = base_row(backend="plda", eer=0.2, few_errors=[], cllr=None)
    ratios = {**plain, "backend": "plda_llr", "eer": 0.2 + 1e-9, "cllr": 0.3}
    (row,) = folded([plain, ratios])
    assert (row["backend"], row["cllr"], row["eer"]) == ("plda", 0.3, 0.2)
    for changes in (
        {"eer": 0.2001}, {"marks": ["speaker-overlap"]}, {"embeddings_sha256": "0"},
        {"model": "net_s2"}, {"trials_sha256": "0"},
    ):  # fmt: skip
        other = {**ratios, **changes}
        assert folded([plain, other]) == [plain, other], changes


def test_lists_stand_in_their_natural_order_and_references_once():
    names = ("CA10", "CA5", "hard", "Vox-CA5")
    reference = {"model": "floor", "config": "-", "seed": None, "marks": ["best-of"]}
    rows = [base_row(trials=name) for name in names]
    rows += [base_row(trials=n, backend=f"b{i % 2}", **reference)
             for i, n in enumerate(names)]  # fmt: skip
    systems = report_tables.Systems(rows)
    assert [key[1] for key in systems.lists] == ["CA5", "CA10", "hard", "Vox-CA5"]
    body = report_tables.error_tables(systems)[0].groups[0][1]
    assert [line[0].small for line in body] == ["x, seed 1", "best back end, untrained"]


def test_priors_are_found_by_their_prefix_and_few_errors_marked():
    row = base_row(few_errors=[0.001, "0.2"], **{"mindcf_0.2": 0.1, "actdcf_0.01": 1.5,
                                                 "actdcf_x": 3})  # fmt: skip
    table, few = report_tables.cost_table(report_tables.Systems([row]))
    assert few
    assert [(c.text, c.small) for c in table.head[1:]] == [
        ("minDCF", "P = 0.2"), ("minDCF", "P = 0.05"), ("minDCF", "P = 0.01"),
        ("minDCF", "P = 0.001"), ("actDCF", "P = 0.01"),
    ]  # fmt: skip
    cells = table.groups[0][1][0]
    assert [c.text for c in cells[1:]] == [
        "0.100 \N{DAGGER}", "0.400", "0.500", "0.900 \N{DAGGER}", "1.500"
    ]  # fmt: skip


@pytest.mark.parametrize(
    "more", [{"cllr": "x"}, {"intervals": [1]}, {"intervals": {"cllr": 3}},
             {"few_errors": 1}, {"llr": "yes"}, {"scores": "x"}, {"trials_path": 3}]
)  # fmt: skip
def test_odd_optional_values_do_no_harm(small, more):
    rows = [{**row, **more} for row in results.read(small)]
    (small / "results.json").write_text(json.dumps({"rows": rows}))
    systems = report_tables.Systems(rows)
    table, _ = report_tables.cost_table(systems)
    assert [len(group) for _, group in table.groups] == [1]
    assert len(report_tables.origins(systems)) == 1
    scored = report_inputs.Inputs(small).scores(rows[0])
    assert (scored is None) == bool({"scores", "trials_path"} & set(more))


@pytest.fixture
def scored() -> SortedTrials:
    generator = np.random.default_rng(3)
    is_target = generator.random(3000) < 0.3
    return SortedTrials(generator.normal(size=3000).round(2) + 2 * is_target, is_target)


def test_rates_are_those_of_scikit_learn(scored):
    p_miss, p_fa = curves.error_rates(scored)
    fpr, tpr, _ = roc_curve(scored.is_target, scored.scores, drop_intermediate=False)
    theirs = set(zip(fpr.round(12), (1 - tpr).round(12), strict=True))
    ours = list(zip(p_fa.round(12), p_miss.round(12), strict=True))
    assert ours[0] == (1, 0) and ours[-1] == (0, 1) and set(ours) <= theirs
    assert set(zip(*(x.round(12) for x in corners(fpr, 1 - tpr)), strict=True)) <= set(
        ours
    )


def corners(fpr, fnr):
    """Points of a stair where its direction changes, and both ends."""
    step = np.diff(np.stack([fpr, fnr]), axis=1) != 0
    turns = np.append(True, (step[:, 1:] != step[:, :-1]).any(axis=0))
    keep = np.append(turns, True)
    return fpr[keep], fnr[keep]


def test_a_thinned_curve_is_the_curve(scored):
    from scipy.stats import norm

    p_miss, p_fa = curves.error_rates(scored)
    x, y = curves.det_points(scored, 0.001)
    assert len(x) < len(p_fa)
    full = norm.ppf(np.clip([p_fa, p_miss], 0.001, 0.999))
    assert {*zip(x, y, strict=True)} <= {*zip(*full, strict=True)}
    near = np.abs(full[:, :, None] - np.stack([x, y])[:, None]).max(axis=0).min(axis=1)
    assert near.max() <= 1 / 80


def test_bayes_errors_by_hand(scored):
    log_odds = np.array([-4.6, -1.0, 0.0, 2.0])
    actual, least, few = curves.bayes_errors(scored, log_odds)
    target = scored.scores[scored.is_target]
    nontarget = scored.scores[~scored.is_target]
    thresholds = [-np.inf, *np.unique(scored.scores), np.inf]
    for number, odds in enumerate(log_odds):
        prior = 1 / (1 + np.exp(-odds))

        def cost(threshold, prior=prior):
            missed, accepted = target < threshold, nontarget >= threshold
            total = prior * missed.mean() + (1 - prior) * accepted.mean()
            return total / min(prior, 1 - prior)

        assert actual[number] == pytest.approx(cost(-odds))
        assert least[number] == pytest.approx(min(map(cost, thresholds)))
        errors = (target < -odds).sum(), (nontarget >= -odds).sum()
        assert few[number] == (min(errors) < 30)


def test_the_ages_of_an_enrolment_are_their_mean(small):
    data = small.parents[1] / "data" / "test"
    (data / "enrolments").write_text("both s00-0 s00-1\n")
    listed = data / "trials" / "hard"
    listed.write_text(
        "both s00-2 target\nboth s01-0 nontarget\ns01-1 s00-0 nontarget\n"
    )
    ages = report_inputs._ages_of_trials(data, read_trials(listed))
    np.testing.assert_allclose(ages, [[23.5, 23.5, 28], [34, 21, 20]])
    ages = (data / "utt2age").read_text().splitlines(keepends=True)
    (data / "utt2age").write_text("".join(ages[1:]))  # of s00-0
    ages = report_inputs._ages_of_trials(data, read_trials(listed))
    assert np.isnan(ages).tolist() == [[True, True, False], [False, False, True]]


def test_curves_of_a_training(tmp_path):
    make_curves(tmp_path / "curves")
    found = report_inputs.read_curves(tmp_path / "curves")
    assert found["loss"][0].tolist() == [10, 20, 30, 40]
    expected = [np.mean(5 / np.arange(n - 9, n + 1)) for n in (10, 20, 30, 40)]
    np.testing.assert_allclose(found["loss"][1], expected, rtol=1e-6)
    assert found["development_eer_percent"][1].tolist() == [12.5]
    assert report_inputs.read_curves(tmp_path / "none") == {}
    (tmp_path / "bad").mkdir()
    (tmp_path / "bad" / "events.out.tfevents.1.x").write_bytes(b"no such thing" * 50)
    assert report_inputs.read_curves(tmp_path / "bad") == {}


def test_a_large_picture_stands_in_the_page_as_png():
    picture = drawing.Picture("x", 'a "b"', "<svg>" + "x" * 300_000, b"\x89PNG")
    assert drawing.markup(picture) == (
        '<img alt="a &#34;b&#34;" src="data:image/png;base64,iVBORw==">'
    )


# Of dichromats, on linear RGB: Machado, Oliveira and Fernandes (2009), "A
# Physiologically-based Model for Simulation of Color Vision Deficiency", severity 1.
VISION = {
    "normal": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
}  # fmt: skip


def lab(colour: str, vision) -> np.ndarray:
    """CIE L*a*b* of a colour such as #0072B2 (D65), as seen by `vision`."""
    rgb = np.array([int(colour[at : at + 2], 16) / 255 for at in (1, 3, 5)])
    rgb = np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)
    rgb = np.clip(np.asarray(vision) @ rgb, 0, 1)
    xyz = [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    xyz = np.asarray(xyz) @ rgb / [0.95047, 1, 1.08883]
    f = np.where(xyz > 0.008856, np.cbrt(xyz), 7.787 * xyz + 16 / 116)
    return np.array([116 * f[1] - 16, 500 * (f[0] - f[1]), 200 * (f[1] - f[2])])


@pytest.mark.parametrize("vision", VISION)
def test_neighbouring_colours_are_told_apart(vision):
    seen = [lab(colour, VISION[vision]) for colour in drawing.COLOURS]
    for one, other in pairwise([*seen, seen[0]]):
        assert np.linalg.norm(one - other) > 20
        if vision == "normal":
            assert abs(one[0] - other[0]) > 10  # in lightness, for print in grey


def test_lines_differ_in_more_than_colour():
    styles = [drawing.style(number) for number in range(28)]
    assert len(set(styles)) == 28
    for one, other in pairwise(styles):
        assert one.dash != other.dash and one.marker != other.marker
    references = [drawing.reference_style(number) for number in range(4)]
    assert len(set(references)) == 4
    assert not {s.colour for s in references} & {s.colour for s in styles}


MEASURE = """JSON.stringify({
  title: document.title,
  wide: document.documentElement.scrollWidth > document.documentElement.clientWidth,
  headings: [...document.querySelectorAll('h2')].map(h => h.textContent),
  sizes: [...document.querySelectorAll('figure svg, figure img')].map(
    e => [e.getBoundingClientRect().width, e.getBoundingClientRect().height]),
  broken: [...document.images].filter(i => !i.complete || !i.naturalWidth).length,
  links: [...document.querySelectorAll('nav a')].filter(
    a => !document.querySelector(a.getAttribute('href'))).length})"""


def test_the_page_in_chromium(full, tmp_path):
    if chromium.find() is None:
        absent("there is no chromium")
    with chromium.Chromium(tmp_path / "profile") as browser:
        for width in (1200, 400):
            browser.open(full / "report.html", width)
            seen = json.loads(browser.evaluate(MEASURE))
            assert seen["title"] == "Speaker verification over time: results"
            assert tuple(seen["headings"]) == SECTIONS
            assert not seen["wide"], f"{width} pixels are not enough"
            assert seen["broken"] == seen["links"] == 0
            assert len(seen["sizes"]) == len(list((full / "pictures").glob("*.svg")))
            assert np.min(seen["sizes"]) > 100 and np.max(seen["sizes"]) < 1500
            for event in ("Log.entryAdded", "Runtime.consoleAPICalled",
                          "Runtime.exceptionThrown"):  # fmt: skip
                assert not browser.named(event)
            sent = browser.named("Network.requestWillBeSent")
            asked = {request["request"]["url"] for request in sent}
            asked = {url for url in asked if not url.startswith("data:")}
            assert asked == {(full / "report.html").as_uri()}
        assert browser.pdf().startswith(b"%PDF")

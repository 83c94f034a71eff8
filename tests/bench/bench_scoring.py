#!/usr/bin/env python3
"""Time scoring, score normalisation and error rates; print `name value unit` rows.

Usage: tests/bench/bench_scoring.py [--sizes N ...] [--backends NAME ...]
  e.g.: tests/bench/bench_scoring.py --sizes 1 4

Made-up vectors of 256 dimensions in the numbers of VoxCeleb1-E: 145,160 of 1,251
speakers, 579,818 trials, a cohort of 5,994; and N times as many vectors and trials.
Each row is a process, from ark to score file, or from score file to the table of
results (1,000 draws of speakers): seconds of one core and MB of memory; growth is
against the first size. In one process, and without files: the cosines of a list against
a loop that computes each by itself.
"""

import sys
import tempfile
import time
from pathlib import Path

import numpy as np
from timed_process import measure, run_apart

from chronovox import cli, kaldi_io
from chronovox.datadir import write_table
from chronovox.files import write_lines
from chronovox.scoring.cosine import cosine_scores

ROOT = Path(__file__).resolve().parents[2]
NUM_SPEAKERS, NUM_VECTORS, NUM_TRIALS, NUM_COHORT, DIM = 1251, 145160, 579818, 5994, 256
NUM_ONE_BY_ONE = 50000
BACKENDS = {
    "cosine": "score: cosine",
    "plda": "{center: true, length: sqrt, score: plda}",
    "asnorm1": "norm: {kind: as1, top: 300}",
    "asnorm2": "norm: {kind: as2, top: 300}",
}


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument(
        "--sizes", type=cli.positive_int, nargs="+", default=[1, 4],
        help="times VoxCeleb1-E; default: 1 4",
    )  # fmt: skip
    parser.add_argument(
        "--backends", nargs="+", choices=list(BACKENDS), default=list(BACKENDS),
        help="PLDA takes 8 GB at 4 times (all)",
    )  # fmt: skip
    return parser


def write_embeddings(folder: Path, names: list[str], vectors) -> None:
    folder.mkdir(parents=True)
    scp = folder / "xvector.scp"
    with kaldi_io.ArkWriter(folder / "xvector.ark", scp, ndim=1) as writer:
        for name, vector in zip(names, vectors, strict=True):
            writer.write(name, vector)


def make_data(folder: Path, size: int) -> None:
    """Data, embeddings and trials of the test side; the training side of the cohort."""
    rng = np.random.default_rng(0)
    num_vectors, num_trials = size * NUM_VECTORS, size * NUM_TRIALS
    speakers = np.sort(np.arange(num_vectors) % NUM_SPEAKERS)
    centres = rng.normal(size=(NUM_SPEAKERS, DIM)).astype(np.float32)
    names = [f"id{spk:05d}-{row:07d}" for row, spk in enumerate(speakers.tolist())]
    noise = (1.2 * rng.normal(size=DIM) for _ in names)
    vectors = (centres[s] + e for s, e in zip(speakers, noise, strict=True))
    write_embeddings(folder / "test", names, vectors)
    write_table(folder / "data/utt2spk", {name: name[:7] for name in names})
    # Each enrolment with those that follow it, and with those of other speakers.
    enrol = rng.permutation(num_vectors)[np.arange(num_trials) % num_vectors]
    step = 1 + np.arange(num_trials) // num_vectors
    step[::2] += num_vectors // 2
    test = (enrol + step) % num_vectors
    labels = np.where(speakers[enrol] == speakers[test], "target", "nontarget")
    rows = zip(enrol.tolist(), test.tolist(), labels.tolist(), strict=True)
    write_lines(folder / "list", (f"{names[a]} {names[b]} {x}" for a, b, x in rows))
    others = [f"t{n // 2:05d}-{n % 2}" for n in range(2 * NUM_COHORT)]
    vectors = (1.5 * rng.normal(size=DIM) for _ in others)
    write_embeddings(folder / "train", others, vectors)
    write_table(folder / "train/utt2spk", {name: name[:6] for name in others})
    (folder / "model").mkdir()
    for name, text in BACKENDS.items():
        (folder / f"{name}.yaml").write_text(f"{text}\n")


def times_as_fast() -> float:
    """The rate of cosine_scores against that of a loop over trials."""
    rng = np.random.default_rng(1)
    vectors = rng.normal(size=(20000, DIM)).astype(np.float32)
    enrol, test = rng.integers(len(vectors), size=(2, NUM_TRIALS))
    begin = time.perf_counter()
    scores = cosine_scores(vectors, enrol, test)
    middle = time.perf_counter()
    expected = np.empty(NUM_ONE_BY_ONE)
    for number in range(NUM_ONE_BY_ONE):
        a, b = vectors[enrol[number]], vectors[test[number]]
        expected[number] = a @ b / (np.linalg.norm(a) * np.linalg.norm(b))
    loop_s = time.perf_counter() - middle
    np.testing.assert_allclose(scores[:NUM_ONE_BY_ONE], expected, atol=1e-6)
    return loop_s / NUM_ONE_BY_ONE * NUM_TRIALS / (middle - begin)


def measure_size(folder: Path, backends: list[str]) -> dict[str, tuple[float, float]]:
    """Seconds and MB of each process."""
    used, log = {}, folder / "log"
    for name in backends:
        train = ROOT / "steps/train_backend.py"
        parts = folder / f"{name}.yaml", folder / "train", folder / "train"
        used[f"train_{name}"] = measure(
            [sys.executable, train, *parts, folder / name], log
        )
        command = [
            sys.executable, ROOT / "steps/score_trials.py", "--model", folder / "model",
            "--backend", folder / name, folder / "data", folder / "list",
            folder / "test", folder / f"list.{name}",
        ]  # fmt: skip
        used[f"score_{name}"] = measure(command, log)
    command = [
        sys.executable, ROOT / "steps/compute_metrics.py", folder / "data",
        folder / "list", folder / f"list.{backends[0]}", folder / "results",
    ]  # fmt: skip
    used["metrics"] = measure(command, log)
    return used


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    first = None
    for size in args.sizes:
        with tempfile.TemporaryDirectory() as name:
            folder = Path(name) / "bench"
            run_apart(make_data, folder, size)
            used = measure_size(folder, args.backends)
        for what, (seconds, memory_mb) in used.items():
            print(f"{what}_{size}x {seconds:.1f} s")
            print(f"{what}_{size}x_memory {memory_mb:.0f} MB")
            if first:
                print(f"{what}_{size}x_growth {seconds / first[what][0]:.1f} times")
        first = first or used
    print(f"cosine_against_one_by_one {times_as_fast():.1f} times_as_fast")
    return 0


if __name__ == "__main__":
    cli.run(main)

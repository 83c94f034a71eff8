"""PLDA adapted to another domain without labels, and PLDA files copied."""

import shutil

import numpy as np
import pytest
from scipy import linalg
from sklearn.metrics import roc_curve
from test_backend import KALDI_TEXT, draw, random_model, thirty_speakers
from test_scoring import score, train, world, write_embeddings  # noqa: F401  # fixture

import adapt_backend
import copy_plda
from chronovox import kaldi_io
from chronovox.cli import UserError
from chronovox.datadir import read_table, write_table
from chronovox.scoring import backend, plda
from chronovox.scoring.pairs import score_blocks
from chronovox.scoring.plda_file import read_plda

DIM = 4
PLDA = "center: true\nlength: sqrt\nscore: plda\n"


def textbook(between, within, found, within_share, between_share):
    """B and W after adaptation to the covariance `found`: where B + W is whitened and
    `found` diagonal there, what exceeds 1 is shared out."""
    root = linalg.sqrtm(between + within)
    ratio, turn = np.linalg.eigh(np.linalg.inv(root) @ found @ np.linalg.inv(root))
    surplus = root @ turn @ np.diag(np.clip(ratio - 1, 0, None)) @ turn.T @ root
    return between + between_share * surplus, within + within_share * surplus


@pytest.mark.parametrize("shares", [(0.75, 0.25), (0.3, 0.7), (1.0, 0.0), (0.5, 0.1)])
def test_adaptation_is_that_of_the_textbook(shares):
    mean, between, within = random_model()
    model = plda.from_covariances(mean, between, within)
    scale = np.diag([3.0, 1.5, 0.5, 0.2])
    vectors, _ = draw(1, mean + 5, scale @ between @ scale, within, np.full(30, 3))
    found = plda.adapted(model, vectors, *shares)
    expected = textbook(between, within, np.cov(vectors.T, bias=True), *shares)
    np.testing.assert_allclose(found.between, expected[0], rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.within, expected[1], rtol=0, atol=1e-8)
    np.testing.assert_allclose(found.mean, vectors.mean(axis=0))


def test_where_the_domain_varies_more_the_model_does_and_nowhere_less():
    """The shift is along known axes: twice the variance along the first, a third of it
    along the last."""
    mean, between, within = random_model()
    model = plda.from_covariances(mean, between, within)
    total = between + within
    values, axes = np.linalg.eigh(total)
    shifted = values * [1 / 3, 1, 1, 2]
    rng = np.random.default_rng(2)
    domain = axes * shifted @ axes.T
    vectors = rng.multivariate_normal(mean, domain, 50000)
    found = plda.adapted(model, vectors, 0.6, 0.4)
    now = found.between + found.within
    expected = axes * np.maximum(values, shifted) @ axes.T
    assert np.linalg.norm(now - expected) < 0.03 * np.linalg.norm(expected)
    for old, new in ((between, found.between), (within, found.within), (total, now)):
        assert np.linalg.eigvalsh(new - old).min() > -1e-9
    again = plda.adapted(found, vectors, 0.6, 0.4)  # nothing is left to share
    np.testing.assert_allclose(again.between, found.between, atol=1e-8)
    np.testing.assert_allclose(again.within, found.within, atol=1e-8)


@pytest.mark.parametrize("number", [1000, 100000])
def test_vectors_of_the_model_itself_change_it_by_their_sampling_error_alone(number):
    mean, between, within = random_model()
    model = plda.from_covariances(mean, between, within)
    vectors, _ = draw(3, mean, between, within, np.full(number, 1))
    found = plda.adapted(model, vectors, 0.75, 0.25)
    # The largest eigenvalue of a sample covariance is about (1 + sqrt(D / N))^2.
    most = 2 * ((1 + np.sqrt(DIM / number)) ** 2 - 1)
    total = between + within
    ratio = linalg.eigvalsh(found.between + found.within, total)
    assert ratio.min() > 1 - 1e-9 and ratio.max() < 1 + most


def eer(model: plda.Plda, vectors, speakers) -> float:
    """Of all pairs, by scikit-learn's ROC."""
    places = model.coordinates(vectors, 1, "none")
    ((_, scores),) = score_blocks(model.sides(places, 1, places))
    upper = np.triu_indices(len(vectors), 1)
    same = (speakers[:, None] == speakers)[upper]
    alarms, hits, _ = roc_curve(same, scores[upper])
    nearest = np.argmin(np.abs(alarms - (1 - hits)))
    return (alarms[nearest] + 1 - hits[nearest]) / 2


@pytest.mark.parametrize(
    ("inflated", "shares"), [("within", (1, 0)), ("both", (0.5, 0.5))]
)
def test_the_error_rate_on_shifted_vectors_falls(inflated, shares):
    """As where a channel that training never heard moves vectors along some axes."""
    rng = np.random.default_rng(4)
    dim = 12
    mean, between, within = rng.normal(size=dim), np.eye(dim), np.eye(dim)
    model = plda.from_covariances(mean, between, within)
    axes = np.linalg.qr(rng.normal(size=(dim, 3)))[0]
    within = within + 30 * axes @ axes.T
    if inflated == "both":
        between = between + 10 * axes @ axes.T
    vectors, _ = draw(5, mean + 1, between, within, np.full(600, 2))
    test, speakers = draw(6, mean + 1, between, within, np.full(100, 5))
    before = eer(model, test, speakers)
    after = eer(plda.adapted(model, vectors, *shares), test, speakers)
    best = eer(plda.from_covariances(mean + 1, between, within), test, speakers)
    assert after < 0.75 * before and after < best + 0.25 * (before - best)


# The steps


def adapt(world, folder, *options, embeddings="test", out="adapted"):  # noqa: F811
    model = world["model"]
    out = model / "backends" / out
    words = [*options, folder, world["data"], model / embeddings, out]
    assert adapt_backend.main([str(word) for word in words]) == 0
    return out


@pytest.fixture
def shifted(world):  # noqa: F811
    """Embeddings `shift` of speakers u0 to u3, and `train` of thirty; DATA has both
    those and the three speakers of the trials."""
    thirty_speakers(world)
    rng = np.random.default_rng(7)
    vectors = {f"u{n}-{u:02d}": 4 * rng.normal(size=16) + 2 for n in range(4)
               for u in range(20)}  # fmt: skip
    write_embeddings(world["model"] / "shift", vectors)
    utts = sorted([*vectors, *world["vectors"]])
    write_table(world["data"] / "utt2spk", {utt: utt[:2] for utt in utts})
    return np.stack([vectors[utt] for utt in sorted(vectors)]).astype(np.float32)


def test_everything_but_plda_and_the_mean_stays(world, shifted):  # noqa: F811
    text = f"lda_dim: 8\n{PLDA}norm: {{kind: s}}\n"
    folder = train(world, "plda", text, "more")
    out = adapt(
        world, folder, "--within-share", "0.5", "--between-share", "0.4",
        embeddings="shift",
    )  # fmt: skip
    assert (out / "config.yaml").read_bytes() == (folder / "config.yaml").read_bytes()
    for name in ("transform.mat", "cohort", "cohort.ark"):
        assert (out / name).read_bytes() == (folder / name).read_bytes()
    mean = kaldi_io.read_vector(str(out / "mean.vec"))
    np.testing.assert_allclose(mean, shifted.mean(axis=0), rtol=1e-5)
    before, after = backend.load(folder), backend.load(out)
    moved = (shifted - mean) @ before.transform.T
    moved *= np.sqrt(8) / np.linalg.norm(moved, axis=1, keepdims=True)
    expected = plda.adapted(before.model, moved, 0.5, 0.4)
    np.testing.assert_allclose(after.model.within, expected.within, rtol=1e-4)
    np.testing.assert_allclose(after.model.between, expected.between, rtol=1e-4)
    # What it was adapted to may not be tested either, and neither the training.
    counts = read_table(out / "speakers")
    assert counts == {**dict.fromkeys(read_table(folder / "speakers"), "4"),
                      **{f"u{n}": "20" for n in range(4)}}  # fmt: skip
    score(world, backend=out)
    found = {**world["vectors"], "u0-00": shifted[0]}
    shutil.rmtree(world["model"] / "test")
    write_embeddings(world["model"] / "test", found)
    (world["data"] / "list").write_text("s0-0 s0-1 target\nu0-00 s0-1 nontarget\n")
    with pytest.raises(UserError, match=r"1 of 2 speakers .*adapted/speakers: u0"):
        score(world, backend=out)


def test_speakers_of_both_are_counted_together(world, shifted):  # noqa: F811
    folder = train(world, "plda", PLDA, "more")
    names = {f"u{n}-{u:02d}": f"t{n:02d}" for n in range(4) for u in range(20)}
    write_table(world["data"] / "utt2spk", names)
    counts = read_table(adapt(world, folder, embeddings="shift") / "speakers")
    assert len(counts) == 30 and counts["t03"] == "24" and counts["t04"] == "4"


def test_without_centring_there_is_no_mean(world, shifted):  # noqa: F811
    folder = train(world, "plda", "score: plda\n", "more")
    out = adapt(world, folder, embeddings="shift")
    assert not (out / "mean.vec").exists()
    found = read_plda(out / "plda")
    np.testing.assert_allclose(found.mean, shifted.mean(axis=0), rtol=1e-5)


def test_what_cannot_be_adapted_is_refused(world, shifted, caplog):  # noqa: F811
    folder = train(world, "plda", PLDA, "more")
    with pytest.raises(UserError, match="plda: is the back end itself: write to"):
        adapt(world, folder, out="plda")
    assert backend.load(folder).model is not None
    mean = train(world, "mean", "center: true\n", "more")
    with pytest.raises(UserError, match="mean and .*xvector.scp: it has no PLDA"):
        adapt(world, mean)
    with pytest.raises(UserError, match="adapted: no trained back end"):
        backend.load(world["model"] / "backends" / "adapted")
    write_embeddings(world["model"] / "one", {"s0-0": np.ones(16)})
    with pytest.raises(UserError, match="a single vector does not vary"):
        adapt(world, folder, embeddings="one")
    write_embeddings(world["model"] / "wide", {f"s{n}-0": np.ones(17) for n in (0, 1)})
    with pytest.raises(UserError, match="dimension 17, but .* trained on 16"):
        adapt(world, folder, embeddings="wide")
    with pytest.raises(UserError, match="utt2spk: no line for 't00-0'"):
        adapt(world, folder, embeddings="more")
    write_table(folder / "made_from", {"final.pt": "0" * 64})
    with pytest.raises(UserError, match="shift/made_from: not the network of"):
        adapt(world, folder, embeddings="shift")
    (folder / "made_from").unlink()
    adapt(world, folder)
    assert "6 vectors of dimension 16: too few to tell" in caplog.text


def test_plda_is_copied_as_text_and_smoothed(tmp_path):
    """Kaldi adds X psi to the variance within, which is 1, and makes it 1 again."""
    first, text, binary, smooth = (str(tmp_path / name) for name in "abcd")
    (tmp_path / "a").write_text(KALDI_TEXT)
    assert copy_plda.main([first, binary]) == 0
    assert copy_plda.main(["--text", "true", binary, text]) == 0
    assert (tmp_path / "c").read_bytes().startswith(b"\0B<Plda> ")
    words = (tmp_path / "b").read_text().split()
    kaldi = KALDI_TEXT.split()
    assert [w for w in words if w[-1] in "[]>"] == [w for w in kaldi if w[-1] in "[]>"]
    numbers = [[float(w) for w in x if w[-1].isdigit()] for x in (words, kaldi)]
    assert numbers[0] == numbers[1]
    assert copy_plda.main(["--smoothing", "0.1", binary, smooth]) == 0
    model = read_plda(smooth)
    np.testing.assert_allclose(model.psi, [3.5 / 1.35, 0.25 / 1.025])
    rows = np.array([[2, 0.125], [-0.5, 1]]) / np.sqrt([[1.35], [1.025]])
    np.testing.assert_allclose(model.transform, rows)
    with pytest.raises(UserError, match="none: No such file"):
        copy_plda.main([str(tmp_path / "none"), binary])

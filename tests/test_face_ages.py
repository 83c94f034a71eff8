"""Ages of faces: the step, its errors, and what a published network says of people."""

import os
import subprocess
import sys
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
import yaml
from caffe_files import NARROW, caffe_layers, write_caffemodel
from conftest import ROOT
from keras_files import ssrnet_layers, write_keras
from scipy import stats

import estimate_face_ages
from chronovox import kaldi_io
from chronovox.cli import UserError
from chronovox.datadir import read_floats, write_table
from chronovox.faces import ages
from chronovox.models.ssrnet import SSRNetConfig
from chronovox.models.vgg16 import VGG16
from chronovox.training.checkpoint import save_state

VGG = {"type": "vgg16", "widths": NARROW.widths, "hidden": NARROW.hidden}


@pytest.fixture
def data(tmp_path) -> Path:
    """Seven faces, of which one is cut off."""
    rng = np.random.default_rng(0)
    faces = {}
    (tmp_path / "data/faces").mkdir(parents=True)
    for number in range(7):
        path = tmp_path / f"{number} x.jpg"
        cv2.imwrite(str(path), rng.integers(0, 256, (90, 80, 3), np.uint8))
        faces[f"f{number}"] = path
    faces["f3"].write_bytes(faces["f3"].read_bytes()[:-500])
    write_table(tmp_path / "data/faces/face.scp", faces)
    return tmp_path / "data"


def write_config(path: Path, **changes) -> Path:
    weights = path.with_name("x.caffemodel")
    if not weights.exists():
        write_caffemodel(weights, caffe_layers(NARROW))
    settings = {"network": VGG, "weights": str(weights), "batch_size": 4, **changes}
    path.write_text(yaml.safe_dump(settings))
    return path


def job(settings: Path, data: Path, parts: Path) -> Path:
    parts.mkdir(exist_ok=True)
    words = [settings, data / "faces/face.scp", parts, 1]
    assert estimate_face_ages.main([str(word) for word in words]) == 0
    return parts


def shell(*words) -> subprocess.CompletedProcess:
    return subprocess.run(
        ["steps/estimate_face_ages.sh", *map(str, words)],
        cwd=ROOT, env={**os.environ, "CHRONOVOX_PYTHON": sys.executable},
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, check=False,
    )  # fmt: skip


def test_the_age_is_the_expectation_of_the_posterior(data, tmp_path):
    settings = write_config(tmp_path / "x.yaml")
    parts = job(settings, data, tmp_path / "parts")
    faces, posteriors = kaldi_io.read_vectors(parts / "face_age.1.scp")
    years = read_floats(parts / "face2age.1")
    assert faces == list(years) == ["f0", "f1", "f2", "f4", "f5", "f6"]
    assert posteriors.shape == (6, 101)
    np.testing.assert_allclose(posteriors.sum(axis=1), 1, rtol=1e-5)
    expected = posteriors.astype(np.float64) @ np.arange(101)
    np.testing.assert_allclose(list(years.values()), expected, atol=1e-3)
    assert (parts / "dropped.1").read_text().startswith("f3 ")
    # From the picture on, by OpenCV and a plain network:
    picture = cv2.resize(cv2.imread(str(tmp_path / "5 x.jpg")), (224, 224))
    network = VGG16(NARROW).eval()
    state = torch.nn.utils.parameters_to_vector(network.parameters())
    blobs = [
        torch.from_numpy(b).ravel() for b in sum(caffe_layers(NARROW).values(), [])
    ]
    assert state.numel() == sum(map(len, blobs))
    torch.nn.utils.vector_to_parameters(torch.cat(blobs), network.parameters())
    with torch.inference_mode():
        logits = network(torch.from_numpy(picture).permute(2, 0, 1)[None].float())
    np.testing.assert_allclose(logits.softmax(dim=1)[0], posteriors[4], rtol=1e-4)


def test_a_batch_does_not_matter(data, tmp_path):
    whole = job(write_config(tmp_path / "x.yaml"), data, tmp_path / "whole")
    single = write_config(tmp_path / "y.yaml", batch_size=1)
    single = job(single, data, tmp_path / "single")
    pairs = [
        kaldi_io.read_vectors(parts / "face_age.1.scp")[1] for parts in (whole, single)
    ]
    assert np.linalg.norm(pairs[0] - pairs[1]) <= 1e-5 * np.linalg.norm(pairs[0])


def test_jobs_lose_and_repeat_nothing(data, tmp_path):
    settings = write_config(tmp_path / "x.yaml")
    options = ("--nj", 3, "--config", settings)
    exp = tmp_path / "exp"
    done = shell(*options, data, exp)
    assert done.returncode == 1 and "more than --max-fail-ratio 0.05" in done.stdout
    assert not (exp / "face2age").exists() and not (exp / "face_age.scp").exists()
    done = shell(*options, "--max-fail-ratio", "0.2", data, exp)
    assert done.returncode == 0 and "7 in, 6 out, 1 dropped" in done.stdout, done.stdout
    assert (exp / "dropped").read_text() == f"f3 {tmp_path}/3 x.jpg: " + (
        "the picture is cut off\n"
    )
    faces, posteriors = kaldi_io.read_vectors(exp / "face_age.scp")
    years = read_floats(exp / "face2age")
    assert faces == list(years) and len(faces) == 6
    alone = job(settings, data, tmp_path / "alone")
    _, expected = kaldi_io.read_vectors(alone / "face_age.1.scp")
    np.testing.assert_allclose(posteriors, expected, rtol=1e-4, atol=1e-7)
    assert (exp / "config.yaml").read_bytes() == settings.read_bytes()
    assert not (exp / "parts").exists()


def test_a_job_that_was_killed_goes_on(data, tmp_path, monkeypatch):
    """Thousands that were done are kept, unless pictures or settings have changed."""
    monkeypatch.setattr(estimate_face_ages, "CHUNK", 2)
    settings = write_config(tmp_path / "x.yaml", batch_size=2)
    whole = job(settings, data, tmp_path / "whole")
    asked, kills, estimate_all = [], [KeyboardInterrupt], ages.estimate_all

    def counted(network, read, paths, batch_size):
        asked.append([Path(path).name[0] for path in paths])
        if kills and len(asked) == 3:
            raise kills.pop()  # f0 to f3 are done
        return estimate_all(network, read, paths, batch_size)

    monkeypatch.setattr(ages, "estimate_all", counted)
    parts = tmp_path / "parts"
    with pytest.raises(KeyboardInterrupt):
        job(settings, data, parts)
    job(settings, data, parts)
    assert asked[2:] == [["4", "5"], ["4", "5"], ["6"]]
    for name in ("face2age.1", "dropped.1"):
        assert (parts / name).read_bytes() == (whole / name).read_bytes()
    found, expected = (
        kaldi_io.read_vectors(folder / "face_age.1.scp") for folder in (parts, whole)
    )
    assert found[0] == expected[0] and (found[1] == expected[1]).all()
    del asked[:]
    job(settings, data, parts)
    assert not asked
    picture = tmp_path / "4 x.jpg"
    picture.write_bytes((tmp_path / "5 x.jpg").read_bytes())
    job(settings, data, parts)
    assert asked == [["4", "5"]]
    years = read_floats(parts / "face2age.1")
    assert years["f4"] == years["f5"]
    (parts / "chunk.1.2.json").write_text("{")
    job(settings, data, parts)
    assert asked[1:] == [["2", "3"]]
    del asked[:]
    job(write_config(tmp_path / "x.yaml", batch_size=1), data, parts)
    assert len(asked) == 4


def test_a_network_without_posteriors_leaves_none_of_an_earlier_one(
    data, tmp_path, shared_data
):
    """Nor of one that was killed while it joined its parts."""
    exp = tmp_path / "exp"
    (exp / "parts").mkdir(parents=True)
    for path in (exp / "face_age.scp", exp / "parts/face_age.scp",
                 exp / "parts/face_age.1.scp"):  # fmt: skip
        path.write_text("f0 nowhere:1\n")
    settings = write_config(
        tmp_path / "x.yaml", network={"type": "ssrnet"},
        weights=str(shared_data / "weights/SSR-Net/ssrnet_wiki.h5"),
    )  # fmt: skip
    done = shell("--nj", 1, "--config", settings, "--max-fail-ratio", 0.2, data, exp)
    assert done.returncode == 0 and "7 in, 6 out" in done.stdout, done.stdout
    assert not list(exp.glob("face_age*"))


def test_a_record_goes_before_its_posteriors(data, tmp_path, monkeypatch):
    """Settings A, then B killed before its record is written, then A again."""
    first = write_config(tmp_path / "a.yaml")
    parts = job(first, data, tmp_path / "parts")
    expected = kaldi_io.read_vectors(parts / "face_age.1.scp")[1]
    layers = caffe_layers(NARROW)
    layers["fc8-101"] = [2 * blob for blob in layers["fc8-101"]]
    other = write_caffemodel(tmp_path / "b.caffemodel", layers)
    second = write_config(tmp_path / "b.yaml", weights=str(other))

    def killed(path, *_):
        raise KeyboardInterrupt

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(estimate_face_ages.files, "atomic_write", killed)
        job(second, data, parts)
    job(first, data, parts)
    found = kaldi_io.read_vectors(parts / "face_age.1.scp")[1]
    np.testing.assert_array_equal(found, expected)


def test_odd_pictures_are_dropped_and_listed(data, tmp_path):
    os.mkfifo(tmp_path / "pipe")
    odd = ["/proc/self/mem", tmp_path / "pipe", tmp_path / ("x" * 300), tmp_path]
    faces = {f"f{n}": path for n, path in enumerate([*odd, tmp_path / "0 x.jpg"])}
    write_table(data / "faces/face.scp", faces)
    parts = job(write_config(tmp_path / "x.yaml"), data, tmp_path / "parts")
    assert list(read_floats(parts / "face2age.1")) == ["f4"]
    lines = (parts / "dropped.1").read_text().splitlines()
    assert [line.split()[0] for line in lines] == ["f0", "f1", "f2", "f3"]
    assert "mem" in lines[0] and "cannot be read" in lines[0]


def test_keras_weights_for_another_kind_of_network_are_refused(data, tmp_path):
    weights = write_keras(tmp_path / "x.h5", ssrnet_layers(SSRNetConfig()))
    settings = write_config(tmp_path / "x.yaml", weights=str(weights))
    with pytest.raises(UserError, match="x.h5: weights of another network"):
        job(settings, data, tmp_path / "parts")


def test_ages_of_an_earlier_run_do_not_stay_when_stage_1_fails(data, tmp_path):
    names = {f"f{n}": "u" for n in range(7)}
    write_table(data / "faces/face2utt", names)
    write_table(data / "utt2spk", {"u": "s"})
    write_table(data / "utt2session", {"u": "v"})
    for name, text in (("utt2age", "u 30\n"), ("utt2age.source", "label_ages x: y\n")):
        (data / name).write_text(text)
    script = ROOT / "steps/make_ages.sh"
    words = ["--config", write_config(tmp_path / "x.yaml"), data, tmp_path / "exp"]
    done = subprocess.run(
        [script, *map(str, words)], cwd=ROOT, capture_output=True, text=True,
        env={**os.environ, "CHRONOVOX_PYTHON": sys.executable}, check=False,
    )  # fmt: skip
    assert done.returncode == 1 and "1 of 7 were dropped" in done.stderr, done.stderr
    assert not list(data.glob("utt2age*"))


def test_errors_name_file_and_remedy(data, tmp_path):
    def refused(message: str, **changes) -> None:
        settings = write_config(tmp_path / "x.yaml", **changes)
        with pytest.raises(UserError, match=message):
            job(settings, data, tmp_path / "parts")

    refused("none.pt: no such file: get the", weights=str(tmp_path / "none.pt"))
    refused(
        "x.yaml: network: type 'vgg19' is not one of vgg16, ssrnet",
        network={"type": "vgg19"},
    )
    refused("unknown key 'hiden'", network={"type": "vgg16", "hiden": 3})
    refused("fc6.weight: shape .* wanted, found", network={**VGG, "hidden": 25})
    refused("margin from 0 to 2", crop={"detector": "x", "margin": -1})
    refused("none.onnx: no such file", crop={"detector": "none.onnx"})
    refused("batch_size is from 1", batch_size=0)
    done = shell("--config", tmp_path / "none.yaml", data, tmp_path / "exp")
    assert done.returncode == 1 and "no such file" in done.stdout
    assert shell(data).returncode == 2


def test_a_state_dict_fills_the_network(data, tmp_path):
    torch.manual_seed(0)
    network = VGG16(NARROW).eval()
    save_state(network.state_dict(), tmp_path / "x.pt")
    settings = ages.FaceAgeConfig(str(tmp_path / "x.pt"), VGG)
    face = np.full((224, 224, 3), 77, np.uint8)
    (found,) = ages.estimate(ages.load_network(settings), [face])
    (expected,) = ages.estimate(network, [face])
    assert found.years == expected.years


def test_what_is_no_age_is_refused():
    for years in (-1.0, 121.0, float("nan"), float("inf")):
        found = ages._plausible(ages.Estimate(years, None), "x.jpg")
        assert isinstance(found, UserError) and "x.jpg: an age of" in str(found)


@pytest.mark.parametrize("name", ["dex", "ssrnet"])
def test_the_settings_of_conf_are_valid(name):
    settings = ages.load_settings(ROOT / f"conf/{name}.yaml")
    with torch.device("meta"):
        assert ages.build(settings.network)
    assert settings.crop is None or settings.crop.margin == 0.4


# Born in; the photographs of Labeled Faces in the Wild are of about 2003.
BORN = {
    "Ariel_Sharon": 1928, "Arnold_Schwarzenegger": 1947, "Colin_Powell": 1937,
    "Donald_Rumsfeld": 1932, "George_W_Bush": 1946, "Gerhard_Schroeder": 1944,
    "Hugo_Chavez": 1954, "Jacques_Chirac": 1932, "Tony_Blair": 1953,
    "Vladimir_Putin": 1952,
}  # fmt: skip


@pytest.mark.parametrize(
    ("weights", "error_years", "bias_years", "spearman"),
    [("imdb", 8.77, -8.77, 0.948), ("wiki", 5.31, -4.03, 0.948)],
)
def test_published_ages_of_public_figures(
    shared_data, weights, error_years, bias_years, spearman
):
    """Ten people, ten photographs each; figures of the mean of each person.

    Such people are among those that the networks were trained on.
    """
    settings = ages.load_settings(ROOT / "conf/ssrnet.yaml")
    network = ages.load_network(
        ages.FaceAgeConfig(
            str(shared_data / f"weights/SSR-Net/ssrnet_{weights}.h5"), settings.network
        )
    )
    crop = ages.CropConfig(
        str(shared_data / "weights/YuNet/yunet_n_dynamic.onnx"),
        margin=settings.crop.margin,
    )
    read = ages.face_reader(crop, network.image_size)
    means = []
    for person in BORN:
        folder = shared_data / "faces/lfw_subset" / person
        paths = [str(path) for path in sorted(folder.glob("*.jpg"))]
        assert len(paths) == 10
        found = [*ages.estimate_all(network, read, paths, 10)]
        means.append(np.mean([each.years for each in found]))
    errors = np.array(means) - [2003 - born for born in BORN.values()]
    assert np.abs(errors).mean() == pytest.approx(error_years, abs=0.3)
    assert errors.mean() == pytest.approx(bias_years, abs=0.3)
    born = [-year for year in BORN.values()]

    def correlation(means):
        return stats.spearmanr(means, born).statistic

    assert correlation(means) == pytest.approx(spearman, abs=0.05)
    test = stats.permutation_test(
        (means,), correlation, permutation_type="pairings", n_resamples=4999,
        alternative="greater", rng=np.random.default_rng(0),
    )  # fmt: skip
    assert test.pvalue < 0.001

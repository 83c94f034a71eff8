"""Fbank and MFCC against kaldi-native-fbank on real speech, and CMN."""

import numpy as np
import pytest
import soundfile
from data_dirs import noise
from kaldi_features import SETTINGS, oracle, replace

from chronovox.cli import UserError
from chronovox.features import Extractor, apply_cmn


@pytest.fixture(scope="module")
def speech(shared_data):
    """40 recordings, spread evenly over all of the real speech."""
    paths = sorted((shared_data / "speech").glob("*/*/*/*.flac"))
    paths = paths[:: len(paths) // 40][:40]
    return [soundfile.read(path, dtype="float32")[0] for path in paths]


@pytest.mark.parametrize("snip_edges", [False, True])
@pytest.mark.parametrize("name", ["fbank", "mfcc"])
def test_parity_on_real_speech(speech, name, snip_edges):
    settings = replace(SETTINGS[name], snip_edges=snip_edges)
    extractor = Extractor(settings)
    worst, mean = [], []
    for samples in speech:
        ours, theirs = extractor(samples), oracle(samples, settings)
        assert ours.shape == theirs.shape and ours.dtype == np.float32
        difference = np.abs(ours - theirs)
        worst.append(difference.max())
        mean.append(difference.mean())
    print(f"{name}: median {np.median(worst):.1e}, worst {max(worst):.1e}")
    assert len(worst) == 40
    assert np.median(worst) <= 1e-3
    assert max(worst) <= 1e-2
    assert max(mean) <= 1e-4


@pytest.mark.parametrize(
    "changes",
    [
        {"window": "hamming"},
        {"window": "hanning"},
        {"window": "rectangular"},
        {"use_energy": True},
        {"high_freq": 0.0},
        {"high_freq": -400.0},
        {"sampling_rate": 8000, "high_freq": 3700.0, "num_mel_bins": 23},
        {"sampling_rate": 22050, "frame_shift_ms": 12.5},
        {"sampling_rate": 44100, "snip_edges": True},
    ],
)
def test_parity_of_other_settings(changes):
    settings = replace(SETTINGS["fbank"], **changes)
    samples = noise(30011)
    ours, theirs = Extractor(settings)(samples), oracle(samples, settings)
    assert ours.shape == theirs.shape
    np.testing.assert_allclose(ours, theirs, atol=1e-2)
    assert np.median(np.abs(ours - theirs)) < 1e-4


@pytest.mark.parametrize("snip_edges", [False, True])
@pytest.mark.parametrize(
    "num_samples",
    [0, 1, 79, 80, 81, 200, 239, 240, 241, 399, 400, 401, 559, 560, 41000],
)
def test_frames_of_short_and_odd_lengths(num_samples, snip_edges):
    settings = replace(SETTINGS["mfcc"], snip_edges=snip_edges)
    samples = noise(num_samples + 1)[:num_samples]
    ours, theirs = Extractor(settings)(samples), oracle(samples, settings)
    assert ours.shape == theirs.shape == (settings.num_frames(num_samples), 30)
    np.testing.assert_allclose(ours, theirs, atol=2e-3)


def test_three_seconds_are_300_frames_and_298_with_snip_edges():
    assert SETTINGS["fbank"].num_frames(48000) == 300
    assert replace(SETTINGS["fbank"], snip_edges=True).num_frames(48000) == 298


def test_log_energy_is_c0_of_mfcc():
    for name in ("fbank", "mfcc"):
        energy = Extractor(SETTINGS[name]).log_energy(noise(30000))
        c0 = oracle(noise(30000), SETTINGS["mfcc"])[:, 0]
        np.testing.assert_allclose(energy, c0, atol=1e-4)


def test_features_do_not_change_their_input():
    samples = noise(3000)
    Extractor(SETTINGS["fbank"])(samples)
    np.testing.assert_array_equal(samples, noise(3000))


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"type": "plp"}, "'plp' is not one of fbank, mfcc"),
        ({"sampling_rate": 8000}, "high_freq 7600 is no band below 4000 Hz"),
        ({"low_freq": 8000.0}, "low_freq 8000"),
        ({"frame_shift_ms": 0.0}, "frame_shift_ms must be above 0"),
        ({"frame_shift_ms": 30.0}, "frame_shift_ms must be above 0"),
        ({"num_mel_bins": 3}, "num_mel_bins must be from 4 to"),
        ({"type": "mfcc", "num_ceps": 81}, "num_ceps must be from 1 to num_mel_bins"),
        ({"preemphasis": 2.0}, "preemphasis"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(UserError, match=message):
        replace(SETTINGS["fbank"], **changes)


def sliding_mean_by_loop(features, window):
    """Kaldi's definition of the centred window, frame by frame."""
    num_frames = len(features)
    result = np.empty_like(features)
    for t in range(num_frames):
        start = t - window // 2
        end = start + window
        if start < 0:
            end -= start
            start = 0
        if end > num_frames:
            start -= end - num_frames
            end = num_frames
            start = max(start, 0)
        result[t] = features[t] - features[start:end].astype(np.float64).mean(axis=0)
    return result


@pytest.mark.parametrize("num_frames", [1, 2, 7, 10, 11, 50, 299, 300, 301, 900])
@pytest.mark.parametrize("window", [1, 10, 11, 300])
def test_sliding_cmn_follows_kaldi(num_frames, window):
    rng = np.random.default_rng(num_frames)
    features = rng.normal(15, 5, (num_frames, 4)).astype(np.float32)
    ours = apply_cmn(features, "sliding", window)
    assert ours.dtype == np.float32
    np.testing.assert_allclose(ours, sliding_mean_by_loop(features, window), atol=1e-5)


def test_cmn_of_the_utterance():
    features = np.random.default_rng(0).normal(15, 5, (70, 4)).astype(np.float32)
    ours = apply_cmn(features, "utterance")
    np.testing.assert_allclose(ours.mean(axis=0), 0, atol=1e-5)
    np.testing.assert_allclose(ours, apply_cmn(features, "sliding", 70), atol=1e-5)
    assert apply_cmn(features, "none") is features
    with pytest.raises(ValueError, match="not 'slide'"):
        apply_cmn(features, "slide")

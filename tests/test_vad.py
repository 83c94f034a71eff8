"""Energy VAD against a plain loop over Kaldi's definition, and its step."""

import kaldi_native_io
import numpy as np
import pytest
import soundfile
from conftest import ROOT
from data_dirs import make_noise_dir, noise
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

import compute_vad
from chronovox import config, kaldi_io
from chronovox.cli import UserError
from chronovox.datadir import read_table
from chronovox.features import Extractor, FeatureConfig, VadConfig, energy_vad

DEFAULT = config.load(ROOT / "conf/vad.yaml", VadConfig)


def vad_by_loop(log_energy, settings):
    num_frames = len(log_energy)
    threshold = settings.energy_threshold
    if settings.energy_mean_scale:
        mean = sum(float(value) for value in log_energy) / num_frames
        threshold += settings.energy_mean_scale * mean
    voiced = []
    for t in range(num_frames):
        above = total = 0
        for near in range(t - settings.frames_context, t + settings.frames_context + 1):
            if 0 <= near < num_frames:
                total += 1
                above += float(log_energy[near]) > threshold
        voiced.append(1.0 if above >= total * settings.proportion_threshold else 0.0)
    return voiced


@given(
    log_energy=hnp.arrays(
        np.float32, st.integers(1, 40), elements=st.floats(-16, 30, width=32)
    ),
    scale=st.sampled_from([0.0, 0.5, 1.0]),
    proportion=st.sampled_from([0.12, 0.5, 0.6, 0.99]),
    context=st.integers(0, 6),
)
def test_vad_is_that_of_kaldi(log_energy, scale, proportion, context):
    settings = VadConfig(5.5, scale, proportion, context)
    ours = energy_vad(log_energy, settings)
    assert ours.dtype == np.float32
    assert ours.tolist() == vad_by_loop(log_energy, settings)


def test_defaults_are_those_of_the_voxceleb_recipe():
    assert VadConfig(5.5, 0.5, 0.12, 2) == DEFAULT
    assert energy_vad(np.empty(0, np.float32), DEFAULT).shape == (0,)


def test_vad_of_real_speech_finds_speech_and_pauses(shared_data):
    paths = sorted((shared_data / "speech/librispeech_tc100").glob("*/*/*.flac"))[:10]
    extractor = Extractor(config.load(ROOT / "conf/mfcc.yaml", FeatureConfig))
    shares = []
    for path in paths:
        energy = extractor.log_energy(soundfile.read(path, dtype="float32")[0])
        voiced = energy_vad(energy, DEFAULT)
        assert voiced.tolist() == vad_by_loop(energy, DEFAULT)
        shares.append(voiced.mean())
    assert min(shares) > 0.4 and np.median(shares) < 0.99


@pytest.mark.parametrize(
    "changes, message",
    [
        ({"proportion_threshold": 0.0}, "proportion_threshold"),
        ({"proportion_threshold": 1.0}, "proportion_threshold"),
        ({"frames_context": -1}, "frames_context"),
        ({"energy_mean_scale": -0.5}, "energy_mean_scale"),
        ({"threshold": 5.5}, "unknown key 'threshold'"),
    ],
)
def test_bad_settings(changes, message):
    with pytest.raises(UserError, match=message):
        config.from_dict(changes, VadConfig, "vad.yaml")


LENGTHS = {"a-1": 16000, "a-2": 8000, "b-1": 20001}


def make_feats(data, **settings):
    """Features of all utterances, as make_fbank.sh or make_mfcc.sh leaves them."""
    settings = config.from_dict(settings, FeatureConfig, "test")
    config.save(settings, data / "conf/features.yaml")
    extractor = Extractor(settings)
    with kaldi_io.ArkWriter(data / "f.ark", data / "feats.scp") as writer:
        for utt, path in read_table(data / "wav.scp").items():
            samples = soundfile.read(path, dtype="float32")[0]
            writer.write(utt, extractor(samples))


def run_vad(data, *options):
    return compute_vad.main(
        [*options, str(ROOT / "conf/vad.yaml"), str(data), str(data / "feats.scp"),
         str(data / "log"), "1", str(data / "vad.ark"), str(data / "vad.scp")]
    )  # fmt: skip


def read_vad(data):
    with kaldi_native_io.SequentialFloatVectorReader(f"scp:{data}/vad.scp") as reader:
        return {key: np.array(value) for key, value in reader}


def test_all_sources_agree(tmp_path):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    make_feats(data, type="mfcc", num_mel_bins=30, use_energy=True)
    assert run_vad(data) == 0
    from_mfcc = read_vad(data)
    assert {utt: len(vad) for utt, vad in from_mfcc.items()} == {
        "a-1": 100, "a-2": 50, "b-1": 125,
    }  # fmt: skip
    assert all(0 < vad.mean() < 1 for vad in from_mfcc.values())
    assert run_vad(data, "--source", "wav") == 0
    from_wav = read_vad(data)
    make_feats(data, type="fbank", use_energy=True)
    assert run_vad(data) == 0
    from_fbank = read_vad(data)
    for utt in LENGTHS:
        np.testing.assert_array_equal(from_mfcc[utt], from_wav[utt])
        np.testing.assert_array_equal(from_mfcc[utt], from_fbank[utt])


def test_plain_log_mel_is_refused(tmp_path):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    make_feats(data, type="fbank")
    with pytest.raises(UserError, match="features.yaml: log-mel .* --source wav"):
        run_vad(data)
    assert run_vad(data, "--source", "wav") == 0
    assert list(read_vad(data)) == list(LENGTHS)


def test_utterance_without_a_voiced_frame_is_dropped(tmp_path):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    soundfile.write(data / "wav/a-2.wav", noise(8000) * 1e-6, 16000, "FLOAT")
    make_feats(data, type="fbank")
    assert run_vad(data, "--source", "wav") == 0
    assert list(read_vad(data)) == ["a-1", "b-1"]
    assert (data / "log/dropped.1").read_text() == "a-2 none of 50 frames is voiced\n"


def test_features_of_another_recording(tmp_path):
    data = make_noise_dir(tmp_path / "data", LENGTHS)
    make_feats(data, type="fbank")
    soundfile.write(data / "wav/a-2.wav", noise(16000), 16000)
    assert run_vad(data, "--source", "wav") == 0
    reason = (data / "log/dropped.1").read_text()
    assert reason.startswith("a-2 100 frames in the recording, 50 in feats.scp")

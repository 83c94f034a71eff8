"""What kaldi-native-fbank makes of samples: the oracle for features."""

import kaldi_native_fbank as knf
import numpy as np
from conftest import ROOT

from chronovox import config
from chronovox.features import FeatureConfig

SETTINGS = {
    name: config.load(ROOT / "conf" / f"{name}.yaml", FeatureConfig)
    for name in ("fbank", "mfcc")
}


def replace(settings, **changes):
    return config.from_dict({**vars(settings), **changes}, FeatureConfig, "test")


def oracle(samples, settings):
    """What kaldi-native-fbank makes of the samples: `(T, F)`."""
    mfcc = settings.type == "mfcc"
    options = knf.MfccOptions() if mfcc else knf.FbankOptions()
    frames, mel = options.frame_opts, options.mel_opts
    frames.samp_freq = settings.sampling_rate
    frames.frame_length_ms = settings.frame_length_ms
    frames.frame_shift_ms = settings.frame_shift_ms
    frames.dither = 0
    frames.snip_edges = settings.snip_edges
    frames.window_type = settings.window
    mel.num_bins = settings.num_mel_bins
    mel.low_freq, mel.high_freq = settings.low_freq, settings.high_freq
    options.use_energy = settings.use_energy
    if mfcc:
        options.num_ceps = settings.num_ceps
    online = (knf.OnlineMfcc if mfcc else knf.OnlineFbank)(options)
    online.accept_waveform(settings.sampling_rate, (samples * 32768).tolist())
    online.input_finished()
    rows = [online.get_frame(i) for i in range(online.num_frames_ready)]
    return np.array(rows, np.float32).reshape(-1, settings.dim)

"""A data directory of real speech with features, for what is timed."""

from pathlib import Path

from chronovox import audio, kaldi_io
from chronovox.cli import UserError
from chronovox.datadir import write_table
from chronovox.features import Extractor, FeatureConfig, VadConfig, energy_vad

FEATURES = FeatureConfig(type="fbank")


def flac_files(speech_dir, count: int) -> list[Path]:
    """Up to `count` files of a tree <corpus>/<speaker>/<session>/<utt>.flac, spread.

    Raises UserError if there are fewer than 20.
    """
    paths = sorted(Path(speech_dir).glob("*/*/*/*.flac"))
    if len(paths) < 20:
        raise UserError(f"{speech_dir}: {len(paths)} */*/*/*.flac, 20 needed")
    return paths[:: max(1, len(paths) // count)][:count]


def make_data(data: Path, paths: list[Path]) -> None:
    """Copies of `paths` in files of their own and in flac.ark, with fbank and VAD.

    Every file is a speaker. flac.scp names the records of the ark.
    """
    (data / "wav").mkdir(parents=True)
    names = {f"s{number:04d}-1": path for number, path in enumerate(paths)}
    for utt, path in names.items():
        (data / "wav" / f"{utt}.flac").write_bytes(path.read_bytes())
    write_table(data / "wav.scp", {utt: f"{data}/wav/{utt}.flac" for utt in names})
    write_table(data / "utt2spk", {utt: utt[:5] for utt in names})
    extractor, num_frames = Extractor(FEATURES), {}
    with (
        kaldi_io.ArkWriter(data / "feats.ark", data / "feats.scp", 2) as feats,
        kaldi_io.ArkWriter(data / "vad.ark", data / "vad.scp", 1) as vad,
        kaldi_io.ArkWriter(data / "flac.ark", data / "flac.scp", 1) as flac,
    ):
        wavs = audio.WavTable(data)
        for utt in wavs:
            samples, rate = wavs.read(utt)
            features = extractor(samples)
            feats.write(utt, features)
            vad.write(utt, energy_vad(extractor.log_energy(samples), VadConfig()))
            flac.write_record(utt, audio.flac_record(samples, rate))
            num_frames[utt] = len(features)
    write_table(data / "utt2num_frames", num_frames)

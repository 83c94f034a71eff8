#!/usr/bin/env python3
"""Synthesise all utterances of some talkers, each talker in a fresh process.

usage: local/speak_talkers.py SETTINGS TALKERS AUDIO UTTERANCES
e.g.:  local/speak_talkers.py data/local/talkers.yaml data/local/talkers.1 \\
           data/audio data/local/utterances.1

Makes AUDIO/<talker>/<session>/<utterance>.wav (16 kHz, 16 bit) and UTTERANCES,
lines `<utterance> <number of samples>`. A talker's folder is emptied first.
"""

import io
import multiprocessing
import os
import shutil
from pathlib import Path

import soundfile
from talkers import espeak, sound, world
from talkers.settings import Settings, stream

from chronovox import cli, config, datadir, files

RATE_JITTER = 0.03  # standard deviation of the log speaking rate of an utterance


def get_parser():
    parser = cli.parser(__doc__)
    parser.add_argument("settings", help="with all options in it")
    parser.add_argument("talkers", help="names, one a line")
    parser.add_argument("audio", help="where the recordings are made")
    parser.add_argument("utterances", help="the list of what was made")
    return parser


def speak_talker(settings: Settings, talker: world.Talker, data: Path, audio: Path):
    """Make all recordings of a talker; returns [(utterance, number of samples)]."""
    folder = audio / talker.name
    if folder.exists():
        shutil.rmtree(folder)
    seed = stream(settings, "espeak", talker.index).integers(1, 2**31)
    synthesizer = espeak.Synthesizer(data, int(seed))
    made = []
    for session in talker.sessions:
        name = f"{talker.name}{session.name}"
        variant = espeak.variant(name, session.voice)
        synthesizer.set_voice(talker.accent, name, variant)
        rates = stream(settings, "rate", talker.index, session.index)
        setup = sound.recording(settings, talker, session)
        for number, utterance in enumerate(session.utterances, 1):
            rate_wpm = session.voice["rate_wpm"] * rates.lognormal(0, RATE_JITTER)
            voice = synthesizer.speak(utterance.text, rate_wpm)
            samples = sound.record(settings, talker, session, number, setup, voice)
            path = folder / session.name / f"{utterance.name}.wav"
            recording = io.BytesIO()  # soundfile hides the errors of a disk
            soundfile.write(
                recording, samples, sound.SAMPLING_RATE, format="WAV", subtype="PCM_16"
            )
            with files.atomic_write(path, "wb") as out:
                out.write(recording.getvalue())
            made.append((utterance.name, len(samples)))
    return made


def _work(connection, settings, talker, data: Path, audio: Path) -> None:
    """Speak in a process of its own; send the list, or what went wrong."""
    cli.die_with_parent()
    try:
        os.chdir(data.parent)  # the library only takes short paths
        connection.send(speak_talker(settings, talker, Path(data.name), audio))
    except cli.UserError as error:
        connection.send(str(error))
    except OSError as error:
        connection.send(cli.explain(error))


def in_own_process(settings: Settings, talker: world.Talker, data: Path, audio: Path):
    """`speak_talker` in a fresh process, as repeatable synthesis needs.

    `data` comes from `espeak.linked_data`; `audio` is an absolute path.
    Raises UserError if the process fails or dies.
    """
    context = multiprocessing.get_context("fork")
    ours, theirs = context.Pipe(duplex=False)
    process = context.Process(
        target=_work, args=(theirs, settings, talker, data, audio)
    )
    process.start()
    theirs.close()
    try:
        answer = ours.recv()
    except EOFError:
        answer = "the process died"
    process.join()
    if isinstance(answer, str):
        raise cli.UserError(f"{talker.name}: {answer} (exit code {process.exitcode})")
    return answer


def main(argv=None) -> int:
    args = get_parser().parse_args(argv)
    settings = config.load(args.settings, Settings)
    talkers = {talker.name: talker for talker in world.build(settings)}
    audio = Path(args.audio).absolute()
    made = []
    with espeak.linked_data(f"{args.utterances}.espeak") as data:
        for name in datadir.read_lines(args.talkers):
            if name not in talkers:
                raise cli.UserError(f"{args.talkers}: no talker '{name}' in this world")
            made += in_own_process(settings, talkers[name], data, audio)
    datadir.write_table(args.utterances, dict(made))
    cli.log.info("%d utterances made", len(made))
    return 0


if __name__ == "__main__":
    cli.run(main)

"""The error rate on development trials, the only measure that training looks at."""

from pathlib import Path

import numpy as np

from chronovox.cli import UserError, log
from chronovox.evaluation.metrics import eer
from chronovox.frontend import FrameTable, FrontendConfig
from chronovox.models.extraction import embed
from chronovox.scoring.cosine import cosine_scores
from chronovox.trials import read_trials

BATCH_FRAMES = 20000


class Development:
    """Trials over the utterances of a development data directory.

    Trials of an utterance with fewer than `min_frames` frames are left out, which
    the log says. Raises UserError for a trial of an unknown utterance, and if no
    target or no non-target trial is left.
    """

    def __init__(
        self, data_dir, trials_path, frontend: FrontendConfig, min_frames: int
    ):
        if not Path(trials_path).exists():
            raise UserError(
                f"{trials_path}: no such file: make the development trials with "
                "steps/select_trials.py"
            )
        trials = read_trials(trials_path)
        utts = sorted(trials.keys)
        self._frames = FrameTable(data_dir, frontend, utts)
        self._rows = np.flatnonzero(self._frames.num_frames >= min_frames).tolist()
        row = {self._frames.utts[n]: place for place, n in enumerate(self._rows)}
        place = np.array([row.get(key, -1) for key in trials.keys])
        enrol, test = place[trials.enrol_row], place[trials.test_row]
        kept = np.flatnonzero((enrol >= 0) & (test >= 0))
        if len(kept) < len(trials):
            log.warning(
                "%s: %d trials in, %d out, %d dropped because an utterance has fewer "
                "than %d frames",
                trials_path, len(trials), len(kept), len(trials) - len(kept),
                min_frames,
            )  # fmt: skip
        self._enrol, self._test = enrol[kept], test[kept]
        self._is_target = trials.is_target[kept]
        if self._is_target.all() or not self._is_target.any():
            raise UserError(f"{trials_path}: target and non-target trials are needed")

    def eer(self, network) -> float:
        """The equal error rate of cosine scores, 0 to 1."""
        was_training = network.training
        network.eval()
        vectors = embed(network, self._frames, self._rows, BATCH_FRAMES)
        network.train(was_training)
        matrix = np.stack([vectors[self._frames.utts[row]] for row in self._rows])
        scores = cosine_scores(matrix, self._enrol, self._test)
        return eer(scores[self._is_target], scores[~self._is_target])

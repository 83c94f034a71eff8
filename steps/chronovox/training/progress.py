"""What a training tells: lines in the log, curves for TensorBoard, a bar."""

import os
import time

from chronovox.cli import log
from chronovox.files import named
from chronovox.training.settings import TrainingConfig


def _terminal():
    """The terminal where this process, or the runner of its job, is in front."""
    try:
        stream = os.fdopen(os.open("/dev/tty", os.O_WRONLY), "w")
    except OSError:
        return None
    if os.tcgetpgrp(stream.fileno()) in (os.getpgrp(), os.getpgid(os.getppid())):
        return stream
    stream.close()
    return None


class Progress:
    """Collects loss and accuracy of the steps between two lines of the log.

    curves: a folder for TensorBoard, where what was written beyond first_step by a
    run that was killed no longer shows; or None. visible: whether to draw at all.
    """

    def __init__(
        self, first_step: int, config: TrainingConfig, curves=None, visible=True
    ):
        self._num_steps, self._log_every = config.num_steps, config.log_every
        self._batch_size = config.batch_size
        self._writer = None
        if visible and curves is not None:
            from torch.utils.tensorboard import SummaryWriter

            self._writer = SummaryWriter(str(curves), purge_step=first_step + 1)
        self._bar = None
        terminal = _terminal() if visible else None
        if terminal is not None:
            from tqdm import tqdm

            self._bar = tqdm(
                total=self._num_steps, initial=first_step, file=terminal, unit="step",
                leave=False,
            )  # fmt: skip
        self._restart()

    def _restart(self) -> None:
        self._start = time.monotonic()
        self._steps = self._utts = 0
        self._loss = self._accuracy = self._waited_s = 0.0

    def pause(self, since: float) -> None:
        """Do not count the time from `since` (time.monotonic) until now."""
        self._start += time.monotonic() - since

    def update(
        self, step: int, epoch: float, lr: float, loss: float, accuracy: float,
        waited_s: float,
    ) -> None:  # fmt: skip
        """Count a step; `step` steps are done, `waited_s` were spent on its data."""
        self._steps += 1
        self._utts += self._batch_size
        self._loss += loss
        self._accuracy += accuracy
        self._waited_s += waited_s
        if self._bar is not None:
            self._bar.update()
        if step % self._log_every and step != self._num_steps:
            return
        elapsed_s = time.monotonic() - self._start
        self.draw(
            step, loss=self._loss / self._steps, accuracy=self._accuracy / self._steps,
            learning_rate=lr, utts_per_s=self._utts / elapsed_s,
            data_wait_percent=100 * self._waited_s / elapsed_s,
        )  # fmt: skip
        left_s = round((self._num_steps - step) * elapsed_s / self._steps)
        log.info(
            "step %d of %d, epoch %.2f, loss %.4f, accuracy %.3f, lr %.2e, "
            "%.0f utts/s, waited for data %.1f %%, %d:%02d left",
            step, self._num_steps, epoch, self._loss / self._steps,
            self._accuracy / self._steps, lr, self._utts / elapsed_s,
            100 * self._waited_s / elapsed_s, left_s // 60, left_s % 60,
        )  # fmt: skip
        self._restart()

    def draw(self, step: int, **values: float) -> None:
        """Put values into the curves."""
        if self._writer is None:
            return
        with named(self._writer.log_dir):
            for name, value in values.items():
                self._writer.add_scalar(name, value, step)

    def close(self) -> None:
        if self._writer is not None:
            with named(self._writer.log_dir):
                self._writer.close()
        if self._bar is not None:
            self._bar.close()

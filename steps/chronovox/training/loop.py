"""The training loop."""

import contextlib
import math
import signal
import time
from collections.abc import Callable

import torch
from torch import nn
from torch.utils.data import DataLoader

from chronovox import models
from chronovox.cli import UserError, die_with_parent, log
from chronovox.training import schedule
from chronovox.training.checkpoint import Checkpoints
from chronovox.training.data import BatchPlan, TrainingSet, collate
from chronovox.training.development import Development
from chronovox.training.loss import HEADS
from chronovox.training.progress import Progress
from chronovox.training.ranks import ALONE, Ranks
from chronovox.training.settings import OptimizerConfig, TrainingConfig

HANG_S = 600.0  # a worker that gives nothing for so long has hung


class Stopped(Exception):
    """Training was asked to stop, and its state is saved."""


def make_optimizer(config: OptimizerConfig, *modules) -> torch.optim.Optimizer:
    """The optimizer of all parameters; weight decay is for matrices only."""
    parameters = [p for module in modules for p in module.parameters()]
    groups = [
        {"params": [p for p in parameters if p.ndim > 1]},
        {"params": [p for p in parameters if p.ndim <= 1], "weight_decay": 0.0},
    ]
    if config.type == "sgd":
        return torch.optim.SGD(
            groups, lr=0.0, momentum=config.momentum, weight_decay=config.weight_decay
        )
    return torch.optim.AdamW(groups, lr=0.0, weight_decay=config.weight_decay)


class Classifier(nn.Module):
    """Network and head in one module, as DistributedDataParallel needs them."""

    def __init__(self, network: nn.Module, head: nn.Module, precision: str):
        super().__init__()
        self.network, self.head = network, head
        self._bf16 = precision == "bf16"

    def forward(self, features, labels, margin: float):
        """Features `(B, T, F)`, labels `(B,)` -> loss and accuracy."""
        with torch.autocast(features.device.type, torch.bfloat16, self._bf16):
            embeddings = self.network(features)
        return self.head(embeddings, labels, margin)


def backward(model, features, labels, margin: float, batch_size: int, ranks: Ranks):
    """Leave the gradient of the mean loss over all processes' `batch_size` samples.

    model: a Classifier that `ranks` has wrapped. Returns loss and accuracy, each
    weighted with this process's share of the batch.
    """
    loss, accuracy = model(features, labels, margin)
    weight = len(labels) / batch_size
    (loss * (weight * ranks.count)).backward()  # the mean over processes follows
    return weight * loss.item(), weight * accuracy.item()


def train(
    config: TrainingConfig,
    train_set: TrainingSet,
    development: Development,
    checkpoints: Checkpoints,
    fingerprint: str,
    device: torch.device,
    num_workers: int = 0,
    should_stop: Callable[[], bool] = lambda: False,
    curves=None,
    ranks: Ranks = ALONE,
):
    """Train, from the newest checkpoint on if it has the same `fingerprint`.

    num_workers: processes that read the data; none reads it in this one.
    should_stop: asked after each step; true saves a checkpoint and raises Stopped.
    curves: a folder for TensorBoard.
    Returns the network, which in the first process is the finished one. Raises
    UserError for a loss that is not finite; what `reading` catches is raised as it is.
    """
    check_precision(config.precision, device)
    torch.manual_seed(config.seed)
    network = models.build(config.model, train_set.feat_dim).to(device)
    head = HEADS[config.loss.type](
        config.loss, network.embed_dim, len(train_set.speakers)
    ).to(device)
    optimizer = make_optimizer(config.optimizer, network, head)
    parts = {"network": network, "head": head, "optimizer": optimizer}
    first_step = resume(parts, checkpoints, fingerprint, ranks)
    model = ranks.wrap(Classifier(network, head, config.precision))

    files = train_set.files() if config.shuffle_arks else None
    plan = BatchPlan(len(train_set), config, files)
    shares = (ranks.share(plan.batch(n)) for n in range(first_step, config.num_steps))
    if config.shuffle_arks:
        shares = map(train_set.read_ahead, shares)
    batches = read_batches(train_set, shares, num_workers)
    progress = Progress(first_step, config, curves, visible=ranks.first)
    for step in range(first_step, config.num_steps):
        begin = time.monotonic()
        features, labels = train_set.to_device(next(batches), device)
        waited_s = time.monotonic() - begin

        lr = schedule.learning_rate(config.schedule, step, config.num_steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        torch.manual_seed(config.seed * 2**32 + step)  # a step repeats by itself
        margin = schedule.margin(config.loss, step)
        optimizer.zero_grad()
        figures = backward(model, features, labels, margin, config.batch_size, ranks)
        loss, accuracy, stops = ranks.total(*figures, should_stop())
        norm = nn.utils.clip_grad_norm_(
            model.parameters(), config.optimizer.max_grad_norm
        ).item()
        if not math.isfinite(loss) or not math.isfinite(norm):
            utts = sorted(set(map(train_set.utterance, plan.batch(step))))
            raise UserError(not_finite(step, loss, norm, lr, utts))
        optimizer.step()

        done = step + 1
        progress.update(done, plan.epoch(done), lr, loss, accuracy, waited_s)
        pause = time.monotonic()
        stopping = done < config.num_steps and stops > 0
        due = done % config.checkpoint_every == 0 or done == config.num_steps
        if ranks.first and (due or stopping):
            checkpoints.save(done, state_of(parts, done, fingerprint))
        if stopping:
            ranks.wait()  # for the checkpoint: the first to end takes the others along
            raise Stopped(f"stopped after step {done}: run again to go on")
        evaluates = done % config.evaluate_every == 0 and done < config.num_steps
        if ranks.first and evaluates:
            evaluate(network, development, done, progress)
        progress.pause(pause)
    if ranks.first:
        network.load_state_dict(checkpoints.average("network"))
        evaluate(network, development, config.num_steps, progress)
    progress.close()
    return network.eval()


def read_batches(train_set: TrainingSet, plan, num_workers: int):
    """Iterate over the batches of `plan`, as `collate` makes them."""
    loader = DataLoader(
        train_set,
        batch_sampler=plan,
        collate_fn=collate,
        num_workers=num_workers,
        timeout=HANG_S if num_workers else 0,
        generator=torch.Generator(),  # workers' seeds: not from the global one
        worker_init_fn=_begin_worker,
    )
    return iter(loader)


def _begin_worker(number: int) -> None:
    """A signal to all processes asks this one for nothing; it ends with the first."""
    die_with_parent()
    signal.signal(signal.SIGTERM, signal.SIG_IGN)


@contextlib.contextmanager
def reading(train_set: TrainingSet):
    """Raise UserError for data that cannot be read, in whatever process, and for one
    of them that hangs or is killed, which torch says at any moment.
    """
    try:
        yield
    except UserError as error:  # from a worker it comes with a traceback in its text
        raise UserError(str(error).rpartition("UserError: ")[2].strip()) from None
    except RuntimeError as error:
        if "DataLoader" not in str(error):
            raise
        utts = train_set.being_read()
        reason = str(error).splitlines()[0]
        raise UserError(
            f"{reason}: it was reading {', '.join(utts) or 'nothing'}: look at that "
            "recording and its disk, then run again"
        ) from None


def check_precision(precision: str, device: torch.device) -> None:
    """Raise UserError for bf16 where it would be slower than fp32 by far."""
    if precision == "bf16" and device.type == "cpu" and not has_bf16():
        raise UserError(
            "precision: bf16: this CPU has neither avx512_bf16 nor amx_bf16, and would "
            "be slower by far: use precision: fp32"
        )


def has_bf16() -> bool:
    """Whether the CPU multiplies bfloat16 in hardware, by Linux's list of its flags."""
    with open("/proc/cpuinfo") as stream:
        flags = next((line for line in stream if line.startswith("flags")), "")
    return bool({"avx512_bf16", "amx_bf16"} & set(flags.split()))


def evaluate(network, development: Development, step: int, progress: Progress) -> None:
    eer_percent = 100 * development.eer(network)
    log.info("step %d, development EER %.2f %%", step, eer_percent)
    progress.draw(step, development_eer_percent=eer_percent)


def not_finite(step: int, loss: float, norm: float, lr: float, utts) -> str:
    return (
        f"step {step + 1}: loss {loss:g}, gradient norm {norm:g} at learning rate "
        f"{lr:g}: lower schedule.peak_lr or lengthen schedule.warmup_steps; the batch "
        f"was {' '.join(utts)}"
    )


def state_of(parts: dict, step: int, fingerprint: str) -> dict:
    """All that the next step needs; the schedule and all randomness follow the step."""
    states = {name: part.state_dict() for name, part in parts.items()}
    return {"fingerprint": fingerprint, "step": step, **states}


def resume(
    parts: dict, checkpoints: Checkpoints, fingerprint: str, ranks: Ranks
) -> int:
    """Load the newest checkpoint if it fits; returns the number of steps done."""

    def read():
        newest = checkpoints.newest()
        if newest and newest[1].get("fingerprint") != fingerprint:
            path, _ = newest
            log.warning("%s is of other settings or data: training starts anew", path)
            checkpoints.clear()
            return None
        return newest

    newest = ranks.from_first(read)
    if newest is None:
        return 0
    path, state = newest
    try:
        for name, part in parts.items():
            part.load_state_dict(state[name])
        step = int(state["step"])
    except (
        RuntimeError, ValueError, LookupError, TypeError, AttributeError,
    ) as error:  # fmt: skip
        raise UserError(
            f"{path}: does not fit this network ({str(error).partition(chr(10))[0]}): "
            "remove the checkpoints to start anew"
        ) from None
    log.info("continuing from %s", path)
    return step

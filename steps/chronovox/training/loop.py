"""The training loop."""

import math
import time
from collections.abc import Callable

import torch
from torch.utils.data import DataLoader

from chronovox import models
from chronovox.cli import UserError, log
from chronovox.training import schedule
from chronovox.training.checkpoint import Checkpoints
from chronovox.training.data import BatchPlan, TrainingSet, collate
from chronovox.training.development import Development
from chronovox.training.loss import HEADS
from chronovox.training.progress import Progress
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
):
    """Train, from the newest checkpoint on if it has the same `fingerprint`.

    num_workers: processes that read the data; none reads it in this one.
    should_stop: asked after each step; true saves a checkpoint and raises Stopped.
    curves: a folder for TensorBoard.
    Returns the network. Raises UserError for a loss that is not finite, and for a
    worker that hangs or is killed.
    """
    check_precision(config.precision, device)
    torch.manual_seed(config.seed)
    network = models.build(config.model, train_set.feat_dim).to(device)
    head = HEADS[config.loss.type](
        config.loss, network.embed_dim, len(train_set.speakers)
    ).to(device)
    optimizer = make_optimizer(config.optimizer, network, head)
    parts = {"network": network, "head": head, "optimizer": optimizer}
    first_step = resume(parts, checkpoints, fingerprint)

    plan = BatchPlan(len(train_set), config)
    steps = range(first_step, config.num_steps)
    batches = read_batches(train_set, map(plan.batch, steps), num_workers)
    progress = Progress(first_step, config.num_steps, config.log_every, curves)
    for step in steps:
        begin = time.monotonic()
        features, labels = (tensor.to(device) for tensor in next(batches))
        waited_s = time.monotonic() - begin

        lr = schedule.learning_rate(config.schedule, step, config.num_steps)
        for group in optimizer.param_groups:
            group["lr"] = lr
        torch.manual_seed(config.seed * 2**32 + step)  # a step repeats by itself
        margin = schedule.margin(config.loss, step)
        with torch.autocast(device.type, torch.bfloat16, config.precision == "bf16"):
            embeddings = network(features)
        loss, accuracy = head(embeddings, labels, margin)
        optimizer.zero_grad()
        loss.backward()
        norm = torch.nn.utils.clip_grad_norm_(
            [*network.parameters(), *head.parameters()], config.optimizer.max_grad_norm
        )
        if not math.isfinite(loss.item()) or not math.isfinite(norm.item()):
            utts = sorted(set(map(train_set.utterance, plan.batch(step))))
            raise UserError(not_finite(step, loss.item(), norm.item(), lr, utts))
        optimizer.step()

        done = step + 1
        progress.update(
            done, plan.epoch(done), lr, loss.item(), accuracy.item(), len(labels),
            waited_s,
        )  # fmt: skip
        pause = time.monotonic()
        stopping = done < config.num_steps and should_stop()
        if stopping or done % config.checkpoint_every == 0 or done == config.num_steps:
            checkpoints.save(done, state_of(parts, done, fingerprint))
        if stopping:
            raise Stopped(f"stopped after step {done}: run again to go on")
        if done % config.evaluate_every == 0 and done < config.num_steps:
            evaluate(network, development, done, progress)
        progress.pause(pause)
    network.load_state_dict(checkpoints.average("network"))
    evaluate(network, development, config.num_steps, progress)
    progress.close()
    return network.eval()


def read_batches(train_set: TrainingSet, plan, num_workers: int):
    """Iterate over the batches of `plan`: features `(B, T, F)`, labels `(B,)`.

    Raises UserError for data that cannot be read, in whatever process.
    """
    loader = DataLoader(
        train_set,
        batch_sampler=plan,
        collate_fn=collate,
        num_workers=num_workers,
        timeout=HANG_S if num_workers else 0,
        generator=torch.Generator(),  # workers' seeds: not from the global one
    )
    try:
        yield from loader
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


def resume(parts: dict, checkpoints: Checkpoints, fingerprint: str) -> int:
    """Load the newest checkpoint if it fits; returns the number of steps done."""
    newest = checkpoints.newest()
    if newest is None:
        return 0
    path, state = newest
    if state.get("fingerprint") != fingerprint:
        log.warning("%s is of other settings or data: training starts anew", path)
        checkpoints.clear()
        return 0
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

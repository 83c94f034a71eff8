"""Systems on a list of trials: rates, those of every draw, and several seeds as one."""

import numpy as np

from chronovox.cli import UserError
from chronovox.evaluation import bootstrap, metrics
from chronovox.evaluation.metrics import P_TARGETS, SortedTrials
from chronovox.trials.lists import Speakers, Trials

Draws = dict[str, np.ndarray]  # a rate -> its value in every draw of speakers


def measure(
    scores, trials: Trials, speakers: Speakers, counts, llr: bool, p_targets=P_TARGETS
) -> tuple[dict, Draws]:
    """The rates of scores `(N,)`, and those of all draws `counts` of speakers.

    llr: whether they are log-likelihood ratios. Raises UserError for trials of one
    kind only.
    """
    try:
        ordered = SortedTrials(scores, trials.is_target, p_targets if llr else ())
    except UserError as error:
        raise UserError(f"{trials.path}: {error}") from None
    del scores  # as large as the rest, and not needed any more
    curve = ordered.curve()
    found = {
        **metrics.rates(curve, p_targets),
        "eer_kaldi": ordered.eer_kaldi(),
        "few_errors": metrics.few_errors(curve, p_targets),
    }
    drawn = [
        metrics.rates(each, p_targets)
        for each in bootstrap.curves(ordered, speakers, counts)
    ]
    return found, {name: np.array([one[name] for one in drawn]) for name in drawn[0]}


def of_one_configuration(infos: list[dict]) -> list[list[int]]:
    """The numbers of score files that differ by their seed alone, sorted by it.

    infos: what stands beside each. Models without a configuration or a seed stand for
    themselves. Raises UserError for one seed twice.
    """
    groups: dict[tuple, list[int]] = {}
    for number, info in enumerate(infos):
        alone = info["config"] == "-" or info["seed"] is None
        who = (info["model"], number) if alone else (info["config"],)
        groups.setdefault((*who, info["backend"]), []).append(number)
    for numbers in groups.values():
        numbers.sort(key=lambda number: infos[number]["seed"] or 0)
        group = [infos[number] for number in numbers]
        if len({info["seed"] for info in group}) < len(group):
            raise UserError(
                f"{', '.join(info['model'] for info in group)}: one configuration with "
                "one seed twice: give them in separate calls"
            )
    return list(groups.values())


def joined_name(infos: list[dict]) -> tuple[str, str]:
    """The model and the seed of the mean of several seeds."""
    stems = sorted({info["model"].removesuffix(f"_s{info['seed']}") for info in infos})
    seeds = ",".join(str(info["seed"]) for info in infos)
    return "+".join(stems), f"mean({seeds})"


def mean_draws(draws: list[Draws], stream: int = 0) -> Draws:
    """The mean over seeds in every draw, the seeds drawn as well.

    stream: systems that share no model are drawn apart.
    """
    num_draws = len(next(iter(draws[0].values())))
    shares = bootstrap.draw_seeds(len(draws), num_draws, stream)
    return {
        name: sum(
            share * drawn[name] for share, drawn in zip(shares.T, draws, strict=True)
        )
        for name in draws[0]
    }

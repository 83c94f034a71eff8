"""The pictures of the report, from arrays: each function returns a figure.

They are called by `drawing.draw`, which sets how everything looks.
"""

from dataclasses import dataclass, replace

import numpy as np
from matplotlib.figure import Figure
from matplotlib.lines import Line2D
from matplotlib.ticker import MaxNLocator
from scipy.stats import norm

from chronovox.evaluation.drawing import (
    COLOURS,
    GREY,
    INK,
    WIDTH,
    Style,
    shorten,
)

DET_TICKS = (0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)
_TARGET, _NONTARGET = COLOURS[0], COLOURS[1]
_DASHED = (0, (4, 1.5))
_LEGEND_ROW = 0.165  # inches


@dataclass(frozen=True)
class Line:
    """Points `(P,)` of one line, with a band or bars from `low` to `high`."""

    label: str
    style: Style
    x: np.ndarray
    y: np.ndarray
    low: np.ndarray | None = None
    high: np.ndarray | None = None
    thin: np.ndarray | None = None  # bool `(P,)`: where the line rests on little


@dataclass(frozen=True)
class Dot:
    """A value with its interval; numbers that are not known are NaN."""

    style: Style
    value: float
    low: float
    high: float


@dataclass(frozen=True)
class Histogram:
    """Values of targets and non-targets, and where the two error rates meet."""

    title: str
    target: np.ndarray
    nontarget: np.ndarray
    mark: float | None = None


def _legend(figure, lines) -> None:
    """A legend below the axes; of lines with one label the first counts."""
    handles = {}
    for line in lines:
        handles.setdefault(line.label, Line2D(
            [], [], color=line.style.colour, linestyle=line.style.dash,
            marker=line.style.marker, label=shorten(line.label, 44),
        ))  # fmt: skip
    if handles:
        figure.legend(handles=list(handles.values()), loc="outside lower left")


def _height(axes_inches: float, lines) -> float:
    return axes_inches + _LEGEND_ROW * len({line.label for line in lines}) + 0.1


def det(lines: list[Line], eers: list[float], low: float) -> Figure:
    """Detection error trade-off on probit axes, from `low` (a fraction) on.

    lines: false alarms and misses as `curves.det_points` gives them; eers: the equal
    error rate of each, where its marker stands.
    """
    figure = Figure(figsize=(WIDTH, _height(WIDTH - 0.1, lines)))
    axes = figure.subplots()
    axes.set_anchor("N")
    high = next(rate for rate in (0.2, 0.4, 0.6, 0.999) if rate > min(max(eers), 0.99))
    limits = norm.ppf([low, high])
    axes.plot(limits, limits, color="#b0b0b0", linewidth=0.7, zorder=1)
    thin = 1.4 if len({line.label for line in lines}) == len(lines) else 0.8
    for line, eer in zip(lines, eers, strict=True):
        axes.plot(line.x, line.y, color=line.style.colour, linestyle=line.style.dash,
                  linewidth=thin)  # fmt: skip
        if 0.0 < eer < 1.0:
            at = norm.ppf(eer)
            axes.plot([at], [at], line.style.marker, color=line.style.colour,
                      markersize=4 * thin)  # fmt: skip
    ticks = [rate for rate in DET_TICKS if low <= rate <= high]
    labels = [f"{100 * rate:g}".lstrip("0") for rate in ticks]
    axes.set(
        xlim=limits, ylim=limits, aspect="equal", xlabel="false alarms, %",
        ylabel="misses, %",
    )  # fmt: skip
    axes.set_xticks(norm.ppf(ticks), labels)
    axes.set_yticks(norm.ppf(ticks), labels)
    _legend(figure, lines)
    return figure


def histograms(
    panels: list[Histogram], xlabel: str, bins: int = 60, share: bool = False
) -> Figure:
    """Panels one upon another, each kind of trial of area 1; all `share` one axis."""
    figure = Figure(figsize=(WIDTH, 0.6 + 1.15 * len(panels)))
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=share)
    for axes, panel in zip(grid[:, 0], panels, strict=True):
        both = np.concatenate([panel.target, panel.nontarget])
        edges = np.linspace(both.min(), np.nextafter(both.max(), np.inf), bins + 1)
        if edges[0] == edges[-1] or not (np.diff(edges) > 0).all():
            edges = both.min() + np.linspace(-0.5, 0.5, bins + 1)
        for values, colour, dash, hatch, label in (
            (panel.nontarget, _NONTARGET, _DASHED, None, "non-targets"),
            (panel.target, _TARGET, "-", "/////", "targets"),
        ):  # fmt: skip
            if len(values):
                density = np.histogram(values, edges, density=True)[0]
                axes.stairs(density, edges, fill=True, color=colour, alpha=0.18,
                            hatch=hatch, linewidth=0)  # fmt: skip
                axes.stairs(density, edges, color=colour, linestyle=dash,
                            linewidth=1.2, label=label)  # fmt: skip
        if panel.mark is not None:
            axes.axvline(panel.mark, color=INK, linewidth=0.7)
        axes.set_title(shorten(panel.title, 50))
        axes.set_yticks([])
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
    handles, _ = grid[0, 0].get_legend_handles_labels()
    figure.legend(handles=handles[::-1], loc="outside lower left", ncols=2)
    grid[-1, 0].set_xlabel(xlabel)
    return figure


def against_time(
    panels: list[tuple[str, list[Line]]], xlabel: str, ticks=None, bars: bool = False,
    top: float | None = None,
) -> Figure:  # fmt: skip
    """Panels one upon another with a common axis of time.

    panels: label of the y axis, and lines with bands, or with bars. ticks: positions
    and texts of the axis of time; top: where the other one ends.
    """
    every = [line for _, lines in panels for line in lines]
    height = _height(0.5 + 1.75 * len(panels), every)
    figure = Figure(figsize=(WIDTH, height))
    grid = figure.subplots(len(panels), 1, squeeze=False, sharex=True)
    for axes, (label, lines) in zip(grid[:, 0], panels, strict=True):
        for number, line in enumerate(lines):
            _interval(axes, line, number - (len(lines) - 1) / 2, bars)
        axes.set_ylabel(label)
        axes.yaxis.set_major_locator(MaxNLocator(5))
        if axes.get_ylim()[0] > 0:
            axes.set_ylim(bottom=0)
        axes.set_ylim(top=top)
    if ticks is not None:
        grid[-1, 0].set_xticks(*ticks)
    grid[-1, 0].set_xlabel(xlabel)
    _legend(figure, every)
    return figure


def _interval(axes, line: Line, offset: float, bars: bool) -> None:
    """A line with its interval; bars of several lines stand beside one another."""
    look = {"color": line.style.colour, "linestyle": line.style.dash}
    x = line.x + (0.012 * np.ptp(line.x) * offset if bars and len(line.x) > 1 else 0)
    axes.plot(x, line.y, marker=line.style.marker, **look)
    if line.low is None:
        return
    if bars:
        axes.vlines(x, line.low, line.high, color=line.style.colour, linewidth=0.9)
    else:
        axes.fill_between(x, line.low, line.high, color=line.style.colour, alpha=0.13,
                          linewidth=0)  # fmt: skip


def dots(
    panels: list[tuple[str, list[tuple[str, list[Dot]]]]], xlabel: str,
    legend: list[tuple[str, Style]] = (), zero: bool = False, spread: float = 1.0,
) -> Figure:  # fmt: skip
    """Rows of dots with their intervals, grouped under titles.

    panels: title, and rows of a label and dots. zero: a line at 0, and a dot whose
    interval holds 0 is empty. spread: room for a dot, where labels have two lines.
    """
    names = [Line(label, look, np.empty(0), np.empty(0)) for label, look in legend]
    places = [_places(rows) for _, rows in panels]
    sizes = [last + 0.8 for _, last in places]
    inches = 0.16 * spread * sum(sizes) + 0.3 * len(panels) + 0.45
    figure = Figure(figsize=(WIDTH, _height(inches, names)))
    grid = figure.subplots(
        len(panels), 1, squeeze=False, sharex=True, height_ratios=sizes
    )  # fmt: skip
    for axes, (title, rows), (middles, last) in zip(
        grid[:, 0], panels, places, strict=True
    ):
        at = 0.0
        for _, row in rows:
            for dot in row:
                _dot(axes, dot, at, zero)
                at += 1.0
            at += 0.6
        axes.set_yticks(middles, [_two_lines(label) for label, _ in rows])
        axes.tick_params(axis="y", length=0)
        axes.set_ylim(last, -0.8)
        axes.set_title(shorten(title, 56))
        axes.spines["left"].set_visible(False)
        axes.grid(axis="y", visible=False)
        if zero:
            axes.axvline(0, color=INK, linewidth=0.7)
    if not zero:
        grid[0, 0].set_xlim(left=0)
    grid[-1, 0].xaxis.set_major_locator(MaxNLocator(5, steps=[1, 2, 5, 10]))
    grid[-1, 0].set_xlabel(xlabel)
    _legend(figure, names)
    return figure


def _places(rows) -> tuple[list[float], float]:
    """Where the middle of each row of dots is, and where the last one ends."""
    middles, at = [], 0.0
    for _, row in rows:
        middles.append(at + (len(row) - 1) / 2)
        at += len(row) + 0.6
    return middles, at - 0.8


def _dot(axes, dot: Dot, at: float, zero: bool) -> None:
    colour = dot.style.colour
    if np.isfinite([dot.low, dot.high]).all():
        axes.hlines(at, dot.low, dot.high, color=colour, linewidth=1.2)
    empty = zero and not (dot.low > 0 or dot.high < 0)
    axes.plot([dot.value], [at], dot.style.marker, color=colour, markersize=4.5,
              markerfacecolor="white" if empty else colour)  # fmt: skip


def _two_lines(label: str) -> str:
    return "\n".join(shorten(part, 26) for part in label.split("\n"))


def bayes_error(pairs: list[tuple[Line, Line]], priors: tuple[float, ...]) -> Figure:
    """Normalised Bayes error rates over prior log-odds: actual and minimum of each.

    The actual cost is a full line, thin where it rests on few errors; the minimum is
    dashed.
    """
    actual = [line for line, _ in pairs]
    figure = Figure(figsize=(WIDTH, _height(2.75, actual)))
    axes = figure.subplots()
    axes.axhline(1, color=INK, linewidth=0.7)
    for line, least in pairs:
        colour = line.style.colour
        axes.plot(line.x, line.y, color=colour, linewidth=0.6)
        axes.plot(line.x, np.where(line.thin, np.nan, line.y), color=colour,
                  linewidth=1.7, marker=line.style.marker, markevery=12)  # fmt: skip
        axes.plot(least.x, least.y, color=colour, linewidth=1.2, linestyle=_DASHED)
    full = [replace(line, style=replace(line.style, dash="-")) for line in actual]
    for prior in priors:
        at = np.log(prior / (1 - prior))
        axes.axvline(at, color=GREY, linewidth=0.6, linestyle=(0, (3, 3)))
        axes.annotate(f"P = {prior:g}", (at, 0.03), rotation=90, fontsize=7,
                      color=GREY, ha="right", va="bottom")  # fmt: skip
    axes.set(
        ylim=(0, 1.2), xlim=(actual[0].x[0], actual[0].x[-1]),
        xlabel="prior log-odds of a target", ylabel="normalised cost",
    )  # fmt: skip
    _legend(figure, full)
    return figure


def density(x: np.ndarray, y: np.ndarray, xlabel: str, ylabel: str) -> Figure:
    """How many of the points `(N,)` fall on each square, and the line y = x."""
    figure = Figure(figsize=(WIDTH, WIDTH - 0.55))
    axes = figure.subplots()
    axes.grid(visible=False)
    low = np.floor(min(x.min(), y.min()) - 0.5)
    high = max(np.ceil(max(x.max(), y.max()) + 0.5), low + 1)
    edges = np.linspace(low, high, int(min(high - low, 120)) + 1)
    counts = np.histogram2d(x, y, [edges, edges])[0].T
    shown = axes.imshow(
        np.where(counts > 0, counts, np.nan), origin="lower", cmap="cividis_r",
        extent=(low, high, low, high), interpolation="nearest",
    )  # fmt: skip
    axes.plot([low, high], [low, high], color=INK, linewidth=0.7)
    bar = figure.colorbar(shown, ax=axes, shrink=0.8, aspect=28, label="pictures")
    bar.outline.set_visible(False)
    bar.ax.yaxis.set_major_locator(MaxNLocator(5, integer=True))
    axes.set(xlabel=xlabel, ylabel=ylabel)
    return figure


def progress(lines: list[Line], ylabel: str) -> Figure:
    """What a training measured, over its steps."""
    figure = Figure(figsize=(WIDTH, _height(2.2, lines)))
    axes = figure.subplots()
    for line in lines:
        axes.plot(line.x, line.y, color=line.style.colour, linestyle=line.style.dash,
                  marker=line.style.marker, markevery=max(1, len(line.x) // 8),
                  markersize=3.5)  # fmt: skip
    axes.set(xlabel="training steps", ylabel=ylabel)
    axes.set_xlim(left=0)
    if min(line.y.min() for line in lines) >= 0:
        axes.set_ylim(bottom=0)
    _legend(figure, lines)
    return figure

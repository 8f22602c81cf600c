"""Where and how far a result is off, as inline SVG; the same for equal input.

The two axes that matter as a heat map, a histogram, got against torch, and the error against
torch's own: each a small picture of its own, so that a page can put them side by side.
"""

import io
import re
from collections.abc import Iterator
from itertools import combinations
from typing import TYPE_CHECKING, Any

import numpy as np

from npnet.contract import Array
from npnet.report.markup import Markup
from npnet.report.words import clean, superscript
from npnet.verify.finding import Comparison, Trace
from npnet.verify.precision import PRECISIONS

if TYPE_CHECKING:
    from matplotlib.axes import Axes
    from matplotlib.figure import Figure

_LOW, _HIGH = -2.0, 6.0  # powers of ten that have a colour
_BOTTOM, _TOP = -4.0, 8.0  # powers of ten that have a bar
_SIDE = 150  # cells along a side of the map; more are joined to the worst of a few
_DENSE = 1200  # cells, or points, beyond which they are an image inside the SVG
_NOT_FINITE = "#9b4dae"
_LEAST, _MOST = -4.0, 16.0  # powers of ten that a line is drawn through
_INK = "#010203"  # becomes the text's own colour on the page
_WITHIN, _BEYOND = "#4a90c4", "#e07b1a"
_WIDTH, _HEIGHT = 3.9, 2.7  # inches
_SMALL = 8.5  # points

_COLOURS = (  # within the bound: blue and pale; beyond it: yellow to dark red
    (0.0, "#7fa8c9"),
    (0.2499, "#dbe6ee"),
    (0.25, "#fdd97a"),
    (0.5, "#ef8a3c"),
    (0.75, "#c8322b"),
    (1.0, "#6a0f1f"),
)


def pictures(comparison: Comparison, prefix: str) -> Iterator[tuple[str, Markup]]:
    """What there is to draw of a comparison: (caption, SVG element).

    prefix: put before every id in it, so that several pictures fit on one page
    """
    for kind, (caption, draw) in enumerate(
        (
            (_map_caption(comparison), heat_map),
            ("How many elements are how far off; 1 is the most that passes.", histogram),
            ("Every finite element: what the candidate has, over what torch has.", scatter),
            ("Errors of both sides against the exact answer.", errors),
        )
    ):
        svg = draw(comparison, f"{prefix}{'abcd'[kind]}")
        if svg:
            yield caption, svg


# ---- numbers -------------------------------------------------------------------------------------


def log_ratio(comparison: Comparison, low: float = _LOW, high: float = _HIGH) -> Array:
    """log10(|got - want| / allowed): 0 is the most that passes; nan where got is not finite."""
    got = np.asarray(comparison.got, dtype=np.float64)
    want = np.asarray(comparison.want, dtype=np.float64)
    allowed = np.broadcast_to(np.asarray(comparison.allowed, dtype=np.float64), want.shape)
    with np.errstate(all="ignore"):
        off = np.abs(got - want)
        ratio = np.where(off == 0, 0.0, np.where(allowed > 0, off / allowed, np.inf))
        levels = np.clip(np.log10(ratio), low, high)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    levels = np.where(same, low, levels)
    return np.where(~np.isfinite(got) & np.isfinite(want), np.nan, levels)


def worst_axes(levels: Array) -> tuple[int, int]:
    """The pair of axes along which the error varies most: the variance of the means over others."""
    filled = np.where(np.isnan(levels), _HIGH + 1, levels)
    long = [i for i in range(levels.ndim) if levels.shape[i] > 1]
    if len(long) < 2:
        long = [*long, *(i for i in range(levels.ndim) if i not in long)][:2]
    spread = {
        pair: float(filled.mean(tuple(set(range(levels.ndim)) - set(pair))).var())
        for pair in combinations(sorted(long), 2)
    }
    return max(spread, key=lambda pair: (round(spread[pair], 9), pair))


def projected(levels: Array) -> tuple[Array, tuple[int, ...]]:
    """The worst over all axes but two, as a matrix, and which two (one, of a vector)."""
    if levels.ndim < 2:
        return levels.reshape(1, -1), (0,) * levels.ndim
    pair = worst_axes(levels)
    filled = np.where(np.isnan(levels), np.inf, levels)
    worst = filled.max(tuple(i for i in range(levels.ndim) if i not in pair))
    return np.where(np.isinf(worst), np.nan, worst), pair


def _axis(comparison: Comparison, i: int) -> str:
    names = comparison.axes
    known = len(names) == np.ndim(comparison.want)
    return clean(names[i], 40) if known else f"axis {i}"


def _map_caption(comparison: Comparison) -> str:
    others = []
    levels = log_ratio(comparison)
    if levels.ndim > 2 and levels.size:
        pair = worst_axes(levels)
        over = [i for i in range(levels.ndim) if i not in pair and levels.shape[i] > 1]
        others = [_axis(comparison, i) for i in over]
    worst = f" A cell is the worst over {' and '.join(others)}." if others else ""
    return f"Blue is within the bound, yellow to red beyond it, violet is inf or nan.{worst}"


# ---- pictures ------------------------------------------------------------------------------------


def heat_map(comparison: Comparison, prefix: str) -> Markup:
    """log10(err/bound) over the two axes along which it varies most."""
    levels = log_ratio(comparison)
    if levels.size < 2:
        return Markup()
    from matplotlib.colors import LinearSegmentedColormap, Normalize

    image, pair = projected(levels)
    coarse, rows, columns = _coarse(image)
    figure, axes = _figure()
    colours = LinearSegmentedColormap.from_list("npnet", list(_COLOURS), N=1024)
    mesh = axes.pcolormesh(
        columns,
        rows,
        np.ma.masked_invalid(coarse),
        cmap=colours.with_extremes(bad=_NOT_FINITE),
        norm=Normalize(_LOW, _HIGH),
        rasterized=coarse.size > _DENSE,
        edgecolors="face",  # no seams between the cells
        linewidth=0.4,
    )
    axes.set_xlim(0, image.shape[1])
    axes.set_ylim(image.shape[0], 0)
    _indices(axes.xaxis, image.shape[1])
    _indices(axes.yaxis, image.shape[0])
    axes.set_xlabel(_axis(comparison, pair[-1]), parse_math=False)
    if len(pair) > 1:
        axes.set_ylabel(_axis(comparison, pair[0]), parse_math=False)
    axes.tick_params(length=0)
    bar = figure.colorbar(mesh, cax=figure.add_axes((0.82, 0.2, 0.035, 0.72)))
    bar.set_ticks([-2, 0, 2, 4, 6], labels=["0.01", "1", "10²", "10⁴", "10⁶"])
    bar.set_label("err / bound", fontsize=_SMALL, color=_INK, labelpad=2)
    bar.ax.tick_params(labelsize=_SMALL - 0.5, colors=_INK, length=2)
    bar.outline.set_visible(False)
    axes.set_position((0.14, 0.2, 0.64, 0.72))
    return _inline(figure, prefix, "heat map of the error in units of the bound")


def _coarse(image: Array) -> tuple[Array, Array, Array]:
    """At most _SIDE cells a side, each the worst of those it joins, and the edges of both axes."""
    edges = []
    filled = np.where(np.isnan(image), np.inf, image)
    for axis in (0, 1):
        n = image.shape[axis]
        step = -(-n // _SIDE)
        starts = np.arange(0, n, step)
        filled = np.maximum.reduceat(filled, starts, axis=axis)
        edges.append(np.append(starts, n))
    return np.where(np.isinf(filled), np.nan, filled), edges[0], edges[1]


def histogram(comparison: Comparison, prefix: str) -> Markup:
    """How many elements have which err/bound, with the line at 1."""
    levels = log_ratio(comparison, _BOTTOM, _TOP).reshape(-1)
    if levels.size < 2:
        return Markup()
    finite = levels[~np.isnan(levels)]
    edges = np.linspace(_BOTTOM, _TOP, 25)
    counts, _ = np.histogram(finite, edges)
    lost = levels.size - finite.size
    figure, axes = _figure()
    width = edges[1] - edges[0]
    colours = [_WITHIN if edge < 0 else _BEYOND for edge in edges[:-1]]
    axes.bar(edges[:-1], counts, width * 0.92, align="edge", color=colours)
    ticks = [(_BOTTOM, "≤10⁻⁴"), (-2, "10⁻²"), (0, "1"), (2, "10²"), (4, "10⁴"), (6, "10⁶")]
    ticks.append((_TOP, "≥10⁸"))
    if lost:
        axes.bar([_TOP + 1], [lost], width * 0.92, align="edge", color=_NOT_FINITE)
        axes.annotate("inf\nnan", (_TOP + 1.25, lost), fontsize=7, color=_INK, ha="center")
    axes.set_xticks([t for t, _ in ticks], labels=[text for _, text in ticks])
    axes.axvline(0, color=_INK, linewidth=1, linestyle=(0, (4, 2)))
    shown = [int(c) for c in (*counts, lost) if c]
    if max(shown) > 30 * min(shown):
        axes.set_yscale("log")
        axes.set_ylim(bottom=0.7)
        axes.yaxis.set_major_formatter(lambda x, _: f"{x:,.0f}")
        axes.minorticks_off()
    axes.set_xlabel("err / bound")
    axes.set_ylabel("elements")
    return _inline(figure, prefix, "histogram of the error in units of the bound")


def scatter(comparison: Comparison, prefix: str) -> Markup:
    """What the candidate has over what torch has, with the line where both are the same."""
    want, got, beyond = _points(comparison)
    if want.size < 2:
        return Markup()
    figure, axes = _figure()
    sizes = np.abs(np.concatenate([want, got]))
    largest = float(sizes.max())
    typical = float(np.median(sizes[sizes > 0])) if largest else 1.0
    if largest > 1e4 * typical or largest > 1e100:
        want, got = _bent(want, typical), _bent(got, typical)
        ticks = [(0.0, "0")]
        first, last = np.ceil(np.log10(typical)), np.floor(np.log10(largest))
        for m in sorted({int(m) for m in (first, (first + last) // 2, last) if m <= last}):
            at = float(_bent(np.float64(10.0) ** m, typical))
            ticks += [(at, f"10{superscript(m)}"), (-at, f"−10{superscript(m)}")]
        for axis in (axes.xaxis, axes.yaxis):
            axis.set_ticks([at for at, _ in ticks], labels=[label for _, label in ticks])
    else:
        axes.locator_params(nbins=5)
    low, high = min(want.min(), got.min()), max(want.max(), got.max())
    room = 0.05 * (high - low) or 0.05 * max(abs(high), 1e-30)
    low, high = low - room, high + room
    axes.set_xlim(low, high)
    axes.set_ylim(low, high)
    axes.plot([low, high], [low, high], color=_INK, linewidth=0.8, linestyle=(0, (4, 2)))
    _dots(axes, want, got, beyond)
    axes.set_xlabel("torch")
    axes.set_ylabel("got")
    return _inline(figure, prefix, "what the candidate has over what torch has")


def _bent(x: Any, typical: float) -> Any:
    """sign(x) log10(1 + |x| / typical): for numbers that are too different for one scale."""
    with np.errstate(divide="ignore"):
        return np.sign(x) * np.logaddexp(0, np.log(np.abs(x)) - np.log(typical)) / np.log(10)


def errors(comparison: Comparison, prefix: str) -> Markup:
    """The candidate's error over torch's own, both against the exact answer, where it is known."""
    if comparison.twin is None or np.shape(comparison.twin) != np.shape(comparison.want):
        return Markup()
    want, got, beyond = _points(comparison)
    twin = _points(comparison, comparison.twin)[1]
    if want.size < 2:
        return Markup()
    with np.errstate(all="ignore"):
        own, theirs = np.abs(got - want), np.abs(twin - want)
    kept = np.isfinite(own) & np.isfinite(theirs)
    own, theirs, beyond = own[kept], theirs[kept], beyond[kept]
    positive = np.concatenate([own, theirs])
    positive = np.log10(positive[positive > 0])
    if own.size < 2 or not positive.size:
        return Markup()
    bottom, top = np.floor(positive.min()), np.ceil(positive.max())
    top = max(top, bottom + 1)
    zero = bottom - 0.14 * (top - bottom) - 0.3
    figure, axes = _figure()
    with np.errstate(divide="ignore"):
        x, y = (np.maximum(np.log10(a), zero) for a in (theirs, own))
    axes.plot([bottom, top], [bottom, top], color=_INK, linewidth=0.8, linestyle=(0, (4, 2)))
    _dots(axes, x, y, beyond)
    step = max(1, int(np.ceil((top - bottom) / 4)))
    marks = [int(m) for m in np.arange(bottom, top + 1, step)]
    labels = ["0", *(f"10{superscript(m)}" for m in marks)]
    for axis in (axes.xaxis, axes.yaxis):
        axis.set_ticks([zero, *marks], labels=labels)
    room = 0.06 * (top - zero)
    axes.set_xlim(zero - room, top + room)
    axes.set_ylim(zero - room, top + room)
    axes.set_xlabel("torch's own error")
    axes.set_ylabel("candidate's error")
    return _inline(figure, prefix, "the candidate's error over torch's own")


def _points(comparison: Comparison, got: Any = None) -> tuple[Array, Array, Array]:
    """torch's answer, the candidate's, and whether it is beyond the bound, where all is finite."""
    want = np.asarray(comparison.want, dtype=np.float64).reshape(-1)
    own = np.asarray(comparison.got, dtype=np.float64).reshape(-1)
    other = own if got is None else np.asarray(got, dtype=np.float64).reshape(-1)
    kept = np.isfinite(want) & np.isfinite(own)
    return want[kept], other[kept], log_ratio(comparison).reshape(-1)[kept] > 0


def _dots(axes: "Axes", x: Array, y: Array, beyond: Array) -> None:
    """Points: a ring within the bound, a cross beyond it."""
    dense = x.size > _DENSE
    for which, marker, colour in ((~beyond, "o", _WITHIN), (beyond, "x", _BEYOND)):
        axes.plot(
            x[which],
            y[which],
            marker,
            color=colour,
            markersize=4,
            markerfacecolor="none",
            markeredgewidth=1,
            rasterized=dense,
            clip_on=False,
        )


def by_step(trace: Trace, prefix: str) -> Markup:
    """The err/bound of every layer over the steps; what is wrong by itself stands out."""
    if trace.steps < 2:
        return Markup()
    figure, axes = _figure()
    limit = PRECISIONS[trace.dtype].k
    top, named = 0.0, -1
    for layer, cells in trace.layers.items():
        known = [(k + 1, c) for k, c in enumerate(cells) if c.state not in ("unknown", "fresh")]
        if not known:
            continue
        x = np.array([k for k, _ in known])
        with np.errstate(divide="ignore"):
            y = np.clip(np.log10([c.ratio for _, c in known]), _LEAST, _MOST)
        top = max(top, float(y.max()))
        wrong = np.array([c.state == "wrong" for _, c in known])
        axes.plot(x, y, color=_WITHIN, linewidth=0.8, alpha=0.6)
        axes.plot(x[~wrong], y[~wrong], "o", color=_WITHIN, markersize=2.5)
        axes.plot(x[wrong], y[wrong], "x", color=_BEYOND, markersize=4, markeredgewidth=1)
        if wrong.any():
            named += 1
            at = int(np.argmax(wrong))
            axes.annotate(
                clean(layer or "network", 24),
                (x[at], y[at]),
                xytext=(4 + 14 * (named % 6), 4),
                textcoords="offset points",
                fontsize=_SMALL - 1,
                color=_INK,
            )
    axes.axhline(np.log10(limit), color=_INK, linewidth=0.8, linestyle=(0, (4, 2)))
    marks = range(int(_LEAST), int(np.ceil(max(top, 1.0))) + 1)
    marks = marks[:: max(1, int(np.ceil(len(marks) / 6)))]
    axes.set_yticks(list(marks), labels=[f"10{superscript(m)}" for m in marks])
    axes.locator_params(axis="x", integer=True)
    axes.set_xlim(0.8, trace.steps + 0.2)
    axes.set_xlabel("step")
    axes.set_ylabel("err/bound")
    return _inline(figure, prefix, "err/bound of every layer over the steps")


# ---- figures -------------------------------------------------------------------------------------


def _figure() -> "tuple[Figure, Axes]":
    from matplotlib.figure import Figure

    figure = Figure(figsize=(_WIDTH, _HEIGHT), dpi=160)
    figure.patch.set_alpha(0)
    axes = figure.add_axes((0.17, 0.2, 0.79, 0.74))
    axes.patch.set_alpha(0)
    return figure, axes


def _indices(axis: Any, n: int) -> None:
    """Indices at the middle of the cells; none along an axis of one."""
    steps = (k * 10**e for e in range(8) for k in (1, 2, 5))
    shown = np.arange(0, n, next(s for s in steps if n <= 8 * s)) if n > 1 else np.array([])
    axis.set_ticks(shown + 0.5, labels=[str(int(i)) for i in shown])


def _inline(figure: "Figure", prefix: str, label: str) -> Markup:
    """The svg element alone, with ids of its own and the page's text colour."""
    import matplotlib

    for axes in figure.axes:
        axes.tick_params(labelsize=_SMALL - 0.5, colors=_INK, pad=2)
        axes.xaxis.label.set(fontsize=_SMALL, color=_INK)
        axes.yaxis.label.set(fontsize=_SMALL, color=_INK)
        for name, spine in axes.spines.items():
            spine.set_visible(name in ("left", "bottom") and not axes.collections)
            spine.set(color=_INK, linewidth=0.6)
    buffer = io.BytesIO()
    with matplotlib.rc_context({"svg.hashsalt": "npnet", "svg.fonttype": "none"}):
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    svg = buffer.getvalue().decode()
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r"<style[^>]*>.*?</style>", "", svg, flags=re.DOTALL)  # it is for all of the page
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace(_INK, "currentColor")
    shape = "stroke-linejoin:round;stroke-linecap:butt"
    return Markup(svg.replace("<svg", f'<svg role="img" aria-label="{label}" style="{shape}"', 1))

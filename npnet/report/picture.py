"""Where a result is off: a heat map of log10(err/bound) as inline SVG, the same for equal input."""

import io
import re
from typing import TYPE_CHECKING, Any

import numpy as np

from npnet.contract import Array
from npnet.verify.finding import Comparison

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LOW, _HIGH = -2.0, 6.0  # powers of ten that have a colour
_MOST_PANELS = 8
_DENSE = 1200  # cells beyond which the map is an image inside the SVG
_NOT_FINITE = "#7b2d8b"
_INK = "#010203"  # becomes the text's own colour on the page

_COLOURS = (  # within the bound: blue and pale; beyond it: yellow to dark red
    (0.0, "#7fa8c9"),
    (0.2499, "#dbe6ee"),
    (0.25, "#fdd97a"),
    (0.5, "#ef8a3c"),
    (0.75, "#c8322b"),
    (1.0, "#6a0f1f"),
)


def log_ratio(comparison: Comparison) -> Array:
    """log10(|got - want| / allowed): 0 is the most that passes; nan where got is not finite."""
    got = np.asarray(comparison.got, dtype=np.float64)
    want = np.asarray(comparison.want, dtype=np.float64)
    allowed = np.broadcast_to(np.asarray(comparison.allowed, dtype=np.float64), want.shape)
    with np.errstate(all="ignore"):
        off = np.abs(got - want)
        ratio = np.where(off == 0, 0.0, np.where(allowed > 0, off / allowed, np.inf))
        levels = np.clip(np.log10(ratio), _LOW, _HIGH)
    same = (got == want) | (np.isnan(got) & np.isnan(want))
    levels = np.where(same, _LOW, levels)
    return np.where(~np.isfinite(got) & np.isfinite(want), np.nan, levels)


def panels(levels: Array) -> list[tuple[str, Array]]:
    """The array as images of its last two axes, with their indices; the worst come first."""
    if levels.ndim <= 2:
        return [("", np.atleast_2d(levels))]
    flat = levels.reshape(-1, *levels.shape[-2:])
    worst = np.where(np.isnan(flat), _HIGH + 1, flat).max((1, 2))
    order = np.argsort(-worst, kind="stable")[:_MOST_PANELS]
    leading = levels.shape[:-2]
    return [
        (
            str([int(j) for j in np.unravel_index(i, leading)] + [...]).replace("Ellipsis", "…"),
            flat[i],
        )
        for i in sorted(order)
    ]


def heat_map(comparison: Comparison, prefix: str) -> str:
    """The picture as an SVG element; empty where there is nothing to draw.

    prefix: put before every id in it, so that several pictures fit on one page
    """
    levels = log_ratio(comparison)
    if levels.size < 2 or levels.ndim > 8:
        return ""
    import matplotlib

    with matplotlib.rc_context({"svg.hashsalt": "npnet", "svg.fonttype": "none"}):
        figure = _figure(panels(levels))
        buffer = io.BytesIO()
        figure.savefig(buffer, format="svg", metadata={"Date": None, "Creator": None})
    return _inline(buffer.getvalue().decode(), prefix)


def _figure(images: list[tuple[str, Array]]) -> "Figure":
    """The panels in a grid, a colour bar to their right; sizes in inches, laid out by hand."""
    from matplotlib.colors import LinearSegmentedColormap, Normalize
    from matplotlib.figure import Figure

    colours = LinearSegmentedColormap.from_list("npnet", list(_COLOURS), N=1024)
    rows, columns = images[0][1].shape
    across = min(len(images), 4)
    down = -(-len(images) // across)
    cell = min(0.3, 6.0 / (across * columns), 3.6 / rows)
    width, height = max(cell * columns, 0.3), max(cell * rows, 0.2)
    step, left, top = width + 0.35, 0.3, 0.3 if images[0][0] else 0.1
    whole = max(down * (height + top + 0.25), 1.35)
    figure = Figure(figsize=(left + across * step + 0.95, whole))
    figure.patch.set_alpha(0)

    def place(x: float, y: float, w: float, h: float) -> Any:
        """Axes at inches from the upper left."""
        return figure.add_axes((x / across_all, 1 - (y + h) / whole, w / across_all, h / whole))

    across_all = figure.get_figwidth()
    dense = sum(image.size for _, image in images) > _DENSE
    mesh: Any = None
    for i, (title, image) in enumerate(images):
        down_i, across_i = divmod(i, across)
        y = down_i * (height + top + 0.25) + top
        axes = place(left + across_i * step, y, width, height)
        mesh = axes.pcolormesh(
            np.ma.masked_invalid(image),
            cmap=colours.with_extremes(bad=_NOT_FINITE),
            norm=Normalize(_LOW, _HIGH),
            rasterized=dense,
            linewidth=0,
        )
        axes.invert_yaxis()
        axes.set_title(title, fontsize=8, color=_INK, pad=3)
        _ticks(axes, rows, columns)
    bar = figure.colorbar(mesh, cax=place(left + across * step, 0.1, 0.12, 1.05))
    bar.set_ticks([-2, 0, 2, 4, 6], labels=["0.01", "1", "10²", "10⁴", "10⁶"])
    bar.set_label("err / bound", fontsize=8, color=_INK, labelpad=2)
    bar.ax.tick_params(labelsize=7, colors=_INK, length=2)
    bar.outline.set_visible(False)
    return figure


def _ticks(axes: Any, rows: int, columns: int) -> None:
    """Indices at the middle of the cells; none along an axis of one."""
    for axis, n in ((axes.xaxis, columns), (axes.yaxis, rows)):
        shown = np.unique(np.linspace(0, n - 1, min(n, 6)).astype(int)) if n > 1 else np.array([])
        axis.set_ticks(shown + 0.5, labels=[str(int(i)) for i in shown])
    axes.tick_params(labelsize=7, colors=_INK, length=2, pad=2)
    for spine in axes.spines.values():
        spine.set_visible(False)


def _inline(svg: str, prefix: str) -> str:
    """The svg element alone, with ids of its own and the page's text colour."""
    svg = svg[svg.index("<svg") :].strip()
    svg = re.sub(r"<metadata>.*?</metadata>", "", svg, flags=re.DOTALL)
    svg = re.sub(r'\bid="', f'id="{prefix}-', svg)
    svg = re.sub(r'(url\(#|href="#)', rf"\g<1>{prefix}-", svg)
    svg = svg.replace(_INK, "currentColor")
    label = "heat map of the error in units of the bound"
    return svg.replace("<svg", f'<svg role="img" aria-label="{label}"', 1)

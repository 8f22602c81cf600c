"""A picture of a history: loss and metrics, epoch by epoch."""

import io
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from npnet.contract import ConfigError
from npnet.train.extra import needed
from npnet.train.files import write_whole
from npnet.train.history import History

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_INK, _GRID = "#333333", "#dddddd"
_TRAINING, _HELD_OUT, _STEPS = "#1f77b4", "#d95f02", "#b9d3ea"


def figure(history: History, title: str = "") -> "Figure":
    """The loss, and each metric beside it. Raises ConfigError for a history of no epoch."""
    if not len(history):
        raise ConfigError("a picture needs a history of one epoch or more, but this has none.")
    names = [n for n in history if not n.startswith("val_") and n != "lr"]
    made: Figure = needed("matplotlib.figure").Figure(
        figsize=(4.6 * len(names), 3.6), dpi=150, layout="constrained"
    )
    made.suptitle(title, color=_INK, fontsize=11)
    for axes, name in zip(made.subplots(1, len(names), squeeze=False)[0], names, strict=True):
        _draw(axes, history, name)
    return made


def save(history: History, path: str | Path, title: str = "") -> None:
    """Draw it to a file: .png, .svg, .pdf. Raises ConfigError."""
    path, drawn = Path(path), figure(history, title)
    kinds = drawn.canvas.get_supported_filetypes()
    kind = path.suffix.removeprefix(".")
    if kind not in kinds:
        raise ConfigError(f"a picture needs a name that ends in .png or .svg, but got {path.name}.")
    buffer = io.BytesIO()
    drawn.savefig(buffer, format=kind)
    write_whole(path, buffer.getvalue())


def _draw(axes: Any, history: History, name: str) -> None:
    epochs = np.arange(1, len(history) + 1)  # where each ends; its mean belongs to its middle
    factor = 100 if "accuracy" in name else 1
    if name == "loss" and len(history.steps) > len(epochs):
        of_steps = np.arange(1, len(history.steps) + 1) * len(epochs) / len(history.steps)
        axes.plot(of_steps, history.steps, color=_STEPS, linewidth=0.8, label="every step")
    marker = "o" if len(epochs) <= 25 else None
    lines = [
        (name, epochs - 0.5, "training, mean of the epoch", _TRAINING),
        (f"val_{name}", epochs, "held out", _HELD_OUT),
    ]
    for key, at, label, colour in lines:
        if key in history:
            values = factor * np.array(history[key])
            axes.plot(at, values, color=colour, marker=marker, markersize=3.5, label=label)
    axes.set_xlabel("epoch", color=_INK)
    axes.set_ylabel(f"{name}, %" if factor == 100 else name.replace("_", " "), color=_INK)
    axes.set_xlim(left=0)
    axes.xaxis.get_major_locator().set_params(integer=True)
    axes.grid(color=_GRID, linewidth=0.6)
    axes.tick_params(colors=_INK, labelsize=8)
    axes.spines[["top", "right"]].set_visible(False)
    axes.set_axisbelow(True)
    if len(axes.lines) > 1:
        axes.legend(frameon=False, fontsize=8)

"""npnet convert: checkpoints between frameworks, run before they are written. npnet port: a
network of npnet as PyTorch code, which is run, too."""

import importlib
import re
import traceback
from collections.abc import Mapping
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from npnet.cli.base import Refused, settle

if TYPE_CHECKING:
    from npnet.convert.check import Ran
    from npnet.convert.network import Target
    from npnet.convert.plan import Converted

_BATCHES = 5
_MOST = 10_000_000  # numbers of an input
_PAIR = re.compile(r"([^=]*)=(.+)")


def _pairs(ctx: click.Context, param: click.Parameter, value: tuple[str, ...]) -> dict[str, str]:
    """A=B, as often as it is given."""
    found = {}
    for one in value:
        match = _PAIR.fullmatch(one)
        if match is None:
            raise Refused(f"--{param.name} takes NAME=VALUE, but got {one!r}.")
        if match[1] in found:
            raise Refused(f"--{param.name} takes every layer once, but got {match[1]!r} twice.")
        found[match[1]] = match[2]
    return found


def _shape(ctx: click.Context, param: click.Parameter, value: str | None) -> Any:
    """2,3,8,8."""
    if value is None:
        return None
    if not re.fullmatch(r"0*[1-9]\d*(,0*[1-9]\d*)*", value.replace(" ", "")):
        raise Refused(f"--input takes a shape as 2,3,8,8, no axis 0 long, but got {value!r}.")
    shape = tuple(int(n) for n in value.split(","))
    if prod(shape) > _MOST:
        raise Refused(f"--input takes a shape of at most {_MOST:,} numbers, but got {value!r}.")
    return shape


_input = click.option(
    "--input",
    "shape",
    metavar="SHAPE",
    callback=_shape,
    help="Of what the network is run on, as 2,3,8,8. [default: found out]",
)
_seed = click.option(
    "--seed", type=click.IntRange(min=0), default=0, show_default=True, help="Of what is drawn."
)


class Unloadable(Refused):
    """Code that was to be run, and could not be."""

    exit_code = 3


# ---- npnet convert -------------------------------------------------------------------------------


@click.command()
@click.argument("source", metavar="IN")
@click.argument("out", metavar="OUT")
@click.option("--from", "origin", metavar="NAME", help="torch, keras, tf, flax, nnx, numpy-dlfs.")
@click.option("--to", "aim", metavar="NAME", help="torch, npnet (the same), or a framework.")
@click.option(
    "--like",
    metavar="TARGET",
    help="What it is for: FILE.py:name of a network of npnet or a module of torch, or a file.",
)
@click.option(
    "--layer",
    multiple=True,
    callback=_pairs,
    metavar="NAME=KIND",
    help="What a layer of IN is: conv2d_3=ConvTranspose2d. As often as needed.",
)
@click.option(
    "--rename",
    multiple=True,
    callback=_pairs,
    metavar="THEIRS=OURS",
    help="What a layer of IN is called in torch: dense_1=fc. As often as needed.",
)
@click.option("--allow-missing", is_flag=True, help="Leave out what has no place; it is told.")
@_input
@_seed
@click.pass_context
def convert(
    ctx: click.Context,
    source: str,
    out: str,
    origin: str | None,
    aim: str | None,
    like: str | None,
    layer: Mapping[str, str],
    rename: Mapping[str, str],
    allow_missing: bool,
    shape: tuple[int, ...] | None,
    seed: int,
) -> None:
    """Convert a checkpoint, run what came of it, and write it: names and layouts of tensors.

    IN and OUT are .safetensors, .npz, or files of torch (.pt, .pth, .bin). Every layer is run on
    random numbers, in npnet and by the formula of where it comes from, and outputs and gradients
    are held against torch; with --like and a network, the whole is. OUT is written at once, and
    only if all is right and nothing is left over. It is replaced if it is there.

    Exit codes: 0 written; 1 a result differs; 2 something is wrong with what was given; 3 the file
    of the target could not be loaded.
    """
    settle()
    from npnet.convert import checkpoints
    from npnet.convert.between import Way, converted, runs
    from npnet.convert.check import require_torch

    here, there = Path(source), Path(out)
    checkpoints.require_suffix(there, "OUT")
    checkpoints.require_place(there)
    given = checkpoints.read(here)
    if there.exists() and there.samefile(here):
        raise Refused(f"OUT must be another file than IN, but both are {source}.")
    require_torch()
    target = None if like is None else _target(like)
    if origin is None and target is not None and target.calls(given):
        origin = "torch"
    origin = _framework("--from", origin, {n: a.shape for n, a in given.items()})
    aim = "torch" if aim is None else _framework("--to", aim, {})
    asked = None if target is None else (target.slots, target.rest)
    way = Way(origin, aim, asked, layer, rename, allow_missing)
    made, slots = converted(given, way)
    right = True
    for told, ran in runs(made.tensors, made, slots, aim, seed):
        _say(f"{told}\n  {ran.line}")
        right = right and ran.right
    for note in made.notes:
        _say(f"note: {note}")
    if target is not None:
        ran = _whole(target, made, aim, shape, seed)
        _say(f"the network: {ran.line}")
        right = right and ran.right
    if not right:
        click.echo("npnet: it does not give the same; nothing is written.", err=True)
        ctx.exit(1)
    checkpoints.write(there, made.tensors)
    _say(f"{len(made.tensors)} tensors in {there}")


def _say(text: str) -> None:
    """Print what may hold names from a file, without what a terminal would obey."""
    from npnet.report.words import lines

    click.echo("\n".join(lines(text)))


def _whole(
    target: "Target", made: "Converted", aim: str, shape: tuple[int, ...] | None, seed: int
) -> "Ran":
    """The network as a whole, or why it is not run."""
    from npnet.convert.check import Ran
    from npnet.convert.network import whole

    why = target.why
    if aim != "torch":
        why = f"what is written is for {aim}, and each layer was run by itself"
    elif made.left:
        why = "something was left out"
    if why or target.layers is None:
        return Ran(f"not run as a whole: {why.rstrip('.')}.")
    return whole(target.layers, made.tensors, shape, seed)


def _framework(option: str, name: str | None, shapes: Mapping[str, tuple[int, ...]]) -> str:
    from npnet.convert.facts import ALIASES, FRAMEWORKS
    from npnet.convert.guess import framework_of
    from npnet.verify.targets import nearest

    if name is None:
        return framework_of(shapes)
    found = ALIASES.get(name, name)
    if found in ("torch", "npnet"):
        return "torch"
    if found not in FRAMEWORKS:
        known = ["torch", "npnet", *FRAMEWORKS, *ALIASES]
        raise Refused(f"{option} takes {', '.join(known)}, but got {name!r}.{nearest(name, known)}")
    return found


# ---- what it is for ------------------------------------------------------------------------------


def _target(like: str) -> "Target":
    """The layers of a target, and the network to run, where there is one."""
    from npnet.convert import checkpoints
    from npnet.convert.network import Target, target_of
    from npnet.convert.slots import slots_of_state

    if not like:
        raise Refused("--like takes FILE.py:name, a module or a file, but got ''.")
    if Path(like).suffix in checkpoints.SUFFIXES:
        found = checkpoints.read(like)
        slots, rest = slots_of_state({n: a.shape for n, a in found.items()})
        return Target(slots, rest, None, f"{like} has tensors, and no network")
    return target_of(_loaded(like), like)


def _loaded(target: str) -> Any:
    """The network of a file or a module."""
    from npnet.contract import ConfigError
    from npnet.convert.network import is_network
    from npnet.verify import targets
    from npnet.verify.targets import found_in

    name = re.sub(r"\.py:(?!:)", ".py::", target)
    try:
        return found_in(name, is_network, "network of npnet or module of torch")[0]
    except (Exception, SystemExit) as error:
        if isinstance(error, ModuleNotFoundError) and name.startswith(str(error.name)):
            raise Refused(
                f"there is no file or module {target!r}. Give a file as nets.py:model, or a module."
            ) from None
        *_, last = traceback.extract_tb(error.__traceback__)
        if isinstance(error, ConfigError) and last.filename == targets.__file__:
            raise
        raise Unloadable(
            f"{target} could not be loaded: {type(error).__name__}: {error} ({last.filename}, line "
            f"{last.lineno})"
        ) from None


# ---- npnet port ----------------------------------------------------------------------------------


@click.command()
@click.argument("target", metavar="FILE.py:MODEL")
@_input
@_seed
@click.pass_context
def port(ctx: click.Context, target: str, shape: tuple[int, ...] | None, seed: int) -> None:
    """Print the PyTorch code of a network of npnet, run it against the network, and say so.

    MODEL is a layer or a Sequential of npnet.nn, an npnet.train.Model whose layers follow each
    other, or a pair of a layer and its state; it may be left out where there is one only.

    Exit codes: 0 the code gives the same; 1 it does not; 2 it cannot be translated; 3 the file
    could not be loaded.
    """
    settle()
    from npnet.convert.check import require_torch
    from npnet.convert.code import source
    from npnet.convert.network import drawn_state, held, is_module, layers_of

    require_torch()
    thing = _loaded(target)
    if is_module(thing):
        raise Refused(f"{target} is a module of torch already. npnet port takes npnet's own.")
    layers, state = layers_of(thing, target)
    if state is None:
        state = drawn_state(layers, seed)
    text = source(layers)
    module = importlib.import_module("npnet.twins.ported").run(text, state)
    ran = held(layers, module, state, shape, seed, _BATCHES)
    click.echo(text, nl=False)
    _say(f"# held against {target}: {ran.line}")
    ctx.exit(0 if ran.right else 1)

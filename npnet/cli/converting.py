"""npnet convert: checkpoints between frameworks, run before they are written. npnet port: a
network of npnet as PyTorch code, which is run, too."""

import re
from collections.abc import Mapping, Sequence
from math import prod
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from npnet.cli.base import Refused, settle

if TYPE_CHECKING:
    from npnet.convert.groups import Slot
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

    Exit codes: 0 written; 1 a result differs; 2 something is wrong with what was given.
    """
    settle()
    from npnet.convert import checkpoints
    from npnet.convert.check import require_torch, run_moved, run_slot

    here, there = Path(source), Path(out)
    checkpoints.require_suffix(there, "OUT")
    given = checkpoints.read(here)
    if there.exists() and there.samefile(here):
        raise Refused(f"OUT must be another file than IN, but both are {source}.")
    require_torch()
    origin = _framework("--from", origin, {n: a.shape for n, a in given.items()})
    aim = _aim(aim, origin)
    target, network, state_names = _target(like) if like else (None, None, None)
    made, slots = _converted(given, origin, aim, target, layer, rename, allow_missing=allow_missing)
    right = True
    for one in made.moved:
        ran = run_moved(one, seed)
        click.echo(_line(one, aim))
        click.echo(f"  {ran.line}")
        right = right and ran.right
    for slot in slots:
        ran = run_slot(slot, given, seed)
        click.echo(f"{slot.named}\n  {ran.line}")
        right = right and ran.right
    for note in made.notes:
        click.echo(f"note: {note}")
    if network is not None and aim == "torch" and not allow_missing:
        said, agrees = _whole(network, state_names or {}, made.tensors, shape, seed)
        click.echo(f"the network: {said}")
        right = right and agrees
    if not right:
        click.echo("npnet: it does not give the same; nothing is written.", err=True)
        ctx.exit(1)
    checkpoints.write(there, made.tensors)
    click.echo(f"{len(made.tensors)} tensors in {there}")


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


def _aim(name: str | None, origin: str) -> str:
    if name is None:
        return "torch"
    return _framework("--to", name, {})


def _converted(
    given: Mapping[str, Any],
    origin: str,
    aim: str,
    target: Any,
    layer: Mapping[str, str],
    rename: Mapping[str, str],
    *,
    allow_missing: bool,
) -> "tuple[Converted, Sequence[Slot]]":
    """What is to be written, and the layers that are run by themselves."""
    from npnet.convert.groups import require_known, slots_of_state
    from npnet.convert.plan import as_it_is, from_state, to_state

    for kind in layer.values():
        require_known(origin if origin != "torch" else aim, kind)
    if origin == "torch" == aim:
        made = as_it_is(given, target, allow_missing=allow_missing)
        slots, _ = slots_of_state({n: a.shape for n, a in made.tensors.items()})
        return made, [s for s in slots if s.kinds]
    if origin == "torch":
        return from_state(aim, given, target, chosen=layer, allow_missing=allow_missing), ()
    made = to_state(
        origin, given, target, chosen=layer, renamed=rename, allow_missing=allow_missing
    )
    if aim == "torch":
        return made, ()
    further = from_state(aim, made.tensors, _slots(made), allow_missing=allow_missing)
    further.notes = [*made.notes, *further.notes]
    return further, ()


def _slots(made: "Converted") -> Any:
    """The layers of what was converted, as it is known what they are."""
    from npnet.convert.check import heads_of

    found = []
    for one in made.moved:
        heads = one.slot.heads or heads_of(one.theirs)
        found.append(one.slot._replace(kinds=(one.table.layer,), heads=heads))
    return found, []


def _line(moved: Any, aim: str) -> str:
    """Which layer, what it is on both sides, and whether its table is proven."""
    from npnet.convert.tables import proof

    table, slot = moved.table, moved.slot
    part, name = next(iter(moved.names.items()))
    above = re.split(r"[/.]", name)[: -1 - part.count("/")]
    sides = [f"{'/'.join(above) or name} ({table.theirs})", f"{slot.named} ({table.layer})"]
    told = proof(table)
    text = " -> ".join(sides if aim == "torch" else reversed(sides))
    return f"{text}, {told.sentence if told else 'its table is not verified'}"


# ---- what it is for ------------------------------------------------------------------------------


def _target(like: str) -> tuple[Any, Any, Any]:
    """The layers of a target; the network to run, where there is one, and its names."""
    from npnet.convert import checkpoints
    from npnet.convert.groups import slots_of_layers, slots_of_state

    if Path(like).suffix in checkpoints.SUFFIXES:
        found = checkpoints.read(like)
        return slots_of_state({n: a.shape for n, a in found.items()}), None, None
    thing = _loaded(like)
    shapes = _shapes_of_module(thing)
    if shapes is not None:
        network, names = _of_module(thing)
        if network is not None:
            return slots_of_layers(names), network, names
        return slots_of_state(shapes), None, None
    layers, _ = _layers_of(thing, like)
    return slots_of_layers(layers), thing, layers


def _loaded(target: str) -> Any:
    """The network of a file or a module."""
    from npnet.verify.targets import found_in

    name = re.sub(r"\.py:(?!:)", ".py::", target)
    try:
        return found_in(name, _is_network, "network of npnet or module of torch")[0]
    except ModuleNotFoundError as error:
        if not name.startswith(str(error.name)):
            raise
        raise Refused(
            f"there is no file or module {target!r}. Give a file as nets.py:model, or a module."
        ) from None


def _is_network(value: Any) -> bool:
    if isinstance(value, type):
        return False
    if isinstance(value, tuple):
        return len(value) == 2 and _is_network(value[0]) and isinstance(value[1], Mapping)
    if hasattr(value, "state_dict") and hasattr(value, "named_modules"):
        return True
    return hasattr(value, "init") and (hasattr(value, "fit") or _is_layer(value))


def _is_layer(value: Any) -> bool:
    return callable(value) and type(value).__module__.startswith("npnet.nn")


def _shapes_of_module(thing: Any) -> dict[str, tuple[int, ...]] | None:
    if not hasattr(thing, "named_modules"):
        return None
    return {n: tuple(t.shape) for n, t in thing.state_dict().items()}


def _of_module(module: Any) -> tuple[Any, Any]:
    """The network of npnet that a module of torch is, where there is one."""
    import importlib

    from npnet.contract import ConfigError

    try:
        layer, _ = importlib.import_module("npnet.twins").from_torch(module)
    except ConfigError:
        return None, None
    return layer, {"": layer}


def _layers_of(thing: Any, target: str) -> tuple[dict[str, Any], Any]:
    """The layers of a network by name, and its state where it has one. Raises Refused."""
    layer, state = thing if isinstance(thing, tuple) else (thing, None)
    if hasattr(layer, "fit"):
        if layer.forward is not None:
            raise Refused(
                f"{target} is wired by a function of its own, which is not translated. Give a "
                "Sequential, or write the wiring in torch and hold it against this: npnet trace."
            )
        return dict(layer.layers), layer.state if state is None else state
    return {"": layer}, state


def _as_one(layers: Mapping[str, Any]) -> tuple[Any, dict[str, str]]:
    """The network as one layer, and the prefixes of its state, the network's to the layer's."""
    if list(layers) == [""]:
        return layers[""], {"": ""}
    from npnet.nn import Sequential

    return Sequential(*layers.values()), {f"{n}.": f"{i}." for i, n in enumerate(layers)}


def _asking(layer: Any, prefixes: Mapping[str, str]) -> Any:
    """The network as a function of its own state, gradients and updates by its names."""
    from npnet.contract import Forward, Grads

    def renamed(entries: Mapping[str, Any], pairs: Mapping[str, str]) -> dict[str, Any]:
        found = {}
        for name, a in entries.items():
            before = next(p for p in pairs if name.startswith(p))
            found[pairs[before] + name.removeprefix(before)] = a
        return found

    back = {b: a for a, b in prefixes.items()}

    def ask(state: Mapping[str, Any], inputs: Sequence[Any], **kwargs: Any) -> Any:
        forward = layer(renamed(state, prefixes), *inputs, **kwargs)

        def vjp(dy: Any) -> Any:
            grads = forward.vjp(dy)
            return Grads(grads.inputs, renamed(grads.params, back))

        return Forward(forward.y, vjp, renamed(forward.updates, back))

    return ask


def _whole(
    network: Any, layers: Mapping[str, Any], tensors: Mapping[str, Any], shape: Any, seed: int
) -> tuple[str, bool]:
    """The network of the target with what was converted, against torch's."""
    import importlib

    from npnet.convert.check import in_float

    state = {n: in_float(a) for n, a in tensors.items()}
    layer, prefixes = _as_one(layers)
    module = (
        importlib.import_module("npnet.twins.whole").twin_of_layers(layers, state)
        if (list(layers) != [""])
        else importlib.import_module("npnet.twins").to_torch(layer, state)
    )
    return _held(layer, prefixes, module, state, shape, seed, 2)


def _held(
    layer: Any,
    prefixes: Mapping[str, str],
    module: Any,
    state: Mapping[str, Any],
    shape: Any,
    seed: int,
    batches: int,
) -> tuple[str, bool]:
    import importlib

    import numpy as np

    from npnet.convert.check import outcome
    from npnet.convert.running import network_inputs

    rng = np.random.default_rng(seed)
    ask = _asking(layer, prefixes)
    dtype = next((a.dtype for a in state.values() if a.dtype.kind == "f"), np.dtype("float32"))
    own = {b + n.removeprefix(a): x for a, b in prefixes.items() for n, x in state.items()
           if n.startswith(a)}  # fmt: skip
    inputs = [network_inputs(layer, own, dtype, rng, shape) for _ in range(batches)]
    draws = "rng" in type(layer).__call__.__annotations__
    found = importlib.import_module("npnet.twins.checked").held(
        ask, module, state, inputs, seed=seed, draws=draws
    )
    ran = outcome(found, state)
    return ran.line, ran.right


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

    Exit codes: 0 the code gives the same; 1 it does not; 2 it cannot be translated.
    """
    settle()
    import numpy as np

    from npnet.convert.check import require_torch
    from npnet.convert.code import source

    require_torch()
    thing = _loaded(target)
    if _shapes_of_module(thing) is not None:
        raise Refused(f"{target} is a module of torch already. npnet port takes npnet's own.")
    layers, state = _layers_of(thing, target)
    if state is None:
        drawn = np.random.default_rng(seed)
        state = {
            f"{n}.{k}".lstrip("."): a
            for n, layer in layers.items()
            for k, a in layer.init(drawn).items()
        }
    text = source(layers)
    layer, prefixes = _as_one(layers)
    import importlib

    module = importlib.import_module("npnet.twins.ported").run(text, state)
    said, right = _held(layer, prefixes, module, state, shape, seed, _BATCHES)
    click.echo(text, nl=False)
    click.echo(f"# held against {target}: {said}")
    ctx.exit(0 if right else 1)

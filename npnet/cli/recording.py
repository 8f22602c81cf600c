"""npnet record, npnet judge: answers that are kept, and those that other programs write."""

from fnmatch import fnmatchcase
from pathlib import Path

import click

from npnet.cli.base import REFERENCE, Refused, Unverifiable, needs_cuda, new_directory, prepare
from npnet.cli.options import format_option, one_of, report_dir_option
from npnet.cli.output import annotate, exit_code


@click.command()
@click.argument("layers", nargs=-1, metavar="[LAYER]...")
@click.option(
    "--device",
    default="cpu",
    show_default=True,
    callback=one_of("cpu", "cuda"),
    help="Whose answers are recorded.",
)
@click.option(
    "--reference",
    default=str(REFERENCE),
    show_default=True,
    metavar="DIR",
    help="Where LAYER/<device>.safetensors and .json are written.",
)
def record(layers: tuple[str, ...], device: str, reference: str) -> None:
    """Ask torch once, and keep its answers with their bounds.

    LAYER is the name of a twin ("Linear", "Conv*", "optim.Adam"); none: all of them. The same
    versions on the same machine write the same bytes. npnet verify --device recorded asks what is
    kept, without torch.
    """
    prepare()
    if device == "cuda":
        needs_cuda("--device cuda")
    from npnet.verify.environment import device_facts
    from npnet.verify.recorded import record as recorded
    from npnet.verify.recorded import write
    from npnet.verify.targets import nearest, specs

    twins = specs()
    if device != "cpu":
        from npnet.twins.beside import beside

        twins = beside(device, twins, own=True)
    wanted: dict[str, None] = {}
    for pattern in layers or ("*",):
        found = [n for n in twins if fnmatchcase(n.lower(), pattern.lower())]
        if not found:
            raise Refused(f"there is no twin {pattern!r}.{nearest(pattern, list(twins))}")
        wanted |= dict.fromkeys(found)
    facts, total = device_facts(device), 0
    for name in wanted:
        kept = recorded(twins[name], device, facts)
        try:
            size = write(kept, Path(reference))
        except OSError as error:
            raise Refused(f"{reference} cannot be written ({error.strerror}).") from None
        total += size
        click.echo(f"{name:<28} {len(kept.questions):>3} questions {size / 1000:>7.1f} kB")
    click.echo(f"{len(wanted)} recorded in {reference}, {total / 1e6:.2f} MB")


@click.command()
@click.argument("answers", metavar="ANSWERS")
@click.option("--layer", metavar="LAYER", help="What was answered. [default: the file says it]")
@click.option("--device", default="cpu", callback=one_of("cpu", "cuda"), help="Whose questions.")
@click.option(
    "--reference",
    default=str(REFERENCE),
    show_default=True,
    metavar="DIR",
    help="Where the questions came from.",
)
@report_dir_option
@format_option
@click.pass_context
def judge(
    ctx: click.Context,
    answers: str,
    layer: str | None,
    device: str,
    reference: str,
    report_dir: str | None,
    format: tuple[str, ...],
) -> None:
    """Judge answers that a program in any language has written to recorded questions.

    ANSWERS is a safetensors file with tensors such as "float32-3/gradient of weight"; its metadata
    says "layer". The questions, and how the files look, are in reference/README.md. torch is not
    needed. Exit codes are those of npnet verify.
    """
    where = "recorded" if device == "cpu" else f"recorded:{device}"
    prepare(where, reference)
    from npnet.report import text
    from npnet.report.files import write
    from npnet.verify.engine import run_all
    from npnet.verify.recorded import answered_layer, read, written
    from npnet.verify.settings import Settings

    name = layer or answered_layer(Path(answers))
    if name is None:
        raise Refused(
            f'{answers} must say in its metadata which "layer" it answers for, or --layer must.'
        )
    candidate, dtypes = written(Path(answers), read(Path(reference), name, device))
    asked = Settings(dtypes=dtypes, device=where, reference=reference, isolated=False)
    directory = Path(report_dir) if report_dir else new_directory()
    report = write(run_all([candidate], asked), directory, format)
    if not report.layers and not report.findings:
        raise Unverifiable(f"{answers} holds nothing that can be judged.")
    kept = directory / ("index.html" if "html" in format else "results.jsonl")
    if "text" in format:
        click.echo(text.render(report, kept), nl=False)
    annotate(report, format)
    ctx.exit(exit_code(report, False))

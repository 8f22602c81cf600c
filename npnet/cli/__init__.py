"""The command `npnet`: verify, trace, compare, report, list, replay, repro, baseline, record,
judge, doctor, init, train, guide, convert, port.

Exit codes: 0 everything asked was verified; 1 at least one divergence; 2 usage or configuration;
3 a candidate crashed, hung or could not be loaded; 4 nothing, or too little, could be verified.
The lowest of 1, 3, 4 that applies. 130: interrupted before anything was found.

torch, hypothesis and the reports are imported inside the commands that need them, so that
`npnet --help` costs no more than click.
"""

import sys
from pathlib import Path

import npnet

try:
    import click
except ModuleNotFoundError:
    raise SystemExit(
        "npnet: the command line needs click, which is not installed. "
        "Install it with: pip install 'npnet[torch]'"
    ) from None

from npnet.cli.accepting import baseline
from npnet.cli.asking import verify
from npnet.cli.base import Group, read_settings
from npnet.cli.converting import convert, port
from npnet.cli.guiding import guide
from npnet.cli.merging import report
from npnet.cli.recording import judge, record
from npnet.cli.showing import doctor, list_
from npnet.cli.starting import init
from npnet.cli.stored import replay, repro
from npnet.cli.tracing import compare, trace
from npnet.cli.training import train


@click.group(cls=Group, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(npnet.__version__, "-V", "--version", prog_name="npnet")
@click.pass_context
def cli(ctx: click.Context) -> None:
    """Hold hand-written backward passes against PyTorch."""
    if ctx.invoked_subcommand in ("verify", "report", "replay", "repro", "baseline"):
        found = read_settings(Path.cwd())
        only = {name: found[name] for name in ("format",) if name in found}
        ctx.default_map = {"verify": found, "report": only}
        ctx.obj = found


COMMANDS = (
    verify,
    trace,
    compare,
    report,
    replay,
    repro,
    baseline,
    record,
    judge,
    list_,
    guide,
    doctor,
    init,
    train,
    convert,
    port,
)

for command in COMMANDS:
    cli.add_command(command)


def main() -> None:
    """The console entry point."""
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")  # a terminal that cannot show "·" still works
    cli()

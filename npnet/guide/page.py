"""A page as data: what is known of a layer, an optimizer or a schedule, in reading order."""

from collections.abc import Iterator, Sequence

from npnet.contract import ConfigError
from npnet.convert import tables
from npnet.guide import claims, docstrings, evidence, signature, source
from npnet.guide.blocks import (
    Beside,
    Block,
    Bullets,
    Code,
    Fold,
    Page,
    Pages,
    Plain,
    Section,
    Table,
    Text,
)
from npnet.guide.evidence import Evidence
from npnet.guide.example import Run, candidate, entries_of, example, returned
from npnet.report import words
from npnet.verify.targets import dialects, nearest

_OPEN = 220  # lines that are shown without being asked for


# ---- the page of a layer -------------------------------------------------------------------------


def page(name: str) -> Page:
    """Everything that is known of a module, an optimizer or a schedule.

    Its code runs while the page is made; the rest was verified before (npnet.guide.evidence).

    Raises ConfigError for a name that has no page, and where code of the page does not run.
    """
    known = source.names()
    if name not in known:
        raise ConfigError(f"there is no page of {name!r}.{nearest(name, known)}")
    found = evidence.read(name)
    sections = (
        _formula(name),
        _claims(name, found),
        _signatures(name),
        _tensors(name),
        _side_by_side(name),
        _yours(name),
        _mistakes(name, found),
        _dialects(name),
        _verified(found),
    )
    kept = tuple(s for s in sections if s.blocks)
    return Page(name, f"npnet.{words.full(name)}", words.in_torch(name), kept)


def _formula(name: str) -> Section:
    code = source.code(name)
    shown: list[Code] = []
    folded: list[Code] = []
    lines = 0
    for snippet in (code.own, *code.called):
        block = Code(snippet.text, f"{snippet.name} · {snippet.file}")
        lines += snippet.text.count("\n") + 1
        (folded if shown and lines > _OPEN else shown).append(block)
    left: list[Block] = [Plain(docstrings.docstring(name))]
    for other in docstrings.references(name):
        if text := docstrings.borrowed(name, other):
            left += [Text(f"As in {other}:"), Plain(text)]
    first = docstrings.initial(name)
    if first:
        left.append(Text(f"init(rng): {first}"))
    right: list[Block] = [*shown]
    if folded:
        right.append(Fold("What this calls", tuple(folded)))
    if code.layers:
        right.append(Pages("Made of:", code.layers))
    return Section("Formula, and npnet's own code", (Beside(tuple(left), tuple(right)),))


def _signatures(name: str) -> Section:
    own, torch = signature.written(name)
    blocks: list[Block] = [
        Beside(
            (Code(f"npnet.{words.full(name)}{own}", "NumPy"),),
            (Code(f"{words.in_torch(name)}{torch}", "PyTorch"),),
        )
    ]
    for title, found in (("argument", signature.constructor(name)), ("call", signature.call(name))):
        rows = tuple((p.own or p.torch, p.status, p.note) for p in found)
        if rows:
            blocks.append(Table((title, "status", ""), rows, code=(0,)))
    if told := returned(name):
        blocks.append(Text(told))
    return Section("Signatures", tuple(blocks))


def _tensors(name: str) -> Section:
    rows = tables.rows(name)
    blocks: list[Block] = []
    if rows:
        told = tuple((r.name, r.shape, r.axes) for r in rows)
        blocks.append(Table(("state_dict", "shape", "axes"), told, code=(0, 1)))
    elif entries := entries_of(name):
        here = tuple((n, str(a.shape)) for n, a in entries.items())
        blocks.append(Table(("state_dict", "shape, in the code below"), here, code=(0, 1)))
    if kept := docstrings.kept(name):
        blocks.append(Text("Kept from step to step, by the name of the parameter:"))
        blocks.append(Plain(kept))
    for at in tables.inputs(name):
        lying = [
            (r.name, ", ".join(t.names) or "–", t.sentence)
            for r in rows
            for t in r.there
            if (t.framework, t.variant) == (at.framework, at.variant)
        ]
        inside: list[Block] = []
        if lying:
            head = ("torch", at.title, "how it lies there")
            inside.append(Table(head, tuple(lying), code=(0, 1)))
        lies = [f"input: {_arrow(x)}" for x in at.layouts] + [f"output: {_arrow(at.output)}"]
        inside.append(Bullets((*lies, *at.notes, *filter(None, [at.proof]))))
        blocks.append(Fold(f"{at.title}: {at.layer}", tuple(inside)))
    for framework, why in tables.absent(name).items():
        blocks.append(Text(f"{tables.FRAMEWORKS[framework]}: {why}."))
    if tables.inputs(name):
        blocks.append(Text("npnet convert moves checkpoints by these tables."))
    return Section("Tensors", tuple(blocks))


def _arrow(layout: str) -> str:
    return layout.replace("->", "→")


def _claims(name: str, found: Evidence | None) -> Section:
    passed = () if found is None else found.claims
    told = tuple(text for text in claims.texts(name) if text in passed)
    if not told:
        return Section("Conventions", ())
    assert found is not None
    when = f"torch {found.checked['torch']} and of npnet, on {found.checked['date']}"
    return Section("Conventions", (Bullets(told), Text(f"Each is a check that passed, of {when}.")))


def _side_by_side(name: str) -> Section:
    found = example(name)
    blocks: list[Block] = [
        Beside(_run(found.numpy, "NumPy"), _run(found.torch, "PyTorch, from the same arrays"))
    ]
    if found.note:
        blocks.append(Text(found.note))
    elif found.agree:
        blocks.append(Text("Both were run when this page was made, and print the same numbers."))
    return Section("Side by side", tuple(blocks))


def _run(run: Run, caption: str) -> tuple[Block, ...]:
    return Code(run.code, caption), Code(run.output.rstrip(), "prints", "text")


def _yours(name: str) -> Section:
    command = Code("npnet verify mylayers.py", "in a terminal", "console")
    return Section("Your own against torch's", (Code(candidate(name), "mylayers.py"), command))


def _verified(found: Evidence | None) -> Section:
    if found is None:
        return Section("What was verified", (Text("Nothing yet: it was never asked."),))
    rows = tuple(
        (dtype, found.device, f"{a.examples:,}", f"{a.judged:,}", f"{a.worst:.2f}")
        for dtype, a in found.asked.items()
    )
    head = ("dtype", "device", "examples", "numbers compared", "worst err/bound")
    quantities = dict.fromkeys(q for a in found.asked.values() for q in a.ratios)
    each = tuple(
        (q, *(f"{a.ratios[q]:.2f}" if q in a.ratios else "–" for a in found.asked.values()))
        for q in quantities
    )
    facts = found.environment
    versions = " · ".join(
        f"{n} {facts[n]}" for n in ("npnet", "torch", "numpy", "python") if facts.get(n)
    )
    missing = [f"not drawn: {', '.join(found.uncovered)}"] if found.uncovered else []
    missing += [] if "cuda" in found.device else ["CUDA: no GPU was there"]
    missing += [f"{d}: not asked" for d in ("float16",) if d not in found.asked]
    blocks: list[Block] = [
        Table(head, rows),
        Text(f"{versions} · {facts['date']} · seed {found.seed}."),
    ]
    if found.coverable:
        blocks.append(
            Text(f"Options, alone and in pairs: {found.covered} of {found.coverable} were drawn.")
        )
    blocks.append(Bullets(tuple(f"Not verified: {m}." for m in missing)))
    blocks.append(Fold("Every quantity, in bounds", (Table(("quantity", *found.asked), each),)))
    return Section("What was verified", tuple(blocks))


def _mistakes(name: str, found: Evidence | None) -> Section:
    if found is None or not found.mistakes:
        return Section("Common mistakes", ())
    rows = tuple(
        (m.text, f"{m.verdict}: {m.quantity}", m.why or "(no cause is claimed)")
        for m in found.mistakes
    )
    last = max(m.example for m in found.mistakes)
    told = Text(
        "All were found in the first example."
        if last == 1
        else f"Each was found within {last} examples."
    )
    return Section("Common mistakes", (Table(("code that", "npnet says", "why"), rows), told))


def _dialects(name: str) -> Section:
    known = dialects(name)
    if not known:
        return Section("Dialects", ())
    rows = tuple((d.name, d.origin, d.text) for d in known)
    told = (
        "Code in one of these is told so by name. To hold it against the dialect instead of torch: "
        f'@candidate("{name}", dialect="{known[0].name}").'
    )
    return Section("Dialects", (Table(("dialect", "at home in", "what it does"), rows), Text(told)))


# ---- all of them ---------------------------------------------------------------------------------


def families(names: Sequence[str] | None = None) -> Iterator[tuple[str, list[str]]]:
    """The pages by family, as npnet's files have them: (title, names)."""
    found: dict[str, list[str]] = {}
    for name in source.names() if names is None else names:
        found.setdefault(source.family(name), []).append(name)
    yield from found.items()

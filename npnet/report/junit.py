"""A report as JUnit XML: a case per candidate, dtype and quantity, named alike in every run."""

from xml.etree import ElementTree as ET

from npnet.report import words
from npnet.report.overview import DIVERGES, Cell, cells, state
from npnet.report.text import failure
from npnet.verify.finding import Report, Verdict


def render(report: Report) -> str:
    """<testsuites>: one per candidate, and what was not verified as one of skipped cases."""
    whole = ET.Element("testsuites", name="npnet", time=f"{report.seconds:.3f}")
    by_layer: dict[str, list[Cell]] = {}
    for cell in cells(report):
        by_layer.setdefault(cell.layer, []).append(cell)
    for layer, own in by_layer.items():
        suite = ET.SubElement(whole, "testsuite", name=words.clean(layer))
        results = (r for r in report.layers if r.layer == layer)
        suite.set("time", f"{sum(o.seconds for r in results for o in r.outcomes.values()):.3f}")
        for cell in own:
            _case(suite, cell, report)
    if report.retried:
        _baseline(ET.SubElement(whole, "testsuite", name="baseline"), report)
    missing = words.not_verified(report)
    if missing:
        suite = ET.SubElement(whole, "testsuite", name="not verified")
        for text in missing:
            case = ET.SubElement(suite, "testcase", classname="not verified", name=text)
            ET.SubElement(case, "skipped", message="not verified")
    for element in (*whole, whole):
        _count(element)
    ET.indent(whole)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ET.tostring(whole, "unicode") + "\n"


def _case(suite: ET.Element, cell: Cell, report: Report) -> None:
    names = [n for n in (cell.quantity, cell.dtype, cell.device) if n]
    name = " · ".join(words.clean(n, 120) for n in names)
    case = ET.SubElement(suite, "testcase", classname=words.clean(cell.layer), name=name)
    if cell.verdict is Verdict.PASS or cell.finding is None:
        return
    f = cell.finding
    if f.accepted:
        ET.SubElement(case, "skipped", message=f"accepted: {words.clean(f.accepted)}")
        return
    if f.source is not None:
        case.set("file", words.clean(f.source.file))
        case.set("line", str(f.source.line))
    kind = "failure" if state(cell.verdict) == DIVERGES else "error"
    reading = next((text for _, text in words.readings(f)), None)
    message = reading or words.how_much(f) or words.clean(f.message)
    told = ET.SubElement(case, kind, type=cell.verdict.value, message=message)
    told.text = str(failure(f, report.findings))


def _baseline(suite: ET.Element, report: Report) -> None:
    """A case per accepted divergence, which passes while that diverges."""
    for one in report.retried:
        case = ET.SubElement(suite, "testcase", classname="baseline", name=words.clean(one.id))
        if not one.holds:
            kind = "failure" if one.state == "FIXED" else "error"
            ET.SubElement(case, kind, type=one.state, message=words.retried(one))


def _count(element: ET.Element) -> None:
    element.set("tests", str(len(list(element.iter("testcase")))))
    element.set("failures", str(len(list(element.iter("failure")))))
    element.set("errors", str(len(list(element.iter("error")))))
    element.set("skipped", str(len(list(element.iter("skipped")))))

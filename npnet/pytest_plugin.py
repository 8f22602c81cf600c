"""The pytest plugin: items for npnet.verify.parametrize, how to reproduce failures, a report.

pytest loads it for everybody who has npnet installed. It imports nothing but pytest, and says
nothing, until a function is decorated with npnet.verify.parametrize or a report is asked for.
"""

import os
import shlex
import shutil
from collections.abc import Generator, Iterator
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from npnet.report.merge import Run
    from npnet.verify.finding import Finding, Report
    from npnet.verify.parametrize import Check, Verifications

_MARK = "npnet"  # npnet.verify.parametrize.MARK, whose module is heavy
_ARGUMENT = "check"
_TOLD = "npnet"  # the attribute of a report that says where a run was written


def pytest_addoption(parser: pytest.Parser) -> None:
    """--npnet-report-dir."""
    group = parser.getgroup("npnet")
    group.addoption(
        "--npnet-report-dir",
        metavar="DIR",
        help="Write npnet's report of everything verified in the session: index.html and the like.",
    )


def pytest_configure(config: pytest.Config) -> None:
    """The mark of the items, and what this session has to remember."""
    config.addinivalue_line(
        "markers", f"{_MARK}: items that hold a candidate against torch (npnet.verify.parametrize)"
    )
    config.pluginmanager.register(_Session(config), "npnet-session")


class _Session:
    """What one pytest process, or the one that directs several, knows of verifications.

    Every run is written to a folder of its own as it happens. The reports of items say where, from
    the workers of pytest-xdist as well; at the end the runs are merged.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._worker = hasattr(config, "workerinput")
        self._verifications: Verifications | None = None
        self._told: list[dict[str, Any]] = []
        self._lines: list[str] = []

    # ---- items ------------------------------------------------------------------------------

    def pytest_generate_tests(self, metafunc: pytest.Metafunc) -> None:
        """One item per candidate, dtype and quantity."""
        marks = list(metafunc.definition.iter_markers(_MARK))
        if not marks:
            return
        if _ARGUMENT not in metafunc.fixturenames:
            raise pytest.Collector.CollectError(
                f"npnet.verify.parametrize gives its function an argument {_ARGUMENT!r}, which "
                f"{metafunc.function.__name__} does not take. "
                f"Write: def {metafunc.function.__name__}({_ARGUMENT}): {_ARGUMENT}()"
            )
        from npnet.contract import ConfigError
        from npnet.verify.parametrize import Verifications, checks

        self._verifications = self._verifications or Verifications()
        try:
            found = [c for mark in marks for c in checks(mark.args[0], self._verifications)]
        except ConfigError as error:
            raise pytest.Collector.CollectError(str(error)) from None
        metafunc.parametrize(_ARGUMENT, [self._parameter(c) for c in found])

    def _parameter(self, check: "Check") -> Any:
        """An item; those of one verification go to one worker under --dist loadgroup."""
        directory = self._asked_for()
        if directory is not None:
            check.kept = directory / "index.html"
        grouped = self._config.pluginmanager.hasplugin("xdist")
        marks = [pytest.mark.xdist_group(check.group)] if grouped else []
        return pytest.param(check, id=check.id, marks=marks)

    @pytest.hookimpl(wrapper=True)
    def pytest_pyfunc_call(self, pyfuncitem: pytest.Function) -> Generator[None, Any, Any]:
        """A test that does not ask must not pass."""
        check = _check(pyfuncitem)
        if check is not None:
            check.called = False
        result = yield
        if check is not None and not check.called:
            name = getattr(pyfuncitem, "originalname", pyfuncitem.name)
            pytest.fail(
                f"a test of npnet.verify.parametrize must call its argument, but {name} returned "
                f"without doing so: nothing was verified. Write: {_ARGUMENT}()",
                pytrace=False,
            )
        return result

    @pytest.hookimpl(wrapper=True)
    def pytest_runtest_makereport(
        self, item: pytest.Item, call: "pytest.CallInfo[None]"
    ) -> Generator[None, pytest.TestReport, pytest.TestReport]:
        """The report of an item says where its run is; xdist carries plain values across."""
        report = yield
        check = _check(item)
        place = check.verification.place if check is not None else None
        if check is not None and place is not None and call.when == "call":
            failed = list(check.failed) if report.failed else []
            told = {"place": str(place), "key": list(check.verification.key), "failed": failed}
            report.__dict__[_TOLD] = told
        return report

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        """Where a run was written, by this process or by another."""
        told = getattr(report, _TOLD, None)
        if told is not None and not self._worker:
            self._told.append(told)

    # ---- the end ----------------------------------------------------------------------------

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Merge what was verified, and write it where it was asked for."""
        if self._worker or self._config.option.collectonly:
            return
        try:
            self._lines = list(self._written())
        except Exception as error:  # an unwritable folder; a worker on another machine
            self._lines = [f"the report could not be written: {error}"]
            if self._asked_for() is not None and session.exitstatus == pytest.ExitCode.OK:
                session.exitstatus = pytest.ExitCode.USAGE_ERROR
        finally:
            for place in {Path(told["place"]).parent for told in self._told}:
                shutil.rmtree(place, ignore_errors=True)

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        """How to reproduce what failed, and where the report is."""
        if self._lines:
            terminalreporter.section("npnet")
            for line in self._lines:
                terminalreporter.write_line(line)

    def _written(self) -> Iterator[str]:
        asked_for = self._asked_for()
        failed = {(told["key"][0], quantity) for told in self._told for quantity in told["failed"]}
        if not self._told:
            if asked_for is not None:
                yield "nothing was verified: no item of npnet.verify.parametrize ran; no report"
            return
        if asked_for is None and not failed:
            return
        from npnet.report.files import write

        directory = asked_for or self._cache()
        report = self._merged()
        if directory is not None:
            report = write(report, directory, ("html",) if asked_for else ())
        for finding in report.findings:
            if any(q == finding.quantity and _is_of(finding, name) for name, q in failed):
                yield from _told(finding, directory)
        if asked_for is not None:
            yield f"report: {asked_for / 'index.html'}"
        elif directory is None:
            yield "To keep the failures, and scripts that reproduce them: --npnet-report-dir DIR"

    def _merged(self) -> "Report":
        """Everything verified, as one report; what two workers asked counts once."""
        from npnet.report.merge import merge, read

        runs: dict[tuple[str, ...], Run] = {}
        for key, place in sorted({(tuple(t["key"]), t["place"]) for t in self._told}):
            run = read(Path(place))
            if key not in runs:
                runs[key] = run
                continue
            known = runs[key].report
            ids = {f.id for f in known.findings}
            findings = [*known.findings, *(f for f in run.report.findings if f.id not in ids)]
            runs[key] = replace(runs[key], report=replace(known, findings=findings))
        return merge(list(runs.values()))[0]

    def _asked_for(self) -> Path | None:
        wanted = self._config.getoption("--npnet-report-dir")
        return Path(wanted) if wanted else None

    def _cache(self) -> Path | None:
        """A folder for the failures of the last session, where pytest keeps a cache."""
        cache = getattr(self._config, "cache", None)
        if cache is None:
            return None
        try:
            directory = Path(os.path.relpath(cache.mkdir("npnet")))
        except OSError:
            return None
        shutil.rmtree(directory / "failures", ignore_errors=True)
        return directory


def _check(item: pytest.Item) -> "Check | None":
    """What npnet.verify.parametrize has put into an item."""
    if item.get_closest_marker(_MARK) is None:
        return None
    callspec = getattr(item, "callspec", None)
    found: Check | None = callspec.params.get(_ARGUMENT) if callspec is not None else None
    return found


def _is_of(finding: "Finding", name: str) -> bool:
    """Whether a verification of this name, of a candidate with its dtype, has made the finding."""
    if finding.dtype:
        return name == f"{finding.layer} {finding.dtype}"
    return name == finding.layer or name.rpartition(" ")[0] == finding.layer


def _told(finding: "Finding", directory: Path | None) -> Iterator[str]:
    """A failure, and the command that shows it again."""
    from npnet.report import words

    yield f"{words.heading(finding)}  {words.where(finding)}"
    folder = directory / "failures" / finding.id if directory is not None else None
    if folder is not None and (folder / "repro.py").is_file():
        usual = folder.parts[-4:-3] == ("reports",)
        yield f"    npnet repro {finding.id if usual else shlex.quote(str(folder))}"
    elif finding.target:
        dtype = f" --dtype {finding.dtype}" if finding.dtype else ""
        yield f"    npnet verify {shlex.quote(words.clean(finding.target))}{dtype}"

"""A pytest plugin: every case of a `*.cases.yaml` file is a test. Installed as an entry point."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from gateway.config.document import ConfigError
from gateway.dialplan.cases import LocatedCase, run
from gateway.dialplan.plan import Plan
from gateway.testing.cases import SUFFIX, load


def pytest_collect_file(file_path: Path, parent: pytest.Collector) -> CasesFile | None:
    """Files of dialplan cases."""
    if file_path.name.endswith(SUFFIX):
        return CasesFile.from_parent(parent, path=file_path)
    return None


class CasesFile(pytest.File):
    """A file of dialplan cases."""

    def collect(self) -> Iterator[CaseItem]:
        """Its cases; a file or plan that cannot be read is an error with places."""
        try:
            suite = load(self.path)
        except ConfigError as error:
            raise self.CollectError(str(error)) from None
        for case in suite.cases:
            yield CaseItem.from_parent(self, name=case.case.name, case=case, plan=suite.plan)


class CaseFailedError(Exception):
    """A case whose plan does something else."""


class CaseItem(pytest.Item):
    """One case."""

    def __init__(self, *, case: LocatedCase, plan: Plan, **kwargs: object) -> None:
        super().__init__(**kwargs)  # type: ignore[arg-type]
        self._case = case
        self._plan = plan

    def runtest(self) -> None:
        """Routes the call and compares."""
        result = run(self._plan, self._case)
        if result.failures:
            told = "\n".join(result.lines())
            raise CaseFailedError(f"{self._case.file}:{self._case.line}: {self.name}\n{told}")

    def repr_failure(self, excinfo: pytest.ExceptionInfo[BaseException], *args: object) -> object:  # type: ignore[override]
        """What differs, without a traceback."""
        if isinstance(excinfo.value, CaseFailedError):
            return str(excinfo.value)
        return super().repr_failure(excinfo)

    def reportinfo(self) -> tuple[Path, int, str]:
        """Where the case stands."""
        return self.path, self._case.line - 1, self.name

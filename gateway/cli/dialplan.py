"""The `gateway dialplan` commands: explain, test, schema, reference."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated, Literal, TypeVar

import typer

from gateway.app.files import load_plan
from gateway.config.document import ConfigError
from gateway.dialplan import Origin, Plan, Request, decide
from gateway.dialplan.cases import Result
from gateway.dialplan.explain import as_json, as_lines
from gateway.dialplan.reference import reference
from gateway.dialplan.schema import cases_schema, plan_schema
from gateway.testing.cases import Coverage, coverage, find, load, run_all

app = typer.Typer(no_args_is_help=True, help="Explains and tests dialplans.")
T = TypeVar("T")
_PAIR = "NAME=VALUE, as often as wanted."
DEFAULT_PLAN = Path("dialplans/demo.yaml")


def _or_exit(action: Callable[[], T]) -> T:
    """The result, or every located problem on standard error."""
    try:
        return action()
    except ConfigError as error:
        for problem in error.problems:
            typer.echo(problem, err=True)
        raise typer.Exit(1) from None


@app.command()
def explain(
    to: Annotated[str, typer.Option("--to", help="What is dialled.")],
    caller: Annotated[str, typer.Option("--from", help="Who calls.")] = "",
    at: Annotated[
        str | None, typer.Option(help="When: 2026-12-24T18:00, in the plan's zone; default: now.")
    ] = None,
    context: Annotated[str | None, typer.Option(help="Default: who calls decides.")] = None,
    trunk: Annotated[str | None, typer.Option(help="The call comes from this trunk.")] = None,
    key: Annotated[str | None, typer.Option(help="The call comes with this API key.")] = None,
    header: Annotated[
        list[str] | None, typer.Option(help="NAME=VALUE, as often as wanted.")
    ] = None,
    var: Annotated[list[str] | None, typer.Option(help="NAME=VALUE, as often as wanted.")] = None,
    plan: Annotated[Path, typer.Option(help="The dialplan.")] = DEFAULT_PLAN,
    as_data: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Prints each rule looked at, why it matched or not, and the steps that would run."""
    loaded = _or_exit(lambda: load_plan(plan))
    origin, source = Origin.BROWSER, caller
    if trunk is not None:
        origin, source = Origin.TRUNK, trunk
    elif key is not None:
        origin, source = Origin.KEY, key
    request = Request(
        context or loaded.context_of(origin, source),
        caller,
        to,
        origin,
        source,
        _moment(at, loaded),
        _pairs("--header", header),
        _pairs("--var", var),
    )
    decision = decide(loaded, request, every_rule=True)
    if as_data:
        print(json.dumps(as_json(decision), indent=2))
    else:
        print("\n".join(as_lines(decision)))


def _moment(at: str | None, plan: Plan) -> datetime:
    if at is None:
        return datetime.now(UTC)
    try:
        moment = datetime.fromisoformat(at)
    except ValueError:
        raise typer.BadParameter("write 2026-12-24T18:00", param_hint="--at") from None
    return moment if moment.tzinfo else moment.replace(tzinfo=plan.zone)


def _pairs(option: str, given: Sequence[str] | None) -> dict[str, str]:
    pairs = [item.partition("=") for item in given or ()]
    if not all(name and sign for name, sign, _ in pairs):
        raise typer.BadParameter("write NAME=VALUE", param_hint=option)
    return {name: value for name, _, value in pairs}


@app.command(name="test")
def run_tests(
    path: Annotated[Path, typer.Argument(help="A *.cases.yaml file, or a directory of them.")],
    cover: Annotated[
        float, typer.Option(min=0, max=100, help="Fail if cases reach fewer % of a plan's rules.")
    ] = 0,
) -> None:
    """Runs the test cases beside dialplans, and tells which rules they reach."""
    suites = _or_exit(lambda: [load(file) for file in find(path)])
    runs = [(suite, run_all(suite)) for suite in suites]
    results = [result for _, found in runs for result in found]
    for result in results:
        _print_result(result)
    reached = coverage(runs)
    for plan in reached:
        _print_coverage(plan)
    failed = sum(bool(result.failures) for result in results)
    print(f"{len(results) - failed} passed, {failed} failed")
    if failed or any(plan.percent < cover for plan in reached):
        raise typer.Exit(1)


def _print_result(result: Result) -> None:
    place = f"{result.case.file}:{result.case.line}: {result.case.case.name}"
    if not result.failures:
        print(f"ok      {place}")
        return
    print(f"FAILED  {place}")
    for line in result.lines():
        print(f"        {line}")


def _print_coverage(plan: Coverage) -> None:
    reached = len(plan.rules) - len(plan.missed)
    print(f"{plan.plan_file}: {reached} of {len(plan.rules)} rules reached, {plan.percent:.0f} %")
    for rule in plan.missed:
        print(f"        not reached: {rule}")


@app.command()
def schema(
    of: Annotated[Literal["plan", "cases"], typer.Argument(help="Of which files.")] = "plan",
) -> None:
    """Prints the JSON Schema of dialplans, for editors."""
    print(json.dumps(plan_schema() if of == "plan" else cases_schema(), indent=2))


@app.command(name="reference")
def print_reference() -> None:
    """Prints every field that a dialplan may have, as Markdown (docs/dialplan.md)."""
    print(reference(), end="")

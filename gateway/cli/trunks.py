"""The `gateway trunks` command: who they are and how they do, over the API."""

from __future__ import annotations

from gateway.cli import remote
from gateway.cli.printing import console, lines, table
from gateway.contract.trunks import TrunkView

COLUMNS = ("name", "address", "state", ">live", ">answered", ">failed", "last failure (UTC)")


def trunks(
    url: remote.Url = remote.DEFAULT_URL, key: remote.Key = None, as_json: remote.AsJson = False
) -> None:
    """Lists trunks: how they do by the calls of the last 5 minutes, and what failed last."""
    found = remote.asked(url, key, lambda gateway: gateway.trunks.list())
    if as_json:
        lines(found)
    else:
        console().print(table(COLUMNS, map(_row, found)))


def _row(trunk: TrunkView) -> tuple[object, ...]:
    failure = trunk.last_failure
    return (
        trunk.name,
        f"{trunk.transport}:{trunk.host}:{trunk.port}",
        trunk.state,
        trunk.live.incoming + trunk.live.outgoing,
        trunk.answered,
        trunk.failed,
        None if failure is None else f"{failure.at:%Y-%m-%d %H:%M:%S} {failure.code}",
    )

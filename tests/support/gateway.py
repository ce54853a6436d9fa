"""The real gateway as its own process, with a configuration written for the test."""

from __future__ import annotations

import re
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import aiohttp
import yaml

from tests.support.processes import HOST, Program, ProgramError, free_ports

RTP_PORTS = 400
START_SECONDS = 30.0
STOP_SECONDS = 15.0
_TROUBLE = re.compile(r"Traceback \(most recent call last\)|\b(?:error|critical)\b", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class TrunkTo:
    """A trunk to a far end on loopback; browsers reach it by dialling its name.

    `calls_in`: its calls are taken too, and ring the user that they dial.
    """

    name: str
    port: int
    calls_in: bool = False
    settings: Mapping[str, Any] = field(default_factory=dict)

    def configuration(self) -> dict[str, Any]:
        """Its entry in the node's configuration."""
        allow = [f"{HOST}/32"] if self.calls_in else []
        # Scenarios of SIPp count what they get, and end at a request that they do not expect.
        quiet = {"options_interval": 0, **self.settings}
        return {"name": self.name, "host": HOST, "port": self.port, "allow": allow, **quiet}


class Gateway(Program):
    """One gateway process on free ports of loopback.

    Args:
        directory: for its configuration, dialplan and log.
        trunks: the far ends that it knows.
        media, webrtc: what to change in these parts of the configuration.
    """

    def __init__(
        self,
        directory: Path,
        trunks: Sequence[TrunkTo] = (),
        *,
        media: Mapping[str, Any] | None = None,
        webrtc: Mapping[str, Any] | None = None,
    ) -> None:
        binary = Path(sys.executable).with_name("gateway")
        if not binary.exists():
            raise ProgramError(f"{binary} is missing: run `make setup`")
        directory.mkdir(parents=True, exist_ok=True)
        self.http_port, self.sip_port, rtp = free_ports(), free_ports(), free_ports(RTP_PORTS)
        self.rtp_ports = range(rtp, rtp + RTP_PORTS)
        self.url = f"http://{HOST}:{self.http_port}"
        node = {
            "demo": True,
            "http": {"address": HOST, "port": self.http_port},
            "media": dict(media or {}),
            "webrtc": dict(webrtc or {}),
            "sip": {
                "listen": [
                    {"transport": kind, "address": HOST, "port": self.sip_port}
                    for kind in ("udp", "tcp")
                ],
                "rtp_port_min": rtp,
                "rtp_port_max": rtp + RTP_PORTS - 1,
                "trunks": [trunk.configuration() for trunk in trunks],
            },
            "dialplan": "dialplan.yaml",
        }
        config = directory / "gateway.yaml"
        config.write_text(yaml.safe_dump(node, sort_keys=False))
        (directory / "dialplan.yaml").write_text(yaml.safe_dump(_dialplan(trunks), sort_keys=False))
        super().__init__([binary, "run", config], directory, "gateway")

    async def start(self) -> None:
        """Starts it; returns when /readyz says that it takes calls."""
        await super().start()
        async with aiohttp.ClientSession(timeout=aiohttp.ClientTimeout(total=2)) as http:

            async def answers() -> bool:
                try:
                    async with http.get(f"{self.url}/readyz") as answer:
                        return answer.status == 200
                except (aiohttp.ClientConnectionError, TimeoutError):
                    return False

            await self.ready(answers, START_SECONDS)

    async def stop(self, grace: float = STOP_SECONDS) -> int | None:
        """Ends it by SIGTERM; returns its exit status."""
        return await super().stop(grace)

    def assert_clean(self) -> None:
        """Asserts that it has logged no error and no traceback."""
        lines = self.log.splitlines()
        bad = [n for n, line in enumerate(lines) if _TROUBLE.search(line)]
        shown = "\n".join(lines[max(0, bad[0] - 3) : bad[0] + 25]) if bad else ""
        assert not bad, f"{len(bad)} lines of trouble in {self.log_path}, first:\n{shown}"


def _dialplan(trunks: Sequence[TrunkTo]) -> dict[str, Any]:
    """Browsers dial a trunk's name, echo, ivr or a signed-in user; trunks dial users."""
    ring_user = {"match": "_.", "dial": {"user": "${callee}"}}
    browser: list[dict[str, Any]] = [{"match": "echo", "echo": {}}, {"match": "ivr", "ivr": {}}]
    browser += [
        {"match": trunk.name, "dial": {"trunk": trunk.name, "number": "${callee}"}}
        for trunk in trunks
    ]
    browser.append({"match": "_user-.", "dial": {"user": "${callee}"}})
    incoming = {trunk.name: [ring_user] for trunk in trunks if trunk.calls_in}
    return {
        "version": "1",
        "entry": {"keys": {"demo": "browser"}},  # what is called over HTTP
        "contexts": {"browser": browser, **incoming},
    }

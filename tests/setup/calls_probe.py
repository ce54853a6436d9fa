"""A program: opens many concurrent SIP calls from one pjsua2 endpoint to itself, and counts.

Prints the number of calls that were confirmed with active audio at one time. It runs by itself
because pjsua2 is one per process, and a call that does not come up must not hang the test suite.
"""

from __future__ import annotations

import sys
import time
from typing import Any

from pjgw import pjsua2

DEADLINE_SECONDS = 30.0


class Call(pjsua2.Call):
    def ready(self) -> bool:
        info = self.getInfo()  # kept in a variable: its members die with it
        if info.state != pjsua2.PJSIP_INV_STATE_CONFIRMED:
            return False
        return any(media.status == pjsua2.PJSUA_CALL_MEDIA_ACTIVE for media in info.media)


def parameters(status: int = 0) -> Any:
    parameters = pjsua2.CallOpParam(True)
    parameters.opt.audioCount, parameters.opt.videoCount, parameters.opt.textCount = 1, 0, 0
    parameters.statusCode = status
    return parameters


class Account(pjsua2.Account):
    def __init__(self) -> None:
        super().__init__()
        self.incoming: list[Call] = []

    def onIncomingCall(self, prm: Any) -> None:  # noqa: N802 - the library's name
        call = Call(self, prm.callId)
        self.incoming.append(call)
        call.answer(parameters(pjsua2.PJSIP_SC_OK))


def main(count: int) -> int:
    endpoint = pjsua2.Endpoint()
    endpoint.libCreate()
    config = pjsua2.EpConfig()
    config.uaConfig.threadCnt = 0
    config.uaConfig.mainThreadOnly = True
    config.uaConfig.maxCalls = 2 * count
    config.logConfig.level = config.logConfig.consoleLevel = 0
    config.medConfig.confThreads = 2
    endpoint.libInit(config)
    endpoint.audDevManager().setNullDev()
    transport = pjsua2.TransportConfig()
    transport.boundAddress = "127.0.0.1"
    identity = endpoint.transportCreate(pjsua2.PJSIP_TRANSPORT_UDP, transport)
    endpoint.libStart()
    address = endpoint.transportGetInfo(identity).localName
    account_config = pjsua2.AccountConfig()
    account_config.idUri = f"sip:probe@{address}"
    account_config.mediaConfig.ipv6Use = pjsua2.PJSUA_IPV6_DISABLED
    account_config.mediaConfig.transportConfig.boundAddress = "127.0.0.1"
    account_config.mediaConfig.transportConfig.port = 20000
    account_config.mediaConfig.transportConfig.portRange = 8 * count
    account = Account()
    account.create(account_config)
    outgoing = [Call(account) for _ in range(count)]
    for call in outgoing:
        call.makeCall(f"sip:probe@{address}", parameters())
    ready, end = 0, time.monotonic() + DEADLINE_SECONDS
    while ready < 2 * count and time.monotonic() < end:
        endpoint.libHandleEvents(10)
        ready = sum(call.ready() for call in [*outgoing, *account.incoming])
    endpoint.hangupAllCalls()
    del outgoing[:], account.incoming[:], call
    account.shutdown()
    endpoint.libDestroy()
    return ready // 2


if __name__ == "__main__":
    sys.stdout.write(f"{main(int(sys.argv[1]))}\n")

"""One gateway process: builds every part, starts them in order, stops them in reverse."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import AsyncExitStack, suppress
from pathlib import Path
from types import MappingProxyType

import structlog
from aiohttp import web

from gateway import __version__
from gateway.api.app import create_app
from gateway.api.calls import BrowserCalls
from gateway.api.captures import CaptureEndpoint
from gateway.api.cdrs import RecordEndpoint
from gateway.api.commands import CallCommands
from gateway.api.dialplan import DialplanEndpoint
from gateway.api.dialplan_reload import ReloadEndpoint
from gateway.api.directory import Directory
from gateway.api.gate import CallGate
from gateway.api.identity import Trust, authenticator_for
from gateway.api.metrics import MetricsEndpoint, RequestMeter
from gateway.api.node import NodeEndpoint
from gateway.api.recordings import RecordingEndpoint
from gateway.api.server_log import server_log
from gateway.api.services import Services, ice_servers
from gateway.api.timeline import TimelineEndpoint
from gateway.api.tokens import TokenEndpoint
from gateway.api.trunks import TrunkEndpoint
from gateway.api.users import UserEndpoint
from gateway.app.identity import trust_of
from gateway.app.minutes import DayMinutes
from gateway.app.observing import Observing
from gateway.app.plans import NodePlan
from gateway.app.recordings import RecordingKeeper
from gateway.app.records import Records
from gateway.app.reload import PlanReloader, Reloaded
from gateway.app.speech import espeak_prompts
from gateway.app.telling import Telling
from gateway.calls import CallRegistry, CallSettings
from gateway.calls.captures import CallCaptures
from gateway.calls.pings import TrunkPings
from gateway.calls.programs import Program, Sounds
from gateway.calls.programs.ivr import TEXTS
from gateway.calls.recorder import Recorders
from gateway.calls.trunks import TrunkWatch
from gateway.clock import SystemClock
from gateway.config.model import NodeConfig
from gateway.console import pages
from gateway.contract.node import ListeningView, MediaClock, NodeView
from gateway.dialplan import Plan
from gateway.errors import BAD_REQUEST, INTERNAL, GatewayError
from gateway.identity.ledger import Ledger
from gateway.legs.sip.plane import SipPlane
from gateway.legs.webrtc.plane import WebRtcPlane
from gateway.media.archive import RecordingArchive
from gateway.media.clips import Clips
from gateway.media.engine import MediaEngine
from gateway.media.prompts import Prompts
from gateway.media.recordings import Recordings
from gateway.observability.timeline import QualitySampler, Timelines
from gateway.ports import IncomingSip
from gateway.storage.day_use import DayUse
from gateway.storage.event_log import EventLog
from gateway.web.client import HttpClient
from gateway.web.fetcher import Fetcher
from gateway.web.webhooks import WebhookClient

_log = structlog.get_logger(__name__)


class Node:
    """A gateway node. pjsua is one per process, so a process has one node at a time.

    Order of start: the database (records of calls), SIP (brings pjsua and the bridge up), media
    plane (takes over the bridge's clock), WebRTC, HTTP last, when everything behind it answers.
    Stop is the reverse, except that calls end before any plane goes.
    """

    def __init__(
        self,
        config: NodeConfig,
        plan: Plan,
        plan_file: Path | None = None,
        programs: Mapping[str, Program] = MappingProxyType({}),
        prompts: Prompts | None = None,
        folder: Path = Path(),
    ) -> None:
        """plan_file: where `plan` was read, to read it again; None: it stays as it is. programs:
        call programs by name. prompts: None makes espeak-ng speak them. folder: what paths of the
        configuration, and audio files, are relative to."""
        self.config = config
        self.clock = SystemClock()
        self.events = EventLog(self.clock)
        self.records = Records(config.kept_records, folder, self.events, self.clock)
        self.media = MediaEngine(config.media)
        self.directory = Directory()
        self.sip = SipPlane(config.sip, config.media, self.media, self._on_sip_call)
        self._folder = folder
        self._http = HttpClient(config.web)
        self._fetcher = Fetcher(self._http, config.web)
        self._recordings: Recordings | None = None
        self._keeper: RecordingKeeper | None = None
        self._prompts = espeak_prompts(config) if prompts is None else prompts
        self.calls = CallRegistry(
            plan=plan,
            media=self.media,
            sip=self.sip,
            browsers=self.directory,
            log=self.events,
            clock=self.clock,
            sounds=Sounds(self._prompts, Clips(self._fetcher), folder),
            settings=CallSettings.from_config(config),
            programs=programs,
            webhooks=WebhookClient(self._http, config.web),
            recorders=self._recorders(folder),
            keep_secret=lambda call, secret: self.captures.keep_secret(call, secret),
            trunk_is_down=lambda trunk: self.trunks.is_down(trunk),
        )
        self.telling = Telling(self.records, config.web, self.clock)
        intervals = {trunk.name: trunk.options_interval for trunk in config.sip.trunks}
        self.pings = TrunkPings(intervals, self.sip, self.clock)
        self.trunks = TrunkWatch(self.events, self.calls.calls, self.pings.of)
        self._plan = NodePlan(self.calls, self.clock, config, programs, plan_file)
        self.observing = Observing(
            config, self.events, media=self.media, calls=self.calls,
            directory=self.directory, records=self.records, telling=self.telling,
            pings=self.pings, trunks=self.trunks,
        )  # fmt: skip
        self._reloader = None
        if plan_file is not None:
            self._reloader = PlanReloader(
                plan_file, config, plan, self._plan.use, frozenset(programs)
            )
        self.timelines = Timelines(self.events, self.clock, config.timeline)
        self.captures = CallCaptures(
            self.media.packets,
            self.timelines,
            self.calls.live_ports,
            self.clock,
            config.captures,
            folder / config.captures.folder,
        )
        self._started_at = self.clock.now().wall
        self._stack = AsyncExitStack()
        self._runner: web.AppRunner | None = None

    async def start(self) -> None:
        """Everything up and listening. Raises GatewayError; what had started is stopped then."""
        async with AsyncExitStack() as stack:
            await self.records.start()
            stack.push_async_callback(self.records.stop)
            self.telling.start(stack)
            await self.sip.start()
            stack.push_async_callback(self.sip.stop)
            self.media.start()
            stack.callback(self._stop_media)
            self._follow_calls(stack)
            self.observing.start(stack)
            stack.push_async_callback(self._http.close)
            if self._recordings is not None:
                await self._recordings.recover()
                stack.push_async_callback(self._recordings.close)
            if self._keeper is not None:
                self._keeper.start()
                stack.push_async_callback(self._keeper.stop)
            self.trunks.start()
            stack.push_async_callback(self.trunks.stop)
            self.pings.start()
            stack.push_async_callback(self.pings.stop)
            webrtc = WebRtcPlane(
                self.config.webrtc,
                self.media,
                bridge_rate=self.config.media.rate,
                rtp_timeout=self.config.media.rtp_timeout,
                loopback=self.config.http.address.is_loopback,
            )
            stack.push_async_callback(webrtc.close)
            trust = trust_of(
                self.config, self._folder, self.records.database, self._fetcher, self.clock, stack
            )
            gate = CallGate(self.calls, self.clock, await self._ledger(stack))
            browser_calls = BrowserCalls(self.calls, gate)
            stack.push_async_callback(browser_calls.close)
            stack.push_async_callback(self.calls.close_all)
            services = self._services(webrtc, browser_calls, gate, trust)
            await self._serve(services, stack)
            warming = asyncio.create_task(self._warm_prompts(), name="prompts")
            stack.callback(warming.cancel)
            if self._reloader is not None and self.config.watch_dialplan:
                watching = asyncio.create_task(self._reloader.watch(), name="dialplan watch")
                stack.push_async_callback(_cancelled, watching)
            self._stack = stack.pop_all()
        _log.info("node.started", http=self.http_url, sip=self.sip.listening)

    async def _ledger(self, stack: AsyncExitStack) -> Ledger:
        """Where calls are counted; what a database keeps of it outlives the node."""
        ledger = Ledger()
        if self.records.kept is not None:
            store = DayUse(self.records.kept, self.records.node)
            minutes = DayMinutes(ledger, store, self.clock)
            await minutes.start()
            stack.push_async_callback(minutes.stop)
        return ledger

    @property
    def _archive(self) -> RecordingArchive | None:
        return None if self._keeper is None else self._keeper.archive

    def _recorders(self, folder: Path) -> Recorders | None:
        if self.config.recordings is None:
            return None
        self._keeper = RecordingKeeper(self.config.recordings, folder, self.clock)
        self._recordings = Recordings(folder / self.config.recordings.folder, self.media)
        return Recorders(self._recordings, self.config.recordings)

    async def stop(self) -> None:
        """Ends all calls and frees everything."""
        await self._stack.aclose()
        _log.info("node.stopped")

    async def reload_dialplan(self, reason: str) -> Reloaded:
        """Reads the dialplan again; see PlanReloader. Raises GatewayError: there is no file."""
        if self._reloader is None:
            raise GatewayError(BAD_REQUEST, "this node's dialplan was not read from a file")
        return await self._reloader.reload(reason)

    async def _warm_prompts(self) -> None:
        """Renders the demo's prompts, so that its first caller need not wait for them."""
        try:
            await self._prompts.warm(TEXTS)
        except GatewayError as error:
            _log.warning("prompts.failed", reason=str(error))

    def _follow_calls(self, stack: AsyncExitStack) -> None:
        """Timelines: they are fed before the first call, and until after the last one."""
        self.timelines.start()
        stack.push_async_callback(self.timelines.close)
        if self.config.timeline.sip:
            self.media.trace_sip(self.timelines.sip)
        sampler = QualitySampler(
            self.timelines, self.calls.live_ports, self.media.stats, self.clock
        )
        sampling = asyncio.create_task(sampler.run(), name="quality")
        stack.push_async_callback(_cancelled, sampling)
        self.captures.start()
        stack.push_async_callback(self.captures.close)

    def _stop_media(self) -> None:
        clock = self.media.clock()
        _log.info(
            "media.clock",
            ticks=clock.ticks,
            late_ticks=clock.late_ticks,
            skipped_ticks=clock.skipped_ticks,
        )
        self.media.stop()

    @property
    def http_url(self) -> str:
        """Where the page is, with the port as bound."""
        assert self._runner is not None
        host, port = self._runner.addresses[0][:2]
        return f"http://[{host}]:{port}" if ":" in host else f"http://{host}:{port}"

    def _view(self) -> NodeView:
        clock = self.media.clock(begin_anew=False)
        return NodeView(
            node=self.records.node,
            version=__version__,
            started_at=self._started_at,
            state="draining" if self.calls.draining else "ready",
            live_calls=len(self.calls.calls),
            max_calls=self.config.max_calls,
            signed_in=self.directory.sessions,
            media_ports=self.media.port_count,
            media_clock=MediaClock(
                ticks=clock.ticks,
                late_ticks=clock.late_ticks,
                skipped_ticks=clock.skipped_ticks,
            ),
            sip=[
                ListeningView(transport=transport, address=address, port=port)
                for transport, address, port in self.sip.listening
            ],
            recordings=0 if self._recordings is None else self._recordings.live,
            records_waiting=self.records.waiting,
            records_lost=self.records.lost,
        )

    def _not_ready(self) -> str | None:
        return "The node takes no new calls" if self.calls.draining else None

    def _services(
        self, webrtc: WebRtcPlane, browser_calls: BrowserCalls, gate: CallGate, trust: Trust
    ) -> Services:
        authenticator = authenticator_for(self.config, trust)
        servers = ice_servers(self.config, self.clock)
        return Services(
            calls=browser_calls,
            webrtc=webrtc,
            directory=self.directory,
            authenticator=authenticator,
            pages=pages,
            idempotency=self.records.idempotency,
            operations=(
                *CallCommands(self.calls, gate).operations(),
                *ReloadEndpoint(self.reload_dialplan).operations(),
                *DialplanEndpoint(self._plan, self.clock).operations(),
                *TokenEndpoint(trust.tokens, servers).operations(),
                *TimelineEndpoint(self.timelines).operations(),
                *CaptureEndpoint(self.captures).operations(),
                *RecordEndpoint(self.records.kept, self.records.feed.reread).operations(),
                *NodeEndpoint(self._view).operations(),
                *TrunkEndpoint(self.config.sip.trunks, self.trunks.health, self.clock).operations(),
                *UserEndpoint(self.directory).operations(),
                *RecordingEndpoint(self._archive).operations(),
                *self.telling.operations(authenticator),
                *MetricsEndpoint(self.observing.metrics).operations(),
            ),
            origins=self.config.http.origins,
            closing=(self.telling.close_streams,),
            meter=RequestMeter(self.observing.metrics.http, self.clock),
            clock=self.clock,
            not_ready=self._not_ready,
        )

    async def _serve(self, services: Services, stack: AsyncExitStack) -> None:
        app = create_app(self.config, services)
        # A handler that is cancelled in mid-negotiation would leave its browser without an answer.
        self._runner = web.AppRunner(
            app,
            handler_cancellation=False,
            shutdown_timeout=5,
            access_log=None,
            logger=server_log(),
        )
        await self._runner.setup()
        stack.push_async_callback(self._runner.cleanup)
        http = self.config.http
        try:
            await web.TCPSite(self._runner, str(http.address), http.port).start()
        except OSError as error:
            raise GatewayError(
                INTERNAL,
                f"cannot listen on http://{http.address}:{http.port}: {error.strerror or error}; "
                "stop what uses that port or set http.port",
            ) from error

    def _on_sip_call(self, incoming: IncomingSip) -> None:
        self.calls.start_sip_call(incoming)


async def _cancelled(task: asyncio.Task[None]) -> None:
    """Cancels `task` and waits for its end."""
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task

"""A process of its own that records: `record` until it is killed, `fill` a disk that is too small.

Not collected: test_recordings.py runs it.
"""

from __future__ import annotations

import asyncio
import resource
import sys
from pathlib import Path

from gateway.config.model import MediaConfig, SipConfig, SipListen
from gateway.legs.sip.plane import SipPlane
from gateway.media.engine import MediaEngine
from gateway.media.recordings import RecordingOptions, Recordings
from gateway.ports import MediaEvent, RecordStopped
from gateway.terms import RecordingFormat
from tests.media.conftest import nobody_is_called

LIMIT = 100 * 1024  # bytes of any file


def say(text: object) -> None:
    sys.stdout.write(f"{text}\n")
    sys.stdout.flush()


async def record(media: MediaEngine, folder: Path) -> None:
    """Tells every 100 ms for how long it has recorded."""
    recordings = Recordings(folder, media)
    for name, wanted in (("a", RecordingFormat.OGG), ("b", RecordingFormat.WAV)):
        recording = recordings.start(name, RecordingOptions("call-1", wanted))
        media.connect(media.tone(440), recording.far)
    begun = media.clock()
    say("recording")
    while True:
        await asyncio.sleep(0.1)
        clock = media.clock()
        ticks = clock.ticks + clock.skipped_ticks - begun.ticks - begun.skipped_ticks
        say(ticks / 50)


async def fill(media: MediaEngine, folder: Path) -> None:
    """Why it stopped, how long the file is, and whether the media plane lives."""
    resource.setrlimit(resource.RLIMIT_FSIZE, (LIMIT, LIMIT))
    recordings = Recordings(folder, media)
    stopped: asyncio.Queue[MediaEvent] = asyncio.Queue()
    recording = recordings.start("a", RecordingOptions(), stopped.put_nowait)
    media.connect(media.tone(440), recording.near)
    event = await asyncio.wait_for(stopped.get(), 15)
    assert isinstance(event, RecordStopped)
    file = await recording.stop()
    before = media.clock().ticks
    await asyncio.sleep(0.2)
    alive = media.clock().ticks > before and media.port_count == 1
    say(f"{event.reason} {file.seconds} {'alive' if alive else 'dead'}")
    await recordings.close()


async def main(task: str, folder: str) -> None:
    media = MediaEngine()
    config = SipConfig(listen=[SipListen(port=0)])
    sip = SipPlane(config, MediaConfig(threads=2), media, nobody_is_called)
    await sip.start()
    media.start()
    await (record if task == "record" else fill)(media, Path(folder))
    media.stop()
    await sip.stop()


if __name__ == "__main__":
    asyncio.run(main(*sys.argv[1:]))

"""What is built and how: versions, pinned checksums, configure flags, config_site.h, the key."""

from __future__ import annotations

import hashlib
import json
import sysconfig
from dataclasses import dataclass
from pathlib import Path

from tools.setup.progress import SetupError

MINIMUM_PJPROJECT = (2, 17)  # below it: published CVEs in SDP, RTP and SUBSCRIBE handling


@dataclass(frozen=True)
class Source:
    """One way to get a source archive: `origin` is a URL, or `debian:SUITE/PACKAGE/SUFFIX`."""

    name: str
    origin: str
    sha256: str


# The first checksum is that of the archive that upstream's host makes of the tag 2.17; it
# was reproduced bit for bit from the tag's tree and equals the one that distributions publish.
# The second is the same tree as Debian ships it, without bundled libraries and prebuilt files.
PJPROJECT = (
    Source(
        name="upstream's release archive",
        origin="https://github.com/pjsip/pjproject/archive/refs/tags/2.17.tar.gz",
        sha256="065fe06c06788d97c35f563796d59f00ce52fe9558a52d7b490a042a966facce",
    ),
    Source(
        name="Debian's source package asterisk",
        origin="debian:unstable/asterisk/.orig-Xpjproject.tar.xz",
        sha256="6860c2f7604b4eee75f38151a9ef69774eb3f0c5286fc1d14bc1db2dc5a9e8aa",
    ),
)

# Debian's own libsrtp2 package computes its ciphers with NSS; with OpenSSL they are faster.
# Debian ships upstream's archive unchanged, hence one checksum.
LIBSRTP = (
    Source(
        name="upstream's release archive",
        origin="https://github.com/cisco/libsrtp/archive/refs/tags/v2.5.0.tar.gz",
        sha256="8a43ef8e9ae2b665292591af62aa1a4ae41e468b6d98d8258f91478735da4e09",
    ),
    Source(
        name="Debian's source package libsrtp2",
        origin="debian:bookworm/libsrtp2/.orig.tar.gz",
        sha256="8a43ef8e9ae2b665292591af62aa1a4ae41e468b6d98d8258f91478735da4e09",
    ),
)

C_FLAGS = "-O2 -DNDEBUG -fPIC -fno-strict-aliasing"
# The SWIG wrapper is glue between Python calls: -O2 doubles its compile time for nothing.
WRAPPER_FLAGS = "-O1 -DNDEBUG -fPIC -fno-strict-aliasing -w"

LIBSRTP_CONFIGURE = ("--enable-openssl",)

PJPROJECT_CONFIGURE = (
    "--enable-shared",
    "--enable-epoll",
    "--enable-speex-resample",
    "--with-external-speex",
    "--with-external-srtp",
    "--with-external-gsm",
    "--disable-sound",
    "--disable-video",
    "--disable-sdl",
    "--disable-ffmpeg",
    "--disable-v4l2",
    "--disable-openh264",
    "--disable-vpx",
    "--disable-libyuv",
    "--disable-libwebrtc",
    "--disable-silk",
    "--disable-bcg729",
    "--disable-lyra",
    "--disable-opencore-amr",
    "--disable-ilbc-codec",
    "--disable-g7221-codec",
    "--disable-speex-codec",
    "--disable-speex-aec",
    "--disable-upnp",
)

# Where the external Speex resampler is: with the Speex codec off, configure forgets to say so.
PJPROJECT_LIBS = "-lspeexdsp"

CONFIG_SITE: tuple[tuple[str, str], ...] = (
    # Sockets and threads: 1024 calls take two RTP sockets and two RTCP sockets each.
    ("PJ_HAS_IPV6", "1"),
    ("PJ_IOQUEUE_MAX_HANDLES", "8192"),
    ("PJ_IOQUEUE_MAX_EVENTS_IN_SINGLE_POLL", "16"),
    # The other way of sharing sockets between threads costs two more system calls a packet.
    ("PJ_IOQUEUE_DEFAULT_EPOLL_FLAGS", "PJ_IOQUEUE_EPOLL_ONESHOT"),
    ("PJ_LOG_MAX_LEVEL", "5"),
    # A resolver that does not answer must not stall a call.
    ("PJ_GETHOSTIP_DISABLE_LOCAL_RESOLUTION", "1"),
    # Capacity of one process.
    ("PJSUA_MAX_CALLS", "1024"),
    ("PJSUA_MAX_ACC", "256"),
    ("PJSUA_MAX_CONF_PORTS", "4096"),
    ("PJSUA_MAX_PLAYERS", "256"),
    ("PJSUA_MAX_RECORDERS", "256"),
    ("PJSIP_MAX_TSX_COUNT", "16383"),
    ("PJSIP_MAX_DIALOG_COUNT", "4095"),
    ("PJSIP_MAX_PKT_LEN", "16000"),
    ("PJSIP_MAX_URL_SIZE", "1024"),
    # A longer session description would be empty in pjsua2.
    ("PJSUA2_MAX_SDP_BUF_LEN", "8192"),
    ("PJSIP_UDP_SO_RCVBUF_SIZE", "(4 * 1024 * 1024)"),
    ("PJSIP_UDP_SO_SNDBUF_SIZE", "(4 * 1024 * 1024)"),
    ("PJSIP_TCP_TRANSPORT_BACKLOG", "128"),
    ("PJSIP_TLS_TRANSPORT_BACKLOG", "128"),
    # Media: audio only, SRTP with OpenSSL's AES-GCM (libsrtp2 renamed these two functions).
    ("PJMEDIA_HAS_VIDEO", "0"),
    ("PJMEDIA_HAS_SRTP", "1"),
    ("PJMEDIA_SRTP_HAS_SDES", "1"),
    ("PJMEDIA_SRTP_HAS_AES_GCM_128", "1"),
    ("PJMEDIA_SRTP_HAS_AES_GCM_256", "1"),
    ("srtp_aes_gcm_128_openssl", "srtp_aes_gcm_128"),
    ("srtp_aes_gcm_256_openssl", "srtp_aes_gcm_256"),
    # The bridge that can use several threads; how many is set at run time.
    ("PJMEDIA_CONF_BACKEND", "PJMEDIA_CONF_PARALLEL_BRIDGE_BACKEND"),
    ("PJMEDIA_CONF_THREADS", "1"),
    ("PJMEDIA_CONF_USE_AGC", "0"),
    ("PJMEDIA_RESAMPLE_IMP", "PJMEDIA_RESAMPLE_SPEEX"),
    ("PJMEDIA_HAS_SPEEX_AEC", "0"),
    ("PJMEDIA_CODEC_L16_HAS_16KHZ_MONO", "1"),
    ("PJMEDIA_RTCP_STAT_HAS_RAW_JITTER", "1"),
    ("PJMEDIA_RTP_PT_TELEPHONE_EVENTS", "101"),
)

# (file, text, replacement): corrections to the source before it is configured.
EDITS: tuple[tuple[str, str, str], ...] = (
    # A sound device for which Debian's archive carries no source; unused here either way.
    ("pjmedia/build/Makefile", "alsa_dev.o bb10_dev.o bdimad_dev.o", "alsa_dev.o bb10_dev.o"),
)

# Raise it when the build scripts change in a way that changes the wheel.
REVISION = 1


def config_site() -> str:
    """Return the text of `pj/config_site.h`."""
    lines = [f"#define {name} {value}" for name, value in CONFIG_SITE]
    return "\n".join(["/* Written by tools/setup/recipe.py. */", *lines, ""])


def platform_name() -> str:
    """Return the distribution and release whose libraries the build links to, `debian-12`."""
    fields: dict[str, str] = {}
    path = Path("/etc/os-release")
    if path.exists():
        for line in path.read_text(encoding="utf-8").splitlines():
            name, _, value = line.partition("=")
            fields[name] = value.strip('"')
    return f"{fields.get('ID', 'linux')}-{fields.get('VERSION_ID', 'unknown')}"


def python_tag() -> str:
    """Return the ABI name of the running interpreter, `cpython-311-x86_64-linux-gnu`."""
    soabi = sysconfig.get_config_var("SOABI")
    if not isinstance(soabi, str) or not soabi.startswith("cpython-"):
        raise SetupError(
            "this Python is not CPython on Linux, for which extensions can be built",
            "use Debian's python3 (apt-get install python3 python3-dev python3-venv)",
        )
    return soabi


def key() -> str:
    """Return a short hash of everything but the source archive that decides what is built."""
    template = Path(__file__).with_name("pjgw_init.py").read_text(encoding="utf-8")
    parts = [
        REVISION,
        C_FLAGS,
        WRAPPER_FLAGS,
        LIBSRTP_CONFIGURE,
        PJPROJECT_CONFIGURE,
        PJPROJECT_LIBS,
        CONFIG_SITE,
        EDITS,
        [source.sha256 for source in LIBSRTP],
        template,
        platform_name(),
        python_tag(),
    ]
    return hashlib.sha256(json.dumps(parts).encode()).hexdigest()[:12]

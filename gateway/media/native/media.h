/* The media plane's public API: what Python may ask of it. This header is the contract.
 *
 * Everything that carries audio is a *port*, named by a handle (> 0, never reused while the
 * process lives, so a stale one is answered with GWM_ENOPORT and never reaches another call).
 * All functions may be called from any thread, never block on the network or on the bridge's
 * clock, and return 0 or a handle on success, a negative gwm_error on failure. pjsua must be
 * running (the SIP side starts it) between gwm_start and gwm_stop.
 *
 * Only the text between the CFFI marks is read by the binding.
 */
#ifndef GWM_MEDIA_H
#define GWM_MEDIA_H

#include <stdint.h>

/* CFFI BEGIN */
enum gwm_error {
    GWM_ENOPORT = -1, /* no such port (closed, or never was) */
    GWM_EINVAL = -2,  /* an argument is out of range */
    GWM_ESTATE = -3,  /* not possible now: not started, no media yet, nothing negotiated */
    GWM_EFULL = -4,   /* a table or queue is full */
    GWM_ESYSTEM = -5, /* an operating-system or PJMEDIA call failed; see gwm_last_message */
    GWM_EEVENT = -6   /* the peer does not take this telephone-event (RFC 4733 2.4) */
};

enum gwm_event_type {
    GWM_DTMF_BEGIN = 1, /* a digit has begun to arrive: digit, id */
    GWM_DTMF_END,       /* it has ended: digit, id, duration_ms is final */
    GWM_DTMF_SENT,      /* a digit of gwm_dtmf_send left completely: digit, id, duration_ms */
    GWM_DTMF_DROPPED,   /* a digit could not be relayed or sent: digit, value = gwm_error */
    GWM_PLAY_DONE,      /* a player that does not loop reached its end */
    GWM_RTP_STARTED,    /* the first valid RTP packet of this port */
    GWM_RTP_TIMEOUT,    /* none for value milliseconds; sent once, until RTP_RESUMED */
    GWM_RTP_RESUMED,
    GWM_RECORD_STOPPED, /* a recorder takes nothing more, and is still open: value = gwm_stopped */
    GWM_RECORD_OVERRUN, /* the disk is too slow: what is lost stays silent; told once */
    GWM_RECORD_CLOSED,  /* after gwm_close, the file is complete: duration_ms, value = ms lost */
    GWM_SIP_TRACED,     /* of no port: gwm_sip_trace_next has something; told once until empty */
    GWM_CAPTURE_CLOSED  /* port is the capture's handle, its last event: its file is complete; id =
                           packets in it, duration_ms = how many were lost, value = gwm_captured */
};

enum gwm_captured {
    GWM_CAPTURE_ASKED = 1, /* gwm_capture_close, or the media plane stopped */
    GWM_CAPTURE_TIME,      /* max_ms */
    GWM_CAPTURE_FULL,      /* max_bytes */
    GWM_CAPTURE_DISK       /* writing failed; what came before is in the file */
};

enum gwm_stopped {
    GWM_STOPPED_LENGTH = 1, /* max_ms is reached */
    GWM_STOPPED_SILENCE,    /* silence_ms of silence on all channels */
    GWM_STOPPED_DISK        /* writing failed; what came before is in the file */
};

typedef struct gwm_event {
    int32_t type;   /* enum gwm_event_type */
    int32_t port;   /* handle */
    int32_t digit;  /* RFC 4733 3.2 event code 0..16, or -1 */
    int32_t volume; /* -dBm0 */
    uint32_t id;    /* pairs BEGIN with END, and SENT with the id of gwm_dtmf_send */
    uint32_t duration_ms;
    int32_t value;
    uint64_t monotonic_us; /* CLOCK_MONOTONIC */
} gwm_event;

enum gwm_codec { GWM_OPUS = 1, GWM_PCMU, GWM_PCMA, GWM_G722, GWM_L16 };

/* enum values of RFC 5764 4.1.2 and RFC 7714 14.2, as exported by DTLS */
enum gwm_srtp_profile {
    GWM_AES128_CM_SHA1_80 = 1,
    GWM_AEAD_AES_128_GCM = 7,
    GWM_AEAD_AES_256_GCM = 8
};

enum gwm_direction { GWM_INACTIVE = 0, GWM_RECEIVE = 1, GWM_SEND = 2, GWM_SENDRECV = 3 };

typedef struct gwm_stats {
    uint64_t rx_packets, rx_bytes, rx_lost, rx_duplicate, rx_reordered;
    uint64_t tx_packets, tx_bytes;
    uint64_t rejected_source; /* datagrams from an address that is not the peer's, STUN floods */
    uint64_t srtp_failures;   /* packets that failed authentication or replay checks */
    uint64_t malformed;
    uint32_t jitter_us;   /* RFC 3550 6.4.1, of packets received */
    uint32_t rtt_us;      /* from RTCP, 0 when unknown */
    uint32_t remote_lost; /* what the peer says it lost of ours */
    uint32_t remote_jitter_us;
    uint32_t dtmf_received, dtmf_sent, dtmf_ignored_packets;
    uint32_t direct; /* 1 while its audio goes to another leg without passing the bridge */
} gwm_stats;

typedef struct gwm_clock_stats {
    uint64_t ticks;                     /* bridge frames run */
    uint64_t late_ticks;                /* started more than 5 ms late */
    uint64_t skipped_ticks;             /* given up because the clock was more than 200 ms behind */
    uint32_t max_late_us, mean_late_us; /* since gwm_clock last began them anew */
} gwm_clock_stats;

/* ---- life ------------------------------------------------------------------------------- */

/* Takes over the bridge's clock and pjsua's media-transport hook. direct_path: whether two legs
 * that nobody else listens to may be joined without the bridge. readers: threads that read WebRTC
 * sockets, 1..64. */
int gwm_start(int direct_path, int readers);
/* Closes every port and waits until the media threads have let go of them. */
int gwm_stop(void);
/* The calling thread's last failure in words; valid until its next call. */
const char *gwm_last_message(void);
/* Becomes readable when gwm_next_events has something (eventfd; owned by the media plane). */
int gwm_event_fd(void);
/* Takes up to capacity events; returns how many. Clears the eventfd when it returns 0. */
int gwm_next_events(gwm_event *out, int capacity);
/* begin_anew: whether the maximum and mean begin anew, or are only looked at. */
int gwm_clock(gwm_clock_stats *out, int begin_anew);
/* Live ports; 0 means that nothing is left behind. */
int gwm_port_count(void);
/* Bridge rate in Hz. */
int gwm_bridge_rate(void);

/* ---- every port ------------------------------------------------------------------------- */

/* Audio of source is mixed into sink. Kept as a wish while either has no media yet, and applied
 * again when a port's media is renewed (re-INVITE). */
int gwm_connect(int source, int sink);
int gwm_disconnect(int source, int sink);
/* Also disconnects. The handle is dead at once; native resources follow within two frames. */
int gwm_close(int port);
int gwm_port_stats(int port, gwm_stats *out);
/* Level of the last frame, 0..255 (PJMEDIA's 8-bit complement u-law scale). */
int gwm_levels(int port, unsigned *received, unsigned *sent);

/* ---- telephone events (RFC 4733) on WebRTC and SIP ports -------------------------------- */

/* Queues a tone; returns its id (> 0). duration_ms 20..60000, gap_ms raised to 30 (T10). */
int gwm_dtmf_send(int port, int event, unsigned duration_ms, unsigned gap_ms, int volume);
/* Events that arrive on source are sent on to sink as they come, natively; sink 0 stops it.
 * They are reported to Python either way. */
int gwm_dtmf_relay(int source, int sink);

/* ---- WebRTC leg ------------------------------------------------------------------------- */

typedef struct gwm_webrtc_params {
    int codec;              /* enum gwm_codec */
    int payload_type;       /* both directions: the answer repeats the offer's number */
    int event_payload_type; /* -1: no telephone-event */
    uint32_t event_clock_rate;
    uint32_t event_mask;            /* bit n: peer takes event n (its fmtp; 0xFFFF without) */
    uint32_t ssrc;                  /* ours */
    int srtp_profile;               /* enum gwm_srtp_profile */
    uint8_t tx_key[46], rx_key[46]; /* key then salt */
    unsigned key_len;               /* 30, 28 or 44 */
    int opus_complexity;            /* 0..10 */
    int opus_bitrate;               /* bits per second */
    int rtp_timeout_ms;             /* 0: no watchdog */
    char cname[64];                 /* RTCP SDES CNAME */
} gwm_webrtc_params;

int gwm_webrtc_open(const gwm_webrtc_params *params);
/* A local UDP socket of this leg (dup'ed here; the caller keeps and closes its own descriptor).
 * From now on the media plane reads it. tag 0..15 names it. */
int gwm_webrtc_add_socket(int port, int tag, int fd);
/* An ICE-validated remote address: only from these is anything but STUN accepted. */
int gwm_webrtc_allow(int port, const char *ip, int udp_port);
/* The selected pair: where RTP goes. tag -1: relayed, datagrams go out through Python. */
int gwm_webrtc_select(int port, int tag, const char *ip, int udp_port);
/* A datagram that came through Python (TURN). */
int gwm_webrtc_input(int port, const uint8_t *datagram, int len);
/* Hold and resume: enum gwm_direction as seen from the gateway. */
int gwm_webrtc_direction(int port, int direction);

/* STUN and DTLS that arrive on taken-over sockets, and RTP of relayed legs on its way out, come as
 * datagrams on this AF_UNIX socket: a gwm_datagram header, then the payload. */
typedef struct gwm_datagram {
    int32_t port;
    int32_t tag;       /* socket it came from, or -1: send this through the relay */
    uint16_t family;   /* 4 or 6 */
    uint16_t udp_port; /* host order */
    uint8_t address[16];
} gwm_datagram;
int gwm_datagram_fd(void);

/* ---- SIP leg ---------------------------------------------------------------------------- */

/* The port of the audio of a pjsua call. conf_slot: its slot on pjsua's bridge (-1: no audio now,
 * as on hold); to be called at each media state change. The same handle for the call's life. */
int gwm_sip_media(int pjsua_call_id, int conf_slot);
/* Whether an RTP peer behind NAT may be latched: 0 strict, 1 once within the first second. */
int gwm_sip_latch(int port, int latch);
int gwm_sip_timeout(int port, int rtp_timeout_ms);

/* ---- SIP messages ----------------------------------------------------------------------- */

enum { GWM_SIP_MESSAGE_MAX = 8192 }; /* bytes of a message that are kept */

typedef struct gwm_sip_message {
    uint64_t monotonic_us; /* CLOCK_MONOTONIC */
    int32_t sent;          /* 1: by us; 0: received */
    uint32_t length;       /* of the whole message, bytes */
    uint32_t stored;       /* how many of them are here */
    uint16_t local_port, peer_port;
    char transport[8]; /* "UDP", "TCP", "TLS" */
    char local[64]; /* our address: of a connection its socket's, else as the transport knows it */
    char peer[64];
} gwm_sip_message;

/* From now on every SIP message is kept for gwm_sip_trace_next, until the media plane stops. */
int gwm_sip_trace_start(void);
/* The oldest message: 1, or 0 when there is none. text has room for GWM_SIP_MESSAGE_MAX bytes. */
int gwm_sip_trace_next(gwm_sip_message *out, char *text, unsigned capacity);
/* Messages of this process that were lost because nobody took the earlier ones. */
uint64_t gwm_sip_trace_lost(void);

/* ---- captures --------------------------------------------------------------------------- */

/* Writes packets into a new pcap file (it must not exist) of mode 0600, until max_ms have passed
 * or the file has max_bytes. privacy: 0 everything is in it, 1 telephone-events without their
 * codes (255 instead), 2 RTP without its payload. Returns its handle (> 0; not a port's). */
int gwm_capture_open(const char *path, unsigned max_ms, uint64_t max_bytes, int privacy);
/* RTP of a leg goes into it as the tap sees it: plain, in both directions; RTCP too. A leg is in
 * one capture at most. Once more: its addresses may have changed. */
int gwm_capture_add(int capture, int port);
/* For all packets from now on. */
int gwm_capture_privacy(int capture, int privacy);
/* A message that was seen elsewhere: a SIP message, of which data has the first len (at most
 * GWM_SIP_MESSAGE_MAX) of `whole` bytes. of_stream: it came over TCP or TLS, and is a segment of
 * the stream between its ends; else it is a UDP datagram, of what is there. */
int gwm_capture_message(int capture, uint64_t monotonic_us, int of_stream, const char *from,
                        int from_port, const char *to, int to_port, const uint8_t *data,
                        unsigned len, unsigned whole);
/* GWM_CAPTURE_CLOSED follows. */
int gwm_capture_close(int capture);

/* ---- sources and sinks ------------------------------------------------------------------ */

/* 16-bit mono PCM at rate Hz; copied. */
int gwm_player_open(const int16_t *samples, unsigned count, unsigned rate, int loop);
int gwm_tone_open(int frequency1, int frequency2, int volume);
/* Records into a new file (it must not exist) of mode 0600: WAV, 16 bits, at the bridge rate.
 * Stereo has a port for each channel, left near and right far; else both are the same port. The
 * channels share one timeline, on which each tick of the bridge is 20 ms, silent where nothing
 * came. What is recorded is with the system (write(2)) after half a second at the latest; until the
 * recorder is closed the header's sizes are all ones. max_ms and silence_ms: when to stop, 0 never.
 * Returns the near port, which all events are about. Closing either port closes both. */
int gwm_recorder_open(const char *path, int stereo, unsigned max_ms, unsigned silence_ms,
                      int *far_port);
/* While paused nothing is added: the recording becomes shorter. */
int gwm_recorder_pause(int port, int paused);
/* While muted silence is added: the recording keeps its length. */
int gwm_recorder_mute(int port, int muted);
/* CFFI END */

#endif

/* The tap: a pjmedia_transport between a PJMEDIA stream and the transport below it, on both kinds
 * of leg. It sees plain RTP, owns RFC 4733 in both directions, checks sources and counts. */
#ifndef GWM_TAP_H
#define GWM_TAP_H

#include "arrivals.h"
#include "capture.h"
#include "direct.h"
#include "dtmf_rx.h"
#include "dtmf_tx.h"
#include "internal.h"

typedef struct gwm_tap {
    pjmedia_transport base; /* first: PJMEDIA sees this */
    gwm_port *port;
    pjmedia_transport *member;
    int close_member;

    pthread_mutex_t lock;  /* everything below, but the stream's callbacks' own calls */
    void *stream;          /* the attached stream's user data; NULL when detached */
    pjmedia_stream *audio; /* the same stream, for its RTCP statistics */
    void (*rtp_cb)(void *, void *, pj_ssize_t);
    void (*rtp_cb2)(pjmedia_tp_cb_param *);
    void (*rtcp_cb)(void *, void *, pj_ssize_t);

    /* sending */
    int have_tx;
    uint16_t tx_sequence; /* of the next packet: one gapless sequence (T2) */
    uint32_t tx_ssrc;
    int tx_event_type; /* payload type, -1 when none is negotiated */
    gwm_dtmf_tx tx;

    /* receiving */
    int rx_event_type;
    gwm_dtmf_rx rx;
    int relay_to;                   /* handle of the port that events are sent on to, 0 = none */
    gwm_dtmf_rx_report in_progress; /* last report of the event that has not ended; kind 0 = none */
    uint8_t rx_audio_type;
    gwm_arrivals arrivals;

    /* source check (SIP legs; a WebRTC leg checks at its socket) */
    int check_source, may_latch, latched;
    pj_sockaddr negotiated, heard;
    pj_sockaddr local; /* SIP legs: where the transport receives RTP, for captures */
    uint64_t attached_us;

    /* watchdog */
    int rtp_timeout_ms, silent, started;
    int send_only; /* negotiated: nothing is to come, so its absence means nothing */
    uint64_t last_rx_us;

    uint64_t last_audio_us, audio_since_us; /* newest audio packet, and the first without a pause */
    gwm_direct direct;                      /* where its audio goes when the bridge is passed by */

    gwm_capture_tap capture;
    gwm_stats stats;
} gwm_tap;

/* Initialises a tap inside port's pool, over member. The caller has set port->grp_lock. */
void gwm_tap_init(gwm_tap *tap, gwm_port *port, pjmedia_transport *member, int close_member);
/* Negotiated telephone-events; payload type -1 for none. Keeps what is queued. */
void gwm_tap_events(gwm_tap *tap, int rx_type, int tx_type, uint32_t clock_rate, uint32_t mask);
/* SIP: reads payload types, clock rates and the peer's events from the negotiated SDP (sip.c). */
void gwm_sip_negotiated(gwm_tap *tap, const pjmedia_sdp_session *local,
                        const pjmedia_sdp_session *remote, unsigned index);
/* Whether the negotiated direction lets the peer send; the RTP watchdog rests while it does not. */
void gwm_tap_receives(gwm_tap *tap, int receives);
/* Whether audio comes in steadily, so that it may take the direct path, or go on doing so. */
int gwm_tap_flows(gwm_tap *tap, uint64_t now_us);
int gwm_tap_still_flows(gwm_tap *tap, uint64_t now_us);
/* Time passes: RFC 4733 time-outs (R3) and the RTP watchdog. */
void gwm_tap_poll(gwm_tap *tap, uint64_t now_us);
/* The leg ends: what is in progress is reported. */
void gwm_tap_finish(gwm_tap *tap);
void gwm_tap_stats(gwm_tap *tap, gwm_stats *out);

/* ---- digits.c */
/* Tap lock held: reports go to Python here, to the relay after unlocking. */
void gwm_digits_report(gwm_tap *tap, const gwm_dtmf_rx_report *reports, int count);
/* No tap lock held: the sink's is taken here, and two are never held together. */
void gwm_digits_relay(gwm_tap *from, int sink, const gwm_dtmf_rx_report *reports, int count);

#endif

/* The tap: RFC 4733 in both directions, source checks and counters, between stream and transport.
 */
#include "tap.h"

#include <stdlib.h>
#include <string.h>

#include "rtp.h"

#define LATCH_WINDOW_US 1000000u
#define PAUSE_US 10000000u /* without audio: the sender has stopped */
#define STEADY_US 40000u   /* of audio: it goes on */
#define STANDSTILL_US 200000u
#define MIN_RTP_PACKET 12
#define EVENT_PACKET_LEN (GWM_RTP_HEADER_LEN + 4)

/* ---- receiving --------------------------------------------------------------------------- */

static int source_is_right(gwm_tap *tap, const pj_sockaddr *source, uint64_t now_us) {
    if (!tap->check_source || !source)
        return 1;
    if (pj_sockaddr_cmp(&tap->heard, source) == 0)
        return 1;
    if (tap->may_latch && !tap->latched && now_us - tap->attached_us < LATCH_WINDOW_US) {
        tap->latched = 1;
        pj_sockaddr_cp(&tap->heard, source);
        return 1;
    }
    return 0;
}

static void note_alive(gwm_tap *tap, uint64_t now_us) {
    gwm_event e = {.port = tap->port->handle, .digit = -1, .monotonic_us = now_us};
    tap->last_rx_us = now_us;
    if (!tap->started) {
        tap->started = 1;
        e.type = GWM_RTP_STARTED;
        gwm_emit(&e);
    } else if (tap->silent) {
        tap->silent = 0;
        e.type = GWM_RTP_RESUMED;
        gwm_emit(&e);
    }
}

/* The stream's RTCP and jitter buffer must see that this sequence number arrived, and nothing more:
 * an empty audio packet is that. */
static void empty(pjmedia_tp_cb_param *param, const gwm_rtp_header *h, uint8_t audio_type) {
    gwm_rtp_write_header(param->pkt, audio_type, 0, h->sequence, h->timestamp, h->ssrc);
    param->size = GWM_RTP_HEADER_LEN;
}

static void note_audio(gwm_tap *tap, uint64_t now_us) {
    if (now_us - tap->last_audio_us > PAUSE_US)
        tap->audio_since_us = now_us;
    tap->last_audio_us = now_us;
}

typedef enum packet_use { FOR_NOBODY, FOR_THE_STREAM, AUDIO } packet_use;

static int has_begin(const gwm_dtmf_rx_report *reports, int count) {
    for (int i = 0; i < count; i++)
        if (reports[i].kind == GWM_DTMF_RX_BEGIN)
            return 1;
    return 0;
}

static packet_use receive(gwm_tap *tap, pjmedia_tp_cb_param *param, gwm_rtp_header *h,
                          uint64_t now_us) {
    gwm_dtmf_rx_report reports[GWM_DTMF_RX_MAX_REPORTS];
    int count = 0, sink = 0;
    packet_use use = FOR_NOBODY;
    uint8_t *packet = param->pkt;

    pthread_mutex_lock(&tap->lock);
    if (!source_is_right(tap, param->src_addr, now_us)) {
        tap->stats.rejected_source++;
    } else if (gwm_rtp_parse(packet, (size_t)param->size, h) != 0) {
        tap->stats.malformed++;
    } else {
        gwm_capture_packet(&tap->capture, GWM_CAPTURE_IN, packet, (size_t)param->size,
                           tap->rx_event_type, now_us);
        tap->stats.rx_packets++;
        tap->stats.rx_bytes += (uint64_t)param->size;
        note_alive(tap, now_us);
        gwm_arrivals_sequence(&tap->arrivals, h, &tap->stats);
        use = FOR_THE_STREAM;
        if (tap->rx_event_type >= 0 && h->payload_type == tap->rx_event_type) {
            count = gwm_dtmf_rx_packet(&tap->rx, now_us, h->ssrc, h->timestamp,
                                       packet + h->payload_offset, h->payload_len, reports);
            gwm_digits_report(tap, reports, count);
            sink = tap->relay_to;
            empty(param, h, tap->rx_audio_type);
        } else {
            tap->rx_audio_type = h->payload_type;
            gwm_arrivals_jitter(&tap->arrivals, h->timestamp, now_us);
            if (!tap->send_only) {
                note_audio(tap, now_us);
                use = AUDIO;
            }
        }
    }
    pthread_mutex_unlock(&tap->lock);
    if (count && sink) {
        if (has_begin(reports, count))
            gwm_direct_align(&tap->direct, now_us);
        gwm_digits_relay(tap, sink, reports, count);
    }
    return use;
}

static void on_rtp(pjmedia_tp_cb_param *param) {
    gwm_tap *tap = param->user_data;
    if (!tap)
        return;
    if (param->size >= 0) {
        gwm_rtp_header h;
        uint64_t now_us = gwm_now_us();
        packet_use use = receive(tap, param, &h, now_us);
        if (use == FOR_NOBODY)
            return;
        if (use == AUDIO &&
            gwm_direct_feed(&tap->direct, &h, (uint8_t *)param->pkt + h.payload_offset, now_us))
            empty(param, &h, h.payload_type);
    }
    pthread_mutex_lock(&tap->lock);
    void (*cb2)(pjmedia_tp_cb_param *) = tap->rtp_cb2;
    void (*cb)(void *, void *, pj_ssize_t) = tap->rtp_cb;
    void *stream = tap->stream;
    pthread_mutex_unlock(&tap->lock);
    if (cb2 && stream) {
        pjmedia_tp_cb_param forward = *param;
        forward.user_data = stream;
        cb2(&forward);
        param->rem_switch = forward.rem_switch;
    } else if (cb && stream) {
        cb(stream, param->pkt, param->size);
    }
}

static void on_rtcp(void *user_data, void *packet, pj_ssize_t size) {
    gwm_tap *tap = user_data;
    if (!tap)
        return;
    pthread_mutex_lock(&tap->lock);
    void (*cb)(void *, void *, pj_ssize_t) = tap->rtcp_cb;
    void *stream = tap->stream;
    if (size > 0 && tap->capture.ticket)
        gwm_capture_packet(&tap->capture, GWM_CAPTURE_RTCP, packet, (size_t)size, -1, gwm_now_us());
    pthread_mutex_unlock(&tap->lock);
    if (cb && stream)
        cb(stream, packet, size);
}

/* ---- sending ----------------------------------------------------------------------------- */

static pj_status_t send_counted(gwm_tap *tap, const void *packet, pj_size_t size) {
    tap->stats.tx_packets++;
    tap->stats.tx_bytes += size;
    tap->tx_sequence++;
    if (tap->capture.ticket)
        gwm_capture_packet(&tap->capture, GWM_CAPTURE_OUT, packet, size, tap->tx_event_type,
                           gwm_now_us());
    return pjmedia_transport_send_rtp(tap->member, packet, size);
}

static pj_status_t send_event(gwm_tap *tap, const gwm_dtmf_tx_packet *p) {
    uint8_t packet[EVENT_PACKET_LEN];
    gwm_rtp_write_header(packet, (uint8_t)tap->tx_event_type, p->marker, tap->tx_sequence,
                         p->timestamp, tap->tx_ssrc);
    memcpy(packet + GWM_RTP_HEADER_LEN, p->payload, sizeof p->payload);
    if (p->finished) {
        tap->stats.dtmf_sent++;
        if (!(p->id & 0x80000000u)) {
            gwm_event e = {.type = GWM_DTMF_SENT,
                           .port = tap->port->handle,
                           .digit = p->payload[0],
                           .id = p->id,
                           .duration_ms = p->duration_ms,
                           .monotonic_us = gwm_now_us()};
            gwm_emit(&e);
        }
    }
    return send_counted(tap, packet, sizeof packet);
}

/* The stream's packets are the clock of RFC 4733 sending: each is one slot. */
static pj_status_t send_rtp(pjmedia_transport *transport, const void *data, pj_size_t size) {
    gwm_tap *tap = (gwm_tap *)transport;
    gwm_rtp_header h;
    gwm_dtmf_tx_packet event;
    if (size < MIN_RTP_PACKET || gwm_rtp_parse(data, size, &h) != 0)
        return pjmedia_transport_send_rtp(tap->member, data, size);

    pj_status_t status = PJ_SUCCESS;
    pthread_mutex_lock(&tap->lock);
    if (!tap->have_tx) {
        tap->have_tx = 1;
        tap->tx_sequence = h.sequence;
    }
    tap->tx_ssrc = h.ssrc;
    gwm_dtmf_tx_action action = GWM_DTMF_TX_AUDIO;
    if (tap->tx_event_type >= 0)
        action = gwm_dtmf_tx_slot(&tap->tx, h.timestamp, &event);
    if (action == GWM_DTMF_TX_AUDIO) {
        /* The stream rebuilds its header for every packet, so its buffer may be written to. */
        uint8_t *packet = (uint8_t *)data;
        packet[2] = (uint8_t)(tap->tx_sequence >> 8);
        packet[3] = (uint8_t)tap->tx_sequence;
        status = send_counted(tap, packet, size);
    } else if (action == GWM_DTMF_TX_EVENT) {
        status = send_event(tap, &event);
    }
    pthread_mutex_unlock(&tap->lock);
    return status;
}

static void note_rtcp(gwm_tap *tap, const void *packet, pj_size_t size) {
    pthread_mutex_lock(&tap->lock);
    if (tap->capture.ticket)
        gwm_capture_packet(&tap->capture, GWM_CAPTURE_OUT | GWM_CAPTURE_RTCP, packet, size, -1,
                           gwm_now_us());
    pthread_mutex_unlock(&tap->lock);
}

static pj_status_t send_rtcp(pjmedia_transport *transport, const void *packet, pj_size_t size) {
    gwm_tap *tap = (gwm_tap *)transport;
    note_rtcp(tap, packet, size);
    return pjmedia_transport_send_rtcp(tap->member, packet, size);
}

static pj_status_t send_rtcp2(pjmedia_transport *transport, const pj_sockaddr_t *address,
                              unsigned address_len, const void *packet, pj_size_t size) {
    gwm_tap *tap = (gwm_tap *)transport;
    note_rtcp(tap, packet, size);
    return pjmedia_transport_send_rtcp2(tap->member, address, address_len, packet, size);
}

/* ---- the rest of a transport ------------------------------------------------------------- */

static pj_status_t get_info(pjmedia_transport *transport, pjmedia_transport_info *info) {
    return pjmedia_transport_get_info(((gwm_tap *)transport)->member, info);
}

static pj_status_t attach2(pjmedia_transport *transport, pjmedia_transport_attach_param *param) {
    gwm_tap *tap = (gwm_tap *)transport;
    pjmedia_transport_info info;
    pjmedia_transport_info_init(&info);
    pj_status_t known = pjmedia_transport_get_info(tap->member, &info);
    pthread_mutex_lock(&tap->lock);
    if (known == PJ_SUCCESS)
        tap->local = info.sock_info.rtp_addr_name;
    tap->stream = param->user_data;
    tap->audio = param->media_type == PJMEDIA_TYPE_AUDIO ? param->stream : NULL;
    tap->rtp_cb = param->rtp_cb;
    tap->rtp_cb2 = param->rtp_cb2;
    tap->rtcp_cb = param->rtcp_cb;
    tap->attached_us = gwm_now_us();
    if (pj_sockaddr_cmp(&tap->negotiated, &param->rem_addr) != 0) {
        pj_sockaddr_cp(&tap->negotiated, &param->rem_addr);
        pj_sockaddr_cp(&tap->heard, &param->rem_addr);
        tap->latched = 0;
    }
    pthread_mutex_unlock(&tap->lock);

    pjmedia_transport_attach_param member = *param;
    member.user_data = tap;
    member.rtp_cb = NULL;
    member.rtp_cb2 = on_rtp;
    member.rtcp_cb = on_rtcp;
    pj_status_t status = pjmedia_transport_attach2(tap->member, &member);
    if (status != PJ_SUCCESS) {
        pthread_mutex_lock(&tap->lock);
        tap->stream = tap->audio = NULL;
        pthread_mutex_unlock(&tap->lock);
    }
    return status;
}

static void detach(pjmedia_transport *transport, void *stream) {
    gwm_tap *tap = (gwm_tap *)transport;
    PJ_UNUSED_ARG(stream);
    /* pjsua takes the stream off the bridge just before: its slot may soon be another port's. */
    if (tap->port->kind == GWM_KIND_SIP)
        gwm_port_set_slot(tap->port, -1);
    pjmedia_transport_detach(tap->member, tap);
    pthread_mutex_lock(&tap->lock);
    tap->stream = NULL;
    tap->audio = NULL;
    tap->rtp_cb = NULL;
    tap->rtp_cb2 = NULL;
    tap->rtcp_cb = NULL;
    pthread_mutex_unlock(&tap->lock);
}

static pj_status_t media_create(pjmedia_transport *transport, pj_pool_t *pool, unsigned options,
                                const pjmedia_sdp_session *remote, unsigned index) {
    return pjmedia_transport_media_create(((gwm_tap *)transport)->member, pool, options, remote,
                                          index);
}

static pj_status_t encode_sdp(pjmedia_transport *transport, pj_pool_t *pool,
                              pjmedia_sdp_session *local, const pjmedia_sdp_session *remote,
                              unsigned index) {
    return pjmedia_transport_encode_sdp(((gwm_tap *)transport)->member, pool, local, remote, index);
}

static pj_status_t media_start(pjmedia_transport *transport, pj_pool_t *pool,
                               const pjmedia_sdp_session *local, const pjmedia_sdp_session *remote,
                               unsigned index) {
    gwm_tap *tap = (gwm_tap *)transport;
    if (tap->port->kind == GWM_KIND_SIP)
        gwm_sip_negotiated(tap, local, remote, index);
    return pjmedia_transport_media_start(tap->member, pool, local, remote, index);
}

static pj_status_t media_stop(pjmedia_transport *transport) {
    return pjmedia_transport_media_stop(((gwm_tap *)transport)->member);
}

static pj_status_t simulate_lost(pjmedia_transport *transport, pjmedia_dir dir, unsigned percent) {
    return pjmedia_transport_simulate_lost(((gwm_tap *)transport)->member, dir, percent);
}

static pj_status_t destroy(pjmedia_transport *transport) {
    gwm_tap *tap = (gwm_tap *)transport;
    gwm_port *port = tap->port;
    pj_grp_lock_t *grp_lock = transport->grp_lock;
    if (port->kind == GWM_KIND_SIP)
        gwm_sip_forget(port);
    if (tap->close_member)
        pjmedia_transport_close(tap->member);
    pj_grp_lock_dec_ref(grp_lock);
    return PJ_SUCCESS;
}

static pjmedia_transport_op operations = {
    get_info,   NULL,        detach,     send_rtp,      send_rtcp, send_rtcp2, media_create,
    encode_sdp, media_start, media_stop, simulate_lost, destroy,   attach2};

/* ---- for the rest of the media plane ----------------------------------------------------- */

void gwm_tap_init(gwm_tap *tap, gwm_port *port, pjmedia_transport *member, int close_member) {
    pj_ansi_snprintf(tap->base.name, sizeof tap->base.name, "tap%p", (void *)tap);
    tap->base.type = member->type;
    tap->base.op = &operations;
    tap->base.grp_lock = port->grp_lock;
    pj_grp_lock_add_ref(port->grp_lock); /* given back in destroy */
    tap->port = port;
    tap->member = member;
    tap->close_member = close_member;
    tap->tx_event_type = tap->rx_event_type = -1;
    tap->arrivals.clock_rate = 8000;
    tap->last_rx_us = gwm_now_us();
    pthread_mutex_init(&tap->lock, NULL);
    gwm_dtmf_rx_init(&tap->rx, 8000);
    gwm_dtmf_tx_init(&tap->tx, 8000, 160, 0xFFFF);
    gwm_direct_init(&tap->direct, tap);
    port->tap = tap;
}

void gwm_tap_events(gwm_tap *tap, int rx_type, int tx_type, uint32_t clock_rate, uint32_t mask) {
    pthread_mutex_lock(&tap->lock);
    tap->rx_event_type = rx_type;
    tap->tx_event_type = tx_type;
    tap->tx.allowed = mask;
    if (tap->rx.clock_rate != clock_rate)
        gwm_dtmf_rx_init(&tap->rx, clock_rate);
    if (tap->tx.clock_rate != clock_rate)
        gwm_dtmf_tx_init(&tap->tx, clock_rate, clock_rate * GWM_FRAME_MS / 1000, mask);
    tap->arrivals.clock_rate = clock_rate;
    pthread_mutex_unlock(&tap->lock);
}

/* Three updates without a report end an event (R3), as long as the stream goes on. When nothing at
 * all has come since, the network or the sender stands still, and a key that is held down would be
 * cut short for good; then the event gets a little longer. */
static int stands_still(const gwm_tap *tap, uint64_t now_us) {
    return tap->rx.active && tap->last_rx_us == tap->rx.last_us &&
           now_us - tap->last_rx_us < STANDSTILL_US;
}

void gwm_tap_poll(gwm_tap *tap, uint64_t now_us) {
    gwm_dtmf_rx_report reports[GWM_DTMF_RX_MAX_REPORTS];
    pthread_mutex_lock(&tap->lock);
    int count = stands_still(tap, now_us) ? 0 : gwm_dtmf_rx_poll(&tap->rx, now_us, reports);
    gwm_digits_report(tap, reports, count);
    int sink = tap->relay_to;
    if (tap->rtp_timeout_ms && tap->stream && !tap->silent && !tap->send_only &&
        now_us > tap->last_rx_us &&
        now_us - tap->last_rx_us > (uint64_t)tap->rtp_timeout_ms * 1000u) {
        gwm_event e = {.type = GWM_RTP_TIMEOUT,
                       .port = tap->port->handle,
                       .digit = -1,
                       .value = tap->rtp_timeout_ms,
                       .monotonic_us = now_us};
        tap->silent = 1;
        gwm_emit(&e);
    }
    pthread_mutex_unlock(&tap->lock);
    if (count && sink)
        gwm_digits_relay(tap, sink, reports, count);
}

int gwm_tap_flows(gwm_tap *tap, uint64_t now_us) {
    pthread_mutex_lock(&tap->lock);
    int flows = tap->audio && !tap->send_only && !tap->rx.active &&
                now_us < tap->last_audio_us + STEADY_US && now_us > tap->audio_since_us + STEADY_US;
    pthread_mutex_unlock(&tap->lock);
    return flows;
}

int gwm_tap_still_flows(gwm_tap *tap, uint64_t now_us) {
    pthread_mutex_lock(&tap->lock);
    int flows =
        tap->audio && !tap->send_only && (tap->rx.active || now_us < tap->last_audio_us + PAUSE_US);
    pthread_mutex_unlock(&tap->lock);
    return flows;
}

void gwm_tap_receives(gwm_tap *tap, int receives) {
    pthread_mutex_lock(&tap->lock);
    if (tap->send_only && receives)
        tap->last_rx_us = gwm_now_us(); /* the peer has the whole time-out again */
    tap->send_only = !receives;
    pthread_mutex_unlock(&tap->lock);
}

void gwm_tap_finish(gwm_tap *tap) {
    gwm_dtmf_rx_report reports[GWM_DTMF_RX_MAX_REPORTS];
    pthread_mutex_lock(&tap->lock);
    int count = gwm_dtmf_rx_flush(&tap->rx, reports);
    gwm_digits_report(tap, reports, count);
    int sink = tap->relay_to;
    pthread_mutex_unlock(&tap->lock);
    if (count && sink)
        gwm_digits_relay(tap, sink, reports, count);
}

void gwm_tap_stats(gwm_tap *tap, gwm_stats *out) {
    pthread_mutex_lock(&tap->lock);
    *out = tap->stats;
    out->direct = (uint32_t)atomic_load(&tap->direct.is_open);
    out->jitter_us = gwm_arrivals_jitter_us(&tap->arrivals);
    out->dtmf_ignored_packets = (uint32_t)tap->rx.ignored;
    pjmedia_rtcp_stat rtcp;
    if (tap->audio && pjmedia_stream_get_stat(tap->audio, &rtcp) == PJ_SUCCESS) {
        out->rtt_us = rtcp.rtt.n ? (uint32_t)rtcp.rtt.last : 0;
        out->remote_lost = rtcp.tx.loss;
        out->remote_jitter_us = rtcp.tx.jitter.n ? (uint32_t)rtcp.tx.jitter.last : 0;
    }
    pthread_mutex_unlock(&tap->lock);
}

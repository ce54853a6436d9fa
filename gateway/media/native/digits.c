/* Digits of a leg: reports to Python, the native relay to another leg, and the API to send and to
 * relay them. What a digit is on the wire is dtmf_rx.c's and dtmf_tx.c's business. */
#include "tap.h"

static void emit(const gwm_tap *tap, int type, const gwm_dtmf_rx_report *r, int value) {
    gwm_event e = {.type = type,
                   .port = tap->port->handle,
                   .digit = r->event,
                   .volume = r->volume,
                   .id = r->id,
                   .duration_ms = r->duration_ms,
                   .value = value,
                   .monotonic_us = gwm_now_us()};
    gwm_emit(&e);
}

/* Ids of relayed events must not meet those of another source or of gwm_dtmf_send. */
static uint32_t relay_id(int source_handle, uint32_t id) {
    return 0x80000000u | ((uint32_t)source_handle & (GWM_MAX_PORTS - 1)) << 19 | (id & 0x7FFFFu);
}

void gwm_digits_relay(gwm_tap *from, int sink, const gwm_dtmf_rx_report *reports, int count) {
    gwm_port *to = gwm_port_acquire(sink);
    if (!to)
        return;
    for (int i = 0; to->tap && i < count; i++) {
        const gwm_dtmf_rx_report *r = &reports[i];
        uint32_t id = relay_id(from->port->handle, r->id);
        int code = 0;
        pthread_mutex_lock(&to->tap->lock);
        if (r->kind == GWM_DTMF_RX_BEGIN)
            code = to->tap->tx_event_type < 0 ? GWM_EEVENT
                                              : gwm_dtmf_tx_relay_begin(&to->tap->tx, id, r->event,
                                                                        r->volume, r->duration_ms);
        else if (r->kind == GWM_DTMF_RX_UPDATE)
            gwm_dtmf_tx_relay_grow(&to->tap->tx, id, r->duration_ms);
        else
            gwm_dtmf_tx_relay_end(&to->tap->tx, id, r->duration_ms);
        pthread_mutex_unlock(&to->tap->lock);
        if (code)
            emit(to->tap, GWM_DTMF_DROPPED, r, code == -1 ? GWM_EFULL : GWM_EEVENT);
    }
    gwm_port_release(to);
}

void gwm_digits_report(gwm_tap *tap, const gwm_dtmf_rx_report *reports, int count) {
    for (int i = 0; i < count; i++) {
        if (reports[i].kind == GWM_DTMF_RX_BEGIN)
            emit(tap, GWM_DTMF_BEGIN, &reports[i], 0);
        if (reports[i].kind == GWM_DTMF_RX_END) {
            tap->stats.dtmf_received++;
            emit(tap, GWM_DTMF_END, &reports[i], 0);
        }
        tap->in_progress = reports[i];
        if (reports[i].kind == GWM_DTMF_RX_END)
            tap->in_progress.kind = 0;
    }
}

/* ---- API --------------------------------------------------------------------------------- */

static atomic_uint next_send_id = 1;

/* A port that has a tap, acquired; NULL with the error noted. */
static gwm_port *acquire_leg(int handle) {
    gwm_enter();
    gwm_port *port = gwm_port_acquire(handle);
    if (port && !port->tap) {
        gwm_port_release(port);
        gwm_fail(GWM_EINVAL, "port %d is not a leg", handle);
        return NULL;
    }
    return port;
}

int gwm_dtmf_send(int handle, int event, unsigned duration_ms, unsigned gap_ms, int volume) {
    if (event < 0 || event > 16 || duration_ms < 20 || duration_ms > 60000 || gap_ms > 60000 ||
        volume < 0 || volume > 63)
        return gwm_fail(GWM_EINVAL, "digit %d for %u ms, gap %u ms, volume %d is out of range",
                        event, duration_ms, gap_ms, volume);
    gwm_port *port = acquire_leg(handle);
    if (!port)
        return GWM_ENOPORT;
    uint32_t id = atomic_fetch_add(&next_send_id, 1) & 0x7FFFFFFFu;
    int code = (int)id;
    pthread_mutex_lock(&port->tap->lock);
    if (port->tap->tx_event_type < 0) {
        code = gwm_fail(GWM_EEVENT, "the peer did not negotiate telephone-event");
    } else {
        int result = gwm_dtmf_tx_send(&port->tap->tx, id, (uint8_t)event, (uint8_t)volume,
                                      duration_ms, gap_ms);
        if (result == -1)
            code = gwm_fail(GWM_EFULL, "too many digits wait to be sent");
        else if (result == -2)
            code = gwm_fail(GWM_EEVENT, "the peer does not take telephone-event %d", event);
        else if (result)
            code = gwm_fail(GWM_EINVAL, "digit %d refused", event);
    }
    pthread_mutex_unlock(&port->tap->lock);
    gwm_port_release(port);
    return code;
}

int gwm_dtmf_relay(int source, int sink) {
    gwm_port *port = acquire_leg(source);
    if (!port)
        return GWM_ENOPORT;
    gwm_tap *tap = port->tap;
    pthread_mutex_lock(&tap->lock);
    int before = tap->relay_to;
    gwm_dtmf_rx_report end = tap->in_progress;
    tap->relay_to = sink;
    pthread_mutex_unlock(&tap->lock);
    if (before && before != sink && end.kind) {
        /* The old sink will hear no more of this event, and must not wait for its end. */
        end.kind = GWM_DTMF_RX_END;
        gwm_digits_relay(tap, before, &end, 1);
    }
    gwm_port_release(port);
    return 0;
}

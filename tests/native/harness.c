/* See harness.h. */
#include "harness.h"

typedef struct sink {
    gwt_report *out;
    int count, capacity;
} sink;

static void collect(sink *to, uint64_t at_us, const gwm_dtmf_rx_report *reports, int count) {
    for (int i = 0; i < count; i++) {
        if (to->count < to->capacity)
            to->out[to->count] = (gwt_report){.at_us = at_us, .report = reports[i]};
        to->count++;
    }
}

static void poll_until(gwm_dtmf_rx *rx, uint64_t *next_us, uint64_t until_us, uint64_t poll_us,
                       sink *to) {
    gwm_dtmf_rx_report reports[GWM_DTMF_RX_MAX_REPORTS];
    for (; *next_us < until_us; *next_us += poll_us)
        collect(to, *next_us, reports, gwm_dtmf_rx_poll(rx, *next_us, reports));
}

int gwt_receive(gwm_dtmf_rx *rx, const gwt_packet *packets, int count, uint64_t poll_us,
                uint64_t tail_us, gwt_report *out, int capacity) {
    gwm_dtmf_rx_report reports[GWM_DTMF_RX_MAX_REPORTS];
    sink to = {.out = out, .capacity = capacity};
    uint64_t next_us = count ? packets[0].at_us / poll_us * poll_us : 0, now_us = next_us;
    for (int i = 0; i < count; i++) {
        const gwt_packet *p = &packets[i];
        now_us = p->at_us;
        poll_until(rx, &next_us, now_us, poll_us, &to);
        collect(&to, now_us, reports,
                gwm_dtmf_rx_packet(rx, now_us, p->ssrc, p->timestamp, p->payload, p->len, reports));
    }
    poll_until(rx, &next_us, now_us + tail_us, poll_us, &to);
    return to.count;
}

void gwt_send(gwm_dtmf_tx *tx, const uint32_t *timestamps, int count, gwt_sent *out) {
    for (int i = 0; i < count; i++)
        out[i].action = gwm_dtmf_tx_slot(tx, timestamps[i], &out[i].packet);
}

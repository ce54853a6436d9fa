/* Loops around the RFC 4733 code that would be slow from Python, one packet at a time. */
#ifndef GWT_HARNESS_H
#define GWT_HARNESS_H

#include "dtmf_rx.h"
#include "dtmf_tx.h"

#define GWT_MAX_PAYLOAD 24

typedef struct gwt_packet {
    uint64_t at_us;
    uint32_t ssrc, timestamp;
    uint32_t len;
    uint8_t payload[GWT_MAX_PAYLOAD];
} gwt_packet;

typedef struct gwt_report {
    uint64_t at_us;
    gwm_dtmf_rx_report report;
} gwt_report;

typedef struct gwt_sent {
    gwm_dtmf_tx_action action;
    gwm_dtmf_tx_packet packet;
} gwt_sent;

/* Packets in order of arrival, with a poll at every multiple of poll_us between them and for
 * tail_us after them. Returns how many reports there were (at most capacity are written). */
int gwt_receive(gwm_dtmf_rx *rx, const gwt_packet *packets, int count, uint64_t poll_us,
                uint64_t tail_us, gwt_report *out, int capacity);

/* One slot for each timestamp. */
void gwt_send(gwm_dtmf_tx *tx, const uint32_t *timestamps, int count, gwt_sent *out);

#endif

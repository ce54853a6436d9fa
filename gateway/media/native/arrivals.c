/* Loss, order and jitter of one RTP stream as it arrives (RFC 3550 appendix A). Pure. */
#include "arrivals.h"

#include <stdlib.h>

void gwm_arrivals_sequence(gwm_arrivals *a, const gwm_rtp_header *h, gwm_stats *stats) {
    if (!a->started || h->ssrc != a->ssrc) {
        a->started = 1;
        a->ssrc = h->ssrc;
        stats->rx_lost = 0;
        a->max_sequence = h->sequence;
        a->cycles = 0;
        a->expected_base = h->sequence;
        a->seen = 1;
        a->transit = 0;
        return;
    }
    uint16_t step = (uint16_t)(h->sequence - a->max_sequence);
    if (step == 0) {
        stats->rx_duplicate++;
        return;
    }
    if (step < 0x8000) {
        if (h->sequence < a->max_sequence)
            a->cycles += 0x10000;
        a->max_sequence = h->sequence;
    } else {
        stats->rx_reordered++;
    }
    a->seen++;
    uint64_t expected = a->cycles + a->max_sequence - a->expected_base + 1;
    stats->rx_lost = expected > a->seen ? expected - a->seen : 0;
}

void gwm_arrivals_jitter(gwm_arrivals *a, uint32_t timestamp, uint64_t now_us) {
    uint32_t arrival = (uint32_t)(now_us * a->clock_rate / 1000000u);
    uint32_t transit = arrival - timestamp;
    if (a->transit) {
        int32_t d = (int32_t)(transit - a->transit);
        a->jitter += (abs(d) - a->jitter) / 16.0;
    }
    a->transit = transit ? transit : 1;
}

uint32_t gwm_arrivals_jitter_us(const gwm_arrivals *a) {
    return (uint32_t)(a->jitter * 1e6 / a->clock_rate);
}

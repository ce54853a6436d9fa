/* Loss, order and jitter of one RTP stream as it arrives (RFC 3550 appendix A). Pure. */
#ifndef GWM_ARRIVALS_H
#define GWM_ARRIVALS_H

#include "media.h"
#include "rtp.h"

typedef struct gwm_arrivals {
    uint32_t clock_rate; /* Hz of the audio's timestamps */
    int started;
    uint32_t ssrc, transit;
    uint16_t max_sequence;
    uint64_t expected_base, cycles, seen;
    double jitter; /* timestamp units */
} gwm_arrivals;

/* A.1 and A.3: extended sequence numbers and expected packets, into lost, duplicate, reordered. */
void gwm_arrivals_sequence(gwm_arrivals *arrivals, const gwm_rtp_header *header, gwm_stats *stats);
/* A.8, for audio packets alone: the updates of one event share a timestamp. */
void gwm_arrivals_jitter(gwm_arrivals *arrivals, uint32_t timestamp, uint64_t now_us);
uint32_t gwm_arrivals_jitter_us(const gwm_arrivals *arrivals);

#endif

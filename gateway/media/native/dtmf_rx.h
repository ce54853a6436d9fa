/* Receive side of RFC 4733 for one RTP stream: telephone-event packets in, digits out.
 *
 * Pure: no clock (time is an argument), no lock, no allocation, no PJMEDIA. The caller
 * serialises all calls for one `gwm_dtmf_rx`.
 */
#ifndef GWM_DTMF_RX_H
#define GWM_DTMF_RX_H

#include <stddef.h>
#include <stdint.h>

/* Several events may end or begin within one packet (RFC 4733 2.5.1.5). */
#define GWM_DTMF_RX_MAX_REPORTS 8

typedef enum gwm_dtmf_rx_kind {
    GWM_DTMF_RX_BEGIN = 1, /* first sight of an event; duration_ms is what is known so far */
    GWM_DTMF_RX_UPDATE,    /* the known duration has grown */
    GWM_DTMF_RX_END        /* final: by E bit, by time-out (R3), or by the next event */
} gwm_dtmf_rx_kind;

typedef struct gwm_dtmf_rx_report {
    gwm_dtmf_rx_kind kind;
    uint8_t event;        /* 0..16 (RFC 4733 3.2) */
    uint8_t volume;       /* -dBm0, 0..63 */
    uint32_t id;          /* the same for BEGIN, UPDATE and END of one digit; grows by 1 a digit */
    uint32_t duration_ms; /* rounded to nearest; all segments of a long event added up (R4) */
} gwm_dtmf_rx_report;

/* Events finished lately, so that late packets of them give nothing (R2). */
#define GWM_DTMF_RX_HISTORY 16

typedef struct gwm_dtmf_rx_finished {
    uint32_t ssrc, timestamp;
    uint32_t units;   /* longest duration seen of this segment, late packets included */
    uint64_t last_us; /* when its last packet arrived */
    uint8_t event, used;
    uint8_t timed_out; /* its end was never seen: a long event may still go on (R2, R4) */
    uint8_t again;     /* it seems to start again, see dtmf_rx.c */
    uint32_t again_units;
    uint64_t again_us;
} gwm_dtmf_rx_finished;

typedef struct gwm_dtmf_rx {
    uint32_t clock_rate; /* Hz of the telephone-event payload: 8000 or 48000 */
    uint32_t next_id;
    int active; /* 1 while an event is in progress */
    uint8_t event, volume;
    uint32_t id;
    uint32_t ssrc;
    uint32_t first_timestamp;   /* RTP timestamp of the first segment */
    uint32_t segment_timestamp; /* of the segment in progress */
    uint32_t segment_units;     /* longest duration seen in this segment */
    uint64_t finished_units;    /* duration of the earlier segments, timestamp units */
    uint64_t last_us;           /* when the last report of this event arrived */
    uint32_t interval_us;       /* update interval learnt from the packets, 20 ms at first */
    /* The growth of the last updates, by which the interval is learnt. */
    uint32_t last_step_us, equal_steps, shortest_step_us;
    /* Finished events, and the earlier segments of the one in progress. */
    gwm_dtmf_rx_finished history[GWM_DTMF_RX_HISTORY];
    unsigned history_next;
    /* When the newest event or segment began, in packet time and in arrival time: by these a
     * packet that was overtaken is told from a sender whose timestamps start again. */
    int have_newest;
    uint32_t newest_ssrc, newest_timestamp;
    uint64_t newest_us;
    uint64_t ignored; /* events in packets that gave nothing: late, malformed, unknown event; not
                       * the repeats of an event in progress */
} gwm_dtmf_rx;

void gwm_dtmf_rx_init(gwm_dtmf_rx *rx, uint32_t clock_rate);

/* One packet of the telephone-event payload type.
 *
 * now_us: monotonic microseconds. timestamp, ssrc: host order, from the RTP header.
 * payload/len: the RTP payload (without padding); 4 bytes an event, any length is safe.
 * The marker bit is not asked for: it is never needed (R1).
 * Returns the number of reports written to out[GWM_DTMF_RX_MAX_REPORTS].
 */
int gwm_dtmf_rx_packet(gwm_dtmf_rx *rx, uint64_t now_us, uint32_t ssrc, uint32_t timestamp,
                       const uint8_t *payload, size_t len, gwm_dtmf_rx_report *out);

/* Time passes without a packet: ends an event 3 update intervals after its last report (R3).
 * Give packets that have arrived first. Update intervals below 20 ms count as 20 ms, those above
 * 100 ms as 100 ms. Returns the number of reports (0 or 1). */
int gwm_dtmf_rx_poll(gwm_dtmf_rx *rx, uint64_t now_us, gwm_dtmf_rx_report *out);

/* The leg closes: ends what is in progress with what is known. */
int gwm_dtmf_rx_flush(gwm_dtmf_rx *rx, gwm_dtmf_rx_report *out);

#endif

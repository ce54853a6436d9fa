/* Send side of RFC 4733 for one RTP stream: which packet goes out in each packet slot.
 *
 * Pure: no clock, no lock, no allocation, no PJMEDIA. The audio stream is the clock: each audio
 * packet that is about to be sent is one slot, and while an event lasts the slot carries an event
 * packet in its stead (T2, T9). The caller serialises all calls for one `gwm_dtmf_tx` and gives
 * every packet its sequence number.
 */
#ifndef GWM_DTMF_TX_H
#define GWM_DTMF_TX_H

#include <stdint.h>

#define GWM_DTMF_TX_QUEUE 64
#define GWM_DTMF_MIN_GAP_MS 30 /* T10 */

typedef struct gwm_dtmf_tx_entry {
    uint32_t id;
    uint8_t event, volume;
    uint8_t open;         /* 1 while a relayed event has not ended at its source */
    uint32_t duration_ms; /* known so far (open) or final */
    uint32_t gap_ms;      /* silence owed after it, at least GWM_DTMF_MIN_GAP_MS */
} gwm_dtmf_tx_entry;

typedef struct gwm_dtmf_tx {
    uint32_t clock_rate; /* Hz of telephone-event on this leg (T8) */
    uint32_t slot_units; /* timestamp units of one packet slot, e.g. 160 or 960 */
    uint32_t allowed;    /* bit n set: the peer's fmtp lists event n (T7) */
    gwm_dtmf_tx_entry queue[GWM_DTMF_TX_QUEUE];
    unsigned head, count;
    int state;                /* enum private to dtmf_tx.c: idle, sending, repeating the end, gap */
    uint32_t start_timestamp; /* of the current segment */
    uint64_t elapsed_units;   /* since the event began, all segments */
    uint64_t segment_base;    /* units in finished segments */
    uint64_t sent_units;      /* longest duration put on the wire */
    unsigned end_sent;        /* final packets sent, 0..3 (T5) */
    uint64_t gap_left_units;  /* from the start of the last slot to the next event's earliest */
    int have_last;
    uint32_t last_timestamp;
} gwm_dtmf_tx;

typedef enum gwm_dtmf_tx_action {
    GWM_DTMF_TX_AUDIO = 0,  /* send the audio packet */
    GWM_DTMF_TX_EVENT = 1,  /* send packet instead of it */
    GWM_DTMF_TX_SILENCE = 2 /* send nothing in this slot */
} gwm_dtmf_tx_action;

typedef struct gwm_dtmf_tx_packet {
    uint32_t timestamp; /* RTP timestamp (T3) */
    int marker;         /* 1 on the first packet of the event only */
    uint8_t payload[4]; /* T1 */
    int finished;       /* 1 with the last final packet: event `id` is done */
    uint32_t id;
    uint32_t duration_ms; /* what was put on the wire, valid when finished */
} gwm_dtmf_tx_packet;

void gwm_dtmf_tx_init(gwm_dtmf_tx *tx, uint32_t clock_rate, uint32_t slot_units, uint32_t allowed);

/* A tone of known length. 0 = queued; -1 queue full; -2 event not allowed by the peer (T7);
 * -3 bad argument (event > 16, duration 0). */
int gwm_dtmf_tx_send(gwm_dtmf_tx *tx, uint32_t id, uint8_t event, uint8_t volume,
                     uint32_t duration_ms, uint32_t gap_ms);

/* A tone whose end is not known yet, relayed from another leg. Durations are milliseconds, so
 * clock rates never mix (T8). The wire never claims more than the source has reported.
 * begin returns as gwm_dtmf_tx_send, but takes a duration of 0: the event then waits at the head of
 * the queue until more is known. grow/end of an unknown id do nothing and return -1. end with less
 * than was known, as 0, ends with what was known. Every begin needs its end: until then the event
 * stays on the wire in place of the audio. */
int gwm_dtmf_tx_relay_begin(gwm_dtmf_tx *tx, uint32_t id, uint8_t event, uint8_t volume,
                            uint32_t duration_ms);
int gwm_dtmf_tx_relay_grow(gwm_dtmf_tx *tx, uint32_t id, uint32_t duration_ms);
int gwm_dtmf_tx_relay_end(gwm_dtmf_tx *tx, uint32_t id, uint32_t duration_ms);

/* The slot of the audio packet with this RTP timestamp. A timestamp up to 32 slots ahead of the
 * last is time that passed; any other jump is a stream that started again and counts as one slot.
 */
gwm_dtmf_tx_action gwm_dtmf_tx_slot(gwm_dtmf_tx *tx, uint32_t timestamp,
                                    gwm_dtmf_tx_packet *packet);

/* 1 while anything is being sent or waits to be sent (a gap after the last event is neither). */
int gwm_dtmf_tx_busy(const gwm_dtmf_tx *tx);

#endif

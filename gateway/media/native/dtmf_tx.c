/* RFC 4733 send side: one event packet per packet slot. The rules are cited as T1-T10 of dtmf.md
 * and by RFC 4733 section. */
#include "dtmf_tx.h"

#include <string.h>

#define END_REPEATS 3         /* RFC 4733 2.5.1.4 */
#define SEGMENT_UNITS 0xFFFFu /* RFC 4733 2.5.1.3 */
#define MAX_EVENT 16          /* RFC 4733 3.2 */
#define MAX_VOLUME 63
/* A timestamp step of up to this many slots is time that really passed (slots went missing);
 * anything else is a stream that started again, and counts as one slot. */
#define MAX_MISSING_SLOTS 32

enum { IDLE = 0, SENDING, ENDING, GAP };

void gwm_dtmf_tx_init(gwm_dtmf_tx *tx, uint32_t clock_rate, uint32_t slot_units, uint32_t allowed) {
    memset(tx, 0, sizeof *tx);
    tx->clock_rate = clock_rate ? clock_rate : 8000;
    tx->slot_units = slot_units ? slot_units : tx->clock_rate / 50;
    tx->allowed = allowed;
    tx->state = IDLE;
}

static uint64_t units_of(const gwm_dtmf_tx *tx, uint32_t ms) {
    return ((uint64_t)ms * tx->clock_rate + 500) / 1000;
}

static gwm_dtmf_tx_entry *head_entry(gwm_dtmf_tx *tx) { return &tx->queue[tx->head]; }

static void pop_head(gwm_dtmf_tx *tx) {
    tx->head = (tx->head + 1) % GWM_DTMF_TX_QUEUE;
    tx->count--;
}

static int push(gwm_dtmf_tx *tx, const gwm_dtmf_tx_entry *entry) {
    if (entry->event > MAX_EVENT)
        return -3;
    if (!(tx->allowed >> entry->event & 1)) /* T7 */
        return -2;
    if (tx->count == GWM_DTMF_TX_QUEUE)
        return -1;
    gwm_dtmf_tx_entry *slot = &tx->queue[(tx->head + tx->count++) % GWM_DTMF_TX_QUEUE];
    *slot = *entry;
    if (slot->volume > MAX_VOLUME)
        slot->volume = MAX_VOLUME;
    if (slot->gap_ms < GWM_DTMF_MIN_GAP_MS)
        slot->gap_ms = GWM_DTMF_MIN_GAP_MS;
    return 0;
}

int gwm_dtmf_tx_send(gwm_dtmf_tx *tx, uint32_t id, uint8_t event, uint8_t volume,
                     uint32_t duration_ms, uint32_t gap_ms) {
    if (duration_ms == 0)
        return -3;
    return push(tx, &(gwm_dtmf_tx_entry){.id = id,
                                         .event = event,
                                         .volume = volume,
                                         .duration_ms = duration_ms,
                                         .gap_ms = gap_ms});
}

int gwm_dtmf_tx_relay_begin(gwm_dtmf_tx *tx, uint32_t id, uint8_t event, uint8_t volume,
                            uint32_t duration_ms) {
    return push(
        tx, &(gwm_dtmf_tx_entry){
                .id = id, .event = event, .volume = volume, .open = 1, .duration_ms = duration_ms});
}

/* The entry of a relayed event that has not ended at its source. The newest one wins, should an
 * id come back. */
static gwm_dtmf_tx_entry *find_open(gwm_dtmf_tx *tx, uint32_t id) {
    for (unsigned i = tx->count; i-- > 0;) {
        gwm_dtmf_tx_entry *entry = &tx->queue[(tx->head + i) % GWM_DTMF_TX_QUEUE];
        if (entry->open && entry->id == id)
            return entry;
    }
    return NULL;
}

int gwm_dtmf_tx_relay_grow(gwm_dtmf_tx *tx, uint32_t id, uint32_t duration_ms) {
    gwm_dtmf_tx_entry *entry = find_open(tx, id);
    if (!entry)
        return -1;
    if (duration_ms > entry->duration_ms)
        entry->duration_ms = duration_ms;
    return 0;
}

int gwm_dtmf_tx_relay_end(gwm_dtmf_tx *tx, uint32_t id, uint32_t duration_ms) {
    gwm_dtmf_tx_entry *entry = find_open(tx, id);
    if (!entry)
        return -1;
    if (duration_ms > entry->duration_ms)
        entry->duration_ms = duration_ms;
    entry->open = 0;
    return 0;
}

/* What this event may claim at most by now: all that its source has reported. Never zero (T4). */
static uint64_t known_units(const gwm_dtmf_tx *tx, const gwm_dtmf_tx_entry *entry) {
    const uint64_t known = units_of(tx, entry->duration_ms);
    if (known == 0 && !entry->open)
        return tx->slot_units; /* a source that only ever said 0 still pressed a key */
    return known;
}

/* Timestamp units that passed since the last slot. */
static uint32_t advance(gwm_dtmf_tx *tx, uint32_t timestamp) {
    uint32_t step = timestamp - tx->last_timestamp;
    if (!tx->have_last || step == 0 || step / tx->slot_units > MAX_MISSING_SLOTS)
        step = tx->slot_units;
    tx->have_last = 1;
    tx->last_timestamp = timestamp;
    return step;
}

static void write_payload(gwm_dtmf_tx_packet *packet, const gwm_dtmf_tx_entry *entry, int end,
                          uint32_t units) {
    packet->payload[0] = entry->event;
    packet->payload[1] = (uint8_t)((end ? 0x80 : 0) | entry->volume); /* R bit 0 (T1) */
    packet->payload[2] = (uint8_t)(units >> 8);
    packet->payload[3] = (uint8_t)units;
}

/* One of the final packets; the third ends the event and starts what is left of its gap. */
static void send_final(gwm_dtmf_tx *tx, gwm_dtmf_tx_packet *packet) {
    const gwm_dtmf_tx_entry *entry = head_entry(tx);
    write_payload(packet, entry, 1, (uint32_t)(tx->sent_units - tx->segment_base));
    packet->timestamp = tx->start_timestamp;
    tx->state = ENDING;
    if (++tx->end_sent < END_REPEATS)
        return;
    packet->finished = 1;
    packet->id = entry->id;
    packet->duration_ms = (uint32_t)((tx->sent_units * 1000 + tx->clock_rate / 2) / tx->clock_rate);
    /* Counted from the event's start: this slot begins slot_units before elapsed_units. */
    const uint64_t slot_start = tx->elapsed_units - tx->slot_units;
    const uint64_t next_start = tx->sent_units + units_of(tx, entry->gap_ms);
    tx->gap_left_units = next_start > slot_start ? next_start - slot_start : 0;
    tx->state = GAP;
    pop_head(tx);
}

/* An update, the end of a segment (T6), or the first final packet. */
static void send_progress(gwm_dtmf_tx *tx, gwm_dtmf_tx_packet *packet) {
    const gwm_dtmf_tx_entry *entry = head_entry(tx);
    const uint64_t known = known_units(tx, entry);
    const int ends = !entry->open && tx->elapsed_units >= known;
    /* Neither ever shrinks, so what is on the wire is never taken back. */
    const uint64_t total = known < tx->elapsed_units ? known : tx->elapsed_units;

    while (total - tx->segment_base > SEGMENT_UNITS) {
        const uint64_t boundary = tx->segment_base + SEGMENT_UNITS;
        if (tx->sent_units < boundary) {
            tx->sent_units = boundary;
            packet->timestamp = tx->start_timestamp;
            write_payload(packet, entry, 0, SEGMENT_UNITS);
            return;
        }
        tx->segment_base = boundary;
        tx->start_timestamp += SEGMENT_UNITS;
    }
    tx->sent_units = total;
    if (ends) {
        send_final(tx, packet);
        return;
    }
    packet->timestamp = tx->start_timestamp;
    write_payload(packet, entry, 0, (uint32_t)(total - tx->segment_base));
}

static void start_event(gwm_dtmf_tx *tx, uint32_t timestamp) {
    tx->state = SENDING;
    tx->start_timestamp = timestamp;
    tx->elapsed_units = tx->slot_units;
    tx->segment_base = tx->sent_units = 0;
    tx->end_sent = 0;
    tx->gap_left_units = 0;
}

gwm_dtmf_tx_action gwm_dtmf_tx_slot(gwm_dtmf_tx *tx, uint32_t timestamp,
                                    gwm_dtmf_tx_packet *packet) {
    memset(packet, 0, sizeof *packet);
    const uint32_t step = advance(tx, timestamp);

    if (tx->state == GAP) {
        if (tx->gap_left_units <= step)
            tx->state = IDLE;
        else
            tx->gap_left_units -= step;
    }
    if (tx->state == IDLE) {
        /* Nothing can be said yet of an event whose source has reported no duration. */
        if (tx->count == 0 || known_units(tx, head_entry(tx)) == 0)
            return GWM_DTMF_TX_AUDIO;
        start_event(tx, timestamp);
        packet->marker = 1;
        send_progress(tx, packet);
        return GWM_DTMF_TX_EVENT;
    }
    if (tx->state == GAP)
        return GWM_DTMF_TX_AUDIO;

    tx->elapsed_units += step;
    if (tx->state == ENDING)
        send_final(tx, packet);
    else
        send_progress(tx, packet);
    return GWM_DTMF_TX_EVENT;
}

int gwm_dtmf_tx_busy(const gwm_dtmf_tx *tx) { return tx->count > 0; }

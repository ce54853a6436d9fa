/* Fuzz target: RFC 4733 in both directions. The input is a script of packets, time, tones and
 * slots; what the receiver reports is also relayed to the sender. */
#include "dtmf_rx.h"
#include "dtmf_tx.h"
#include "fuzz.h"

#include <string.h>

#define SEGMENT 0xFFFFu

uint64_t gwt_packets;

typedef struct script {
    gwm_dtmf_rx rx;
    gwm_dtmf_tx tx;
    uint64_t now_us;
    uint32_t source_timestamp; /* of the event that the script is sending to rx */
    uint32_t audio_timestamp;
    uint32_t clock_rate, slot_units;
    int clock_jumped; /* gaps mean nothing across a restart */
    /* what rx has said */
    int active;
    uint32_t id, duration_ms;
    /* what tx has sent */
    int on_wire;
    gwm_dtmf_tx_packet last;
    uint32_t onset, total, final_packets;
    uint64_t wire_end; /* units since the start of the event before which nothing may begin */
} script;

static void judge_reports(script *s, const gwm_dtmf_rx_report *reports, int count) {
    CHECK(count >= 0 && count <= GWM_DTMF_RX_MAX_REPORTS);
    for (int i = 0; i < count; i++) {
        const gwm_dtmf_rx_report *r = &reports[i];
        CHECK(r->event <= 16 && r->volume <= 63);
        if (r->kind == GWM_DTMF_RX_BEGIN) {
            CHECK(!s->active && r->id == s->id + 1);
            s->active = 1;
            s->id = r->id;
            gwm_dtmf_tx_relay_begin(&s->tx, r->id, r->event, r->volume, r->duration_ms);
        } else {
            CHECK(s->active && r->id == s->id && r->duration_ms >= s->duration_ms);
            if (r->kind == GWM_DTMF_RX_UPDATE) {
                gwm_dtmf_tx_relay_grow(&s->tx, r->id, r->duration_ms);
            } else {
                CHECK(r->kind == GWM_DTMF_RX_END);
                gwm_dtmf_tx_relay_end(&s->tx, r->id, r->duration_ms);
                s->active = 0;
            }
        }
        s->duration_ms = r->duration_ms;
    }
}

static void receive(script *s, uint32_t ssrc, uint32_t timestamp, const uint8_t *payload,
                    size_t len) {
    gwm_dtmf_rx_report reports[GWM_DTMF_RX_MAX_REPORTS];
    uint8_t *exact = malloc(len ? len : 1); /* reading past the payload is seen */
    CHECK(exact);
    memcpy(exact, payload, len);
    gwt_packets++;
    judge_reports(s, reports,
                  gwm_dtmf_rx_packet(&s->rx, s->now_us, ssrc, timestamp, exact, len, reports));
    free(exact);
}

/* A packet such as senders send: the event in progress, its next segment, or a new one. */
static void plausible_packet(script *s, input *in) {
    const uint8_t what = take_u8(in), flags = take_u8(in);
    static const uint32_t steps[] = {0, 0, 0, 0, 560, 3200, SEGMENT, 66240};
    s->source_timestamp += steps[what & 7];
    const uint32_t units = (uint32_t)(what >> 3) * s->slot_units;
    const uint32_t late = flags & 0x20 ? 560 : 0;
    const uint8_t payload[4] = {flags & 3, (uint8_t)((flags & 0x40) << 1), (uint8_t)(units >> 8),
                                (uint8_t)units};
    receive(s, 7u + (flags >> 7), s->source_timestamp - late, payload, sizeof payload);
}

static void raw_packet(script *s, input *in) {
    const uint32_t timestamp = take_u32(in);
    uint8_t payload[64];
    const size_t len = take_u8(in) % sizeof payload;
    for (size_t i = 0; i < len; i++)
        payload[i] = take_u8(in);
    receive(s, timestamp & 1, timestamp, payload, len);
}

static void judge_new_event(script *s, const gwm_dtmf_tx_packet *p, uint32_t slot_timestamp) {
    CHECK(!s->on_wire && p->timestamp == slot_timestamp);
    if (s->final_packets && !s->clock_jumped) /* T10 */
        CHECK((uint64_t)(p->timestamp - s->onset) >= s->wire_end);
    s->on_wire = 1;
    s->clock_jumped = 0;
    s->onset = p->timestamp;
    s->total = s->final_packets = 0;
}

static void judge_packet(script *s, const gwm_dtmf_tx_packet *p, uint32_t slot_timestamp) {
    const uint32_t units = (uint32_t)(p->payload[2] << 8 | p->payload[3]);
    const int end = p->payload[1] >> 7;
    CHECK(units > 0 && !(p->payload[1] & 0x40) && p->payload[0] <= 16);
    CHECK(s->tx.allowed >> p->payload[0] & 1);
    if (p->marker) {
        judge_new_event(s, p, slot_timestamp);
    } else {
        CHECK(s->on_wire && p->payload[0] == s->last.payload[0]);
        if (p->timestamp != s->last.timestamp) /* T6 */
            CHECK(p->timestamp - s->last.timestamp == SEGMENT && !s->final_packets &&
                  s->last.payload[2] == 0xFF && s->last.payload[3] == 0xFF);
    }
    const uint32_t total = p->timestamp - s->onset + units;
    CHECK(total >= s->total);
    CHECK(!s->final_packets || (end && total == s->total)); /* T5 */
    s->total = total;
    s->final_packets += (uint32_t)end;
    s->last = *p;
    CHECK(p->finished == (s->final_packets == 3));
    if (p->finished) {
        s->on_wire = 0;
        s->wire_end = (uint64_t)total + s->clock_rate * 30 / 1000;
        CHECK(p->duration_ms == ((uint64_t)total * 1000 + s->clock_rate / 2) / s->clock_rate);
    }
}

static void slots(script *s, unsigned count) {
    gwm_dtmf_tx_packet packet;
    while (count-- > 0) {
        const gwm_dtmf_tx_action action = gwm_dtmf_tx_slot(&s->tx, s->audio_timestamp, &packet);
        gwt_packets++;
        CHECK(action == GWM_DTMF_TX_AUDIO || action == GWM_DTMF_TX_EVENT);
        if (action == GWM_DTMF_TX_EVENT)
            judge_packet(s, &packet, s->audio_timestamp);
        else
            CHECK(!s->on_wire); /* T9 */
        s->audio_timestamp += s->slot_units;
    }
}

static void step(script *s, input *in) {
    gwm_dtmf_rx_report reports[GWM_DTMF_RX_MAX_REPORTS];
    const uint8_t op = take_u8(in);
    switch (op & 15) {
    case 0:
        raw_packet(s, in);
        break;
    case 1:
        s->now_us += (uint64_t)take_u8(in) * 5000;
        judge_reports(s, reports, gwm_dtmf_rx_poll(&s->rx, s->now_us, reports));
        break;
    case 2:
        gwm_dtmf_tx_send(&s->tx, 0x10000, take_u8(in) % 20, take_u8(in), take_u8(in) * 13u,
                         take_u8(in));
        break;
    case 3:
        gwm_dtmf_tx_relay_end(&s->tx, take_u8(in), take_u32(in));
        break;
    case 4:
        judge_reports(s, reports, gwm_dtmf_rx_flush(&s->rx, reports));
        break;
    case 5: /* the clock of the audio stream jumps, or slots went missing */
        s->clock_jumped = 1;
        s->audio_timestamp += op & 16 ? take_u32(in) : (uint32_t)take_u8(in) * s->slot_units;
        break;
    case 6:
    case 7:
    case 8:
        slots(s, op >> 4);
        break;
    default:
        s->now_us += (uint64_t)(op >> 4) * 2500;
        plausible_packet(s, in);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    input in = {.data = data, .len = len};
    script s = {0};
    const uint8_t setup = take_u8(&in);
    s.clock_rate = setup & 1 ? 48000 : 8000;
    s.slot_units = s.clock_rate / 50;
    s.audio_timestamp = s.source_timestamp = setup & 2 ? 0xFFFFFF00u : 0;
    s.now_us = 1000000;
    gwm_dtmf_rx_init(&s.rx, s.clock_rate);
    gwm_dtmf_tx_init(&s.tx, s.clock_rate, s.slot_units, setup & 4 ? 0x1FFFF : 0x0AFFF);
    while (in.at < in.len)
        step(&s, &in);
    gwm_dtmf_rx_report reports[GWM_DTMF_RX_MAX_REPORTS];
    judge_reports(&s, reports, gwm_dtmf_rx_flush(&s.rx, reports));
    CHECK(!s.active);
    return 0;
}

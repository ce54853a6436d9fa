/* RFC 4733 receive side: which digit a telephone-event packet belongs to. The rules are cited as
 * R1-R6 of dtmf.md and by RFC 4733 section.
 *
 * A packet is looked at in this order:
 *   1. the segment in progress grows, or ends by its E bit;
 *   2. a finished event or segment is known by (SSRC, timestamp, event): nothing (R2);
 *   3. the next segment of the event in progress (R4), or of one that timed out;
 *   4. an unknown event that was overtaken by a newer one: nothing (order is kept);
 *   5. a new event: the one in progress ends first.
 */
#include "dtmf_rx.h"

#include <string.h>

#define EVENT_LEN 4
#define MAX_EVENT 16          /* RFC 4733 3.2 */
#define SEGMENT_UNITS 0xFFFFu /* RFC 4733 2.5.1.3 */
#define FIRST_INTERVAL_US 20000
#define MIN_INTERVAL_US 20000
#define MAX_INTERVAL_US 100000
#define SHORTEST_STEP_US 10000 /* less is the odd start of a segment, not an update interval */
#define STEPS_TO_BELIEVE 4
#define TIMEOUT_INTERVALS 3 /* R3 */
/* Chromium starts the next segment at its next update after the one that passed 0xFFFF, not at
 * 0xFFFF: up to an interval later. */
#define SEGMENT_SLACK_INTERVALS 2
/* The last updates of a segment may be lost; an event that stood earlier than this is another. The
 * caller may hold the time-out back for 10 intervals while the whole stream stands still. */
#define SEGMENT_TAIL_INTERVALS 12
/* A packet that comes this late was not overtaken: the sender's timestamps have started again. */
#define OVERTAKEN_US 200000
/* Silence after which a sender may use the same timestamp for another event, as players of a
 * recorded digit do. */
#define AGAIN_US 500000
/* Reports that one event of a packet can give: END of the old, BEGIN and END of the new. */
#define REPORTS_PER_EVENT 3

typedef struct one_event {
    uint64_t now_us;
    uint32_t ssrc, timestamp, units;
    uint8_t event, volume, end;
} one_event;

typedef struct report_list {
    gwm_dtmf_rx_report *out;
    int count;
} report_list;

void gwm_dtmf_rx_init(gwm_dtmf_rx *rx, uint32_t clock_rate) {
    memset(rx, 0, sizeof *rx);
    rx->clock_rate = clock_rate ? clock_rate : 8000;
    rx->next_id = 1;
    rx->interval_us = FIRST_INTERVAL_US;
}

static uint64_t us_of(const gwm_dtmf_rx *rx, uint32_t units) {
    return (uint64_t)units * 1000000 / rx->clock_rate;
}

static uint32_t interval_units(const gwm_dtmf_rx *rx, unsigned intervals) {
    return (uint32_t)((uint64_t)rx->interval_us * intervals * rx->clock_rate / 1000000);
}

static uint64_t since(uint64_t now_us, uint64_t then_us) {
    return now_us > then_us ? now_us - then_us : 0;
}

static void report(gwm_dtmf_rx *rx, report_list *list, gwm_dtmf_rx_kind kind) {
    const uint64_t units = rx->finished_units + rx->segment_units;
    list->out[list->count++] = (gwm_dtmf_rx_report){
        .kind = kind,
        .event = rx->event,
        .volume = rx->volume,
        .id = rx->id,
        .duration_ms = (uint32_t)((units * 1000 + rx->clock_rate / 2) / rx->clock_rate),
    };
}

static void remember(gwm_dtmf_rx *rx, gwm_dtmf_rx_finished entry) {
    entry.used = 1;
    rx->history[rx->history_next] = entry;
    rx->history_next = (rx->history_next + 1) % GWM_DTMF_RX_HISTORY;
}

static void remember_segment(gwm_dtmf_rx *rx, int timed_out) {
    remember(rx, (gwm_dtmf_rx_finished){.ssrc = rx->ssrc,
                                        .timestamp = rx->segment_timestamp,
                                        .units = rx->segment_units,
                                        .last_us = rx->last_us,
                                        .event = rx->event,
                                        .timed_out = timed_out ? 1 : 0});
}

static void end_active(gwm_dtmf_rx *rx, report_list *list, int timed_out) {
    report(rx, list, GWM_DTMF_RX_END);
    remember_segment(rx, timed_out);
    rx->active = 0;
}

static void note_newest(gwm_dtmf_rx *rx, const one_event *in) {
    rx->have_newest = 1;
    rx->newest_ssrc = in->ssrc;
    rx->newest_timestamp = in->timestamp;
    rx->newest_us = since(in->now_us, us_of(rx, in->units));
}

/* The update interval of a sender is the smallest growth between two updates: lost packets only
 * make it look longer. So a longer one than the usual must show four times in a row before it is
 * believed (50 ms is a common one), and a shorter one is believed at once and for good.
 * What a final packet adds says nothing. */
static void learn_interval(gwm_dtmf_rx *rx, uint32_t grown_units) {
    const uint64_t grown_us = us_of(rx, grown_units);
    if (grown_us > MAX_INTERVAL_US)
        rx->equal_steps = 0;
    if (grown_us < SHORTEST_STEP_US || grown_us > MAX_INTERVAL_US)
        return;
    const uint32_t step_us = grown_us < MIN_INTERVAL_US ? MIN_INTERVAL_US : (uint32_t)grown_us;
    rx->equal_steps = step_us == rx->last_step_us ? rx->equal_steps + 1 : 1;
    rx->last_step_us = step_us;
    if (step_us < rx->interval_us)
        rx->interval_us = step_us;
    if (rx->shortest_step_us == 0 || step_us < rx->shortest_step_us)
        rx->shortest_step_us = step_us;
    if (rx->equal_steps >= STEPS_TO_BELIEVE && step_us == rx->shortest_step_us)
        rx->interval_us = step_us;
}

static void grow_segment(gwm_dtmf_rx *rx, const one_event *in, report_list *list) {
    rx->last_us = in->now_us;
    rx->volume = in->volume;
    if (in->units > rx->segment_units) {
        if (!in->end)
            learn_interval(rx, in->units - rx->segment_units);
        rx->segment_units = in->units;
        if (!in->end)
            report(rx, list, GWM_DTMF_RX_UPDATE);
    }
    if (in->end)
        end_active(rx, list, 0);
}

static gwm_dtmf_rx_finished *find_finished(gwm_dtmf_rx *rx, const one_event *in) {
    for (unsigned i = 0; i < GWM_DTMF_RX_HISTORY; i++) {
        gwm_dtmf_rx_finished *entry = &rx->history[i];
        if (entry->used && entry->ssrc == in->ssrc && entry->timestamp == in->timestamp &&
            entry->event == in->event)
            return entry;
    }
    return NULL;
}

/* Whether a packet of a finished event is the second of the same event sent anew. Late packets
 * come within the network's delay, or go on where the event stood; only a player that repeats its
 * recording is silent first and then grows from the start again. One packet proves nothing. */
static int begins_again(gwm_dtmf_rx *rx, gwm_dtmf_rx_finished *entry, const one_event *in) {
    const uint64_t in_time_us = (uint64_t)TIMEOUT_INTERVALS * rx->interval_us;
    if (entry->again && since(in->now_us, entry->again_us) <= in_time_us) {
        if (in->units > entry->again_units)
            return 1;
        entry->again_us = in->now_us;
        return 0;
    }
    if (!in->end && in->units < entry->units && since(in->now_us, entry->last_us) >= AGAIN_US) {
        entry->again = 1;
        entry->again_units = in->units;
        entry->again_us = in->now_us;
        return 0;
    }
    entry->again = 0;
    entry->last_us = in->now_us;
    if (in->units > entry->units) {
        if (entry->timed_out && !in->end) /* perhaps because the sender is slower than thought */
            learn_interval(rx, in->units - entry->units);
        entry->units = in->units;
    }
    if (in->end)
        entry->timed_out = 0;
    return 0;
}

/* Whether a segment that stood at `units` is followed by the one that starts at in->timestamp
 * (RFC 4733 2.5.1.3; the tail of the segment may be lost). */
static int follows(const gwm_dtmf_rx *rx, const one_event *in, uint32_t timestamp, uint32_t units) {
    const uint32_t distance = in->timestamp - timestamp;
    return distance >= SEGMENT_UNITS &&
           distance <= SEGMENT_UNITS + interval_units(rx, SEGMENT_SLACK_INTERVALS) &&
           (uint64_t)units + interval_units(rx, SEGMENT_TAIL_INTERVALS) >= SEGMENT_UNITS;
}

static int continues_active(const gwm_dtmf_rx *rx, const one_event *in) {
    return rx->active && rx->ssrc == in->ssrc && rx->event == in->event &&
           follows(rx, in, rx->segment_timestamp, rx->segment_units);
}

static void next_segment(gwm_dtmf_rx *rx, const one_event *in, report_list *list) {
    remember_segment(rx, 0);
    rx->finished_units += SEGMENT_UNITS;
    rx->segment_timestamp = in->timestamp;
    rx->segment_units = in->units;
    rx->last_us = in->now_us;
    rx->volume = in->volume;
    note_newest(rx, in);
    if (in->end)
        end_active(rx, list, 0);
    else
        report(rx, list, GWM_DTMF_RX_UPDATE);
}

/* A long event that timed out but goes on stays one digit through its further segments, however
 * late they come. */
static int continues_timed_out(gwm_dtmf_rx *rx, const one_event *in) {
    for (unsigned i = 0; i < GWM_DTMF_RX_HISTORY; i++) {
        const gwm_dtmf_rx_finished *entry = &rx->history[i];
        if (!entry->used || !entry->timed_out || entry->ssrc != in->ssrc ||
            entry->event != in->event || !follows(rx, in, entry->timestamp, entry->units))
            continue;
        remember(rx, (gwm_dtmf_rx_finished){.ssrc = in->ssrc,
                                            .timestamp = in->timestamp,
                                            .units = in->units,
                                            .last_us = in->now_us,
                                            .event = in->event,
                                            .timed_out = !in->end});
        note_newest(rx, in);
        return 1;
    }
    return 0;
}

/* An event older than the newest one, by a packet that the network has delayed. */
static int was_overtaken(const gwm_dtmf_rx *rx, const one_event *in) {
    if (!rx->have_newest || rx->newest_ssrc != in->ssrc)
        return 0;
    const uint32_t older = rx->newest_timestamp - in->timestamp;
    if (older == 0 || older > INT32_MAX)
        return 0;
    /* The packet left `units` after its event began. */
    const int64_t sent_us =
        (int64_t)rx->newest_us - (int64_t)us_of(rx, older) + (int64_t)us_of(rx, in->units);
    return (int64_t)in->now_us - sent_us < OVERTAKEN_US;
}

static void begin(gwm_dtmf_rx *rx, const one_event *in, report_list *list) {
    if (rx->active)
        end_active(rx, list, 0);
    if (rx->ssrc != in->ssrc) {
        rx->interval_us = FIRST_INTERVAL_US;
        rx->last_step_us = rx->shortest_step_us = rx->equal_steps = 0;
        rx->ssrc = in->ssrc;
    }
    rx->active = 1;
    rx->id = rx->next_id++;
    rx->event = in->event;
    rx->volume = in->volume;
    rx->first_timestamp = rx->segment_timestamp = in->timestamp;
    rx->segment_units = in->units;
    rx->finished_units = 0;
    rx->last_us = in->now_us;
    note_newest(rx, in);
    report(rx, list, GWM_DTMF_RX_BEGIN);
    if (in->end)
        end_active(rx, list, 0);
}

static void take(gwm_dtmf_rx *rx, const one_event *in, report_list *list) {
    if (rx->active && rx->ssrc == in->ssrc && rx->segment_timestamp == in->timestamp &&
        rx->event == in->event) {
        grow_segment(rx, in, list);
        return;
    }
    gwm_dtmf_rx_finished *finished = find_finished(rx, in);
    if (finished) {
        if (!begins_again(rx, finished, in)) {
            rx->ignored++;
            return;
        }
        finished->used = 0;
    } else if (continues_active(rx, in)) {
        next_segment(rx, in, list);
        return;
    } else if (continues_timed_out(rx, in) || was_overtaken(rx, in)) {
        rx->ignored++;
        return;
    }
    begin(rx, in, list);
}

int gwm_dtmf_rx_packet(gwm_dtmf_rx *rx, uint64_t now_us, uint32_t ssrc, uint32_t timestamp,
                       const uint8_t *payload, size_t len, gwm_dtmf_rx_report *out) {
    report_list list = {.out = out};
    if (len == 0 || len % EVENT_LEN != 0) {
        rx->ignored++;
        return 0;
    }
    for (size_t at = 0; at < len; at += EVENT_LEN) {
        const one_event in = {
            .now_us = now_us,
            .ssrc = ssrc,
            .timestamp = timestamp,
            .units = (uint32_t)(payload[at + 2] << 8 | payload[at + 3]),
            .event = payload[at],
            .volume = payload[at + 1] & 0x3F, /* the R bit is ignored (R5) */
            .end = payload[at + 1] >> 7,
        };
        /* Packed events follow each other without a pause (RFC 4733 2.5.1.5, 2.5.2.4). */
        timestamp += in.units;
        if (in.event > MAX_EVENT || list.count + REPORTS_PER_EVENT > GWM_DTMF_RX_MAX_REPORTS) {
            rx->ignored++;
            continue;
        }
        take(rx, &in, &list);
    }
    return list.count;
}

int gwm_dtmf_rx_poll(gwm_dtmf_rx *rx, uint64_t now_us, gwm_dtmf_rx_report *out) {
    report_list list = {.out = out};
    if (rx->active && since(now_us, rx->last_us) >= (uint64_t)TIMEOUT_INTERVALS * rx->interval_us)
        end_active(rx, &list, 1);
    return list.count;
}

int gwm_dtmf_rx_flush(gwm_dtmf_rx *rx, gwm_dtmf_rx_report *out) {
    report_list list = {.out = out};
    if (rx->active)
        end_active(rx, &list, 0);
    return list.count;
}

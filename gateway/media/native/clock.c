/* The bridge's clock: one thread that runs PJMEDIA's conference bridge every 20 ms, and knows how
 * late it was. */
#include <errno.h>
#include <string.h>
#include <time.h>

#include "direct.h"

#define TICK_NS (GWM_FRAME_MS * 1000000LL)
#define LATE_NS 5000000LL
#define GIVE_UP_NS 200000000LL

static pthread_t thread;
static atomic_int run;
static atomic_uint_fast64_t ticks, late_ticks, skipped_ticks, late_sum_us, late_count;
static atomic_uint max_late_us;
static pjmedia_port *master;
static pj_int16_t *buffer;
static unsigned samples;

static int64_t now_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return t.tv_sec * 1000000000LL + t.tv_nsec;
}

static void note_lateness(int64_t late_ns) {
    unsigned us = late_ns > 0 ? (unsigned)(late_ns / 1000) : 0;
    atomic_fetch_add(&late_sum_us, us);
    atomic_fetch_add(&late_count, 1);
    if (late_ns > LATE_NS)
        atomic_fetch_add(&late_ticks, 1);
    unsigned seen = atomic_load(&max_late_us);
    while (us > seen && !atomic_compare_exchange_weak(&max_late_us, &seen, us)) {
    }
}

static void *clock_main(void *unused) {
    PJ_UNUSED_ARG(unused);
    gwm_enter_media_thread("gw-clock");
    int64_t due = now_ns() + TICK_NS;
    pjmedia_frame frame;
    pj_bzero(&frame, sizeof frame);
    while (atomic_load(&run)) {
        struct timespec until = {due / 1000000000LL, due % 1000000000LL};
        while (clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL) == EINTR) {
        }
        int64_t late = now_ns() - due, missed = 0;
        note_lateness(late);
        if (late > GIVE_UP_NS) {
            /* Bursting hundreds of frames would only overflow the far ends' jitter buffers. */
            missed = late / TICK_NS;
            atomic_fetch_add(&skipped_ticks, missed);
            frame.timestamp.u64 += (uint64_t)missed * samples;
            due += missed * TICK_NS;
        }
        frame.type = PJMEDIA_FRAME_TYPE_AUDIO;
        frame.buf = buffer;
        frame.size = samples * 2;
        pjmedia_port_get_frame(master, &frame);
        gwm_recorder_tick((uint64_t)missed);
        gwm_table_review(gwm_now_us());
        gwm_direct_tick(gwm_now_us());
        frame.timestamp.u64 += samples;
        atomic_fetch_add(&ticks, 1);
        due += TICK_NS;
    }
    return NULL;
}

int gwm_clock_start(pjmedia_port *bridge_master, unsigned rate) {
    master = bridge_master;
    samples = rate * GWM_FRAME_MS / 1000;
    buffer = calloc(samples, sizeof *buffer);
    if (!buffer)
        return gwm_fail(GWM_ESYSTEM, "no memory for the clock");
    atomic_store(&run, 1);
    int error = pthread_create(&thread, NULL, clock_main, NULL);
    if (error)
        return gwm_fail(GWM_ESYSTEM, "clock thread: %s", strerror(error));
    return 0;
}

void gwm_clock_stop(void) {
    if (atomic_exchange(&run, 0))
        pthread_join(thread, NULL);
    free(buffer);
    buffer = NULL;
}

uint64_t gwm_clock_ticks(void) { return atomic_load(&ticks); }

static uint64_t taken(atomic_uint_fast64_t *value, int begin_anew) {
    return begin_anew ? atomic_exchange(value, 0) : atomic_load(value);
}

int gwm_clock(gwm_clock_stats *out, int begin_anew) {
    out->ticks = atomic_load(&ticks);
    out->late_ticks = atomic_load(&late_ticks);
    out->skipped_ticks = atomic_load(&skipped_ticks);
    uint64_t count = taken(&late_count, begin_anew);
    uint64_t sum = taken(&late_sum_us, begin_anew);
    out->max_late_us = begin_anew ? atomic_exchange(&max_late_us, 0) : atomic_load(&max_late_us);
    out->mean_late_us = count ? (uint32_t)(sum / count) : 0;
    return 0;
}

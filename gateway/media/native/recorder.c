/* Recorders: one or two ports of the bridge, one channel of a WAV file each, on one timeline.
 *
 * Timeline. A recorder grows by one frame per tick of the bridge, and by as many as the clock gave
 * up, on all channels at once. put_frame only leaves a channel's audio for the tick that runs;
 * gwm_recorder_tick, on the clock thread when no thread of the bridge is inside any port, takes
 * what is there. A channel that nobody talked to is silent. Each frame knows its place in the
 * file, so what is lost (a full ring) or was never run (skipped ticks) is a hole there, which reads
 * as silence, and what follows stays in time.
 *
 * Threads and owners. The clock thread owns the ring's tail, the timeline and the decisions to
 * stop; the thread gw-recorder owns the ring's head and the file, and alone touches the disk, so a
 * slow disk delays no audio. Bridge workers write a channel's frame between two turns of the clock
 * thread; PJMEDIA's barriers order the two. API calls and the two threads meet in atomics only;
 * there is no lock.
 *
 * Life. A recorder is one block of memory that outlives its ports. Each port holds it from its
 * opening until the last reference to that port's group lock is gone (let_go), the opener holds it
 * while it works; when nobody does, it is CLOSING. The clock thread drops it from its list: LEFT.
 * Only then gw-recorder writes the rest, closes the file, tells GWM_RECORD_CLOSED and frees it.
 * Each of the two threads has its own list; new recorders come to both by a stack that the thread
 * takes over as a whole.
 */
#include <errno.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"
#include "wav.h"

#define RING_FRAMES 200u /* 4 s: what a stall of the disk may take */
#define WRITE_NS 200000000L
#define QUIET_LEVEL 128 /* mean amplitude of 32768: -48 dBFS, above the noise of a line */
#define CHANNELS 2

enum life { OPEN, CLOSING, LEFT };

typedef struct channel {
    struct gwm_recorder *recorder;
    int16_t *frame; /* what the tick brought; valid when heard */
    int heard;
} channel;

typedef struct gwm_recorder {
    unsigned rate, samples, channels; /* samples per frame and channel */
    unsigned frame_bytes;
    uint64_t max_ticks, quiet_ticks; /* 0: no limit */
    channel channel[CHANNELS];
    atomic_int handle;  /* of the near port, which events are about; 0: not in use yet */
    atomic_int holders; /* ports that may still reach it, and its opener */
    atomic_int life, paused, muted, stopped;
    atomic_uint_fast64_t head, tail, lost; /* frames */
    /* the clock thread's */
    struct gwm_recorder *next_ticking;
    uint64_t ticks, quiet;
    /* gw-recorder's */
    struct gwm_recorder *next_writing;
    gwm_wav wav;
    int told; /* that the disk failed */
    uint64_t place[RING_FRAMES];
    int16_t ring[];
} gwm_recorder;

static _Atomic(gwm_recorder *) new_ticking, new_writing;
static gwm_recorder *ticking, *writing;
static sem_t wake;
static pthread_t thread;
static atomic_int run;

static void tell(gwm_recorder *r, int type, int value, uint32_t duration_ms) {
    gwm_event e = {.type = type,
                   .port = atomic_load(&r->handle),
                   .digit = -1,
                   .value = value,
                   .duration_ms = duration_ms,
                   .monotonic_us = gwm_now_us()};
    if (e.port)
        gwm_emit(&e);
}

static void stop(gwm_recorder *r, int reason) {
    if (!atomic_exchange(&r->stopped, 1))
        tell(r, GWM_RECORD_STOPPED, reason, 0);
}

/* ---- bridge workers ------------------------------------------------------------------------ */

static pj_status_t put_frame(pjmedia_port *media, pjmedia_frame *frame) {
    channel *c = media->port_data.pdata;
    unsigned bytes = c->recorder->samples * sizeof *c->frame;
    if (frame->type == PJMEDIA_FRAME_TYPE_AUDIO && frame->size >= bytes) {
        memcpy(c->frame, frame->buf, bytes);
        c->heard = 1;
    }
    return PJ_SUCCESS;
}

static void release(gwm_recorder *r) {
    if (atomic_fetch_sub(&r->holders, 1) == 1)
        atomic_store(&r->life, CLOSING);
}

/* The last reference to the port is gone, on whichever thread held it. */
static pj_status_t let_go(pjmedia_port *media) {
    release(((channel *)media->port_data.pdata)->recorder);
    return PJ_SUCCESS;
}

/* ---- clock thread -------------------------------------------------------------------------- */

static int is_quiet(const gwm_recorder *r) {
    for (unsigned n = 0; n < r->channels; n++) {
        uint32_t sum = 0;
        for (unsigned i = 0; r->channel[n].heard && i < r->samples; i++)
            sum += (uint32_t)abs(r->channel[n].frame[i]);
        if (sum >= QUIET_LEVEL * r->samples)
            return 0;
    }
    return 1;
}

static void fill(const gwm_recorder *r, int16_t *to) {
    if (atomic_load(&r->muted)) {
        memset(to, 0, r->frame_bytes);
        return;
    }
    for (unsigned n = 0; n < r->channels; n++) {
        const channel *c = &r->channel[n];
        for (unsigned i = 0; i < r->samples; i++)
            to[i * r->channels + n] = c->heard ? c->frame[i] : 0;
    }
}

static void append(gwm_recorder *r) {
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_relaxed);
    if (tail - atomic_load_explicit(&r->head, memory_order_acquire) == RING_FRAMES) {
        if (!atomic_fetch_add(&r->lost, 1))
            tell(r, GWM_RECORD_OVERRUN, 0, 0);
    } else {
        unsigned at = tail % RING_FRAMES;
        fill(r, r->ring + (size_t)at * r->samples * r->channels);
        r->place[at] = r->ticks;
        atomic_store_explicit(&r->tail, tail + 1, memory_order_release);
    }
    r->ticks++;
}

static void tick(gwm_recorder *r, uint64_t missed) {
    if (r->max_ticks && r->ticks + missed >= r->max_ticks)
        r->ticks = r->max_ticks;
    else {
        r->ticks += missed;
        append(r);
    }
    if (r->max_ticks && r->ticks == r->max_ticks)
        stop(r, GWM_STOPPED_LENGTH);
    /* What is muted is neither speech nor silence. */
    if (!r->quiet_ticks || atomic_load(&r->muted))
        return;
    r->quiet = is_quiet(r) ? r->quiet + 1 : 0;
    if (r->quiet >= r->quiet_ticks)
        stop(r, GWM_STOPPED_SILENCE);
}

void gwm_recorder_tick(uint64_t missed) {
    gwm_recorder *added = atomic_exchange(&new_ticking, NULL);
    while (added) {
        gwm_recorder *next = added->next_ticking;
        added->next_ticking = ticking;
        ticking = added;
        added = next;
    }
    gwm_recorder **link = &ticking;
    while (*link) {
        gwm_recorder *r = *link;
        if (atomic_load(&r->life) == CLOSING) {
            *link = r->next_ticking;
            atomic_store(&r->life, LEFT); /* from here on it is gw-recorder's alone */
            sem_post(&wake);
            continue;
        }
        if (atomic_load(&r->handle) && !atomic_load(&r->paused) && !atomic_load(&r->stopped))
            tick(r, missed);
        for (unsigned n = 0; n < r->channels; n++)
            r->channel[n].heard = 0;
        link = &r->next_ticking;
    }
}

/* ---- gw-recorder --------------------------------------------------------------------------- */

/* A failing disk ends the recording, not the call: once, and in words. */
static void check_disk(gwm_recorder *r) {
    if (r->wav.error && !r->told) {
        PJ_LOG(2, ("recorder.c", "a recording ends early: %s", strerror(r->wav.error)));
        r->told = 1;
        stop(r, GWM_STOPPED_DISK);
    }
}

/* Frames that lie side by side in the ring and in the file go in one call. */
static void drain(gwm_recorder *r) {
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    while (head != tail) {
        unsigned at = head % RING_FRAMES, count = 1;
        while (head + count != tail && at + count < RING_FRAMES &&
               r->place[at + count] == r->place[at] + count)
            count++;
        gwm_wav_write(&r->wav, r->ring + (size_t)at * r->samples * r->channels,
                      (size_t)count * r->frame_bytes, r->place[at] * r->frame_bytes);
        head += count;
        atomic_store_explicit(&r->head, head, memory_order_release);
    }
    check_disk(r);
}

static void finish(gwm_recorder *r) {
    uint64_t frames = gwm_wav_finish(&r->wav, r->ticks * r->frame_bytes) / r->frame_bytes;
    check_disk(r);
    uint64_t lost = atomic_load(&r->lost);
    tell(r, GWM_RECORD_CLOSED, (int)(lost * GWM_FRAME_MS), (uint32_t)(frames * GWM_FRAME_MS));
    free(r);
}

static void write_all(void) {
    gwm_recorder *added = atomic_exchange(&new_writing, NULL);
    while (added) {
        gwm_recorder *next = added->next_writing;
        added->next_writing = writing;
        writing = added;
        added = next;
    }
    gwm_recorder **link = &writing;
    while (*link) {
        gwm_recorder *r = *link;
        int left = atomic_load(&r->life) == LEFT; /* before the last look at the ring */
        drain(r);
        if (left) {
            *link = r->next_writing;
            finish(r);
        } else {
            link = &r->next_writing;
        }
    }
}

static void *recorder_main(void *unused) {
    PJ_UNUSED_ARG(unused);
    gwm_enter();
    pthread_setname_np(pthread_self(), "gw-recorder");
    while (atomic_load(&run) || writing || atomic_load(&new_writing)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WRITE_NS;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (writing)
            sem_clockwait(&wake, CLOCK_MONOTONIC, &until);
        else
            sem_wait(&wake);
        write_all();
    }
    return NULL;
}

int gwm_recorder_start(void) {
    sem_init(&wake, 0, 0);
    atomic_store(&run, 1);
    return pthread_create(&thread, NULL, recorder_main, NULL)
               ? gwm_fail(GWM_ESYSTEM, "no recorder thread")
               : 0;
}

void gwm_recorder_stop(void) {
    if (!atomic_exchange(&run, 0))
        return;
    sem_post(&wake);
    pthread_join(thread, NULL);
    sem_destroy(&wake);
}

/* ---- API ----------------------------------------------------------------------------------- */

static void push(gwm_recorder *r) {
    r->next_ticking = atomic_load(&new_ticking);
    while (!atomic_compare_exchange_weak(&new_ticking, &r->next_ticking, r)) {
    }
    r->next_writing = atomic_load(&new_writing);
    while (!atomic_compare_exchange_weak(&new_writing, &r->next_writing, r)) {
    }
    sem_post(&wake);
}

static gwm_recorder *new_recorder(const char *path, unsigned rate, unsigned channels) {
    unsigned samples = rate * GWM_FRAME_MS / 1000;
    size_t frame = (size_t)samples * channels;
    gwm_recorder *r = calloc(1, sizeof *r + (RING_FRAMES + 1) * frame * sizeof(int16_t));
    if (!r) {
        gwm_fail(GWM_ESYSTEM, "no memory for a recorder");
        return NULL;
    }
    r->rate = rate;
    r->samples = samples;
    r->channels = channels;
    r->frame_bytes = (unsigned)(frame * sizeof(int16_t));
    for (unsigned n = 0; n < channels; n++) {
        r->channel[n].recorder = r;
        r->channel[n].frame = r->ring + RING_FRAMES * frame + n * samples;
    }
    atomic_store(&r->holders, 1);
    if (gwm_wav_open(&r->wav, path, rate, channels)) {
        gwm_fail(GWM_ESYSTEM, "recording: %s", strerror(errno));
        free(r);
        return NULL;
    }
    return r;
}

/* The handle of a port for one channel; on failure nothing is left. */
static int open_channel(channel *c) {
    gwm_port *port = gwm_source_new("recorder", 1024);
    if (!port)
        return gwm_fail(GWM_ESYSTEM, "no memory for a recorder");
    atomic_fetch_add(&c->recorder->holders, 1);
    port->recorder = c->recorder;
    port->media = PJ_POOL_ZALLOC_T(port->pool, pjmedia_port);
    pj_str_t name = pj_str("recorder");
    pjmedia_port_info_init(&port->media->info, &name, PJMEDIA_SIG_CLASS_PORT_AUD('G', 'R'),
                           c->recorder->rate, 1, 16, c->recorder->samples);
    port->media->port_data.pdata = c;
    port->media->put_frame = put_frame;
    port->media->on_destroy = let_go;
    return gwm_source_publish(port);
}

int gwm_recorder_open(const char *path, int stereo, unsigned max_ms, unsigned silence_ms,
                      int *far_port) {
    if (!gwm_running())
        return gwm_fail(GWM_ESTATE, "the media plane is not running");
    gwm_enter();
    gwm_recorder *r = new_recorder(path, (unsigned)gwm_bridge_rate(), stereo ? 2 : 1);
    if (!r)
        return GWM_ESYSTEM;
    r->max_ticks = ((uint64_t)max_ms + GWM_FRAME_MS - 1) / GWM_FRAME_MS;
    r->quiet_ticks = ((uint64_t)silence_ms + GWM_FRAME_MS - 1) / GWM_FRAME_MS;
    push(r);
    int far = 0, near = open_channel(&r->channel[0]);
    if (near > 0)
        far = stereo ? open_channel(&r->channel[1]) : near;
    if (near > 0 && far > 0) {
        gwm_table_pair(near, far);
        atomic_store(&r->handle, near);
        *far_port = far;
    } else {
        unlink(path);
        gwm_table_close(near);
    }
    release(r);
    return near < 0 ? near : far < 0 ? far : near;
}

static int set_flag(int handle, atomic_int *(*flag)(gwm_recorder *), int on) {
    gwm_enter();
    gwm_port *port = gwm_port_acquire(handle);
    if (!port)
        return GWM_ENOPORT;
    int code = 0;
    if (port->recorder)
        atomic_store(flag(port->recorder), on != 0);
    else
        code = gwm_fail(GWM_EINVAL, "port %d is no recorder", handle);
    gwm_port_release(port);
    return code;
}

static atomic_int *paused_flag(gwm_recorder *r) { return &r->paused; }

static atomic_int *muted_flag(gwm_recorder *r) { return &r->muted; }

int gwm_recorder_pause(int port, int paused) { return set_flag(port, paused_flag, paused); }

int gwm_recorder_mute(int port, int muted) { return set_flag(port, muted_flag, muted); }

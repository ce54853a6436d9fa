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
#include <fcntl.h>
#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "internal.h"

#define RING_FRAMES 200u /* 4 s: what a stall of the disk may take */
#define WRITE_NS 200000000L
#define HEADER 44       /* bytes of a WAV header with one format and one data chunk */
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
    int fd;
    channel channel[CHANNELS];
    atomic_int handle;  /* of the near port, which events are about; 0: not in use yet */
    atomic_int holders; /* ports that may still reach it, and its opener */
    atomic_int life, paused, muted, stopped;
    atomic_uint_fast64_t head, tail, lost; /* frames */
    /* the clock thread's */
    struct gwm_recorder *next_ticked;
    uint64_t ticks, quiet;
    /* gw-recorder's */
    struct gwm_recorder *next_written;
    int failed;
    uint64_t written; /* bytes of audio, up to the last that is on disk */
    uint64_t place[RING_FRAMES];
    int16_t ring[];
} gwm_recorder;

static _Atomic(gwm_recorder *) new_ticked, new_written;
static gwm_recorder *ticked, *written;
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
    gwm_recorder *added = atomic_exchange(&new_ticked, NULL);
    while (added) {
        gwm_recorder *next = added->next_ticked;
        added->next_ticked = ticked;
        ticked = added;
        added = next;
    }
    gwm_recorder **link = &ticked;
    while (*link) {
        gwm_recorder *r = *link;
        if (atomic_load(&r->life) == CLOSING) {
            *link = r->next_ticked;
            atomic_store(&r->life, LEFT); /* from here on it is gw-recorder's alone */
            sem_post(&wake);
            continue;
        }
        if (atomic_load(&r->handle) && !atomic_load(&r->paused) && !atomic_load(&r->stopped))
            tick(r, missed);
        for (unsigned n = 0; n < r->channels; n++)
            r->channel[n].heard = 0;
        link = &r->next_ticked;
    }
}

/* ---- gw-recorder --------------------------------------------------------------------------- */

static int write_at(gwm_recorder *r, const void *data, size_t length, uint64_t offset) {
    while (length && !r->failed) {
        ssize_t done = pwrite(r->fd, data, length, (off_t)offset);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            PJ_LOG(2, ("recorder.c", "a recording ends early: %s", strerror(errno)));
            r->failed = 1;
            stop(r, GWM_STOPPED_DISK);
            break;
        }
        data = (const char *)data + done;
        offset += (uint64_t)done;
        length -= (size_t)done;
        if (offset > HEADER + r->written)
            r->written = offset - HEADER;
    }
    return r->failed ? -1 : 0;
}

static void put32(uint8_t *to, uint64_t value) {
    uint32_t bounded = value > UINT32_MAX ? UINT32_MAX : (uint32_t)value;
    for (unsigned i = 0; i < 4; i++)
        to[i] = (uint8_t)(bounded >> 8 * i);
}

/* A size that is not known yet, or too large for its field, is told as all ones, which readers of
 * WAV files take as "until the end of the file". */
static void write_header(gwm_recorder *r, uint64_t bytes) {
    uint8_t header[HEADER] = "RIFF....WAVEfmt \x10\0\0\0\x01\0";
    put32(header + 4, bytes > UINT32_MAX - HEADER ? UINT32_MAX : bytes + HEADER - 8);
    header[22] = (uint8_t)r->channels;
    put32(header + 24, r->rate);
    put32(header + 28, r->rate * r->channels * 2);
    header[32] = (uint8_t)(r->channels * 2);
    header[34] = 16;
    memcpy(header + 36, "data", 4);
    put32(header + 40, bytes);
    write_at(r, header, sizeof header, 0);
}

/* Frames that lie side by side in the ring and in the file go in one call. */
static void drain(gwm_recorder *r) {
    uint64_t head = atomic_load_explicit(&r->head, memory_order_relaxed);
    uint64_t tail = atomic_load_explicit(&r->tail, memory_order_acquire);
    if (!head && tail)
        write_header(r, UINT32_MAX);
    while (head != tail) {
        unsigned at = head % RING_FRAMES, count = 1;
        while (head + count != tail && at + count < RING_FRAMES &&
               r->place[at + count] == r->place[at] + count)
            count++;
        write_at(r, r->ring + (size_t)at * r->samples * r->channels, (size_t)count * r->frame_bytes,
                 HEADER + r->place[at] * r->frame_bytes);
        head += count;
        atomic_store_explicit(&r->head, head, memory_order_release);
    }
}

/* The file ends where the timeline ends, or with the last whole frame that the disk took. */
static void finish(gwm_recorder *r) {
    uint64_t bytes = r->ticks * r->frame_bytes;
    if (r->failed)
        bytes = r->written - r->written % r->frame_bytes;
    if (ftruncate(r->fd, (off_t)(HEADER + bytes)))
        PJ_LOG(2, ("recorder.c", "a recording has no proper end: %s", strerror(errno)));
    int failed = r->failed;
    r->failed = 0; /* the header lies in what the disk has taken already */
    write_header(r, bytes);
    if (close(r->fd) && !failed)
        PJ_LOG(2, ("recorder.c", "closing a recording: %s", strerror(errno)));
    uint64_t frames = bytes / r->frame_bytes, lost = atomic_load(&r->lost);
    tell(r, GWM_RECORD_CLOSED, (int)(lost * GWM_FRAME_MS), (uint32_t)(frames * GWM_FRAME_MS));
    free(r);
}

static void write_all(void) {
    gwm_recorder *added = atomic_exchange(&new_written, NULL);
    while (added) {
        gwm_recorder *next = added->next_written;
        added->next_written = written;
        written = added;
        added = next;
    }
    gwm_recorder **link = &written;
    while (*link) {
        gwm_recorder *r = *link;
        int left = atomic_load(&r->life) == LEFT; /* before the last look at the ring */
        drain(r);
        if (left) {
            *link = r->next_written;
            finish(r);
        } else {
            link = &r->next_written;
        }
    }
}

static void *recorder_main(void *unused) {
    PJ_UNUSED_ARG(unused);
    gwm_enter();
    pthread_setname_np(pthread_self(), "gw-recorder");
    while (atomic_load(&run) || written || atomic_load(&new_written)) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WRITE_NS;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (written)
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
    r->next_ticked = atomic_load(&new_ticked);
    while (!atomic_compare_exchange_weak(&new_ticked, &r->next_ticked, r)) {
    }
    r->next_written = atomic_load(&new_written);
    while (!atomic_compare_exchange_weak(&new_written, &r->next_written, r)) {
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
    r->fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (r->fd < 0) {
        gwm_fail(GWM_ESYSTEM, "%s: %s", path, strerror(errno));
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
    r->max_ticks = (max_ms + GWM_FRAME_MS - 1) / GWM_FRAME_MS;
    r->quiet_ticks = (silence_ms + GWM_FRAME_MS - 1) / GWM_FRAME_MS;
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

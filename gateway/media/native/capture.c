/* Captures: packets of legs, as their taps see them, and SIP messages, on their way to pcap files.
 *
 * Threads and owners. A tap copies a packet into the ring of its capture, on whichever media thread
 * brings it, and never waits: a full ring loses the packet, which is counted. The thread gw-capture
 * owns the other end of the rings and the files, and alone touches the disk. SIP messages come from
 * Python and wait in a list under `lock`, which gw-capture takes too and no media thread ever does.
 *
 * Life. A capture is one of MAX_CAPTURES slots, which are never freed: a tap that still knows a
 * capture that is over finds another ticket in the slot, and leaves. Who works with a slot counts
 * itself in `pushers` before it looks at the ticket; gw-capture takes the ticket away, waits until
 * nobody is counted (media threads copy one packet and go), writes the rest, and then only gives
 * the slot back. So no packet gets into the file of another capture. The ring's memory stays with
 * its slot for the process's life. A message is a block of its own: the list's when it is in it,
 * and freed by gw-capture, which takes it out.
 */
#include "capture.h"

#include <semaphore.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#include "capture_file.h"
#include "tap.h"

#define MAX_CAPTURES 8u
#define CELLS 1024u     /* a power of two: two seconds of ten legs */
#define MAX_PACKET 1500 /* bytes; a longer one is no audio */
#define WRITE_NS 100000000L
#define SETTLE_US 100000u /* what Python brings late still finds its place in time */
#define MAX_MESSAGES 1000u

typedef struct cell {
    atomic_uint turn; /* as in events.c */
    uint16_t len;
    uint64_t at_us;
    gwm_pcap_address from, to;
    uint8_t packet[MAX_PACKET];
} cell;

typedef struct message {
    struct message *next;
    uint64_t at_us;
    gwm_pcap_address from, to;
    int of_stream;
    size_t len, whole;
    uint8_t text[];
} message;

typedef struct capture {
    atomic_uint ticket;       /* 0: takes nothing */
    atomic_int used, pushers; /* a slot is given back when `used` is 0 */
    atomic_int privacy, closing;
    atomic_uint head, tail, lost;
    cell *cells;
    message *messages, **last_message; /* lock */
    unsigned message_count;
    /* gw-capture's */
    unsigned handle;
    uint64_t ends_us;
    gwm_capture_file file;
} capture;

static capture captures[MAX_CAPTURES];
static atomic_uint generation;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static pthread_t thread;
static atomic_int run, running;
static sem_t wake;

/* ---- media threads ------------------------------------------------------------------------- */

static void leave(capture *c) { atomic_fetch_sub(&c->pushers, 1); }

/* The capture of a ticket; leave() afterwards. NULL: it is over. */
static capture *enter(unsigned ticket) {
    capture *c = &captures[ticket % MAX_CAPTURES];
    atomic_fetch_add(&c->pushers, 1);
    if (ticket && atomic_load(&c->ticket) == ticket)
        return c;
    leave(c);
    return NULL;
}

static cell *claim(capture *c, unsigned *at) {
    unsigned ticket = atomic_load_explicit(&c->tail, memory_order_relaxed);
    for (;;) {
        cell *free_one = &c->cells[ticket & (CELLS - 1)];
        int turn = (int)(atomic_load_explicit(&free_one->turn, memory_order_acquire) - ticket);
        if (turn < 0)
            return NULL;
        if (turn > 0)
            ticket = atomic_load_explicit(&c->tail, memory_order_relaxed);
        else if (atomic_compare_exchange_weak(&c->tail, &ticket, ticket + 1)) {
            *at = ticket;
            return free_one;
        }
    }
}

void gwm_capture_packet(const gwm_capture_tap *t, int which, const void *packet, size_t len,
                        int event_type, uint64_t now_us) {
    if (!t->ticket || len > MAX_PACKET)
        return;
    capture *c = enter(t->ticket);
    if (!c)
        return;
    unsigned at;
    cell *free_one = claim(c, &at);
    if (free_one) {
        int rtcp = which & GWM_CAPTURE_RTCP;
        const gwm_pcap_address *local = rtcp ? &t->local_rtcp : &t->local;
        const gwm_pcap_address *peer = rtcp ? &t->peer_rtcp : &t->peer;
        free_one->from = which & GWM_CAPTURE_OUT ? *local : *peer;
        free_one->to = which & GWM_CAPTURE_OUT ? *peer : *local;
        free_one->at_us = now_us;
        free_one->len = (uint16_t)len;
        memcpy(free_one->packet, packet, len);
        if (!rtcp)
            gwm_pcap_blank(free_one->packet, len, event_type, atomic_load(&c->privacy));
        atomic_store_explicit(&free_one->turn, at + 1, memory_order_release);
    } else {
        atomic_fetch_add(&c->lost, 1);
    }
    leave(c);
}

/* ---- gw-capture ---------------------------------------------------------------------------- */

static message *take_message(capture *c, uint64_t until_us) {
    pthread_mutex_lock(&lock);
    message *m = c->messages;
    if (m && m->at_us <= until_us) {
        c->messages = m->next;
        if (!c->messages)
            c->last_message = &c->messages;
        c->message_count--;
    } else {
        m = NULL;
    }
    pthread_mutex_unlock(&lock);
    return m;
}

static void put_messages(capture *c, uint64_t until_us) {
    for (message *m = take_message(c, until_us); m; m = take_message(c, until_us)) {
        int there = m->of_stream ? gwm_capture_file_segment(&c->file, m->at_us, &m->from, &m->to,
                                                            m->text, m->len, m->whole)
                                 : gwm_capture_file_datagram(&c->file, m->at_us, &m->from, &m->to,
                                                             m->text, m->len);
        if (!there)
            atomic_fetch_add(&c->lost, 1);
        free(m);
    }
}

/* All that is older than until_us, in order of time. */
static void drain(capture *c, uint64_t until_us) {
    for (;;) {
        unsigned head = atomic_load_explicit(&c->head, memory_order_relaxed);
        cell *full = &c->cells[head & (CELLS - 1)];
        if (atomic_load_explicit(&full->turn, memory_order_acquire) != head + 1 ||
            full->at_us > until_us)
            break;
        put_messages(c, full->at_us);
        if (!gwm_capture_file_datagram(&c->file, full->at_us, &full->from, &full->to, full->packet,
                                       full->len))
            atomic_fetch_add(&c->lost, 1);
        atomic_store_explicit(&full->turn, head + CELLS, memory_order_release);
        atomic_store_explicit(&c->head, head + 1, memory_order_relaxed);
    }
    put_messages(c, until_us);
}

static void finish(capture *c, int reason) {
    atomic_store(&c->ticket, 0);
    while (atomic_load(&c->pushers)) {
        struct timespec nap = {0, 100000};
        nanosleep(&nap, NULL);
    }
    drain(c, UINT64_MAX);
    int error = gwm_capture_file_close(&c->file);
    gwm_event e = {.type = GWM_CAPTURE_CLOSED,
                   .port = (int32_t)c->handle,
                   .digit = -1,
                   .id = (uint32_t)c->file.packets,
                   .duration_ms = atomic_load(&c->lost),
                   .value = error ? GWM_CAPTURE_DISK : reason,
                   .monotonic_us = gwm_now_us()};
    gwm_emit(&e);
    atomic_store(&c->used, 0);
}

static int look_after(void) {
    int busy = 0;
    for (unsigned n = 0; n < MAX_CAPTURES; n++) {
        capture *c = &captures[n];
        if (!atomic_load(&c->ticket))
            continue;
        uint64_t now_us = gwm_now_us();
        if (atomic_load(&c->closing) || !atomic_load(&run)) {
            finish(c, GWM_CAPTURE_ASKED);
            continue;
        }
        drain(c, now_us - SETTLE_US);
        if (gwm_capture_file_full(&c->file))
            finish(c, GWM_CAPTURE_FULL);
        else if (now_us >= c->ends_us)
            finish(c, GWM_CAPTURE_TIME);
        else
            busy = 1;
    }
    return busy;
}

static void *capture_main(void *unused) {
    PJ_UNUSED_ARG(unused);
    gwm_enter();
    pthread_setname_np(pthread_self(), "gw-capture");
    int busy = 0;
    while (atomic_load(&run) || busy) {
        struct timespec until;
        clock_gettime(CLOCK_MONOTONIC, &until);
        until.tv_nsec += WRITE_NS;
        until.tv_sec += until.tv_nsec / 1000000000L;
        until.tv_nsec %= 1000000000L;
        if (busy)
            sem_clockwait(&wake, CLOCK_MONOTONIC, &until);
        else
            sem_wait(&wake);
        busy = look_after();
    }
    look_after();
    return NULL;
}

int gwm_capture_start(void) {
    sem_init(&wake, 0, 0);
    atomic_store(&run, 1);
    if (pthread_create(&thread, NULL, capture_main, NULL))
        return gwm_fail(GWM_ESYSTEM, "no capture thread");
    atomic_store(&running, 1);
    return 0;
}

void gwm_capture_stop(void) {
    if (!atomic_exchange(&running, 0))
        return;
    atomic_store(&run, 0);
    sem_post(&wake);
    pthread_join(thread, NULL);
    sem_destroy(&wake);
}

/* ---- API ----------------------------------------------------------------------------------- */

static capture *free_slot(void) {
    for (unsigned n = 0; n < MAX_CAPTURES; n++) {
        int expected = 0;
        if (atomic_compare_exchange_strong(&captures[n].used, &expected, 1))
            return &captures[n];
    }
    return NULL;
}

/* A ticket names its slot, and differs from those that the slot had before. */
static unsigned new_ticket(const capture *c) {
    unsigned slot = (unsigned)(c - captures);
    unsigned number = atomic_fetch_add(&generation, 1) + 1;
    return (number * MAX_CAPTURES + slot) & 0x7FFFFFFFu;
}

int gwm_capture_open(const char *path, unsigned max_ms, uint64_t max_bytes, int privacy) {
    if (!gwm_running())
        return gwm_fail(GWM_ESTATE, "the media plane is not running");
    if (!max_ms || max_bytes < GWM_PCAP_FILE_HEADER || privacy < 0 || privacy > GWM_PCAP_BLANK_ALL)
        return gwm_fail(GWM_EINVAL, "a capture of %u ms, privacy %d", max_ms, privacy);
    capture *c = free_slot();
    if (!c)
        return gwm_fail(GWM_EFULL, "%u captures are running already", MAX_CAPTURES);
    if (!c->cells && !(c->cells = calloc(CELLS, sizeof *c->cells))) {
        atomic_store(&c->used, 0);
        return gwm_fail(GWM_ESYSTEM, "no memory for a capture");
    }
    int error = gwm_capture_file_open(&c->file, path, max_bytes);
    if (error) {
        int code = gwm_fail(GWM_ESYSTEM, "capture: %s", strerror(error));
        atomic_store(&c->used, 0);
        return code;
    }
    for (unsigned i = 0; i < CELLS; i++)
        atomic_store(&c->cells[i].turn, i);
    atomic_store(&c->head, 0);
    atomic_store(&c->tail, 0);
    atomic_store(&c->lost, 0);
    atomic_store(&c->privacy, privacy);
    atomic_store(&c->closing, 0);
    c->last_message = &c->messages;
    c->ends_us = gwm_now_us() + (uint64_t)max_ms * 1000u;
    c->handle = new_ticket(c);
    atomic_store(&c->ticket, c->handle);
    sem_post(&wake);
    return (int)c->handle;
}

int gwm_capture_add(int handle, int port_handle) {
    gwm_enter();
    gwm_port *port = gwm_port_acquire(port_handle);
    if (!port)
        return GWM_ENOPORT;
    int code = 0;
    if (port->tap) {
        gwm_capture_tap found = {.ticket = (unsigned)handle};
        gwm_capture_ends(port, &found);
        pthread_mutex_lock(&port->tap->lock);
        port->tap->capture = found;
        pthread_mutex_unlock(&port->tap->lock);
    } else {
        code = gwm_fail(GWM_EINVAL, "port %d is no leg", port_handle);
    }
    gwm_port_release(port);
    return code;
}

int gwm_capture_message(int handle, uint64_t monotonic_us, int of_stream, const char *from,
                        int from_port, const char *to, int to_port, const uint8_t *data,
                        unsigned len, unsigned whole) {
    if (len > GWM_SIP_MESSAGE_MAX || whole < len || whole > GWM_PCAP_MAX_DATAGRAM)
        return gwm_fail(GWM_EINVAL, "%u bytes of a message of %u", len, whole);
    gwm_enter();
    message *m = calloc(1, sizeof *m + len);
    if (!m)
        return gwm_fail(GWM_ESYSTEM, "no memory for a message");
    m->at_us = monotonic_us;
    m->of_stream = of_stream;
    m->len = len;
    m->whole = whole;
    memcpy(m->text, data, len);
    int code = gwm_capture_address(from, from_port, &m->from);
    if (!code)
        code = gwm_capture_address(to, to_port, &m->to);
    capture *c = code ? NULL : enter((unsigned)handle);
    if (c) {
        pthread_mutex_lock(&lock);
        if (c->message_count < MAX_MESSAGES) {
            c->message_count++;
            *c->last_message = m;
            c->last_message = &m->next;
            m = NULL;
        } else {
            atomic_fetch_add(&c->lost, 1);
        }
        pthread_mutex_unlock(&lock);
        leave(c);
    } else if (!code) {
        code = gwm_fail(GWM_ENOPORT, "no capture %d", handle);
    }
    free(m);
    return code;
}

int gwm_capture_privacy(int handle, int privacy) {
    if (privacy < 0 || privacy > GWM_PCAP_BLANK_ALL)
        return gwm_fail(GWM_EINVAL, "privacy %d", privacy);
    capture *c = enter((unsigned)handle);
    if (!c)
        return gwm_fail(GWM_ENOPORT, "no capture %d", handle);
    atomic_store(&c->privacy, privacy);
    leave(c);
    return 0;
}

int gwm_capture_close(int handle) {
    capture *c = enter((unsigned)handle);
    if (!c)
        return GWM_ENOPORT;
    atomic_store(&c->closing, 1);
    leave(c);
    sem_post(&wake);
    return 0;
}

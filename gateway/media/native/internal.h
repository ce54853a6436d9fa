/* What the media plane's own files share: ports, their table, events, and the ownership rules.
 *
 * Ownership. A port's memory comes from its own pool and lives as long as its group lock: the
 * table holds one reference, whoever works with a port outside the table lock holds another
 * (gwm_port_acquire / gwm_port_release), and PJMEDIA objects stacked on it hold theirs. The last
 * one out runs gwm_port_on_destroy, which returns the pool.
 *
 * Locks, outermost first: pjsua's own locks, table.c's table lock, the bridge's mutex, the list of
 * direct routes, one route's lock, one tap's lock, PJMEDIA SRTP's lock. Two taps' locks are never
 * held together. No lock is held while an event is queued to Python except a tap's, and the queue
 * itself takes none.
 *
 * Threads: the clock thread and PJMEDIA's bridge workers (clock.c), the readers of all RTP sockets
 * (reader.c, in place of PJMEDIA's own threads; they also carry the direct path, direct.c), the
 * housekeeper (housekeeper.c), the writer of recordings (recorder.c; the only one that waits for a
 * disk), and whichever Python thread calls in. Each is registered with pjlib by gwm_enter.
 */
#ifndef GWM_INTERNAL_H
#define GWM_INTERNAL_H

#include <pjlib.h>
#include <pjmedia-codec.h>
#include <pjmedia.h>
#include <pjsua-lib/pjsua.h>
#include <pjsua-lib/pjsua_internal.h>
#include <pthread.h>
#include <stdatomic.h>

#include "media.h"

#define GWM_MAX_PORTS 4096
#define GWM_FRAME_MS 20
#define GWM_MAX_READERS 64

typedef enum gwm_kind { GWM_KIND_WEBRTC = 1, GWM_KIND_SIP, GWM_KIND_SOURCE } gwm_kind;

struct gwm_recorder;
struct gwm_tap;
struct gwm_webrtc;

typedef struct gwm_port {
    int handle;
    gwm_kind kind;
    pj_pool_t *pool;
    pj_grp_lock_t *grp_lock;
    int slot;                       /* on the bridge, -1 without; table lock */
    int give_back;                  /* the bridge is to write to it again; table lock */
    int fan_out, fan_in;            /* wished connections from it and to it; table lock */
    struct gwm_tap *tap;            /* legs only; same pool */
    struct gwm_webrtc *webrtc;      /* WebRTC legs only; same pool */
    pjmedia_port *media;            /* sources and recorders: their PJMEDIA port */
    struct gwm_recorder *recorder;  /* recorders only; recorder.c */
    int partner;                    /* the port that closes with it, or 0; table lock */
    atomic_uint_fast64_t reap_tick; /* closed: native parts go once the clock has passed this */
    struct gwm_port *next_reap;
    void (*destroy)(struct gwm_port *); /* takes the native parts apart; on the housekeeper */
} gwm_port;

/* ---- engine.c */
int gwm_running(void);
pjmedia_conf *gwm_bridge(void);
/* Registers the calling thread with pjlib; every API function begins with it. */
void gwm_enter(void);
/* The same for a thread of our own: with a name, and ahead of ordinary threads where the system
 * lets us. A late media thread is heard. */
void gwm_enter_media_thread(const char *name);
uint64_t gwm_now_us(void);
int gwm_fail(int code, const char *format, ...) __attribute__((format(printf, 2, 3)));
int gwm_fail_status(const char *what, pj_status_t status);

/* ---- clock.c */
int gwm_clock_start(pjmedia_port *master, unsigned rate);
void gwm_clock_stop(void);
uint64_t gwm_clock_ticks(void);

/* ---- events.c */
int gwm_events_start(void);
void gwm_emit(const gwm_event *event);

/* ---- table.c */
int gwm_table_start(int direct_path);
void gwm_table_stop(void);
/* Takes a fresh handle for port; the table's reference is taken here. */
int gwm_table_add(gwm_port *port);
gwm_port *gwm_port_acquire(int handle);
void gwm_port_release(gwm_port *port);
/* Closing one of the two closes the other; they may be the same. */
void gwm_table_pair(int one, int other);
/* Out of the table, off the bridge, onto the housekeeper's list. GWM_ENOPORT if it was gone. */
int gwm_table_close(int handle);
void gwm_table_close_all(void);
/* A port's media appeared, moved or vanished (-1): connections are applied again. */
void gwm_port_set_slot(gwm_port *port, int slot);
/* Calls visit for each live leg without holding the table lock. */
void gwm_table_each_leg(void (*visit)(gwm_port *port, uint64_t now_us), uint64_t now_us);
/* Connections go over to the direct path, and back. On the clock thread between two ticks, when no
 * thread of the bridge is inside any port. */
void gwm_table_review(uint64_t now_us);
/* Frees the port's pool; registered with its group lock. */
void gwm_port_on_destroy(void *port);

/* ---- housekeeper.c */
int gwm_housekeeper_start(void);
void gwm_housekeeper_stop(void);
void gwm_housekeeper_reap(gwm_port *port);

/* ---- reader.c */
int gwm_reader_start(int threads);
void gwm_reader_stop(void);
int gwm_reader_add(gwm_port *port, int tag, int fd);
void gwm_reader_remove(gwm_port *port, int fd);
/* Hands a datagram to Python; dropped when Python is that far behind (as UDP would be). */
void gwm_hand_over(int handle, int tag, const pj_sockaddr *address, const void *data, size_t len);

/* ---- sip.c */
void gwm_sip_start(void);
void gwm_sip_stop(void);
/* The tap's transport goes (call over). */
void gwm_sip_forget(gwm_port *port);

/* ---- sip_trace.c */
void gwm_sip_trace_stop(void);

/* ---- recorder.c */
int gwm_recorder_start(void);
/* Waits until every file is complete; the clock must still run, and all ports be closed. */
void gwm_recorder_stop(void);
/* On the clock thread after each tick of the bridge, when no thread of the bridge is inside any
 * port. missed: ticks that were given up before this one. */
void gwm_recorder_tick(uint64_t missed);

/* ---- sources.c */
/* A port without media; NULL without memory. */
gwm_port *gwm_source_new(const char *name, pj_size_t memory);
/* Takes port->media onto the bridge and into the table; on failure nothing is left of either. */
int gwm_source_publish(gwm_port *port);
int gwm_silence_start(void);
void gwm_silence_stop(void);
int gwm_silence_slot(void);

/* ---- webrtc.c */
void gwm_webrtc_datagram(gwm_port *port, int tag, const uint8_t *data, int len,
                         const pj_sockaddr *source);

#endif

/* The housekeeper: every 20 ms it looks at time-outs of legs, and takes closed ports apart once the
 * bridge can no longer be inside them. */
#include <time.h>

#include "tap.h"

static pthread_t thread;
static atomic_int run;
static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static gwm_port *closed;

/* The bridge executes removals between its ticks, so two ticks after the request no bridge thread
 * is inside the port's callbacks, nor will be. */
void gwm_housekeeper_reap(gwm_port *port) {
    atomic_store(&port->reap_tick, gwm_clock_ticks() + 2);
    pthread_mutex_lock(&lock);
    port->next_reap = closed;
    closed = port;
    pthread_mutex_unlock(&lock);
}

static void reap(void) {
    uint64_t ticks = gwm_clock_ticks();
    gwm_port *due = NULL;
    pthread_mutex_lock(&lock);
    gwm_port **link = &closed;
    while (*link) {
        gwm_port *port = *link;
        if (atomic_load(&port->reap_tick) <= ticks) {
            *link = port->next_reap;
            port->next_reap = due;
            due = port;
        } else {
            link = &port->next_reap;
        }
    }
    pthread_mutex_unlock(&lock);
    while (due) {
        gwm_port *next = due->next_reap;
        due->destroy(due);
        gwm_port_release(due);
        due = next;
    }
}

static int all_reaped(void) {
    pthread_mutex_lock(&lock);
    int none = closed == NULL;
    pthread_mutex_unlock(&lock);
    return none;
}

static void poll_leg(gwm_port *port, uint64_t now_us) { gwm_tap_poll(port->tap, now_us); }

static void *housekeeper_main(void *unused) {
    PJ_UNUSED_ARG(unused);
    gwm_enter_media_thread("gw-housekeeper");
    while (atomic_load(&run) || !all_reaped()) {
        struct timespec nap = {0, GWM_FRAME_MS * 1000000L};
        nanosleep(&nap, NULL);
        gwm_table_each_leg(poll_leg, gwm_now_us());
        reap();
    }
    return NULL;
}

int gwm_housekeeper_start(void) {
    atomic_store(&run, 1);
    return pthread_create(&thread, NULL, housekeeper_main, NULL)
               ? gwm_fail(GWM_ESYSTEM, "no housekeeper thread")
               : 0;
}

void gwm_housekeeper_stop(void) {
    if (atomic_exchange(&run, 0))
        pthread_join(thread, NULL);
}

/* Events from native threads to Python: a bounded lock-free queue (many writers, one reader) and
 * an eventfd that is readable while something waits. */
#include <errno.h>
#include <string.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include "internal.h"

#define CAPACITY 16384u /* a power of two */

typedef struct cell {
    atomic_uint sequence;
    gwm_event event;
} cell;

/* Never given back: a SIP stream may still report while the media plane stops, and the next start
 * uses the same queue again. */
static cell *cells;
static atomic_uint head, tail;
static atomic_int signalled;
static int fd = -1;

int gwm_events_start(void) {
    if (!cells && !(cells = calloc(CAPACITY, sizeof *cells)))
        return gwm_fail(GWM_ESYSTEM, "no memory for the event queue");
    if (fd < 0 && (fd = eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)) < 0)
        return gwm_fail(GWM_ESYSTEM, "eventfd: %s", strerror(errno));
    for (unsigned i = 0; i < CAPACITY; i++)
        atomic_store(&cells[i].sequence, i);
    atomic_store(&head, 0);
    atomic_store(&tail, 0);
    atomic_store(&signalled, 0);
    return 0;
}

/* Each cell's sequence number tells whose turn it is: equal to the writer's ticket when the cell
 * is free, ticket + 1 when it holds an event for the reader. */
void gwm_emit(const gwm_event *event) {
    if (!gwm_running())
        return;
    unsigned ticket = atomic_load_explicit(&tail, memory_order_relaxed);
    cell *c;
    for (;;) {
        c = &cells[ticket & (CAPACITY - 1)];
        int turn = (int)(atomic_load_explicit(&c->sequence, memory_order_acquire) - ticket);
        if (turn == 0) {
            if (atomic_compare_exchange_weak(&tail, &ticket, ticket + 1))
                break;
        } else if (turn < 0) {
            PJ_LOG(1, ("events.c", "event queue full: Python is not reading, an event is lost"));
            return;
        } else {
            ticket = atomic_load_explicit(&tail, memory_order_relaxed);
        }
    }
    c->event = *event;
    atomic_store_explicit(&c->sequence, ticket + 1, memory_order_release);
    if (!atomic_exchange(&signalled, 1)) {
        uint64_t one = 1;
        if (write(fd, &one, sizeof one) < 0 && errno != EAGAIN)
            PJ_LOG(1, ("events.c", "eventfd: %s", strerror(errno)));
    }
}

int gwm_event_fd(void) { return fd; }

int gwm_next_events(gwm_event *out, int capacity) {
    int count = 0;
    if (!cells)
        return 0;
    for (int pass = 0; pass < 2; pass++) {
        while (count < capacity) {
            unsigned ticket = atomic_load_explicit(&head, memory_order_relaxed);
            cell *c = &cells[ticket & (CAPACITY - 1)];
            if (atomic_load_explicit(&c->sequence, memory_order_acquire) != ticket + 1)
                break;
            out[count++] = c->event;
            atomic_store_explicit(&c->sequence, ticket + CAPACITY, memory_order_release);
            atomic_store_explicit(&head, ticket + 1, memory_order_relaxed);
        }
        if (count)
            return count;
        if (pass == 0) {
            /* Clear, then look once more: an event put between the two is seen by one of them. */
            uint64_t drained;
            if (read(fd, &drained, sizeof drained) < 0 && errno != EAGAIN)
                PJ_LOG(1, ("events.c", "eventfd: %s", strerror(errno)));
            atomic_store(&signalled, 0);
        }
    }
    return count;
}

/* The table of ports and the wishes to connect them: handles, references, connections, and the
 * path that each connection takes. */
#include "webrtc.h"

#define INDEX_BITS 12
#define MAX_CONNECTIONS 16384

/* A connection between two legs that nobody else listens to goes over to the direct path once
 * audio comes steadily, between two ticks of the bridge. It comes back as soon as anybody else is
 * connected, or the source stops. */
typedef enum path { UNAPPLIED, BRIDGED, DIRECT } path;

#define MAX_OPENINGS 4 /* between two ticks: a codec takes time to open */

typedef struct connection {
    int source, sink; /* handles; 0 = free entry */
    path path;
    int bridge_only; /* these two streams cannot be joined directly */
} connection;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static _Atomic(gwm_port *) ports[GWM_MAX_PORTS];
static uint32_t generations[GWM_MAX_PORTS];
static unsigned next_index;
static int count;
static connection *connections;
static int connection_count; /* entries in use are 0..count-1, some free */
static int direct_allowed;
static int to_give_back; /* ports that the bridge is to write to again */

int gwm_table_start(int direct_path) {
    direct_allowed = direct_path;
    connections = calloc(MAX_CONNECTIONS, sizeof *connections);
    connection_count = 0;
    return connections ? 0 : gwm_fail(GWM_ESYSTEM, "no memory for connections");
}

void gwm_table_stop(void) {
    free(connections);
    connections = NULL;
}

int gwm_port_count(void) {
    pthread_mutex_lock(&lock);
    int live = count;
    pthread_mutex_unlock(&lock);
    return live;
}

void gwm_port_on_destroy(void *argument) {
    gwm_port *port = argument;
    pj_pool_t *pool = port->pool;
    pj_pool_release(pool);
}

/* Indices are taken round-robin and each use has a new generation, so a handle comes back only
 * after two thousand million ports. */
int gwm_table_add(gwm_port *port) {
    pthread_mutex_lock(&lock);
    for (unsigned tried = 0; tried < GWM_MAX_PORTS; tried++) {
        unsigned index = next_index++ % GWM_MAX_PORTS;
        if (ports[index])
            continue;
        generations[index] = (generations[index] + 1) & 0x7FFFF;
        if (!generations[index])
            generations[index] = 1;
        port->handle = (int)(generations[index] << INDEX_BITS | index);
        ports[index] = port;
        count++;
        pj_grp_lock_add_ref(port->grp_lock);
        pthread_mutex_unlock(&lock);
        return port->handle;
    }
    pthread_mutex_unlock(&lock);
    return gwm_fail(GWM_EFULL, "all %d media ports are in use", GWM_MAX_PORTS);
}

static gwm_port *find(int handle) {
    if (handle <= 0)
        return NULL;
    gwm_port *port = ports[handle & (GWM_MAX_PORTS - 1)];
    return port && port->handle == handle ? port : NULL;
}

gwm_port *gwm_port_acquire(int handle) {
    pthread_mutex_lock(&lock);
    gwm_port *port = find(handle);
    if (port)
        pj_grp_lock_add_ref(port->grp_lock);
    pthread_mutex_unlock(&lock);
    if (!port)
        gwm_fail(GWM_ENOPORT, "no media port %d", handle);
    return port;
}

void gwm_port_release(gwm_port *port) { pj_grp_lock_dec_ref(port->grp_lock); }

/* ---- connections; table lock held ---------------------------------------------------------- */

static pj_status_t join(const gwm_port *source, const gwm_port *sink) {
    return pjmedia_conf_connect_port(gwm_bridge(), (unsigned)source->slot, (unsigned)sink->slot, 0);
}

static void part(const gwm_port *source, const gwm_port *sink) {
    pjmedia_conf_disconnect_port(gwm_bridge(), (unsigned)source->slot, (unsigned)sink->slot);
}

/* Whether the bridge writes to this port. */
static void let_bridge_write(const gwm_port *sink, int may) {
    pjmedia_conf_configure_port(gwm_bridge(), (unsigned)sink->slot,
                                may ? PJMEDIA_PORT_ENABLE : PJMEDIA_PORT_DISABLE,
                                PJMEDIA_PORT_NO_CHANGE);
}

static int apply(connection *c) {
    gwm_port *source = find(c->source), *sink = find(c->sink);
    if (c->path != UNAPPLIED || !source || !sink || source->slot < 0 || sink->slot < 0)
        return 0;
    pj_status_t status = join(source, sink);
    if (status != PJ_SUCCESS)
        return gwm_fail_status("connect", status);
    c->path = BRIDGED;
    return 0;
}

static void close_route(connection *c, gwm_port *source) {
    if (c->path == DIRECT && source)
        gwm_direct_close(&source->tap->direct);
}

/* Takes back what apply and review have done. `leaving` may be out of the table already. */
static void cut(connection *c, gwm_port *leaving) {
    gwm_port *source = c->source == leaving->handle ? leaving : find(c->source);
    gwm_port *sink = c->sink == leaving->handle ? leaving : find(c->sink);
    close_route(c, source);
    if (c->path == BRIDGED && source && sink && source->slot >= 0 && sink->slot >= 0)
        part(source, sink);
    else if (c->path == DIRECT && sink && sink->slot >= 0)
        sink->give_back = to_give_back = 1;
    c->path = UNAPPLIED;
}

static void back_to_bridge(connection *c, gwm_port *source) {
    cut(c, source);
    apply(c);
}

static void note_fans(const connection *c, int step) {
    gwm_port *source = find(c->source), *sink = find(c->sink);
    if (source)
        source->fan_out += step;
    if (sink)
        sink->fan_in += step;
}

static int is_private(const gwm_port *source, const gwm_port *sink) {
    return source->fan_out == 1 && sink->fan_in == 1;
}

/* After a change at one of the two: whoever is no longer alone comes back to the bridge at once. */
static void recall(void) {
    for (int i = 0; i < connection_count; i++) {
        connection *c = &connections[i];
        if (!c->source || c->path != DIRECT)
            continue;
        gwm_port *source = find(c->source), *sink = find(c->sink);
        if (source && sink && !is_private(source, sink))
            back_to_bridge(c, source);
    }
}

static int sends_events(gwm_tap *tap) {
    pthread_mutex_lock(&tap->lock);
    int busy = gwm_dtmf_tx_busy(&tap->tx);
    pthread_mutex_unlock(&tap->lock);
    return busy;
}

static int may_go_direct(const connection *c, const gwm_port *source, const gwm_port *sink,
                         uint64_t now_us) {
    return !c->bridge_only && is_private(source, sink) && sink->tap->audio &&
           gwm_tap_flows(source->tap, now_us) && !sends_events(sink->tap);
}

/* 1 when a route was opened. */
static int review(connection *c, uint64_t now_us) {
    gwm_port *source = find(c->source), *sink = find(c->sink);
    if (!source || !sink || !source->tap || !sink->tap || source->slot < 0 || sink->slot < 0)
        return 0;
    if (c->path == DIRECT && !gwm_tap_still_flows(source->tap, now_us))
        back_to_bridge(c, source);
    else if (c->path == BRIDGED && may_go_direct(c, source, sink, now_us)) {
        let_bridge_write(sink, 0);
        part(source, sink);
        c->path = DIRECT;
        c->bridge_only = gwm_direct_open(&source->tap->direct, sink->tap, now_us) != 0;
        if (c->bridge_only)
            back_to_bridge(c, source);
        return 1;
    }
    return 0;
}

/* Between two ticks, so that the bridge's threads see all that the route did to the stream: they
 * look at the setting without a lock. */
static void give_back(void) {
    for (unsigned index = 0; to_give_back && index < GWM_MAX_PORTS; index++) {
        gwm_port *port = ports[index];
        if (!port || !port->give_back)
            continue;
        port->give_back = 0;
        if (port->slot >= 0)
            let_bridge_write(port, 1);
    }
    to_give_back = 0;
}

void gwm_table_review(uint64_t now_us) {
    /* The clock does not wait for whoever works on the table; the next tick will do. */
    if (!direct_allowed || pthread_mutex_trylock(&lock))
        return;
    give_back();
    for (int i = 0, opened = 0; i < connection_count && opened < MAX_OPENINGS; i++)
        if (connections[i].source)
            opened += review(&connections[i], now_us);
    pthread_mutex_unlock(&lock);
}

static connection *find_connection(int source, int sink) {
    for (int i = 0; i < connection_count; i++)
        if (connections[i].source == source && connections[i].sink == sink)
            return &connections[i];
    return NULL;
}

static connection *new_connection(void) {
    for (int i = 0; i < connection_count; i++)
        if (!connections[i].source)
            return &connections[i];
    return connection_count < MAX_CONNECTIONS ? &connections[connection_count++] : NULL;
}

int gwm_connect(int source, int sink) {
    gwm_enter();
    int code = 0;
    pthread_mutex_lock(&lock);
    if (!find(source) || !find(sink)) {
        code = gwm_fail(GWM_ENOPORT, "no media port %d", find(source) ? sink : source);
    } else if (!find_connection(source, sink)) {
        connection *c = new_connection();
        if (c) {
            *c = (connection){.source = source, .sink = sink};
            note_fans(c, 1);
            recall();
            code = apply(c);
            if (code) {
                note_fans(c, -1);
                c->source = 0;
            }
        } else {
            code = gwm_fail(GWM_EFULL, "too many connections");
        }
    }
    pthread_mutex_unlock(&lock);
    return code;
}

int gwm_disconnect(int source, int sink) {
    gwm_enter();
    pthread_mutex_lock(&lock);
    connection *c = find_connection(source, sink);
    gwm_port *from = find(source);
    if (c) {
        if (from)
            cut(c, from);
        note_fans(c, -1);
        c->source = 0;
    }
    pthread_mutex_unlock(&lock);
    return 0;
}

/* The bridge drops a removed port's connections by itself. */
static void set_slot(gwm_port *port, int slot) {
    if (port->slot == slot)
        return;
    for (int i = 0; i < connection_count; i++) {
        connection *c = &connections[i];
        if (!c->source || (c->source != port->handle && c->sink != port->handle))
            continue;
        /* The slot that port leaves may be somebody else's already, and must not be touched. */
        if (c->sink == port->handle)
            close_route(c, find(c->source));
        else if (c->path == DIRECT)
            cut(c, port);
        c->path = UNAPPLIED;
        c->bridge_only = 0;
    }
    port->slot = slot;
    port->give_back = 0;
    for (int i = 0; i < connection_count; i++) {
        connection *c = &connections[i];
        if (c->source && (c->source == port->handle || c->sink == port->handle))
            apply(c);
    }
    /* Silence keeps the outgoing RTP flowing, and its timestamps advancing, while nobody speaks. */
    if (slot >= 0 && port->tap)
        pjmedia_conf_connect_port(gwm_bridge(), (unsigned)gwm_silence_slot(), (unsigned)slot, 0);
}

void gwm_port_set_slot(gwm_port *port, int slot) {
    pthread_mutex_lock(&lock);
    set_slot(port, slot);
    pthread_mutex_unlock(&lock);
}

/* ---- life; table lock held ------------------------------------------------------------------ */

static void close_found(gwm_port *port) {
    ports[port->handle & (GWM_MAX_PORTS - 1)] = NULL;
    count--;
    for (int i = 0; i < connection_count; i++) {
        connection *c = &connections[i];
        if (c->source != port->handle && c->sink != port->handle)
            continue;
        /* A SIP leg's bridge port outlives the handle: its audio has to be cut here. So does what
         * goes past the bridge. */
        if (port->kind == GWM_KIND_SIP || c->path == DIRECT)
            cut(c, port);
        note_fans(c, -1);
        c->source = 0;
    }
    while (connection_count && !connections[connection_count - 1].source)
        connection_count--;
    /* pjsua adds and removes the bridge port of a SIP leg itself. */
    if (port->slot >= 0 && port->kind != GWM_KIND_SIP)
        pjmedia_conf_remove_port(gwm_bridge(), (unsigned)port->slot);
    port->slot = -1;
}

void gwm_table_pair(int one, int other) {
    pthread_mutex_lock(&lock);
    gwm_port *first = find(one), *second = find(other);
    if (first && second && first != second) {
        first->partner = other;
        second->partner = one;
    }
    pthread_mutex_unlock(&lock);
}

static int close_one(int handle, int *partner) {
    pthread_mutex_lock(&lock);
    gwm_port *port = find(handle);
    if (port) {
        *partner = port->partner;
        close_found(port);
    }
    pthread_mutex_unlock(&lock);
    if (!port)
        return GWM_ENOPORT;
    if (port->webrtc)
        gwm_webrtc_unplug(port->webrtc);
    gwm_housekeeper_reap(port); /* takes over the table's reference */
    return 0;
}

int gwm_table_close(int handle) {
    int partner = 0;
    int code = close_one(handle, &partner);
    if (partner)
        close_one(partner, &partner);
    return code;
}

void gwm_table_close_all(void) {
    for (unsigned index = 0; index < GWM_MAX_PORTS; index++) {
        pthread_mutex_lock(&lock);
        gwm_port *port = ports[index];
        int handle = port ? port->handle : 0;
        pthread_mutex_unlock(&lock);
        if (handle)
            gwm_table_close(handle);
    }
}

int gwm_close(int handle) {
    gwm_enter();
    return gwm_table_close(handle);
}

void gwm_table_each_leg(void (*visit)(gwm_port *port, uint64_t now_us), uint64_t now_us) {
    for (unsigned index = 0; index < GWM_MAX_PORTS; index++) {
        if (!ports[index]) /* a racy look is enough: the next round sees it */
            continue;
        pthread_mutex_lock(&lock);
        gwm_port *port = ports[index];
        if (port && port->tap)
            pj_grp_lock_add_ref(port->grp_lock);
        else
            port = NULL;
        pthread_mutex_unlock(&lock);
        if (port) {
            visit(port, now_us);
            gwm_port_release(port);
        }
    }
}

/* Table lock held. What goes past the bridge is not in the bridge's own levels. */
static void direct_levels(const gwm_port *port, unsigned *received, unsigned *sent) {
    for (int i = 0; i < connection_count; i++) {
        connection *c = &connections[i];
        if (!c->source || c->path != DIRECT)
            continue;
        gwm_port *source = find(c->source);
        unsigned level = source ? atomic_load(&source->tap->direct.level) : 0;
        if (c->source == port->handle)
            *received = level;
        if (c->sink == port->handle)
            *sent = level;
    }
}

int gwm_levels(int handle, unsigned *received, unsigned *sent) {
    gwm_enter();
    int code = GWM_ESTATE;
    unsigned tx = 0, rx = 0;
    pthread_mutex_lock(&lock);
    gwm_port *port = find(handle);
    if (!port)
        code = gwm_fail(GWM_ENOPORT, "no media port %d", handle);
    else if (port->slot < 0)
        gwm_fail(GWM_ESTATE, "port %d has no audio now", handle);
    else if (pjmedia_conf_get_signal_level(gwm_bridge(), (unsigned)port->slot, &tx, &rx) ==
             PJ_SUCCESS) {
        code = 0;
        direct_levels(port, &rx, &tx);
    }
    pthread_mutex_unlock(&lock);
    *received = rx;
    *sent = tx;
    return code;
}

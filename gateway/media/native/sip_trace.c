/* SIP messages as they pass, for Python: a module of pjsip next to its transport layer, so that it
 * sees what is really received and sent, retransmissions, ACK and CANCEL too.
 *
 * Ownership. A message is copied into a block of its own, which is the queue's until
 * gwm_sip_trace_next has copied it out; then it is freed. pjsip keeps a pointer to `module`, which
 * is static, from gwm_sip_trace_start to gwm_sip_trace_stop; unregistering waits until no thread is
 * inside it.
 *
 * Threads. pjsip calls the module on the SIP thread, and gwm_sip_trace_next may be called on any.
 * They meet under `lock`, which is held while a block is linked or unlinked and no longer. No media
 * thread ever takes it. A queue that Python does not read stops growing at MAX_WAITING bytes: what
 * comes then is lost and counted.
 */
#include <stdlib.h>
#include <string.h>

#include "internal.h"

#define MAX_WAITING (1024u * 1024u)
#define TOLD_AGAIN 64 /* messages: an event that found its own queue full is made up for */

typedef struct waiting {
    struct waiting *next;
    gwm_sip_message message;
    char text[];
} waiting;

static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
static waiting *first, **last = &first;
static size_t bytes;
static unsigned count;
static uint64_t lost;
static int registered;

/* ---- SIP thread ---------------------------------------------------------------------------- */

static void keep(waiting *w) {
    int tells = 0;
    pthread_mutex_lock(&lock);
    if (bytes + sizeof *w + w->message.stored > MAX_WAITING) {
        lost++;
    } else {
        tells = count++ % TOLD_AGAIN == 0;
        bytes += sizeof *w + w->message.stored;
        *last = w;
        last = &w->next;
        w = NULL;
    }
    pthread_mutex_unlock(&lock);
    free(w);
    if (tells) {
        gwm_event e = {.type = GWM_SIP_TRACED, .digit = -1, .monotonic_us = gwm_now_us()};
        gwm_emit(&e);
    }
}

static void copy_host(char *to, size_t size, const char *from, size_t len) {
    if (len >= size)
        len = size - 1;
    memcpy(to, from, len);
    to[len] = 0;
}

/* Our end: of a connection what the socket has, whatever the transport tells peers to call. */
static void copy_local(gwm_sip_message *m, const pjsip_transport *t) {
    if (t->flag & PJSIP_TRANSPORT_RELIABLE && pj_sockaddr_has_addr(&t->local_addr)) {
        pj_sockaddr_print(&t->local_addr, m->local, sizeof m->local, 0);
        m->local_port = pj_sockaddr_get_port(&t->local_addr);
        return;
    }
    copy_host(m->local, sizeof m->local, t->local_name.host.ptr, (size_t)t->local_name.host.slen);
    m->local_port = (uint16_t)t->local_name.port;
}

static void note(int sent, const pjsip_transport *transport, const char *peer, int peer_port,
                 const char *text, size_t len) {
    size_t stored = len < GWM_SIP_MESSAGE_MAX ? len : GWM_SIP_MESSAGE_MAX;
    waiting *w = calloc(1, sizeof *w + stored);
    if (!w) {
        pthread_mutex_lock(&lock);
        lost++;
        pthread_mutex_unlock(&lock);
        return;
    }
    gwm_sip_message *m = &w->message;
    m->monotonic_us = gwm_now_us();
    m->sent = sent;
    m->length = (uint32_t)len;
    m->stored = (uint32_t)stored;
    copy_host(m->transport, sizeof m->transport, transport->type_name,
              strlen(transport->type_name));
    copy_local(m, transport);
    copy_host(m->peer, sizeof m->peer, peer, strlen(peer));
    m->peer_port = (uint16_t)peer_port;
    memcpy(w->text, text, stored);
    keep(w);
}

static pj_bool_t on_received(pjsip_rx_data *r) {
    note(0, r->tp_info.transport, r->pkt_info.src_name, r->pkt_info.src_port, r->msg_info.msg_buf,
         (size_t)r->msg_info.len);
    return PJ_FALSE; /* others deal with it */
}

static pj_status_t on_sending(pjsip_tx_data *t) {
    note(1, t->tp_info.transport, t->tp_info.dst_name, t->tp_info.dst_port, t->buf.start,
         (size_t)(t->buf.cur - t->buf.start));
    return PJ_SUCCESS;
}

/* Above the transport layer by priority: received messages come here first, and those that are sent
 * last, when they have been printed. */
static pjsip_module module = {
    .name = {"gw-sip-trace", 12},
    .id = -1,
    .priority = PJSIP_MOD_PRIORITY_TRANSPORT_LAYER - 1,
    .on_rx_request = on_received,
    .on_rx_response = on_received,
    .on_tx_request = on_sending,
    .on_tx_response = on_sending,
};

/* ---- life ---------------------------------------------------------------------------------- */

int gwm_sip_trace_start(void) {
    if (!gwm_running())
        return gwm_fail(GWM_ESTATE, "the media plane is not running");
    gwm_enter();
    if (registered)
        return 0;
    module.id = -1;
    pj_status_t status = pjsip_endpt_register_module(pjsua_get_pjsip_endpt(), &module);
    if (status != PJ_SUCCESS)
        return gwm_fail_status("SIP trace", status);
    registered = 1;
    return 0;
}

static waiting *take(void) {
    pthread_mutex_lock(&lock);
    waiting *w = first;
    if (w) {
        first = w->next;
        count = first ? count : 0;
        if (!first)
            last = &first;
        bytes -= sizeof *w + w->message.stored;
    }
    pthread_mutex_unlock(&lock);
    return w;
}

void gwm_sip_trace_stop(void) {
    if (!registered)
        return;
    pjsip_endpt_unregister_module(pjsua_get_pjsip_endpt(), &module);
    registered = 0;
    for (waiting *w = take(); w; w = take())
        free(w);
}

/* ---- API ----------------------------------------------------------------------------------- */

int gwm_sip_trace_next(gwm_sip_message *out, char *text, unsigned capacity) {
    if (capacity < GWM_SIP_MESSAGE_MAX)
        return gwm_fail(GWM_EINVAL, "a message takes %d bytes", GWM_SIP_MESSAGE_MAX);
    waiting *w = take();
    if (!w)
        return 0;
    *out = w->message;
    memcpy(text, w->text, w->message.stored);
    free(w);
    return 1;
}

uint64_t gwm_sip_trace_lost(void) {
    pthread_mutex_lock(&lock);
    uint64_t so_far = lost;
    pthread_mutex_unlock(&lock);
    return so_far;
}

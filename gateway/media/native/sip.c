/* SIP legs: the tap under each of pjsua's audio streams, found by call. */
#include <stdlib.h>
#include <string.h>

#include "tap.h"

static atomic_int handles[PJSUA_MAX_CALLS]; /* the port of each call's audio, 0 = none yet */
static pjmedia_transport *(*previous_hook)(pjsua_call_id, unsigned, pjmedia_transport *, unsigned);

typedef struct sip_port {
    gwm_port port; /* first */
    gwm_tap tap;
    pjsua_call_id call;
} sip_port;

static void destroy_sip(gwm_port *port) {
    gwm_tap_finish(port->tap); /* the transport itself is pjsua's to close */
}

/* pjsua asks for the transport of a media line (on the SIP thread). The port lives as long as the
 * group lock of the transport below. */
static pjmedia_transport *create_tap(pjsua_call_id call, unsigned index, pjmedia_transport *member,
                                     unsigned flags) {
    gwm_enter();
    /* pjsua2 makes its Call object of an incoming INVITE in here. */
    if (previous_hook && !(member = previous_hook(call, index, member, flags)))
        return NULL;
    pj_pool_t *pool = pjsua_pool_create("sipleg", 4096, 1024);
    if (!pool || !member->grp_lock)
        return NULL;
    sip_port *sip = PJ_POOL_ZALLOC_T(pool, sip_port);
    gwm_port *port = &sip->port;
    port->kind = GWM_KIND_SIP;
    port->pool = pool;
    port->slot = -1;
    port->destroy = destroy_sip;
    port->grp_lock = member->grp_lock;
    sip->call = call;
    if (pj_grp_lock_add_handler(port->grp_lock, NULL, port, gwm_port_on_destroy) != PJ_SUCCESS) {
        pj_pool_release(pool);
        return NULL;
    }
    gwm_tap_init(&sip->tap, port, member, (flags & PJSUA_MED_TP_CLOSE_MEMBER) != 0);
    sip->tap.check_source = 1;
    if (gwm_table_add(port) < 0) {
        /* Closing the tap closes the member too, as pjsua would have to on its own. */
        pjmedia_transport_close(&sip->tap.base);
        return NULL;
    }
    return &sip->tap.base;
}

void gwm_sip_start(void) {
    for (int i = 0; i < PJSUA_MAX_CALLS; i++)
        atomic_store(&handles[i], 0);
    previous_hook = pjsua_var.ua_cfg.cb.on_create_media_transport;
    pjsua_var.ua_cfg.cb.on_create_media_transport = create_tap;
    /* The tap takes telephone-events out of the stream; pjsua's own reports would come twice. */
    pjsua_var.ua_cfg.cb.on_dtmf_digit = NULL;
    pjsua_var.ua_cfg.cb.on_dtmf_digit2 = NULL;
    pjsua_var.ua_cfg.cb.on_dtmf_event = NULL;
}

void gwm_sip_stop(void) { pjsua_var.ua_cfg.cb.on_create_media_transport = previous_hook; }

void gwm_sip_forget(gwm_port *port) {
    sip_port *sip = (sip_port *)port;
    int handle = port->handle;
    atomic_compare_exchange_strong(&handles[sip->call], &handle, 0);
    if (gwm_running())
        gwm_table_close(port->handle);
}

/* ---- negotiated session description ------------------------------------------------------ */

/* RTP clock of a payload type; static assignments of RFC 3551 table 4 need no rtpmap. */
static unsigned clock_of(const pjmedia_sdp_media *media, const pj_str_t *format,
                         pj_str_t *encoding) {
    pjmedia_sdp_attr *attribute = pjmedia_sdp_media_find_attr2(media, "rtpmap", format);
    pjmedia_sdp_rtpmap map;
    if (attribute && pjmedia_sdp_attr_get_rtpmap(attribute, &map) == PJ_SUCCESS) {
        if (encoding)
            *encoding = map.enc_name;
        return map.clock_rate;
    }
    return 8000;
}

/* Payload type of telephone-event at this clock rate, -1 without. */
static int event_type(const pjmedia_sdp_media *media, unsigned clock_rate) {
    for (unsigned i = 0; i < media->desc.fmt_count; i++) {
        pj_str_t encoding = {NULL, 0};
        unsigned rate = clock_of(media, &media->desc.fmt[i], &encoding);
        if (rate == clock_rate && pj_stricmp2(&encoding, "telephone-event") == 0)
            return (int)pj_strtoul(&media->desc.fmt[i]);
    }
    return -1;
}

/* RFC 4733 2.4.1: fmtp lists events as "0-15,66"; without it 0-15 are meant (2.5.1.1). */
static uint32_t event_mask(const pjmedia_sdp_media *media, int payload_type) {
    char number[16];
    pj_ansi_snprintf(number, sizeof number, "%d", payload_type);
    pj_str_t format = pj_str(number);
    pjmedia_sdp_attr *attribute = pjmedia_sdp_media_find_attr2(media, "fmtp", &format);
    if (!attribute)
        return 0xFFFF;
    char list[128];
    pj_ansi_strxcpy2(list, &attribute->value, sizeof list);
    char *p = strchr(list, ' ');
    uint32_t mask = 0;
    while (p && *p) {
        char *end;
        unsigned long first = strtoul(p, &end, 10), last = first;
        if (end == p)
            break;
        if (*end == '-')
            last = strtoul(end + 1, &end, 10);
        for (unsigned long n = first; n <= last && n < 32; n++)
            mask |= 1u << n;
        p = *end == ',' ? end + 1 : NULL;
    }
    return mask;
}

void gwm_sip_negotiated(gwm_tap *tap, const pjmedia_sdp_session *local,
                        const pjmedia_sdp_session *remote, unsigned index) {
    sip_port *sip = (sip_port *)tap->port;
    if (index >= local->media_count || !remote || index >= remote->media_count)
        return;
    const pjmedia_sdp_media *ours = local->media[index], *theirs = remote->media[index];
    if (pj_stricmp2(&ours->desc.media, "audio") != 0 || !ours->desc.fmt_count || !theirs->desc.port)
        return;
    unsigned clock_rate = clock_of(ours, &ours->desc.fmt[0], NULL);
    int rx = event_type(ours, clock_rate), tx = event_type(theirs, clock_rate);
    gwm_tap_events(tap, rx, tx, clock_rate, tx < 0 ? 0 : event_mask(theirs, tx));
    gwm_tap_receives(tap, !pjmedia_sdp_media_find_attr2(ours, "sendonly", NULL) &&
                              !pjmedia_sdp_media_find_attr2(ours, "inactive", NULL));
    atomic_store(&handles[sip->call], tap->port->handle);
}

/* ---- API --------------------------------------------------------------------------------- */

static gwm_port *acquire_sip(int handle) {
    gwm_enter();
    gwm_port *port = gwm_port_acquire(handle);
    if (port && port->kind != GWM_KIND_SIP) {
        gwm_port_release(port);
        gwm_fail(GWM_EINVAL, "port %d is not a SIP leg", handle);
        return NULL;
    }
    return port;
}

int gwm_sip_media(int call, int slot) {
    gwm_enter();
    if (call < 0 || call >= PJSUA_MAX_CALLS)
        return gwm_fail(GWM_EINVAL, "no pjsua call %d", call);
    int handle = atomic_load(&handles[call]);
    if (!handle)
        return gwm_fail(GWM_ESTATE, "call %d has no negotiated audio", call);
    gwm_port *port = gwm_port_acquire(handle);
    if (!port)
        return GWM_ENOPORT;
    gwm_port_set_slot(port, slot);
    gwm_port_release(port);
    return handle;
}

int gwm_sip_latch(int handle, int latch) {
    gwm_port *port = acquire_sip(handle);
    if (!port)
        return GWM_ENOPORT;
    pthread_mutex_lock(&port->tap->lock);
    port->tap->may_latch = latch;
    pthread_mutex_unlock(&port->tap->lock);
    gwm_port_release(port);
    return 0;
}

int gwm_sip_timeout(int handle, int rtp_timeout_ms) {
    gwm_port *port = acquire_sip(handle);
    if (!port)
        return GWM_ENOPORT;
    pthread_mutex_lock(&port->tap->lock);
    port->tap->rtp_timeout_ms = rtp_timeout_ms;
    port->tap->last_rx_us = gwm_now_us();
    pthread_mutex_unlock(&port->tap->lock);
    gwm_port_release(port);
    return 0;
}

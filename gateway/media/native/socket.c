/* The bottom transport of a WebRTC leg: the UDP sockets that ICE selected, taken over from Python.
 * RFC 7983 demultiplexing, and nothing but STUN from addresses that ICE has not validated. */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include "rtp.h"
#include "webrtc.h"

#define NOT_SELECTED (-2)
/* ICE sends a check every 20 ms at most (RFC 8445 14.2); more from a stranger is a flood, and each
 * one costs Python a hash. */
#define STRANGERS_PER_SECOND 100

/* ---- pjmedia_transport ------------------------------------------------------------------- */

static pj_status_t get_info(pjmedia_transport *transport, pjmedia_transport_info *info) {
    PJ_UNUSED_ARG(transport);
    pj_bzero(&info->sock_info, sizeof info->sock_info);
    info->sock_info.rtp_sock = info->sock_info.rtcp_sock = PJ_INVALID_SOCKET;
    pj_sockaddr_init(pj_AF_INET(), &info->sock_info.rtp_addr_name, NULL, 9);
    pj_sockaddr_cp(&info->sock_info.rtcp_addr_name, &info->sock_info.rtp_addr_name);
    return PJ_SUCCESS;
}

static pj_status_t attach2(pjmedia_transport *transport, pjmedia_transport_attach_param *param) {
    gwm_webrtc *w = (gwm_webrtc *)transport;
    pthread_mutex_lock(&w->lock);
    w->above = param->user_data;
    w->rtp_cb2 = param->rtp_cb2;
    w->rtcp_cb = param->rtcp_cb;
    pthread_mutex_unlock(&w->lock);
    return PJ_SUCCESS;
}

static void detach(pjmedia_transport *transport, void *user) {
    gwm_webrtc *w = (gwm_webrtc *)transport;
    PJ_UNUSED_ARG(user);
    pthread_mutex_lock(&w->lock);
    w->above = NULL;
    w->rtp_cb2 = NULL;
    w->rtcp_cb = NULL;
    pthread_mutex_unlock(&w->lock);
}

/* RTP that the network does not take is lost, as anywhere else on its way. */
static pj_status_t send_datagram(pjmedia_transport *transport, const void *packet, pj_size_t size) {
    gwm_webrtc *w = (gwm_webrtc *)transport;
    pthread_mutex_lock(&w->lock);
    int tag = w->selected;
    int fd = tag >= 0 ? w->sockets[tag] : -1;
    pj_sockaddr remote = w->remote;
    pthread_mutex_unlock(&w->lock);
    if (tag == GWM_RELAYED)
        gwm_hand_over(w->port->handle, GWM_RELAYED, &remote, packet, size);
    else if (fd >= 0)
        sendto(fd, packet, size, MSG_DONTWAIT | MSG_NOSIGNAL, (struct sockaddr *)&remote,
               pj_sockaddr_get_len(&remote));
    return PJ_SUCCESS;
}

static pj_status_t send_rtcp2(pjmedia_transport *transport, const pj_sockaddr_t *address,
                              unsigned address_len, const void *packet, pj_size_t size) {
    PJ_UNUSED_ARG(address); /* rtcp-mux: one pair carries everything (RFC 5761) */
    PJ_UNUSED_ARG(address_len);
    return send_datagram(transport, packet, size);
}

static pj_status_t media_create(pjmedia_transport *t, pj_pool_t *p, unsigned o,
                                const pjmedia_sdp_session *r, unsigned i) {
    PJ_UNUSED_ARG(t), PJ_UNUSED_ARG(p), PJ_UNUSED_ARG(o), PJ_UNUSED_ARG(r), PJ_UNUSED_ARG(i);
    return PJ_SUCCESS;
}

static pj_status_t encode_sdp(pjmedia_transport *t, pj_pool_t *p, pjmedia_sdp_session *l,
                              const pjmedia_sdp_session *r, unsigned i) {
    PJ_UNUSED_ARG(t), PJ_UNUSED_ARG(p), PJ_UNUSED_ARG(l), PJ_UNUSED_ARG(r), PJ_UNUSED_ARG(i);
    return PJ_SUCCESS;
}

static pj_status_t media_start(pjmedia_transport *t, pj_pool_t *p, const pjmedia_sdp_session *l,
                               const pjmedia_sdp_session *r, unsigned i) {
    PJ_UNUSED_ARG(t), PJ_UNUSED_ARG(p), PJ_UNUSED_ARG(l), PJ_UNUSED_ARG(r), PJ_UNUSED_ARG(i);
    return PJ_SUCCESS;
}

static pj_status_t media_stop(pjmedia_transport *t) {
    PJ_UNUSED_ARG(t);
    return PJ_SUCCESS;
}

static pj_status_t simulate_lost(pjmedia_transport *t, pjmedia_dir d, unsigned percent) {
    PJ_UNUSED_ARG(t), PJ_UNUSED_ARG(d), PJ_UNUSED_ARG(percent);
    return PJ_SUCCESS;
}

static pj_status_t destroy(pjmedia_transport *t) {
    PJ_UNUSED_ARG(t); /* the leg owns its memory */
    return PJ_SUCCESS;
}

static pjmedia_transport_op operations = {
    get_info,   NULL,        detach,     send_datagram, send_datagram, send_rtcp2, media_create,
    encode_sdp, media_start, media_stop, simulate_lost, destroy,       attach2};

void gwm_socket_init(gwm_webrtc *w, gwm_port *port) {
    pj_ansi_strxcpy(w->base.name, "webrtc", sizeof w->base.name);
    w->base.op = &operations;
    w->base.type = PJMEDIA_TRANSPORT_TYPE_USER;
    w->base.grp_lock = port->grp_lock;
    w->port = port;
    w->selected = NOT_SELECTED;
    for (int tag = 0; tag < GWM_MAX_SOCKETS; tag++)
        w->sockets[tag] = -1;
    pthread_mutex_init(&w->lock, NULL);
    port->webrtc = w;
}

void gwm_webrtc_unplug(gwm_webrtc *w) {
    pthread_mutex_lock(&w->lock);
    for (int tag = 0; tag < GWM_MAX_SOCKETS; tag++)
        if (w->sockets[tag] >= 0)
            gwm_reader_remove(w->port, w->sockets[tag]);
    pthread_mutex_unlock(&w->lock);
}

void gwm_socket_close(gwm_webrtc *w) {
    pthread_mutex_lock(&w->lock);
    for (int tag = 0; tag < GWM_MAX_SOCKETS; tag++) {
        if (w->sockets[tag] >= 0)
            close(w->sockets[tag]);
        w->sockets[tag] = -1;
    }
    w->selected = NOT_SELECTED;
    pthread_mutex_unlock(&w->lock);
}

void gwm_webrtc_addresses(gwm_webrtc *w, pj_sockaddr *local, pj_sockaddr *peer) {
    socklen_t len = sizeof *local;
    pthread_mutex_lock(&w->lock);
    if (w->selected >= 0)
        getsockname(w->sockets[w->selected], (struct sockaddr *)local, &len);
    if (w->selected != NOT_SELECTED)
        pj_sockaddr_cp(peer, &w->remote);
    pthread_mutex_unlock(&w->lock);
}

/* ---- datagrams in ------------------------------------------------------------------------ */

/* Lock held. */
static int is_allowed(const gwm_webrtc *w, const pj_sockaddr *source) {
    for (int i = 0; i < w->allowed_count; i++)
        if (pj_sockaddr_cmp(&w->allowed[i], source) == 0)
            return 1;
    return 0;
}

/* Lock held. Whether one more STUN datagram of an address not validated is passed on. */
static int may_introduce(gwm_webrtc *w) {
    uint64_t second = gwm_now_us() / 1000000u;
    if (second != w->stranger_second) {
        w->stranger_second = second;
        w->strangers = 0;
    }
    return w->strangers++ < STRANGERS_PER_SECOND;
}

static void pass_up(gwm_webrtc *w, gwm_datagram_kind kind, uint8_t *data, int len) {
    pthread_mutex_lock(&w->lock);
    void *above = w->above;
    void (*rtp_cb2)(pjmedia_tp_cb_param *) = w->rtp_cb2;
    void (*rtcp_cb)(void *, void *, pj_ssize_t) = w->rtcp_cb;
    if (kind == GWM_DATAGRAM_RTP)
        w->rtp_in++;
    pthread_mutex_unlock(&w->lock);
    if (!above)
        return;
    if (kind == GWM_DATAGRAM_RTCP) {
        if (rtcp_cb)
            rtcp_cb(above, data, len);
    } else if (rtp_cb2) {
        pjmedia_tp_cb_param param;
        pj_bzero(&param, sizeof param); /* no source address: ICE has decided already */
        param.user_data = above;
        param.pkt = data;
        param.size = len;
        rtp_cb2(&param);
    }
}

void gwm_webrtc_datagram(gwm_port *port, int tag, const uint8_t *data, int len,
                         const pj_sockaddr *source) {
    gwm_webrtc *w = port->webrtc;
    gwm_datagram_kind kind = gwm_datagram_classify(data, (size_t)len);
    if (source) {
        pthread_mutex_lock(&w->lock);
        int heard = is_allowed(w, source) || (kind == GWM_DATAGRAM_STUN && may_introduce(w));
        if (!heard)
            w->rejected_source++;
        pthread_mutex_unlock(&w->lock);
        if (!heard)
            return;
    }
    if (kind == GWM_DATAGRAM_RTP || kind == GWM_DATAGRAM_RTCP)
        pass_up(w, kind, (uint8_t *)data, len);
    else if (kind == GWM_DATAGRAM_STUN || kind == GWM_DATAGRAM_DTLS)
        gwm_hand_over(port->handle, tag, source, data, (size_t)len);
}

/* ---- API --------------------------------------------------------------------------------- */

static gwm_port *acquire_webrtc(int handle) {
    gwm_enter();
    gwm_port *port = gwm_port_acquire(handle);
    if (port && !port->webrtc) {
        gwm_port_release(port);
        gwm_fail(GWM_EINVAL, "port %d is not a WebRTC leg", handle);
        return NULL;
    }
    return port;
}

static int parse_address(const char *ip, int udp_port, pj_sockaddr *out) {
    pj_str_t text = pj_str((char *)ip);
    int family = strchr(ip, ':') ? pj_AF_INET6() : pj_AF_INET();
    if (udp_port < 1 || udp_port > 65535 ||
        pj_sockaddr_init(family, out, NULL, (pj_uint16_t)udp_port) != PJ_SUCCESS ||
        pj_inet_pton(family, &text, pj_sockaddr_get_addr(out)) != PJ_SUCCESS)
        return gwm_fail(GWM_EINVAL, "not an address: %s port %d", ip, udp_port);
    return 0;
}

int gwm_webrtc_add_socket(int handle, int tag, int fd) {
    if (tag < 0 || tag >= GWM_MAX_SOCKETS)
        return gwm_fail(GWM_EINVAL, "socket tag %d is not 0..%d", tag, GWM_MAX_SOCKETS - 1);
    gwm_port *port = acquire_webrtc(handle);
    if (!port)
        return GWM_ENOPORT;
    int own = dup(fd), code = 0;
    if (own < 0) {
        code = gwm_fail(GWM_ESYSTEM, "dup: %s", strerror(errno));
    } else {
        pthread_mutex_lock(&port->webrtc->lock);
        if (port->webrtc->sockets[tag] >= 0)
            code = gwm_fail(GWM_EINVAL, "socket tag %d is taken", tag);
        else if (!(code = gwm_reader_add(port, tag, own)))
            port->webrtc->sockets[tag] = own;
        pthread_mutex_unlock(&port->webrtc->lock);
        if (code)
            close(own);
    }
    gwm_port_release(port);
    return code;
}

int gwm_webrtc_allow(int handle, const char *ip, int udp_port) {
    pj_sockaddr address;
    int code = parse_address(ip, udp_port, &address);
    gwm_port *port = code ? NULL : acquire_webrtc(handle);
    if (!port)
        return code ? code : GWM_ENOPORT;
    gwm_webrtc *w = port->webrtc;
    pthread_mutex_lock(&w->lock);
    if (!is_allowed(w, &address)) {
        if (w->allowed_count < GWM_MAX_ALLOWED)
            pj_sockaddr_cp(&w->allowed[w->allowed_count++], &address);
        else
            code = gwm_fail(GWM_EFULL, "more than %d validated addresses", GWM_MAX_ALLOWED);
    }
    pthread_mutex_unlock(&w->lock);
    gwm_port_release(port);
    return code;
}

int gwm_webrtc_select(int handle, int tag, const char *ip, int udp_port) {
    pj_sockaddr address;
    if (tag < GWM_RELAYED || tag >= GWM_MAX_SOCKETS)
        return gwm_fail(GWM_EINVAL, "socket tag %d is out of range", tag);
    int code = parse_address(ip, udp_port, &address);
    gwm_port *port = code ? NULL : acquire_webrtc(handle);
    if (!port)
        return code ? code : GWM_ENOPORT;
    gwm_webrtc *w = port->webrtc;
    pthread_mutex_lock(&w->lock);
    if (tag >= 0 && w->sockets[tag] < 0) {
        code = gwm_fail(GWM_EINVAL, "no socket has tag %d", tag);
    } else {
        w->selected = tag;
        pj_sockaddr_cp(&w->remote, &address);
    }
    pthread_mutex_unlock(&w->lock);
    gwm_port_release(port);
    return code;
}

int gwm_webrtc_input(int handle, const uint8_t *datagram, int len) {
    _Alignas(8) uint8_t buffer[2048];
    if (len < 1 || len > (int)sizeof buffer)
        return gwm_fail(GWM_EINVAL, "a datagram of %d bytes", len);
    gwm_port *port = acquire_webrtc(handle);
    if (!port)
        return GWM_ENOPORT;
    memcpy(buffer, datagram, (size_t)len); /* SRTP decrypts in place, and wants alignment */
    gwm_datagram_kind kind = gwm_datagram_classify(buffer, (size_t)len);
    if (kind == GWM_DATAGRAM_RTP || kind == GWM_DATAGRAM_RTCP)
        pass_up(port->webrtc, kind, buffer, len);
    gwm_port_release(port);
    return 0;
}

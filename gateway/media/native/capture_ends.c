/* Where captured packets come from and go to. */
#include <string.h>

#include "tap.h"
#include "webrtc.h"

static void set_address(gwm_pcap_address *out, const pj_sockaddr *from, unsigned port) {
    memset(out, 0, sizeof *out);
    out->family = from->addr.sa_family == pj_AF_INET6() ? 6 : 4;
    if (from->addr.sa_family)
        memcpy(out->octets, pj_sockaddr_get_addr(from), out->family == 6 ? 16 : 4);
    out->port = (uint16_t)port;
}

static unsigned port_of(const pj_sockaddr *address) {
    return address->addr.sa_family ? pj_sockaddr_get_port(address) : 0;
}

/* RTCP shares the port with RTP on WebRTC legs (RFC 5761), and has the next one on SIP legs (RFC
 * 3550 11). */
void gwm_capture_ends(gwm_port *port, gwm_capture_tap *out) {
    pj_sockaddr local, peer;
    pj_bzero(&local, sizeof local);
    pj_bzero(&peer, sizeof peer);
    unsigned next = 0;
    if (port->webrtc) {
        gwm_webrtc_addresses(port->webrtc, &local, &peer);
    } else {
        pthread_mutex_lock(&port->tap->lock);
        local = port->tap->local;
        peer = port->tap->heard;
        pthread_mutex_unlock(&port->tap->lock);
        next = 1;
    }
    set_address(&out->local, &local, port_of(&local));
    set_address(&out->peer, &peer, port_of(&peer));
    set_address(&out->local_rtcp, &local, port_of(&local) + next);
    set_address(&out->peer_rtcp, &peer, port_of(&peer) + next);
}

int gwm_capture_address(const char *ip, int ip_port, gwm_pcap_address *out) {
    pj_sockaddr address;
    pj_str_t text = pj_str((char *)ip);
    int family = strchr(ip, ':') ? pj_AF_INET6() : pj_AF_INET();
    if (ip_port < 0 || ip_port > 65535 ||
        pj_sockaddr_init(family, &address, NULL, (pj_uint16_t)ip_port) != PJ_SUCCESS ||
        pj_inet_pton(family, &text, pj_sockaddr_get_addr(&address)) != PJ_SUCCESS)
        return gwm_fail(GWM_EINVAL, "not an address: %s port %d", ip, ip_port);
    set_address(out, &address, (unsigned)ip_port);
    return 0;
}

/* A WebRTC leg's native parts: sockets of ICE, SRTP, tap, stream (webrtc.c and socket.c). */
#ifndef GWM_WEBRTC_H
#define GWM_WEBRTC_H

#include "tap.h"

#define GWM_MAX_SOCKETS 16
#define GWM_MAX_ALLOWED 32
#define GWM_RELAYED (-1)

typedef struct gwm_webrtc {
    pjmedia_transport base; /* first: SRTP sees this. The bottom of the stack, over the sockets */
    gwm_port *port;
    pjmedia_transport *srtp;
    pjmedia_stream *stream;

    pthread_mutex_t lock;
    int sockets[GWM_MAX_SOCKETS];         /* by tag; our own duplicates; -1 = none */
    pj_sockaddr allowed[GWM_MAX_ALLOWED]; /* ICE-validated remote addresses */
    int allowed_count;
    int selected; /* tag, GWM_RELAYED, or -2 before the first selection */
    pj_sockaddr remote;
    void *above; /* SRTP's user data while attached */
    void (*rtp_cb2)(pjmedia_tp_cb_param *);
    void (*rtcp_cb)(void *, void *, pj_ssize_t);
    uint64_t rtp_in, rejected_source;
    uint64_t stranger_second; /* STUN from addresses not validated: which second, how many in it */
    unsigned strangers;
} gwm_webrtc;

typedef struct gwm_webrtc_leg {
    gwm_port port; /* first */
    gwm_tap tap;
    gwm_webrtc webrtc;
} gwm_webrtc_leg;

void gwm_socket_init(gwm_webrtc *w, gwm_port *port);
/* No more datagrams are read; at once, on the thread that closes the port. */
void gwm_webrtc_unplug(gwm_webrtc *w);
/* The selected pair: our address and the peer's; left as they are while there is none. */
void gwm_webrtc_addresses(gwm_webrtc *w, pj_sockaddr *local, pj_sockaddr *peer);
/* Closes the duplicates; the reader has let go of them. */
void gwm_socket_close(gwm_webrtc *w);

#endif

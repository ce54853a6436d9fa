/* What the tap needs of captures: one word per tap, and one call per packet (capture.c). */
#ifndef GWM_CAPTURE_H
#define GWM_CAPTURE_H

#include "internal.h"
#include "pcap.h"

enum gwm_capture_way { GWM_CAPTURE_IN = 0, GWM_CAPTURE_OUT = 1, GWM_CAPTURE_RTCP = 2 };

/* A tap's part in a capture; tap lock. */
typedef struct gwm_capture_tap {
    unsigned ticket; /* of the capture, 0 = none; a capture that is over takes nothing more */
    gwm_pcap_address local, peer, local_rtcp, peer_rtcp;
} gwm_capture_tap;

/* A packet passes the tap; which: a sum of gwm_capture_way. Tap lock held; never waits. */
void gwm_capture_packet(const gwm_capture_tap *t, int which, const void *packet, size_t len,
                        int event_type, uint64_t now_us);

/* ---- capture_ends.c */
/* The addresses of a leg, as they are now. */
void gwm_capture_ends(gwm_port *port, gwm_capture_tap *out);
/* An address in words; GWM_EINVAL: it is none. */
int gwm_capture_address(const char *ip, int ip_port, gwm_pcap_address *out);

/* ---- capture.c */
int gwm_capture_start(void);
/* Ends all captures, and waits until their files are complete. */
void gwm_capture_stop(void);

#endif

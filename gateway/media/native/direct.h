/* The direct path of one direction of a bridged pair of legs: each packet that arrives is decoded,
 * encoded and sent at once, without the bridge's clock and without a jitter buffer of ours. The far
 * end has one, and nobody else listens.
 *
 * A route belongs to the tap of its source and ends in the stream of its sink, so RTCP, RTP
 * timestamps and telephone-events of the sink stay where they are on the bridged path. What is
 * here knows nothing of the bridge: table.c decides which path a pair takes, keeps the bridge away
 * from a sink while its route is open, and closes the route before either end goes.
 *
 * Locks: the table's lock > the list of open routes > a route's lock > a tap's lock.
 */
#ifndef GWM_DIRECT_H
#define GWM_DIRECT_H

#include "decoder.h"
#include "rtp.h"

struct gwm_tap;

typedef struct gwm_direct {
    pthread_mutex_t lock; /* everything below but is_open and level */
    atomic_int is_open;   /* a hint for those without the lock */
    atomic_uint level;    /* of the last frame, 0..255 as gwm_levels */
    struct gwm_tap *source, *sink;
    struct gwm_direct *next_open; /* list of open routes */

    pj_pool_t *pool;
    gwm_decoder decoder;
    int payload_type;
    pjmedia_resample *resample; /* NULL when both rates are the same */
    pjmedia_port *port;         /* the sink's stream */
    pj_status_t (*put_frame)(pjmedia_port *, pjmedia_frame *);
    pjmedia_codec_param sink_param;
    int narrowed;      /* the sink's encoder was told that there is nothing above 4 kHz */
    unsigned slot_in;  /* samples of 20 ms as decoded */
    unsigned slot_out; /* and as the sink's stream takes them */

    int synced; /* expected_timestamp is valid for this SSRC */
    uint32_t ssrc, expected_timestamp;
    uint64_t late_since_us; /* packets have come too late since then; 0: the last one did not */
    int packet_slots;       /* that the last packet filled */
    int starved;            /* the source has paused, and the sink gets silence */
    uint64_t last_put_us;
    unsigned pending;   /* decoded samples that do not fill a slot yet */
    int16_t *pcm, *out; /* pending samples and a packet behind them; a resampled slot */
} gwm_direct;

void gwm_direct_init(gwm_direct *direct, struct gwm_tap *source);
/* Table lock held, on the clock thread between two ticks; both streams are attached, and the bridge
 * has just been told to leave the sink. 0, or -1 when this pair cannot be joined directly. */
int gwm_direct_open(gwm_direct *direct, struct gwm_tap *sink, uint64_t now_us);
/* When it returns nothing of this route is in the sink's stream any more. Not open is no error. */
void gwm_direct_close(gwm_direct *direct);
/* One audio packet of the source, on the thread that read it. 1 when the route took it, and the
 * stream needs the header only. */
int gwm_direct_feed(gwm_direct *direct, const gwm_rtp_header *header, uint8_t *payload,
                    uint64_t now_us);
/* A telephone-event of the source begins: the sink's timeline is brought up to now first, for the
 * far end plays an event in its place on the timeline, and drops one that comes too late. */
void gwm_direct_align(gwm_direct *direct, uint64_t now_us);
/* The bridge's clock: gives the sink its packet slots while no audio comes, for telephone-events or
 * because the source has paused. */
void gwm_direct_tick(uint64_t now_us);

#endif

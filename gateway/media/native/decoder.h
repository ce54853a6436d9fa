/* One direction's audio decoder without a jitter buffer: packets in, PCM out at once.
 *
 * PJMEDIA's own Opus codec answers each packet with the audio of the one before (so that in-band
 * FEC can be used), which costs a frame of delay; here libopus is called itself and FEC is taken
 * from the packet that ends a gap. Other codecs are PJMEDIA's. Not thread-safe: the caller locks.
 */
#ifndef GWM_DECODER_H
#define GWM_DECODER_H

#include <opus/opus.h>

#include "internal.h"

#define GWM_DECODER_MAX_MS 200 /* of one packet, RFC 3551 4.2; Opus has 120 (RFC 6716 2.1.4) */

typedef struct gwm_decoder {
    OpusDecoder *opus;    /* one of these two */
    pjmedia_codec *codec; /* from the endpoint's codec manager */
    unsigned rate;        /* of the PCM that comes out, Hz */
    unsigned rtp_clock;   /* of the RTP timestamps, Hz */
    int narrowband;       /* nothing above 4 kHz can come out */
} gwm_decoder;

/* For what the stream of `info` receives. Opus decodes at `rate` itself; the others have one rate.
 * PJ_SUCCESS, or nothing is held. */
pj_status_t gwm_decoder_open(gwm_decoder *decoder, const pjmedia_stream_info *info, unsigned rate);
void gwm_decoder_close(gwm_decoder *decoder);
/* The samples of one packet, at most GWM_DECODER_MAX_MS; 0 when it cannot be decoded. The payload
 * may be overwritten. */
unsigned gwm_decoder_decode(gwm_decoder *decoder, uint8_t *payload, size_t len, int16_t *pcm);
/* `samples` (a frame's worth) in place of a lost packet. `next` is the packet after it when that
 * is at hand, else NULL. */
unsigned gwm_decoder_conceal(gwm_decoder *decoder, unsigned samples, const uint8_t *next,
                             size_t next_len, int16_t *pcm);

#endif

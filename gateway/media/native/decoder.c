/* Decoding without a jitter buffer: libopus for Opus, PJMEDIA's codecs for the rest. */
#include "decoder.h"

#include <string.h>

#define MAX_FRAMES 20 /* of one packet: 200 ms of frames of 10 ms */

static int is_called(const pj_str_t *name, const char *other) {
    return pj_stricmp2(name, other) == 0;
}

static pj_status_t open_codec(gwm_decoder *d, const pjmedia_stream_info *info) {
    pjmedia_codec_mgr *manager = pjmedia_endpt_get_codec_mgr(pjsua_get_pjmedia_endpt());
    pjmedia_codec_param param;
    pj_status_t status = pjmedia_codec_mgr_get_default_param(manager, &info->fmt, &param);
    if (status == PJ_SUCCESS)
        status = pjmedia_codec_mgr_alloc_codec(manager, &info->fmt, &d->codec);
    if (status != PJ_SUCCESS) {
        d->codec = NULL;
        return status;
    }
    param.setting.vad = 0;
    /* The codecs keep what they need in pools of their own. */
    status = pjmedia_codec_init(d->codec, NULL);
    if (status == PJ_SUCCESS)
        status = pjmedia_codec_open(d->codec, &param);
    if (status != PJ_SUCCESS) {
        pjmedia_codec_mgr_dealloc_codec(manager, d->codec);
        d->codec = NULL;
        return status;
    }
    d->rate = param.info.clock_rate;
    d->narrowband = d->rate <= 8000;
    return PJ_SUCCESS;
}

pj_status_t gwm_decoder_open(gwm_decoder *d, const pjmedia_stream_info *info, unsigned rate) {
    memset(d, 0, sizeof *d);
    if (info->fmt.channel_cnt > 1 && !is_called(&info->fmt.encoding_name, "opus"))
        return PJMEDIA_CODEC_EUNSUP;
    if (is_called(&info->fmt.encoding_name, "opus")) {
        int error = 0;
        d->opus = opus_decoder_create((opus_int32)rate, 1, &error);
        d->rate = rate;
        d->rtp_clock = 48000; /* RFC 7587 4.1 */
        return d->opus ? PJ_SUCCESS : PJMEDIA_CODEC_EFAILED;
    }
    d->rtp_clock = info->fmt.clock_rate;
    if (is_called(&info->fmt.encoding_name, "G722"))
        d->rtp_clock = 8000; /* RFC 3551 4.5.2 */
    return open_codec(d, info);
}

void gwm_decoder_close(gwm_decoder *d) {
    if (d->opus)
        opus_decoder_destroy(d->opus);
    if (d->codec) {
        pjmedia_codec_close(d->codec);
        pjmedia_codec_mgr_dealloc_codec(pjmedia_endpt_get_codec_mgr(pjsua_get_pjmedia_endpt()),
                                        d->codec);
    }
    memset(d, 0, sizeof *d);
}

unsigned gwm_decoder_decode(gwm_decoder *d, uint8_t *payload, size_t len, int16_t *pcm) {
    unsigned capacity = d->rate / 1000 * GWM_DECODER_MAX_MS;
    if (d->opus) {
        int samples = opus_decode(d->opus, payload, (opus_int32)len, pcm, (int)capacity, 0);
        return samples > 0 ? (unsigned)samples : 0;
    }
    pjmedia_frame frames[MAX_FRAMES];
    unsigned count = MAX_FRAMES, total = 0;
    pj_timestamp ts = {.u64 = 0};
    if (pjmedia_codec_parse(d->codec, payload, len, &ts, &count, frames) != PJ_SUCCESS)
        return 0;
    for (unsigned i = 0; i < count; i++) {
        pjmedia_frame out = {.buf = pcm + total, .size = (capacity - total) * sizeof *pcm};
        if (pjmedia_codec_decode(d->codec, &frames[i], (unsigned)out.size, &out) != PJ_SUCCESS)
            break;
        if (out.type == PJMEDIA_FRAME_TYPE_AUDIO)
            total += (unsigned)out.size / sizeof *pcm;
    }
    return total;
}

unsigned gwm_decoder_conceal(gwm_decoder *d, unsigned samples, const uint8_t *next, size_t next_len,
                             int16_t *pcm) {
    if (d->opus) {
        int made =
            opus_decode(d->opus, next, (opus_int32)next_len, pcm, (int)samples, next != NULL);
        if (made > 0)
            return (unsigned)made;
    }
    unsigned total = 0;
    while (d->codec && total < samples) {
        pjmedia_frame out = {.buf = pcm + total, .size = (samples - total) * sizeof *pcm};
        if (pjmedia_codec_recover(d->codec, (unsigned)out.size, &out) != PJ_SUCCESS || !out.size)
            break;
        total += (unsigned)out.size / sizeof *pcm;
    }
    if (total < samples)
        memset(pcm + total, 0, (samples - total) * sizeof *pcm);
    return samples;
}

/* A WebRTC leg: stream over tap over SRTP over the sockets of ICE, put on the bridge. */
#include "webrtc.h"

#include <stdio.h>
#include <string.h>

typedef struct codec_entry {
    int codec;
    const char *name; /* PJMEDIA codec id */
    unsigned rtp_clock;
} codec_entry;

static const codec_entry CODECS[] = {
    {GWM_OPUS, "opus", 48000}, /* RFC 7587 4.1 */
    {GWM_PCMU, "PCMU/8000", 8000},  {GWM_PCMA, "PCMA/8000", 8000},
    {GWM_G722, "G722/16000", 8000}, /* RFC 3551 4.5.2: the clock is 8000 by an old mistake */
    {GWM_L16, "L16/16000", 16000},
};

static const struct {
    int profile;
    const char *name;
    unsigned key_len;
} PROFILES[] = {
    {GWM_AES128_CM_SHA1_80, "AES_CM_128_HMAC_SHA1_80", 30},
    {GWM_AEAD_AES_128_GCM, "AEAD_AES_128_GCM", 28},
    {GWM_AEAD_AES_256_GCM, "AEAD_AES_256_GCM", 44},
};

static const codec_entry *find_codec(int codec) {
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(CODECS); i++)
        if (CODECS[i].codec == codec)
            return &CODECS[i];
    return NULL;
}

/* ---- parts ------------------------------------------------------------------------------- */

static pj_status_t make_srtp(gwm_webrtc *w, const gwm_webrtc_params *p, const char *profile) {
    pjmedia_srtp_setting setting;
    pjmedia_srtp_setting_default(&setting);
    setting.use = PJMEDIA_SRTP_MANDATORY;
    setting.close_member_tp = PJ_FALSE;
    setting.keying_count = 1; /* the keys are DTLS's, handed in below */
    setting.keying[0] = PJMEDIA_SRTP_KEYING_SDES;
    pj_status_t status =
        pjmedia_transport_srtp_create(pjsua_get_pjmedia_endpt(), &w->base, &setting, &w->srtp);
    if (status != PJ_SUCCESS)
        return status;
    pjmedia_srtp_crypto tx, rx;
    pj_bzero(&tx, sizeof tx);
    pj_bzero(&rx, sizeof rx);
    tx.name = rx.name = pj_str((char *)profile);
    pj_strset(&tx.key, (char *)p->tx_key, p->key_len);
    pj_strset(&rx.key, (char *)p->rx_key, p->key_len);
    return pjmedia_transport_srtp_start(w->srtp, &tx, &rx);
}

/* Opus is decoded and encoded at the bridge's rate; its RTP clock stays 48000. */
static void tune_opus(const gwm_webrtc_params *p, pjmedia_codec_mgr *manager,
                      const pjmedia_codec_info *info, pjmedia_codec_param *param) {
    static pthread_mutex_t defaults = PTHREAD_MUTEX_INITIALIZER;
    pjmedia_codec_opus_config config;
    /* Complexity can only be set through the factory's defaults, which the codec copies. */
    pthread_mutex_lock(&defaults);
    pjmedia_codec_opus_get_config(&config);
    config.sample_rate = pjsua_var.media_cfg.clock_rate;
    config.channel_cnt = 1;
    config.complexity = (unsigned)p->opus_complexity;
    config.bit_rate = (unsigned)p->opus_bitrate;
    config.packet_loss = 0;
    if (pjmedia_codec_mgr_get_default_param(manager, info, param) == PJ_SUCCESS) {
        pjmedia_codec_opus_set_default_param(&config, param);
        pjmedia_codec_mgr_get_default_param(manager, info, param);
    }
    pthread_mutex_unlock(&defaults);
    param->info.clock_rate = pjsua_var.media_cfg.clock_rate;
    param->info.channel_cnt = 1;
    /* The manager's copy of these is older than the factory's. */
    param->info.avg_bps = (pj_uint32_t)p->opus_bitrate;
    param->setting.complexity = (unsigned)p->opus_complexity;
    param->setting.packet_loss = 0;
    param->setting.cbr = PJ_FALSE;
}

static pj_status_t make_stream(gwm_webrtc_leg *leg, const gwm_webrtc_params *p,
                               const codec_entry *codec) {
    pjmedia_endpt *endpoint = pjsua_get_pjmedia_endpt();
    pjmedia_codec_mgr *manager = pjmedia_endpt_get_codec_mgr(endpoint);
    const pjmedia_codec_info *info;
    unsigned count = 1;
    pj_str_t id = pj_str((char *)codec->name);
    pj_status_t status = pjmedia_codec_mgr_find_codecs_by_id(manager, &id, &count, &info, NULL);
    if (status != PJ_SUCCESS)
        return status;
    pjmedia_codec_param param;
    if (codec->codec == GWM_OPUS)
        tune_opus(p, manager, info, &param);
    else if ((status = pjmedia_codec_mgr_get_default_param(manager, info, &param)) != PJ_SUCCESS)
        return status;
    param.setting.vad = 0;

    pjmedia_stream_info si;
    pj_bzero(&si, sizeof si);
    si.type = PJMEDIA_TYPE_AUDIO;
    si.proto = PJMEDIA_TP_PROTO_RTP_SAVP;
    si.dir = PJMEDIA_DIR_ENCODING_DECODING;
    pj_sockaddr_init(pj_AF_INET(), &si.rem_addr, NULL, 9); /* the sockets know better */
    pj_sockaddr_cp(&si.rem_rtcp, &si.rem_addr);
    si.rtcp_mux = PJ_TRUE;
    si.fmt = *info;
    si.fmt.clock_rate = param.info.clock_rate;
    si.fmt.channel_cnt = 1;
    si.param = &param;
    si.tx_pt = si.rx_pt = (unsigned)p->payload_type;
    si.tx_event_pt = si.rx_event_pt = -1; /* the tap's business */
    si.ssrc = p->ssrc;
    pj_strdup2(leg->port.pool, &si.cname, p->cname); /* the stream keeps the pointer */
    si.jb_init = si.jb_min_pre = si.jb_max_pre = si.jb_max = -1;
    si.jb_discard_algo = PJMEDIA_JB_DISCARD_PROGRESSIVE;
    status = pjmedia_stream_create(endpoint, leg->port.pool, &si, &leg->tap.base, NULL,
                                   &leg->webrtc.stream);
    if (status != PJ_SUCCESS)
        return status;
    /* PJMEDIA opens an Opus encoder at a bit rate of the encoder's own choice. */
    if (codec->codec == GWM_OPUS)
        pjmedia_stream_modify_codec_param(leg->webrtc.stream, &param);
    return pjmedia_stream_start(leg->webrtc.stream);
}

static pj_status_t put_on_bridge(gwm_webrtc_leg *leg, unsigned *slot) {
    pjmedia_port *port;
    pj_status_t status = pjmedia_stream_get_port(leg->webrtc.stream, &port);
    if (status == PJ_SUCCESS)
        status = pjmedia_conf_add_port(gwm_bridge(), leg->port.pool, port, NULL, slot);
    return status;
}

/* ---- life -------------------------------------------------------------------------------- */

/* From the top down; what is missing was never made. The last reference frees the memory. */
static void destroy_webrtc(gwm_port *port) {
    gwm_webrtc *w = port->webrtc;
    gwm_tap_finish(port->tap);
    if (w->stream)
        pjmedia_stream_destroy(w->stream);
    if (port->tap->base.op)
        pjmedia_transport_close(&port->tap->base); /* closes SRTP too */
    gwm_socket_close(w);
    pj_grp_lock_dec_ref(port->grp_lock);
}

static int check(const gwm_webrtc_params *p, const codec_entry *codec, const char **profile) {
    if (!gwm_running())
        return gwm_fail(GWM_ESTATE, "the media plane is not running");
    for (unsigned i = 0; i < PJ_ARRAY_SIZE(PROFILES); i++)
        if (PROFILES[i].profile == p->srtp_profile && PROFILES[i].key_len == p->key_len)
            *profile = PROFILES[i].name;
    if (!*profile)
        return gwm_fail(GWM_EINVAL, "SRTP profile %d with a key of %u bytes", p->srtp_profile,
                        p->key_len);
    if (!codec)
        return gwm_fail(GWM_EINVAL, "codec %d", p->codec);
    if (p->payload_type < 0 || p->payload_type > 127 || p->event_payload_type > 127 ||
        p->opus_complexity < 0 || p->opus_complexity > 10)
        return gwm_fail(GWM_EINVAL, "payload types %d and %d, complexity %d", p->payload_type,
                        p->event_payload_type, p->opus_complexity);
    return 0;
}

int gwm_webrtc_open(const gwm_webrtc_params *p) {
    const codec_entry *codec = find_codec(p->codec);
    const char *profile = NULL;
    int code = check(p, codec, &profile);
    if (code)
        return code;
    gwm_enter();
    pj_pool_t *pool = pjsua_pool_create("webrtc", 8192, 4096);
    if (!pool)
        return gwm_fail(GWM_ESYSTEM, "no memory for a WebRTC leg");
    gwm_webrtc_leg *leg = PJ_POOL_ZALLOC_T(pool, gwm_webrtc_leg);
    gwm_port *port = &leg->port;
    port->kind = GWM_KIND_WEBRTC;
    port->pool = pool;
    port->slot = -1;
    port->destroy = destroy_webrtc;
    pj_status_t status =
        pj_grp_lock_create_w_handler(pool, NULL, port, gwm_port_on_destroy, &port->grp_lock);
    if (status != PJ_SUCCESS) {
        pj_pool_release(pool);
        return gwm_fail_status("group lock", status);
    }
    pj_grp_lock_add_ref(port->grp_lock); /* given back in destroy_webrtc */
    gwm_socket_init(&leg->webrtc, port);
    status = make_srtp(&leg->webrtc, p, profile);
    if (leg->webrtc.srtp)
        gwm_tap_init(&leg->tap, port, leg->webrtc.srtp, 1);
    port->tap = &leg->tap;
    if (status == PJ_SUCCESS) {
        uint32_t clock = p->event_payload_type >= 0 ? p->event_clock_rate : codec->rtp_clock;
        gwm_tap_events(&leg->tap, p->event_payload_type, p->event_payload_type, clock,
                       p->event_mask);
        leg->tap.rtp_timeout_ms = p->rtp_timeout_ms;
        status = make_stream(leg, p, codec);
    }
    unsigned slot = 0;
    if (status == PJ_SUCCESS)
        status = put_on_bridge(leg, &slot);
    if (status != PJ_SUCCESS) {
        destroy_webrtc(port);
        return gwm_fail_status("WebRTC leg", status);
    }
    code = gwm_table_add(port);
    if (code < 0) {
        pjmedia_conf_remove_port(gwm_bridge(), slot);
        pj_grp_lock_add_ref(port->grp_lock); /* the reference that the housekeeper gives back */
        gwm_housekeeper_reap(port);
        return code;
    }
    gwm_port_set_slot(port, (int)slot);
    return code;
}

int gwm_webrtc_direction(int handle, int direction) {
    gwm_enter();
    gwm_port *port = gwm_port_acquire(handle);
    if (!port)
        return GWM_ENOPORT;
    if (port->webrtc) {
        pjmedia_stream *stream = port->webrtc->stream;
        pjmedia_dir on = PJMEDIA_DIR_NONE, off = PJMEDIA_DIR_NONE;
        *(direction & GWM_SEND ? &on : &off) |= PJMEDIA_DIR_ENCODING;
        *(direction & GWM_RECEIVE ? &on : &off) |= PJMEDIA_DIR_DECODING;
        if (off)
            pjmedia_stream_pause(stream, off);
        if (on)
            pjmedia_stream_resume(stream, on);
        gwm_tap_receives(port->tap, direction & GWM_RECEIVE);
    }
    gwm_port_release(port);
    return 0;
}

int gwm_port_stats(int handle, gwm_stats *out) {
    gwm_enter();
    memset(out, 0, sizeof *out);
    gwm_port *port = gwm_port_acquire(handle);
    if (!port)
        return GWM_ENOPORT;
    if (port->tap)
        gwm_tap_stats(port->tap, out);
    if (port->webrtc) {
        gwm_webrtc *w = port->webrtc;
        pthread_mutex_lock(&w->lock);
        out->rejected_source += w->rejected_source;
        /* SRTP drops in silence: what went in and did not reach the tap failed there. */
        uint64_t through = out->rx_packets + out->malformed;
        out->srtp_failures = w->rtp_in > through ? w->rtp_in - through : 0;
        pthread_mutex_unlock(&w->lock);
    }
    gwm_port_release(port);
    return 0;
}

/* The direct path between two legs that nobody else listens to. */
#include "direct.h"

#include <string.h>

#include "tap.h"

/* A gap up to here is filled with concealment, so that the far end's timeline stays the sender's;
 * beyond, the sender has paused, and the timeline goes on where it stopped. */
#define MAX_CONCEALED_SLOTS 5
/* How far behind a packet may be and count as late. Further, the sender's clock stood still. */
#define MAX_LATE_SLOTS 10
/* What the network held back comes all at once; a sender that stays late for longer has its clock
 * behind ours. */
#define MAX_LATE_US 60000
/* Without audio for so long beyond a packet's length, the sink gets silence instead. */
#define STARVED_SLOTS 4
#define MAX_FILLED_SLOTS 10  /* at once, where time went on without audio */
#define NARROWBAND_BPS 12000 /* what browsers give narrowband Opus */
#define SLOT_US (GWM_FRAME_MS * 1000)

static pthread_mutex_t list_lock = PTHREAD_MUTEX_INITIALIZER;
static gwm_direct *open_routes;

void gwm_direct_init(gwm_direct *d, gwm_tap *source) {
    pthread_mutex_init(&d->lock, NULL);
    d->source = source;
}

/* ---- opening and closing ------------------------------------------------------------------ */

static void release(gwm_direct *d) {
    gwm_decoder_close(&d->decoder);
    if (d->resample)
        pjmedia_resample_destroy(d->resample);
    d->resample = NULL;
    if (d->pool)
        pj_pool_release(d->pool);
    d->pool = NULL;
    d->sink = NULL;
    d->port = NULL;
}

/* The sink's encoder need not look for what is not there: Opus at 16 kHz and more spends half of
 * its time above 4 kHz. */
static void narrow_encoder(gwm_direct *d, const pjmedia_stream_info *sink) {
    d->narrowed = 0;
    if (!d->decoder.narrowband || !sink->param || sink->param->info.clock_rate <= 8000 ||
        pj_stricmp2(&sink->fmt.encoding_name, "opus") != 0)
        return;
    d->sink_param = *sink->param;
    pjmedia_codec_param narrow = d->sink_param;
    narrow.info.clock_rate = 8000;
    narrow.info.avg_bps = NARROWBAND_BPS;
    d->narrowed = pjmedia_stream_modify_codec_param(d->sink->audio, &narrow) == PJ_SUCCESS;
}

static pj_status_t prepare(gwm_direct *d, gwm_tap *sink) {
    pjmedia_stream_info from, to;
    pj_status_t status = pjmedia_stream_get_info(d->source->audio, &from);
    if (status == PJ_SUCCESS)
        status = pjmedia_stream_get_info(sink->audio, &to);
    if (status == PJ_SUCCESS)
        status = pjmedia_stream_get_port(sink->audio, &d->port);
    if (status != PJ_SUCCESS)
        return status;
    unsigned rate = PJMEDIA_PIA_SRATE(&d->port->info);
    d->slot_out = PJMEDIA_PIA_SPF(&d->port->info);
    if (PJMEDIA_PIA_CCNT(&d->port->info) != 1 || d->slot_out != rate * GWM_FRAME_MS / 1000 ||
        !d->port->put_frame)
        return PJ_ENOTSUP;
    if ((status = gwm_decoder_open(&d->decoder, &from, rate)) != PJ_SUCCESS)
        return status;
    d->slot_in = d->decoder.rate * GWM_FRAME_MS / 1000;
    size_t pcm = (d->slot_in + d->decoder.rate / 1000 * GWM_DECODER_MAX_MS) * sizeof *d->pcm;
    d->pool = pjsua_pool_create("direct", pcm + d->slot_out * sizeof *d->out + 512, 512);
    if (!d->pool)
        return PJ_ENOMEM;
    d->pcm = pj_pool_alloc(d->pool, pcm);
    d->out = pj_pool_alloc(d->pool, d->slot_out * sizeof *d->out);
    if (d->decoder.rate != rate)
        status = pjmedia_resample_create(d->pool, PJ_FALSE, PJ_FALSE, 1, d->decoder.rate, rate,
                                         d->slot_in, &d->resample);
    if (status != PJ_SUCCESS)
        return status;
    /* The stream takes its own put_frame away before its detaching closes this route. */
    d->put_frame = d->port->put_frame;
    d->payload_type = (int)from.rx_pt;
    d->sink = sink;
    narrow_encoder(d, &to);
    return PJ_SUCCESS;
}

int gwm_direct_open(gwm_direct *d, gwm_tap *sink, uint64_t now_us) {
    pthread_mutex_lock(&d->lock);
    int code = prepare(d, sink) == PJ_SUCCESS ? 0 : -1;
    if (code)
        release(d);
    d->synced = 0;
    d->starved = 0;
    d->packet_slots = 1;
    d->pending = 0;
    d->last_put_us = now_us;
    pthread_mutex_unlock(&d->lock);
    if (code)
        return code;
    pthread_mutex_lock(&list_lock);
    d->next_open = open_routes;
    open_routes = d;
    atomic_store(&d->is_open, 1);
    pthread_mutex_unlock(&list_lock);
    return 0;
}

void gwm_direct_close(gwm_direct *d) {
    if (!atomic_load(&d->is_open))
        return;
    pthread_mutex_lock(&list_lock);
    for (gwm_direct **link = &open_routes; *link; link = &(*link)->next_open)
        if (*link == d) {
            *link = d->next_open;
            break;
        }
    pthread_mutex_unlock(&list_lock);
    pthread_mutex_lock(&d->lock);
    atomic_store(&d->is_open, 0);
    if (d->narrowed)
        pjmedia_stream_modify_codec_param(d->sink->audio, &d->sink_param);
    d->narrowed = 0;
    release(d);
    pthread_mutex_unlock(&d->lock);
}

/* ---- audio: route lock held --------------------------------------------------------------- */

static void put_slot(gwm_direct *d, int16_t *samples, uint64_t now_us) {
    if (d->resample) {
        pjmedia_resample_run(d->resample, samples, d->out);
        samples = d->out;
    }
    pjmedia_frame frame = {
        .type = PJMEDIA_FRAME_TYPE_AUDIO, .buf = samples, .size = d->slot_out * sizeof *samples};
    d->put_frame(d->port, &frame);
    d->last_put_us = now_us;
}

/* `samples` more have been written behind the pending ones: every slot that is full is sent. */
static void put(gwm_direct *d, unsigned samples, uint64_t now_us) {
    unsigned total = d->pending + samples, at = 0;
    d->expected_timestamp += (uint32_t)((uint64_t)samples * d->decoder.rtp_clock / d->decoder.rate);
    for (; total - at >= d->slot_in; at += d->slot_in)
        put_slot(d, d->pcm + at, now_us);
    d->pending = total - at;
    memmove(d->pcm, d->pcm + at, d->pending * sizeof *d->pcm);
}

static void put_silence(gwm_direct *d, uint64_t now_us) {
    memset(d->pcm + d->pending, 0, d->slot_in * sizeof *d->pcm);
    put(d, d->slot_in, now_us);
}

/* Slots that went by without any, to the nearest. */
static int owed_slots(const gwm_direct *d, uint64_t now_us) {
    int64_t since = (int64_t)(now_us - d->last_put_us); /* another thread's clock may be newer */
    int64_t owed = (since + SLOT_US / 2) / SLOT_US;
    return owed < 0 ? 0 : owed > MAX_FILLED_SLOTS ? MAX_FILLED_SLOTS : (int)owed;
}

static void put_silent_slots(gwm_direct *d, int slots, uint64_t now_us) {
    while (slots-- > 0)
        put_silence(d, now_us);
}

static void conceal(gwm_direct *d, int slots, const uint8_t *next, size_t len, uint64_t now_us) {
    while (slots-- > 0) {
        /* In-band FEC describes the last lost frame only. */
        unsigned samples = gwm_decoder_conceal(&d->decoder, d->slot_in, slots ? NULL : next,
                                               slots ? 0 : len, d->pcm + d->pending);
        put(d, samples, now_us);
    }
}

/* How many whole slots this packet is ahead of what is expected; negative: late. */
static int slots_ahead(gwm_direct *d, const gwm_rtp_header *h) {
    int64_t units = (int32_t)(h->timestamp - d->expected_timestamp);
    int64_t slot = d->decoder.rtp_clock * GWM_FRAME_MS / 1000;
    return (int)((units + (units < 0 ? -slot : slot) / 2) / slot);
}

/* Telephone-events on either side: the clock thread owns the sink's packet slots meanwhile. */
static int is_clocked(gwm_direct *d) {
    pthread_mutex_lock(&d->source->lock);
    int clocked = d->source->rx.active;
    pthread_mutex_unlock(&d->source->lock);
    pthread_mutex_lock(&d->sink->lock);
    clocked |= gwm_dtmf_tx_busy(&d->sink->tx);
    pthread_mutex_unlock(&d->sink->lock);
    return clocked;
}

/* Whether the place of this packet was filled already. */
static int is_late(gwm_direct *d, int ahead, uint64_t now_us) {
    if (ahead >= 0 || ahead < -MAX_LATE_SLOTS) {
        d->late_since_us = 0;
        return 0;
    }
    if (!d->late_since_us)
        d->late_since_us = now_us;
    if (now_us - d->late_since_us < MAX_LATE_US)
        return 1;
    d->late_since_us = 0;
    return 0;
}

int gwm_direct_feed(gwm_direct *d, const gwm_rtp_header *h, uint8_t *payload, uint64_t now_us) {
    if (!atomic_load(&d->is_open))
        return 0;
    pthread_mutex_lock(&d->lock);
    int taken = d->sink && h->payload_type == d->payload_type;
    if (taken && h->payload_len && !is_clocked(d)) {
        int ahead = 0;
        if (!d->synced || d->ssrc != h->ssrc)
            put_silent_slots(d, owed_slots(d, now_us) - 1, now_us);
        else
            ahead = slots_ahead(d, h);
        d->starved = 0;
        if (ahead > 0 && ahead <= MAX_CONCEALED_SLOTS)
            conceal(d, ahead, payload, h->payload_len, now_us);
        if (!is_late(d, ahead, now_us)) {
            d->synced = 1;
            d->ssrc = h->ssrc;
            d->expected_timestamp = h->timestamp;
            unsigned samples =
                gwm_decoder_decode(&d->decoder, payload, h->payload_len, d->pcm + d->pending);
            int32_t level = pjmedia_calc_avg_signal(d->pcm + d->pending, samples);
            atomic_store(&d->level, pjmedia_linear2ulaw((int)level) ^ 0xff);
            d->packet_slots = (int)((samples + d->slot_in - 1) / d->slot_in);
            put(d, samples, now_us);
        }
    }
    pthread_mutex_unlock(&d->lock);
    return taken;
}

void gwm_direct_align(gwm_direct *d, uint64_t now_us) {
    if (!atomic_load(&d->is_open))
        return;
    pthread_mutex_lock(&d->lock);
    if (d->sink)
        put_silent_slots(d, owed_slots(d, now_us - SLOT_US / 2), now_us);
    pthread_mutex_unlock(&d->lock);
}

void gwm_direct_tick(uint64_t now_us) {
    pthread_mutex_lock(&list_lock);
    for (gwm_direct *d = open_routes; d; d = d->next_open) {
        pthread_mutex_lock(&d->lock);
        int owed = d->sink ? owed_slots(d, now_us) : 0;
        if (owed >= STARVED_SLOTS + d->packet_slots)
            d->starved = 1;
        if (owed && is_clocked(d))
            put_silent_slots(d, 1, now_us); /* one event packet at a time */
        else if (d->starved)
            put_silent_slots(d, owed, now_us);
        pthread_mutex_unlock(&d->lock);
    }
    pthread_mutex_unlock(&list_lock);
}

/* Players and tones: PJMEDIA's own ports, given handles and put on the bridge. */
#include <string.h>

#include "internal.h"

static pj_pool_t *silence_pool;
static pjmedia_port *silence;
static unsigned silence_conf_slot;

static unsigned bridge_rate(void) { return pjsua_var.media_cfg.clock_rate; }

static unsigned frame_samples(unsigned rate) { return rate * GWM_FRAME_MS / 1000; }

int gwm_silence_start(void) {
    silence_pool = pjsua_pool_create("silence", 512, 512);
    pj_status_t status = pjmedia_null_port_create(silence_pool, bridge_rate(), 1,
                                                  frame_samples(bridge_rate()), 16, &silence);
    if (status == PJ_SUCCESS)
        status =
            pjmedia_conf_add_port(gwm_bridge(), silence_pool, silence, NULL, &silence_conf_slot);
    return status == PJ_SUCCESS ? 0 : gwm_fail_status("silence", status);
}

void gwm_silence_stop(void) {
    if (!silence)
        return;
    pjmedia_conf_remove_port(gwm_bridge(), silence_conf_slot);
    silence = NULL; /* its pool goes with pjsua's, after the bridge */
}

int gwm_silence_slot(void) { return (int)silence_conf_slot; }

/* On the housekeeper, when the bridge has let go of the port. */
static void destroy_source(gwm_port *port) { pjmedia_port_destroy(port->media); }

gwm_port *gwm_source_new(const char *name, pj_size_t memory) {
    pj_pool_t *pool = pjsua_pool_create(name, memory + 1024, 1024);
    if (!pool)
        return NULL;
    gwm_port *port = PJ_POOL_ZALLOC_T(pool, gwm_port);
    port->kind = GWM_KIND_SOURCE;
    port->pool = pool;
    port->slot = -1;
    port->destroy = destroy_source;
    return port;
}

int gwm_source_publish(gwm_port *port) {
    pjmedia_port *media = port->media;
    pj_status_t status = PJ_SUCCESS;
    if (!media->grp_lock)
        status = pjmedia_port_init_grp_lock(media, port->pool, NULL);
    if (status == PJ_SUCCESS)
        status = pj_grp_lock_add_handler(media->grp_lock, NULL, port, gwm_port_on_destroy);
    if (status != PJ_SUCCESS) {
        pjmedia_port_destroy(media);
        pj_pool_release(port->pool);
        return gwm_fail_status("port", status);
    }
    port->grp_lock = media->grp_lock;
    unsigned slot;
    status = pjmedia_conf_add_port(gwm_bridge(), port->pool, media, NULL, &slot);
    if (status != PJ_SUCCESS) {
        pjmedia_port_destroy(media);
        return gwm_fail_status("bridge", status);
    }
    port->slot = (int)slot;
    int handle = gwm_table_add(port);
    if (handle < 0) {
        pjmedia_conf_remove_port(gwm_bridge(), slot);
        pjmedia_port_destroy(media);
    }
    return handle;
}

/* PJMEDIA's event thread tells that a player has reached its end. */
static void on_end(pjmedia_port *media, void *user_data) {
    PJ_UNUSED_ARG(media);
    gwm_event e = {.type = GWM_PLAY_DONE,
                   .port = (int)(intptr_t)user_data,
                   .digit = -1,
                   .monotonic_us = gwm_now_us()};
    gwm_emit(&e);
}

int gwm_player_open(const int16_t *samples, unsigned count, unsigned rate, int loop) {
    if (!gwm_running())
        return gwm_fail(GWM_ESTATE, "the media plane is not running");
    if (!count || rate < 8000 || rate > 48000 || rate % 50)
        return gwm_fail(GWM_EINVAL, "%u samples at %u Hz cannot be played", count, rate);
    gwm_enter();
    gwm_port *port = gwm_source_new("player", count * sizeof *samples);
    if (!port)
        return gwm_fail(GWM_ESYSTEM, "no memory for the player");
    int16_t *copy = pj_pool_alloc(port->pool, count * sizeof *samples);
    memcpy(copy, samples, count * sizeof *samples);
    pj_status_t status = pjmedia_mem_player_create(port->pool, copy, count * sizeof *samples, rate,
                                                   1, frame_samples(rate), 16,
                                                   loop ? 0 : PJMEDIA_MEM_NO_LOOP, &port->media);
    if (status != PJ_SUCCESS) {
        pj_pool_release(port->pool);
        return gwm_fail_status("player", status);
    }
    int handle = gwm_source_publish(port);
    if (handle > 0 && !loop)
        pjmedia_mem_player_set_eof_cb2(port->media, (void *)(intptr_t)handle, on_end);
    return handle;
}

int gwm_tone_open(int frequency1, int frequency2, int volume) {
    if (!gwm_running())
        return gwm_fail(GWM_ESTATE, "the media plane is not running");
    int highest = (int)bridge_rate() / 2;
    if (frequency1 < 20 || frequency1 >= highest || frequency2 < 0 || frequency2 >= highest ||
        volume < 1 || volume > 32767)
        return gwm_fail(GWM_EINVAL, "tone %d+%d Hz at %d is out of range", frequency1, frequency2,
                        volume);
    gwm_enter();
    gwm_port *port = gwm_source_new("tone", 1024);
    if (!port)
        return gwm_fail(GWM_ESYSTEM, "no memory for the tone");
    pj_str_t name = pj_str("tone");
    pj_status_t status =
        pjmedia_tonegen_create2(port->pool, &name, bridge_rate(), 1, frame_samples(bridge_rate()),
                                16, PJMEDIA_TONEGEN_LOOP, &port->media);
    if (status == PJ_SUCCESS) {
        pjmedia_tone_desc tone = {.freq1 = (short)frequency1,
                                  .freq2 = (short)frequency2,
                                  .on_msec = 1000,
                                  .off_msec = 0,
                                  .volume = (short)volume};
        status = pjmedia_tonegen_play(port->media, 1, &tone, PJMEDIA_TONEGEN_LOOP);
    }
    if (status != PJ_SUCCESS) {
        if (port->media)
            pjmedia_port_destroy(port->media);
        pj_pool_release(port->pool);
        return gwm_fail_status("tone", status);
    }
    return gwm_source_publish(port);
}

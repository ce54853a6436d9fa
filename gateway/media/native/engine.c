/* Life of the media plane: start, stop, thread registration and error messages. */
#include <stdarg.h>
#include <stdio.h>
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include "capture.h"
#include "internal.h"

#define MEDIA_NICE (-10)

static atomic_int running;
static _Thread_local char message[256];
static _Thread_local pj_thread_desc thread_desc;

int gwm_running(void) { return atomic_load(&running); }

pjmedia_conf *gwm_bridge(void) { return pjsua_var.mconf; }

/* pjlib keeps a pointer to the descriptor for the thread's life, so it is thread-local. */
void gwm_enter(void) {
    pj_thread_t *self;
    if (!pj_thread_is_registered())
        pj_thread_register("gw", thread_desc, &self);
}

void gwm_enter_media_thread(const char *name) {
    gwm_enter();
    pthread_setname_np(pthread_self(), name);
    /* Nice, not a real-time class: the bridge's workers spin at a barrier, which would starve a
     * core. Refused without privilege, and then the thread is an ordinary one. */
    if (setpriority(PRIO_PROCESS, (id_t)gettid(), MEDIA_NICE))
        PJ_LOG(4, ("engine.c", "%s runs at ordinary priority", name));
}

uint64_t gwm_now_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

int gwm_fail(int code, const char *format, ...) {
    va_list arguments;
    va_start(arguments, format);
    vsnprintf(message, sizeof message, format, arguments);
    va_end(arguments);
    return code;
}

int gwm_fail_status(const char *what, pj_status_t status) {
    char reason[PJ_ERR_MSG_SIZE];
    pj_strerror(status, reason, sizeof reason);
    return gwm_fail(GWM_ESYSTEM, "%s: %s", what, reason);
}

const char *gwm_last_message(void) { return message; }

int gwm_bridge_rate(void) {
    return gwm_running() ? (int)pjsua_var.media_cfg.clock_rate : GWM_ESTATE;
}

int gwm_start(int direct_path, int readers) {
    if (gwm_running())
        return gwm_fail(GWM_ESTATE, "the media plane is running already");
    if (pjsua_get_state() != PJSUA_STATE_RUNNING)
        return gwm_fail(GWM_ESTATE, "pjsua is not running: start the SIP side first");
    if (readers < 1 || readers > GWM_MAX_READERS)
        return gwm_fail(GWM_EINVAL, "%d readers are not 1..%d", readers, GWM_MAX_READERS);
    gwm_enter();
    int code;
    if ((code = gwm_events_start()) || (code = gwm_table_start(direct_path)))
        return code;
    pjmedia_port *master = pjsua_set_no_snd_dev();
    if (!master)
        return gwm_fail(GWM_ESYSTEM, "the conference bridge has no master port");
    if ((code = gwm_clock_start(master, pjsua_var.media_cfg.clock_rate)) ||
        (code = gwm_reader_start(readers)) || (code = gwm_housekeeper_start()) ||
        (code = gwm_recorder_start()) || (code = gwm_capture_start()))
        return code;
    atomic_store(&running, 1);
    if ((code = gwm_silence_start())) {
        gwm_stop();
        return code;
    }
    gwm_sip_start();
    return 0;
}

/* Order: no new ports; close all; the housekeeper takes them apart, and recordings are written to
 * their end, while the clock still runs; then threads stop, sources of datagrams first. */
int gwm_stop(void) {
    if (!gwm_running())
        return 0;
    gwm_enter();
    gwm_sip_trace_stop();
    gwm_sip_stop();
    atomic_store(&running, 0);
    gwm_table_close_all();
    gwm_reader_stop();
    gwm_housekeeper_stop();
    gwm_recorder_stop();
    gwm_capture_stop();
    gwm_silence_stop();
    gwm_clock_stop();
    gwm_table_stop();
    return 0;
}

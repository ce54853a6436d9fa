/* The pcap file of a capture. Messages of TCP and TLS are segments of streams that this file makes
 * up: sequence numbers count what is in it. */
#include "capture_file.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

static uint8_t record[GWM_SIP_MESSAGE_MAX + GWM_PCAP_OVERHEAD]; /* gw-capture's */

static uint64_t wall_us(void) {
    struct timespec t;
    clock_gettime(CLOCK_REALTIME, &t);
    return (uint64_t)t.tv_sec * 1000000u + (uint64_t)t.tv_nsec / 1000u;
}

static void put(gwm_capture_file *f, const uint8_t *data, size_t len) {
    while (len && !f->error) {
        ssize_t done = write(f->fd, data, len);
        if (done < 0 && errno == EINTR)
            continue;
        if (done <= 0) {
            f->error = done ? errno : EIO;
            PJ_LOG(2, ("capture_file.c", "a capture ends early: %s", strerror(f->error)));
            return;
        }
        data += done;
        len -= (size_t)done;
        f->written += (uint64_t)done;
    }
}

int gwm_capture_file_open(gwm_capture_file *f, const char *path, uint64_t max_bytes) {
    uint8_t header[GWM_PCAP_FILE_HEADER];
    int fd = open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0)
        return errno;
    f->fd = fd;
    f->error = 0;
    f->written = f->packets = 0;
    f->max_bytes = max_bytes;
    f->stream_count = 0;
    f->wall_offset_us = wall_us() - gwm_now_us();
    gwm_pcap_file_header(header);
    put(f, header, sizeof header);
    return 0;
}

static int has_room(gwm_capture_file *f, size_t len) {
    if (!f->error && f->written + len + GWM_PCAP_OVERHEAD <= f->max_bytes)
        return 1;
    f->max_bytes = f->written; /* full: a smaller one does not slip in behind */
    return 0;
}

int gwm_capture_file_datagram(gwm_capture_file *f, uint64_t at_us, const gwm_pcap_address *from,
                              const gwm_pcap_address *to, const uint8_t *data, size_t len) {
    if (!has_room(f, len))
        return 0;
    put(f, record, gwm_pcap_record(record, at_us + f->wall_offset_us, from, to, data, len));
    f->packets++;
    return 1;
}

/* The stream between two ends, which is new where they have said nothing yet; which of them sends.
 * NULL: there are too many. */
static gwm_pcap_stream *stream_of(gwm_capture_file *f, const gwm_pcap_address *from,
                                  const gwm_pcap_address *to, int *end) {
    for (unsigned n = 0; n < f->stream_count; n++) {
        *end = gwm_pcap_stream_end(&f->streams[n], from, to);
        if (*end >= 0)
            return &f->streams[n];
    }
    if (f->stream_count == GWM_CAPTURE_STREAMS)
        return NULL;
    gwm_pcap_stream *s = &f->streams[f->stream_count++];
    gwm_pcap_stream_begin(s, from, to);
    *end = 0;
    return s;
}

int gwm_capture_file_segment(gwm_capture_file *f, uint64_t at_us, const gwm_pcap_address *from,
                             const gwm_pcap_address *to, const uint8_t *data, size_t len,
                             size_t whole) {
    int end;
    if (!has_room(f, len))
        return 0;
    gwm_pcap_stream *s = stream_of(f, from, to, &end);
    if (!s)
        return 0;
    put(f, record, gwm_pcap_segment(record, at_us + f->wall_offset_us, s, end, data, len, whole));
    f->packets++;
    return 1;
}

int gwm_capture_file_full(const gwm_capture_file *f) {
    return f->error || f->max_bytes <= f->written;
}

int gwm_capture_file_close(gwm_capture_file *f) {
    if (close(f->fd) && !f->error)
        f->error = errno;
    return f->error;
}

/* The pcap file of a capture. Everything here is for one thread at a time: for who opens it until a
 * ticket is given out, then for gw-capture. */
#ifndef GWM_CAPTURE_FILE_H
#define GWM_CAPTURE_FILE_H

#include "media.h"
#include "pcap.h"

#define GWM_CAPTURE_STREAMS 64u /* connections of one call's SIP */

typedef struct gwm_capture_file {
    int fd, error; /* error: errno of what the disk did not take */
    uint64_t written, max_bytes, packets, wall_offset_us;
    unsigned stream_count;
    gwm_pcap_stream streams[GWM_CAPTURE_STREAMS];
} gwm_capture_file;

/* Makes a new file of mode 0600, with its header. Returns 0, or errno. */
int gwm_capture_file_open(gwm_capture_file *f, const char *path, uint64_t max_bytes);
/* Writes a UDP datagram. 0: the file has no room for it, or the disk failed; then it is full. */
int gwm_capture_file_datagram(gwm_capture_file *f, uint64_t at_us, const gwm_pcap_address *from,
                              const gwm_pcap_address *to, const uint8_t *data, size_t len);
/* The same for the first len of `whole` octets of a message that came by a stream: a segment. 0
 * also where there are GWM_CAPTURE_STREAMS other streams; then the file is not full. */
int gwm_capture_file_segment(gwm_capture_file *f, uint64_t at_us, const gwm_pcap_address *from,
                             const gwm_pcap_address *to, const uint8_t *data, size_t len,
                             size_t whole);
/* Whether nothing more will be written. */
int gwm_capture_file_full(const gwm_capture_file *f);
/* Closes it. Returns 0, or errno of what went wrong until now. */
int gwm_capture_file_close(gwm_capture_file *f);

#endif

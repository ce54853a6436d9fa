/* RTP header reading and writing (RFC 3550 5.1), and RFC 7983 demultiplexing. Pure. */
#ifndef GWM_RTP_H
#define GWM_RTP_H

#include <stddef.h>
#include <stdint.h>

typedef struct gwm_rtp_header {
    uint8_t payload_type; /* 0..127 */
    uint8_t marker;
    uint16_t sequence;
    uint32_t timestamp, ssrc;
    size_t payload_offset; /* after CSRCs and header extension */
    size_t payload_len;    /* without padding */
} gwm_rtp_header;

/* 0 = well-formed; -1 = not RTP version 2, or truncated, or padding/extension beyond the end. */
int gwm_rtp_parse(const uint8_t *packet, size_t len, gwm_rtp_header *out);

#define GWM_RTP_HEADER_LEN 12
/* Writes a 12-byte header without CSRC or extension. */
void gwm_rtp_write_header(uint8_t *packet, uint8_t payload_type, int marker, uint16_t sequence,
                          uint32_t timestamp, uint32_t ssrc);

typedef enum gwm_datagram_kind {
    GWM_DATAGRAM_STUN = 1,
    GWM_DATAGRAM_DTLS,
    GWM_DATAGRAM_TURN_CHANNEL,
    GWM_DATAGRAM_RTP,
    GWM_DATAGRAM_RTCP, /* RFC 5761 4: second byte 192..223 */
    GWM_DATAGRAM_OTHER
} gwm_datagram_kind;

/* RFC 7983 section 7: by first byte. */
gwm_datagram_kind gwm_datagram_classify(const uint8_t *packet, size_t len);

#endif

/* RTP header reading and writing, and demultiplexing of what shares the port. See rtp.h. */
#include "rtp.h"

#define RTP_VERSION 2
#define EXTENSION_HEADER_LEN 4

static uint16_t read_u16(const uint8_t *from) { return (uint16_t)(from[0] << 8 | from[1]); }

static uint32_t read_u32(const uint8_t *from) {
    return (uint32_t)from[0] << 24 | (uint32_t)from[1] << 16 | (uint32_t)from[2] << 8 | from[3];
}

static void write_u32(uint8_t *to, uint32_t value) {
    to[0] = (uint8_t)(value >> 24);
    to[1] = (uint8_t)(value >> 16);
    to[2] = (uint8_t)(value >> 8);
    to[3] = (uint8_t)value;
}

int gwm_rtp_parse(const uint8_t *packet, size_t len, gwm_rtp_header *out) {
    if (len < GWM_RTP_HEADER_LEN || packet[0] >> 6 != RTP_VERSION)
        return -1;
    const int padded = packet[0] >> 5 & 1, extended = packet[0] >> 4 & 1;
    size_t offset = GWM_RTP_HEADER_LEN + 4u * (packet[0] & 15u); /* CSRC list */

    if (extended) { /* RFC 3550 5.3.1 */
        if (len < offset + EXTENSION_HEADER_LEN)
            return -1;
        offset += EXTENSION_HEADER_LEN + 4u * (size_t)read_u16(packet + offset + 2);
    }
    if (len < offset)
        return -1;
    size_t payload_len = len - offset;
    if (padded) { /* the count includes itself, so 0 is as wrong as too many */
        if (payload_len == 0 || packet[len - 1] == 0 || packet[len - 1] > payload_len)
            return -1;
        payload_len -= packet[len - 1];
    }

    out->payload_type = packet[1] & 0x7F;
    out->marker = packet[1] >> 7;
    out->sequence = read_u16(packet + 2);
    out->timestamp = read_u32(packet + 4);
    out->ssrc = read_u32(packet + 8);
    out->payload_offset = offset;
    out->payload_len = payload_len;
    return 0;
}

void gwm_rtp_write_header(uint8_t *packet, uint8_t payload_type, int marker, uint16_t sequence,
                          uint32_t timestamp, uint32_t ssrc) {
    packet[0] = RTP_VERSION << 6;
    packet[1] = (uint8_t)((marker ? 0x80 : 0) | (payload_type & 0x7F));
    packet[2] = (uint8_t)(sequence >> 8);
    packet[3] = (uint8_t)sequence;
    write_u32(packet + 4, timestamp);
    write_u32(packet + 8, ssrc);
}

gwm_datagram_kind gwm_datagram_classify(const uint8_t *packet, size_t len) {
    /* RFC 7983 7: ranges of the first byte. 16..19 is ZRTP, which nobody here speaks. */
    static const struct {
        uint8_t first, last;
        gwm_datagram_kind kind;
    } ranges[] = {
        {0, 3, GWM_DATAGRAM_STUN},
        {20, 63, GWM_DATAGRAM_DTLS},
        {64, 79, GWM_DATAGRAM_TURN_CHANNEL},
        {128, 191, GWM_DATAGRAM_RTP},
    };
    if (len == 0)
        return GWM_DATAGRAM_OTHER;
    for (size_t i = 0; i < sizeof ranges / sizeof ranges[0]; i++) {
        if (packet[0] < ranges[i].first || packet[0] > ranges[i].last)
            continue;
        if (ranges[i].kind != GWM_DATAGRAM_RTP)
            return ranges[i].kind;
        if (len < 2)
            return GWM_DATAGRAM_OTHER;
        return packet[1] >= 192 && packet[1] <= 223 ? GWM_DATAGRAM_RTCP : GWM_DATAGRAM_RTP;
    }
    return GWM_DATAGRAM_OTHER;
}

/* Fuzz target: RTP headers and demultiplexing, with bytes as they come from the network. */
#include "fuzz.h"
#include "pcap.h"
#include "rtp.h"

#include <string.h>

uint64_t gwt_packets;

/* A copy in a block of its own: blanked it has no code of an event, and any copy is a record. */
static void capture(const uint8_t *packet, size_t len) {
    gwm_pcap_address from = {.family = 4, .port = 1}, to = {.family = len & 1 ? 6 : 4, .port = 2};
    for (int privacy = GWM_PCAP_SHOW_ALL; privacy <= GWM_PCAP_BLANK_ALL; privacy++) {
        gwm_rtp_header h;
        uint8_t *copy = malloc(len ? len : 1), *record = malloc(len + GWM_PCAP_OVERHEAD);
        CHECK(copy && record);
        memcpy(copy, packet, len);
        gwm_pcap_blank(copy, len, 101, privacy);
        if (privacy && gwm_rtp_parse(copy, len, &h) == 0 && h.payload_type == 101 && h.payload_len)
            CHECK(copy[h.payload_offset] == GWM_PCAP_NO_EVENT);
        CHECK(gwm_pcap_record(record, len, &from, &to, copy, len) <= len + GWM_PCAP_OVERHEAD);
        free(record);
        free(copy);
    }
}

static void parse(const uint8_t *packet, size_t len) {
    gwm_rtp_header h;
    gwm_datagram_kind kind = gwm_datagram_classify(packet, len);
    gwt_packets++;
    CHECK(kind >= GWM_DATAGRAM_STUN && kind <= GWM_DATAGRAM_OTHER);
    if (gwm_rtp_parse(packet, len, &h) != 0)
        return;
    CHECK(kind == GWM_DATAGRAM_RTP || kind == GWM_DATAGRAM_RTCP);
    CHECK(h.payload_offset >= GWM_RTP_HEADER_LEN && h.payload_offset + h.payload_len <= len);
    CHECK(h.payload_type < 128 && h.marker <= 1);

    uint8_t copy[GWM_RTP_HEADER_LEN];
    gwm_rtp_write_header(copy, h.payload_type, h.marker, h.sequence, h.timestamp, h.ssrc);
    CHECK(copy[0] == 0x80 && memcmp(copy + 1, packet + 1, sizeof copy - 1) == 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len) {
    input in = {.data = data, .len = len};
    parse(data, len);
    while (in.at < in.len) { /* slices in blocks of their own, so that reading past one is seen */
        size_t want = take_u8(&in), left = in.len - in.at;
        size_t size = want < left ? want : left;
        uint8_t *packet = malloc(size ? size : 1);
        CHECK(packet);
        memcpy(packet, in.data + in.at, size);
        if (size)
            packet[0] = (uint8_t)((packet[0] & 0x3F) | 0x80); /* mostly RTP */
        in.at += size;
        parse(packet, size);
        capture(packet, size);
        free(packet);
    }
    return 0;
}

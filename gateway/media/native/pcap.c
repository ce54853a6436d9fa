/* pcap files of UDP datagrams: headers, checksums, and what is blanked. */
#include "pcap.h"

#include <string.h>

#include "rtp.h"

#define LINKTYPE_RAW 101
#define EVENT_LEN 4
#define FIRST_DYNAMIC 96 /* RFC 3551 6 */

static void put16(uint8_t *to, unsigned value) {
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

/* pcap's own fields are in the writer's byte order, which the file's first word tells. */
static void native32(uint8_t *to, uint32_t value) { memcpy(to, &value, sizeof value); }

void gwm_pcap_file_header(uint8_t out[GWM_PCAP_FILE_HEADER]) {
    uint16_t version[2] = {2, 4};
    memset(out, 0, GWM_PCAP_FILE_HEADER);
    native32(out, 0xa1b2c3d4u);
    memcpy(out + 4, version, sizeof version);
    native32(out + 16, 65535);
    native32(out + 20, LINKTYPE_RAW);
}

/* RFC 1071 */
static uint32_t sum(uint32_t so_far, const uint8_t *data, size_t len) {
    for (size_t i = 0; i + 1 < len; i += 2)
        so_far += (uint32_t)data[i] << 8 | data[i + 1];
    if (len & 1)
        so_far += (uint32_t)data[len - 1] << 8;
    return so_far;
}

static unsigned folded(uint32_t total) {
    while (total >> 16)
        total = (total & 0xFFFF) + (total >> 16);
    return (uint16_t)~total;
}

static void as_v6(const gwm_pcap_address *address, uint8_t out[16]) {
    if (address->family == 6) {
        memcpy(out, address->octets, 16);
    } else { /* RFC 4291 2.5.5.2 */
        memset(out, 0, 10);
        out[10] = out[11] = 0xFF;
        memcpy(out + 12, address->octets, 4);
    }
}

static size_t v4_header(uint8_t *ip, const gwm_pcap_address *from, const gwm_pcap_address *to,
                        size_t udp_len) {
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(20 + udp_len));
    ip[6] = 0x40; /* don't fragment */
    ip[8] = 64;
    ip[9] = 17;
    memcpy(ip + 12, from->octets, 4);
    memcpy(ip + 16, to->octets, 4);
    put16(ip + 10, folded(sum(0, ip, 20)));
    return 20;
}

static size_t v6_header(uint8_t *ip, const gwm_pcap_address *from, const gwm_pcap_address *to,
                        size_t udp_len) {
    memset(ip, 0, 40);
    ip[0] = 0x60;
    put16(ip + 4, (unsigned)udp_len);
    ip[6] = 17;
    ip[7] = 64;
    as_v6(from, ip + 8);
    as_v6(to, ip + 24);
    return 40;
}

size_t gwm_pcap_record(uint8_t *out, uint64_t wall_us, const gwm_pcap_address *from,
                       const gwm_pcap_address *to, const uint8_t *datagram, size_t len) {
    int v4 = from->family == 4 && to->family == 4;
    uint8_t *ip = out + 16;
    size_t udp_len = 8 + len;
    size_t ip_len = v4 ? v4_header(ip, from, to, udp_len) : v6_header(ip, from, to, udp_len);
    uint8_t *udp = ip + ip_len;
    put16(udp, from->port);
    put16(udp + 2, to->port);
    put16(udp + 4, (unsigned)udp_len);
    put16(udp + 6, 0);
    memcpy(udp + 8, datagram, len);
    /* RFC 768, RFC 8200 8.1: addresses, protocol and length count too */
    size_t addresses = v4 ? 8 : 32;
    uint32_t total = sum(17 + (uint32_t)udp_len, ip + ip_len - addresses, addresses);
    unsigned checksum = folded(sum(total, udp, udp_len));
    put16(udp + 6, checksum ? checksum : 0xFFFF);
    native32(out, (uint32_t)(wall_us / 1000000u));
    native32(out + 4, (uint32_t)(wall_us % 1000000u));
    native32(out + 8, (uint32_t)(ip_len + udp_len));
    native32(out + 12, (uint32_t)(ip_len + udp_len));
    return 16 + ip_len + udp_len;
}

void gwm_pcap_blank(uint8_t *packet, size_t len, int event_type, int privacy) {
    gwm_rtp_header h;
    if (privacy == GWM_PCAP_SHOW_ALL)
        return;
    if (gwm_rtp_parse(packet, len, &h) != 0) {
        memset(packet, 0, len);
        return;
    }
    uint8_t *payload = packet + h.payload_offset;
    int may_be_event = h.payload_type >= FIRST_DYNAMIC && h.payload_len == EVENT_LEN;
    if (privacy == GWM_PCAP_BLANK_ALL)
        memset(payload, GWM_PCAP_NO_EVENT, h.payload_len);
    else if (h.payload_type == event_type || may_be_event)
        for (size_t at = 0; at < h.payload_len; at += EVENT_LEN)
            payload[at] = GWM_PCAP_NO_EVENT;
}

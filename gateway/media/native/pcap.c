/* pcap files: headers, checksums, sequence numbers, and what is blanked. */
#include "pcap.h"

#include <string.h>

#include "rtp.h"

#define LINKTYPE_RAW 101
#define UDP 17
#define TCP 6
#define UDP_HEADER 8
#define TCP_HEADER 20
#define TCP_PSH_ACK 0x18
#define TCP_WINDOW 65535
#define TCP_FIRST 1 /* sequence number: as if the connection had been made before the file */
#define EVENT_LEN 4
#define FIRST_DYNAMIC 96 /* RFC 3551 6 */

static void put16(uint8_t *to, unsigned value) {
    to[0] = (uint8_t)(value >> 8);
    to[1] = (uint8_t)value;
}

static void put32(uint8_t *to, uint32_t value) {
    put16(to, value >> 16);
    put16(to + 2, value & 0xFFFF);
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
                        unsigned protocol, size_t len) {
    memset(ip, 0, 20);
    ip[0] = 0x45;
    put16(ip + 2, (unsigned)(20 + len));
    ip[6] = 0x40; /* don't fragment */
    ip[8] = 64;
    ip[9] = (uint8_t)protocol;
    memcpy(ip + 12, from->octets, 4);
    memcpy(ip + 16, to->octets, 4);
    put16(ip + 10, folded(sum(0, ip, 20)));
    return 20;
}

static size_t v6_header(uint8_t *ip, const gwm_pcap_address *from, const gwm_pcap_address *to,
                        unsigned protocol, size_t len) {
    memset(ip, 0, 40);
    ip[0] = 0x60;
    put16(ip + 4, (unsigned)len);
    ip[6] = (uint8_t)protocol;
    ip[7] = 64;
    as_v6(from, ip + 8);
    as_v6(to, ip + 24);
    return 40;
}

/* The record's and the IP header of a packet of len octets behind them, of which `stored` are
 * there. Returns where they begin. */
static uint8_t *begin(uint8_t *out, uint64_t wall_us, const gwm_pcap_address *from,
                      const gwm_pcap_address *to, unsigned protocol, size_t len, size_t stored) {
    int v4 = from->family == 4 && to->family == 4;
    uint8_t *ip = out + 16;
    size_t ip_len =
        v4 ? v4_header(ip, from, to, protocol, len) : v6_header(ip, from, to, protocol, len);
    native32(out, (uint32_t)(wall_us / 1000000u));
    native32(out + 4, (uint32_t)(wall_us % 1000000u));
    native32(out + 8, (uint32_t)(ip_len + stored));
    native32(out + 12, (uint32_t)(ip_len + len));
    return ip + ip_len;
}

/* RFC 768, RFC 9293 3.1, RFC 8200 8.1: addresses, protocol and length count too. */
static unsigned checksum(const uint8_t *out, const uint8_t *begun, unsigned protocol, size_t len,
                         size_t stored) {
    size_t addresses = begun - out == 16 + 20 ? 8 : 32;
    uint32_t total = sum(protocol + (uint32_t)len, begun - addresses, addresses);
    return folded(sum(total, begun, stored));
}

size_t gwm_pcap_record(uint8_t *out, uint64_t wall_us, const gwm_pcap_address *from,
                       const gwm_pcap_address *to, const uint8_t *datagram, size_t len) {
    size_t udp_len = UDP_HEADER + len;
    uint8_t *udp = begin(out, wall_us, from, to, UDP, udp_len, udp_len);
    put16(udp, from->port);
    put16(udp + 2, to->port);
    put16(udp + 4, (unsigned)udp_len);
    put16(udp + 6, 0);
    memcpy(udp + UDP_HEADER, datagram, len);
    unsigned right = checksum(out, udp, UDP, udp_len, udp_len);
    put16(udp + 6, right ? right : 0xFFFF);
    return (size_t)(udp - out) + udp_len;
}

void gwm_pcap_stream_begin(gwm_pcap_stream *s, const gwm_pcap_address *a,
                           const gwm_pcap_address *b) {
    s->ends[0] = *a;
    s->ends[1] = *b;
    s->next[0] = s->next[1] = TCP_FIRST;
}

static int same(const gwm_pcap_address *a, const gwm_pcap_address *b) {
    return a->family == b->family && a->port == b->port &&
           memcmp(a->octets, b->octets, a->family == 6 ? 16 : 4) == 0;
}

int gwm_pcap_stream_end(const gwm_pcap_stream *s, const gwm_pcap_address *from,
                        const gwm_pcap_address *to) {
    for (int end = 0; end < 2; end++)
        if (same(from, &s->ends[end]) && same(to, &s->ends[1 - end]))
            return end;
    return -1;
}

size_t gwm_pcap_segment(uint8_t *out, uint64_t wall_us, gwm_pcap_stream *s, int end,
                        const uint8_t *data, size_t len, size_t whole) {
    const gwm_pcap_address *from = &s->ends[end], *to = &s->ends[1 - end];
    size_t tcp_len = TCP_HEADER + whole, stored = TCP_HEADER + len;
    uint8_t *tcp = begin(out, wall_us, from, to, TCP, tcp_len, stored);
    memset(tcp, 0, TCP_HEADER);
    put16(tcp, from->port);
    put16(tcp + 2, to->port);
    put32(tcp + 4, s->next[end]);
    put32(tcp + 8, s->next[1 - end]);
    tcp[12] = (TCP_HEADER / 4) << 4;
    tcp[13] = TCP_PSH_ACK;
    put16(tcp + 14, TCP_WINDOW);
    memcpy(tcp + TCP_HEADER, data, len);
    put16(tcp + 16, checksum(out, tcp, TCP, tcp_len, stored));
    s->next[end] += (uint32_t)whole;
    return (size_t)(tcp - out) + stored;
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

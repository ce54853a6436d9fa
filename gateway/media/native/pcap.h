/* pcap files of UDP datagrams, written record by record. Pure but for pcap_write's descriptor. */
#ifndef GWM_PCAP_H
#define GWM_PCAP_H

#include <stddef.h>
#include <stdint.h>

#define GWM_PCAP_FILE_HEADER 24
/* Record, IPv6 and UDP headers: what a datagram takes more than its own length, at most. */
#define GWM_PCAP_OVERHEAD (16 + 40 + 8)
#define GWM_PCAP_MAX_DATAGRAM 65000

typedef struct gwm_pcap_address {
    int family;         /* 4 or 6 */
    uint8_t octets[16]; /* network order; the first 4 for IPv4 */
    uint16_t port;      /* host order */
} gwm_pcap_address;

/* The header of a file: microseconds, packets begin with their IP header (LINKTYPE_RAW). */
void gwm_pcap_file_header(uint8_t out[GWM_PCAP_FILE_HEADER]);
/* One datagram as a record, into out, which has room for len + GWM_PCAP_OVERHEAD. Returns the
 * record's length. wall_us: since 1970. Addresses of different families are told as IPv6. */
size_t gwm_pcap_record(uint8_t *out, uint64_t wall_us, const gwm_pcap_address *from,
                       const gwm_pcap_address *to, const uint8_t *datagram, size_t len);

/* What must not be in a file. */
enum { GWM_PCAP_SHOW_ALL, GWM_PCAP_BLANK_EVENTS, GWM_PCAP_BLANK_ALL };

#define GWM_PCAP_NO_EVENT 0xFF /* stands for a telephone-event's code; no digit has it */

/* Blanks an RTP packet in place: the codes of telephone-events (RFC 4733 2.3) of payload type
 * event_type, or which any dynamic type of their size may be; or everything behind the header. */
void gwm_pcap_blank(uint8_t *packet, size_t len, int event_type, int privacy);

#endif

/* pcap files of UDP datagrams, and of messages as TCP segments, written record by record. Pure. */
#ifndef GWM_PCAP_H
#define GWM_PCAP_H

#include <stddef.h>
#include <stdint.h>

#define GWM_PCAP_FILE_HEADER 24
/* Record, IPv6 and TCP headers: what a packet takes more than its own length, at most. */
#define GWM_PCAP_OVERHEAD (16 + 40 + 20)
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

/* A TCP connection as a file tells it. The members belong to the functions below. */
typedef struct gwm_pcap_stream {
    gwm_pcap_address ends[2];
    uint32_t next[2]; /* sequence number of the next octet that each end sends */
} gwm_pcap_stream;

/* Begins a stream between two ends, in the midst of it: nobody has said anything in the file yet.
 */
void gwm_pcap_stream_begin(gwm_pcap_stream *s, const gwm_pcap_address *a,
                           const gwm_pcap_address *b);
/* Which end of the stream sends from one address to another: 0, 1; -1: it is another stream. */
int gwm_pcap_stream_end(const gwm_pcap_stream *s, const gwm_pcap_address *from,
                        const gwm_pcap_address *to);
/* A message of an end as one segment (RFC 9293 3.1) behind those before it, which acknowledges all
 * that the other end has said. out, wall_us and the result as of gwm_pcap_record. whole: how long
 * the message is of which data has the first len octets; the others are told, as in any capture of
 * limited size, but not there. At most GWM_PCAP_MAX_DATAGRAM. */
size_t gwm_pcap_segment(uint8_t *out, uint64_t wall_us, gwm_pcap_stream *s, int end,
                        const uint8_t *data, size_t len, size_t whole);

/* What must not be in a file. */
enum { GWM_PCAP_SHOW_ALL, GWM_PCAP_BLANK_EVENTS, GWM_PCAP_BLANK_ALL };

#define GWM_PCAP_NO_EVENT 0xFF /* stands for a telephone-event's code; no digit has it */

/* Blanks an RTP packet in place: the codes of telephone-events (RFC 4733 2.3) of payload type
 * event_type, or which any dynamic type of their size may be; or everything behind the header. */
void gwm_pcap_blank(uint8_t *packet, size_t len, int event_type, int privacy);

#endif

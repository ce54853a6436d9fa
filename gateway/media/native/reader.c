/* The readers: threads that read the UDP sockets of all legs in short rounds, each WebRTC leg on
 * one of them and the SIP legs' sockets (PJMEDIA's ioqueue) by turns, and the socket pair through
 * which STUN and DTLS go to Python.
 *
 * Rounds, not a wake-up for each packet: at fifty calls a wake-up costs more than the reading, and
 * codecs that run one after another find their code and tables still in the cache. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <time.h>
#include <unistd.h>

#include "internal.h"

#define MAX_DATAGRAM 2048
#define ROUND_US 5000
#define MAX_POLLS 64  /* of PJMEDIA's ioqueue in a round */
#define MAX_PASSES 64 /* one datagram of each socket a pass: others must not starve */

typedef struct reader {
    pthread_t thread;
    int epoll_fd, started;
    /* PJMEDIA's SRTP wants packets aligned to 4 bytes. */
    _Alignas(8) uint8_t buffer[MAX_DATAGRAM];
} reader;

static reader readers[GWM_MAX_READERS];
static int reader_count;
static atomic_int run;
static int to_python[2] = {-1, -1};

/* epoll's 64 bits of user data: handle, tag and descriptor. The descriptor belongs to the port,
 * which is acquired by handle before it is used, so a closed one is never read. */
static uint64_t pack(int handle, int tag, int fd) {
    return (uint64_t)(uint32_t)handle << 32 | (uint64_t)(tag & 0xFF) << 24 |
           ((uint32_t)fd & 0xFFFFFF);
}

static reader *reader_of(int handle) { return &readers[handle % reader_count]; }

static void read_socket(reader *r, uint64_t data) {
    gwm_port *port = gwm_port_acquire((int)(data >> 32));
    if (!port)
        return;
    int tag = (int)(data >> 24 & 0xFF), fd = (int)(data & 0xFFFFFF);
    pj_sockaddr source;
    socklen_t source_len = sizeof source;
    ssize_t n = recvfrom(fd, r->buffer, sizeof r->buffer, MSG_DONTWAIT, (struct sockaddr *)&source,
                         &source_len);
    if (n >= 0)
        gwm_webrtc_datagram(port, tag, r->buffer, (int)n, &source);
    gwm_port_release(port);
}

static void read_webrtc(reader *r) {
    struct epoll_event ready[64];
    for (int pass = 0, n = 1; pass < MAX_PASSES && n > 0; pass++) {
        n = epoll_wait(r->epoll_fd, ready, 64, 0);
        for (int i = 0; i < n; i++)
            read_socket(r, ready[i].data.u64);
    }
}

static void read_sip(void) {
    pj_ioqueue_t *sockets = pjmedia_endpt_get_ioqueue(pjsua_get_pjmedia_endpt());
    pj_time_val at_once = {0, 0};
    for (int i = 0; i < MAX_POLLS && pj_ioqueue_poll(sockets, &at_once) > 0; i++) {
    }
}

static void *reader_main(void *argument) {
    reader *r = argument;
    gwm_enter_media_thread("gw-reader");
    while (atomic_load(&run)) {
        uint64_t round = gwm_now_us() / ROUND_US;
        read_webrtc(r);
        /* The readers take turns: two at once would only wait for the ioqueue's lock. */
        if (round % (unsigned)reader_count == (uint64_t)(r - readers))
            read_sip();
        uint64_t due = (gwm_now_us() / ROUND_US + 1) * ROUND_US;
        struct timespec until = {(time_t)(due / 1000000), (long)(due % 1000000 * 1000)};
        clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &until, NULL);
    }
    return NULL;
}

int gwm_reader_start(int threads) {
    int error = 0;
    for (int i = 0; i < threads; i++) {
        readers[i].started = 0;
        readers[i].epoll_fd = epoll_create1(EPOLL_CLOEXEC);
        if (readers[i].epoll_fd < 0)
            error = errno;
    }
    reader_count = threads;
    if (!error && socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, to_python))
        error = errno;
    int size = 1 << 20;
    setsockopt(to_python[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    /* PJMEDIA's own threads would wake up for every packet. */
    pjmedia_endpt_stop_threads(pjsua_get_pjmedia_endpt());
    atomic_store(&run, 1);
    for (int i = 0; i < threads && !error; i++) {
        error = pthread_create(&readers[i].thread, NULL, reader_main, &readers[i]);
        readers[i].started = !error;
    }
    return error ? gwm_fail(GWM_ESYSTEM, "readers: %s", strerror(error)) : 0;
}

void gwm_reader_stop(void) {
    atomic_store(&run, 0);
    for (int i = 0; i < reader_count; i++) {
        if (readers[i].started)
            pthread_join(readers[i].thread, NULL);
        if (readers[i].epoll_fd >= 0)
            close(readers[i].epoll_fd);
    }
    reader_count = 0;
    for (int i = 0; i < 2; i++) {
        if (to_python[i] >= 0)
            close(to_python[i]);
        to_python[i] = -1;
    }
}

int gwm_reader_add(gwm_port *port, int tag, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = pack(port->handle, tag, fd)};
    if (!reader_count)
        return gwm_fail(GWM_ESTATE, "the readers have stopped");
    if (epoll_ctl(reader_of(port->handle)->epoll_fd, EPOLL_CTL_ADD, fd, &event))
        return gwm_fail(GWM_ESYSTEM, "epoll: %s", strerror(errno));
    return 0;
}

void gwm_reader_remove(gwm_port *port, int fd) {
    if (reader_count)
        epoll_ctl(reader_of(port->handle)->epoll_fd, EPOLL_CTL_DEL, fd, NULL);
}

int gwm_datagram_fd(void) { return to_python[0]; }

void gwm_hand_over(int handle, int tag, const pj_sockaddr *address, const void *data, size_t len) {
    gwm_datagram header = {.port = handle, .tag = tag};
    if (address && address->addr.sa_family == PJ_AF_INET) {
        header.family = 4;
        memcpy(header.address, &address->ipv4.sin_addr, 4);
        header.udp_port = pj_ntohs(address->ipv4.sin_port);
    } else if (address && address->addr.sa_family == PJ_AF_INET6) {
        header.family = 6;
        memcpy(header.address, &address->ipv6.sin6_addr, 16);
        header.udp_port = pj_ntohs(address->ipv6.sin6_port);
    }
    struct iovec parts[2] = {{&header, sizeof header}, {(void *)data, len}};
    struct msghdr message = {.msg_iov = parts, .msg_iovlen = 2};
    if (sendmsg(to_python[1], &message, MSG_DONTWAIT | MSG_NOSIGNAL) < 0 && errno != EAGAIN)
        PJ_LOG(2, ("reader.c", "datagram for Python lost: %s", strerror(errno)));
}

/* The reader: one epoll thread for the UDP sockets of all WebRTC legs, and the socket pair through
 * which STUN and DTLS go to Python. */
#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/socket.h>
#include <sys/uio.h>
#include <unistd.h>

#include "internal.h"

#define MAX_DATAGRAM 2048
#define BATCH 16 /* datagrams of one socket per wake-up: others must not starve */

static pthread_t thread;
static atomic_int run;
static int epoll_fd = -1, wake_fd = -1;
static int to_python[2] = {-1, -1};

/* epoll's 64 bits of user data: handle, tag and descriptor. The descriptor belongs to the port,
 * which is acquired by handle before it is used, so a closed one is never read. */
static uint64_t pack(int handle, int tag, int fd) {
    return (uint64_t)(uint32_t)handle << 32 | (uint64_t)(tag & 0xFF) << 24 |
           ((uint32_t)fd & 0xFFFFFF);
}

static void read_socket(uint64_t data) {
    /* PJMEDIA's SRTP wants packets aligned to 4 bytes. */
    static _Alignas(8) uint8_t buffer[MAX_DATAGRAM];
    gwm_port *port = gwm_port_acquire((int)(data >> 32));
    if (!port)
        return;
    int tag = (int)(data >> 24 & 0xFF), fd = (int)(data & 0xFFFFFF);
    for (int i = 0; i < BATCH; i++) {
        pj_sockaddr source;
        socklen_t source_len = sizeof source;
        ssize_t n = recvfrom(fd, buffer, sizeof buffer, MSG_DONTWAIT, (struct sockaddr *)&source,
                             &source_len);
        if (n < 0)
            break;
        gwm_webrtc_datagram(port, tag, buffer, (int)n, &source);
    }
    gwm_port_release(port);
}

static void *reader_main(void *unused) {
    PJ_UNUSED_ARG(unused);
    gwm_enter_media_thread("gw-reader");
    struct epoll_event ready[64];
    while (atomic_load(&run)) {
        int n = epoll_wait(epoll_fd, ready, 64, -1);
        for (int i = 0; i < n; i++)
            if (ready[i].data.u64)
                read_socket(ready[i].data.u64);
    }
    return NULL;
}

int gwm_reader_start(void) {
    epoll_fd = epoll_create1(EPOLL_CLOEXEC);
    wake_fd = eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK);
    struct epoll_event wake = {.events = EPOLLIN, .data.u64 = 0};
    if (epoll_fd < 0 || wake_fd < 0 || epoll_ctl(epoll_fd, EPOLL_CTL_ADD, wake_fd, &wake) ||
        socketpair(AF_UNIX, SOCK_DGRAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, to_python))
        return gwm_fail(GWM_ESYSTEM, "reader: %s", strerror(errno));
    int size = 1 << 20;
    setsockopt(to_python[1], SOL_SOCKET, SO_SNDBUF, &size, sizeof size);
    atomic_store(&run, 1);
    int error = pthread_create(&thread, NULL, reader_main, NULL);
    return error ? gwm_fail(GWM_ESYSTEM, "reader thread: %s", strerror(error)) : 0;
}

void gwm_reader_stop(void) {
    if (atomic_exchange(&run, 0)) {
        uint64_t one = 1;
        if (write(wake_fd, &one, sizeof one) == sizeof one)
            pthread_join(thread, NULL);
    }
    for (int i = 0; i < 2; i++) {
        if (to_python[i] >= 0)
            close(to_python[i]);
        to_python[i] = -1;
    }
    if (epoll_fd >= 0)
        close(epoll_fd);
    if (wake_fd >= 0)
        close(wake_fd);
    epoll_fd = wake_fd = -1;
}

int gwm_reader_add(gwm_port *port, int tag, int fd) {
    struct epoll_event event = {.events = EPOLLIN, .data.u64 = pack(port->handle, tag, fd)};
    if (epoll_ctl(epoll_fd, EPOLL_CTL_ADD, fd, &event))
        return gwm_fail(GWM_ESYSTEM, "epoll: %s", strerror(errno));
    return 0;
}

void gwm_reader_remove(int fd) {
    if (epoll_fd >= 0)
        epoll_ctl(epoll_fd, EPOLL_CTL_DEL, fd, NULL);
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

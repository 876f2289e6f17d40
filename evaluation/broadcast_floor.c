/* The floor that broadcast_bench.py measures against, and the clients both sides of it talk to.
 *
 *   broadcast_floor serve CLIENTS BYTES   accepts websockets; for each line on stdin sends one text frame of
 *                                         BYTES to all, in a loop; prints the nanosecond it began
 *   broadcast_floor hear PORT CLIENTS     opens websockets; each time all have got one more text frame, prints
 *                                         the nanosecond the last one had it
 *
 * serve prints its port first; both print "ready" when all are connected. Nothing of RFC 6455 is here that the
 * measurement does not need: short frames, no masking of answers worth the name, keys unchecked.
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/tcp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

static void require(int ok, const char *what) {
    if (!ok) {
        perror(what);
        exit(1);
    }
}

static void say_now(void) {
    struct timespec t; /* the clock of Python's time.monotonic_ns */
    clock_gettime(CLOCK_MONOTONIC, &t);
    printf("%lld\n", t.tv_sec * 1000000000LL + t.tv_nsec);
    fflush(stdout);
}

static void send_all(int fd, const unsigned char *data, size_t size) {
    while (size > 0) {
        ssize_t sent = send(fd, data, size, MSG_NOSIGNAL);
        require(sent > 0, "send");
        data += sent;
        size -= (size_t)sent;
    }
}

/* Reads up to the empty line that ends a request or response, and not beyond. */
static void skip_head(int fd) {
    char last[4] = {0};
    while (memcmp(last, "\r\n\r\n", 4) != 0) {
        memmove(last, last + 1, 3);
        require(recv(fd, last + 3, 1, 0) == 1, "handshake");
    }
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((unsigned short)port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    return address;
}

static void serve(int clients, int bytes) {
    static const char welcome[] = "HTTP/1.1 101 Switching Protocols\r\n\r\n";
    int listener = socket(AF_INET, SOCK_STREAM, 0), one = 1;
    struct sockaddr_in address = loopback(0);
    socklen_t size = sizeof address;
    require(bind(listener, (struct sockaddr *)&address, size) == 0, "bind");
    require(listen(listener, 512) == 0, "listen");
    require(getsockname(listener, (struct sockaddr *)&address, &size) == 0, "getsockname");
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);

    int *fds = calloc((size_t)clients, sizeof *fds);
    unsigned char *frame = calloc(1, (size_t)bytes + 4);
    require(fds != NULL && frame != NULL, "calloc");
    frame[0] = 0x81;
    frame[1] = 126;
    frame[2] = (unsigned char)(bytes >> 8);
    frame[3] = (unsigned char)bytes;
    memset(frame + 4, 'x', (size_t)bytes);
    for (int i = 0; i < clients; i++) {
        fds[i] = accept(listener, NULL, NULL);
        require(fds[i] >= 0, "accept");
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
        skip_head(fds[i]);
        send_all(fds[i], (const unsigned char *)welcome, sizeof welcome - 1);
    }
    puts("ready");
    fflush(stdout);
    while (getchar() != EOF) {
        say_now();
        for (int i = 0; i < clients; i++)
            send_all(fds[i], frame, (size_t)bytes + 4);
    }
}

struct ear {
    int fd;
    unsigned char head[4];
    int head_size;
    size_t left; /* of the payload */
};

/* Takes received bytes; returns how many text frames ended in them. Pings are answered, or we would be dropped. */
static int hear_bytes(struct ear *ear, const unsigned char *data, size_t size) {
    int frames = 0;
    while (size > 0) {
        if (ear->left == 0) {
            ear->head[ear->head_size++] = *data++;
            size--;
            if (ear->head_size < 2 || (ear->head[1] == 126 && ear->head_size < 4))
                continue;
            ear->left = ear->head[1] == 126 ? (size_t)(ear->head[2] << 8 | ear->head[3]) : ear->head[1];
            if (ear->head[0] == 0x89) {
                unsigned char pong[6 + 125] = {0x8a, (unsigned char)(0x80 | ear->left)};
                require(ear->left <= size, "a ping in two pieces");
                memcpy(pong + 6, data, ear->left);
                send_all(ear->fd, pong, 6 + ear->left);
            }
            ear->head_size = 0;
        } else {
            size_t taken = ear->left < size ? ear->left : size;
            data += taken;
            size -= taken;
            ear->left -= taken;
            frames += ear->left == 0 && ear->head[0] == 0x81;
        }
    }
    return frames;
}

static void hear(int port, int clients) {
    static const char request[] = "GET / HTTP/1.1\r\nHost: localhost\r\nConnection: Upgrade\r\n"
                                  "Upgrade: websocket\r\nSec-WebSocket-Version: 13\r\n"
                                  "Sec-WebSocket-Key: AAAAAAAAAAAAAAAAAAAAAA==\r\n\r\n";
    static unsigned char buffer[65536];
    struct epoll_event events[512];
    struct ear *ears = calloc((size_t)clients, sizeof *ears);
    struct sockaddr_in address = loopback(port);
    int poll = epoll_create1(0), missing = clients;
    require(ears != NULL && poll >= 0, "epoll");
    for (int i = 0; i < clients; i++) {
        ears[i].fd = socket(AF_INET, SOCK_STREAM, 0);
        require(connect(ears[i].fd, (struct sockaddr *)&address, sizeof address) == 0, "connect");
        send_all(ears[i].fd, (const unsigned char *)request, sizeof request - 1);
        skip_head(ears[i].fd);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = &ears[i]};
        require(epoll_ctl(poll, EPOLL_CTL_ADD, ears[i].fd, &event) == 0, "epoll_ctl");
    }
    puts("ready");
    fflush(stdout);
    for (;;) {
        int ready = epoll_wait(poll, events, 512, -1);
        require(ready > 0 || errno == EINTR, "epoll_wait");
        for (int i = 0; i < ready; i++) {
            struct ear *ear = events[i].data.ptr;
            ssize_t size = recv(ear->fd, buffer, sizeof buffer, 0);
            if (size <= 0)
                return; /* the server is gone */
            missing -= hear_bytes(ear, buffer, (size_t)size);
            if (missing == 0) {
                say_now();
                missing = clients;
            }
        }
    }
}

int main(int argc, char **argv) {
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    if (argc == 4 && strcmp(argv[1], "serve") == 0)
        serve(atoi(argv[2]), atoi(argv[3]));
    else if (argc == 4 && strcmp(argv[1], "hear") == 0)
        hear(atoi(argv[2]), atoi(argv[3]));
    else
        return 2;
    return 0;
}

/*
 * A TCP proxy that makes loopback look far away: every byte arrives MS milliseconds after it was sent, in
 * each direction, and what a client says first waits for a handshake's round trip as well. Throughput is
 * not limited and nothing is lost or reordered: it is distance alone.
 *
 *   delay_proxy LISTEN_PORT UPSTREAM_PORT MS      LISTEN_PORT 0: any; prints the port it listens on
 */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define CHUNK (64 << 10)   /* bytes: read at once */
#define UNDERWAY (16 << 20) /* bytes: so much of one direction before its sender has to wait */

typedef struct Chunk { struct Chunk *next; int64_t due; size_t size, sent; char bytes[]; } Chunk;

struct Link;
typedef struct {
    struct Link *link;
    int fd; /* its own end: bytes read here go to the other end */
    uint32_t events;
    Chunk *first, *last; /* what is to be written HERE */
    size_t queued;
    int got_end, done; /* nothing more comes from here; nothing more goes to here */
} End;

typedef struct Link { End ends[2]; int64_t open_at; int waiting, dead; } Link;

/* The delay is the same for all, so that what is due first was also queued first. */
typedef struct Due { struct Due *next; int64_t at; End *end; } Due;
static Due *due_first, *due_last;
static int64_t delay;
static int polling;

static int64_t now(void) {
    struct timespec at;
    clock_gettime(CLOCK_MONOTONIC, &at);
    return at.tv_sec * 1000000000ll + at.tv_nsec;
}

static void *must(void *pointer) {
    if (!pointer) { fputs("delay_proxy: out of memory\n", stderr); exit(1); }
    return pointer;
}

static End *other(End *end) { return &end->link->ends[end == &end->link->ends[0]]; }

static void want(End *end) {
    uint32_t events = 0;
    if (!end->got_end && other(end)->queued < UNDERWAY) events |= EPOLLIN;
    if (end->first && end->first->due <= now()) events |= EPOLLOUT;
    if (events == end->events) return;
    end->events = events;
    struct epoll_event event = {.events = events, .data.ptr = end};
    epoll_ctl(polling, EPOLL_CTL_MOD, end->fd, &event);
}

static void bury(Link *link) {
    if (!link->dead) {
        link->dead = 1;
        for (int i = 0; i < 2; i++) close(link->ends[i].fd);
    }
    if (link->waiting) return; /* something in the queue of the due still points here */
    for (int i = 0; i < 2; i++)
        for (Chunk *one = link->ends[i].first, *next; one; one = next) {
            next = one->next;
            free(one);
        }
    free(link);
}

/* Writes to `end` what is due; 0 the link is to be buried. */
static int deliver(End *end) {
    int64_t at = now();
    for (Chunk *one; (one = end->first) && one->due <= at;) {
        if (!one->size) {
            shutdown(end->fd, SHUT_WR);
            end->done = 1;
        } else {
            ssize_t sent = send(end->fd, one->bytes + one->sent, one->size - one->sent, MSG_NOSIGNAL);
            if (sent < 0 && errno == EAGAIN) break;
            if (sent < 0) return 0;
            if ((one->sent += (size_t)sent) < one->size) continue;
        }
        end->queued -= one->size;
        if (!(end->first = one->next)) end->last = NULL;
        free(one);
    }
    if (end->done && other(end)->done) return 0;
    want(end);
    want(other(end));
    return 1;
}

static void queue(End *to, Chunk *chunk) {
    int64_t from = now();
    if (from < to->link->open_at) from = to->link->open_at;
    chunk->due = from + delay;
    chunk->next = NULL;
    if (to->last) to->last->next = chunk;
    else to->first = chunk;
    to->last = chunk;
    to->queued += chunk->size;
    Due *due = must(malloc(sizeof *due));
    *due = (Due){NULL, chunk->due, to};
    to->link->waiting++;
    if (due_last) due_last->next = due;
    else due_first = due;
    due_last = due;
}

/* Reads from `end` once; 0 the link is to be buried. */
static int collect(End *end) {
    static char buffer[CHUNK];
    ssize_t got = recv(end->fd, buffer, sizeof buffer, 0);
    if (got < 0) return errno == EAGAIN;
    Chunk *chunk = must(malloc(sizeof *chunk + (size_t)got));
    chunk->size = (size_t)got;
    chunk->sent = 0;
    memcpy(chunk->bytes, buffer, (size_t)got);
    if (!got) end->got_end = 1;
    queue(other(end), chunk);
    want(end);
    return 1;
}

static struct sockaddr_in loopback(int port) {
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)port)};
    inet_pton(AF_INET, "127.0.0.1", &address.sin_addr);
    return address;
}

static void take(int client, int port) {
    struct sockaddr_in address = loopback(port);
    int yes = 1, server = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    /* Connecting over loopback is a matter of microseconds: it may block. */
    if (server < 0 || connect(server, (struct sockaddr *)&address, sizeof address)) {
        close(client);
        if (server >= 0) close(server);
        return;
    }
    Link *link = must(calloc(1, sizeof *link));
    link->open_at = now() + 2 * delay;
    int fds[2] = {client, server};
    for (int i = 0; i < 2; i++) {
        End *end = &link->ends[i];
        *end = (End){.link = link, .fd = fds[i], .events = EPOLLIN};
        setsockopt(fds[i], IPPROTO_TCP, TCP_NODELAY, &yes, sizeof yes);
        struct epoll_event event = {.events = EPOLLIN, .data.ptr = end};
        epoll_ctl(polling, EPOLL_CTL_ADD, fds[i], &event);
    }
}

static int wait_for(void) {
    if (!due_first) return -1;
    int64_t left = due_first->at - now();
    return left <= 0 ? 0 : (int)((left + 999999) / 1000000);
}

static void deliver_due(void) {
    while (due_first && due_first->at <= now()) {
        Due *due = due_first;
        if (!(due_first = due->next)) due_last = NULL;
        Link *link = due->end->link;
        link->waiting--;
        if (link->dead || !deliver(due->end)) bury(link);
        free(due);
    }
}

int main(int argc, char **argv) {
    if (argc != 4) { fputs("usage: delay_proxy LISTEN_PORT UPSTREAM_PORT MS\n", stderr); return 2; }
    signal(SIGPIPE, SIG_IGN);
    struct rlimit files;
    getrlimit(RLIMIT_NOFILE, &files);
    files.rlim_cur = files.rlim_max;
    setrlimit(RLIMIT_NOFILE, &files);
    delay = atoll(argv[3]) * 1000000ll;
    struct sockaddr_in address = loopback(atoi(argv[1]));
    socklen_t size = sizeof address;
    int listener = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0), yes = 1;
    setsockopt(listener, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    if (bind(listener, (struct sockaddr *)&address, size) || listen(listener, 4096)) { perror("delay_proxy"); return 1; }
    getsockname(listener, (struct sockaddr *)&address, &size);
    printf("%d\n", ntohs(address.sin_port));
    fflush(stdout);
    polling = epoll_create1(EPOLL_CLOEXEC);
    struct epoll_event listening = {.events = EPOLLIN, .data.ptr = NULL}, events[256];
    epoll_ctl(polling, EPOLL_CTL_ADD, listener, &listening);
    for (;;) {
        int count = epoll_wait(polling, events, 256, wait_for());
        for (int i = 0; i < count; i++) {
            End *end = events[i].data.ptr;
            if (!end) {
                for (int fd; (fd = accept4(listener, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) take(fd, atoi(argv[2]));
                continue;
            }
            /* A link that ends is buried only once no later event of this round can name it. */
            if (end->link->dead) continue;
            int alive = 1;
            if (events[i].events & EPOLLOUT) alive = deliver(end);
            if (alive && events[i].events & (EPOLLIN | EPOLLHUP | EPOLLERR) && !end->got_end) alive = collect(end);
            /* Nothing more comes from here and hanging up cannot be masked; what is under way still arrives. */
            else if (alive && end->got_end && events[i].events & (EPOLLHUP | EPOLLERR))
                epoll_ctl(polling, EPOLL_CTL_DEL, end->fd, NULL);
            if (!alive) {
                End *mate = other(end);
                for (int j = i + 1; j < count; j++)
                    if (events[j].data.ptr == end || events[j].data.ptr == mate) {
                        events[j].events = 0;
                        events[j] = events[count - 1];
                        count--;
                        j--;
                    }
                bury(end->link);
            }
        }
        deliver_due();
    }
}

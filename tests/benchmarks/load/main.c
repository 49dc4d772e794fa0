// dssm-load: drives one server on loopback and reports throughput and the server's own CPU time.
//
// The problem: the servers that we compare differ by less than the noise of wall time on a small shared machine, and
// general load generators cost more CPU than the servers. So this one keeps its own work small (requests are built
// beforehand, replies are scanned and not stored, one epoll loop) and reads the server's CPU clock at the beginning and
// the end of the measured window, when all connections are up and the warm-up is over. Each connection has one batch of
// `pipeline` requests under way. Every reply is checked for its type and length; a wrong one ends the run.
//
// Prints one line of JSON on standard output; errors go to standard error with exit status 1.
#include "connection.h"
#include "workload.h"
#include <errno.h>
#include <getopt.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <signal.h>
#include <sys/epoll.h>
#include <time.h>

enum { MAX_EVENTS = 256, RECEIVE_BYTES = 1 << 20, STALL_SECONDS = 30 };

typedef struct {
    workload_options work;
    endpoint to;
    int connections;
    long handshakes;  // over 0: measure handshakes instead of a workload
    double warmup_seconds;
    double measured_seconds;
    int server_pid;
} options;

static double clock_seconds(clockid_t clock) {
    struct timespec t;
    return clock_gettime(clock, &t) == 0 ? (double)t.tv_sec + (double)t.tv_nsec * 1e-9 : 0;
}

static double now(void) { return clock_seconds(CLOCK_MONOTONIC); }

/// CPU time of all threads of the server, also of those that have ended.
static double server_cpu(const options *o) {
    clockid_t clock;
    if (o->server_pid == 0) return 0;
    if (clock_getcpuclockid(o->server_pid, &clock) != 0) fail("there is no process %d", o->server_pid);
    return clock_seconds(clock);
}

static void print_result(double operations, double seconds, double cpu) {
    printf("{\"operations\": %.0f, \"seconds\": %.6f, \"server_cpu_seconds\": %.6f}\n", operations, seconds, cpu);
}

static void send_next_batch(connection *c, workload *load, const options *o, size_t *next_batch) {
    size_t batch = *next_batch % load->batches;
    if (load->is_generational) workload_set_generation(load, batch, (unsigned)(*next_batch / load->batches));
    *next_batch += 1;
    size_t last = (batch + 1) * (size_t)o->work.pipeline;
    size_t requests = (size_t)o->work.pipeline;
    if (o->work.is_fill && last > (size_t)o->work.keys) requests -= last - (size_t)o->work.keys;
    c->awaited += requests;
    c->unsent = load->bytes + load->offsets[batch];
    c->unsent_bytes = load->offsets[batch + 1] - load->offsets[batch];
    if (!connection_send(c)) fail("the server closed the connection while we wrote");
}

static void run_workload(const options *o) {
    workload load;
    if (!workload_build(&load, &o->work)) fail("bad workload or options: %s (known: %s)", o->work.name, workload_names);
    connection *connections = calloc((size_t)o->connections, sizeof *connections);
    char *buffer = malloc(RECEIVE_BYTES);
    int poll = epoll_create1(EPOLL_CLOEXEC);
    if (connections == NULL || buffer == NULL || poll < 0) fail("no memory");
    size_t next_batch = 0;
    int idle = 0;
    for (int i = 0; i < o->connections; i++) {
        connection_open(&connections[i], &o->to);
        connection_set_nonblocking(&connections[i]);
        reply_scanner_init(&connections[i].scanner, load.expected_types, load.expected_bulk_length);
        struct epoll_event event = {.events = EPOLLIN | EPOLLOUT | EPOLLET, .data.u32 = (uint32_t)i};
        if (epoll_ctl(poll, EPOLL_CTL_ADD, connections[i].fd, &event) != 0) fail("epoll: %s", strerror(errno));
    }
    double start = now(), window_start = start, cpu_start = server_cpu(o), last_progress = start;
    uint64_t done = 0, window_done = 0;
    bool is_measuring = o->work.is_fill || o->warmup_seconds == 0;
    for (int i = 0; i < o->connections; i++) {
        if (o->work.is_fill && next_batch >= load.batches) idle++;
        else send_next_batch(&connections[i], &load, o, &next_batch);
    }
    struct epoll_event events[MAX_EVENTS];
    double t = start;
    while (o->work.is_fill ? idle < o->connections : t - start < o->warmup_seconds + o->measured_seconds) {
        int count = epoll_wait(poll, events, MAX_EVENTS, 1000);
        t = now();
        if (count > 0) last_progress = t;
        if (t - last_progress > STALL_SECONDS) fail("no reply for %d seconds", STALL_SECONDS);
        if (!is_measuring && t - start >= o->warmup_seconds) {
            is_measuring = true, window_start = t, window_done = done, cpu_start = server_cpu(o);
        }
        for (int i = 0; i < count; i++) {
            connection *c = &connections[events[i].data.u32];
            if (c->unsent_bytes > 0 && !connection_send(c)) fail("the server closed the connection while we wrote");
            ssize_t received = connection_receive(c, buffer, RECEIVE_BYTES);
            if (received < 0) fail("the server closed the connection");
            if (received == 0) continue;
            uint64_t before = c->scanner.replies;
            if (!reply_scanner_feed(&c->scanner, buffer, (size_t)received)) fail("%s: %s", o->work.name, c->scanner.failure);
            done += c->scanner.replies - before;
            if (c->scanner.replies > c->awaited) fail("more replies than requests");
            if (c->scanner.replies < c->awaited || c->scanner.skip > 0) continue;
            if (o->work.is_fill && next_batch >= load.batches) idle++;
            else send_next_batch(c, &load, o, &next_batch);
        }
    }
    print_result((double)(done - window_done), t - window_start, server_cpu(o) - cpu_start);
}

/// Full handshakes one after the other, each followed by one PING that proves both directions.
static void run_handshakes(const options *o) {
    double start = now(), cpu_start = server_cpu(o);
    for (long i = 0; i < o->handshakes; i++) {
        connection c;
        connection_open(&c, &o->to);
        if (c.ssl == NULL) fail("handshakes need --cert, --key and --cacert");
        if (SSL_session_reused(c.ssl)) fail("a session was resumed; only full handshakes count");
        reply_scanner_init(&c.scanner, "+", -1);
        c.unsent = "*1\r\n$4\r\nPING\r\n";
        c.unsent_bytes = strlen(c.unsent);
        char buffer[64];
        if (!connection_send(&c)) fail("the server refused the client after the handshake");
        int count = SSL_read(c.ssl, buffer, sizeof buffer);
        if (count <= 0 || !reply_scanner_feed(&c.scanner, buffer, (size_t)count) || c.scanner.replies != 1)
            fail("no PONG after the handshake: %s", c.scanner.failure);
        connection_close(&c);
    }
    print_result((double)o->handshakes, now() - start, server_cpu(o) - cpu_start);
}

static void print_help(void) {
    printf("usage: dssm-load --port PORT [options]\n"
           "  --workload NAME      one of: %s\n"
           "  --fill               write every key once, in order, instead of random ones for --seconds\n"
           "  --handshakes N       N full TLS handshakes one after the other\n"
           "  --connections N (50)  --pipeline N (1)  --keys N (1000000)  --value-bytes N (64)  --ttl SECONDS (0)\n"
           "  --warmup SECONDS (0.5)  --seconds SECONDS (2)  --seed N (1)\n"
           "  --server-pid PID     report this process's CPU time over the measured window\n"
           "  --cert FILE --key FILE --cacert FILE   use TLS\n",
           workload_names);
}

int main(int argc, char **argv) {
    signal(SIGPIPE, SIG_IGN);
    options o = {.connections = 50, .warmup_seconds = 0.5, .measured_seconds = 2};
    o.work = (workload_options){.name = "get", .keys = 1000000, .value_bytes = 64, .pipeline = 1, .seed = 1};
    const char *certificate = NULL, *key = NULL, *authority = NULL;
    static const struct option known[] = {
        {"port", 1, 0, 'p'}, {"workload", 1, 0, 'w'}, {"fill", 0, 0, 'f'}, {"handshakes", 1, 0, 'h'},
        {"connections", 1, 0, 'c'}, {"pipeline", 1, 0, 'P'}, {"keys", 1, 0, 'k'}, {"value-bytes", 1, 0, 'v'},
        {"ttl", 1, 0, 't'}, {"warmup", 1, 0, 'u'}, {"seconds", 1, 0, 's'}, {"seed", 1, 0, 'S'},
        {"server-pid", 1, 0, 'i'}, {"cert", 1, 0, 'C'}, {"key", 1, 0, 'K'}, {"cacert", 1, 0, 'A'},
        {"help", 0, 0, '?'}, {0, 0, 0, 0}};
    for (int option; (option = getopt_long(argc, argv, "", known, NULL)) != -1;) {
        switch (option) {
        case 'p': o.to.port = atoi(optarg); break;
        case 'w': o.work.name = optarg; break;
        case 'f': o.work.is_fill = true; break;
        case 'h': o.handshakes = atol(optarg); break;
        case 'c': o.connections = atoi(optarg); break;
        case 'P': o.work.pipeline = atoi(optarg); break;
        case 'k': o.work.keys = atol(optarg); break;
        case 'v': o.work.value_bytes = atoi(optarg); break;
        case 't': o.work.ttl_seconds = atoi(optarg); break;
        case 'u': o.warmup_seconds = atof(optarg); break;
        case 's': o.measured_seconds = atof(optarg); break;
        case 'S': o.work.seed = (uint64_t)atoll(optarg); break;
        case 'i': o.server_pid = atoi(optarg); break;
        case 'C': certificate = optarg; break;
        case 'K': key = optarg; break;
        case 'A': authority = optarg; break;
        default: print_help(); return 64;
        }
    }
    if (o.to.port <= 0 || o.connections <= 0 || o.work.pipeline <= 0 || o.work.keys <= 0 || o.work.value_bytes < 0 ||
        o.work.value_bytes > 1 << 20 || o.work.pipeline > 10000)
        return print_help(), 64;
    if (certificate && key && authority) o.to.tls = make_tls_context(certificate, key, authority);
    else if (certificate || key || authority) fail("--cert, --key and --cacert belong together");
    if (o.handshakes > 0) run_handshakes(&o);
    else run_workload(&o);
    return 0;
}

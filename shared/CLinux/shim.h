// Linux headers that Glibc's overlay does not bring, and macros or inline functions that Swift cannot import. No policy.
#pragma once
#include <errno.h>
#include <fcntl.h>
#include <malloc.h>
#include <netdb.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <arpa/inet.h>
#include <pthread.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/eventfd.h>
#include <sys/file.h>
#include <sys/inotify.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/uio.h>
#include <sys/un.h>
#include <sys/utsname.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

// The GNU extensions that are used, declared here: defining _GNU_SOURCE would make this module's view of shared structs
// differ from the standard library's Glibc module, and the compiler refuses the mixture.
extern int accept4(int, struct sockaddr *, socklen_t *, int);
extern int pthread_setname_np(pthread_t, const char *);

static inline void cl_prefetch(const void *p) { __builtin_prefetch(p, 0, 3); }
static inline int cl_errno(void) { return errno; }
static inline void cl_set_errno(int e) { errno = e; }
static inline int cl_accept(int fd, struct sockaddr *a, socklen_t *n) {
    return accept4(fd, a, n, SOCK_NONBLOCK | SOCK_CLOEXEC);
}
static inline int cl_bind(int fd, const struct sockaddr *a, socklen_t n) { return bind(fd, a, n); }
static inline int cl_connect(int fd, const struct sockaddr *a, socklen_t n) { return connect(fd, a, n); }
static inline int cl_getpeername(int fd, struct sockaddr *a, socklen_t *n) { return getpeername(fd, a, n); }
static inline int cl_getsockname(int fd, struct sockaddr *a, socklen_t *n) { return getsockname(fd, a, n); }
static inline int cl_socket_stream(int family) { return socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0); }
static inline void cl_ignore_sigpipe(void) { signal(SIGPIPE, SIG_IGN); }
static inline int cl_open(const char *path, int flags, unsigned mode) { return open(path, flags | O_CLOEXEC, mode); }
static inline void *cl_map_anonymous(size_t bytes) {
    void *p = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    return p == MAP_FAILED ? 0 : p;
}
/// Maps `bytes`, a power of two, at an address that is a multiple of it.
static inline void *cl_map_aligned(size_t bytes) {
    char *p = cl_map_anonymous(2 * bytes);
    if (!p) return 0;
    char *aligned = (char *)(((unsigned long)p + bytes - 1) & ~(bytes - 1));
    if (aligned != p) munmap(p, aligned - p);
    munmap(aligned + bytes, p + bytes - aligned);
    return aligned;
}
/// Adds two decimal numbers in long double and prints the sum with 17 decimals: what INCRBYFLOAT promises.
/// Returns the length, or -1 when either text is no number, -2 when the sum is not finite.
static inline int cl_add_long_double(const char *a, const char *b, char *out, size_t n) {
    char *end;
    if (!*a || !*b || *a == ' ' || *b == ' ') return -1;
    long double x = strtold(a, &end);
    if (*end || x != x) return -1;
    long double y = strtold(b, &end);
    if (*end || y != y) return -1;
    x += y;
    if (x != x || x - x != 0) return -2;
    return snprintf(out, n, "%.17Lf", x);
}
static inline int cl_rusage_self(void) { return RUSAGE_SELF; }
extern long getrandom(void *, size_t, unsigned);
static inline int cl_getrlimit_nofile(struct rlimit *l) { return getrlimit(RLIMIT_NOFILE, l); }
static inline int cl_setrlimit_nofile(const struct rlimit *l) { return setrlimit(RLIMIT_NOFILE, l); }

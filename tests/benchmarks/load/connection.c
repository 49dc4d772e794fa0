#include "connection.h"
#include <arpa/inet.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <openssl/err.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

void fail(const char *format, ...) {
    va_list list;
    va_start(list, format);
    fprintf(stderr, "dssm-load: ");
    vfprintf(stderr, format, list);
    fprintf(stderr, "\n");
    va_end(list);
    exit(1);
}

static const char *tls_reason(void) { return ERR_reason_error_string(ERR_get_error()) ?: "no reason given"; }

SSL_CTX *make_tls_context(const char *certificate, const char *key, const char *authority) {
    SSL_CTX *context = SSL_CTX_new(TLS_client_method());
    if (context == NULL) fail("no TLS context: %s", tls_reason());
    SSL_CTX_set_min_proto_version(context, TLS1_2_VERSION);
    if (SSL_CTX_use_certificate_chain_file(context, certificate) != 1) fail("%s: %s", certificate, tls_reason());
    if (SSL_CTX_use_PrivateKey_file(context, key, SSL_FILETYPE_PEM) != 1) fail("%s: %s", key, tls_reason());
    if (SSL_CTX_load_verify_locations(context, authority, NULL) != 1) fail("%s: %s", authority, tls_reason());
    SSL_CTX_set_verify(context, SSL_VERIFY_PEER, NULL);
    SSL_CTX_set_session_cache_mode(context, SSL_SESS_CACHE_OFF);
    SSL_CTX_set_mode(context, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    return context;
}

void connection_open(connection *c, const endpoint *to) {
    memset(c, 0, sizeof *c);
    c->fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_port = htons((uint16_t)to->port)};
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    if (connect(c->fd, (struct sockaddr *)&address, sizeof address) != 0)
        fail("cannot connect to port %d: %s", to->port, strerror(errno));
    int on = 1;
    setsockopt(c->fd, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
    if (to->tls == NULL) return;
    c->ssl = SSL_new(to->tls);
    SSL_set_fd(c->ssl, c->fd);
    if (SSL_connect(c->ssl) != 1) fail("the TLS handshake failed: %s", tls_reason());
}

void connection_set_nonblocking(connection *c) { fcntl(c->fd, F_SETFL, fcntl(c->fd, F_GETFL) | O_NONBLOCK); }

void connection_close(connection *c) {
    // A reset instead of a close keeps ten thousands of short connections from using up the port range.
    struct linger reset = {1, 0};
    setsockopt(c->fd, SOL_SOCKET, SO_LINGER, &reset, sizeof reset);
    if (c->ssl != NULL) SSL_free(c->ssl);
    close(c->fd);
}

bool connection_send(connection *c) {
    while (c->unsent_bytes > 0) {
        ssize_t sent;
        if (c->ssl != NULL) {
            int result = SSL_write(c->ssl, c->unsent, (int)c->unsent_bytes);
            if (result <= 0) return SSL_get_error(c->ssl, result) == SSL_ERROR_WANT_WRITE;
            sent = result;
        } else {
            sent = send(c->fd, c->unsent, c->unsent_bytes, MSG_NOSIGNAL);
            if (sent < 0) return errno == EAGAIN;
        }
        c->unsent += sent;
        c->unsent_bytes -= (size_t)sent;
    }
    return true;
}

ssize_t connection_receive(connection *c, char *buffer, size_t capacity) {
    if (c->ssl == NULL) {
        ssize_t count = recv(c->fd, buffer, capacity, 0);
        if (count > 0) return count;
        return count < 0 && errno == EAGAIN ? 0 : -1;
    }
    ssize_t total = 0;
    while ((size_t)total < capacity) {
        int count = SSL_read(c->ssl, buffer + total, (int)(capacity - (size_t)total));
        if (count > 0) {
            total += count;
        } else if (SSL_get_error(c->ssl, count) == SSL_ERROR_WANT_READ) {
            break;
        } else {
            return -1;
        }
    }
    return total;
}

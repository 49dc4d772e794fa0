// One non-blocking client connection, plain or TLS.
#pragma once
#include "replies.h"
#include <openssl/ssl.h>
#include <sys/types.h>

typedef struct {
    int port;
    SSL_CTX *tls;  // NULL: plaintext
} endpoint;

typedef struct {
    int fd;
    SSL *ssl;
    reply_scanner scanner;
    uint64_t awaited;      // reply count at which the batch under way is done
    const char *unsent;
    size_t unsent_bytes;
} connection;

/// A client context with certificate, key and CA; prints the reason and exits on failure.
SSL_CTX *make_tls_context(const char *certificate, const char *key, const char *authority);

/// Connects and completes the handshake, blocking; prints the reason and exits on failure.
void connection_open(connection *c, const endpoint *to);
void connection_set_nonblocking(connection *c);
void connection_close(connection *c);

/// Sends what `unsent` holds as far as the socket takes it. False: the connection broke.
bool connection_send(connection *c);

/// Bytes read, 0 if there are none now, -1 if the connection broke or ended.
ssize_t connection_receive(connection *c, char *buffer, size_t capacity);

void fail(const char *format, ...) __attribute__((format(printf, 1, 2), noreturn));

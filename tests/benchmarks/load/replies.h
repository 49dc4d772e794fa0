// Scans a stream of RESP replies without storing them, and holds them against what the workload expects.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *expected_types;  // types of consecutive replies, repeated for ever: "+", ":" or ":$"
    long expected_bulk_length;   // length of every bulk string; -1: any. A null never matches
    size_t type_index;
    uint64_t replies;            // complete replies seen so far
    size_t skip;                 // bytes of a bulk string (with its CRLF) still to come
    size_t line_length;
    char line[128];              // a header line that has not ended yet
    char failure[160];           // empty, or what was wrong
} reply_scanner;

void reply_scanner_init(reply_scanner *scanner, const char *expected_types, long expected_bulk_length);

/// Takes the next bytes of the stream. False: an unexpected reply; `failure` says which.
bool reply_scanner_feed(reply_scanner *scanner, const char *bytes, size_t count);

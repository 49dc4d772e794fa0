#include "replies.h"
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

void reply_scanner_init(reply_scanner *scanner, const char *expected_types, long expected_bulk_length) {
    memset(scanner, 0, sizeof *scanner);
    scanner->expected_types = expected_types;
    scanner->expected_bulk_length = expected_bulk_length;
}

/// Judges one header line without its CRLF.
static bool take_line(reply_scanner *scanner, const char *line, size_t length) {
    char expected = scanner->expected_types[scanner->type_index];
    if (scanner->expected_types[++scanner->type_index] == 0) scanner->type_index = 0;
    if (length == 0 || line[0] != expected) {
        snprintf(scanner->failure, sizeof scanner->failure, "expected a reply of type '%c', got: %.*s", expected,
                 (int)(length < 100 ? length : 100), line);
        return false;
    }
    scanner->replies++;
    if (expected != '$') return true;
    long bulk = 0;
    for (size_t i = 1; i < length; i++) {
        if (line[i] < '0' || line[i] > '9' || bulk > 1 << 29) {
            snprintf(scanner->failure, sizeof scanner->failure, "expected a bulk string, got: %.*s", (int)length, line);
            return false;
        }
        bulk = bulk * 10 + (line[i] - '0');
    }
    if (scanner->expected_bulk_length >= 0 && bulk != scanner->expected_bulk_length) {
        snprintf(scanner->failure, sizeof scanner->failure, "expected %ld bytes, got %ld",
                 scanner->expected_bulk_length, bulk);
        return false;
    }
    scanner->skip = (size_t)bulk + 2;
    return true;
}

bool reply_scanner_feed(reply_scanner *scanner, const char *bytes, size_t count) {
    const char *end = bytes + count;
    while (bytes < end) {
        if (scanner->skip > 0) {
            size_t step = scanner->skip < (size_t)(end - bytes) ? scanner->skip : (size_t)(end - bytes);
            scanner->skip -= step;
            bytes += step;
            continue;
        }
        const char *newline = memchr(bytes, '\n', (size_t)(end - bytes));
        if (newline != NULL && scanner->line_length == 0 && newline > bytes) {
            if (!take_line(scanner, bytes, (size_t)(newline - bytes) - 1)) return false;
            bytes = newline + 1;
            continue;
        }
        // The line is cut by the end of the buffer, or began in an earlier one: gather it.
        size_t piece = (size_t)((newline != NULL ? newline + 1 : end) - bytes);
        if (scanner->line_length + piece > sizeof scanner->line) {
            snprintf(scanner->failure, sizeof scanner->failure, "a reply's first line is too long");
            return false;
        }
        memcpy(scanner->line + scanner->line_length, bytes, piece);
        scanner->line_length += piece;
        bytes += piece;
        if (newline == NULL) continue;
        size_t length = scanner->line_length;
        scanner->line_length = 0;
        if (length < 2 || !take_line(scanner, scanner->line, length - 2)) return false;
    }
    return true;
}

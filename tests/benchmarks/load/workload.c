#include "workload.h"
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

const char *const workload_names = "get set setex hset hget hset-large hget-large lpush lpush-lpop sadd sadd-large "
                                   "sadd-srem sismember zadd zadd-large zscore-large mem";

enum {
    RANDOM_REQUESTS = 1 << 18,  // requests that are built for a random workload, and then repeated
    MAX_REQUEST_BYTES = 512,    // besides the value
    SMALL_HASH_FIELDS = 20,
    LARGE_HASH_FIELDS = 1000,
    LIST_LENGTH = 100,
    SET_MEMBERS = 20,
    SORTED_SET_MEMBERS = 1000,
};

typedef struct {
    char *at;
} writer;

static void begin(writer *w, int arguments) { w->at += sprintf(w->at, "*%d\r\n", arguments); }

static void argument(writer *w, const char *format, ...) __attribute__((format(printf, 2, 3)));
static void argument(writer *w, const char *format, ...) {
    char text[128];
    va_list list;
    va_start(list, format);
    int length = vsnprintf(text, sizeof text, format, list);
    va_end(list);
    w->at += sprintf(w->at, "$%d\r\n%s\r\n", length, text);
}

static void value_argument(writer *w, int bytes, long key) {
    w->at += sprintf(w->at, "$%d\r\n", bytes);
    for (int i = 0; i < bytes; i++) w->at[i] = (char)('a' + (key + i) % 26);
    w->at += bytes;
    *w->at++ = '\r';
    *w->at++ = '\n';
}

static uint64_t random_number(uint64_t *state) {  // splitmix64
    uint64_t z = (*state += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

/// Six digits, of which `workload_set_generation` replaces the middle four.
static void score_argument(writer *w, uint64_t *seed) {
    argument(w, "%lu", (unsigned long)(100000 + random_number(seed) % 900000));
}

/// Writes request number `index` for `key`; false if the workload is unknown.
static bool write_request(writer *w, const workload_options *o, long index, long key, uint64_t *seed) {
    const char *name = o->name;
    if (!strcmp(name, "get")) {
        begin(w, 2), argument(w, "GET"), argument(w, "key:%012ld", key);
    } else if (!strcmp(name, "set")) {
        begin(w, 3), argument(w, "SET"), argument(w, "key:%012ld", key), value_argument(w, o->value_bytes, key);
    } else if (!strcmp(name, "setex")) {  // generation digits first: see workload_set_generation
        begin(w, 4), argument(w, "SETEX"), argument(w, "0000:%011ld", index), argument(w, "%d", o->ttl_seconds);
        value_argument(w, o->value_bytes, key);
    } else if (!strcmp(name, "mem")) {  // 24-byte keys
        begin(w, o->ttl_seconds ? 5 : 3), argument(w, "SET"), argument(w, "nat:%020ld", key);
        value_argument(w, o->value_bytes, key);
        if (o->ttl_seconds) argument(w, "EX"), argument(w, "%d", o->ttl_seconds);
    } else if (!strncmp(name, "hset", 4) || !strncmp(name, "hget", 4)) {
        int fields = strstr(name, "-large") ? LARGE_HASH_FIELDS : SMALL_HASH_FIELDS;
        bool is_set = name[1] == 's';
        begin(w, is_set ? 4 : 3), argument(w, is_set ? "HSET" : "HGET");
        argument(w, "hash:%d:%07ld", fields, key / fields), argument(w, "field:%04ld", key % fields);
        if (is_set) value_argument(w, o->value_bytes, key);
    } else if (!strcmp(name, "lpush")) {
        begin(w, 3), argument(w, "LPUSH"), argument(w, "list:%07ld", key / LIST_LENGTH);
        value_argument(w, o->value_bytes, key);
    } else if (!strcmp(name, "lpush-lpop")) {
        bool is_push = index % 2 == 0;
        begin(w, is_push ? 3 : 2), argument(w, is_push ? "LPUSH" : "LPOP"), argument(w, "list:%07ld", key / LIST_LENGTH);
        if (is_push) value_argument(w, o->value_bytes, key);
    } else if (!strcmp(name, "sadd") || !strcmp(name, "sismember") || !strcmp(name, "sadd-srem")) {
        bool removes = name[4] == '-' && index % 2 == 1;
        begin(w, 3), argument(w, name[1] == 'i' ? "SISMEMBER" : removes ? "SREM" : "SADD");
        argument(w, "set:%07ld", key / SET_MEMBERS), argument(w, "member:%04ld", key % SET_MEMBERS);
    } else if (!strcmp(name, "sadd-large")) {
        begin(w, 3), argument(w, "SADD"), argument(w, "set"), argument(w, "member:%012ld", key);
    } else if (!strcmp(name, "zadd-large")) {
        begin(w, 4), argument(w, "ZADD"), argument(w, "zset");
        score_argument(w, seed), argument(w, "member:%012ld", key);
    } else if (!strcmp(name, "zscore-large")) {
        begin(w, 3), argument(w, "ZSCORE"), argument(w, "zset"), argument(w, "member:%012ld", key);
    } else if (!strcmp(name, "zadd")) {
        begin(w, 4), argument(w, "ZADD"), argument(w, "zset:%07ld", key / SORTED_SET_MEMBERS);
        score_argument(w, seed), argument(w, "member:%04ld", key % SORTED_SET_MEMBERS);
    } else {
        return false;
    }
    return true;
}

static void set_expectation(workload *result, const workload_options *o) {
    result->expected_bulk_length = -1;
    if (!strcmp(o->name, "set") || !strcmp(o->name, "setex") || !strcmp(o->name, "mem")) {
        result->expected_types = "+";
    } else if (!strcmp(o->name, "lpush-lpop")) {
        result->expected_types = ":$";
    } else if (o->name[1] == 'g' || !strcmp(o->name, "get") || !strcmp(o->name, "zscore-large")) {
        result->expected_types = "$";
    } else {
        result->expected_types = ":";
    }
    if (strchr(result->expected_types, '$') && o->name[0] != 'z') result->expected_bulk_length = o->value_bytes;
}

bool workload_build(workload *result, const workload_options *o) {
    memset(result, 0, sizeof *result);
    bool is_churn = !strcmp(o->name, "setex");
    if (!strcmp(o->name, "lpush-lpop") && o->pipeline % 2 != 0) return false;
    if (is_churn && o->ttl_seconds == 0) return false;
    size_t requests = o->is_fill ? (size_t)o->keys : RANDOM_REQUESTS;
    size_t pipeline = (size_t)o->pipeline;
    result->batches = (requests + pipeline - 1) / pipeline;
    result->bytes = malloc(requests * ((size_t)o->value_bytes + 128) + MAX_REQUEST_BYTES);
    result->offsets = malloc((result->batches + 1) * sizeof *result->offsets);
    if (result->bytes == NULL || result->offsets == NULL) return false;
    uint64_t seed = o->seed;
    writer w = {result->bytes};
    long key = 0;
    for (size_t i = 0; i < requests; i++) {
        if (i % pipeline == 0) result->offsets[i / pipeline] = (size_t)(w.at - result->bytes);
        // A pop follows the push to the same list, so that a list is never found empty.
        bool keeps_key = !strcmp(o->name, "lpush-lpop") && i % 2 == 1;
        if (!keeps_key) key = o->is_fill ? (long)i : (long)(random_number(&seed) % (uint64_t)o->keys);
        if (!write_request(&w, o, (long)i, key, &seed)) return false;
    }
    result->offsets[result->batches] = (size_t)(w.at - result->bytes);
    set_expectation(result, o);
    bool is_scored = !strncmp(o->name, "zadd", 4) && !o->is_fill;
    result->is_generational = is_churn || is_scored;
    result->is_scored = is_scored;
    if (result->is_generational) {
        result->request_bytes = result->offsets[1] / pipeline;
        const char *digits = is_scored ? strstr(result->bytes, "$6\r\n") + 5 : strstr(result->bytes, "0000:");
        result->generation_offset = (size_t)(digits - result->bytes);
    }
    return true;
}

void workload_set_generation(workload *load, size_t batch, unsigned generation) {
    char digits[8];
    uint64_t seed = (uint64_t)generation << 32 | batch;
    snprintf(digits, sizeof digits, "%04u", generation % 10000);
    for (size_t at = load->offsets[batch]; at < load->offsets[batch + 1]; at += load->request_bytes) {
        if (load->is_scored) snprintf(digits, sizeof digits, "%04u", (unsigned)(random_number(&seed) % 10000));
        memcpy(load->bytes + at + load->generation_offset, digits, 4);
    }
}

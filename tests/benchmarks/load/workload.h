// Request bytes, built before the clock starts: the generator must stay much cheaper than the servers it measures.
#pragma once
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct {
    const char *name;
    long keys;          // size of the key space (for collections: of all elements together)
    int value_bytes;
    int ttl_seconds;    // 0: none
    int pipeline;       // requests a batch
    bool is_fill;       // every key once, in order, instead of random keys
    uint64_t seed;
} workload_options;

typedef struct {
    char *bytes;
    size_t *offsets;            // batch i is bytes[offsets[i] ..< offsets[i + 1]]
    size_t batches;
    const char *expected_types; // see reply_scanner
    long expected_bulk_length;
    bool is_generational;       // keys get a new generation number each time round, so that they never repeat
    bool is_scored;             // instead of the generation, scores get four new random digits each time round
    size_t request_bytes;       // of one request, when is_generational
    size_t generation_offset;   // of the 4 digits to change in a request
} workload;

/// False: no such workload, or options that it cannot have.
bool workload_build(workload *result, const workload_options *options);

/// Gives the keys, or the scores, of one batch a new generation.
void workload_set_generation(workload *load, size_t batch, unsigned generation);

extern const char *const workload_names;

// zlib's deflate and inflate; their initialisers are macros. No policy.
#pragma once
#include <zlib.h>

static inline int cz_deflate_init_gzip(z_stream *s, int level) {
    return deflateInit2(s, level, Z_DEFLATED, 15 + 16, 8, Z_DEFAULT_STRATEGY);
}
static inline int cz_inflate_init_gzip(z_stream *s) { return inflateInit2(s, 15 + 16); }

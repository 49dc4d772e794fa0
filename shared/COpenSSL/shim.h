// OpenSSL 3 for Swift: the public headers, and inline functions for its macros. No policy.
#pragma once
#include <openssl/bio.h>
#include <openssl/bn.h>
#include <openssl/core_dispatch.h>
#include <openssl/core_names.h>
#include <openssl/dh.h>
#include <openssl/ec.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/params.h>
#include <openssl/pem.h>
#include <openssl/provider.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <openssl/x509_vfy.h>
#include <openssl/x509v3.h>

// Contexts.
static inline void co_ctx_modes(SSL_CTX *c) {
    SSL_CTX_set_mode(c, SSL_MODE_ENABLE_PARTIAL_WRITE | SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
    SSL_CTX_set_options(c, SSL_OP_NO_RENEGOTIATION | SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
    SSL_CTX_set_read_ahead(c, 1);
}
static inline void co_ctx_server_preference(SSL_CTX *c, int on) {
    if (on) SSL_CTX_set_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE);
    else SSL_CTX_clear_options(c, SSL_OP_CIPHER_SERVER_PREFERENCE);
}
static inline void co_ctx_no_ticket(SSL_CTX *c) { SSL_CTX_set_options(c, SSL_OP_NO_TICKET); }
static inline int co_ctx_versions(SSL_CTX *c, int low, int high) {
    return SSL_CTX_set_min_proto_version(c, low) == 1 && SSL_CTX_set_max_proto_version(c, high) == 1;
}
static inline void co_ctx_cache(SSL_CTX *c, int on) {
    SSL_CTX_set_session_cache_mode(c, on ? SSL_SESS_CACHE_SERVER : SSL_SESS_CACHE_OFF);
}
static inline void co_ctx_cache_size(SSL_CTX *c, long size) { SSL_CTX_sess_set_cache_size(c, size); }
static inline void co_ctx_dh_auto(SSL_CTX *c) { SSL_CTX_set_dh_auto(c, 1); }
static inline int co_ctx_add_chain(SSL_CTX *c, X509 *x) { return SSL_CTX_add1_chain_cert(c, x) == 1; }
// Completes the chain from the store, without its root, once for all handshakes.
static inline int co_ctx_build_chain(SSL_CTX *c) {
    int result = SSL_CTX_build_cert_chain(c, SSL_BUILD_CHAIN_FLAG_UNTRUSTED | SSL_BUILD_CHAIN_FLAG_NO_ROOT |
        SSL_BUILD_CHAIN_FLAG_IGNORE_ERROR | SSL_BUILD_CHAIN_FLAG_CLEAR_ERROR);
    SSL_CTX_set_mode(c, SSL_MODE_NO_AUTO_CHAIN);
    return result;
}
static inline int co_set_server_name(SSL *s, const char *name) { return SSL_set_tlsext_host_name(s, name) == 1; }
static inline X509 *co_peer_certificate(SSL *s) { return SSL_get0_peer_certificate(s); }

// BIO.
static inline void co_bio_retry_read(BIO *b) { BIO_clear_retry_flags(b); BIO_set_retry_read(b); }
static inline void co_bio_clear_retry(BIO *b) { BIO_clear_retry_flags(b); }
static inline long co_bio_memory(BIO *b, const char **data) { return BIO_get_mem_data(b, (char **)data); }

// Errors.
static inline int co_err_library(unsigned long e) { return ERR_GET_LIB(e); }
static inline int co_err_reason(unsigned long e) { return ERR_GET_REASON(e); }

// Keys and parameters.
static inline EVP_PKEY *co_rsa_generate(unsigned bits) { return EVP_RSA_gen(bits); }
static inline EVP_PKEY *co_ec_generate(const char *curve) { return EVP_EC_gen(curve); }

static inline void co_free(void *memory) { OPENSSL_free(memory); }
typedef int (*co_param_callback)(const OSSL_PARAM params[], void *arg);
// A copy of a key pair or of parameters in another library context; NULL when that does not know the kind of key.
static inline EVP_PKEY *co_copy_key(OSSL_LIB_CTX *to, EVP_PKEY *key, int is_pair) {
    int selection = is_pair ? EVP_PKEY_KEYPAIR : EVP_PKEY_KEY_PARAMETERS;
    OSSL_PARAM *values = 0;
    EVP_PKEY *copy = 0;
    const char *type = EVP_PKEY_get0_type_name(key);
    EVP_PKEY_CTX *context = type ? EVP_PKEY_CTX_new_from_name(to, type, 0) : 0;
    if (context && EVP_PKEY_todata(key, selection, &values) == 1 && EVP_PKEY_fromdata_init(context) == 1)
        EVP_PKEY_fromdata(context, &copy, selection, values);
    // The values may be secret.
    for (OSSL_PARAM *value = values; value && value->key; value++) OPENSSL_cleanse(value->data, value->data_size);
    OSSL_PARAM_free(values);
    EVP_PKEY_CTX_free(context);
    return copy;
}

// Stacks of certificates and alternative names.
static inline STACK_OF(X509) *co_x509_stack(void) { return sk_X509_new_null(); }
static inline int co_x509_push(STACK_OF(X509) *s, X509 *x) { return sk_X509_push(s, x) > 0; }
static inline void co_x509_stack_free(STACK_OF(X509) *s) { sk_X509_free(s); }
static inline GENERAL_NAMES *co_alternative_names(const X509 *x) {
    return (GENERAL_NAMES *)X509_get_ext_d2i(x, NID_subject_alt_name, 0, 0);
}
static inline int co_names_count(const GENERAL_NAMES *n) { return sk_GENERAL_NAME_num(n); }
// The type of name i (GEN_DNS, GEN_IPADD, ...), and its bytes where it is a string or an address.
static inline int co_name_at(const GENERAL_NAMES *n, int i, const unsigned char **bytes, int *count) {
    const GENERAL_NAME *g = sk_GENERAL_NAME_value(n, i);
    *bytes = 0;
    *count = 0;
    if (g->type == GEN_DNS || g->type == GEN_EMAIL || g->type == GEN_URI) {
        *bytes = ASN1_STRING_get0_data(g->d.ia5);
        *count = ASN1_STRING_length(g->d.ia5);
    } else if (g->type == GEN_IPADD) {
        *bytes = ASN1_STRING_get0_data(g->d.iPAddress);
        *count = ASN1_STRING_length(g->d.iPAddress);
    }
    return g->type;
}

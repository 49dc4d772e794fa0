// The parser of libyaml, and access to the members of its event union, which Swift does not import.
#pragma once
#include <yaml.h>

static inline const yaml_char_t *cy_anchor(const yaml_event_t *e) {
    switch (e->type) {
    case YAML_SCALAR_EVENT: return e->data.scalar.anchor;
    case YAML_SEQUENCE_START_EVENT: return e->data.sequence_start.anchor;
    case YAML_MAPPING_START_EVENT: return e->data.mapping_start.anchor;
    case YAML_ALIAS_EVENT: return e->data.alias.anchor;
    default: return 0;
    }
}
static inline const yaml_char_t *cy_tag(const yaml_event_t *e) {
    return e->type == YAML_SCALAR_EVENT ? e->data.scalar.tag : 0;
}
static inline const yaml_char_t *cy_scalar(const yaml_event_t *e) { return e->data.scalar.value; }
static inline size_t cy_scalar_length(const yaml_event_t *e) { return e->data.scalar.length; }
static inline int cy_is_plain(const yaml_event_t *e) { return e->data.scalar.style == YAML_PLAIN_SCALAR_STYLE; }

/* JSON (RFC 8259) to msgpack and back, so that the runner protocol has one decoder and a worker needs
 * no JSON library. Pure.
 *
 * Whole numbers within 64 bits stay whole; others become doubles. Text is copied as it is, its
 * escapes resolved (a lone surrogate becomes U+FFFD). msgpack bytes become JSON text; bytes of them
 * that are not ASCII are written as they are. Nesting is bounded by FRAME_DEPTH_MAX. */
#pragma once

#include "base/buf.h"
#include "base/error.h"

/* One JSON value, nothing behind it but white space; appended to out. */
int json_to_msgpack(struct bytes json, struct buf *out, struct error *reterr) MUST_CHECK;
/* One msgpack value that codec_value_size has measured; appended to out, on one line. */
int msgpack_to_json(struct bytes value, struct buf *out, struct error *reterr) MUST_CHECK;

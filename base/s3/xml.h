/* The little XML that S3 answers with: elements without attributes that matter, found by name. Pure.
 * It reads what a server may send, not XML at large: no entities but the five and numbers, no CDATA. */
#pragma once

#include "base/buf.h"

/* The inside of the first element of this name (without a prefix) in *at; *at moves behind it. false
 * when there is none. Elements of the same name do not nest in S3's answers. */
bool s3_xml_next(struct bytes *at, const char *name, struct bytes *ret);
/* The text of the first such element, entities resolved, in place of out's content. */
bool s3_xml_text(struct bytes body, const char *name, struct buf *out);
/* Appends text as the inside of an element. */
void s3_xml_escape(struct buf *out, struct bytes text);

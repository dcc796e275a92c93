/* What a plan comes to, in a sentence. Pure. */
#pragma once

#include "base/buf.h"
#include "jobs/definition.h"

/* plan: as it would be sealed; at_least: its items were not counted to their end. Appended to out, without a
 * full stop. */
void plan_sentence(const struct definition *d, const struct plan *plan, bool at_least, struct buf *out);

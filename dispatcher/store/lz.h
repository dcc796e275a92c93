/* Bytes made shorter by naming what came before: the block format of LZ4 (github.com/lz4/lz4,
 * doc/lz4_Block_format.md), in which an offset has 16 bits. Made for speed. Pure. */
#pragma once

#include "base/buf.h"

/* Appends. */
void lz_press(struct bytes in, struct buf *out);
/* Into exactly `size` bytes. False: it is damaged. */
bool lz_expand(struct bytes in, uint8_t *out, size_t size) MUST_CHECK;

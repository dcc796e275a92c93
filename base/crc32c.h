/* CRC-32C (Castagnoli): RFC 3720 section 12.1 and appendix B.4; polynomial 0x1EDC6F41, reflected
 * 0x82F63B78 (Castagnoli, Braeuer, Herrmann, 1993). Pure. */
#pragma once

#include "base/types.h"

/* The checksum of what came before (0 at the start) and data: crc32c(crc32c(0, a), b) is that of a
 * followed by b. Uses the processor's instruction where there is one. */
uint32_t crc32c(uint32_t crc, const void *data, size_t size);
/* The same by table, for any processor. */
uint32_t crc32c_portable(uint32_t crc, const void *data, size_t size);

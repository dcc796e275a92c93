/* IP addresses and CIDR blocks in patterns. Pure. */
#pragma once

#include "base/types.h"

struct pattern_address {
	uint8_t bytes[16];
	uint32_t size; /* 4 or 16 */
};

struct pattern_cidr {
	struct pattern_address base;
	uint32_t bits;
};

/* "10.0.0.1" (a part may have leading zeros, it is decimal), "2001:db8::1". An IPv6 address that stands for
 * an IPv4 address (::ffff:0:0/96) is that IPv4 address. */
bool pattern_address_parse(struct bytes text, struct pattern_address *ret);
/* An address, '/', and fewer bits than the address has: "10.0.0.0/24". */
bool pattern_cidr_parse(struct bytes text, struct pattern_cidr *ret);
bool pattern_cidr_matches(const struct pattern_cidr *cidr, struct bytes text);

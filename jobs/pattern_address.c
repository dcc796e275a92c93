#include "jobs/pattern_address.h"

#include <string.h>

#include "base/text.h"

#define V4_BYTES 4u
#define V4_TEXT_MAX 15u
#define V6_BYTES 16u

static bool parse_v4(struct bytes text, struct pattern_address *ret)
{
	uint32_t value = 0, digits = 0, part = 0;

	if (text.size > V4_TEXT_MAX)
		return false;
	for (size_t i = 0; i <= text.size; i++) {
		if (i < text.size && text.data[i] >= '0' && text.data[i] <= '9') {
			value = value * 10 + (uint32_t)(text.data[i] - '0');
			digits++;
			if (value > UINT8_MAX)
				return false;
		} else if ((i == text.size || text.data[i] == '.') && digits > 0 && part < V4_BYTES) {
			ret->bytes[part++] = (uint8_t)value;
			value = digits = 0;
		} else {
			return false;
		}
	}
	ret->size = V4_BYTES;
	return part == V4_BYTES;
}

struct v6 {
	uint8_t bytes[V6_BYTES];
	uint32_t used;
	uint32_t gap; /* where :: stands; V6_BYTES: nowhere */
};

static bool add_group(struct v6 *v6, uint32_t value)
{
	if (v6->used == V6_BYTES)
		return false;
	v6->bytes[v6->used++] = (uint8_t)(value >> 8);
	v6->bytes[v6->used++] = (uint8_t)(value & 0xff);
	return true;
}

static bool read_groups(struct bytes text, struct v6 *v6)
{
	uint32_t value = 0;
	bool digits = false;

	for (size_t i = text.data[0] == ':'; i < text.size; i++) {
		int digit = text_hex_digit(text.data[i]);

		if (digit >= 0) {
			value = value << 4 | (uint32_t)digit;
			digits = true;
			if (value > UINT16_MAX)
				return false;
			continue;
		}
		if (text.data[i] != ':')
			return false;
		if (!digits) {
			if (v6->gap != V6_BYTES)
				return false;
			v6->gap = v6->used;
			continue;
		}
		if (i + 1 == text.size || !add_group(v6, value))
			return false;
		value = 0;
		digits = false;
	}
	return !digits || add_group(v6, value);
}

static bool parse_v6(struct bytes text, struct pattern_address *ret)
{
	static const uint8_t mapped[12] = {[10] = 0xff, [11] = 0xff};
	struct v6 v6 = {.gap = V6_BYTES};
	uint32_t behind;

	if (text.size < 2 || (text.data[0] == ':' && text.data[1] != ':') || !read_groups(text, &v6))
		return false;
	if ((v6.gap == V6_BYTES) != (v6.used == V6_BYTES))
		return false;
	memset(ret, 0, sizeof *ret);
	behind = v6.gap == V6_BYTES ? 0 : v6.used - v6.gap;
	memcpy(ret->bytes, v6.bytes, v6.used - behind);
	memcpy(ret->bytes + V6_BYTES - behind, v6.bytes + v6.used - behind, behind);
	ret->size = V6_BYTES;
	if (memcmp(ret->bytes, mapped, sizeof mapped) == 0) {
		memmove(ret->bytes, ret->bytes + sizeof mapped, V4_BYTES);
		ret->size = V4_BYTES;
	}
	return true;
}

bool pattern_address_parse(struct bytes text, struct pattern_address *ret)
{
	if (text.size == 0)
		return false;
	return memchr(text.data, ':', text.size) != NULL ? parse_v6(text, ret) : parse_v4(text, ret);
}

bool pattern_cidr_parse(struct bytes text, struct pattern_cidr *ret)
{
	const uint8_t *slash = text.size == 0 ? NULL : memchr(text.data, '/', text.size);
	size_t at = slash == NULL ? 0 : (size_t)(slash - text.data);

	if (slash == NULL || at + 1 == text.size || text.size - at > 4 ||
	    !pattern_address_parse(BYTES(text.data, at), &ret->base))
		return false;
	ret->bits = 0;
	for (size_t i = at + 1; i < text.size; i++) {
		if (text.data[i] < '0' || text.data[i] > '9')
			return false;
		ret->bits = ret->bits * 10 + (uint32_t)(text.data[i] - '0');
	}
	return ret->bits < ret->base.size * 8;
}

bool pattern_cidr_matches(const struct pattern_cidr *cidr, struct bytes text)
{
	struct pattern_address address;
	uint32_t whole = cidr->bits / 8, rest = cidr->bits % 8;

	if (!pattern_address_parse(text, &address) || address.size != cidr->base.size ||
	    memcmp(address.bytes, cidr->base.bytes, whole) != 0)
		return false;
	return rest == 0 || (address.bytes[whole] ^ cidr->base.bytes[whole]) >> (8 - rest) == 0;
}

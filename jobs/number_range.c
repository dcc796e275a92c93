#include "jobs/number_range.h"

bool number_digits(struct bytes text, size_t *at, int64_t *ret)
{
	size_t first = *at;
	int64_t value = 0;

	while (*at < text.size && text.data[*at] >= '0' && text.data[*at] <= '9') {
		if (value > (INT64_MAX - 9) / 10)
			return false;
		value = value * 10 + (text.data[(*at)++] - '0');
	}
	*ret = value;
	return *at > first;
}

bool number_range_read(struct bytes text, struct number_range *ret)
{
	size_t at = 0;

	ret->step = 1;
	if (!number_digits(text, &at, &ret->first))
		return false;
	ret->last = ret->first;
	if (at < text.size && (text.data[at++] != '-' || !number_digits(text, &at, &ret->last)))
		return false;
	if (at < text.size && (text.data[at++] != ':' || !number_digits(text, &at, &ret->step)))
		return false;
	if (at != text.size || ret->step == 0 || ret->last < ret->first)
		return false;
	ret->last -= (ret->last - ret->first) % ret->step;
	return true;
}

uint64_t number_range_count(const struct number_range *r)
{
	return (uint64_t)(r->last - r->first) / (uint64_t)r->step + 1;
}

void number_range_write(const struct number_range *r, struct buf *out)
{
	buf_printf(out, "%lld", (long long)r->first);
	if (r->first == r->last)
		return;
	buf_printf(out, "-%lld", (long long)r->last);
	if (r->step > 1)
		buf_printf(out, ":%lld", (long long)r->step);
}

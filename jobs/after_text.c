#include "jobs/after_text.h"

#include <string.h>

#include "base/text.h"
#include "jobs/kinds.h"

static uint8_t condition_of(struct bytes word)
{
	return bytes_equal(word, BYTES_LIT("ok")) ? AFTER_SUCCEEDED : after_condition_of(word);
}

int after_text_parse(struct bytes text, struct after_job *ret, struct error *reterr)
{
	const char *colon = text.size > 0 ? memchr(text.data, ':', text.size) : NULL;
	size_t size = colon != NULL ? (size_t)(colon - (const char *)text.data) : text.size, at = 0;
	char found[80];

	*ret = (struct after_job){.condition = AFTER_SUCCEEDED};
	for (; at < size && at < 19 && text.data[at] >= '0' && text.data[at] <= '9'; at++)
		ret->job = 10 * ret->job + (uint64_t)(text.data[at] - '0');
	if (colon != NULL)
		ret->condition = condition_of(BYTES(text.data + size + 1, text.size - size - 1));
	if (at == size && ret->job > 0 && ret->condition != 0 && ret->condition != AFTER_SHARD)
		return 0;
	error_set(reterr, ERR_INVALID, "expected the number of a job, and perhaps a condition, found %s",
		  text_quote(found, sizeof(found), text));
	return error_help(reterr,
			  "7 or 7:ok waits until job 7 has succeeded, 7:failed until it has failed or "
			  "was cancelled, 7:any until it has ended");
}

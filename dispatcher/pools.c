#include "dispatcher/pools.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"

void pools_fini(struct pools *p)
{
	free(p->items);
	*p = (struct pools){0};
}

int pools_tell(struct pools *p, const struct pool_told *told, struct error *reterr)
{
	uint32_t at = 0;

	pools_forget(p, told->told_us);
	while (at < p->count && strcmp(p->items[at].name, told->name) < 0)
		at++;
	if (at == p->count || strcmp(p->items[at].name, told->name) != 0) {
		if (p->count == POOLS_MAX)
			return error_set(reterr, ERR_LIMIT, "scalers tell of %d pools already", POOLS_MAX);
		p->items = check_realloc(p->items, p->count + 1, sizeof(*p->items));
		memmove(&p->items[at + 1], &p->items[at], (p->count - at) * sizeof(*p->items));
		p->count++;
	}
	p->items[at] = *told;
	return 0;
}

void pools_forget(struct pools *p, usec_t now_us)
{
	uint32_t kept = 0;

	for (uint32_t i = 0; i < p->count; i++)
		if (now_us - p->items[i].told_us < POOL_TURNS * p->items[i].turn_us)
			p->items[kept++] = p->items[i];
	p->count = kept;
}

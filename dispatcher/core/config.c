/* The configuration as the table says it: filled completely, and checked to be so. */
#include "base/check.h"
#include "base/constants.h"
#include "base/params.h"
#include "dispatcher/core/volatile/state.h"
#include "jobs/amounts_text.h"

void dispatcher_config_init(struct dispatcher_config *c, const struct params *params)
{
	struct named_amount_list shared = {.items = c->shared};

	*c = (struct dispatcher_config){.complete = true};
	CHECK(amounts_parse_named(params_text(params, PARAM_SHARED), &shared, NULL) ==
	      0); /* it was looked at */
	c->shared_count = shared.count;
#define FIELD(type, name, least, value) c->name = (value);
#include "dispatcher/core/config.def"
}

void dispatcher_config_check(const struct dispatcher_config *c)
{
	CHECK(c->complete);
#define FIELD(type, name, least, value) CHECK((int64_t)c->name >= (least));
#include "dispatcher/core/config.def"
}

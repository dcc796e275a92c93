/* The configuration as the table says it: filled completely, and checked to be so. */
#include "base/check.h"
#include "base/constants.h"
#include "base/params.h"
#include "dispatcher/core/volatile/state.h"

void dispatcher_config_init(struct dispatcher_config *c, const struct params *params)
{
	*c = (struct dispatcher_config){.complete = true};
#define FIELD(type, name, least, value) c->name = (value);
#include "dispatcher/core/config.def"
}

void dispatcher_config_check(const struct dispatcher_config *c)
{
	CHECK(c->complete);
#define FIELD(type, name, least, value) CHECK((int64_t)c->name >= (least));
#include "dispatcher/core/config.def"
}

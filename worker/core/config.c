/* The configuration as the table says it: filled completely, and checked to be so. */
#include "base/check.h"
#include "base/constants.h"
#include "base/params.h"
#include "worker/core/state.h"

void worker_config_init(struct worker_config *c, const struct params *params)
{
	*c = (struct worker_config){.complete = true};
#define FIELD(type, name, least, value) c->name = (value);
#include "worker/core/config.def"
}

void worker_config_check(const struct worker_config *c)
{
	CHECK(c->complete);
#define FIELD(type, name, least, value) CHECK((int64_t)c->name >= (least));
#include "worker/core/config.def"
}

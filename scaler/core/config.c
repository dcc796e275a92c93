/* The configuration as the table says it: filled completely, and checked to be so. */
#include "base/check.h"
#include "base/constants.h"
#include "base/params.h"
#include "scaler/core/state.h"

static usec_t least_us(usec_t a, usec_t b)
{
	return a < b ? a : b;
}

void scaler_pool_config_init(struct scaler_pool_config *c, const struct params *params,
			     const struct scaler_provider *provider)
{
	*c = (struct scaler_pool_config){.complete = true};
#define FIELD(type, name, least, value) c->name = (value);
#include "scaler/core/config.def"
}

void scaler_pool_config_check(const struct scaler_pool_config *c)
{
	CHECK(c->complete);
#define FIELD(type, name, least, value) CHECK((int64_t)c->name >= (least));
#include "scaler/core/config.def"
}

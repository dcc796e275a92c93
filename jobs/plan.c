#include "jobs/plan.h"

int plan_validate(const struct plan *p, struct error *reterr)
{
	const struct plan_row *row = plan_row(p->kind);

	if (row->kind == 0)
		return error_set(reterr, ERR_INVALID, "expected plan %s", plan_kind_names());
	return row->validate != NULL ? row->validate(p, reterr) : 0;
}

int plan_size(struct plan *p, struct error *reterr)
{
	const struct plan_row *row = plan_row(p->kind);

	if (row->size == NULL)
		return error_set(reterr, ERR_INVALID, "a plan by %s cuts no object", plan_kind_name(p->kind));
	return row->size(p, reterr);
}

bool plan_gathers(const struct plan *p)
{
	return plan_row(p->kind)->input == PLAN_INPUT_OUTPUTS;
}

bool plan_may_be_first(const struct plan *p)
{
	return plan_row(p->kind)->keys[0].name != NULL;
}

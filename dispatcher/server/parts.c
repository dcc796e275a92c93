#include "dispatcher/part.h"
#include "dispatcher/server/server.h"

enum part_when { BEFORE, DOORS };

static const struct {
	const struct part *part;
	enum part_when when;
} parts[] = {
#define PART(name, when) {&part_##name, when},
#include "dispatcher/parts.def"
#undef PART
};

int parts_open(struct services *s, bool doors, struct error *reterr)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < ARRAY_LENGTH(parts); i++)
		if ((parts[i].when == DOORS) == doors)
			r = parts[i].part->open(s, reterr);
	return r;
}

void parts_close(struct services *s)
{
	for (size_t i = ARRAY_LENGTH(parts); i > 0; i--)
		parts[i - 1].part->close(s);
}

void parts_pause(struct services *s)
{
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
		if (parts[i].part->pause != NULL)
			parts[i].part->pause(s);
}

void parts_resume(struct services *s)
{
	for (size_t i = 0; i < ARRAY_LENGTH(parts); i++)
		if (parts[i].part->resume != NULL)
			parts[i].part->resume(s);
}

/* Writes metrics.md: what GET /metrics tells, from its table. */
#include <stdio.h>

static const struct {
	const char *type, *name, *labels, *doc;
} rows[] = {
#define METRIC(type, name, doc, value) {#type, #name, "", doc},
#define FAMILY(type, name, labels, doc, function) {#type, #name, labels, doc},
#include "dispatcher/api/metrics.def"
#undef METRIC
#undef FAMILY
};

int main(void)
{
	printf("# What `GET /metrics` tells\n\n"
	       "In Prometheus' text format 0.0.4, on the API's sockets: the Unix socket, and with "
	       "--api-listen TCP, where "
	       "the token in keys/api-token is the bearer token.\n"
	       "Counters begin at 0 when the dispatcher starts. Units are seconds and bytes.\n\n"
	       "| name | type | labels | what |\n|---|---|---|---|\n");
	for (size_t i = 0; i < sizeof rows / sizeof rows[0]; i++)
		printf("| `%s` | %s | %s | %s |\n", rows[i].name, rows[i].type, rows[i].labels, rows[i].doc);
	return fflush(stdout) == 0 ? 0 : 1;
}

#include "scaler/providers/gpu_deal.h"

#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "base/check.h"

extern char **environ;

/* The place that has fewest so far, of the gpu's node when that is known and has one. */
static size_t place_for(const struct gpu_deal *d, const struct core_deal *cores, const struct gpu *gpu)
{
	size_t best[2] = {d->count, d->count}; /* of any node, of its own */

	for (size_t i = 0; i < d->count; i++) {
		bool own = gpu->numa_node >= 0 && cores->places[i].numa_node == (unsigned)gpu->numa_node;

		for (int k = 0; k <= (own ? 1 : 0); k++)
			if (best[k] == d->count || d->parts[i].count < d->parts[best[k]].count)
				best[k] = i;
	}
	return best[1] < d->count ? best[1] : best[0];
}

static void add(struct gpu_part *p, const char *name)
{
	struct buf text = {0};

	buf_printf(&text, "%s%s%s", p->text, p->count > 0 ? "," : "", name);
	free(p->text);
	buf_text(&text);
	p->text = (char *)text.data;
	p->count++;
}

void gpu_deal_init(struct gpu_deal *d, const struct core_deal *cores, const struct gpu_list *gpus)
{
	*d = (struct gpu_deal){.count = cores->count};
	d->parts = check_calloc(d->count + 1, sizeof *d->parts);
	d->order = check_calloc(d->count + 1, sizeof *d->order);
	for (size_t i = 0; i < d->count; i++)
		d->parts[i].text = check_calloc(1, 1);
	for (unsigned i = 0; i < gpus->count && d->count > 0; i++)
		add(&d->parts[place_for(d, cores, &gpus->items[i])], gpus->items[i].name);
	for (size_t i = 0; i < d->count; i++) {
		size_t at = i;

		for (; at > 0 && d->parts[d->order[at - 1]].count < d->parts[i].count; at--)
			d->order[at] = d->order[at - 1];
		d->order[at] = i;
		if (d->parts[i].count > d->most)
			d->most = d->parts[i].count;
	}
}

void gpu_deal_fini(struct gpu_deal *d)
{
	for (size_t i = 0; i < d->count; i++)
		free(d->parts[i].text);
	free(d->parts);
	free(d->order);
	*d = (struct gpu_deal){0};
}

bool gpu_lists_overlap(const char *a, const char *b)
{
	for (; *a != '\0'; a += strcspn(a, ","), a += *a == ',') {
		size_t size = strcspn(a, ",");

		for (const char *at = b; *at != '\0'; at += strcspn(at, ","), at += *at == ',')
			if (strcspn(at, ",") == size && strncmp(a, at, size) == 0)
				return true;
	}
	return false;
}

char **gpu_environment(const char *gpus, char **ret_text)
{
	struct buf text = {0};
	size_t count = 0, n = 0;
	char **list;

	while (environ[count] != NULL)
		count++;
	list = check_calloc(count + 2, sizeof *list);
	for (size_t i = 0; i < count; i++)
		if (strncmp(environ[i], "CUDA_VISIBLE_DEVICES=", 21) != 0)
			list[n++] = environ[i];
	buf_printf(&text, "CUDA_VISIBLE_DEVICES=%s", gpus);
	buf_text(&text);
	list[n] = *ret_text = (char *)text.data;
	return list;
}

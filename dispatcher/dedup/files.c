/* The set of files as the loop has it, and what a start finds of it. */
#include <inttypes.h>
#include <stdlib.h>
#include <string.h>

#include "base/array.h"
#include "base/constants.h"
#include "base/fs.h"
#include "base/log.h"
#include "dispatcher/dedup/dedup_private.h"

#define LOST "dedup"
#define MEANING                                                                                              \
	"events that were taken cannot all be told any more, so that their repeats start jobs a second time"

void files_prefetch(const struct dedup_files *d, const struct key_mask *mask)
{
	for (uint32_t i = 0; i < d->count; i++)
		key_filter_prefetch(d->files[i]->filter, d->files[i]->filter_blocks, mask);
}

bool files_may_have(const struct dedup_files *d, const struct key_mask *mask)
{
	bool may = false;

	/* No early end: the misses of all files overlap. */
	for (uint32_t i = 0; i < d->count; i++)
		may |= key_file_may_have(d->files[i], mask);
	return may;
}

uint64_t files_bytes(const struct dedup_files *d)
{
	uint64_t bytes = 0;

	for (uint32_t i = 0; i < d->count; i++)
		bytes += d->files[i]->bytes;
	return bytes;
}

/* With more than DEDUP_FILES_MAX, two have at most a third of all. One that cannot be read takes its keys
 * along when it leaves with the window; till then it stands between its neighbours, and is not counted. */
bool files_to_merge(const struct dedup_files *d, uint32_t *ret)
{
	uint64_t best = UINT64_MAX;
	uint32_t readable = 0;

	for (uint32_t i = 0; i < d->count; i++) {
		uint64_t bytes;

		if (atomic_load(&d->files[i]->is_unreadable))
			continue;
		readable++;
		if (i + 1 == d->count || atomic_load(&d->files[i + 1]->is_unreadable))
			continue;
		bytes = d->files[i]->bytes + d->files[i + 1]->bytes;
		if (bytes >= best)
			continue;
		best = bytes;
		*ret = i;
	}
	return readable > DEDUP_FILES_MAX && best < UINT64_MAX;
}

void files_add(struct dedup_files *d, struct key_file *f)
{
	ARRAY_GROW(d->files, d->room, d->count);
	d->files[d->count++] = f;
}

void files_take(struct dedup_files *d, const struct key_file *f)
{
	uint32_t at = 0;

	while (at < d->count && d->files[at] != f)
		at++;
	CHECK(at < d->count);
	d->count--;
	memmove(&d->files[at], &d->files[at + 1], (d->count - at) * sizeof(d->files[0]));
}

static void list_add(struct key_list *list, const struct key_file *f)
{
	list->rows[list->count++] = (struct key_row){f->number, f->last_us, f->keys};
}

void files_list(const struct dedup_files *d, struct key_file *const without[2], const struct key_file *added,
		struct key_list *ret)
{
	*ret = (struct key_list){.sealed_us = d->sealed_us,
				 .rows = check_calloc(d->count + 1, sizeof(*ret->rows))};
	for (uint32_t i = 0; i < d->count; i++) {
		bool is_out = d->files[i] == without[0] || d->files[i] == without[1];

		if (!is_out)
			list_add(ret, d->files[i]);
		else if (added != NULL && d->files[i] == without[0])
			list_add(ret, added);
	}
	if (added != NULL && without[0] == NULL)
		list_add(ret, added);
}

/* ---- a start ---- */

static int lose(struct dedup_files *d, struct error *e, struct error *reterr)
{
	const char *accepted = params_text(d->services->params, PARAM_ACCEPT_LOST);
	char line[ERROR_LINE_MAX];

	if (strcmp(accepted, LOST) == 0) {
		log_warn("a loss was accepted", log_error_field(e, line, sizeof(line)),
			 log_text("meaning", MEANING));
		return 0;
	}
	e->code = ERR_CORRUPT;
	error_help(e, "%s; restore it from a copy, or accept the loss once with --accept-lost=" LOST,
		   MEANING);
	*reterr = *e;
	return ERR_CORRUPT;
}

/* The list, held against what the journal says. */
static int read_list(struct dedup_files *d, const struct view_counters *c, struct key_list *ret,
		     struct error *reterr)
{
	struct error e = {0};
	int rc = key_list_read(d->dir, ret, &e);
	bool is_needed = c->dedup_sealed_us > 0 && c->dedup_sealed_us >= c->dedup_forget_before_us;

	if (rc == ERR_NOT_FOUND && !is_needed)
		return 0;
	if (rc == 0 && is_needed && ret->sealed_us < c->dedup_sealed_us) {
		rc = error_set(&e, ERR_CORRUPT,
			       "the files of keys are older than the journal: keys are missing");
		(void)error_where(&e, "%s", d->dir);
	}
	if (rc == ERR_IO || rc == ERR_VERSION) {
		*reterr = e;
		return rc;
	}
	return rc < 0 ? lose(d, &e, reterr) : 0;
}

static int open_one(struct dedup_files *d, const struct view_counters *c, const struct key_row *row,
		    struct error *reterr)
{
	struct key_file *f;
	struct error e = {0};
	int rc;

	if (row->last_us < c->dedup_forget_before_us)
		return 0; /* whatever became of it */
	rc = key_file_open(d->dir, row->number, &f, &e);
	if (rc == ERR_IO || rc == ERR_VERSION) {
		*reterr = e;
		return rc;
	}
	if (rc < 0)
		return lose(d, &e, reterr);
	files_add(d, f);
	return 0;
}

int files_open(struct dedup_files *d, struct error *reterr)
{
	static struct key_file *const none[2];
	struct key_list list = {0};
	struct view_counters c;
	int rc = fs_make_dirs(d->dir, 0700, reterr);

	dispatcher_view_counters(services_core(d->services), &c);
	if (rc == 0)
		rc = read_list(d, &c, &list, reterr);
	for (uint32_t i = 0; i < list.count && rc == 0; i++) {
		if (list.rows[i].number > d->last_number)
			d->last_number = list.rows[i].number;
		rc = open_one(d, &c, &list.rows[i], reterr);
	}
	d->sealed_us = list.sealed_us > c.dedup_sealed_us ? list.sealed_us : c.dedup_sealed_us;
	if (rc == 0 && (d->count != list.count || d->sealed_us != list.sealed_us)) {
		key_list_fini(&list);
		files_list(d, none, NULL, &list);
		rc = key_list_write(d->dir, &list, reterr);
	}
	if (rc == 0)
		(void)key_list_sweep(d->dir, &list);
	key_list_fini(&list);
	return rc;
}

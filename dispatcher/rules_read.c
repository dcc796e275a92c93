#include "dispatcher/rules_read.h"

#include <dirent.h>
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/inotify.h>
#include <unistd.h>

#include "base/array.h"
#include "base/check.h"
#include "base/fs.h"
#include "base/limits.h"
#include "dispatcher/rule_copies.h"

static bool is_rule_name(const char *name)
{
	size_t length = strlen(name);

	return name[0] != '.' && ((length > 5 && strcmp(name + length - 5, ".yaml") == 0) ||
				  (length > 4 && strcmp(name + length - 4, ".yml") == 0));
}

static bool same_file(const struct stat *a, const struct stat *b)
{
	return a->st_ino == b->st_ino && a->st_size == b->st_size && a->st_mtim.tv_sec == b->st_mtim.tv_sec &&
	       a->st_mtim.tv_nsec == b->st_mtim.tv_nsec && a->st_ctim.tv_sec == b->st_ctim.tv_sec &&
	       a->st_ctim.tv_nsec == b->st_ctim.tv_nsec;
}

/* ---- the directory ---- */

static int watch(struct rules_look *look)
{
	int fd = inotify_init1(IN_CLOEXEC | IN_NONBLOCK);

	if (fd < 0 ||
	    inotify_add_watch(fd, look->dir,
			      IN_CLOSE_WRITE | IN_MOVED_TO | IN_MOVED_FROM | IN_DELETE | IN_CREATE |
				  IN_ATTRIB | IN_ONLYDIR) < 0 ||
	    stat(look->dir, &look->dir_now) < 0) {
		error_set(&look->dir_error, ERR_IO, "the directory of rules cannot be watched: %s",
			  strerror(errno));
		error_where(&look->dir_error, "%s", look->dir);
		if (fd >= 0)
			close(fd);
		return ERR_IO;
	}
	look->notify_fd = fd;
	return 0;
}

/* Was it removed and made again, replaced by another, covered by a mount? */
static enum rules_dir_state look_at_dir(struct rules_look *look)
{
	if (stat(look->dir, &look->dir_now) < 0) {
		look->number = errno;
		return RULES_DIR_GONE;
	}
	if (!look->is_new && look->dir_now.st_dev == look->dir_seen.st_dev &&
	    look->dir_now.st_ino == look->dir_seen.st_ino)
		return RULES_DIR_SAME;
	return watch(look) == 0 ? RULES_DIR_OTHER : RULES_DIR_UNWATCHABLE;
}

/* ---- its files ---- */

static int select_rule(const struct dirent *entry)
{
	return is_rule_name(entry->d_name);
}

static int by_name(const void *a, const void *b)
{
	const struct rule_known *x = a, *y = b;

	return strcmp(x->name, y->name);
}

static void read_file(struct rules_look *look, struct rule_file *f)
{
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", look->dir, f->name);
	f->is_read = true;
	f->rc = fs_read_file(path, DEFINITION_BYTES_MAX, &f->text, &f->error);
	f->copy_rc = rule_copy_read(look->copies, f->name, &f->copy, &f->copy_error);
	f->is_copied = f->rc == 0 && f->copy_rc == 0 && bytes_equal(buf_bytes(&f->text), buf_bytes(&f->copy));
	if (f->is_copied)
		buf_fini(&f->copy);
}

/* Both lists are sorted by name: *at moves on. */
static const struct rule_known *find_known(const struct rules_look *look, size_t *at, const char *name)
{
	while (*at < look->known_count && strcmp(look->known[*at].name, name) < 0)
		(*at)++;
	return *at < look->known_count && strcmp(look->known[*at].name, name) == 0 ? &look->known[*at] : NULL;
}

/* A link that leads nowhere, or a file that may not be looked at, is a rule that cannot be read; fs_read_file
 * says why. Of files beyond RULES_MAX the names are enough to say that there are too many. */
static void visit(struct rules_look *look, size_t *at_known, const char *name)
{
	struct rule_file *f = &look->files[look->file_count];
	const struct rule_known *known = find_known(look, at_known, name);
	struct stat st = {0};
	char path[4096];

	snprintf(path, sizeof(path), "%s/%s", look->dir, name);
	if (stat(path, &st) < 0 && errno == ENOENT && lstat(path, &st) < 0)
		return; /* it went away since it was listed */
	*f =
	    (struct rule_file){.name = strdup(name), .seen = st, .number = known != NULL ? known->number : 0};
	CHECK(f->name != NULL);
	look->file_count++;
	if (known != NULL && known->good && same_file(&known->seen, &st))
		return;
	if (known != NULL || look->file_count <= RULES_MAX)
		read_file(look, f);
}

static int order(const struct dirent **a, const struct dirent **b)
{
	return strcmp((*a)->d_name, (*b)->d_name);
}

static void list(struct rules_look *look)
{
	struct dirent **names = NULL;
	size_t at_known = 0;
	int count = scandir(look->dir, &names, select_rule, order);

	look->is_listed = true;
	if (count < 0) {
		look->rc = error_set(&look->error, ERR_IO, "the directory of rules cannot be read: %s",
				     strerror(errno));
		error_where(&look->error, "%s", look->dir);
		return;
	}
	if (look->known_count > 0)
		qsort(look->known, look->known_count, sizeof(*look->known), by_name);
	look->files = check_calloc((size_t)count + 1, sizeof(*look->files));
	for (int i = 0; i < count; i++) {
		visit(look, &at_known, names[i]->d_name);
		free(names[i]);
	}
	free(names);
}

void rules_look_run(struct rules_look *look)
{
	look->notify_fd = -1;
	look->what = look_at_dir(look);
	if (look->what == RULES_DIR_OTHER || (look->what == RULES_DIR_SAME && look->reads))
		list(look);
}

void rules_look_fini(struct rules_look *look)
{
	for (size_t i = 0; i < look->known_count; i++)
		free(look->known[i].name);
	free(look->known);
	for (size_t i = 0; i < look->file_count; i++) {
		free(look->files[i].name);
		buf_fini(&look->files[i].text);
		buf_fini(&look->files[i].copy);
	}
	free(look->files);
	if (look->notify_fd >= 0)
		close(look->notify_fd);
}

/* ---- copies ---- */

void rule_changes_add(struct rule_changes *c, const char *name, struct buf *text)
{
	struct rule_change *change;

	ARRAY_GROW(c->items, c->capacity, c->count);
	change = &c->items[c->count++];
	*change = (struct rule_change){.name = strdup(name), .is_removed = text == NULL};
	CHECK(change->name != NULL);
	if (text == NULL)
		return;
	change->text = *text;
	*text = (struct buf){0};
}

void rule_changes_make(const struct rule_changes *c, const char *copies)
{
	for (size_t i = 0; i < c->count; i++) {
		const struct rule_change *change = &c->items[i];

		if (change->is_removed)
			rule_copy_remove(copies, change->name);
		else
			rule_copy_write(copies, change->name, buf_bytes(&change->text));
	}
}

void rule_changes_fini(struct rule_changes *c)
{
	for (size_t i = 0; i < c->count; i++) {
		free(c->items[i].name);
		buf_fini(&c->items[i].text);
	}
	free(c->items);
	*c = (struct rule_changes){0};
}

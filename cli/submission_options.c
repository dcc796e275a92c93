/* What options put into a submission. */
#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "base/text.h"
#include "cli/submission.h"
#include "cli/words.h"

/* NAME=VALUE into one of a command's maps. */
static int add_pair(json_t **map, const char *value, const char *expected, bool twice, struct error *reterr)
{
	const char *equals = strchr(value, '=');
	char found[80], *name;
	int failed;

	if (equals == NULL || equals == value)
		return error_set(reterr, ERR_INVALID, "expected %s, found %s", expected,
				 text_quote(found, sizeof(found), bytes_of(value)));
	name = strndup(value, (size_t)(equals - value));
	CHECK(name != NULL);
	if (*map == NULL)
		*map = json_object();
	if (!twice && json_object_get(*map, name) != NULL)
		failed = error_set(reterr, ERR_INVALID, "two rules for one exit code: %s",
				   text_quote(found, sizeof(found), bytes_of(name)));
	else if (json_object_set_new(*map, name, json_string(equals + 1)) != 0)
		failed = error_set(reterr, ERR_INVALID, "expected UTF-8");
	else
		failed = 0;
	free(name);
	return failed;
}

int submission_add_env(void *arg, const char *value, struct error *reterr)
{
	struct submission *s = arg;

	return add_pair(&s->command.env, value, "NAME=VALUE", true, reterr);
}

int submission_add_exit(void *arg, const char *value, struct error *reterr)
{
	struct submission *s = arg;

	return add_pair(&s->command.exit, value, "CODE=VERDICT, such as 2=fail or 75-78=retry", false,
			reterr);
}

json_t *submission_argv(char **argv, size_t count)
{
	json_t *list = json_array();

	for (size_t i = 0; i < count; i++) {
		if (json_array_append_new(list, json_string(argv[i])) != 0) {
			json_decref(list);
			return NULL;
		}
	}
	return list;
}

int submission_set_gather(void *arg, const char *value, struct error *reterr)
{
	struct submission *s = arg;
	struct words w;
	int r = words_split(value, &w, reterr);

	if (r != 0)
		return r;
	json_decref(s->command.gather);
	s->command.gather = submission_argv(w.items, w.count);
	words_fini(&w);
	return s->command.gather == NULL ? error_set(reterr, ERR_INVALID, "expected UTF-8") : 0;
}

int submission_add_grid(void *arg, const char *value, struct error *reterr)
{
	struct submission *s = arg;
	json_t *text = json_string(value);

	if (text == NULL)
		return error_set(reterr, ERR_INVALID, "expected UTF-8");
	if (s->command.grid == NULL)
		s->command.grid = json_array();
	json_array_append_new(s->command.grid, text);
	return 0;
}

int submission_add_after(void *arg, const char *value, struct error *reterr)
{
	struct submission *s = arg;
	json_t *text = json_string(value);

	if (text == NULL)
		return error_set(reterr, ERR_INVALID, "expected UTF-8");
	if (s->after == NULL)
		s->after = json_array();
	json_array_append_new(s->after, text);
	return 0;
}

int submission_add_after_shard(void *arg, const char *value, struct error *reterr)
{
	struct buf text = {0};
	int r;

	if (value[0] == '\0' || value[strspn(value, "0123456789")] != '\0')
		return error_set(reterr, ERR_INVALID, "expected the number of a job, found %.100s",
				 value[0] != '\0' ? value : "nothing");
	buf_printf(&text, "%s:shard", value);
	r = submission_add_after(arg, buf_text(&text), reterr);
	buf_fini(&text);
	return r;
}

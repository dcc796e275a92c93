#include "cli/up/plan.h"

#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "base/options.h"
#include "base/statedir.h"

#define TCP "tcp://"

static char *join(const char *folder, const char *name)
{
	struct buf path = {0};

	buf_printf(&path, "%s/%s", folder, name);
	buf_text(&path);
	return (char *)path.data;
}

static char *copy(const char *text)
{
	char *made = strdup(text);

	CHECK(made != NULL);
	return made;
}

char *up_absolute(const char *path)
{
	char *here, *whole;

	if (path[0] == '/')
		return copy(path);
	here = getcwd(NULL, 0);
	CHECK(here != NULL);
	whole = join(strcmp(here, "/") == 0 ? "" : here, path);
	free(here);
	return whole;
}

/* ---- where things are ---- */

/* What was said, else `name` in the state directory. */
static char *place_of(const struct up_plan *plan, enum param_id id, const char *name)
{
	const char *said = params_text(plan->params, id);

	return said[0] != '\0' ? up_absolute(said) : join(plan->state_dir, name);
}

int up_connect_address(const char *listen, char **ret, struct error *reterr)
{
	static const char *const any[] = {"*", "0.0.0.0", "[::]"};
	const char *host = listen + strlen(TCP), *colon;
	struct buf text = {0};

	if (strncmp(listen, TCP, strlen(TCP)) != 0) {
		*ret = copy(listen);
		return 0;
	}
	colon = strrchr(host, ':');
	if (colon == NULL || strcmp(colon, ":*") == 0 || atoi(colon + 1) == 0) {
		error_set(reterr, ERR_INVALID, "expected an address with a port, found %s", listen);
		error_where(reterr, "--listen");
		error_help(reterr, "the workers have to know the port, as in tcp://127.0.0.1:7170");
		return ERR_INVALID;
	}
	for (size_t i = 0; i < ARRAY_LENGTH(any); i++)
		if (strlen(any[i]) == (size_t)(colon - host) &&
		    strncmp(host, any[i], (size_t)(colon - host)) == 0) {
			buf_printf(&text, TCP "127.0.0.1%s", colon);
			buf_text(&text);
			*ret = (char *)text.data;
			return 0;
		}
	*ret = copy(listen);
	return 0;
}

/* Unless told: a Unix socket in the state directory, so that two of us never meet at a port. */
static char *listen_address(const struct up_plan *plan)
{
	struct buf text = {0};

	if (params_is_set(plan->params, PARAM_LISTEN))
		return copy(params_text(plan->params, PARAM_LISTEN));
	buf_printf(&text, "ipc://%s/dispatcher.sock", plan->state_dir);
	if (text.size - strlen("ipc://") >= sizeof((struct sockaddr_un *)NULL)->sun_path) {
		buf_clear(&text);
		buf_printf(&text, "%s", params_text(plan->params, PARAM_LISTEN));
	}
	buf_text(&text);
	return (char *)text.data;
}

static int find_state_dir(struct up_plan *plan, struct error *reterr)
{
	const char *said = params_text(plan->params, PARAM_STATE_DIR);

	if (said[0] == '\0')
		return statedir_default(&plan->state_dir, reterr);
	plan->state_dir = up_absolute(said);
	return 0;
}

/* A path that is not absolute needs a directory to begin at, and that may have been removed. */
static int check_paths(const struct params *params, struct error *reterr)
{
	char *here = getcwd(NULL, 0);
	bool known = here != NULL;

	free(here);
	for (unsigned id = 0; id < PARAM_COUNT && !known; id++) {
		enum param_type type = param_info(id)->type;
		const char *first = "/";

		if (type == PARAM_TYPE_PATHS && params_list_count(params, id) > 0)
			first = params_list_at(params, id, 0);
		else if (type == PARAM_TYPE_PATH && params_is_set(params, id))
			first = params_text(params, id);
		if (first[0] == '/' || first[0] == '\0')
			continue;
		error_set(reterr, ERR_INVALID, "the current directory does not exist any more");
		error_help(reterr, "go to one that does, or name this from / on");
		options_where(param_info(id)->name, first, reterr);
		return ERR_INVALID;
	}
	return 0;
}

int up_plan_init(struct up_plan *plan, const struct params *params, struct error *reterr)
{
	int rc;

	*plan = (struct up_plan){.params = params};
	rc = check_paths(params, reterr);
	if (rc == 0)
		rc = find_state_dir(plan, reterr);
	if (rc < 0)
		return rc;
	plan->api_socket = place_of(plan, PARAM_API_SOCKET, "api.sock");
	plan->keys_dir = place_of(plan, PARAM_KEYS_DIR, "keys");
	plan->output_dir = place_of(plan, PARAM_OUTPUT_DIR, "output");
	plan->logs_dir = join(plan->state_dir, "logs");
	plan->records_dir = join(plan->state_dir, "providers/local");
	if (!params_is_set(params, PARAM_RULES_DIR))
		plan->rules_dir = join(plan->state_dir, "rules");
	if (!params_is_set(params, PARAM_BUCKET))
		plan->bucket_dir = join(plan->state_dir, "bucket");
	plan->listen = listen_address(plan);
	rc = up_connect_address(plan->listen, &plan->connect, reterr);
	if (rc < 0)
		up_plan_fini(plan);
	return rc;
}

void up_plan_fini(struct up_plan *plan)
{
	free(plan->state_dir);
	free(plan->api_socket);
	free(plan->keys_dir);
	free(plan->output_dir);
	free(plan->logs_dir);
	free(plan->records_dir);
	free(plan->rules_dir);
	free(plan->bucket_dir);
	free(plan->listen);
	free(plan->connect);
	*plan = (struct up_plan){0};
}

/* ---- command lines ---- */

static void add(struct up_command *c, const char *name, const char *value)
{
	struct buf text = {0};

	if (name == NULL)
		buf_printf(&text, "%s", value);
	else
		buf_printf(&text, "--%s=%s", name, value);
	buf_text(&text);
	for (char *at = (char *)text.data + 2; name != NULL && *at != '='; at++)
		if (*at == '_')
			*at = '-';
	c->argv = check_realloc(c->argv, c->count + 2, sizeof *c->argv);
	c->argv[c->count++] = (char *)text.data;
	c->argv[c->count] = NULL;
}

static void add_path(struct up_command *c, const char *name, const char *path)
{
	char *whole = up_absolute(path);

	add(c, name, whole);
	free(whole);
}

static void add_said(struct up_command *c, const struct params *params, enum param_id id)
{
	const struct param_info *info = param_info(id);
	struct buf text = {0};

	if (info->type == PARAM_TYPE_PATH) {
		add_path(c, info->name, params_text(params, id));
		return;
	}
	if (info->type == PARAM_TYPE_PATHS) {
		for (size_t i = 0; i < params_list_count(params, id); i++)
			add_path(c, info->name, params_list_at(params, id, i));
		return;
	}
	params_format(params, id, &text);
	add(c, info->name, buf_text(&text));
	buf_fini(&text);
}

void up_command_init(struct up_command *c, const struct up_plan *plan, const char *program,
		     enum param_scope scope)
{
	const struct {
		enum param_id id;
		const char *value;
	} places[] = {
	    {PARAM_STATE_DIR, plan->state_dir}, {PARAM_API_SOCKET, plan->api_socket},
	    {PARAM_KEYS_DIR, plan->keys_dir},	{PARAM_OUTPUT_DIR, plan->output_dir},
	    {PARAM_LISTEN, plan->listen},	{PARAM_CONNECT, plan->connect},
	    {PARAM_RULES_DIR, plan->rules_dir}, {PARAM_BUCKET, plan->bucket_dir},
	};

	*c = (struct up_command){0};
	add(c, NULL, program);
	for (size_t i = 0; i < ARRAY_LENGTH(places); i++)
		if (places[i].value != NULL && (param_info(places[i].id)->scopes & scope))
			add(c, param_info(places[i].id)->name, places[i].value);
	for (unsigned id = 0; id < PARAM_COUNT; id++) {
		const struct param_info *info = param_info(id);
		bool placed = false;

		for (size_t i = 0; i < ARRAY_LENGTH(places); i++)
			placed = placed || (places[i].id == id && places[i].value != NULL);
		if (!placed && (info->scopes & scope) && (info->scopes & PARAM_SCOPE_UP) &&
		    params_is_set(plan->params, id))
			add_said(c, plan->params, id);
	}
}

void up_command_fini(struct up_command *c)
{
	for (size_t i = 0; i < c->count; i++)
		free(c->argv[i]);
	free(c->argv);
	*c = (struct up_command){0};
}

void up_export_worker_params(const struct params *params)
{
	for (unsigned id = 0; id < PARAM_COUNT; id++) {
		const struct param_info *info = param_info(id);
		unsigned both = PARAM_SCOPE_WORKER | PARAM_SCOPE_UP;
		struct buf name = {0}, value = {0};

		if ((info->scopes & both) != both || (info->scopes & PARAM_SCOPE_SCALER) ||
		    !params_is_set(params, id))
			continue;
		buf_printf(&name, "SHARDMILL_%s", info->name);
		for (char *at = (char *)name.data; at < (char *)name.data + name.size; at++)
			*at = (char)toupper((unsigned char)*at);
		params_format(params, id, &value);
		CHECK(setenv(buf_text(&name), buf_text(&value), 1) == 0);
		buf_fini(&name);
		buf_fini(&value);
	}
}

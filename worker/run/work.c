/* A lease, made ready to run: what does not change from shard to shard. */
#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

#include "base/fs.h"
#include "base/limits.h"
#include "jobs/ids.h"
#include "jobs/kinds.h"
#include "worker/run/blame.h"
#include "worker/run/runner_impl.h"
#include "worker/run/slot_impl.h"

#define SECRET_BYTES_MAX ((size_t)65536)

static int compile(struct work *w, struct bytes text, struct template *ret)
{
	int rc = template_compile(text, TEMPLATE_ALL, &w->arena, ret, NULL, &w->why);

	return rc < 0 ? rc : template_resolve(ret, &w->arm.definition->value_names, &w->why);
}

static int compile_all(struct work *w)
{
	const struct run_spec *run = &w->arm.run->run;

	w->argv = arena_alloc(&w->arena, (run->argv.count + 1) * sizeof *w->argv);
	w->env = arena_alloc(&w->arena, (run->env.count + 1) * sizeof *w->env);
	for (uint32_t i = 0; i < run->argv.count; i++)
		if (compile(w, run->argv.items[i].text, &w->argv[i]) < 0)
			return ERR_INVALID;
	for (uint32_t i = 0; i < run->env.count; i++)
		if (compile(w, run->env.items[i].value, &w->env[i]) < 0)
			return ERR_INVALID;
	return compile(w, run->stdin_file, &w->stdin_file);
}

static void add_env(struct work *w, struct buf *line)
{
	w->env_fixed[w->env_fixed_count++] = arena_copy(&w->arena, buf_bytes(line));
	buf_clear(line);
}

/* Secrets come from files on the worker; a last newline is not part of one. */
static int add_secrets(struct work *w, struct buf *line)
{
	const struct pair_list *from = &w->arm.run->run.env_from;

	for (uint32_t i = 0; i < from->count; i++) {
		struct bytes path = arena_copy(&w->arena, from->items[i].value);
		int rc;

		buf_printf(line, "%.*s=", (int)from->items[i].name.size,
			   (const char *)from->items[i].name.data);
		rc = fs_read_file((const char *)path.data, SECRET_BYTES_MAX, line, &w->why);
		if (rc < 0)
			return rc;
		if (line->size > 0 && line->data[line->size - 1] == '\n')
			line->size--;
		if (memchr(line->data, '\0', line->size) != NULL)
			return error_set(&w->why, ERR_INVALID, "the file %s of env_from holds a NUL byte",
					 (const char *)path.data);
		add_env(w, line);
	}
	return 0;
}

/* What a command of ours that the shard runs has to know. */
static bool leads_home(struct bytes name)
{
	static const char *const names[] = {"SHARDMILL_STATE_DIR", "SHARDMILL_API_SOCKET", "SHARDMILL_API",
					    "SHARDMILL_API_TOKEN_FILE"};

	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (bytes_equal(name, bytes_of(names[i])))
			return true;
	return false;
}

/* Where the worker hands out gpus, these say which are the slot's; also that it has none. */
static const char *const gpu_names[] = {"CUDA_VISIBLE_DEVICES", "HIP_VISIBLE_DEVICES"};

static bool is_gpu_name(struct bytes name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(gpu_names); i++)
		if (bytes_equal(name, bytes_of(gpu_names[i])))
			return true;
	return false;
}

static bool offers_gpus(const struct slot *s)
{
	return s->shared->gpus != NULL && s->shared->gpus->count > 0;
}

static bool sets(const struct run_spec *run, struct bytes name)
{
	for (uint32_t i = 0; i < run->env.count; i++)
		if (bytes_equal(run->env.items[i].name, name))
			return true;
	for (uint32_t i = 0; i < run->env_from.count; i++)
		if (bytes_equal(run->env_from.items[i].name, name))
			return true;
	return false;
}

static bool is_overridden(const struct slot *s, const struct run_spec *run, const char *line)
{
	size_t size = strcspn(line, "=");
	struct bytes name = BYTES(line, size);

	if (size > 10 && memcmp(line, "SHARDMILL_", 10) == 0)
		return !leads_home(name);
	return sets(run, name) || (offers_gpus(s) && is_gpu_name(name));
}

PRINTF_LIKE(2, 3) static void add_line(struct work *w, const char *fmt, ...)
{
	char line[GPUS_FOUND_MAX * GPU_NAME_BYTES + 64];
	va_list args;

	va_start(args, fmt);
	vsnprintf(line, sizeof line, fmt, args);
	va_end(args);
	w->env_fixed[w->env_fixed_count++] = arena_copy(&w->arena, bytes_of(line));
}

/* A slot without a gpu on a worker that has some is shown none: those are others'. */
static void add_gpus(struct work *w, const struct slot *s)
{
	char names[GPUS_FOUND_MAX * GPU_NAME_BYTES];

	if (!offers_gpus(s))
		return;
	gpus_names(s->shared->gpus, s->gpus.items, s->gpus.count, names, sizeof names);
	add_line(w, "SHARDMILL_GPUS=%s", names);
	for (size_t i = 0; i < ARRAY_LENGTH(gpu_names); i++)
		if (!sets(&w->arm.run->run, bytes_of(gpu_names[i])))
			add_line(w, "%s=%s", gpu_names[i], names[0] != '\0' ? names : "-1");
}

/* Ours come first: who looks for them in a process need not read all. A runner outlives its job, and is
 * told of each by a message. */
static int fixed_environment(struct work *w, const struct slot *s)
{
	const struct run_spec *run = &w->arm.run->run;
	bool is_runner = run->kind == RUN_RUNNER;
	struct bytes name = is_runner ? w->arm.definition->name : w->arm.parameters->name;
	struct bytes phase = w->arm.run->name;
	struct buf line = {0};
	char id[UUID_TEXT_BYTES];
	size_t inherited = 0;
	int rc;

	while (s->shared->environ[inherited] != NULL)
		inherited++;
	w->env_fixed = arena_alloc(&w->arena, (inherited + run->env_from.count + 8) * sizeof *w->env_fixed);
	uuid_text(&s->shared->worker, id);
	add_line(w, "SHARDMILL_WORKER=%s", id);
	add_line(w, "SHARDMILL_NAME=%.*s", (int)name.size, (const char *)name.data);
	add_line(w, "SHARDMILL_PHASE=%.*s", (int)phase.size, (const char *)phase.data);
	if (!is_runner) {
		add_line(w, "SHARDMILL_JOB=%llu", (unsigned long long)w->arm.job);
		add_line(w, "SHARDMILL_SHARDS=%u", w->arm.parameters->plan.shard_count);
	}
	add_gpus(w, s);
	for (size_t i = 0; i < inherited; i++)
		if (!is_overridden(s, run, s->shared->environ[i]))
			w->env_fixed[w->env_fixed_count++] = bytes_of(s->shared->environ[i]);
	rc = add_secrets(w, &line);
	buf_fini(&line);
	return rc;
}

int work_find_program(const struct work *w, const char *name, char *ret, size_t size, struct error *reterr)
{
	char path[8192];

	if (name[0] == '/' || strchr(name, '/') == NULL)
		return process_find(name, ret, size, reterr);
	snprintf(path, sizeof path, "%s/%s", w->directory, name);
	return process_find(path, ret, size, reterr);
}

/* That it does not exist is known before the first attempt, and the next would not find it, either. */
static int check_directory(struct work *w)
{
	struct stat st;
	int code = stat(w->directory, &st) < 0 ? errno : S_ISDIR(st.st_mode) ? 0 : ENOTDIR;

	if (code != ENOENT && code != ENOTDIR)
		return 0;
	w->failed_code = FAILURE_CODE_FINAL;
	error_set(&w->why, ERR_NOT_FOUND, "%s",
		  code == ENOENT ? "the directory that it is to run in does not exist"
				 : "what it is to run in is no directory");
	return error_where(&w->why, "%.200s", w->directory);
}

/* The same of the directory that the program is to be in; of a program that is missing there, another worker
 * may have one. */
static bool has_folder(const char *path)
{
	const char *slash = strrchr(path, '/');
	char folder[4096];
	struct stat st;

	if (slash == NULL || slash == path)
		return true;
	snprintf(folder, sizeof folder, "%.*s", (int)(slash - path), path);
	return stat(folder, &st) == 0 || (errno != ENOENT && errno != ENOTDIR);
}

static int find_program(struct work *w)
{
	struct bytes name;

	if (w->arm.run->run.argv.count == 0)
		return error_set(&w->why, ERR_INVALID, "the definition names no program");
	if (!template_is_literal(&w->argv[0]))
		return 0; /* looked up for each shard */
	name = arena_copy(&w->arena, w->argv[0].part_count > 0 ? w->argv[0].parts[0].text : BYTES(NULL, 0));
	w->failed_code =
	    has_folder((const char *)name.data) || name.data[0] != '/' ? ENOENT : FAILURE_CODE_FINAL;
	w->path = arena_alloc(&w->arena, PATH_BYTES);
	return work_find_program(w, (const char *)name.data, w->path, PATH_BYTES, &w->why);
}

/* Does the command or its environment depend on the job? */
static bool is_per_job(const struct work *w)
{
	const struct run_spec *run = &w->arm.run->run;

	for (uint32_t i = 0; i < run->argv.count; i++)
		if (!template_is_literal(&w->argv[i]))
			return true;
	for (uint32_t i = 0; i < run->env.count; i++)
		if (!template_is_literal(&w->env[i]))
			return true;
	return false;
}

static void fail(struct work *w, int rc, uint8_t kind)
{
	w->failed = rc;
	w->failed_kind = kind;
}

int work_make_command(struct work *w, const struct slot *s)
{
	int rc;

	if (w->has_command)
		return 0;
	rc = compile_all(w);
	if (rc < 0)
		return rc;
	w->per_job = is_per_job(w);
	rc = fixed_environment(w, s);
	if (rc == 0 && w->arm.run->run.directory.size > 0) {
		w->directory = (const char *)arena_copy(&w->arena, w->arm.run->run.directory).data;
		rc = check_directory(w);
	}
	if (rc == 0)
		rc = find_program(w);
	w->has_command = rc == 0;
	return rc;
}

void work_prepare(struct work *w, const struct slot *s, const struct worker_arm *arm, bool served)
{
	int rc;

	*w = (struct work){.arm = *arm};
	w->directory = s->scratch.path;
	arena_init(&w->arena, 0);
	rc = slice_decode(arm->slice, &w->slice, &w->arena, &w->why);
	if (rc < 0) {
		fail(w, rc, FAILURE_INPUT);
		return;
	}
	if (served || (arm->run->run.kind == RUN_RUNNER && runner_serves(s, w)))
		return;
	rc = work_make_command(w, s);
	if (rc < 0)
		fail(w, rc, blame_error(FAILURE_NO_PROGRAM, &w->why));
}

void work_fini(struct work *w)
{
	arena_fini(&w->arena);
}

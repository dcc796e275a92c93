/* The frames of a part are chosen by their presentation times, as whole numbers of the stream's time base:
 * seconds would be rounded. Times stay those of the original (copyts, passthrough, its time base), so that
 * parts fit together without knowing of each other. One thread: the slot has one core, and libx264 gives
 * the same bytes each time only then. NUT keeps any time base exactly, and can be written to a pipe. */
#include "jobs/library/media/encode.h"

#include <errno.h>
#include <spawn.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/buf.h"
#include "base/check.h"
#include "jobs/library/media/local_url.h"

#define ARGS_MAX 128

struct command {
	char *argv[ARGS_MAX]; /* owned */
	size_t argc;
};

PRINTF_LIKE(2, 3) static void add(struct command *c, const char *fmt, ...)
{
	va_list ap;
	int length;

	CHECK(c->argc + 1 < ARGS_MAX);
	va_start(ap, fmt);
	length = vasprintf(&c->argv[c->argc], fmt, ap);
	va_end(ap);
	CHECK(length >= 0);
	c->argc++;
}

static void add_all(struct command *c, const char *const *args)
{
	for (; *args != NULL; args++)
		add(c, "%s", *args);
}

/* All renditions from one decoding. */
static void add_filter(struct command *c, const struct encoding *e)
{
	struct buf f = {0};

	buf_printf(&f, "[0:V:0]trim=start_pts=%lld", (long long)e->part.start);
	if (e->part.end != INT64_MAX)
		buf_printf(&f, ":end_pts=%lld", (long long)e->part.end);
	buf_printf(&f, ",split=%u", e->ladder.count);
	for (uint32_t i = 0; i < e->ladder.count; i++)
		buf_printf(&f, "[s%u]", i);
	for (uint32_t i = 0; i < e->ladder.count; i++)
		buf_printf(&f, ";[s%u]scale=-2:%u:flags=bicubic,format=yuv420p[v%u]", i,
			   e->ladder.items[i].height, i);
	add(c, "-filter_complex");
	add(c, "%s", buf_text(&f));
	buf_fini(&f);
}

static void add_video(struct command *c, const struct encoding *e)
{
	static const char *const encoder[] = {
	    "-c:v",	     "libx264", "-threads",	 "1",	     "-fps_mode",
	    "passthrough",   "-fflags", "+bitexact",	 "-flags:v", "+bitexact",
	    "-map_metadata", "-1",	"-map_chapters", "-1",	     NULL};

	if (e->part.number > 0) { /* the first may need what is decoded before it and not presented */
		add(c, "-ss");
		add(c, "%.6f", e->part.seek);
	}
	add(c, "-i");
	add(c, "%s", e->video->opened);
	add_filter(c, e);
	for (uint32_t i = 0; i < e->ladder.count; i++) {
		add(c, "-map");
		add(c, "[v%u]", i);
		add(c, "-crf:v:%u", i);
		add(c, "%u", e->ladder.items[i].crf);
	}
	add_all(c, encoder);
	add(c, "-preset");
	add(c, "%s", e->preset);
	add(c, "-enc_time_base");
	add(c, "%d/%d", e->part.time_base_num, e->part.time_base_den);
	add(c, "-metadata");
	add(c, "frames=%u", e->part.frames); /* stitch counts them */
}

static void add_audio(struct command *c, const struct encoding *e)
{
	static const char *const encoder[] = {
	    "-map",	"0:a:0",     "-vn",	      "-c:a", "aac",	       "-fflags", "+bitexact",
	    "-flags:a", "+bitexact", "-map_metadata", "-1",   "-map_chapters", "-1",	  NULL};

	add(c, "-i");
	add(c, "%s", e->video->opened);
	add_all(c, encoder);
	add(c, "-b:a");
	add(c, "%s", e->audio_bitrate);
	add(c, "-output_ts_offset");
	add(c, "%d", AUDIO_OFFSET_SECONDS);
}

static int run(char **argv, int *ret_exit, struct error *reterr)
{
	int status = 0, failed;
	pid_t pid;

	failed = posix_spawnp(&pid, argv[0], NULL, NULL, argv, environ);
	if (failed != 0) {
		error_set(reterr, ERR_IO, "ffmpeg cannot be started: %s", strerror(failed));
		return error_help(reterr, "install Debian's package ffmpeg on all workers");
	}
	while (waitpid(pid, &status, 0) < 0)
		CHECK(errno == EINTR);
	*ret_exit = WIFSIGNALED(status) ? 128 + WTERMSIG(status) : WEXITSTATUS(status);
	return 0;
}

int encode_run(const struct encoding *e, int *ret_exit, struct error *reterr)
{
	static const char *const before[] = {"ffmpeg",
					     "-hide_banner",
					     "-nostdin",
					     "-loglevel",
					     "error",
					     "-copyts",
					     "-seek_timestamp",
					     "1",
					     "-noaccurate_seek",
					     "-threads",
					     "1",
					     "-filter_complex_threads",
					     "1",
					     NULL};
	static const char *const after[] = {"-avoid_negative_ts", "disabled", "-f", "nut", "pipe:1", NULL};
	struct command c = {0};
	int rc;

	add_all(&c, before);
	if (e->part.is_audio)
		add_audio(&c, e);
	else
		add_video(&c, e);
	add_all(&c, after);
	c.argv[c.argc] = NULL;
	rc = run(c.argv, ret_exit, reterr);
	while (c.argc > 0)
		free(c.argv[--c.argc]);
	if (rc == 0 && *ret_exit != 0) /* what ffmpeg says of it is only that it could not read */
		rc = e->video->served != NULL ? local_url_failed(e->video->served, reterr) : 0;
	return rc;
}

/* media-ladder: a video becomes a ladder of renditions, part by part.
 *
 * Exit code: 0 fine; 1 wrong usage; 2 the data is bad (another attempt will not help); 3 the system
 * refused to read or write (another attempt may help); `encode` ends as ffmpeg does. */
#include <argp.h>
#include <errno.h>
#include <libavutil/log.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/check.h"
#include "jobs/library/media/encode.h"
#include "jobs/library/media/plan.h"
#include "jobs/library/media/stitch.h"
#include "jobs/library/media/tar.h"

enum { EXIT_USAGE = 1, EXIT_DATA = 2, EXIT_SYSTEM = 3 };

struct options {
	const char *ladder, *preset, *audio, *manifest;
	double seconds;
	char **args;
	int arg_count;
};

static const struct argp_option option_table[] = {
    {"ladder", 'l', "HEIGHT:CRF,...", 0, "The renditions; default 720:21,480:23,360:24", 0},
    {"preset", 'p', "NAME", 0, "libx264's preset; default medium", 0},
    {"audio", 'a', "BITRATE", 0, "Of AAC, which is encoded once; default 128k", 0},
    {"seconds", 's', "SECONDS", 0, "plan: the least length of a part; default 4", 0},
    {"manifest", 'm', "FILE", 0,
     "stitch: JSON lines with path, offset and length of the parts; default $SHARDMILL_MANIFEST", 0},
    {0},
};

static error_t parse_option(int key, char *arg, struct argp_state *state)
{
	struct options *o = state->input;
	char *end;

	switch (key) {
	case 'l':
		o->ladder = arg;
		return 0;
	case 'p':
		o->preset = arg;
		return 0;
	case 'a':
		o->audio = arg;
		return 0;
	case 'm':
		o->manifest = arg;
		return 0;
	case 's':
		o->seconds = strtod(arg, &end);
		if (end == arg || *end != '\0' || !(o->seconds > 0 && o->seconds <= 86400))
			argp_error(state, "--seconds: expected a number up to 86400, found \"%s\"", arg);
		return 0;
	case ARGP_KEY_ARGS:
		o->args = state->argv + state->next;
		o->arg_count = state->argc - state->next;
		return 0;
	case ARGP_KEY_NO_ARGS:
		argp_usage(state);
		return 0;
	default:
		return ARGP_ERR_UNKNOWN;
	}
}

const char *argp_program_version = "media-ladder " SHARDMILL_VERSION;

static const struct argp argp = {
    .options = option_table,
    .parser = parse_option,
    .args_doc = "plan VIDEO\nencode VIDEO PART\nstitch [FILE...]",
    .doc =
	"A video becomes a ladder of renditions, part by part.\vplan prints where VIDEO can be cut at key "
	"frames, a part a line. encode writes one part, in all renditions, to standard output (NUT). stitch "
	"puts parts together without encoding, and writes an MP4 for each rendition to standard output, as a "
	"tar archive. Exit code: 0 fine, 1 usage, 2 bad data, 3 cannot read or write; else ffmpeg's.",
};

static int run_plan(const struct options *o, struct error *reterr)
{
	struct buf out = {0};
	struct original video = {0};
	int rc = original_open(o->args[1], &video, reterr);

	if (rc == 0)
		rc = plan_parts(&video, o->seconds, &out, reterr);
	original_close(&video);
	if (rc == 0 && (fwrite(out.data, 1, out.size, stdout) != out.size || fflush(stdout) != 0))
		rc = error_set(reterr, ERR_IO, "the parts cannot be written: %s", strerror(errno));
	buf_fini(&out);
	return rc;
}

static int run_encode(const struct options *o, struct error *reterr)
{
	struct original video = {0};
	struct encoding e = {.video = &video, .preset = o->preset, .audio_bitrate = o->audio};
	int rc = original_open(o->args[1], &video, reterr), exit_code = 0;

	if (rc == 0)
		rc = part_parse(o->args[2], &e.part, reterr);
	if (rc == 0)
		rc = ladder_parse(o->ladder, &e.ladder, reterr);
	if (rc == 0)
		rc = encode_run(&e, &exit_code, reterr);
	original_close(&video);
	return rc == 0 ? exit_code : rc;
}

/* An MP4's index is written when it is whole: each goes through a file in the working directory. */
static int stitch_all(const struct ladder *ladder, const struct stretches *parts, struct error *reterr)
{
	struct stitched s = {0};
	int rc = 0;

	for (uint32_t i = 0; i < ladder->count && rc == 0; i++) {
		char name[32];

		snprintf(name, sizeof name, "%up.mp4", ladder->items[i].height);
		rc = stitch_rendition(parts, i, name, &s, reterr);
		if (rc == 0)
			rc = tar_add(STDOUT_FILENO, name, name, reterr);
		(void)unlink(name);
	}
	if (rc == 0)
		rc = tar_end(STDOUT_FILENO, reterr);
	if (rc == 0)
		fprintf(stderr, "media-ladder: %u x %llu frames out of %u parts\n", ladder->count,
			(unsigned long long)s.frames, s.parts);
	return rc;
}

static int run_stitch(const struct options *o, struct error *reterr)
{
	const char *manifest = o->manifest != NULL ? o->manifest : getenv("SHARDMILL_MANIFEST");
	const char *missing = getenv("SHARDMILL_MISSING");
	struct stretches parts = {0};
	struct ladder ladder;
	int rc = ladder_parse(o->ladder, &ladder, reterr);

	for (int i = 1; i < o->arg_count; i++)
		stretches_add(&parts, o->args[i], 0, 0);
	if (rc == 0 && missing != NULL && strcmp(missing, "0") != 0)
		rc = error_set(reterr, ERR_CORRUPT, "%.20s parts are missing", missing);
	if (rc == 0 && parts.count == 0 && manifest == NULL)
		rc = error_set(reterr, ERR_INVALID, "expected files, --manifest or SHARDMILL_MANIFEST");
	if (rc == 0 && parts.count == 0)
		rc = stretches_read(&parts, manifest, reterr);
	if (rc == 0)
		rc = stitch_all(&ladder, &parts, reterr);
	stretches_fini(&parts);
	return rc;
}

static const struct {
	const char *name;
	int args_min, args_max;					   /* with the name */
	int (*run)(const struct options *o, struct error *reterr); /* an exit code, or a negative error */
} verbs[] = {
    {"plan", 2, 2, run_plan},
    {"encode", 3, 3, run_encode},
    {"stitch", 1, 100000, run_stitch},
};

/* Another attempt may help with what the system or a server refused, not with what is wrong. */
static bool is_final(const struct error *e)
{
	return e->code != ERR_IO && e->code != ERR_BUSY && e->code != ERR_TIMEOUT && e->code != ERR_CLOSED;
}

int main(int argc, char **argv)
{
	struct options o = {
	    .ladder = "720:21,480:23,360:24", .preset = "medium", .audio = "128k", .seconds = 4};
	struct error error = {0};
	char text[1024];
	int rc = ERR_INVALID;

	argp_err_exit_status = EXIT_USAGE;
	argp_parse(&argp, argc, argv, 0, NULL, &o);
	av_log_set_level(AV_LOG_ERROR);
	for (size_t i = 0; i < ARRAY_LENGTH(verbs); i++) {
		if (strcmp(o.args[0], verbs[i].name) != 0)
			continue;
		if (o.arg_count < verbs[i].args_min || o.arg_count > verbs[i].args_max)
			break;
		rc = verbs[i].run(&o, &error);
		if (rc >= 0)
			return rc;
		fprintf(stderr, "media-ladder: %s\n", error_text(&error, text, sizeof text));
		return is_final(&error) ? EXIT_DATA : EXIT_SYSTEM;
	}
	argp_help(&argp, stderr, ARGP_HELP_STD_USAGE, "media-ladder");
	return EXIT_USAGE;
}

#include "jobs/library/media/part.h"

#include <inttypes.h>
#include <jansson.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/check.h"

static int refuse_ladder(const char *text, struct error *reterr)
{
	error_set(reterr, ERR_INVALID, "expected HEIGHT:CRF, with commas between them, found \"%.60s\"",
		  text);
	error_where(reterr, "--ladder");
	error_help(reterr, "for example 720:21,480:23,360:24; heights are even, CRF is 0 to 51");
	return ERR_INVALID;
}

int ladder_parse(const char *text, struct ladder *ret, struct error *reterr)
{
	struct ladder l = {0};
	const char *at = text;

	do {
		struct rendition r;
		int used = 0;

		if (l.count == RENDITIONS_MAX ||
		    sscanf(at, "%5" SCNu32 ":%3" SCNu32 "%n", &r.height, &r.crf, &used) != 2)
			return refuse_ladder(text, reterr);
		if (r.height < 16 || r.height > 8192 || r.height % 2 != 0 || r.crf > 51)
			return refuse_ladder(text, reterr);
		for (uint32_t i = 0; i < l.count; i++)
			if (l.items[i].height == r.height)
				return refuse_ladder(text, reterr);
		l.items[l.count++] = r;
		at += used;
	} while (*at++ == ',');
	if (at[-1] != '\0')
		return refuse_ladder(text, reterr);
	*ret = l;
	return 0;
}

void part_write(const struct part *p, struct buf *out)
{
	json_t *map = p->is_audio ? json_pack("{s:s}", "part", "audio")
				  : json_pack("{s:s, s:I, s:I, s:I, s:[ii], s:f}", "part", "video", "number",
					      (json_int_t)p->number, "frames", (json_int_t)p->frames, "start",
					      (json_int_t)p->start, "time_base", p->time_base_num,
					      p->time_base_den, "seek", p->seek);
	char *text;

	CHECK(map != NULL);
	if (!p->is_audio && p->end != INT64_MAX)
		CHECK(json_object_set_new(map, "end", json_integer((json_int_t)p->end)) == 0);
	text = json_dumps(map, JSON_COMPACT | JSON_REAL_PRECISION(12));
	CHECK(text != NULL);
	buf_printf(out, "%s\n", text);
	free(text);
	json_decref(map);
}

static bool read_video(json_t *map, struct part *p)
{
	json_int_t number, frames, start, end = INT64_MAX;

	if (json_unpack(map, "{s:I, s:I, s:I, s:[ii], s:F, s?I}", "number", &number, "frames", &frames,
			"start", &start, "time_base", &p->time_base_num, &p->time_base_den, "seek", &p->seek,
			"end", &end) < 0)
		return false;
	if (number < 0 || number > UINT32_MAX || frames < 1 || frames > UINT32_MAX || end <= start ||
	    p->time_base_num < 1 || p->time_base_den < 1)
		return false;
	p->number = (uint32_t)number;
	p->frames = (uint32_t)frames;
	p->start = start;
	p->end = end;
	return true;
}

int part_parse(const char *text, struct part *ret, struct error *reterr)
{
	json_t *map = json_loads(text, 0, NULL);
	struct part p = {0};
	const char *kind;
	bool fine = map != NULL && json_unpack(map, "{s:s}", "part", &kind) == 0;

	if (fine && strcmp(kind, "audio") == 0)
		p.is_audio = true;
	else
		fine = fine && strcmp(kind, "video") == 0 && read_video(map, &p);
	json_decref(map);
	if (fine) {
		*ret = p;
		return 0;
	}
	error_set(reterr, ERR_INVALID, "expected a part as `media-ladder plan` writes it, found \"%.80s\"",
		  text);
	return ERR_INVALID;
}

/* NUT keeps presentation times, and frames in the order of decoding: decoding times are made here, for all
 * parts as one stream. Packets of both kinds are written by decoding time, whichever comes first. */
#include "jobs/library/media/stitch.h"

#include <stdlib.h>
#include <string.h>

#include "base/check.h"
#include "jobs/library/media/av.h"
#include "jobs/library/media/times.h"

/* A stream that goes on through several parts. */
struct track {
	enum AVMediaType type;
	uint32_t rendition;
	size_t next_part; /* to be opened */
	struct source source;
	int stream; /* of the source */
	AVPacket *packet;
	bool has_packet;
	AVStream *out;
	AVRational time_base;  /* of the packets */
	struct times decoding; /* of video, by frame; first its presentation times are gathered in here */
	uint64_t frames, part_frames, part_expected;
};

struct stitcher {
	const struct stretches *parts;
	AVFormatContext *out;
	struct track video, audio;
};

static int find_stream(const AVFormatContext *in, enum AVMediaType type, uint32_t number)
{
	for (unsigned i = 0; i < in->nb_streams; i++)
		if (in->streams[i]->codecpar->codec_type == type && number-- == 0)
			return (int)i;
	return -1;
}

static int part_ends(struct track *t, size_t part, struct error *reterr)
{
	if (t->type == AVMEDIA_TYPE_VIDEO && t->part_frames != t->part_expected)
		return error_set(reterr, ERR_CORRUPT, "part %zu has %llu frames, %llu were cut", part,
				 (unsigned long long)t->part_frames, (unsigned long long)t->part_expected);
	return 0;
}

static int same_settings(const struct track *t, size_t part, struct error *reterr)
{
	const AVCodecParameters *a = t->out->codecpar, *b = t->source.in->streams[t->stream]->codecpar;

	if (a->codec_id == b->codec_id && a->width == b->width && a->height == b->height &&
	    a->extradata_size == b->extradata_size &&
	    (a->extradata_size == 0 || memcmp(a->extradata, b->extradata, (size_t)a->extradata_size) == 0))
		return 0;
	error_set(reterr, ERR_CORRUPT, "part %zu was encoded with other settings than the first", part);
	return error_help(reterr, "do all workers have the same ffmpeg and libx264?");
}

/* The next part that has this kind of stream; 0: there is none. */
static int open_next(struct stitcher *s, struct track *t, struct error *reterr)
{
	while (t->next_part < s->parts->count) {
		size_t part = t->next_part++;
		const AVDictionaryEntry *frames;
		int rc = source_open(&t->source, &s->parts->items[part], reterr);

		if (rc < 0)
			return rc;
		t->stream = find_stream(t->source.in, t->type, t->rendition);
		if (t->stream < 0) {
			source_close(&t->source);
			continue;
		}
		frames = av_dict_get(t->source.in->metadata, "frames", NULL, 0);
		t->part_frames = 0;
		t->part_expected = frames != NULL ? strtoull(frames->value, NULL, 10) : 0;
		t->time_base = t->source.in->streams[t->stream]->time_base;
		rc = t->out != NULL ? same_settings(t, part, reterr) : 0;
		return rc < 0 ? rc : 1;
	}
	return 0;
}

static int take(struct track *t, struct error *reterr)
{
	AVPacket *p = t->packet;

	if (p->pts == AV_NOPTS_VALUE)
		return error_set(reterr, ERR_CORRUPT, "a packet of an encoded part has no time");
	if (t->type == AVMEDIA_TYPE_AUDIO)
		p->pts -= av_rescale_q(AUDIO_OFFSET_SECONDS, (AVRational){1, 1}, t->time_base);
	p->dts = t->frames < t->decoding.count ? t->decoding.items[t->frames] : p->pts;
	t->part_frames++;
	t->frames++;
	return 1;
}

/* 1: t->packet is the next one; 0: the track is at its end. */
static int pull(struct stitcher *s, struct track *t, struct error *reterr)
{
	while (t->source.in != NULL) {
		int rc = av_read_frame(t->source.in, t->packet);

		if (rc >= 0 && t->packet->stream_index == t->stream)
			return take(t, reterr);
		if (rc >= 0) {
			av_packet_unref(t->packet);
			continue;
		}
		if (rc != AVERROR_EOF)
			return av_fail(rc, "an encoded part cannot be read to its end", reterr);
		rc = part_ends(t, t->next_part - 1, reterr);
		source_close(&t->source);
		if (rc == 0)
			rc = open_next(s, t, reterr);
		if (rc < 0)
			return rc;
	}
	return 0;
}

static int add_track(struct stitcher *s, struct track *t, struct error *reterr)
{
	int rc = open_next(s, t, reterr);

	if (rc <= 0)
		return rc;
	t->out = avformat_new_stream(s->out, NULL);
	CHECK(t->out != NULL);
	rc = avcodec_parameters_copy(t->out->codecpar, t->source.in->streams[t->stream]->codecpar);
	if (rc < 0)
		return av_fail(rc, "a stream cannot be described", reterr);
	t->out->codecpar->codec_tag = 0; /* NUT's; MP4 has its own */
	t->out->time_base = t->time_base;
	t->out->avg_frame_rate = t->source.in->streams[t->stream]->avg_frame_rate;
	rc = pull(s, t, reterr);
	t->has_packet = rc > 0;
	return rc;
}

static int put(struct stitcher *s, struct track *t, struct error *reterr)
{
	AVPacket *p = t->packet;
	int rc;

	av_packet_rescale_ts(p, t->time_base, t->out->time_base);
	p->stream_index = t->out->index;
	p->pos = -1;
	rc = av_interleaved_write_frame(s->out, p);
	if (rc < 0)
		return av_fail(rc, "the result cannot be written", reterr);
	rc = pull(s, t, reterr);
	t->has_packet = rc > 0;
	return rc < 0 ? rc : 0;
}

static bool video_is_next(const struct stitcher *s)
{
	if (!s->video.has_packet || !s->audio.has_packet)
		return s->video.has_packet;
	return av_compare_ts(s->video.packet->dts, s->video.time_base, s->audio.packet->dts,
			     s->audio.time_base) <= 0;
}

static int write_all(struct stitcher *s, struct error *reterr)
{
	int rc = avformat_write_header(s->out, NULL);

	if (rc < 0)
		return av_fail(rc, "the result cannot be begun", reterr);
	rc = 0;
	while (rc == 0 && (s->video.has_packet || s->audio.has_packet))
		rc = put(s, video_is_next(s) ? &s->video : &s->audio, reterr);
	if (rc < 0)
		return rc;
	rc = av_write_trailer(s->out);
	return rc < 0 ? av_fail(rc, "the result cannot be ended", reterr) : 0;
}

/* A first reading, for the decoding times of all of the rendition's frames. */
static int read_times(struct stitcher *s, struct error *reterr)
{
	struct track *t = &s->video;
	struct track first = {.type = t->type, .rendition = t->rendition, .packet = t->packet};
	int rc = open_next(s, &first, reterr);

	while (rc > 0) {
		rc = pull(s, &first, reterr);
		if (rc > 0) {
			times_add(&t->decoding, first.packet->pts);
			av_packet_unref(first.packet);
		}
	}
	source_close(&first.source);
	times_to_decoding(&t->decoding);
	for (size_t i = 1; rc == 0 && i < t->decoding.count; i++)
		if (t->decoding.items[i] <= t->decoding.items[i - 1])
			rc = error_set(reterr, ERR_CORRUPT,
				       "two frames have the same time, %lld: parts overlap",
				       (long long)t->decoding.items[i]);
	return rc;
}

static int stitch(struct stitcher *s, const char *path, struct error *reterr)
{
	int rc = read_times(s, reterr);

	if (rc < 0)
		return rc;
	rc = avformat_alloc_output_context2(&s->out, NULL, "mp4", path);

	if (rc < 0)
		return av_fail(rc, "no MP4 can be written", reterr);
	s->out->flags |= AVFMT_FLAG_BITEXACT;
	rc = add_track(s, &s->video, reterr);
	if (rc == 0)
		return error_set(reterr, ERR_CORRUPT, "none of the %zu parts has video", s->parts->count);
	if (rc > 0)
		rc = add_track(s, &s->audio, reterr);
	if (rc < 0)
		return rc;
	rc = avio_open(&s->out->pb, path, AVIO_FLAG_WRITE);
	if (rc < 0)
		return av_fail(rc, "the result cannot be written", reterr);
	rc = write_all(s, reterr);
	if (avio_closep(&s->out->pb) < 0 && rc == 0)
		rc = error_set(reterr, ERR_IO, "the result cannot be written to its end");
	return rc;
}

int stitch_rendition(const struct stretches *parts, uint32_t rendition, const char *path,
		     struct stitched *ret, struct error *reterr)
{
	struct stitcher s = {.parts = parts,
			     .video = {.type = AVMEDIA_TYPE_VIDEO, .rendition = rendition},
			     .audio = {.type = AVMEDIA_TYPE_AUDIO}};
	int rc;

	s.video.packet = av_packet_alloc();
	s.audio.packet = av_packet_alloc();
	CHECK(s.video.packet != NULL && s.audio.packet != NULL);
	rc = stitch(&s, path, reterr);
	if (rc == 0)
		*ret = (struct stitched){.parts = (uint32_t)parts->count, .frames = s.video.frames};
	times_fini(&s.video.decoding);
	source_close(&s.video.source);
	source_close(&s.audio.source);
	av_packet_free(&s.video.packet);
	av_packet_free(&s.audio.packet);
	avformat_free_context(s.out);
	return rc;
}

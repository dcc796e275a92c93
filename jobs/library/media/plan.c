/* Reads the packets of the video stream, without decoding any, and cuts at key frames.
 *
 * A part is the frames whose presentation time lies between two key frames. In an open group of pictures
 * some of them are stored behind the second key frame: the decoder of the part reads on to them. */
#include "jobs/library/media/plan.h"

#include <libavformat/avformat.h>
#include <limits.h>
#include <stdio.h>

#include "base/check.h"
#include "jobs/library/media/av.h"
#include "jobs/library/media/times.h"

/* ffmpeg seeks this much earlier in streams with reordered frames, since most formats are indexed by
 * decoding time (ffmpeg_opt.c: 3/23 s). Without this allowance each part would decode a group too many. */
#define SEEK_ALLOWANCE 0.14
#define SHORT_GROUP 0.5

struct video {
	AVFormatContext *in;
	int stream;
	AVRational time_base;
	struct times frames, keys; /* presentation times, ascending */
	bool has_hidden_key;	   /* before all of them: one that is decoded and not presented */
};

static void note_frame(struct video *v, const AVPacket *packet)
{
	bool key = (packet->flags & AV_PKT_FLAG_KEY) != 0;

	if (packet->flags & AV_PKT_FLAG_DISCARD) {
		v->has_hidden_key = v->has_hidden_key || (key && v->frames.count == 0);
		return;
	}
	times_add(&v->frames, packet->pts);
	if (key)
		times_add(&v->keys, packet->pts);
}

/* An edit list (of a cut made without encoding) may begin within a group of pictures: its first frames
 * need the key frame that it hides, and are a part, or the beginning of one, like others. */
static void begin_at_first_frame(struct video *v)
{
	if (!v->has_hidden_key || v->frames.count == 0)
		return;
	times_sort(&v->frames);
	times_sort(&v->keys);
	if (v->keys.count == 0 || v->frames.items[0] < v->keys.items[0]) {
		times_add(&v->keys, v->frames.items[0]);
		times_sort(&v->keys);
	}
}

static int read_times(struct video *v, struct error *reterr)
{
	AVPacket *packet = av_packet_alloc();
	int rc;

	CHECK(packet != NULL);
	while ((rc = av_read_frame(v->in, packet)) >= 0) {
		bool has_time = packet->pts != AV_NOPTS_VALUE;

		if (packet->stream_index == v->stream && has_time)
			note_frame(v, packet);
		has_time = has_time || packet->stream_index != v->stream;
		av_packet_unref(packet);
		if (!has_time) {
			av_packet_free(&packet);
			error_set(reterr, ERR_CORRUPT, "frame %zu of the video has no time",
				  v->frames.count + 1);
			return error_help(reterr,
					  "ffmpeg -fflags +genpts -i IN -c copy OUT.mkv gives it times");
		}
	}
	av_packet_free(&packet);
	if (rc != AVERROR_EOF)
		return av_fail(rc, "the video cannot be read to its end", reterr);
	begin_at_first_frame(v);
	if (v->frames.count == 0)
		return error_set(reterr, ERR_CORRUPT, "the video stream has no frames");
	if (v->keys.count == 0) {
		error_set(reterr, ERR_CORRUPT, "the video has %zu frames and no key frame among them",
			  v->frames.count);
		return error_help(reterr,
				  "nothing can be decoded without one: is the file cut off at its front?");
	}
	times_sort(&v->frames);
	times_sort(&v->keys);
	return 0;
}

/* The group that the key frame begins may be too short for the allowance: then a group too many is read. */
static double seek_of(const struct video *v, size_t key)
{
	double at = (double)v->keys.items[key] * av_q2d(v->time_base);
	double next =
	    key + 1 < v->keys.count ? (double)v->keys.items[key + 1] * av_q2d(v->time_base) : at + 1;

	return next - at >= SHORT_GROUP ? at + SEEK_ALLOWANCE : at;
}

static void write_parts(const struct video *v, double seconds, struct buf *out)
{
	int64_t step = (int64_t)(seconds / av_q2d(v->time_base));
	size_t frame = 0;
	uint32_t number = 0;

	for (size_t key = 0; key < v->keys.count;) {
		size_t next = key + 1, first = frame;
		struct part p = {
		    .number = number++, .time_base_num = v->time_base.num, .time_base_den = v->time_base.den};

		while (next < v->keys.count && v->keys.items[next] - v->keys.items[key] < step)
			next++;
		/* Frames before the first key frame, if any, cannot be decoded by anybody. */
		while (frame < v->frames.count && v->frames.items[frame] < v->keys.items[key])
			first = ++frame;
		p.start = v->keys.items[key];
		p.end = next < v->keys.count ? v->keys.items[next] : INT64_MAX;
		while (frame < v->frames.count && v->frames.items[frame] < p.end)
			frame++;
		p.frames = (uint32_t)(frame - first);
		p.seek = seek_of(v, key);
		part_write(&p, out);
		key = next;
	}
}

/* As ffmpeg's 0:V:0: a cover picture is none. */
static bool is_video(const AVStream *s)
{
	return s->codecpar->codec_type == AVMEDIA_TYPE_VIDEO &&
	       !(s->disposition & AV_DISPOSITION_ATTACHED_PIC);
}

static int open_video(struct video *v, const char *opened, struct error *reterr)
{
	int rc = avformat_open_input(&v->in, opened, NULL, NULL);

	if (rc < 0)
		return av_fail(rc, "the video cannot be opened", reterr);
	if (v->in->iformat->flags & AVFMT_TS_DISCONT) {
		error_set(reterr, ERR_INVALID,
			  "%s has no index of key frames: a decoder cannot begin at one of them",
			  v->in->iformat->name);
		return error_help(reterr, "ffmpeg -i IN -c copy OUT.mkv makes a file that has one");
	}
	v->in->flags |= AVFMT_FLAG_GENPTS;
	rc = avformat_find_stream_info(v->in, NULL);
	if (rc < 0)
		return av_fail(rc, "the file's streams cannot be read", reterr);
	while (v->stream < (int)v->in->nb_streams && !is_video(v->in->streams[v->stream]))
		v->stream++;
	if (v->stream == (int)v->in->nb_streams)
		return error_set(reterr, ERR_INVALID, "there is no video in it");
	v->time_base = v->in->streams[v->stream]->time_base;
	return 0;
}

int plan_parts(struct original *video, double seconds, struct buf *out, struct error *reterr)
{
	struct video v = {0};
	int rc = open_video(&v, video->opened, reterr);
	bool has_audio = rc == 0 && av_find_best_stream(v.in, AVMEDIA_TYPE_AUDIO, -1, -1, NULL, 0) >= 0;

	if (rc == 0)
		rc = read_times(&v, reterr);
	if (rc == 0)
		write_parts(&v, seconds, out);
	if (rc == 0 && has_audio)
		part_write(&(struct part){.is_audio = true}, out);
	rc = original_blame(video, rc, reterr);
	avformat_close_input(&v.in);
	times_fini(&v.frames);
	times_fini(&v.keys);
	return rc;
}

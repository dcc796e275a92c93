#include "cli/emit_stream.h"

#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <poll.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>
#include <zmq.h>

#include "base/check.h"
#include "base/clock.h"
#include "base/endpoint.h"
#include "cli/human.h"
#include "cli/progress.h"
#include "cli/stream.h"

#define READ_BYTES (256 * KIB)
#define HELLO_AGAIN_US USEC_PER_SEC   /* until it is answered */
#define SILENCE_US (5 * USEC_PER_SEC) /* with events that wait: the session is opened anew */
#define REASONS_MAX 20u		      /* bad lines that are told in words; of the others, their numbers */
#define TURN_US (100 * USEC_PER_MSEC)
#define BYE_LINGER_MS 100

struct emit {
	struct cli *cli;
	const struct emit_stream_options *options;
	struct stream stream;
	struct terminal terminal; /* stderr's */
	void *context;
	struct endpoint *endpoint;
	int input;
	bool input_over;
	struct buf text;  /* read, and not yet taken line by line */
	uint64_t line;	  /* of the last one that was taken */
	bool skipping;	  /* the rest of a line that is too long */
	uint64_t bad;	  /* lines that were told */
	struct buf frame; /* to be sent again when the socket takes it */
	usec_t hello_us, heard_us, drawn_us, began_us;
	bool reached, drawn;
};

/* ---- what people see ---- */

static void hide(struct emit *e)
{
	if (e->drawn)
		fputs("\r\033[K", stderr);
	e->drawn = false;
}

static void show(struct emit *e, usec_t now_us)
{
	double seconds = (double)(now_us - e->began_us) / (double)USEC_PER_SEC;
	const struct stream *s = &e->stream;

	if (!e->terminal.is_terminal || now_us - e->drawn_us < PROGRESS_REDRAW_US)
		return;
	hide(e);
	fprintf(stderr, "%" PRIu64 " events durable, %.0f/s; %zu on their way", s->answered,
		seconds > 0 ? (double)s->answered / seconds : 0, s->sent);
	if (e->bad > 0)
		fprintf(stderr, "; %" PRIu64 " bad lines", e->bad);
	if (s->session == 0)
		fputs("; waiting for the dispatcher", stderr);
	else if (s->why[0] != '\0')
		fprintf(stderr, "; waiting: %.60s", s->why);
	fflush(stderr);
	e->drawn = true;
	e->drawn_us = now_us;
}

static void tell_line(struct emit *e, uint64_t line, const char *prefix, struct bytes why)
{
	struct buf out = {0};

	hide(e);
	buf_printf(&out, "line %" PRIu64 ": %s", line, prefix);
	if (e->bad++ < REASONS_MAX)
		human_text(&out, why, false);
	else
		buf_printf(&out, "it is bad, too");
	buf_printf(&out, "\n");
	fwrite(out.data, 1, out.size, stderr);
	buf_fini(&out);
}

static void on_note(void *arg, uint64_t line, const struct event_note *note)
{
	tell_line(arg, line, note->taken ? "taken, but its job failed at once: " : "", note->why);
}

static int tell_end(struct emit *e)
{
	const struct stream *s = &e->stream;
	struct buf out = {0};

	hide(e);
	buf_printf(&out, "%" PRIu64 " event%s durable", s->answered - s->refused,
		   s->answered - s->refused == 1 ? " is" : "s are");
	buf_printf(&out, ", %" PRIu64 " job%s started", s->jobs, s->jobs == 1 ? "" : "s");
	if (s->known > 0)
		buf_printf(&out, "; %" PRIu64 " known already", s->known);
	if (s->unmatched > 0)
		buf_printf(&out, "; %" PRIu64 " that no rule matches", s->unmatched);
	if (e->bad > s->failed)
		buf_printf(&out, "; %" PRIu64 " bad line%s", e->bad - s->failed,
			   e->bad - s->failed == 1 ? "" : "s");
	if (s->failed > 0)
		buf_printf(&out, "; %" PRIu64 " whose job failed at once", s->failed);
	buf_printf(&out, "\n");
	cli_print(&out);
	return e->bad > 0 ? CLI_EXIT_JOB_FAILED : CLI_EXIT_FINE;
}

/* ---- lines ---- */

static bool is_blank(struct bytes line)
{
	for (size_t i = 0; i < line.size; i++)
		if (line.data[i] != ' ' && line.data[i] != '\t' && line.data[i] != '\r')
			return false;
	return true;
}

static void take_line(struct emit *e, struct bytes line)
{
	e->line++;
	if (line.size > STREAM_BODY_BYTES_MAX)
		tell_line(e, e->line, "", BYTES_LIT("it is longer than an event may be in a frame (1 MiB)"));
	else if (!is_blank(line))
		stream_add(&e->stream, line, e->line);
}

/* Whole lines, and at the end what is left. A line that is too long is told once, and passed over. */
static void take_lines(struct emit *e)
{
	struct bytes rest = buf_bytes(&e->text);
	const uint8_t *newline;

	while (rest.size > 0 && (newline = memchr(rest.data, '\n', rest.size)) != NULL) {
		size_t size = (size_t)(newline - rest.data);

		if (!e->skipping)
			take_line(e, BYTES(rest.data, size));
		e->skipping = false;
		rest = BYTES(newline + 1, rest.size - size - 1);
	}
	if (e->skipping) {
		rest.size = 0;
	} else if (rest.size > STREAM_BODY_BYTES_MAX || (e->input_over && rest.size > 0)) {
		e->skipping = !e->input_over;
		take_line(e, rest);
		rest.size = 0;
	}
	memmove(e->text.data, rest.data, rest.size);
	e->text.size = rest.size;
}

static int read_input(struct emit *e, struct error *reterr)
{
	ssize_t got = read(e->input, buf_reserve(&e->text, READ_BYTES), READ_BYTES);

	if (got < 0 && (errno == EINTR || errno == EAGAIN))
		return 0;
	if (got < 0) {
		error_set(reterr, ERR_IO, "cannot read: %s", strerror(errno));
		return error_where(reterr, "%.200s", e->options->path);
	}
	e->input_over = got == 0;
	e->text.size += (size_t)got;
	if (e->text.size > 0)
		take_lines(e);
	return 0;
}

/* ---- the dispatcher ---- */

static void say_hello(struct emit *e, usec_t now_us)
{
	e->hello_us = now_us;
	e->stream.session = 0;
	buf_clear(&e->frame);
	stream_hello(&e->stream, &e->frame);
	if (endpoint_send(e->endpoint, 0, buf_bytes(&e->frame)) < 0) /* again by the clock */
		e->hello_us = now_us - HELLO_AGAIN_US + 50 * USEC_PER_MSEC;
	buf_clear(&e->frame);
}

/* So that its place is free at once. */
static void say_bye(struct emit *e)
{
	if (e->endpoint == NULL || e->stream.session == 0)
		return;
	buf_clear(&e->frame);
	codec_union_encode(&message_union, MESSAGE_BYE, &(struct bye){.session = e->stream.session},
			   &e->frame);
	if (endpoint_send(e->endpoint, 0, buf_bytes(&e->frame)) < 0)
		e->stream.session = 0; /* it is forgotten some day */
}

static int take_events_of_socket(struct emit *e, struct error *reterr)
{
	enum endpoint_event event;

	while ((event = endpoint_next_event(e->endpoint)) != ENDPOINT_QUIET) {
		if (event == ENDPOINT_CONNECTED) {
			say_hello(e, clock_mono_us());
		} else if (event == ENDPOINT_DISCONNECTED) {
			e->stream.session = 0;
			buf_clear(&e->frame);
		} else if (event == ENDPOINT_REFUSED) {
			error_set(reterr, ERR_DENIED, "the dispatcher does not let this key in");
			error_where(reterr, "%.200s/producer.key", e->options->keys_dir);
			return error_help(reterr,
					  "let it in: add `producer KEY NAME` to keys/allowed of the "
					  "dispatcher, with the public key in producer.key.pub, and send "
					  "it SIGHUP");
		}
	}
	return 0;
}

static int take_frames(struct emit *e, struct error *reterr)
{
	struct endpoint_frame f;
	enum stream_news news;
	int rc = 0;

	while (rc == 0 && endpoint_receive(e->endpoint, &f) == 1) {
		rc = stream_take(&e->stream, f.body, on_note, e, &news, reterr);
		e->heard_us = clock_mono_us();
		e->reached = true;
		if (rc == 0 && news == STREAM_AGAIN)
			say_hello(e, e->heard_us);
	}
	return rc;
}

/* As much as the credit and the socket take. */
static void send_frames(struct emit *e)
{
	while (e->frame.size > 0 || stream_frame(&e->stream, &e->frame)) {
		if (endpoint_send(e->endpoint, 0, buf_bytes(&e->frame)) < 0)
			return;
		buf_clear(&e->frame);
	}
}

static int look_at_clock(struct emit *e, struct error *reterr)
{
	usec_t now_us = clock_mono_us();

	show(e, now_us);
	if (e->stream.session != 0 && !stream_waits(&e->stream) && e->stream.why[0] == '\0')
		e->heard_us = now_us; /* it has nothing to say; why it waits it says again and again */
	if (e->stream.session == 0 && now_us - e->hello_us >= HELLO_AGAIN_US)
		say_hello(e, now_us);
	else if (e->stream.session != 0 && now_us - e->heard_us > SILENCE_US)
		say_hello(e, now_us);
	if (now_us - e->heard_us <= e->options->give_up_us)
		return 0;
	error_set(reterr, ERR_CLOSED, "%s; %" PRIu64 " events are durable",
		  e->reached ? "the dispatcher does not answer any more" : "no dispatcher answers",
		  e->stream.answered);
	error_help(reterr, "start it, then send all of them again: those that it has start nothing twice");
	return error_where(reterr, "%.200s", e->options->connect);
}

static void wait_for_news(struct emit *e)
{
	bool reads = !e->input_over && stream_has_room(&e->stream);
	struct pollfd fds[] = {{reads ? e->input : -1, POLLIN, 0},
			       {endpoint_fd(e->endpoint), POLLIN, 0},
			       {endpoint_event_fd(e->endpoint), POLLIN, 0}};

	(void)poll(fds, ARRAY_LENGTH(fds), (int)(TURN_US / USEC_PER_MSEC));
}

/* Would a read wait? */
static bool is_readable(const struct emit *e)
{
	struct pollfd p = {e->input, POLLIN, 0};

	return !e->input_over && stream_has_room(&e->stream) && poll(&p, 1, 0) != 0;
}

static int run(struct emit *e, struct error *reterr)
{
	int rc = 0;

	e->began_us = e->heard_us = clock_mono_us();
	e->hello_us = e->began_us - HELLO_AGAIN_US;
	while (rc == 0 && (!e->input_over || e->stream.count > 0)) {
		bool readable = is_readable(e);

		if (readable)
			rc = read_input(e, reterr);
		if (rc == 0)
			rc = take_events_of_socket(e, reterr);
		if (rc == 0)
			rc = take_frames(e, reterr);
		if (rc == 0) {
			send_frames(e);
			rc = take_frames(e, reterr); /* sending may have used up the descriptor's edge */
		}
		if (rc == 0)
			rc = look_at_clock(e, reterr);
		if (rc == 0 && !readable && (!e->input_over || e->stream.count > 0))
			wait_for_news(e);
	}
	return rc < 0 ? rc : tell_end(e);
}

/* ---- open and close ---- */

static int open_endpoint(struct emit *e, struct error *reterr)
{
	struct key_pair own = {0}, server = {0};
	struct buf path = {0};
	int rc;

	buf_printf(&path, "%s/producer.key", e->options->keys_dir);
	rc = key_pair_load(buf_text(&path), true, &own, reterr);
	buf_clear(&path);
	buf_printf(&path, "%s/dispatcher.key.pub", e->options->keys_dir);
	if (rc == 0)
		rc = key_pair_load(buf_text(&path), false, &server, reterr);
	buf_fini(&path);
	if (rc < 0)
		return rc;
	e->context = zmq_ctx_new();
	CHECK(e->context != NULL);
	rc =
	    endpoint_connect(e->context, e->options->connect, &own, server.public_text, &e->endpoint, reterr);
	explicit_bzero(&own, sizeof(own));
	return rc;
}

static int open_input(struct emit *e, struct error *reterr)
{
	e->input = STDIN_FILENO;
	if (strcmp(e->options->path, "-") == 0)
		return 0;
	e->input = open(e->options->path, O_RDONLY | O_CLOEXEC);
	if (e->input >= 0)
		return 0;
	error_set(reterr, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "cannot open: %s", strerror(errno));
	return error_where(reterr, "%.200s", e->options->path);
}

/* A dispatcher of `up` listens on a socket in its state directory, another one on its port. */
static char *find_dispatcher(const struct cli *cli, struct error *reterr)
{
	struct buf address = {0};
	char *socket;

	if (client_state_path(&cli->params, "dispatcher.sock", &socket, reterr) < 0)
		return NULL;
	if (access(socket, F_OK) == 0)
		buf_printf(&address, "ipc://%s", socket);
	else
		buf_printf(&address, "tcp://127.0.0.1:7170");
	free(socket);
	return (char *)(uintptr_t)buf_text(&address);
}

int emit_stream(struct cli *cli, const struct emit_stream_options *given, struct error *reterr)
{
	struct emit_stream_options o = *given;
	struct emit e = {.cli = cli, .options = &o, .terminal = terminal_of(stderr), .input = -1};
	char *connect = NULL, *keys_dir = NULL;
	int rc = 0;

	if (o.connect == NULL) {
		o.connect = connect = find_dispatcher(cli, reterr);
		rc = connect == NULL ? ERR_IO : 0;
	}
	if (rc == 0 && o.keys_dir == NULL) {
		rc = client_state_path(&cli->params, "keys", &keys_dir, reterr);
		o.keys_dir = keys_dir;
	}
	if (rc == 0)
		rc = open_input(&e, reterr);
	if (rc == 0)
		rc = open_endpoint(&e, reterr);
	if (rc == 0)
		rc = run(&e, reterr);
	hide(&e);
	say_bye(&e);
	endpoint_destroy(e.endpoint, BYE_LINGER_MS);
	if (e.context != NULL)
		zmq_ctx_term(e.context);
	if (e.input > STDIN_FILENO)
		close(e.input);
	stream_fini(&e.stream);
	buf_fini(&e.text);
	buf_fini(&e.frame);
	free(connect);
	free(keys_dir);
	return rc;
}

#include "jobs/node.h"

#include <libfyaml.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/limits.h"
#include "base/text.h"

#define MAP_KEYS_MAX PATTERN_VALUES_MAX /* bounds the search for keys given twice */

struct level {
	struct node *node;
	struct node **tail;  /* where the next child goes */
	struct bytes key;    /* of a map: read, its value is next */
	struct place key_at; /* line 0: no key was read */
};

struct builder {
	struct arena *arena;
	struct problems *problems;
	struct node *root;
	struct level levels[NODE_DEPTH_MAX];
	uint32_t depth;
	uint32_t document_count;
	struct bytes text; /* what is parsed */
};

static enum fy_scalar_style style_of(struct fy_event *event)
{
	struct fy_token *token = event->type == FYET_SCALAR ? fy_event_get_token(event) : NULL;

	return token == NULL ? FYSS_PLAIN : fy_scalar_token_get_style(token);
}

/* A value that nobody wrote. Versions of libfyaml differ in whether it stands anywhere, and where. */
static bool is_empty(struct fy_event *event)
{
	struct fy_token *token = event->type == FYET_SCALAR ? fy_event_get_token(event) : NULL;
	size_t size = 0;

	if (token != NULL)
		fy_token_get_text(token, &size);
	return event->type == FYET_SCALAR && style_of(event) == FYSS_PLAIN && size == 0;
}

/* libfyaml's mark of a quoted text may be behind the opening quote. */
static bool is_behind_quote(const struct builder *b, const struct fy_mark *mark, enum fy_scalar_style style)
{
	char quote = style == FYSS_SINGLE_QUOTED ? '\'' : style == FYSS_DOUBLE_QUOTED ? '"' : '\0';

	return quote != '\0' && mark->column > 0 && mark->input_pos > 0 && mark->input_pos <= b->text.size &&
	       b->text.data[mark->input_pos - 1] == (uint8_t)quote;
}

/* {0, 0}: it stands nowhere. */
static struct place place_of(const struct builder *b, struct fy_event *event)
{
	const struct fy_mark *mark = fy_event_start_mark(event);
	bool behind;

	if (mark == NULL || is_empty(event))
		return (struct place){0, 0};
	behind = is_behind_quote(b, mark, style_of(event));
	return (struct place){(uint32_t)mark->line + 1, (uint32_t)mark->column + !behind};
}

/* A scalar's text, in the arena. */
static int copy_text(struct builder *b, struct fy_event *event, struct bytes *ret)
{
	size_t size = 0;
	struct fy_token *token = fy_event_get_token(event);
	const char *text = token == NULL ? NULL : fy_token_get_text(token, &size);
	struct bytes copy = arena_copy(b->arena, BYTES(text, text == NULL ? 0 : size));

	CHECK(copy.data != NULL);
	if (memchr(copy.data, '\0', copy.size) != NULL)
		return problems_add(b->problems, place_of(b, event), ERR_INVALID, NULL,
				    "a NUL character (\\0) is not taken");
	*ret = copy;
	return 0;
}

static int add_key(struct builder *b, struct level *top, struct fy_event *event)
{
	char quoted[80];
	int rc;

	if (event->type != FYET_SCALAR)
		return problems_add(b->problems, place_of(b, event), ERR_INVALID,
				    "a text that begins with {{ has to stand in quotes",
				    "expected a key, found a list or a map in its place");
	rc = copy_text(b, event, &top->key);
	if (rc < 0)
		return rc;
	top->key_at = place_of(b, event);
	if (top->key_at.line == 0)
		top->key_at = top->node->at;
	if (top->node->child_count >= MAP_KEYS_MAX)
		return problems_add(b->problems, top->key_at, ERR_LIMIT, NULL, "a map of over %d keys",
				    MAP_KEYS_MAX);
	for (const struct node *n = top->node->children; n != NULL; n = n->next)
		if (bytes_equal(n->key, top->key))
			return problems_add(b->problems, top->key_at, ERR_INVALID, NULL,
					    "the key %s is given twice, first in line %u",
					    text_quote(quoted, sizeof quoted, top->key), n->key_at.line);
	return 0;
}

static struct node *add_node(struct builder *b, struct fy_event *event, enum node_kind kind)
{
	struct level *top = b->depth > 0 ? &b->levels[b->depth - 1] : NULL;
	struct node *n = arena_alloc(b->arena, sizeof *n);

	CHECK(n != NULL);
	n->kind = kind;
	n->at = place_of(b, event);
	if (top == NULL) {
		b->root = n;
	} else {
		n->key = top->key;
		n->key_at = top->key_at;
		top->key_at.line = 0;
		if (n->at.line == 0) /* an empty value stands nowhere */
			n->at = n->key_at.line > 0 ? n->key_at : top->node->at;
		*top->tail = n;
		top->tail = &n->next;
		top->node->child_count++;
	}
	return n;
}

static int open_level(struct builder *b, struct fy_event *event, enum node_kind kind)
{
	struct node *n;

	if (b->depth == NODE_DEPTH_MAX)
		return problems_add(b->problems, place_of(b, event), ERR_LIMIT, NULL,
				    "nested deeper than %d levels", NODE_DEPTH_MAX);
	n = add_node(b, event, kind);
	b->levels[b->depth++] = (struct level){.node = n, .tail = &n->children};
	return 0;
}

static int refuse_extras(struct builder *b, struct fy_event *event)
{
	struct place at = place_of(b, event);

	if (event->type == FYET_ALIAS || fy_event_get_anchor_token(event) != NULL)
		return problems_add(b->problems, at, ERR_INVALID, "write the value out where it is used",
				    "anchors (&name) and aliases (*name) are not read");
	if (fy_event_get_tag_token(event) != NULL)
		return problems_add(b->problems, at, ERR_INVALID, "put the value in quotes to make it text",
				    "tags (!name) are not read");
	return 0;
}

static int add_event(struct builder *b, struct fy_event *event)
{
	struct level *top = b->depth > 0 ? &b->levels[b->depth - 1] : NULL;
	enum fy_event_type type = event->type;
	struct node *n;
	int rc;

	if (type == FYET_MAPPING_END || type == FYET_SEQUENCE_END) {
		b->depth--;
		return 0;
	}
	if (type == FYET_DOCUMENT_START && b->document_count++ > 0)
		return problems_add(b->problems, place_of(b, event), ERR_INVALID, "use one file for each",
				    "expected one document, found a second");
	if (type != FYET_SCALAR && type != FYET_MAPPING_START && type != FYET_SEQUENCE_START &&
	    type != FYET_ALIAS)
		return 0;
	rc = refuse_extras(b, event);
	if (rc < 0)
		return rc;
	if (top != NULL && top->node->kind == NODE_MAP && top->key_at.line == 0)
		return add_key(b, top, event);
	if (type == FYET_MAPPING_START)
		return open_level(b, event, NODE_MAP);
	if (type == FYET_SEQUENCE_START)
		return open_level(b, event, NODE_LIST);
	n = add_node(b, event, NODE_SCALAR);
	n->quoted = style_of(event) != FYSS_PLAIN;
	return copy_text(b, event, &n->text);
}

static bool line_has_braces(struct bytes text, uint32_t line)
{
	uint32_t at = 1;

	for (size_t i = 0; i + 1 < text.size && at <= line; i++) {
		if (at == line && text.data[i] == '{' && text.data[i + 1] == '{')
			return true;
		at += text.data[i] == '\n';
	}
	return false;
}

/* Behind the last thing that a person wrote: what is not closed is missed at the end, and lines that are not
 * there show nothing. */
static struct place end_of(struct bytes text)
{
	struct place at = {1, 1}, end = at;

	for (size_t i = 0; i < text.size;) {
		size_t length = text_utf8_next(BYTES(text.data + i, text.size - i), NULL);
		bool blank = text.data[i] == '\n' || text.data[i] == '\r' || text.data[i] == ' ';

		at.column++;
		if (text.data[i] == '\n')
			at = (struct place){at.line + 1, 1};
		if (!blank)
			end = at;
		i += length > 0 ? length : 1;
	}
	return end;
}

/* What libfyaml says: its first error is the cause. */
static int syntax_error(struct problems *problems, struct fy_diag *diag)
{
	void *at = NULL;
	struct fy_diag_error *e = fy_diag_errors_iterate(diag, &at);
	const char *help = NULL;
	char quoted[200];
	struct place place, end = end_of(problems->text);
	bool behind;

	if (e == NULL || e->msg == NULL)
		return problems_add(problems, (struct place){0, 0}, ERR_INVALID, NULL, "expected YAML");
	place.line = e->line > 0 ? (uint32_t)e->line : 1;
	place.column = e->column > 0 ? (uint32_t)e->column : 1;
	if (line_has_braces(problems->text, place.line))
		help = "a text with {{ and }} has to stand in quotes";
	behind = place.line > end.line || (place.line == end.line && place.column > end.column);
	return problems_add(problems, behind ? end : place, ERR_INVALID, help, "expected YAML%s: %s",
			    behind ? ", found the end of the text" : "",
			    text_quote(quoted, sizeof quoted, bytes_of(e->msg)));
}

/* What libfyaml would stumble over, or read differently from what a person sees. */
static int check_text(struct bytes text, struct problems *problems)
{
	struct place at = {1, 1};

	if (text.size > DEFINITION_BYTES_MAX)
		return problems_add(problems, (struct place){0, 0}, ERR_LIMIT, NULL,
				    "a text of %zu bytes; at most %llu are read", text.size,
				    DEFINITION_BYTES_MAX);
	for (size_t i = 0; i < text.size;) {
		uint32_t code = 0;
		size_t length = text_utf8_next(BYTES(text.data + i, text.size - i), &code);

		if (length == 0)
			return problems_add(problems, at, ERR_INVALID, "save the file as UTF-8",
					    "expected UTF-8, found the byte 0x%02x", text.data[i]);
		if ((code < 0x20 && code != '\n' && code != '\t' && code != '\r') || code == 0x7f)
			return problems_add(problems, at, ERR_INVALID,
					    "in double quotes it can be written as an escape: \"\\x07\"",
					    "expected text, found the control character 0x%02x", code);
		at.column++;
		if (code == '\n')
			at = (struct place){at.line + 1, 1};
		i += length;
	}
	return 0;
}

static int parse(struct fy_parser *parser, struct fy_diag *diag, struct builder *b)
{
	int rc = 0;

	for (;;) {
		struct fy_event *event = fy_parser_parse(parser);

		if (event == NULL || rc < 0)
			break;
		rc = add_event(b, event);
		fy_parser_event_free(parser, event);
		if (rc < 0)
			return rc;
	}
	if (fy_diag_got_error(diag) || fy_parser_get_stream_error(parser))
		return syntax_error(b->problems, diag);
	if (b->root == NULL)
		return problems_add(b->problems, (struct place){0, 0}, ERR_INVALID, NULL,
				    "expected YAML, found nothing");
	return 0;
}

int node_parse(struct bytes text, struct arena *arena, struct problems *problems, struct node **ret)
{
	struct fy_parse_cfg cfg = {.flags = FYPCF_QUIET | FYPCF_DEFAULT_VERSION_1_2 | FYPCF_JSON_NONE |
					    FYPCF_SLOPPY_FLOW_INDENTATION};
	struct fy_diag_cfg diag_cfg;
	struct builder b = {.arena = arena, .problems = problems, .text = text};
	struct fy_parser *parser;
	int rc = check_text(text, problems);

	if (rc < 0)
		return rc;
	fy_diag_cfg_default(&diag_cfg);
	diag_cfg.fp = NULL;
	diag_cfg.colorize = false;
	cfg.diag = fy_diag_create(&diag_cfg);
	CHECK(cfg.diag != NULL);
	fy_diag_set_collect_errors(cfg.diag, true);
	parser = fy_parser_create(&cfg);
	CHECK(parser != NULL);
	if (fy_parser_set_string(parser, text.size == 0 ? "" : (const char *)text.data, text.size) == 0)
		rc = parse(parser, cfg.diag, &b);
	else
		rc = syntax_error(problems, cfg.diag);
	fy_parser_destroy(parser);
	fy_diag_destroy(cfg.diag);
	if (rc == 0)
		*ret = b.root;
	return rc;
}

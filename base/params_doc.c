/* What the table says, for people: dump, --help, manual page. Pure. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "base/check.h"
#include "base/params.h"
#include "base/text.h"
#include "base/units.h"

#define HELP_INDENT 6u
#define HELP_WIDTH 79u

static const char *const from_names[] = {"default", "file", "environment", "flag"};

const char *param_from_name(enum param_from from)
{
	CHECK(from < ARRAY_LENGTH(from_names));
	return from_names[from];
}

static void format_choice(const char *choices, int64_t index, struct buf *out)
{
	while (index-- > 0)
		choices = strchr(choices, '|') + 1;
	buf_append(out, choices, strcspn(choices, "|"));
}

void params_format(const struct params *p, enum param_id id, struct buf *out)
{
	const struct param_info *info = param_info(id);
	const struct param_value *v = &p->values[id];
	char text[UNITS_TEXT_MAX];

	switch (info->type) {
	case PARAM_TYPE_BOOL:
		buf_printf(out, "%s", v->number ? "yes" : "no");
		break;
	case PARAM_TYPE_INT:
		buf_printf(out, "%" PRId64, v->number);
		break;
	case PARAM_TYPE_DURATION:
		buf_printf(out, "%s", units_format_duration(v->number, text, sizeof text));
		break;
	case PARAM_TYPE_SIZE:
		buf_printf(out, "%s", units_format_size((uint64_t)v->number, text, sizeof text));
		break;
	case PARAM_TYPE_CPUS:
		buf_printf(out, "%s", units_format_cpus((uint32_t)v->number, text, sizeof text));
		break;
	case PARAM_TYPE_CHOICE:
		format_choice(info->choices, v->number, out);
		break;
	case PARAM_TYPE_TEXT:
	case PARAM_TYPE_PATH:
	case PARAM_TYPE_PATHS:
		for (size_t i = 0; i < v->text_count; i++)
			buf_printf(out, "%s%s", i > 0 ? ":" : "", v->texts[i]);
		break;
	}
}

void params_dump(const struct params *p, struct buf *out)
{
	for (size_t i = 0; i < PARAM_COUNT; i++) {
		const struct param_info *info = param_info((enum param_id)i);
		const struct param_value *v = &p->values[i];
		struct buf value = {0};

		if ((info->scopes & p->scopes) == 0)
			continue;
		params_format(p, (enum param_id)i, &value);
		buf_printf(out, "%s = ", info->name);
		text_escape(out, buf_bytes(&value));
		buf_printf(out, "%s# %s", value.size > 0 ? "  " : "", param_from_name(v->from));
		if (v->where != NULL) {
			buf_printf(out, " ");
			text_escape(out, bytes_of(v->where));
		}
		buf_printf(out, "\n");
		buf_fini(&value);
	}
}

/* "--state-dir=DIR", "--pin=auto|on|off", "--init". */
static void write_option(const struct param_info *info, struct buf *out)
{
	buf_printf(out, "--");
	for (const char *c = info->name; *c != '\0'; c++)
		buf_append(out, *c == '_' ? "-" : c, 1);
	if (info->type == PARAM_TYPE_CHOICE)
		buf_printf(out, "=%s", info->choices);
	else if (info->type != PARAM_TYPE_BOOL)
		buf_printf(out, "=%s", info->placeholder);
}

/* "Default: 2s; 10ms to 1h." or nothing, in one sentence. */
static void write_bounds(const struct param_info *info, struct buf *out)
{
	bool has_default = info->default_text[0] != '\0' && info->type != PARAM_TYPE_BOOL;

	if (has_default)
		buf_printf(out, "Default: %s", info->default_text);
	if (info->min_text[0] != '\0' && info->max_text[0] != '\0')
		buf_printf(out, "%s%s to %s", has_default ? "; " : "Bounds: ", info->min_text,
			   info->max_text);
	if (has_default || info->min_text[0] != '\0')
		buf_printf(out, ".");
}

/* Words of text, filled to HELP_WIDTH behind an indent; *column is where the line stands. */
static void write_filled(const char *text, size_t *column, struct buf *out)
{
	while (*text != '\0') {
		size_t length = strcspn(text, " ");

		if (*column == 0 || *column + 1 + length > HELP_WIDTH) {
			buf_printf(out, "%s%*s", *column > 0 ? "\n" : "", (int)HELP_INDENT, "");
			*column = HELP_INDENT;
		} else {
			buf_append(out, " ", 1);
			++*column;
		}
		buf_append(out, text, length);
		*column += length;
		text += length + strspn(text + length, " ");
	}
}

void params_write_help(unsigned scopes, struct buf *out)
{
	for (size_t i = 0; i < PARAM_COUNT; i++) {
		const struct param_info *info = param_info((enum param_id)i);
		struct buf bounds = {0};
		size_t column = 0;

		if ((info->scopes & scopes) == 0)
			continue;
		buf_printf(out, "  ");
		write_option(info, out);
		buf_printf(out, "\n");
		write_filled(info->doc, &column, out);
		write_bounds(info, &bounds);
		write_filled(buf_text(&bounds), &column, out);
		buf_printf(out, "\n");
		buf_fini(&bounds);
	}
}

/* roff reads '-' as a hyphen, '\' as an escape, and '.' or '\'' at a line's start as a request. */
void params_write_roff_text(struct bytes text, struct buf *out)
{
	if (text.size > 0 && (text.data[0] == '.' || text.data[0] == '\''))
		buf_printf(out, "\\&");
	for (size_t i = 0; i < text.size; i++) {
		if (text.data[i] == '-')
			buf_printf(out, "\\-");
		else if (text.data[i] == '\\')
			buf_printf(out, "\\e");
		else
			buf_append(out, &text.data[i], 1);
	}
}

void params_write_roff(unsigned scopes, struct buf *out)
{
	for (size_t i = 0; i < PARAM_COUNT; i++) {
		const struct param_info *info = param_info((enum param_id)i);
		struct buf option = {0};

		if ((info->scopes & scopes) == 0)
			continue;
		write_option(info, &option);
		buf_printf(out, ".TP\n.B ");
		params_write_roff_text(buf_bytes(&option), out);
		buf_printf(out, "\n");
		params_write_roff_text(bytes_of(info->doc), out);
		buf_clear(&option);
		write_bounds(info, &option);
		if (option.size > 0) {
			buf_printf(out, "\n");
			params_write_roff_text(buf_bytes(&option), out);
		}
		buf_printf(out, "\n");
		buf_fini(&option);
	}
}

void params_write_markdown(unsigned scopes, struct buf *out)
{
	buf_printf(out, "| parameter | option | default | bounds | meaning |\n");
	buf_printf(out, "|---|---|---|---|---|\n");
	for (size_t i = 0; i < PARAM_COUNT; i++) {
		const struct param_info *info = param_info((enum param_id)i);
		struct buf option = {0};

		if ((info->scopes & scopes) == 0)
			continue;
		write_option(info, &option);
		buf_printf(out, "| `%s` | `", info->name);
		for (size_t k = 0; k < option.size; k++)
			buf_printf(out, option.data[k] == '|' ? "\\%c" : "%c", option.data[k]);
		buf_printf(out, "` | %s | ", info->default_text);
		if (info->min_text[0] != '\0')
			buf_printf(out, "%s to %s", info->min_text, info->max_text);
		buf_printf(out, " | %s |\n", info->doc);
		buf_fini(&option);
	}
}

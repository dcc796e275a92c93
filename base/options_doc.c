/* What a program's options are, for people: --help and the manual page. */
#include <ctype.h>
#include <string.h>

#include "base/options.h"

static const char common_help[] =
    "  --config=FILE\n      Read parameters from FILE, lines of `name: value`. Also "
    "SHARDMILL_CONFIG.\n"
    "  --params\n      Print every parameter, its value and where that came from.\n"
    "  --man[=roff|markdown]\n      Print the manual page.\n"
    "  --version\n  --help\n";

#define HELP_COLUMNS 104u

/* Lines as they stand; what is wider than HELP_COLUMNS goes on in the next one, so that no terminal breaks
 * words. */
static void write_folded(const char *text, const char *indent, struct buf *out)
{
	size_t room = HELP_COLUMNS - strlen(indent);

	while (*text != '\0') {
		size_t length = strcspn(text, "\n");

		if (length > room) {
			size_t fold = room;

			while (fold > 0 && text[fold] != ' ')
				fold--;
			length = fold > 0 ? fold : length;
		}
		buf_printf(out, "%s%.*s\n", length > 0 ? indent : "", (int)length, text);
		text += length + (text[length] != '\0');
	}
}

void options_write_help(const struct options_spec *spec, struct buf *out)
{
	buf_printf(out, "Usage: %s %s\n%s.\n", spec->program, spec->synopsis, spec->summary);
	if (spec->details != NULL) {
		buf_printf(out, "\n");
		write_folded(spec->details, "", out);
	}
	buf_printf(out, "\nOptions:\n");
	for (size_t i = 0; i < spec->extra_count; i++) {
		const struct options_extra *extra = &spec->extras[i];

		if (extra->letter != '\0')
			buf_printf(out, "  -%c,", extra->letter);
		else
			buf_printf(out, " ");
		buf_printf(out, " --%s%s%s\n", extra->name, extra->placeholder != NULL ? "=" : "",
			   extra->placeholder != NULL ? extra->placeholder : "");
		write_folded(extra->doc, "      ", out);
	}
	params_write_help(spec->scopes, out);
	buf_printf(out,
		   "%s\nEach parameter may also stand in the configuration file (state_dir) or "
		   "in the\nenvironment (SHARDMILL_STATE_DIR); a flag wins over the "
		   "environment, that over the file.\n",
		   common_help);
}

static void write_markdown(const struct options_spec *spec, struct buf *out)
{
	buf_printf(out, "# %s\n\n%s.\n\n`%s %s`\n\n%s\n\n", spec->program, spec->summary, spec->program,
		   spec->synopsis, spec->details != NULL ? spec->details : spec->summary);
	for (size_t i = 0; i < spec->extra_count; i++)
		buf_printf(out, "- `--%s`: %s\n", spec->extras[i].name, spec->extras[i].doc);
	params_write_markdown(spec->scopes, out);
}

/* Lines that begin with blanks stand as they are, others are filled; an empty line parts paragraphs. */
static void write_paragraphs(const char *text, struct buf *out)
{
	bool verbatim = false, parted = true;

	while (*text != '\0') {
		size_t length = strcspn(text, "\n");
		bool indented = *text == ' ' && length > 0;

		if (indented != verbatim)
			buf_printf(out, indented ? ".nf\n" : ".fi\n");
		verbatim = indented;
		if (length > 0)
			params_write_roff_text(BYTES(text, length), out);
		else if (!parted)
			buf_printf(out, ".PP");
		if (length > 0 || !parted)
			buf_append(out, "\n", 1);
		parted = length == 0;
		text += length + (text[length] == '\n');
	}
	if (verbatim)
		buf_printf(out, ".fi\n");
}

/* "shardmill submit" is the page shardmill-submit. */
static void write_page_name(const struct options_spec *spec, bool title, struct buf *out)
{
	struct buf name = {0};

	for (const char *c = spec->program; *c != '\0'; c++)
		if (*c == ' ')
			buf_append(&name, "-", 1);
		else
			buf_printf(&name, "%c", title ? toupper((unsigned char)*c) : *c);
	params_write_roff_text(buf_bytes(&name), out);
	buf_fini(&name);
}

static void write_synopsis(const struct options_spec *spec, struct buf *out)
{
	const char *line = spec->synopsis;

	buf_printf(out, ".SH SYNOPSIS\n.nf\n\\fB");
	params_write_roff_text(bytes_of(spec->program), out);
	buf_printf(out, "\\fR ");
	while (*line != '\0') {
		size_t length = strcspn(line, "\n");

		params_write_roff_text(BYTES(line, length), out);
		buf_append(out, "\n", 1);
		line += length + (line[length] == '\n');
	}
	buf_printf(out, ".fi\n");
}

static void write_extra(const struct options_extra *extra, struct buf *out)
{
	buf_printf(out, ".TP\n");
	if (extra->letter != '\0')
		buf_printf(out, "\\fB\\-%c\\fR, ", extra->letter);
	buf_printf(out, "\\fB\\-\\-");
	params_write_roff_text(bytes_of(extra->name), out);
	buf_printf(out, "\\fR");
	if (extra->placeholder != NULL) {
		buf_printf(out, "=\\fI");
		params_write_roff_text(bytes_of(extra->placeholder), out);
		buf_printf(out, "\\fR");
	}
	buf_append(out, "\n", 1);
	params_write_roff_text(bytes_of(extra->doc), out);
	buf_append(out, "\n", 1);
}

void options_write_page(const struct options_spec *spec, bool markdown, struct buf *out)
{
	if (markdown) {
		write_markdown(spec, out);
		return;
	}
	buf_printf(out, ".TH ");
	write_page_name(spec, true, out);
	buf_printf(out, " 1 \"\" \"shardmill %s\"\n.SH NAME\n", SHARDMILL_VERSION);
	write_page_name(spec, false, out);
	buf_printf(out, " \\- ");
	params_write_roff_text(bytes_of(spec->summary), out);
	buf_append(out, "\n", 1);
	write_synopsis(spec, out);
	buf_printf(out, ".SH DESCRIPTION\n");
	write_paragraphs(spec->details != NULL ? spec->details : spec->summary, out);
	buf_printf(out, ".SH OPTIONS\n");
	for (size_t i = 0; i < spec->extra_count; i++)
		write_extra(&spec->extras[i], out);
	params_write_roff(spec->scopes, out);
	buf_printf(
	    out,
	    ".TP\n\\fB\\-\\-config\\fR=\\fIFILE\\fR\nRead parameters from FILE, lines of name: value.\n"
	    ".TP\n\\fB\\-\\-params\\fR\nPrint every parameter, its value and where that came from.\n"
	    ".TP\n\\fB\\-\\-version\\fR, \\fB\\-\\-help\\fR, \\fB\\-\\-man\\fR\n"
	    "Print the version, what it takes in short, or this page.\n"
	    ".SH ENVIRONMENT\nEach parameter may also stand in the configuration file (state_dir) or in the "
	    "environment (SHARDMILL_STATE_DIR); an option wins over the environment, that over the file. "
	    "SHARDMILL_CONFIG names the file.\n");
}

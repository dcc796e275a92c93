#include "base/error.h"

#include <errno.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

static const struct {
	enum error_code code;
	const char *name;
} names[] = {
    {ERR_OK, "ok"},	    {ERR_INVALID, "invalid"},	  {ERR_NOT_FOUND, "not_found"},
    {ERR_EXISTS, "exists"}, {ERR_LIMIT, "limit"},	  {ERR_BUSY, "busy"},
    {ERR_IO, "io"},	    {ERR_CORRUPT, "corrupt"},	  {ERR_VERSION, "version"},
    {ERR_DENIED, "denied"}, {ERR_EXHAUSTED, "exhausted"}, {ERR_TIMEOUT, "timeout"},
    {ERR_CLOSED, "closed"},
};

int error_set(struct error *e, enum error_code code, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return code;
	e->code = code;
	e->where[0] = '\0';
	e->help[0] = '\0';
	va_start(ap, fmt);
	vsnprintf(e->what, sizeof e->what, fmt, ap);
	va_end(ap);
	return code;
}

int error_where(struct error *e, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return ERR_INVALID;
	va_start(ap, fmt);
	vsnprintf(e->where, sizeof e->where, fmt, ap);
	va_end(ap);
	return e->code;
}

int error_help(struct error *e, const char *fmt, ...)
{
	va_list ap;

	if (e == NULL)
		return ERR_INVALID;
	va_start(ap, fmt);
	vsnprintf(e->help, sizeof e->help, fmt, ap);
	va_end(ap);
	return e->code;
}

const char *error_text(const struct error *e, char *buf, size_t size)
{
	snprintf(buf, size, "%s%s%s%s%s%s", e->where, e->where[0] ? ": " : "", e->what,
		 e->help[0] ? " (" : "", e->help, e->help[0] ? ")" : "");
	return buf;
}

enum error_code error_code_of_errno(int errnum)
{
	switch (errnum) {
	case EMFILE:
	case ENFILE:
	case ENOMEM:
	case ENOBUFS:
	case EAGAIN:
	case ENOSPC:
	case EDQUOT:
		return ERR_EXHAUSTED;
	default:
		return ERR_IO;
	}
}

const char *error_code_name(enum error_code code)
{
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (names[i].code == code)
			return names[i].name;
	return "unknown";
}

enum error_code error_code_of(const char *name)
{
	for (size_t i = 0; i < ARRAY_LENGTH(names); i++)
		if (strcmp(names[i].name, name) == 0)
			return names[i].code;
	return ERR_INVALID;
}

/* Errors for people: what was expected and found, where, and what to do. Pure.
 *
 * Functions that can fail return 0 or a negative enum error_code; where a person will read the
 * text, a last argument `struct error *reterr` (may be NULL) is filled, only on failure. */
#pragma once

#include "base/types.h"

enum error_code {
	ERR_OK = 0,
	ERR_INVALID = -1, /* the input is wrong: a person has to change it */
	ERR_NOT_FOUND = -2,
	ERR_EXISTS = -3,     /* already there, or held by somebody else */
	ERR_LIMIT = -4,	     /* a bound of limits.h or a parameter was passed */
	ERR_BUSY = -5,	     /* try again later */
	ERR_IO = -6,	     /* the system said no: what[] carries strerror */
	ERR_CORRUPT = -7,    /* data that we wrote is not as we wrote it */
	ERR_VERSION = -8,    /* written by a newer build, or spoken by another protocol */
	ERR_DENIED = -9,     /* key, role or permission */
	ERR_EXHAUSTED = -10, /* this machine has no memory, descriptor, process or disk left */
	ERR_TIMEOUT = -11,
	ERR_CLOSED = -12, /* the other side is gone */
};

struct error {
	enum error_code code;
	char what[400];	 /* one sentence: expected X, found Y */
	char where[256]; /* file:line:column, key, field, address; may be "" */
	char help[512];	 /* what to do; may be "" */
};

/* Fill e (may be NULL); returns code, so that `return error_set(e, ERR_INVALID, …)` reads well. */
int error_set(struct error *e, enum error_code code, const char *fmt, ...) PRINTF_LIKE(3, 4);
/* Add where or help to an error that is already set; e may be NULL. They return e->code, or
 * ERR_INVALID. */
int error_where(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
int error_help(struct error *e, const char *fmt, ...) PRINTF_LIKE(2, 3);
#define ERROR_LINE_MAX 1280u /* an error in one line, as error_text writes it */
/* "where: what (help)" on one line; returns buf. */
const char *error_text(const struct error *e, char *buf, size_t size);
/* ERR_EXHAUSTED for an errno that says that this machine has nothing left (EMFILE, ENOMEM, ENOSPC, …; EAGAIN
 * as fork gives it); ERR_IO for any other. */
enum error_code error_code_of_errno(int errnum);
/* "invalid", "not_found", …: the code in JSON answers. */
const char *error_code_name(enum error_code code);
/* The code of a name that error_code_name gave; ERR_INVALID when it is none. */
enum error_code error_code_of(const char *name);

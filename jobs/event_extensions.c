#include "jobs/event_extensions.h"

#include <string.h>

#include "base/check.h"

static bool is_name(const char *name)
{
	size_t size = strspn(name, "abcdefghijklmnopqrstuvwxyz0123456789");

	return size > 0 && size <= EVENT_EXTENSION_NAME_BYTES_MAX && name[size] == '\0';
}

static bool is_value(const json_t *value)
{
	if (json_is_string(value))
		return json_string_length(value) <= EVENT_EXTENSION_BYTES_MAX;
	return json_is_boolean(value) || json_is_number(value);
}

static bool is_among(const char *name, const char *const known[])
{
	for (size_t i = 0; known[i] != NULL; i++)
		if (strcmp(known[i], name) == 0)
			return true;
	return false;
}

static void take(const json_t *from, const char *const known[], json_t *extensions)
{
	const char *name;
	json_t *value;

	json_object_foreach((json_t *)from, name, value)
	{
		if (!is_name(name) || !is_value(value) || is_among(name, known) ||
		    (json_object_size(extensions) >= EVENT_EXTENSIONS_MAX &&
		     json_object_get(extensions, name) == NULL))
			continue;
		CHECK(json_object_set(extensions, name, value) == 0);
	}
}

void event_take_extensions(const json_t *from, const char *const known[], json_t *to)
{
	static const char *const none[] = {NULL};
	json_t *extensions = json_object(), *given = json_object_get(from, "extensions");

	if (json_is_object(given))
		take(given, none, extensions);
	take(from, known, extensions);
	if (json_object_size(extensions) > 0)
		CHECK(json_object_set(to, "extensions", extensions) == 0);
	json_decref(extensions);
}

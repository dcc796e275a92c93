/* The module as an extension that SQLite loads: shardmill_history.so. */
#include <sqlite3ext.h>

#include "dispatcher/store/history_module.h"

SQLITE_EXTENSION_INIT1

int sqlite3_shardmillhistory_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

__attribute__((visibility("default"))) int sqlite3_shardmillhistory_init(sqlite3 *db, char **error,
									 const sqlite3_api_routines *api)
{
	int code;

	(void)error;
	SQLITE_EXTENSION_INIT2(api);
	code = history_module_register(db, NULL);
	/* How the tables look is made once a process, so the code stays, too
	 * (https://sqlite.org/loadext.html). */
	return code == SQLITE_OK ? SQLITE_OK_LOAD_PERMANENTLY : code;
}

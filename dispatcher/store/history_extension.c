/* The module as an extension that SQLite loads: shardmill_history.so. */
#include <sqlite3ext.h>

#include "dispatcher/store/history_module.h"

SQLITE_EXTENSION_INIT1

int sqlite3_shardmillhistory_init(sqlite3 *db, char **error, const sqlite3_api_routines *api);

__attribute__((visibility("default"))) int sqlite3_shardmillhistory_init(sqlite3 *db, char **error,
									 const sqlite3_api_routines *api)
{
	(void)error;
	SQLITE_EXTENSION_INIT2(api);
	return history_module_register(db, NULL);
}

/* Writes openapi.json: what GET /v1/openapi.json answers. */
#include <stdio.h>

#include "dispatcher/api/openapi.h"

int main(void)
{
	struct buf out = {0};

	openapi_write(&out);
	fwrite(out.data, 1, out.size, stdout);
	buf_fini(&out);
	return fflush(stdout) == 0 ? 0 : 1;
}

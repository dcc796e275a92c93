/* GET /v1/openapi.json. */
#include "base/check.h"
#include "dispatcher/api/listener.h"
#include "dispatcher/api/openapi.h"

void api_openapi(struct request *r)
{
	struct buf *text = &r->api->openapi;
	struct MHD_Response *response;

	if (text->size == 0)
		openapi_write(text);
	response = MHD_create_response_from_buffer(text->size, text->data, MHD_RESPMEM_MUST_COPY);
	CHECK(response != NULL);
	(void)MHD_add_response_header(response, "Content-Type", "application/json");
	request_answer_response(r, MHD_HTTP_OK, response);
}

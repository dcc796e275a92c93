#include "base/curl_code.h"

#include <stdio.h>

bool curl_code_may_pass(CURLcode code)
{
	switch ((int)code) {
	case CURLE_FAILED_INIT:
	case CURLE_OUT_OF_MEMORY:
	case CURLE_COULDNT_RESOLVE_PROXY:
	case CURLE_COULDNT_RESOLVE_HOST:
	case CURLE_COULDNT_CONNECT:
	case CURLE_WEIRD_SERVER_REPLY:
	case CURLE_PARTIAL_FILE:
	case CURLE_OPERATION_TIMEDOUT:
	case CURLE_INTERFACE_FAILED:
	case CURLE_GOT_NOTHING:
	case CURLE_SEND_ERROR:
	case CURLE_RECV_ERROR:
	case CURLE_BAD_CONTENT_ENCODING:
	case CURLE_SEND_FAIL_REWIND:
	case CURLE_SSL_CONNECT_ERROR: /* a handshake that was cut off */
	case CURLE_SSL_SHUTDOWN_FAILED:
	case CURLE_AGAIN:
	case CURLE_NO_CONNECTION_AVAILABLE:
	case CURLE_HTTP2:
	case CURLE_HTTP2_STREAM:
	case CURLE_HTTP3:
	case CURLE_QUIC_CONNECT_ERROR:
	case CURLE_PROXY:
	case CURLE_UNRECOVERABLE_POLL:
		return true;
	default:
		return false;
	}
}

void curl_code_words(CURLcode code, const char *said, char *ret, size_t size)
{
	snprintf(ret, size, "libcurl %s: %s", curl_version_info(CURLVERSION_NOW)->version,
		 said[0] != '\0' ? said : curl_easy_strerror(code));
}

/* What a failed call of libcurl means: trouble on the way, which another try may not meet, or libcurl's own
 * refusal of what it was asked, which comes again every time. */
#pragma once

#include <curl/curl.h>
#include <stdbool.h>

/* The network, the other side, or a shortage of memory. A certificate that is not trusted is none of these.
 */
bool curl_code_may_pass(CURLcode code);
/* "libcurl 8.14.1: WORDS": what it says; said = its error buffer, may be "". */
void curl_code_words(CURLcode code, const char *said, char *ret, size_t size);

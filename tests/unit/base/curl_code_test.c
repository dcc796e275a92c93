/* What may be tried again, and what libcurl refuses for good. */
#include <criterion/criterion.h>
#include <string.h>

#include "base/curl_code.h"
#include "base/types.h"

Test(curl_code, only_trouble_on_the_way_may_pass)
{
	static const struct {
		CURLcode code;
		bool may_pass;
	} cases[] = {
	    {CURLE_COULDNT_CONNECT, true},
	    {CURLE_RECV_ERROR, true},
	    {CURLE_GOT_NOTHING, true},
	    {CURLE_OPERATION_TIMEDOUT, true},
	    {CURLE_SSL_CONNECT_ERROR, true},
	    {CURLE_OUT_OF_MEMORY, true},
	    {CURLE_BAD_FUNCTION_ARGUMENT, false},
	    {CURLE_URL_MALFORMAT, false},
	    {CURLE_UNSUPPORTED_PROTOCOL, false},
	    {CURLE_NOT_BUILT_IN, false},
	    {CURLE_UNKNOWN_OPTION, false},
	    {CURLE_PEER_FAILED_VERIFICATION, false},
	};

	for (size_t i = 0; i < ARRAY_LENGTH(cases); i++)
		cr_expect_eq(curl_code_may_pass(cases[i].code), cases[i].may_pass, "%d", (int)cases[i].code);
}

Test(curl_code, words_name_the_version_that_runs)
{
	char words[200];

	curl_code_words(CURLE_URL_MALFORMAT, "", words, sizeof words);
	cr_assert(strstr(words, curl_version_info(CURLVERSION_NOW)->version) != NULL, "%s", words);
	curl_code_words(CURLE_URL_MALFORMAT, "said so", words, sizeof words);
	cr_assert(strstr(words, ": said so") != NULL, "%s", words);
}

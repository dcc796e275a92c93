/* Fields are quoted where they have to be; objects are lines. */
#include <criterion/criterion.h>

#include "cli/csv.h"

static void expect_field(struct bytes text, const char *written)
{
	struct buf out = {0};

	csv_field(&out, text, false);
	cr_expect_str_eq(buf_text(&out), written);
	buf_fini(&out);
}

Test(csv, fields_are_quoted_where_they_have_to_be)
{
	expect_field(BYTES_LIT("plain"), "plain");
	expect_field(BYTES_LIT(""), "");
	expect_field(BYTES_LIT("a,b"), "\"a,b\"");
	expect_field(BYTES_LIT("say \"hi\""), "\"say \"\"hi\"\"\"");
	expect_field(BYTES_LIT("two\nlines"), "\"two\nlines\"");
	expect_field(BYTES_LIT(" blank"), "\" blank\"");
}

Test(csv, an_object_is_a_line_and_what_is_unknown_is_empty)
{
	struct api_shard_attempts s = {.first = 3,
				       .count = 1,
				       .state = BYTES_LIT("done"),
				       .has_host = true,
				       .host = BYTES_LIT("a,b"),
				       .has_took = true,
				       .took.totals.run_us = 1500000};
	struct buf titles = {0}, values = {0};
	json_t *json = object_write(object_shard_attempts(), &s);
	size_t commas = 0;

	csv_titles(&titles, object_shard_attempts());
	csv_values(&values, object_shard_attempts(), json);
	cr_expect_str_eq(
	    buf_text(&titles),
	    "phase,first,count,number,value,last_value,state,attempts,worker,host,start,run_seconds,"
	    "output_bytes,cpu_seconds,max_rss_bytes,failed,code,why\n");
	cr_expect_str_eq(buf_text(&values), "0,3,1,,,,done,,,\"a,b\",,1.500000,0,0.000000,,,,\n");
	for (size_t i = 0; i < titles.size; i++)
		commas += titles.data[i] == ',';
	cr_expect_eq(commas, 17);
	json_decref(json);
	buf_fini(&titles);
	buf_fini(&values);
}

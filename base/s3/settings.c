#include "base/s3/settings.h"

int s3_client_of_params(const struct params *params, usec_t patience_max_us, struct s3_client **ret,
			struct error *reterr)
{
	usec_t patience = params_duration_us(params, PARAM_S3_PATIENCE);
	const struct s3_options options = {
	    .endpoint = params_text(params, PARAM_S3_ENDPOINT),
	    .region = params_text(params, PARAM_S3_REGION),
	    .ca_file = params_text(params, PARAM_S3_CA),
	    .style = (enum s3_style)params_choice(params, PARAM_S3_STYLE), /* in the table's order */
	    .patience_us = patience < patience_max_us ? patience : patience_max_us,
	};

	return s3_client_create(&options, ret, reterr);
}

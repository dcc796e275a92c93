#include "base/s3/settings.h"

int s3_client_of_params(const struct params *params, struct s3_client **ret, struct error *reterr)
{
	const struct s3_options options = {
	    .endpoint = params_text(params, PARAM_S3_ENDPOINT),
	    .region = params_text(params, PARAM_S3_REGION),
	    .ca_file = params_text(params, PARAM_S3_CA),
	    .style = (enum s3_style)params_choice(params, PARAM_S3_STYLE), /* in the table's order */
	    .patience_us = params_duration_us(params, PARAM_S3_PATIENCE),
	};

	return s3_client_create(&options, ret, reterr);
}

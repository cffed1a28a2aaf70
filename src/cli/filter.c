#include "cli/filter.h"

void cli_filter_add(struct buf *out, const struct cli_filter *f)
{
	cli_params(out, "stream", &f->streams);
	cli_params(out, "type", &f->types);
	cli_params(out, "where", &f->wheres);
	if (f->category != NULL)
		cli_param(out, "category", f->category);
}

void cli_filter_params(struct buf *out, const struct cli_filter *f)
{
	const struct {
		const char *name;
		const char *value;
	} params[] = {{"after", f->after}, {"before", f->before}, {"since", f->since}, {"until", f->until}};
	for (size_t i = 0; i < sizeof params / sizeof *params; i++)
		if (params[i].value != NULL)
			cli_param(out, params[i].name, params[i].value);
	cli_filter_add(out, f);
}

/* Publish bodies, in both forms. Whatever is accepted must come out as JSON again, with the names it claims. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "json/json.h"

static void check(const struct event *e)
{
	char *copy = malloc(e->data.len + 1);
	size_t n;
	struct json_error error;
	assert(json_minify(e->data.p, e->data.len, copy, &n, &error));
	assert(n == e->data.len && memcmp(copy, e->data.p, n) == 0);
	free(copy);
	const struct slice names[] = {e->stream, e->type, e->id};
	for (int i = 0; i < 3; i++)
		assert(names[i].len <= EVENT_NAME_MAX && (names[i].len > 0 || i == 2) && json_plain_text(names[i]));
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	const struct batch_limits limits = {4096, 64};
	for (enum batch_form form = BATCH_JSON; form <= BATCH_LINES; form++) {
		char *text = malloc(len + 1);
		struct batch *b;
		struct fault fault;
		memcpy(text, bytes, len);
		if (batch_parse_take(text, len, form, limits, &b, &fault) != ERR_NONE)
			continue;
		for (size_t i = 0; i < batch_count(b); i++)
			check(batch_event(b, i));
		batch_destroy(b);
	}
	return 0;
}

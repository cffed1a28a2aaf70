/* Conditions on payloads, and payloads: up to the first newline a condition, then JSON or not. What holds is there in the
 * text, and conditions come back from a session's filter as they were. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "event/filter.h"
#include "event/where.h"
#include "json/json.h"
#include "profiles/monitoring/profile.h"

static void keep(struct filter *f)
{
	struct buf text;
	struct filter *again;
	buf_init(&text);
	filter_write(&text, f);
	assert(filter_read(buf_slice(&text), &again) == ERR_NONE && where_same(filter_where(f), filter_where(again)));
	filter_destroy(again);
	buf_finish(&text);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	const unsigned char *newline = len > 0 ? memchr(bytes, '\n', len) : NULL;
	if (newline == NULL)
		return 0;
	monitoring_profile.declare();
	struct slice condition = {(const char *)bytes, (size_t)(newline - bytes)};
	struct slice data = {NULL, len - condition.len - 1};
	/* Without room behind it, so that reading past the end is seen. */
	char *text = malloc(data.len > 0 ? data.len : 1);
	struct filter *f = filter_create();
	struct json_error error;
	data.p = text;
	memcpy(text, newline + 1, data.len);
	if (filter_add_where(f, condition) == ERR_NONE) {
		keep(f);
		if (json_minify(text, data.len, text, &data.len, &error) &&
		    where_holds(filter_where(f), slice_of("type"), data))
			assert(condition.p[0] != '/' || json_kind(data) == JSON_OBJECT || json_kind(data) == JSON_ARRAY);
	}
	filter_destroy(f);
	free(text);
	return 0;
}

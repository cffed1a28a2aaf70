/* Any JSON as a payload: both shapes of it are JSON again, without markup where a page would run it; and so is the row that
 * it is as a cache's operation. */
#include <stdlib.h>

#include "base/buf.h"
#include "profiles/monitoring/event/flat.h"
#include "profiles/monitoring/services/cache_op.h"
#include "json/json.h"

static size_t check_json(struct buf *text)
{
	size_t len;
	struct json_error error;
	if (!json_minify(text->data, text->len, text->data, &len, &error))
		abort();
	return len;
}

static void check(struct buf *text)
{
	if (buf_failed(text))
		return;
	size_t len = check_json(text);
	static const char *const keys[] = {"direction", "script_name", "function_name", "error", "severity"};
	for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) {
		struct slice value;
		struct slice whole = {text->data, len};
		if (!json_member(whole, keys[i], &value) || json_kind(value) != JSON_STRING)
			continue;
		char *decoded = malloc(value.len + 1);
		size_t n;
		if (decoded != NULL && json_string(value, decoded, &n) && memchr(decoded, '<', n) != NULL)
			abort();
		free(decoded);
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t size)
{
	struct buf envelope;
	struct buf text;
	struct json_error error;
	char *data = malloc(size + 1);
	size_t len;
	if (data == NULL || !json_minify((const char *)bytes, size, data, &len, &error)) {
		free(data);
		return 0;
	}
	buf_init(&envelope);
	buf_init(&text);
	if (json_kind((struct slice){data, len}) == JSON_OBJECT)
		flat_route((struct slice){data, len});
	buf_adds(&envelope, "{\"seq\":1,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":\"kimi\",\"type\":\"t\",\"data\":");
	buf_add(&envelope, data, len);
	buf_addc(&envelope, '}');
	struct flat flat;
	if (!flat_read(buf_slice(&envelope), 0, &flat))
		abort();
	flat_live(&text, &flat);
	check(&text);
	text.len = 0;
	flat_stored(&text, &flat, (struct slice){"", 0});
	check(&text);
	struct cache_op op;
	text.len = 0;
	if (cache_op_read(&flat, &op)) {
		cache_op_write(&text, &flat, &op);
		if (!buf_failed(&text))
			check_json(&text);
	}
	buf_finish(&envelope);
	buf_finish(&text);
	free(data);
	return 0;
}

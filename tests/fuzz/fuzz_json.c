/* The scanner: what it minifies is stable, and can be walked to the end. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "json/json.h"

static void walk(struct slice value, int depth)
{
	enum json_kind kind = json_kind(value);
	if (kind == JSON_STRING) {
		char *out = malloc(value.len);
		size_t n;
		if (json_string(value, out, &n))
			assert(n <= value.len - 2);
		free(out);
	}
	uint64_t number;
	json_sequence(value, &number);
	if ((kind != JSON_OBJECT && kind != JSON_ARRAY) || depth > 50)
		return;
	for (struct json_walk w = json_walk(value); json_next(&w);) {
		assert(w.value.len > 0 && w.value.p + w.value.len <= value.p + value.len);
		if (kind == JSON_OBJECT)
			json_key_is(w.key, "stream");
		walk(w.value, depth + 1);
	}
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	char *text = malloc(len + 1);
	char *again = malloc(len + 1);
	struct slice value = {text, 0};
	size_t n;
	struct json_error error;
	memcpy(text, bytes, len);
	if (json_minify(text, len, text, &value.len, &error)) {
		assert(value.len <= len && json_minify(text, value.len, again, &n, &error));
		assert(n == value.len && memcmp(text, again, n) == 0);
		walk(value, 0);
	} else {
		assert(error.offset <= len && error.what != NULL);
	}
	free(text);
	free(again);
	return 0;
}

/* The reader of documents: what is taken apart is bounded, and can be walked to the end; what the scanner takes for JSON it
 * takes, too, within its bounds, and finds the same members. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "json/document.h"
#include "json/json.h"

static size_t walk(struct doc value, unsigned depth)
{
	size_t values = 1;
	struct slice text;
	uint64_t number;
	assert(depth <= DOCUMENT_DEPTH_MAX);
	if (doc_get_text(value, &text))
		assert(memchr(text.p, '\0', text.len) == NULL);
	if (doc_get_u64(value, &number))
		assert(number < UINT64_C(1) << 53);
	for (struct doc v = doc_first(value); v.at != NULL; v = doc_next(v)) {
		if (doc_is_object(value))
			assert(doc_member(value, doc_key(v)).at != NULL);
		values += walk(v, depth + 1);
	}
	return values;
}

/* A number of a member is the same to both. */
static void compare(struct doc root, struct slice object)
{
	struct slice value;
	uint64_t a;
	uint64_t b;
	if (json_kind(object) != JSON_OBJECT || !json_member(object, "seq", &value) || !json_sequence(value, &a))
		return;
	assert(doc_get_u64(doc_member(root, "seq"), &b) && a == b);
}

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	/* Without room behind it, so that reading past the end is seen. */
	char *text = malloc(len > 0 ? len : 1);
	struct document d;
	struct slice minified = {text, 0};
	struct json_error error;
	if (len > 0)
		memcpy(text, bytes, len);
	if (document_read(&d, (struct slice){text, len}) == ERR_NONE) {
		assert(walk(document_root(&d), 0) <= DOCUMENT_VALUES_MAX);
		if (json_minify(text, len, text, &minified.len, &error))
			compare(document_root(&d), minified);
	}
	document_finish(&d);
	free(text);
	return 0;
}

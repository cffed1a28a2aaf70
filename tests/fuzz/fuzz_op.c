/* What a client says on a WebSocket: what is let through has what its op wants, and its events are a batch or refused. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "event/event.h"
#include "event/op.h"
#include "json/json.h"

static const struct batch_limits limits = {1 << 20, 64};

int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len);
int LLVMFuzzerTestOneInput(const unsigned char *bytes, size_t len)
{
	/* Without room behind it, so that reading past the end is seen. */
	char *text = malloc(len > 0 ? len : 1);
	struct op op;
	struct fault fault;
	memcpy(text, bytes, len);
	enum err err = op_read(text, len, &op, &fault);
	assert(op.ref.len <= OP_REF_MAX && (err || op.kind != OP_NONE));
	if (err || op.kind != OP_PUBLISH) {
		free(text);
		return 0;
	}
	struct batch *batch;
	assert(json_kind(op.events) == JSON_ARRAY);
	err = batch_from_value_take(op.events, text, BATCH_JSON, limits, &batch, &fault);
	assert((err != ERR_NONE) == (batch == NULL) && (err || batch_count(batch) > 0));
	batch_destroy(batch);
	return 0;
}

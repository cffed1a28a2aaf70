#include "profiles/monitoring/services/notice.h"

#include <stdlib.h>

#include "base/system/log.h"
#include "profiles/monitoring/event/flat.h"

void notice_begin(struct buf *out, const char *type, const char *error)
{
	buf_printf(out,
		   "{\"type\":\"%s\",\"connection_type\":\"websocket\",\"direction\":\"%s\",\"script_name\":\"tidemark\"",
		   type, error != NULL ? "error" : "send");
	buf_adds(out, ",\"data_size_bytes\":0,\"response_time_ms\":null,\"error\":");
	if (error != NULL)
		buf_json(out, slice_of(error));
	else
		buf_adds(out, "null");
	buf_adds(out, ",\"metadata\":{");
}

enum err notice_batch_take(struct buf *text, struct batch **out, struct fault *fault)
{
	struct batch_limits limits = {text->len, 1};
	if (buf_failed(text)) {
		buf_finish(text);
		return fault_set(fault, ERR_NOMEM, "out of memory");
	}
	struct slice object = buf_slice(text);
	char *memory = text->data;
	*text = (struct buf){0};
	return batch_from_object_take(object, service_name(SERVICE_WEBSOCKET), memory, limits, out, fault);
}

static void on_sent(struct write_op *op)
{
	if (op->err)
		log_warn("an event of the server's own is not stored", "error=%s", log_text(op->fault.text));
	receipt_finish(&op->receipt);
	batch_destroy(op->batch);
	free(op);
}

void notice_send_take(struct writer *w, struct buf *text)
{
	struct write_op *op = calloc(1, sizeof *op);
	if (op == NULL) {
		buf_finish(text);
		log_warn("an event of the server's own is not stored", "error=\"out of memory\"");
		return;
	}
	op->done = on_sent;
	enum err err = notice_batch_take(text, &op->batch, &op->fault);
	if (!err)
		err = writer_submit(w, op, &op->fault);
	if (!err)
		return;
	op->err = err;
	on_sent(op);
}

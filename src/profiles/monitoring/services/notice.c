#include "profiles/monitoring/services/notice.h"

#include <stdlib.h>

#include "base/system/log.h"
#include "profiles/monitoring/event/flat.h"

struct doc notice_begin(struct notice *n, const char *type, const char *error)
{
	struct doc root = document_begin(&n->document);
	doc_string(root, "type", type);
	doc_string(root, "connection_type", service_name(SERVICE_WEBSOCKET));
	doc_string(root, "direction", error != NULL ? "error" : "send");
	doc_string(root, "script_name", "tidemark");
	doc_u64(root, "data_size_bytes", 0);
	doc_null(root, "response_time_ms");
	doc_text_or_null(root, "error", slice_of(error != NULL ? error : ""));
	return doc_object(root, "metadata");
}

enum err notice_batch(struct notice *n, struct batch **out, struct fault *fault)
{
	struct buf text;
	buf_init(&text);
	document_end(&n->document, &text);
	if (buf_failed(&text)) {
		buf_finish(&text);
		return fault_nomem(fault);
	}
	struct batch_limits limits = {text.len, 1};
	return batch_from_object_take(buf_slice(&text), service_name(SERVICE_WEBSOCKET), text.data, limits, out, fault);
}

static void on_sent(struct write_op *op)
{
	if (op->err)
		log_warn("an event of the server's own is not stored", "error=%s", log_text(op->fault.text));
	receipt_finish(&op->receipt);
	batch_destroy(op->batch);
	free(op);
}

void notice_send(struct writer *w, struct notice *n)
{
	struct write_op *op = calloc(1, sizeof *op);
	if (op == NULL) {
		document_finish(&n->document);
		log_warn("an event of the server's own is not stored", "error=\"out of memory\"");
		return;
	}
	op->done = on_sent;
	enum err err = notice_batch(n, &op->batch, &op->fault);
	if (!err)
		err = writer_submit(w, op, &op->fault);
	if (!err)
		return;
	op->err = err;
	on_sent(op);
}

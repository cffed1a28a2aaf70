/* /events: publishers of the monitoring profile. Each message is an event in the stream of its service. It is stored as
 * it was sent, and answered when it is durable (server/ws/ws_publisher.c). */
#include <inttypes.h>
#include <stdlib.h>

#include "profiles/monitoring/event/flags.h"
#include "profiles/monitoring/event/flat.h"
#include "profiles/monitoring/services/monitoring.h"
#include "profiles/monitoring/ws/ws_profiles.h"
#include "server/ws/ws.h"
#include "json/json.h"

static struct monitoring *self_of(const struct ws_conn *c)
{
	return ws_profile_of(c)->arg;
}

static void write_answer(struct buf *out, const struct ack *ack)
{
	if (ack->kind == ACK_REFUSED) {
		buf_adds(out, "{\"status\":\"error\",\"message\":");
		buf_json(out, ack->text);
		buf_addc(out, '}');
		return;
	}
	buf_adds(out, "{\"status\":\"received\",\"event_type\":");
	if (ack->text.p != NULL)
		buf_add(out, ack->text.p, ack->text.len);
	else
		buf_adds(out, "null");
	buf_printf(out, ",\"seq\":%" PRIu64 "%s}", ack->seq, ack->kind == ACK_DUPLICATE ? ",\"duplicate\":true" : "");
}

/* The type is repeated in the answer. */
static void keep_type(struct slice *echo, struct slice message)
{
	char *text;
	struct slice type;
	if (!json_member(message, "type", &type) || type.len > ACKS_TEXT_MAX || (text = malloc(type.len)) == NULL)
		return;
	slice_copy(text, type);
	*echo = (struct slice){text, type.len};
}

/* The batch takes over the memory of the message. */
static enum err read_event(struct ws_conn *c, struct buf *in, struct write_op *op, struct slice *echo, struct fault *fault)
{
	struct api *api = self_of(c)->api;
	struct slice message = {in->data, 0};
	struct json_error error;
	if (in->len == 0 || !json_minify(in->data, in->len, in->data, &message.len, &error))
		return fault_set(fault, ERR_INVALID, "Invalid JSON");
	if (json_kind(message) != JSON_OBJECT)
		return fault_set(fault, ERR_INVALID, "a frame is a JSON object");
	keep_type(echo, message);
	const char *stream = service_name(flat_route(message));
	enum err err = grant_publish_to(ws_grant(c), slice_of(stream), ws_peer(c), fault);
	if (err)
		return err;
	*in = (struct buf){0};
	err = batch_from_object_take(message, stream, (char *)message.p, api->limits, &op->batch, fault);
	return err ? err : writer_admit(api->writer, op->batch, &op->options, fault);
}

static int64_t most(const struct ws_conn *c)
{
	return flags_get(self_of(c)->flags, FLAG_BATCH_SIZE);
}

/* The client sends the first message. */
static void on_open(struct ws_conn *c)
{
	ws_metrics_count(ws_figures_of(self_of(c)->api->ws), (struct slice){"", 0}, WSM_PROFILE, 1);
}

struct ws_profile ws_ingest(struct monitoring *self)
{
	return (struct ws_profile){
		.path = "/events",
		.arg = self,
		.permission = PERMISSION_PUBLISH,
		.measures = true,
		.publishes = true,
		.counts = WSM_SENT,
		.open = on_open,
		.read = read_event,
		.answer = write_answer,
		.most = most,
		.silent = ws_note_silence,
	};
}

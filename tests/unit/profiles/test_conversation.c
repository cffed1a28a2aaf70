/* Conversations, by their ids. */
#include "base/buf.h"
#include "profiles/monitoring/state/conversation.h"
#include "unit/check.h"
#include "unit/profiles/sample_flat.h"

static void write_conversations(struct buf *out, const struct conversations *c, int64_t now_ms)
{
	struct conversation_figures f;
	conversations_read(c, now_ms, &f);
	conversations_write(out, &f);
}

static void conversations_are_told_apart(void)
{
	struct conversations *c = conversations_create();
	struct buf text;
	struct flat e = sample_flat("send", 0, 0, 1000);
	buf_init(&text);
	e.metadata = slice_of("{\"continuation_id\":\"a\",\"model\":\"x-32K\",\"tokens\":50}");
	CHECK(conversations_add(c, &e) && conversations_add(c, &e));
	e.metadata = slice_of("{\"conversation_id\":\"b\"}");
	e.service = SERVICE_REDIS;
	CHECK(conversations_add(c, &e));
	e.metadata = slice_of("{\"model\":\"y\"}");
	CHECK(!conversations_add(c, &e));
	write_conversations(&text, c, 2000);
	CHECK_SLICE(buf_slice(&text),
		    "{\"active_sessions\":2,\"total_sessions\":2,\"conversation_length\":2,\"current_model\":\"x-32K\","
		    "\"context_tokens_used\":50,\"context_tokens_max\":32000}");
	text.len = 0;
	write_conversations(&text, c, INT64_C(24) * 3600 * 1000 + 2000);
	CHECK_SLICE(buf_slice(&text),
		    "{\"active_sessions\":0,\"total_sessions\":0,\"conversation_length\":0,\"current_model\":\"--\","
		    "\"context_tokens_used\":0,\"context_tokens_max\":128000}");
	/* There is a limit: the ones that were silent longest go. */
	for (int i = 0; i < 11000; i++) {
		char metadata[64];
		snprintf(metadata, sizeof metadata, "{\"continuation_id\":\"c%d\"}", i);
		e.metadata = slice_of(metadata);
		CHECK(conversations_add(c, &e));
	}
	text.len = 0;
	write_conversations(&text, c, 2000);
	CHECK(memmem(text.data, text.len, "\"total_sessions\":10000", 22) != NULL);
	buf_finish(&text);
	conversations_destroy(c);
}

int main(void)
{
	RUN(conversations_are_told_apart);
	return check_end();
}

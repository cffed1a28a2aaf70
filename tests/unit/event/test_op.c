/* Messages of WebSocket clients. */
#include "event/op.h"
#include "unit/check.h"

static enum err read_op(const char *text, struct op *op)
{
	static char copy[OP_REF_MAX + 64]; /* what is read points into it */
	struct fault fault;
	snprintf(copy, sizeof copy, "%s", text);
	return op_read(copy, strlen(copy), op, &fault);
}

static void messages_have_an_op(void)
{
	static const char *const bad[] = {"",
					  "[]",
					  "{}",
					  "{\"op\":\"jump\"}",
					  "{\"op\":\"ack\"}",
					  "{\"op\":\"ack\",\"seq\":-1}",
					  "{\"op\":\"publish\"}",
					  "{\"op\":\"publish\",\"events\":{}}",
					  "{\"op\":\"publish\",\"events\":[1],\"expect\":null}",
					  "{\"op\":\"publish\",\"events\":[1],\"expect\":-1}",
					  "{\"op\":\"publish\",\"events\":[1],\"seq\":1}",
					  "{\"op\":\"publish\",\"events\":[1],\"events\":[2]}",
					  "{\"op\":\"ack\",\"seq\":1,\"expect\":1}",
					  "{\"op\":\"ping\",\"op\":\"ping\"}",
					  "{\"op\":\"ping\",\"x\":1}"};
	char text[OP_REF_MAX + 64];
	struct op op;
	for (size_t i = 0; i < sizeof bad / sizeof *bad; i++)
		CHECK(read_op(bad[i], &op) == ERR_INVALID);
	CHECK(read_op("{\"op\":\"ack\",\"seq\":5,\"ref\":[1]}", &op) == ERR_NONE && op.kind == OP_ACK && op.seq == 5);
	CHECK_SLICE(op.ref, "[1]");
	CHECK(read_op("{\"op\":\"publish\",\"events\":[2]}", &op) == ERR_NONE && op.kind == OP_PUBLISH);
	CHECK_SLICE(op.events, "[2]");
	CHECK(!op.expect && read_op("{\"op\":\"publish\",\"expect\":7,\"events\":[2]}", &op) == ERR_NONE && op.expect &&
	      op.seq == 7);
	snprintf(text, sizeof text, "{\"op\":\"ping\",\"ref\":\"%0*d\"}", OP_REF_MAX - 2, 0);
	CHECK(read_op(text, &op) == ERR_NONE && op.kind == OP_PING && op.ref.len == OP_REF_MAX);
	snprintf(text, sizeof text, "{\"op\":\"ping\",\"ref\":\"%0*d\"}", OP_REF_MAX - 1, 0);
	CHECK(read_op(text, &op) == ERR_INVALID);
}

int main(void)
{
	RUN(messages_have_an_op);
	return check_end();
}

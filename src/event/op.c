#include "event/op.h"

#include "event/json.h"

static bool is_op(struct slice op, const char *name)
{
	return op.len >= 2 && json_kind(op) == JSON_STRING && json_key_is((struct slice){op.p + 1, op.len - 2}, name);
}

static enum op_kind kind_of(struct slice op)
{
	static const char *const names[] = {[OP_PUBLISH] = "publish", [OP_ACK] = "ack", [OP_PING] = "ping"};
	for (enum op_kind kind = OP_PUBLISH; kind <= OP_PING; kind++)
		if (is_op(op, names[kind]))
			return kind;
	return OP_NONE;
}

/* The members that a message may have; absent ones are empty. */
enum member { M_OP, M_REF, M_EVENTS, M_SEQ, MEMBER_COUNT };

static void find_members(struct slice message, struct slice found[MEMBER_COUNT])
{
	static const char *const names[MEMBER_COUNT] = {"op", "ref", "events", "seq"};
	for (int i = 0; i < MEMBER_COUNT; i++)
		found[i] = (struct slice){"", 0};
	for (struct json_walk w = json_walk(message); json_next(&w);)
		for (int i = 0; i < MEMBER_COUNT; i++)
			if (json_key_is(w.key, names[i]))
				found[i] = w.value;
}

enum err op_read(char *text, size_t len, struct op *out, struct fault *fault)
{
	struct json_error error;
	struct slice found[MEMBER_COUNT];
	*out = (struct op){.ref = {"", 0}, .events = {"", 0}};
	if (len == 0)
		return fault_set(fault, ERR_INVALID, "the message is empty");
	if (!json_minify(text, len, text, &len, &error))
		return fault_set(fault, ERR_INVALID, "not JSON at byte %zu: %s", error.offset, error.what);
	struct slice message = {text, len};
	if (json_kind(message) != JSON_OBJECT)
		return fault_set(fault, ERR_INVALID, "a message is a JSON object");
	find_members(message, found);
	if (found[M_REF].len > OP_REF_MAX)
		return fault_set(fault, ERR_INVALID, "\"ref\" is longer than %d bytes", OP_REF_MAX);
	out->ref = found[M_REF];
	out->kind = kind_of(found[M_OP]);
	if (out->kind == OP_NONE)
		return fault_set(fault, ERR_INVALID, "a message wants an \"op\": publish, ack or ping");
	if (out->kind == OP_ACK && !json_sequence(found[M_SEQ], &out->seq))
		return fault_set(fault, ERR_INVALID, "ack wants \"seq\": a number from 0 to 9007199254740991");
	if (out->kind == OP_PUBLISH && (found[M_EVENTS].len == 0 || json_kind(found[M_EVENTS]) != JSON_ARRAY))
		return fault_set(fault, ERR_INVALID, "publish wants \"events\": an array of events");
	out->events = found[M_EVENTS];
	return ERR_NONE;
}

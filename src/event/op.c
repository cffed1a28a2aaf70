#include "event/op.h"

#include <stdlib.h>

#include "json/json.h"

static bool is_op(struct slice op, const char *name)
{
	return op.len >= 2 && json_kind(op) == JSON_STRING && json_key_is((struct slice){op.p + 1, op.len - 2}, name);
}

/* The members that a message may have; absent ones are empty. */
enum member { M_OP, M_REF, M_EVENTS, M_EXPECT, M_SEQ, M_N, M_SPEED, M_AFTER, MEMBER_COUNT };

static const char *const member_names[MEMBER_COUNT] = {"op", "ref", "events", "expect", "seq", "n", "speed", "after"};

/* What each op may have besides itself and a ref. */
static const struct {
	const char *name;
	unsigned members;
} ops[] = {
	[OP_PUBLISH] = {"publish", 1U << M_EVENTS | 1U << M_EXPECT},
	[OP_ACK] = {"ack", 1U << M_SEQ},
	[OP_PING] = {"ping", 0},
	[OP_PAUSE] = {"pause", 0},
	[OP_RESUME] = {"resume", 0},
	[OP_STEP] = {"step", 1U << M_N},
	[OP_SPEED] = {"speed", 1U << M_SPEED},
	[OP_SEEK] = {"seek", 1U << M_AFTER},
};

static enum op_kind kind_of(struct slice op)
{
	for (enum op_kind kind = OP_PUBLISH; kind <= OP_SEEK; kind++)
		if (is_op(op, ops[kind].name))
			return kind;
	return OP_NONE;
}

static int member_of(struct slice key)
{
	int i = 0;
	while (i < MEMBER_COUNT && !json_key_is(key, member_names[i]))
		i++;
	return i;
}

/* *repeated is the first known key that the message has twice; unchanged where there is none. */
static void find_members(struct slice message, struct slice found[MEMBER_COUNT], struct slice *repeated)
{
	for (int i = 0; i < MEMBER_COUNT; i++)
		found[i] = (struct slice){"", 0};
	for (struct json_walk w = json_walk(message); json_next(&w);) {
		int i = member_of(w.key);
		if (i < MEMBER_COUNT && found[i].len > 0 && repeated->p == NULL)
			*repeated = w.key;
		else if (i < MEMBER_COUNT)
			found[i] = w.value;
	}
}

/* How much of a key an error shows. */
static int shown(struct slice key)
{
	return (int)(key.len < 60 ? key.len : 60);
}

/* A member that the op does not have is an error. */
static enum err check_members(struct slice message, enum op_kind kind, struct fault *fault)
{
	for (struct json_walk w = json_walk(message); json_next(&w);) {
		int i = member_of(w.key);
		if (i == MEMBER_COUNT || (i > M_REF && !(ops[kind].members >> i & 1)))
			return fault_set(fault, ERR_INVALID, "%s: no such member: \"%.*s\"", ops[kind].name, shown(w.key),
					 w.key.p);
	}
	return ERR_NONE;
}

static bool read_speed(struct slice value, double *out)
{
	char text[32];
	*out = 0;
	if (value.len > 0 && json_kind(value) == JSON_NULL)
		return true;
	if (value.len == 0 || json_kind(value) != JSON_NUMBER || value.len >= sizeof text)
		return false;
	*slice_copy(text, value) = '\0';
	*out = strtod(text, NULL);
	return *out >= OP_SPEED_MIN && *out <= OP_SPEED_MAX;
}

static bool read_place(struct slice value, struct slice *out)
{
	uint64_t seq;
	*out = value;
	if (value.len < 2 || json_kind(value) != JSON_STRING)
		return json_sequence(value, &seq);
	*out = (struct slice){value.p + 1, value.len - 2};
	return slice_is(*out, "first") || slice_is(*out, "head");
}

/* The members of replay ops. */
static enum err read_steering(const struct slice found[MEMBER_COUNT], struct op *out, struct fault *fault)
{
	if (out->kind == OP_STEP && found[M_N].len == 0)
		out->seq = 1;
	else if (out->kind == OP_STEP && (!json_sequence(found[M_N], &out->seq) || out->seq == 0))
		return fault_set(fault, ERR_INVALID, "n: must be a number of events (1 to 9007199254740991)");
	if (out->kind == OP_SPEED && !read_speed(found[M_SPEED], &out->speed))
		return fault_set(fault, ERR_INVALID, "speed: must be a number from 0.01 to 10000, or null");
	if (out->kind == OP_SEEK && !read_place(found[M_AFTER], &out->after))
		return fault_set(fault, ERR_INVALID, "after: must be a seq (0 to 9007199254740991), \"first\" or \"head\"");
	return ERR_NONE;
}

static enum err read_members(const struct slice found[MEMBER_COUNT], struct op *out, struct fault *fault)
{
	if (out->kind == OP_ACK && !json_sequence(found[M_SEQ], &out->seq))
		return fault_set(fault, ERR_INVALID, "ack must have \"seq\", a number from 0 to 9007199254740991");
	if (out->kind == OP_PUBLISH && (found[M_EVENTS].len == 0 || json_kind(found[M_EVENTS]) != JSON_ARRAY))
		return fault_set(fault, ERR_INVALID, "publish must have \"events\", an array of events");
	out->events = found[M_EVENTS];
	out->expect = found[M_EXPECT].len > 0;
	if (out->expect && !json_sequence(found[M_EXPECT], &out->seq))
		return fault_set(fault, ERR_INVALID, "expect: must be a seq (0 to 9007199254740991)");
	return read_steering(found, out, fault);
}

enum err op_read(char *text, size_t len, struct op *out, struct fault *fault)
{
	struct json_error error;
	struct slice found[MEMBER_COUNT];
	struct slice twice = {0};
	*out = (struct op){.ref = {"", 0}, .events = {"", 0}, .after = {"", 0}};
	if (len == 0)
		return fault_set(fault, ERR_INVALID, "the message is empty");
	if (!json_minify(text, len, text, &len, &error))
		return fault_set(fault, ERR_INVALID, "not JSON at byte %zu: %s", error.offset, error.what);
	struct slice message = {text, len};
	if (json_kind(message) != JSON_OBJECT)
		return fault_set(fault, ERR_INVALID, "a message is a JSON object");
	find_members(message, found, &twice);
	if (found[M_REF].len > OP_REF_MAX)
		return fault_set(fault, ERR_INVALID, "\"ref\" is longer than %d bytes", OP_REF_MAX);
	out->ref = found[M_REF];
	out->kind = kind_of(found[M_OP]);
	if (twice.p != NULL)
		return fault_set(fault, ERR_INVALID, "duplicate member \"%.*s\"", shown(twice), twice.p);
	if (out->kind == OP_NONE)
		return fault_set(fault, ERR_INVALID,
				 "a message must have an \"op\": publish, ack, ping, pause, resume, step, speed or seek");
	enum err err = check_members(message, out->kind, fault);
	return err ? err : read_members(found, out, fault);
}

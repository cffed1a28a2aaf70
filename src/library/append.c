/* Events from a program into batches of the store; appends and transactions. */
#include <assert.h>
#include <stdlib.h>
#include <string.h>

#include "base/buf.h"
#include "library/library.h"
#include "json/json.h"

/* --- events --- */

static void write_name(struct buf *out, const char *member, const char *name)
{
	buf_printf(out, "\"%s\":", member);
	buf_json(out, slice_of(name));
	buf_addc(out, ',');
}

static enum err check_names(const struct tm_new_event *e, struct fault *fault)
{
	enum err err = e->stream != NULL ? library_check_name("stream", e->stream, fault) : ERR_NONE;
	if (!err && e->type != NULL)
		err = library_check_name("type", e->type, fault);
	if (!err && e->id != NULL)
		err = library_check_name("id", e->id, fault);
	return err;
}

/* Appends the event as an object without white space. */
static enum err write_event(struct buf *out, const struct tm_new_event *e, struct fault *fault)
{
	struct json_error error;
	size_t len = e->data == NULL ? 0 : e->data_len > 0 ? e->data_len : strlen(e->data);
	enum err err = check_names(e, fault);
	if (err)
		return err;
	buf_addc(out, '{');
	if (e->stream != NULL)
		write_name(out, "stream", e->stream);
	if (e->type != NULL)
		write_name(out, "type", e->type);
	if (e->id != NULL)
		write_name(out, "id", e->id);
	buf_adds(out, "\"data\":");
	if (!buf_reserve(out, len + 1))
		return fault_nomem(fault);
	if (!json_minify(e->data != NULL ? e->data : "", len, out->data + out->len, &len, &error))
		return fault_set(fault, ERR_INVALID, "the data is not JSON at byte %zu: %s", error.offset, error.what);
	out->len += len;
	buf_addc(out, '}');
	return ERR_NONE;
}

static enum err make_batch(const struct tm_store *s, const struct tm_new_event *events, size_t count, struct batch **out,
			   struct fault *fault)
{
	struct buf text;
	enum err err = ERR_NONE;
	*out = NULL;
	buf_init(&text);
	for (size_t i = 0; !err && i < count; i++) {
		buf_addc(&text, i == 0 ? '[' : ',');
		err = write_event(&text, &events[i], fault);
		if (err && fault->place < 0)
			fault->place = (long)i;
	}
	if (!err && count == 0)
		err = fault_set(fault, ERR_INVALID, "there is no event to append");
	buf_addc(&text, ']');
	if (!err && buf_failed(&text))
		err = fault_nomem(fault);
	if (err) {
		buf_finish(&text);
		return err;
	}
	return batch_from_value_take(buf_slice(&text), text.data, BATCH_JSON, s->limits, out, fault);
}

static enum err read_batch(const struct tm_store *s, struct tm_text text, struct batch **out, struct fault *fault)
{
	static const enum batch_form forms[] = {[TM_JSON] = BATCH_JSON,
						[TM_LINES] = BATCH_LINES,
						[TM_CLOUDEVENT] = BATCH_CLOUDEVENT,
						[TM_CLOUDEVENTS] = BATCH_CLOUDEVENTS};
	*out = NULL;
	if ((unsigned)text.form >= sizeof forms / sizeof *forms)
		return fault_set(fault, ERR_INVALID, "there is no form %d", (int)text.form);
	char *copy = malloc(text.len + 1);
	if (copy == NULL)
		return fault_nomem(fault);
	slice_copy(copy, (struct slice){text.text, text.len});
	return batch_parse_take(copy, text.len, forms[text.form], s->limits, out, fault);
}

/* --- appending --- */

struct append {
	struct write_request request; /* first */
	struct batch *batch;
	const struct tm_append_options *options; /* NULL: the defaults */
	struct receipt receipt;
};

static enum err run_append(struct write_request *request, struct store *store, struct fault *fault)
{
	struct append *a = (struct append *)request;
	const struct tm_append_options *o = a->options;
	struct append_options options = {.expect = o != NULL && o->expect, .expect_last = o != NULL ? o->expect_last : 0};
	return store_append(store, a->batch, &options, &a->receipt, fault);
}

/* What became of a batch that was stored. */
static void hand_out(const struct append *a, struct tm_receipt *out)
{
	const struct tm_append_options *o = a->options;
	const struct receipt *r = &a->receipt;
	size_t count = batch_count(a->batch);
	for (size_t i = 0; o != NULL && o->seqs != NULL && i < count && i < o->seqs_max; i++)
		o->seqs[i] = r->seqs != NULL ? r->seqs[i] : r->first + i;
	if (out != NULL)
		*out = (struct tm_receipt){.first = r->first,
					   .last = r->last,
					   .count = r->count,
					   .duplicates = r->duplicates,
					   .time = r->time_ms};
}

/* A batch, or why there is none, in a commit with others. */
static enum tm_err append(struct tm_store *s, enum err err, struct append *a, struct tm_receipt *receipt,
			  struct tm_error *error)
{
	if (receipt != NULL)
		*receipt = (struct tm_receipt){0};
	if (!err) {
		a->request.run = run_append;
		a->request.weight = batch_bytes(a->batch);
		err = write_run(s, &a->request);
	}
	if (!err)
		hand_out(a, receipt);
	receipt_finish(&a->receipt);
	batch_destroy(a->batch);
	return library_fault(err, &a->request.fault, error);
}

enum tm_err tm_append(struct tm_store *store, const struct tm_new_event *events, size_t count,
		      const struct tm_append_options *options, struct tm_receipt *receipt, struct tm_error *error)
{
	struct append a = {.options = options, .request.fault.place = -1};
	if (store->read_only)
		return library_read_only(error);
	return append(store, make_batch(store, events, count, &a.batch, &a.request.fault), &a, receipt, error);
}

enum tm_err tm_append_json(struct tm_store *store, struct tm_text text, const struct tm_append_options *options,
			   struct tm_receipt *receipt, struct tm_error *error)
{
	struct append a = {.options = options, .request.fault.place = -1};
	if (store->read_only)
		return library_read_only(error);
	return append(store, read_batch(store, text, &a.batch, &a.request.fault), &a, receipt, error);
}

/* --- transactions --- */

struct tm_transaction {
	struct tm_store *store;
	struct fault fault; /* by which it has failed; ERR_NONE: it has not */
	uint64_t last;      /* seq of the newest event in it; 0: none */
};

enum tm_err tm_begin(struct tm_store *store, struct tm_transaction **out, struct tm_error *error)
{
	struct fault fault = {.place = -1};
	*out = NULL;
	if (store->read_only)
		return library_read_only(error);
	struct tm_transaction *t = calloc(1, sizeof *t);
	if (t == NULL)
		return library_error(TM_NOMEM, error, "out of memory");
	t->store = store;
	enum err err = write_take(store, true, &fault);
	if (err) {
		free(t);
		return library_fault(err, &fault, error);
	}
	*out = t;
	return TM_OK;
}

/* What an addition has come to: anything but a refusal is the end of the transaction. */
static enum err note(struct tm_transaction *t, enum err err, const struct fault *fault)
{
	if (!err || write_is_refusal(err))
		return err;
	t->fault = *fault;
	t->fault.code = err;
	return err;
}

static enum tm_err add(struct tm_transaction *t, enum err err, struct append *a, struct tm_receipt *receipt,
		       struct tm_error *error)
{
	struct fault *fault = &a->request.fault;
	if (receipt != NULL)
		*receipt = (struct tm_receipt){0};
	if (t->fault.code != ERR_NONE)
		*fault = t->fault;
	else if (!err)
		err = run_append(&a->request, t->store->store, fault);
	err = t->fault.code != ERR_NONE ? t->fault.code : note(t, err, fault);
	if (!err) {
		hand_out(a, receipt);
		t->last = a->receipt.last > t->last ? a->receipt.last : t->last;
	}
	receipt_finish(&a->receipt);
	batch_destroy(a->batch);
	return library_fault(err, fault, error);
}

enum tm_err tm_add(struct tm_transaction *transaction, const struct tm_new_event *events, size_t count,
		   const struct tm_append_options *options, struct tm_receipt *receipt, struct tm_error *error)
{
	struct append a = {.options = options, .request.fault.place = -1};
	enum err err = make_batch(transaction->store, events, count, &a.batch, &a.request.fault);
	return add(transaction, err, &a, receipt, error);
}

enum tm_err tm_add_json(struct tm_transaction *transaction, struct tm_text text, const struct tm_append_options *options,
			struct tm_receipt *receipt, struct tm_error *error)
{
	struct append a = {.options = options, .request.fault.place = -1};
	enum err err = read_batch(transaction->store, text, &a.batch, &a.request.fault);
	return add(transaction, err, &a, receipt, error);
}

enum tm_err tm_add_position(struct tm_transaction *transaction, const char *name, uint64_t seq, struct tm_error *error)
{
	struct tm_transaction *t = transaction;
	struct fault fault = t->fault;
	enum err err = fault.code;
	if (!err)
		err = note(t, position_put(t->store->store, name, seq, t->last, &fault), &fault);
	return library_fault(err, &fault, error);
}

enum tm_err tm_commit(struct tm_transaction *transaction, struct tm_error *error)
{
	struct fault fault = transaction->fault;
	enum err err = write_end(transaction->store, fault.code, &fault);
	write_give(transaction->store);
	free(transaction);
	return library_fault(err, &fault, error);
}

void tm_rollback(struct tm_transaction *transaction)
{
	if (transaction == NULL)
		return;
	store_rollback(transaction->store->store);
	write_give(transaction->store);
	free(transaction);
}

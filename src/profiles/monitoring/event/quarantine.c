#include "profiles/monitoring/event/quarantine.h"

#include <inttypes.h>
#include <stdio.h>

#include "profiles/monitoring/event/validity.h"
#include "json/document.h"
#include "json/numbers.h"

enum { NUMBERS = 3 };

void quarantine_add(struct quarantine *q, const struct quarantined *what)
{
	q->items[q->added++ % QUARANTINE_MAX] = *what;
}

uint32_t quarantine_count(const struct quarantine *q)
{
	return q->added < QUARANTINE_MAX ? (uint32_t)q->added : QUARANTINE_MAX;
}

/* By its index, the oldest being 0. */
static const struct quarantined *at(const struct quarantine *q, uint32_t index)
{
	return &q->items[(q->added - quarantine_count(q) + index) % QUARANTINE_MAX];
}

/* The index of the first after a seq. */
static uint32_t index_after(const struct quarantine *q, uint64_t after)
{
	uint32_t low = 0;
	uint32_t high = quarantine_count(q);
	while (low < high) {
		uint32_t middle = low + (high - low) / 2;
		if (at(q, middle)->seq > after)
			high = middle;
		else
			low = middle + 1;
	}
	return low;
}

uint32_t quarantine_read(const struct quarantine *q, uint64_t after, uint32_t limit, struct quarantined *out)
{
	uint32_t count = 0;
	for (uint32_t i = index_after(q, after); i < quarantine_count(q) && count < limit; i++)
		out[count++] = *at(q, i);
	return count;
}

enum err quarantine_save(const struct quarantine *q, struct store *store, uint64_t saved, struct fault *fault)
{
	enum err err = ERR_NONE;
	struct buf text;
	buf_init(&text);
	for (uint32_t i = index_after(q, saved); !err && i < quarantine_count(q); i++) {
		const struct quarantined *what = at(q, i);
		const uint64_t n[NUMBERS] = {(uint64_t)what->time_ms, (uint64_t)what->service, what->rules};
		char key[24];
		text.len = 0;
		numbers_write(&text, n, NUMBERS);
		snprintf(key, sizeof key, "%020" PRIu64, what->seq);
		err = buf_failed(&text) ? fault_nomem(fault)
					: store_note_put(store, "quarantine", slice_of(key), (int64_t)what->seq,
							 buf_slice(&text), fault);
	}
	buf_finish(&text);
	if (!err && q->added > QUARANTINE_MAX)
		err = store_note_trim(store, "quarantine", (int64_t)at(q, 0)->seq, fault);
	return err;
}

static enum err on_note(void *arg, struct slice key, int64_t seq, struct slice value)
{
	struct quarantine *q = arg;
	uint64_t n[NUMBERS];
	(void)key;
	if (!numbers_read(value, n, NUMBERS) || n[1] >= SERVICES || n[2] >= 1u << VALIDITIES)
		return ERR_CORRUPT;
	quarantine_add(q, &(struct quarantined){(uint64_t)seq, (int64_t)n[0], (enum service)n[1], (unsigned)n[2]});
	return ERR_NONE;
}

enum err quarantine_load(struct quarantine *q, struct store *store, struct fault *fault)
{
	return store_note_each(store, "quarantine", on_note, q, fault);
}

void quarantined_write(struct buf *out, const struct quarantined *what)
{
	struct document d;
	struct doc root = document_begin(&d);
	doc_u64(root, "seq", what->seq);
	doc_time(root, "time", what->time_ms);
	doc_string(root, "stream", service_name(what->service));
	struct doc errors = doc_array(root, "errors");
	for (int i = 0; i < VALIDITIES; i++) {
		if ((what->rules & 1u << i) == 0)
			continue;
		struct doc error = doc_object(errors, NULL);
		doc_string(error, "rule_name", validity_rule((enum validity)i));
		doc_string(error, "error_message", validity_reason((enum validity)i));
		doc_string(error, "severity", "error");
	}
	document_end(&d, out);
}

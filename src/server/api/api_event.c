/* GET /v1/events/{seq}. */
/* GET /v1/events in its three forms, and GET /v1/events/{seq}. */
#include <inttypes.h>
#include <stdlib.h>

#include "server/api/api.h"
#include "store/read/history.h"
#include "json/json.h"

static enum err read_seq(struct api *api, struct http_request *x, uint64_t *seq, struct fault *fault)
{
	if (!json_sequence(request_segment(x), seq) || *seq == 0)
		return fault_set(fault, ERR_INVALID, "the path must end with a seq (1 to 9007199254740991)");
	if (*seq > store_head(api->store))
		return fault_set(fault, ERR_NOT_FOUND, "event %" PRIu64 " does not exist: the head is %" PRIu64, *seq,
				 store_head(api->store));
	if (*seq < store_first(api->store))
		return fault_set(fault, ERR_GONE, "event %" PRIu64 " was removed by retention: the first event is %" PRIu64,
				 *seq, store_first(api->store));
	return ERR_NONE;
}

/* The part of the store that the token may read; NULL with ERR_NONE: all of it. */
static enum err select_granted(struct api *api, struct http_request *x, struct selection **out, struct fault *fault)
{
	*out = NULL;
	if (!grant_is_limited(request_grant(x)))
		return ERR_NONE;
	struct filter *f = filter_create();
	bool fine = f != NULL && grant_narrow(request_grant(x), f);
	if (fine)
		*out = history_select_take(api->store, f);
	else
		filter_destroy(f);
	return *out != NULL ? ERR_NONE : fault_nomem(fault);
}

void api_event(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct fault fault;
	uint64_t seq;
	struct page *page = NULL;
	struct selection *select = NULL;
	enum err err = read_seq(api, x, &seq, &fault);
	if (!err && request_reply_max(x, &fault) == 0)
		err = fault.code;
	if (!err)
		err = select_granted(api, x, &select, &fault);
	if (!err) {
		struct history_query q = {seq - 1, seq + 1, .count_max = 1, .bytes_max = 1, .select = select};
		err = history_page(reader, &q, &page, &fault);
	}
	if (!err && page_count(page) == 0 && select != NULL)
		err = fault_set(&fault, ERR_DENIED, "this token may not read the stream of event %" PRIu64, seq);
	else if (!err && page_count(page) == 0)
		err = fault_set(&fault, ERR_CORRUPT, "event %" PRIu64 " is missing", seq);
	if (err) {
		request_fault(x, &fault);
	} else {
		struct slice envelope = page_envelope(page, 0);
		buf_add(request_out(x), envelope.p, envelope.len);
		request_status(x, 200, "application/json");
	}
	selection_destroy(select);
	page_unref(page);
	request_done(x);
}

/* What named readers have handled: sessions of the store. */
#include "base/system/clock.h"

#include "library/library.h"
#include <inttypes.h>

struct position {
	struct write_request request; /* first */
	const char *name;
	uint64_t seq;
	bool found;
};

/* The line of history that an event is on. */
static void line_of(const struct store *store, uint64_t seq, char epoch[LINE_EPOCH_LEN + 1])
{
	struct line line;
	for (uint32_t i = 0; store_line(store, i, &line) && (i == 0 || line.first <= seq); i++)
		memcpy(epoch, line.epoch, sizeof line.epoch);
}

enum err position_put(struct store *store, const char *name, uint64_t seq, uint64_t added, struct fault *fault)
{
	char epoch[LINE_EPOCH_LEN + 1] = "";
	uint64_t head = store_head(store);
	uint64_t end = added > head ? added : head;
	enum err err = library_check_name("name", name, fault);
	if (err)
		return err;
	if (seq > end) /* a position after the head would skip future events */
		return fault_set(fault, ERR_INVALID, "position %" PRIu64 " is after the head, %" PRIu64, seq, end);
	line_of(store, seq, epoch);
	struct stored_session session = {
		.name = slice_of(name), .acked = seq, .updated_ms = clock_wall_ms(), .epoch = slice_of(epoch)};
	return store_session_put(store, &session, fault);
}

static enum err run_save(struct write_request *request, struct store *store, struct fault *fault)
{
	const struct position *p = (const struct position *)request;
	return position_put(store, p->name, p->seq, 0, fault);
}

static enum err run_delete(struct write_request *request, struct store *store, struct fault *fault)
{
	return store_session_delete(store, slice_of(((const struct position *)request)->name), fault);
}

struct search {
	const struct store *store;
	struct position *position;
};

static enum err on_session(void *arg, const struct stored_session *session)
{
	struct search *s = arg;
	char epoch[LINE_EPOCH_LEN + 1] = "";
	uint64_t end = UINT64_MAX;
	if (!slice_is(session->name, s->position->name))
		return ERR_NONE;
	if (session->epoch.len < sizeof epoch)
		slice_copy(epoch, session->epoch);
	store_line_end(s->store, epoch, &end); /* that a line is not known is no reason to go back */
	s->position->found = true;
	s->position->seq = session->acked < end ? session->acked : end;
	return ERR_NONE;
}

static enum err run_find(struct write_request *request, struct store *store, struct fault *fault)
{
	struct search s = {store, (struct position *)request};
	return store_session_each(store, on_session, &s, fault);
}

static enum tm_err run(struct tm_store *s, struct position *p, struct tm_error *error)
{
	enum err err = library_check_name("name", p->name, &p->request.fault);
	if (!err)
		err = write_run(s, &p->request);
	return library_fault(err, &p->request.fault, error);
}

enum tm_err tm_position_save(struct tm_store *store, const char *name, uint64_t seq, struct tm_error *error)
{
	struct position p = {.request = {.run = run_save, .fault.place = -1}, .name = name, .seq = seq};
	return store->read_only ? library_read_only(error) : run(store, &p, error);
}

enum tm_err tm_position_delete(struct tm_store *store, const char *name, struct tm_error *error)
{
	struct position p = {.request = {.run = run_delete, .fault.place = -1}, .name = name};
	return store->read_only ? library_read_only(error) : run(store, &p, error);
}

enum tm_err tm_position(struct tm_store *store, const char *name, uint64_t *seq, struct tm_error *error)
{
	struct position p = {.request = {.run = run_find, .fault.place = -1}, .name = name};
	*seq = 0;
	enum tm_err err = run(store, &p, error);
	if (!err && !p.found)
		return library_error(TM_NOT_FOUND, error, "no position is saved under %s", name);
	*seq = p.seq;
	return err;
}

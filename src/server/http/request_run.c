/* Runs handlers, on the network thread or on the pool, and completes their requests. */
#include <assert.h>
#include <fcntl.h>
#include <unistd.h>

#include "server/http/http_internal.h"

enum { SEARCH_RUNS_MIN = 20 /* runs on the pool: more than the longest page needs if every event that it reads matches */ };

/* Refuses a request because the server is shutting down. */
static void refuse_unready(struct http_request *x)
{
	reply_refuse_unready(x);
	request_hold(x, 0);
	request_done(x);
}

/* A request that needs many runs to find its events. */
static bool is_search(const struct http_request *x)
{
	return x->read == NULL && x->runs >= SEARCH_RUNS_MIN;
}

/* Has the client closed while the request waited or searched? Thousands may have, and none must cost a read. */
static bool client_has_closed(const struct http_request *x)
{
	bool waited = x->resumes || x->waiting_since_ms != 0 || is_search(x);
	return waited && x->read == NULL && x->conn != NULL && http_conn_has_ended(x->conn);
}

/* Counts a search against its client's limit. False: the limit is reached, and the request is refused. */
static bool count_search(struct http_request *x)
{
	struct fault fault;
	x->search.client = x->client;
	if (!is_search(x) || quota_hold(&x->search, QUOTA_SEARCHES, 1, &fault) == ERR_NONE)
		return true;
	request_hold(x, 0);
	request_fault(x, &fault);
	request_done(x);
	return false;
}

static void end_closed(struct http_request *x)
{
	request_cut(x);
	refuse_unready(x);
}

static void run_deferred(struct pool_job *job, struct reader *reader)
{
	struct http_request *x = LIST_ITEM(job, struct http_request, job);
	struct http *h = x->http;
	bool served = x->served;
	bool ends = h->refusing && x->has_run && x->read == NULL;
	bool closed = client_has_closed(x);
	x->has_run = true;
	x->runs = x->resumes ? 0 : x->runs + 1;
	x->resumes = false;
	x->waiting_since_ms = 0;
	x->served = false;
	if (closed)
		end_closed(x);
	else if (ends)
		refuse_unready(x);
	else if (count_search(x))
		x->deferred(x->route_arg, x, reader); /* `x` may be freed afterwards */
	if (!served)
		return;
	pthread_mutex_lock(&h->lock);
	h->served--;
	pthread_mutex_unlock(&h->lock);
	reply_memory_serve_waiting(h, 0);
}

/* Reply memory is checked when the job runs: other requests may have taken it since. */
static void run_with_memory(struct pool_job *job, struct reader *reader)
{
	struct http_request *x = LIST_ITEM(job, struct http_request, job);
	if (client_has_closed(x) || !reply_memory_wait(x))
		run_deferred(job, reader);
}

void request_slow_down(struct http_request *x)
{
	x->slow = true;
}

static void defer(struct http_request *x, http_handler *run, void (*how)(struct pool_job *job, struct reader *reader))
{
	x->deferred = run;
	x->job.run = how;
	x->job.client = x->client;
	if (x->slow)
		pool_submit_slow(x->http->pool, &x->job);
	else if (x->has_run)
		pool_submit_again(x->http->pool, &x->job);
	else
		pool_submit(x->http->pool, &x->job);
}

void request_defer(struct http_request *x, http_handler *run)
{
	defer(x, run, run_deferred);
}

void request_defer_reply(struct http_request *x, http_handler *run)
{
	x->resumes = x->has_run;
	defer(x, run, run_with_memory);
}

/* The connection is suspended before any thread can resume it. */
void request_run(struct http_request *x)
{
	x->stage = RUNNING;
	request_set_answering(x, true);
	MHD_suspend_connection(x->connection);
	if ((x->route->flags & ROUTE_DIRECT) != 0)
		x->route->handle(x->route_arg, x, NULL);
	else if ((x->route->flags & ROUTE_HELD) != 0)
		request_defer_reply(x, x->route->handle);
	else
		request_defer(x, x->route->handle);
}

/* The reply has exceeded the small budget. */
static bool exceeds_small(const struct http_request *x)
{
	return x->small && x->out.cap > QUOTA_SMALL_REPLY && !buf_failed(&x->out);
}

static void run_again(struct http_request *x)
{
	reply_drop_headers(x);
	buf_finish(&x->out);
	request_hold(x, 0);
	x->small = false;
	x->not_small = true;
	request_defer_reply(x, x->route->handle);
}

void request_done(struct http_request *x)
{
	buf_trim(&x->out);
	if (exceeds_small(x)) {
		run_again(x);
		return;
	}
	if ((x->route->flags & ROUTE_PACKED) != 0 && x->read == NULL && (x->status == 200 || x->status == 304)) {
		request_add_header(x, "Vary", "Accept-Encoding");
		reply_pack(x);
	}
	if (x->stage != TAKEN)
		x->stage = DONE;
	quota_hold(&x->search, QUOTA_SEARCHES, 0, NULL);
	request_hold(x, (x->small ? 0 : x->held) + x->out.cap);
	http_loop_resume(x->http->loop, x->connection);
}

void request_wait(struct http_request *x)
{
	MHD_suspend_connection(x->connection);
}

bool request_wait_for(struct http_request *x, http_handler *run)
{
	struct http *h = x->http;
	if (!reply_memory_begin_handover(h))
		return false;
	request_wait(x);
	request_defer_reply(x, run);
	reply_memory_end_handover(h);
	return true;
}

void request_resume(struct http_request *x)
{
	http_loop_resume(x->http->loop, x->connection);
}

/* The connection is suspended, so libmicrohttpd has taken the descriptor out of its epoll set. The stub gets the
 * descriptor's number, so that libmicrohttpd shuts down and closes the stub
 * (docs/decisions/0019-upgrade-on-any-request.md). */
enum err request_take_socket(struct http_request *x, int *fd, uint64_t *peer, struct fault *fault)
{
	struct http *h = x->http;
	assert(x->stage == RUNNING && (x->route->flags & ROUTE_DIRECT) != 0);
	int number = x->conn->fd;
	int taken = fcntl(number, F_DUPFD_CLOEXEC, 0);
	if (taken < 0)
		return fault_set(fault, ERR_IO, "the server has no file descriptor left: raise the limit of open files");
	int rc = dup3(h->stub, number, O_CLOEXEC);
	assert(rc == number); /* both descriptors are open */
	x->conn->taken = true;
	x->stage = TAKEN;
	*fd = taken;
	*peer = proxies_counted(h->options.guard->proxies, connection_address(x->connection));
	return ERR_NONE;
}

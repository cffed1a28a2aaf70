/* Running handlers, on the network thread or on the pool, and what follows when they are done. */
#include <assert.h>
#include <fcntl.h>
#include <unistd.h>

#include "server/http/http_internal.h"

enum { SEARCH_TURNS = 20 /* on the pool: more than the longest page needs that finds all it looks at */ };

/* A server that stops does not go on with what takes long. */
static void end_long(struct http_request *x)
{
	reply_refuse_unready(x);
	request_hold(x, 0);
	request_done(x);
}

/* It is one that takes many turns. */
static bool is_search(const struct http_request *x)
{
	return x->read == NULL && x->turns >= SEARCH_TURNS;
}

/* Who has waited for the answer, or has it take long, and has closed meanwhile is taken for gone: thousands may have. */
static bool has_gone(const struct http_request *x)
{
	bool waited = x->resumes || x->waiting_since_ms != 0 || is_search(x);
	return waited && x->read == NULL && x->conn != NULL && http_conn_has_ended(x->conn);
}

/* False: its client has as many searches as it may, and this one has ended. */
static bool go_on_searching(struct http_request *x)
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

static void end_gone(struct http_request *x)
{
	request_cut(x);
	end_long(x);
}

static void run_deferred(struct pool_job *job, struct reader *reader)
{
	struct http_request *x = LIST_ITEM(job, struct http_request, job);
	struct http *h = x->http;
	bool served = x->served;
	bool ends = h->refusing && x->had_turn && x->read == NULL;
	bool gone = has_gone(x);
	x->had_turn = true;
	x->turns = x->resumes ? 0 : x->turns + 1;
	x->resumes = false;
	x->waiting_since_ms = 0;
	x->served = false;
	if (gone)
		end_gone(x);
	else if (ends)
		end_long(x);
	else if (go_on_searching(x))
		x->deferred(x->route_arg, x, reader); /* the exchange may be gone */
	if (!served)
		return;
	pthread_mutex_lock(&h->lock);
	h->served--;
	pthread_mutex_unlock(&h->lock);
	room_serve_waiting(h, 0);
}

/* The room is looked for when it is needed: until then others may have taken it. */
static void run_with_room(struct pool_job *job, struct reader *reader)
{
	struct http_request *x = LIST_ITEM(job, struct http_request, job);
	if (has_gone(x) || !room_wait(x))
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
	else if (x->had_turn)
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
	x->resumes = x->had_turn;
	defer(x, run, run_with_room);
}

/* The connection is suspended before anybody can resume it. */
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

/* It has turned out larger than what there was room for. */
static bool is_to_be_made_again(const struct http_request *x)
{
	return x->small && x->out.cap > QUOTA_SMALL_REPLY && !buf_failed(&x->out);
}

static void make_again(struct http_request *x)
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
	if (is_to_be_made_again(x)) {
		make_again(x);
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
	if (!room_begin_handing_over(h))
		return false;
	request_wait(x);
	request_defer_reply(x, run);
	room_end_handing_over(h);
	return true;
}

void request_resume(struct http_request *x)
{
	http_loop_resume(x->http->loop, x->connection);
}

/* The connection is suspended, so that libmicrohttpd has taken the descriptor out of its epoll set. What it does with the
 * number from here on, it does with the stub: a shutdown, and a close (docs/decisions/0019-upgrade-on-any-request.md). */
enum err request_take_socket(struct http_request *x, int *fd, uint64_t *peer, struct fault *fault)
{
	struct http *h = x->http;
	assert(x->stage == RUNNING && (x->route->flags & ROUTE_DIRECT) != 0);
	int number = x->conn->fd;
	int taken = fcntl(number, F_DUPFD_CLOEXEC, 0);
	if (taken < 0)
		return fault_set(fault, ERR_IO, "the server has no descriptor left (see the limit of open files)");
	int rc = dup3(h->stub, number, O_CLOEXEC);
	assert(rc == number); /* both are open */
	x->conn->taken = true;
	x->stage = TAKEN;
	*fd = taken;
	*peer = proxies_counted(h->options.guard->proxies, connection_address(x->connection));
	return ERR_NONE;
}

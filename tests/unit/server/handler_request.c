#include "unit/server/handler_request.h"

#include "server/stream/waiters.h"
#include "store/index/selection.h"
#include "unit/check.h"

sem_t handler_deferred;

const struct url *__wrap_request_url(const struct http_request *x);
struct buf *__wrap_request_out(struct http_request *x);
const struct grant *__wrap_request_grant(const struct http_request *x);
struct slice __wrap_request_header(const struct http_request *x, const char *name);
void __wrap_request_each_header(const struct http_request *x, const char *prefix, header_visit *visit, void *arg);
void __wrap_request_keep(struct http_request *x, void *state, void (*destroy)(void *state));
void *__wrap_request_state(const struct http_request *x);
void __wrap_request_status(struct http_request *x, int status, const char *content_type);
void __wrap_request_add_header(struct http_request *x, const char *name, const char *value);
size_t __wrap_request_reply_max(const struct http_request *x, struct fault *f);
void __wrap_request_hold(struct http_request *x, size_t bytes);
void __wrap_request_fault(struct http_request *x, const struct fault *f);
void __wrap_request_defer(struct http_request *x, http_handler *run);
void __wrap_request_done(struct http_request *x);
enum err __wrap_long_poll_wait(struct waiters *p, const struct reader_query *query, struct selection *select,
			       int64_t wait_ms, long_poll_again *again, void *arg);
uint64_t __wrap_request_client(const struct http_request *x);
enum err __wrap_request_stay(struct http_request *x, struct fault *why);
void __wrap_request_slow_down(struct http_request *x);
enum err __wrap_reply_stream_take(struct http_request *x, struct reply_piece *first, reply_stream_fill *fill, void *source,
				  size_t held, void (*destroy)(void *source));

uint64_t __wrap_request_client(const struct http_request *x)
{
	return x->client;
}

enum err __wrap_request_stay(struct http_request *x, struct fault *why)
{
	(void)x;
	(void)why;
	return ERR_NONE;
}

void __wrap_request_slow_down(struct http_request *x)
{
	x->slow = true;
}

enum err __wrap_reply_stream_take(struct http_request *x, struct reply_piece *first, reply_stream_fill *fill, void *source,
				  size_t held, void (*destroy)(void *source))
{
	(void)held;
	x->ended = first->end;
	buf_finish(&first->bytes);
	x->fill = fill;
	x->source = x->state = source;
	x->destroy = destroy;
	return ERR_NONE;
}

const struct url *__wrap_request_url(const struct http_request *x)
{
	return &x->url;
}

struct buf *__wrap_request_out(struct http_request *x)
{
	return &x->out;
}

const struct grant *__wrap_request_grant(const struct http_request *x)
{
	return &x->grant;
}

struct slice __wrap_request_header(const struct http_request *x, const char *name)
{
	(void)x;
	(void)name;
	return (struct slice){"", 0};
}

void __wrap_request_each_header(const struct http_request *x, const char *prefix, header_visit *visit, void *arg)
{
	(void)x;
	(void)prefix;
	(void)visit;
	(void)arg;
}

void __wrap_request_keep(struct http_request *x, void *state, void (*destroy)(void *state))
{
	x->state = state;
	x->destroy = destroy;
}

void *__wrap_request_state(const struct http_request *x)
{
	return x->state;
}

void __wrap_request_status(struct http_request *x, int status, const char *content_type)
{
	(void)content_type;
	x->status = status;
}

void __wrap_request_add_header(struct http_request *x, const char *name, const char *value)
{
	(void)x;
	(void)name;
	(void)value;
}

size_t __wrap_request_reply_max(const struct http_request *x, struct fault *f)
{
	(void)x;
	(void)f;
	return 64 << 20;
}

void __wrap_request_hold(struct http_request *x, size_t bytes)
{
	x->held = bytes;
}

void __wrap_request_fault(struct http_request *x, const struct fault *f)
{
	snprintf(x->why, sizeof x->why, "%.199s", f->text);
	x->status = 500;
}

void __wrap_request_defer(struct http_request *x, http_handler *run)
{
	CHECK(x->put_off == NULL && !x->done && !x->waits);
	x->put_off = run;
	x->parts++;
	sem_post(&handler_deferred);
}

void __wrap_request_done(struct http_request *x)
{
	CHECK(x->put_off == NULL && !x->done && !x->waits && x->held == 0);
	x->done = true;
}

enum err __wrap_long_poll_wait(struct waiters *p, const struct reader_query *query, struct selection *select,
			       int64_t wait_ms, long_poll_again *again, void *arg)
{
	struct http_request *x = (struct http_request *)p;
	(void)query;
	(void)wait_ms;
	(void)again;
	(void)arg;
	selection_destroy(select);
	CHECK(x->put_off == NULL && !x->done && !x->waits);
	x->waits = true;
	return ERR_NONE;
}

void handler_requests_init(void)
{
	sem_init(&handler_deferred, 0, 0);
}

void handler_request_finish(struct http_request *x)
{
	if (x->destroy != NULL)
		x->destroy(x->state);
	url_finish(&x->url);
	buf_finish(&x->out);
}

bool handler_request_says(const struct http_request *x, const char *text)
{
	return memmem(x->out.data, x->out.len, text, strlen(text)) != NULL;
}

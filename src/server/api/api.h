/* The handlers behind the routes of schema/openapi.json, and what those of profiles share with them. */
#ifndef SERVER_API_API_H
#define SERVER_API_API_H

#include "engine/read/feed.h"
#include "engine/read/session.h"
#include "engine/retention/archiver.h"
#include "engine/write/writer.h"
#include "server/access/rate.h"
#include "server/http/http.h"
#include "server/stream/waiters.h"
#include "json/document.h"

struct ws;
struct listener;

/* Figures that a profile adds: members of /v1/stats, and lines of /metrics. */
struct api_figures {
	void *arg;
	void (*stats)(void *arg, struct doc to);
	void (*metrics)(void *arg, struct buf *out); /* NULL: none */
};

enum { API_FIGURES_MAX = 8 };

/* What the handlers work with; all borrowed. Filled in before the first request. */
struct api {
	struct store *store;
	struct writer *writer;
	struct feed *feed;
	struct sessions *sessions;
	struct waiters *waiters;
	struct ws *ws;
	struct listener *listener;
	struct batch_limits limits;
	struct access *access;
	struct rates *rates;
	size_t body_max; /* bytes of a request, also when it is unpacked */
	struct archiver *archiver;
	const char *durability; /* "fsync" or "written" */
	int64_t started_mono_ms;
	struct pool *pool;
	struct quotas *quotas;
	struct api_figures figures[API_FIGURES_MAX];
	int figures_count;
	struct spread queries;  /* how long pages of history take, but for waiting */
	const char *static_dir; /* NULL: none */
	const char *base;       /* of the paths in answers; see request_guard.h */
};

extern const struct http_route api_routes[];

/* Was the parameter at `index` given before that, too? */
bool api_given_twice(const struct url *u, size_t index);
/* 503 or 429, and true, where there is no request_reply_max for an answer. */
bool api_refuse_full(struct http_request *x);
/* Says 304 or 412, and true, where that is what the conditions of the request come to for an entity of this tag, which has
 * its quotes. `modified_s`: Unix seconds; 0: it is not told when it was changed. `type` is that of the entity; NULL: the
 * request changes it, and is never answered with 304. */
bool api_answer_condition(struct http_request *x, const char *tag, int64_t modified_s, const char *type);
/* While the profiles start. */
void api_add_figures(struct api *api, struct api_figures figures);
/* Sends a page: the operator's file of the request's name, else one of ours; 404 where there is neither. */
void api_send_page(const struct api *api, struct http_request *x, const char *name);
/* Sends the JSON in request_out. */
void api_json_done(struct http_request *x, int status);
/* The same for a fault. */
void api_fault_done(struct http_request *x, const struct fault *fault);

/* Members every handler of a page of history needs: takes the query's filter. */
struct selection *api_select_take(struct api *api, struct reader_query *q);

http_handler api_publish;
http_handler api_history;
http_handler api_event;
http_handler api_streams;
http_handler api_stream;
http_handler api_sessions;
http_handler api_session_get;
http_handler api_session_put;
http_handler api_session_delete;
http_handler api_session_ack;
http_handler api_export;
http_handler api_archives;
http_handler api_archive_make;
http_handler api_archive_get;
http_handler api_archive_delete;
http_handler api_stats;
http_handler api_metrics;
http_handler api_healthz;
http_handler api_readyz;
http_handler api_websocket;
http_handler api_contract;
http_handler api_page;
http_handler api_problem;
http_handler api_file;

#endif

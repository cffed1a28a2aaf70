/* The handlers of the routes in schema/openapi.json, and functions that they share with the handlers of profiles. */
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

/* The modules that handlers use; all borrowed. Filled in before the first request. */
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
	size_t body_max; /* bytes of a request body, also after decompression */
	struct archiver *archiver;
	const char *durability; /* "fsync" or "written" */
	int64_t started_mono_ms;
	struct pool *pool;
	struct quotas *quotas;
	struct api_figures figures[API_FIGURES_MAX];
	int figures_count;
	struct spread queries;  /* time to make pages of history, without waiting */
	const char *static_dir; /* NULL: none */
	const char *base;       /* prefix of the paths in replies; see request_guard.h */
};

extern const struct http_route api_routes[];

/* Does an earlier parameter have the same name as the one at `index`? */
bool api_given_twice(const struct url *u, size_t index);
/* Refuses the request with 503 or 429 if there is no reply memory (request_reply_max); true: it was refused. */
bool api_refuse_full(struct http_request *x);
/* Answers 304 or 412 if the conditions of the request demand that for an entity with this tag (quoted); true: the status
 * is set. `modified_s`: Unix seconds of the last change; 0: unknown. `type`: the media type of the entity; NULL: the
 * request changes it, and is never answered with 304. */
bool api_answer_condition(struct http_request *x, const char *tag, int64_t modified_s, const char *type);
/* Call it while the profiles start. */
void api_add_figures(struct api *api, struct api_figures figures);
/* Sends a page: the operator's file of that name, or else the built-in one; 404 if there is neither. */
void api_send_page(const struct api *api, struct http_request *x, const char *name);
/* Completes the request with the JSON in request_out. */
void api_json_done(struct http_request *x, int status);
/* Completes the request with a fault. */
void api_fault_done(struct http_request *x, const struct fault *fault);

/* Makes the selection of a history query. Takes the query's filter. NULL: no memory. */
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

/* The handlers behind the routes of CONTRACT.md section 3. */
#ifndef NET_API_H
#define NET_API_H

#include "hub/feed.h"
#include "hub/session.h"
#include "hub/writer.h"
#include "net/http.h"
#include "net/push.h"

struct ws;
struct door;

/* What the handlers work with; all borrowed. Filled in before the first request. */
struct api {
	struct store *store;
	struct writer *writer;
	struct feed *feed;
	struct sessions *sessions;
	struct push *push;
	struct ws *ws;
	struct door *door;
	struct batch_limits limits;
	const struct option_texts *allow_origins;
	uint64_t disk_reserve;  /* bytes */
	const char *durability; /* "fsync" or "written" */
	int64_t started_mono_ms;
};

extern const struct http_route api_routes[];

/* Members every handler of a page of history needs: takes the query's filter. */
struct selection *api_select_take(struct api *api, struct query *q);

http_handler api_publish;
http_handler api_history;
http_handler api_event;
http_handler api_streams;
http_handler api_stream;
http_handler api_sessions;
http_handler api_session_get;
http_handler api_session_put;
http_handler api_session_delete;
http_handler api_stats;
http_handler api_healthz;
http_handler api_readyz;
http_handler api_websocket;
http_handler api_page;

#endif

#include "cli/client/export_error.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "cli/cli.h"
#include "json/json.h"

enum { PAGES_MAX = 16 };

#define PAGE_EVENTS "1000"

/* Requests one page after *after, which becomes the position of the next; 0: there is none, or the request failed. */
static enum err ask(struct http_client *http, const struct buf *url, uint64_t *after, enum err err, struct fault *fault)
{
	char text[24];
	struct buf whole;
	struct http_reply reply = {0};
	struct fault other;
	struct slice next;
	snprintf(text, sizeof text, "%" PRIu64, *after);
	*after = 0;
	buf_init(&whole);
	buf_add(&whole, url->data, url->len);
	cli_param(&whole, "after", text);
	cli_param(&whole, "limit", PAGE_EVENTS);
	buf_addc(&whole, '\0');
	struct http_request request = {.url = whole.data, .stoppable = true};
	if (!buf_failed(&whole) && http_send(http, &request, &reply, &other) == ERR_NONE) {
		if (reply.status / 100 != 2)
			err = http_problem(&reply, fault);
		else if (!json_member(reply.json, "next", &next) || !json_sequence(next, after))
			*after = 0;
	}
	http_reply_finish(&reply);
	buf_finish(&whole);
	return err;
}

enum err export_error_ask(struct http_client *http, const struct buf *url, uint64_t last, enum err err, struct fault *fault)
{
	enum err broken = err;
	for (int i = 0; i < PAGES_MAX && last != 0 && err == broken && !buf_failed(url); i++)
		err = ask(http, url, &last, err, fault);
	return err;
}

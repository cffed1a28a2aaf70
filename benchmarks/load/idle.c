/* Readers that wait at the head and get nothing, until standard input ends: for measuring what one costs. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "load/command.h"

static void on_message_ignored(struct conn *c, const struct message *m)
{
	(void)c;
	(void)m;
}

/* An event stream is ready when its header has come, and says nothing that must be looked at. */
static size_t sse_next(const char *bytes, size_t len, struct message *out)
{
	*out = (struct message){memcmp(bytes, "HTTP/1.1 200", 12) == 0 ? MESSAGE_READY : MESSAGE_NONE, bytes, len, 0};
	return len;
}

static void sse_greet(struct buf *out, const char *target)
{
	buf_printf(out, "GET %s HTTP/1.1\r\nHost: localhost\r\nAccept: text/event-stream\r\n\r\n", target);
}

static const struct protocol sse = {"sse", false, false, "", sse_greet, sse_next, NULL};

void idle_command(const struct args *a)
{
	struct loop loop;
	uint64_t count = args_number(a, "readers", 1000);
	struct conn *all = calloc(count, sizeof *all);
	bool ws = strcmp(args_text(a, "protocol", "ws"), "ws") == 0;
	loop_init(&loop);
	for (uint64_t i = 0; i < count; i++) {
		all[i].on_message = on_message_ignored;
		conn_open(&all[i], &loop, ws ? &tidemark_ws : &sse, (int)args_number(a, "port", 0),
			  args_text(a, "path", ws ? "/v1/ws" : "/v1/events"));
		while (loop.ready + 100 <= i)
			loop_once(&loop, 100000);
	}
	while (loop.ready < count)
		loop_once(&loop, 100000);
	figure("readers", (double)count);
	fflush(stdout);
	char c;
	/* Nothing is pinged for as long as this takes. */
	while (read(STDIN_FILENO, &c, 1) > 0)
		;
}

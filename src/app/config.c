#include "app/config.h"

#include <string.h>

#include "base/log.h"
#include "net/door.h"

#define MIB (1024 * 1024)

enum { GO_ON = -1, USAGE = 2 };

static const struct command_help help = {
	.usage = "tidemark serve [options]",
	.summary =
		"Runs the server: takes events over HTTP and WebSocket, commits each to the store before anybody sees it, "
		"and\n"
		"delivers them over WebSocket and server-sent events from any position. One port serves all of it, with a\n"
		"dashboard at /. SIGTERM and SIGINT finish what was accepted, then exit.\n\n"
		"Sizes take KiB, MiB, GiB; durations ms, s, m, h, d.",
	.examples = "  tidemark serve\n"
		    "  tidemark serve --data /var/lib/tidemark --listen 127.0.0.1:9000\n"
		    "  curl --json '{\"stream\":\"demo\",\"data\":{\"n\":1}}' http://127.0.0.1:8080/v1/events\n"
		    "  curl -N -H 'Accept: text/event-stream' 'http://127.0.0.1:8080/v1/events?after=first'",
};

/* Loopback needs no token. Anything else is open to whoever reaches it. */
static bool is_loopback(const char *address)
{
	return strncmp(address, "127.", 4) == 0 || strncmp(address, "localhost:", 10) == 0 ||
	       strncmp(address, "[::1]:", 6) == 0;
}

static int check(const struct config *c)
{
	static const char *const levels[] = {"debug", "info", "warn", "error"};
	int level = 0;
	while (level < 4 && strcmp(c->log_level, levels[level]) != 0)
		level++;
	if (level == 4) {
		fprintf(stderr, "tidemark: --log-level wants debug, info, warn or error, not: %s\n", c->log_level);
		return USAGE;
	}
	log_set_level((enum log_level)level);
	if (strcmp(c->durability, "fsync") != 0 && strcmp(c->durability, "relaxed") != 0) {
		fprintf(stderr, "tidemark: --durability wants fsync or relaxed, not: %s\n", c->durability);
		return USAGE;
	}
	for (int i = 0; i < c->listen.count; i++) {
		if (!door_address_fits(c->listen.items[i])) {
			fprintf(stderr, "tidemark: --listen wants HOST:PORT with a port from 0 to 65535, not: %s\n",
				c->listen.items[i]);
			return USAGE;
		}
		if (is_loopback(c->listen.items[i]) || c->insecure)
			continue;
		fprintf(stderr,
			"tidemark: --listen %s: anybody who reaches this address could read and publish, and this version "
			"has no "
			"tokens yet; say --insecure if that is what you want\n",
			c->listen.items[i]);
		return USAGE;
	}
	return GO_ON;
}

int config_parse(struct config *c, int argc, char **argv)
{
	*c = (struct config){
		.data = "./tidemark-data",
		.listen = {1, {"127.0.0.1:8080"}},
		.durability = "fsync",
		.max_event = MIB,
		.max_request = 32 * MIB,
		.queue_events = 100000,
		.queue_bytes = 64 * MIB,
		.ring = 32 * MIB,
		.cache = 16 * MIB,
		.max_connections = 12000,
		.handshake_timeout = 10000,
		.ping_interval = 30000,
		.disk_reserve = 64 * MIB,
		.log_level = "info",
	};
	const struct option options[] = {
		{"data", OPTION_TEXT, &c->data, "DIR", "where the store is (./tidemark-data)", 0, 0, 'd'},
		{"listen", OPTION_TEXTS, &c->listen, "HOST:PORT",
		 "address to serve, repeatable; port 0 picks a free one (127.0.0.1:8080)", 0, 0, 'l'},
		{"durability", OPTION_TEXT, &c->durability, "fsync|relaxed",
		 "acknowledge after fsync, or after write: a power loss may then take the newest events (fsync)", 0, 0, 0},
		{"max-event", OPTION_SIZE, &c->max_event, "SIZE", "largest data of one event (1MiB)", 1, 64 * MIB, 0},
		{"max-request", OPTION_SIZE, &c->max_request, "SIZE", "largest request body or WebSocket message (32MiB)",
		 1024, 1024 * MIB, 0},
		{"queue-events", OPTION_INTEGER, &c->queue_events, "N", "events that may wait for a commit (100000)", 1,
		 1 << 30, 0},
		{"queue-bytes", OPTION_SIZE, &c->queue_bytes, "SIZE", "and their memory (64MiB)", 1024,
		 INT64_C(64) * 1024 * MIB, 0},
		{"ring", OPTION_SIZE, &c->ring, "SIZE", "recent events kept in memory for readers (32MiB)", 1,
		 INT64_C(64) * 1024 * MIB, 0},
		{"cache", OPTION_SIZE, &c->cache, "SIZE", "older pages kept in memory for readers (16MiB)", 1,
		 INT64_C(64) * 1024 * MIB, 0},
		{"max-connections", OPTION_INTEGER, &c->max_connections, "N", "connections at once (12000)", 1, 1000000, 0},
		{"handshake-timeout", OPTION_DURATION, &c->handshake_timeout, "DURATION",
		 "a connection that has not sent its request by then is closed (10s)", 1, 3600000, 0},
		{"ping-interval", OPTION_DURATION, &c->ping_interval, "DURATION",
		 "idle WebSockets are pinged so often, and closed when silent for two of them (30s)", 100, 86400000, 0},
		{"max-lag", OPTION_INTEGER, &c->max_lag, "N",
		 "close WebSocket readers that are further behind; 0: never (0)", 0, INT64_MAX, 0},
		{"disk-reserve", OPTION_SIZE, &c->disk_reserve, "SIZE",
		 "refuse to publish when less than this is free on the disk (64MiB)", 0, INT64_MAX, 0},
		{"allow-origin", OPTION_TEXTS, &c->allow_origins, "ORIGIN",
		 "a web origin besides the server's own that may publish and connect, repeatable", 0, 0, 0},
		{"insecure", OPTION_FLAG, &c->insecure, NULL, "allow addresses that are not loopback", 0, 0, 0},
		{"log-level", OPTION_TEXT, &c->log_level, "LEVEL", "debug, info, warn or error (info)", 0, 0, 0},
		{"config", OPTION_TEXT, &c->config, "FILE", "read options from a file", 0, 0, 0},
		{0},
	};
	int operands;
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != GO_ON)
		return status;
	if (operands > 0) {
		fprintf(stderr, "tidemark: serve takes no operands: %s (see tidemark serve --help)\n", argv[0]);
		return USAGE;
	}
	return check(c);
}

#include "app/config.h"

#include <assert.h>
#include <string.h>

#include "app/profiles.h"
#include "base/system/log.h"
#include "base/units.h"
#include "event/event.h"
#include "server/listen/listener.h"
#include "server/message/host.h"
#include "store/archive/packer.h"

#define MIB (1024 * 1024)

enum { GO_ON = -1, USAGE = 2, PEER_CONNECTIONS = 1000 };

static const struct command_help help = {
	.usage = "tidemark serve [options]",
	.summary = "Runs the server: receives events over HTTP and WebSocket, commits them to the store before readers get\n"
		   "them, and delivers them over WebSocket and server-sent events from any position. One port serves all\n"
		   "protocols, with a dashboard at /. SIGTERM and SIGINT commit accepted events, then exit.\n\n"
		   "Units of sizes: KiB, MiB, GiB; of durations: ms, s, m, h, d.",
	.examples = "  tidemark serve\n"
		    "  tidemark serve --data /var/lib/tidemark --listen 127.0.0.1:9000\n"
		    "  curl --json '{\"stream\":\"demo\",\"data\":{\"n\":1}}' http://127.0.0.1:8080/v1/events\n"
		    "  curl -N -H 'Accept: text/event-stream' 'http://127.0.0.1:8080/v1/events?after=first'",
};

/* STREAM=AGE; the name of a stream may contain =. */
static int set_streams(struct config *c, const struct option_texts *texts)
{
	for (int i = 0; i < texts->count; i++) {
		const char *text = texts->items[i];
		const char *sign = strrchr(text, '=');
		struct archiver_stream *s = &c->retention.streams[c->retention.stream_count++];
		s->name = (struct slice){text, sign != NULL ? (size_t)(sign - text) : 0};
		if (s->name.len > 0 && s->name.len <= EVENT_NAME_MAX && units_duration(slice_of(sign + 1), &s->age_ms))
			continue;
		fprintf(stderr, "tidemark: --retain-stream must be STREAM=AGE such as audit=365d, not: %s\n", text);
		return USAGE;
	}
	return GO_ON;
}

/* "https://HOST:PORT", "http://HOST:PORT", or HOST:PORT, which uses TLS if there is a certificate. */
static int set_schemes(struct config *c)
{
	if ((c->tls_cert == NULL) != (c->tls_key == NULL)) {
		fprintf(stderr, "tidemark: --tls-cert and --tls-key must be given together\n");
		return USAGE;
	}
	for (int i = 0; i < c->listen.count; i++) {
		const char *text = c->listen.items[i];
		bool https = strncmp(text, "https://", 8) == 0;
		bool http = strncmp(text, "http://", 7) == 0;
		c->encrypted[i] = https || (!http && c->tls_cert != NULL);
		c->listen.items[i] = text + (https ? 8 : http ? 7 : 0);
		if (!c->encrypted[i] || c->tls_cert != NULL)
			continue;
		fprintf(stderr, "tidemark: --listen %s needs --tls-cert and --tls-key\n", text);
		return USAGE;
	}
	return GO_ON;
}

static int set_proxies(struct config *c, const struct option_texts *texts)
{
	for (int i = 0; i < texts->count; i++) {
		if (proxies_add(&c->proxies, texts->items[i]))
			continue;
		fprintf(stderr, "tidemark: --trusted-proxy must be an IPv4 or IPv6 address, %d at most, not: %s\n",
			PROXIES_MAX, texts->items[i]);
		return USAGE;
	}
	return GO_ON;
}

static int check(struct config *c)
{
	static const char *const levels[] = {"debug", "info", "warn", "error"};
	int level = 0;
	while (level < 4 && strcmp(c->log_level, levels[level]) != 0)
		level++;
	if (level == 4) {
		fprintf(stderr, "tidemark: --log-level must be debug, info, warn or error, not: %s\n", c->log_level);
		return USAGE;
	}
	log_set_level((enum log_level)level);
	if (strcmp(c->durability, "fsync") != 0 && strcmp(c->durability, "relaxed") != 0) {
		fprintf(stderr, "tidemark: --durability must be fsync or relaxed, not: %s\n", c->durability);
		return USAGE;
	}
	c->retention.discard = strcmp(c->archive, "none") == 0;
	if (!c->retention.discard && strcmp(c->archive, "zstd") != 0) {
		fprintf(stderr, "tidemark: --archive must be zstd or none, not: %s\n", c->archive);
		return USAGE;
	}
	bool beyond = false;
	for (int i = 0; i < c->listen.count; i++) {
		beyond = beyond || !host_is_loopback(slice_of(c->listen.items[i]));
		if (!listener_address_fits(c->listen.items[i])) {
			fprintf(stderr, "tidemark: --listen must be HOST:PORT with a port from 0 to 65535, not: %s\n",
				c->listen.items[i]);
			return USAGE;
		}
		/* A loopback address needs no token; any other address is open to every client that reaches it. */
		if (host_is_loopback(slice_of(c->listen.items[i])) || c->insecure || c->tokens != NULL)
			continue;
		fprintf(stderr,
			"tidemark: --listen %s: all clients that reach this address could read and publish; create tokens "
			"with "
			"`tidemark token add` and pass --tokens FILE, or pass --insecure to allow it\n",
			c->listen.items[i]);
		return USAGE;
	}
	/* On loopback all clients have the same address. */
	if (c->max_peer_connections < 0)
		c->max_peer_connections = beyond ? PEER_CONNECTIONS : 0;
	return GO_ON;
}

/* The path is written to JSON and HTML unescaped. */
static bool is_base_path(const char *text)
{
	enum { BASE_MAX = 128 };
	static const char fine[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
	size_t n = strlen(text);
	return n == 0 || (n <= BASE_MAX && text[0] == '/' && text[n - 1] != '/' && strspn(text, fine) == n &&
			  strstr(text, "//") == NULL && strstr(text, "/.") == NULL);
}

/* Values of options that are converted after parsing. */
struct raw {
	struct option_texts retain_streams;
	struct option_texts trusted_proxies;
	int64_t retain_bytes;
	int64_t retain_events;
	int64_t archive_level;
	int64_t archive_threads;
};

static const struct config defaults = {
	.data = "./tidemark-data",
	.listen = {1, {"127.0.0.1:8080"}},
	.base = "",
	.durability = "fsync",
	.max_event = MIB,
	.max_request = 32 * MIB,
	.queue_events = 200000,
	.queue_bytes = 128 * MIB,
	.publisher_silence = 3600 * 1000,
	.metrics_idle = 3600 * 1000,
	.ack_memory = 64 * MIB,
	.reply_memory = 64 * MIB,
	.reply_timeout = 30000,
	.ring = 32 * MIB,
	.cache = 16 * MIB,
	.max_connections = 18000,
	.max_request_events = 250000,
	.max_peer_connections = -1,
	.handshake_timeout = 10000,
	.ping_interval = 30000,
	.disk_reserve = 64 * MIB,
	.archive = "zstd",
	.log_level = "info",
};

static int append(struct option out[OPTIONS_MAX], int count, const struct option *more)
{
	for (; more->name != NULL; more++) {
		assert(count + 1 < OPTIONS_MAX);
		out[count++] = *more;
	}
	out[count] = (struct option){0};
	return count;
}

/* The options of serve, in the order in which --help shows them. */
static void make_table(struct config *c, struct raw *r, struct option out[OPTIONS_MAX])
{
	const struct option own[] = {
		{"Listening", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0},
		{"listen", OPTION_TEXTS, &c->listen, "HOST:PORT",
		 "address to listen on, repeatable; port 0 selects a free port; with a certificate, HOST:PORT uses TLS and "
		 "http://HOST:PORT does not (127.0.0.1:8080)",
		 0, 0, 'l'},
		{"tls-cert", OPTION_TEXT, &c->tls_cert, "FILE",
		 "PEM file with the certificate and its chain for TLS (HTTPS and WSS); SIGHUP reloads it", 0, 0, 0},
		{"tls-key", OPTION_TEXT, &c->tls_key, "FILE",
		 "PEM file with the private key of --tls-cert, without a password; SIGHUP reloads it", 0, 0, 0},
		{"trusted-proxy", OPTION_TEXTS, &r->trusted_proxies, "ADDRESS",
		 "address of a reverse proxy whose X-Forwarded-For names the client, for limits and the log; repeatable", 0,
		 0, 0},
		{"base-path", OPTION_TEXT, &c->base, "PATH",
		 "path under which a reverse proxy serves this server, such as /tidemark; paths in answers begin with it, "
		 "paths in requests may (none)",
		 0, 0, 0},
		{"static", OPTION_TEXT, &c->static_dir, "DIR",
		 "directory of another dashboard; its files at / and /static replace the built-in pages of the same name", 0,
		 0, 0},

		{"Storage", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0},
		{"data", OPTION_TEXT, &c->data, "DIR", "directory of the store (./tidemark-data)", 0, 0, 'd'},
		{"durability", OPTION_TEXT, &c->durability, "fsync|relaxed",
		 "acknowledge events after fsync, or after write, so that a power loss may lose the newest (fsync)", 0, 0,
		 0},
		{"disk-reserve", OPTION_SIZE, &c->disk_reserve, "SIZE",
		 "refuse publishing when the disk has less free space than this (64MiB)", 0, INT64_MAX, 0},
		{"ring", OPTION_SIZE, &c->ring, "SIZE",
		 "memory for recent events, from which live readers are served (32MiB)", 1, INT64_C(64) * 1024 * MIB, 0},
		{"cache", OPTION_SIZE, &c->cache, "SIZE",
		 "memory for pages of older events that readers have requested (16MiB)", 1, INT64_C(64) * 1024 * MIB, 0},
		{"salvage", OPTION_FLAG, &c->salvage, NULL,
		 "verify the whole store before serving it; if it is damaged, keep the readable events, report the lost "
		 "ones, and serve the rest",
		 0, 0, 0},
		{"accept-loss", OPTION_FLAG, &c->accept_loss, NULL,
		 "give up events that should be in archives but are in none: readers get a gap; streams whose last seq is "
		 "unknown, after an import without the first events, count as new",
		 0, 0, 0},

		{"Limits", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0},
		{"max-event", OPTION_SIZE, &c->max_event, "SIZE", "maximum size of the data of one event (1MiB)", 1,
		 64 * MIB, 0},
		{"max-request", OPTION_SIZE, &c->max_request, "SIZE",
		 "maximum size of a request body or WebSocket message (32MiB)", 1024, 1024 * MIB, 0},
		{"max-request-events", OPTION_INTEGER, &c->max_request_events, "N",
		 "maximum number of events in one request or message (250000)", 1, 1 << 30, 0},
		{"queue-events", OPTION_INTEGER, &c->queue_events, "N",
		 "maximum number of events waiting for a commit (200000)", 1, 1 << 30, 0},
		{"queue-bytes", OPTION_SIZE, &c->queue_bytes, "SIZE",
		 "maximum memory of events waiting for a commit (128MiB)", 1024, INT64_C(64) * 1024 * MIB, 0},
		{"max-connections", OPTION_INTEGER, &c->max_connections, "N",
		 "maximum number of connections; beyond it, the connection idle longest is closed for a new one; one client "
		 "(a token or an address) may have at most twice as many requests, WebSockets and event streams open as it "
		 "leaves free (18000)",
		 1, 1000000, 0},
		{"max-connections-per-address", OPTION_INTEGER, &c->max_peer_connections, "N",
		 "maximum number of connections of one IPv4 address or IPv6 /64; 0: no limit (0 on loopback, else 1000)", 0,
		 1000000, 0},
		{"max-sessions-per-client", OPTION_INTEGER, &c->max_client_sessions, "N",
		 "maximum number of sessions that one client may create; 0: as many as it leaves free (0)", 0, 1000000, 0},
		{"max-topics-per-client", OPTION_INTEGER, &c->max_client_topics, "N",
		 "maximum number of new pairs of stream and type of one client; 0: as many as it leaves free (0)", 0,
		 1 << 30, 0},
		{"rate-limit", OPTION_INTEGER, &c->rate_limit, "N",
		 "maximum number of events per second that all clients publish; 0: no limit (0)", 0, 1000000000, 0},
		{"rate-limit-client", OPTION_INTEGER, &c->rate_limit_client, "N",
		 "maximum number of events per second that one client publishes; 0: no limit (0)", 0, 1000000000, 0},
		{"handshake-timeout", OPTION_DURATION, &c->handshake_timeout, "DURATION",
		 "close connections that have not sent their request head within this time; a body or a WebSocket message "
		 "has three times as long for each 16 KiB (10s)",
		 1, 3600000, 0},
		{"ping-interval", OPTION_DURATION, &c->ping_interval, "DURATION",
		 "ping WebSockets that are idle this long, and close those that are silent for twice as long (30s)", 100,
		 86400000, 0},
		{"ack-memory", OPTION_SIZE, &c->ack_memory, "SIZE",
		 "memory for unread answers to publishers at /events; one client may use at most as much as it leaves free "
		 "(64MiB)",
		 MIB, INT64_C(64) * 1024 * MIB, 0},
		{"reply-memory", OPTION_SIZE, &c->reply_memory, "SIZE",
		 "memory for unread answers with stored events, over HTTP and to dashboards; one client may use at most as "
		 "much as it leaves free; requests with large answers wait for free memory, and meanwhile connections that "
		 "do not read their answer are closed (64MiB)",
		 MIB, INT64_C(64) * 1024 * MIB, 0},
		{"reply-timeout", OPTION_DURATION, &c->reply_timeout, "DURATION",
		 "close dashboards that read nothing of their answer for this long (30s)", 100, 86400000, 0},
		{"publisher-silence", OPTION_DURATION, &c->publisher_silence, "DURATION",
		 "close publishers at /events that send nothing for this long (1h)", 100, 7 * 86400000, 0},
		{"max-lag", OPTION_INTEGER, &c->max_lag, "N",
		 "close live readers that fall more than this many events behind; 0: never (0)", 0, INT64_MAX, 0},

		{"Access", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0},
		{"tokens", OPTION_TEXT, &c->tokens, "FILE",
		 "file of tokens (see tidemark token); clients need one of them; SIGHUP reloads it", 0, 0, 0},
		{"allow-origin", OPTION_TEXTS, &c->allow_origins, "ORIGIN",
		 "further web origin whose pages may publish and open WebSockets, repeatable", 0, 0, 0},
		{"allow-host", OPTION_TEXTS, &c->allow_hosts, "NAME",
		 "further name that the Host header of requests over loopback may have, repeatable; *: any", 0, 0, 0},
		{"insecure", OPTION_FLAG, &c->insecure, NULL, "listen on addresses other than loopback without --tokens", 0,
		 0, 0},
		{"seccomp", OPTION_FLAG, &c->seccomp, NULL,
		 "after the start, block system calls that the server never needs: programs, processes, other sockets", 0, 0,
		 0},

		{"Retention", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0},
		{"retain-age", OPTION_DURATION, &c->retention.age_ms, "DURATION",
		 "move events older than this from the log to archives; 0: never (0)", 0, INT64_MAX, 0},
		{"retain-bytes", OPTION_SIZE, &r->retain_bytes, "SIZE",
		 "move the oldest events to archives when the database is larger than this; 0: never (0)", 0, INT64_MAX, 0},
		{"retain-events", OPTION_INTEGER, &r->retain_events, "N",
		 "move the oldest events to archives when the log has more than this many; 0: never (0)", 0, INT64_MAX, 0},
		{"retain-stream", OPTION_TEXTS, &r->retain_streams, "STREAM=AGE",
		 "separate --retain-age for one stream, repeatable; the log is cut before the first event that any of them "
		 "keeps",
		 0, 0, 0},
		{"archive", OPTION_TEXT, &c->archive, "zstd|none",
		 "move old events to compressed archives, or delete them (zstd)", 0, 0, 0},
		{"archive-dir", OPTION_TEXT, &c->archive_dir, "DIR",
		 "directory of archives (archives in the data directory)", 0, 0, 0},
		{"archive-level", OPTION_INTEGER, &r->archive_level, "N", "zstd compression level of archives (2)",
		 PACKER_LEVEL_MIN, PACKER_LEVEL_MAX, 0},
		{"archive-threads", OPTION_INTEGER, &r->archive_threads, "N",
		 "number of threads that compress an archive (1)", 1, PACKER_THREADS_MAX, 0},
		{"session-expiry", OPTION_DURATION, &c->session_expiry, "DURATION",
		 "delete sessions that no reader has used for this long; 0: never (0)", 0, INT64_MAX, 0},
		{0},
	};
	const struct option last[] = {
		{"metrics-idle", OPTION_DURATION, &c->metrics_idle, "DURATION",
		 "drop the WebSocket metrics of a session that have not changed for this long (1h)", 100, 7 * 86400000, 0},
		{"log-level", OPTION_TEXT, &c->log_level, "LEVEL", "lowest level to log: debug, info, warn or error (info)",
		 0, 0, 0},
		{"config", OPTION_TEXT, &c->config, "FILE", "read options from a file", 0, 0, 0},
		{0},
	};
	const struct option monitoring[] = {{"Monitoring", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0}, {0}};
	int count = append(out, append(out, 0, own), monitoring);
	for (int i = 0; profiles[i] != NULL; i++)
		if (profiles[i]->options != NULL)
			count = append(out, count, profiles[i]->options());
	append(out, count, last);
}

static int check_profiles(void)
{
	int status = GO_ON;
	for (int i = 0; status == GO_ON && profiles[i] != NULL; i++)
		if (profiles[i]->check != NULL)
			status = profiles[i]->check();
	return status;
}

int config_parse(struct config *c, int argc, char **argv)
{
	struct raw raw = {.archive_level = ARCHIVE_LEVEL, .archive_threads = 1};
	struct option options[OPTIONS_MAX];
	int operands;
	*c = defaults;
	make_table(c, &raw, options);
	int status = options_parse(options, &help, argc, argv, &operands);
	if (status != GO_ON)
		return status;
	if (operands > 0) {
		fprintf(stderr, "tidemark: serve has no operands: %s (see tidemark serve --help)\n", argv[0]);
		return USAGE;
	}
	if (c->archive_dir != NULL && c->archive_dir[0] == '\0') {
		fprintf(stderr, "tidemark: --archive-dir is empty (see tidemark serve --help)\n");
		return USAGE;
	}
	if (!is_base_path(c->base)) {
		fprintf(stderr, "tidemark: --base-path must be a path such as /tidemark, of letters, digits and -._~/, "
				"without a slash at its end\n");
		return USAGE;
	}
	c->retention.bytes = (uint64_t)raw.retain_bytes;
	c->retention.events = (uint64_t)raw.retain_events;
	c->retention.archives =
		(struct archive_options){.level = (int)raw.archive_level, .threads = (int)raw.archive_threads};
	status = check_profiles();
	if (status == GO_ON)
		status = set_streams(c, &raw.retain_streams);
	if (status == GO_ON)
		status = set_proxies(c, &raw.trusted_proxies);
	if (status == GO_ON)
		status = set_schemes(c);
	return status != GO_ON ? status : check(c);
}

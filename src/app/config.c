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

/* STREAM=AGE; a stream may have = in its name. */
static int set_streams(struct config *c, const struct option_texts *texts)
{
	for (int i = 0; i < texts->count; i++) {
		const char *text = texts->items[i];
		const char *sign = strrchr(text, '=');
		struct archiver_stream *s = &c->retention.streams[c->retention.stream_count++];
		s->name = (struct slice){text, sign != NULL ? (size_t)(sign - text) : 0};
		if (s->name.len > 0 && s->name.len <= EVENT_NAME_MAX && units_duration(slice_of(sign + 1), &s->age_ms))
			continue;
		fprintf(stderr, "tidemark: --retain-stream wants STREAM=AGE such as audit=365d, not: %s\n", text);
		return USAGE;
	}
	return GO_ON;
}

/* "https://HOST:PORT", "http://HOST:PORT", or HOST:PORT, which is encrypted where there is a certificate. */
static int set_schemes(struct config *c)
{
	if ((c->tls_cert == NULL) != (c->tls_key == NULL)) {
		fprintf(stderr, "tidemark: --tls-cert and --tls-key go together\n");
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
		fprintf(stderr, "tidemark: --listen %s wants --tls-cert and --tls-key\n", text);
		return USAGE;
	}
	return GO_ON;
}

static int set_proxies(struct config *c, const struct option_texts *texts)
{
	for (int i = 0; i < texts->count; i++) {
		if (proxies_add(&c->proxies, texts->items[i]))
			continue;
		fprintf(stderr, "tidemark: --trusted-proxy wants an IPv4 or IPv6 address, %d at most, not: %s\n",
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
		fprintf(stderr, "tidemark: --log-level wants debug, info, warn or error, not: %s\n", c->log_level);
		return USAGE;
	}
	log_set_level((enum log_level)level);
	if (strcmp(c->durability, "fsync") != 0 && strcmp(c->durability, "relaxed") != 0) {
		fprintf(stderr, "tidemark: --durability wants fsync or relaxed, not: %s\n", c->durability);
		return USAGE;
	}
	c->retention.discard = strcmp(c->archive, "none") == 0;
	if (!c->retention.discard && strcmp(c->archive, "zstd") != 0) {
		fprintf(stderr, "tidemark: --archive wants zstd or none, not: %s\n", c->archive);
		return USAGE;
	}
	bool beyond = false;
	for (int i = 0; i < c->listen.count; i++) {
		beyond = beyond || !host_is_loopback(slice_of(c->listen.items[i]));
		if (!listener_address_fits(c->listen.items[i])) {
			fprintf(stderr, "tidemark: --listen wants HOST:PORT with a port from 0 to 65535, not: %s\n",
				c->listen.items[i]);
			return USAGE;
		}
		/* Loopback needs no token. Anything else is open to whoever reaches it. */
		if (host_is_loopback(slice_of(c->listen.items[i])) || c->insecure || c->tokens != NULL)
			continue;
		fprintf(stderr,
			"tidemark: --listen %s: anybody who reaches this address could read and publish; make tokens with "
			"`tidemark token add` and give --tokens FILE, or say --insecure if that is what you want\n",
			c->listen.items[i]);
		return USAGE;
	}
	/* Behind the loopback all clients of the machine are one address. */
	if (c->max_peer_connections < 0)
		c->max_peer_connections = beyond ? PEER_CONNECTIONS : 0;
	return GO_ON;
}

/* Written into JSON and HTML as it is. */
static bool is_base_path(const char *text)
{
	enum { BASE_MAX = 128 };
	static const char fine[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~/";
	size_t n = strlen(text);
	return n == 0 || (n <= BASE_MAX && text[0] == '/' && text[n - 1] != '/' && strspn(text, fine) == n &&
			  strstr(text, "//") == NULL && strstr(text, "/.") == NULL);
}

/* What is turned into settings once it is read. */
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
		 "address to serve, repeatable; port 0 picks a free one; http://HOST:PORT is not encrypted although there "
		 "is a certificate (127.0.0.1:8080)",
		 0, 0, 'l'},
		{"tls-cert", OPTION_TEXT, &c->tls_cert, "FILE",
		 "speak TLS (HTTPS and WSS) with this certificate and the chain that signs it, PEM; SIGHUP reads it again",
		 0, 0, 0},
		{"tls-key", OPTION_TEXT, &c->tls_key, "FILE", "private key of --tls-cert, PEM, without a password", 0, 0, 0},
		{"trusted-proxy", OPTION_TEXTS, &r->trusted_proxies, "ADDRESS",
		 "a reverse proxy whose X-Forwarded-For names the client, for limits and the log; repeatable", 0, 0, 0},
		{"base-path", OPTION_TEXT, &c->base, "PATH",
		 "the path under which a reverse proxy shows this server, such as /tidemark: paths in answers begin with "
		 "it, paths of requests may (none)",
		 0, 0, 0},
		{"static", OPTION_TEXT, &c->static_dir, "DIR",
		 "serve the files of another dashboard at / and /static, before this server's own pages", 0, 0, 0},

		{"Storage", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0},
		{"data", OPTION_TEXT, &c->data, "DIR", "directory of the store (./tidemark-data)", 0, 0, 'd'},
		{"durability", OPTION_TEXT, &c->durability, "fsync|relaxed",
		 "acknowledge events after fsync, or after write: then a power loss may take the newest events (fsync)", 0,
		 0, 0},
		{"disk-reserve", OPTION_SIZE, &c->disk_reserve, "SIZE",
		 "refuse to publish when less than this is free on the disk (64MiB)", 0, INT64_MAX, 0},
		{"ring", OPTION_SIZE, &c->ring, "SIZE", "memory for recent events that readers follow (32MiB)", 1,
		 INT64_C(64) * 1024 * MIB, 0},
		{"cache", OPTION_SIZE, &c->cache, "SIZE", "memory for older pages that readers have asked for (16MiB)", 1,
		 INT64_C(64) * 1024 * MIB, 0},
		{"salvage", OPTION_FLAG, &c->salvage, NULL,
		 "check the whole store before serving it; where it is damaged, keep what can be read, report what is lost, "
		 "and go on",
		 0, 0, 0},
		{"accept-loss", OPTION_FLAG, &c->accept_loss, NULL,
		 "take events that should be in archives, and are in none, for lost: readers get a gap; streams whose last "
		 "seq is not known, after an import that left out the beginning, count as new",
		 0, 0, 0},

		{"Limits", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0},
		{"max-event", OPTION_SIZE, &c->max_event, "SIZE", "largest data of one event (1MiB)", 1, 64 * MIB, 0},
		{"max-request", OPTION_SIZE, &c->max_request, "SIZE", "largest request body or WebSocket message (32MiB)",
		 1024, 1024 * MIB, 0},
		{"max-request-events", OPTION_INTEGER, &c->max_request_events, "N",
		 "most events in one request or message (250000)", 1, 1 << 30, 0},
		{"queue-events", OPTION_INTEGER, &c->queue_events, "N", "most events that wait for a commit (200000)", 1,
		 1 << 30, 0},
		{"queue-bytes", OPTION_SIZE, &c->queue_bytes, "SIZE",
		 "most memory of events that wait for a commit (128MiB)", 1024, INT64_C(64) * 1024 * MIB, 0},
		{"max-connections", OPTION_INTEGER, &c->max_connections, "N",
		 "most connections at once; a connection without a request makes room for a new one; of the requests under "
		 "way, WebSockets and event streams among them, one client (a token or an address) may have twice as many "
		 "as it leaves free (18000)",
		 1, 1000000, 0},
		{"max-connections-per-address", OPTION_INTEGER, &c->max_peer_connections, "N",
		 "most connections of one address, an IPv6 /64 being one; 0: any number (0 on loopback, 1000 beyond)", 0,
		 1000000, 0},
		{"max-sessions-per-client", OPTION_INTEGER, &c->max_client_sessions, "N",
		 "most sessions that one client may make; 0: as many as it leaves for others (0)", 0, 1000000, 0},
		{"max-topics-per-client", OPTION_INTEGER, &c->max_client_topics, "N",
		 "most pairs of stream and type that one client may begin; 0: as many as it leaves for others (0)", 0,
		 1 << 30, 0},
		{"rate-limit", OPTION_INTEGER, &c->rate_limit, "N",
		 "most events a second that are published; 0: any number (0)", 0, 1000000000, 0},
		{"rate-limit-client", OPTION_INTEGER, &c->rate_limit_client, "N",
		 "most events a second that one client publishes; 0: any number (0)", 0, 1000000000, 0},
		{"handshake-timeout", OPTION_DURATION, &c->handshake_timeout, "DURATION",
		 "close a connection that has not sent its request by then; a body or a WebSocket message has three times "
		 "that for each 16 KiB (10s)",
		 1, 3600000, 0},
		{"ping-interval", OPTION_DURATION, &c->ping_interval, "DURATION",
		 "ping idle WebSockets this often, and close those that are silent for two of these (30s)", 100, 86400000,
		 0},
		{"ack-memory", OPTION_SIZE, &c->ack_memory, "SIZE",
		 "memory for answers that publishers at /events have not read; one client may have as much of it as it "
		 "leaves free (64MiB)",
		 MIB, INT64_C(64) * 1024 * MIB, 0},
		{"reply-memory", OPTION_SIZE, &c->reply_memory, "SIZE",
		 "memory for answers from the past until they are read, over HTTP and to dashboards; one client may have as "
		 "much of it as it leaves free; a request whose answer is not small waits for room, and connections that "
		 "take nothing of their answer are cut off meanwhile (64MiB)",
		 MIB, INT64_C(64) * 1024 * MIB, 0},
		{"reply-timeout", OPTION_DURATION, &c->reply_timeout, "DURATION",
		 "close a dashboard that takes nothing of its answer for so long (30s)", 100, 86400000, 0},
		{"publisher-silence", OPTION_DURATION, &c->publisher_silence, "DURATION",
		 "close a publisher at /events that sends nothing for so long (1h)", 100, 7 * 86400000, 0},
		{"max-lag", OPTION_INTEGER, &c->max_lag, "N",
		 "close live readers that fall further behind than this many events; 0: never (0)", 0, INT64_MAX, 0},

		{"Access", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0},
		{"tokens", OPTION_TEXT, &c->tokens, "FILE",
		 "serve only clients with a token of this file (see tidemark token); SIGHUP reads it again", 0, 0, 0},
		{"allow-origin", OPTION_TEXTS, &c->allow_origins, "ORIGIN",
		 "a web origin besides the server's own whose pages may publish and connect, repeatable", 0, 0, 0},
		{"allow-host", OPTION_TEXTS, &c->allow_hosts, "NAME",
		 "a name besides its own that requests over the loopback may call the server by, repeatable; *: any", 0, 0,
		 0},
		{"insecure", OPTION_FLAG, &c->insecure, NULL, "allow addresses that are not loopback without tokens", 0, 0,
		 0},
		{"seccomp", OPTION_FLAG, &c->seccomp, NULL,
		 "once started, refuse the process what it never needs: programs, other processes, other kinds of sockets",
		 0, 0, 0},

		{"Retention", OPTION_GROUP, NULL, NULL, NULL, 0, 0, 0},
		{"retain-age", OPTION_DURATION, &c->retention.age_ms, "DURATION",
		 "move events older than this from the log to an archive; 0: never (0)", 0, INT64_MAX, 0},
		{"retain-bytes", OPTION_SIZE, &r->retain_bytes, "SIZE",
		 "move the oldest events when the database is larger than this; 0: never (0)", 0, INT64_MAX, 0},
		{"retain-events", OPTION_INTEGER, &r->retain_events, "N",
		 "move the oldest events when the log holds more than this many; 0: never (0)", 0, INT64_MAX, 0},
		{"retain-stream", OPTION_TEXTS, &r->retain_streams, "STREAM=AGE",
		 "another --retain-age for one stream, repeatable; the log is cut at one place, before the first event that "
		 "must stay",
		 0, 0, 0},
		{"archive", OPTION_TEXT, &c->archive, "zstd|none",
		 "keep events that leave the log in archives, or discard them (zstd)", 0, 0, 0},
		{"archive-dir", OPTION_TEXT, &c->archive_dir, "DIR",
		 "directory of archives (archives, in the data directory)", 0, 0, 0},
		{"archive-level", OPTION_INTEGER, &r->archive_level, "N", "zstd level of archives (2)", PACKER_LEVEL_MIN,
		 PACKER_LEVEL_MAX, 0},
		{"archive-threads", OPTION_INTEGER, &r->archive_threads, "N", "threads that compress an archive (1)", 1,
		 PACKER_THREADS_MAX, 0},
		{"session-expiry", OPTION_DURATION, &c->session_expiry, "DURATION",
		 "delete sessions that no reader has used for so long; 0: never (0)", 0, INT64_MAX, 0},
		{0},
	};
	const struct option last[] = {
		{"metrics-idle", OPTION_DURATION, &c->metrics_idle, "DURATION",
		 "forget the WebSocket metrics of a session when nothing was counted for so long (1h)", 100, 7 * 86400000,
		 0},
		{"log-level", OPTION_TEXT, &c->log_level, "LEVEL", "debug, info, warn or error (info)", 0, 0, 0},
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
		fprintf(stderr, "tidemark: serve takes no operands: %s (see tidemark serve --help)\n", argv[0]);
		return USAGE;
	}
	if (c->archive_dir != NULL && c->archive_dir[0] == '\0') {
		fprintf(stderr, "tidemark: --archive-dir is empty (see tidemark serve --help)\n");
		return USAGE;
	}
	if (!is_base_path(c->base)) {
		fprintf(stderr, "tidemark: --base-path wants a path such as /tidemark, of letters, digits and -._~/, "
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

/* The settings of the server. Filled in once, then only read. */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"
#include "engine/retention/archiver.h"
#include "server/message/proxy.h"

struct config {
	const char *data;
	struct option_texts listen;       /* HOST:PORT */
	bool encrypted[OPTION_TEXTS_MAX]; /* per listener: TLS */
	const char *tls_cert;             /* NULL: no TLS */
	const char *tls_key;
	struct proxies proxies;
	const char *durability; /* "fsync" or "relaxed" */
	int64_t max_event;      /* bytes */
	int64_t max_request;    /* bytes */
	int64_t queue_events;
	int64_t queue_bytes;
	int64_t ring;  /* bytes */
	int64_t cache; /* bytes */
	int64_t max_connections;
	int64_t max_client_sessions;
	int64_t max_client_topics;
	int64_t max_request_events;
	int64_t max_peer_connections; /* 0: no limit */
	int64_t rate_limit;           /* events per second; 0: no limit */
	int64_t rate_limit_client;
	int64_t handshake_timeout; /* ms */
	int64_t ping_interval;     /* ms */
	int64_t max_lag;           /* events; 0: no limit */
	int64_t session_expiry;    /* ms, 0: never */
	int64_t disk_reserve;      /* bytes */
	const char *base;          /* "", or a path without a slash at its end */
	struct option_texts allow_origins;
	struct option_texts allow_hosts;
	const char *tokens;        /* NULL: no tokens are needed */
	int64_t publisher_silence; /* ms */
	int64_t metrics_idle;      /* ms */
	int64_t ack_memory;        /* bytes */
	int64_t reply_memory;      /* bytes */
	int64_t reply_timeout;     /* ms */
	const char *static_dir;    /* NULL: none */
	struct archiver_options retention;
	const char *archive;     /* "zstd" or "none" */
	const char *archive_dir; /* NULL: in the data directory */
	bool accept_loss;
	bool salvage;
	bool insecure;
	bool seccomp;
	const char *log_level;
	const char *config;
};

/* Fills in defaults, then the values of file, environment and command line. Returns -1 to go on, else the exit status. */
int config_parse(struct config *c, int argc, char **argv);

#endif

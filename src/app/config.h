/* The server's settings. Filled once, then only read. */
#ifndef APP_CONFIG_H
#define APP_CONFIG_H

#include <stdbool.h>
#include <stdint.h>

#include "base/options.h"

struct config {
	const char *data;
	struct option_texts listen;
	const char *durability; /* "fsync" or "relaxed" */
	int64_t max_event;      /* bytes */
	int64_t max_request;    /* bytes */
	int64_t queue_events;
	int64_t queue_bytes;
	int64_t ring;  /* bytes */
	int64_t cache; /* bytes */
	int64_t max_connections;
	int64_t handshake_timeout; /* ms */
	int64_t ping_interval;     /* ms */
	int64_t max_lag;           /* events, 0: any */
	int64_t disk_reserve;      /* bytes */
	struct option_texts allow_origins;
	bool insecure;
	const char *log_level;
	const char *config;
};

/* Fills in defaults, then what file, environment and command line say. Returns -1 to go on, else the exit status. */
int config_parse(struct config *c, int argc, char **argv);

#endif

/* The command `export`: writes a document to a file of the server's. Clients choose the name, the server the directory. */
#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/system/atomic_file.h"
#include "base/system/sys.h"
#include "profiles/monitoring/services/service_history.h"
#include "json/document.h"

enum { NAME_MAX_LEN = 100, EVENTS = 1000, BUFFER_EVENTS = 10000 };

/* The last segment of a path, with every character other than letters, digits, dots, dashes and underscores replaced;
 * never hidden, never empty. */
static void resolve(struct slice name, char out[NAME_MAX_LEN + 1])
{
	size_t n = 0;
	for (size_t i = 0; i < name.len; i++) {
		char c = name.p[i];
		if (c == '/' || c == '\\')
			n = 0;
		else if (n < NAME_MAX_LEN && (n > 0 || c != '.'))
			out[n++] = isalnum((unsigned char)c) || c == '-' || c == '.' ? c : '_';
	}
	out[n] = '\0';
	if (n == 0)
		strcpy(out, "monitoring_export.json");
}

static void put_summary(struct doc to, const struct tally tallies[SERVICES])
{
	uint64_t events = 0;
	for (int i = 0; i < SERVICES; i++)
		events += tallies[i].events;
	doc_u64(to, "total_events", events);
	struct doc types = doc_array(to, "connection_types");
	for (int i = 0; i < SERVICES; i++)
		if (tallies[i].events > 0)
			doc_string(types, NULL, service_name((enum service)i));
	struct doc stats = doc_object(to, "stats");
	for (int i = 0; i < SERVICES; i++) {
		struct buf text;
		if (tallies[i].events == 0)
			continue;
		buf_init(&text);
		tally_write(&text, (enum service)i, &tallies[i], true);
		doc_raw_take(stats, service_name((enum service)i), &text);
	}
	doc_u64(doc_object(to, "active_connections"), "websocket", tallies[SERVICE_WEBSOCKET].open);
	doc_u64(to, "buffer_size", BUFFER_EVENTS);
	doc_u64(to, "buffer_usage", events < BUFFER_EVENTS ? events : BUFFER_EVENTS);
	doc_bool(to, "redis_enabled", false);
	doc_u64(to, "redis_queue_size", 0);
	doc_string(to, "redis_circuit_breaker", "closed");
}

static void write_summary(struct monitor *m, struct buf *out)
{
	struct tally tallies[SERVICES];
	uint64_t seq;
	struct document head;
	monitor_tallies(m, tallies, &seq);
	put_summary(doc_object(document_begin(&head), "summary"), tallies);
	document_end_head(&head, out);
}

static enum err failed(const char *what, const char *path, struct fault *fault)
{
	return fault_set(fault, sys_err(errno), "cannot %s %s: %s", what, path, strerror(errno));
}

/* Does the file exist, or is the limit of files not reached? */
static enum err check_limit(const char *dir, const char *path, struct fault *fault)
{
	struct stat st;
	int files = 0;
	if (stat(path, &st) == 0)
		return ERR_NONE;
	DIR *d = opendir(dir);
	if (d == NULL)
		return failed("open", dir, fault);
	while (readdir(d) != NULL)
		files++;
	closedir(d);
	if (files - 2 < SERVICE_HISTORY_EXPORTS_MAX)
		return ERR_NONE;
	return fault_set(fault, ERR_BUSY, "the limit of %d exports in %s is reached: remove some",
			 SERVICE_HISTORY_EXPORTS_MAX, dir);
}

static enum err write_file(const char *dir, const char *name, struct slice text, struct fault *fault)
{
	char path[PATH_MAX];
	path_format(path, "%s/%s", dir, name);
	atomic_file_clear(path);
	enum err err = check_limit(dir, path, fault);
	return err ? err : atomic_file_save(path, ATOMIC_FILE_REPLACE, text, fault);
}

static void write_events(const struct service_history *history, struct buf *out)
{
	const struct fault *missing = service_history_missing(history);
	struct document tail;
	buf_adds(out, ",\"recent_events\":");
	service_history_write(history, out);
	if (missing == NULL) {
		buf_addc(out, '}');
		return;
	}
	doc_string(document_begin(&tail), "missing", missing->text);
	document_end_tail(&tail, out);
}

enum err service_history_export(struct monitor *m, struct store *store, struct reader *reader, struct slice name,
				struct buf *resolved, struct fault *fault)
{
	char file[NAME_MAX_LEN + 1];
	char dir[PATH_MAX];
	struct service_history_query q = {.service = SERVICES, .limit = EVENTS};
	struct buf text;
	resolve(name, file);
	path_format(dir, "%s/exports", store_dir(store));
	if (mkdir(dir, 0700) != 0 && errno != EEXIST)
		return failed("make", dir, fault);
	buf_init(&text);
	write_summary(m, &text);
	struct service_history *history;
	bool done = false;
	enum err err = service_history_create(m, store, reader, &q, &history, fault);
	while (!err && !done)
		err = service_history_read(history, reader, &done, fault);
	if (!err)
		write_events(history, &text);
	service_history_destroy(history);
	buf_addc(&text, '\n');
	if (!err && buf_failed(&text))
		err = fault_nomem(fault);
	if (!err)
		err = write_file(dir, file, buf_slice(&text), fault);
	buf_finish(&text);
	if (!err)
		buf_adds(resolved, file);
	return err;
}

/* /v1/archives: making, listing, fetching and deleting archives. */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/system/path.h"
#include "server/api/api.h"
#include "server/api/json_body.h"
#include "server/http/reply_stream.h"
#include "server/message/entity.h"
#include "server/stream/history_range.h"
#include "store/archives/archive_set.h"

enum { PIECE = 256 * 1024, TAG_LEN = SHA256_TEXT_LEN + 16, ALLOWED = Q_AFTER | Q_BEFORE | Q_TIME };

/* The manifest, with the names of the files in this API. */
static void put_archive(struct buf *out, const struct manifest *m)
{
	struct buf manifest;
	buf_init(&manifest);
	manifest_write(&manifest, m);
	buf_adds(out, "{\"name\":");
	buf_json(out, slice_of(m->file));
	buf_adds(out, ",");
	if (buf_failed(&manifest))
		out->failed = true;
	else
		buf_add(out, manifest.data + 1, manifest.len - 1);
	buf_finish(&manifest);
}

/* --- list --- */

void api_archives(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct api *api = arg;
	struct buf *out = request_out(x);
	struct manifest m;
	buf_adds(out, "{\"archives\":[");
	for (uint32_t i = 0; archive_set_at(store_archives(api->store), i, &m); i++) {
		buf_adds(out, i > 0 ? "," : "");
		put_archive(out, &m);
	}
	buf_adds(out, "]}");
	api_json_done(x, 200);
}

/* --- create --- */

struct archive_request {
	struct archiver_job job; /* first member: the archiver hands it back */
	struct http_request *request;
};

/* Submits a job for this request to the archiver. */
static enum err submit(struct api *api, struct http_request *x, struct archiver_job job, struct fault *fault)
{
	struct archive_request *o = calloc(1, sizeof *o);
	if (o == NULL)
		return fault_nomem(fault);
	*o = (struct archive_request){job, x};
	request_keep(x, o, free);
	return archiver_submit(api->archiver, &o->job, fault);
}

static void on_made(struct archiver_job *job)
{
	struct http_request *x = ((struct archive_request *)job)->request;
	if (job->err == ERR_LOCKED) /* another process has locked the directory of archives; the request itself is fine */
		job->fault.code = ERR_BUSY;
	if (job->err) {
		api_fault_done(x, &job->fault);
		return;
	}
	char location[ARCHIVE_NAME_LEN + 16];
	snprintf(location, sizeof location, "/v1/archives/%s", job->manifest.file);
	request_add_header(x, "Location", location);
	put_archive(request_out(x), &job->manifest);
	api_json_done(x, 201);
}

static enum err make(struct api *api, struct http_request *x, struct reader *reader, const struct reader_query *q,
		     struct fault *fault)
{
	struct history_range range;
	enum err err = history_range_set(&range, api->store, reader, q, NULL, fault);
	if (err)
		return err;
	if (range.has_gap)
		return fault_set(fault, range.gap.reason == GAP_AHEAD ? ERR_NOT_FOUND : ERR_GONE,
				 "the events after %" PRIu64 " are no longer stored; the first stored event is %" PRIu64
				 " (after=first starts there)",
				 range.gap.requested, range.gap.first);
	if (range.query.after + 1 >= range.query.before)
		return fault_set(fault, ERR_NOT_FOUND, "there are no events in this range");
	struct archiver_job job = {.first = range.query.after + 1, .last = range.query.before - 1, .done = on_made};
	return submit(api, x, job, fault);
}

void api_archive_make(void *arg, struct http_request *x, struct reader *reader)
{
	struct api *api = arg;
	struct reader_query q;
	struct fault fault;
	enum err err = reader_query_parse(request_url(x), ALLOWED, &q, &fault);
	if (!err && request_body_len(x) > 0)
		err = fault_set(&fault, ERR_INVALID,
				"a body is not allowed: set the range with the parameters after, before, since and until");
	if (!err)
		err = make(api, x, reader, &q, &fault);
	reader_query_finish(&q);
	if (err)
		api_fault_done(x, &fault);
}

/* --- get --- */

struct file {
	int fd;
	uint64_t left; /* bytes of the requested range that are left */
};

static void destroy(void *arg)
{
	struct file *f = arg;
	close(f->fd);
	free(f);
}

static enum err fill(void *source, struct reader *reader, struct buf *out, bool *end, struct fault *fault)
{
	(void)reader;
	struct file *f = source;
	if (!buf_reserve(out, PIECE))
		return fault_nomem(fault);
	ssize_t n;
	do
		n = read(f->fd, out->data, f->left < PIECE ? (size_t)f->left : PIECE);
	while (n < 0 && errno == EINTR);
	if (n < 0)
		return fault_set(fault, ERR_IO, "cannot read an archive: %s", strerror(errno));
	if (n == 0 && f->left > 0)
		return fault_set(fault, ERR_IO, "an archive has become shorter");
	out->len = (size_t)n;
	f->left -= (uint64_t)n;
	*end = f->left == 0;
	return ERR_NONE;
}

/* The range of a file to send: the whole file without a Range header, nothing if the client has it already (RFC 9110,
 * 14.2). */
static enum err choose_part(struct http_request *x, struct file *f, uint64_t size, const char *tag, const char *type,
			    struct fault *fault)
{
	char range[80];
	uint64_t from;
	struct slice part = request_head(x)->get ? request_header(x, "Range") : (struct slice){0};
	switch (entity_range(part, request_header(x, "If-Range"), tag, size, &from, &f->left)) {
	case RANGE_ALL: request_status(x, 200, type); break;
	case RANGE_PART:
		request_status(x, 206, type);
		snprintf(range, sizeof range, "bytes %" PRIu64 "-%" PRIu64 "/%" PRIu64, from, (from + f->left - 1), size);
		request_add_header(x, "Content-Range", range);
		break;
	case RANGE_NONE:
		request_problem(x, 416, "the range is outside the file");
		snprintf(range, sizeof range, "bytes */%" PRIu64, size);
		request_add_header(x, "Content-Range", range);
		f->left = 0;
		return ERR_NONE;
	}
	return lseek(f->fd, (off_t)from, SEEK_SET) >= 0
		       ? ERR_NONE
		       : fault_set(fault, ERR_IO, "cannot read the archive: %s", strerror(errno));
}

/* Archives never change: a client that has one gets a 304, and may ask for a range. Takes the file, also on failure. */
static enum err send_file_take(struct http_request *x, struct file *f, const char *tag, const char *type,
			       struct fault *fault)
{
	struct stat st;
	enum err err = ERR_NONE;
	f->left = 0;
	request_add_header(x, "ETag", tag);
	request_add_header(x, "Accept-Ranges", "bytes");
	request_add_header(x, "Cache-Control", "no-cache");
	bool ends = api_answer_condition(x, tag, 0, type);
	if (!ends && fstat(f->fd, &st) != 0)
		err = fault_set(fault, ERR_IO, "cannot read the archive: %s", strerror(errno));
	else if (!ends)
		err = choose_part(x, f, (uint64_t)st.st_size, tag, type, fault);
	if (err || f->left == 0) {
		destroy(f);
		return err;
	}
	request_length(x, f->left);
	return reply_stream_take(x, NULL, fill, f, 0, destroy) ? fault_nomem(fault) : ERR_NONE;
}

static void make_tag(const struct manifest *m, bool manifest, char tag[TAG_LEN])
{
	snprintf(tag, TAG_LEN, "\"%s%s\"", manifest ? "manifest-" : "", manifest_digest(m));
}

/* Parses FIRST-LAST and the suffix of an archive or a manifest. `file` gets the name of the archive. */
static enum err parse_name(struct slice name, char text[ARCHIVE_NAME_LEN], char file[ARCHIVE_NAME_LEN], bool *manifest,
			   struct fault *fault)
{
	uint64_t first;
	uint64_t last;
	bool fits = name.len < ARCHIVE_NAME_LEN && memchr(name.p, '\0', name.len) == NULL;
	snprintf(text, ARCHIVE_NAME_LEN, "%.*s", fits ? (int)name.len : 0, name.p);
	*manifest = archive_name_parse(text, MANIFEST_ENDING, &first, &last);
	if (!*manifest && !archive_name_parse(text, ARCHIVE_ENDING, &first, &last))
		return fault_set(fault, ERR_NOT_FOUND, "there is no such archive: a name is FIRST-LAST%s or FIRST-LAST%s",
				 ARCHIVE_ENDING, MANIFEST_ENDING);
	archive_name(file, first, last, ARCHIVE_ENDING);
	return ERR_NONE;
}

/* Opens an archive or its manifest. */
static enum err open_archive(struct api *api, struct slice name, bool *manifest, int *fd, char tag[TAG_LEN],
			     struct fault *fault)
{
	char text[ARCHIVE_NAME_LEN];
	char file[ARCHIVE_NAME_LEN];
	char path[PATH_MAX];
	struct manifest m;
	enum err err = parse_name(name, text, file, manifest, fault);
	if (err)
		return err;
	archive_set_path(store_archives(api->store), text, path);
	*fd = -1;
	errno = ENOENT;
	if (archive_set_named(store_archives(api->store), file, &m))
		*fd = open(path, O_RDONLY | O_CLOEXEC);
	if (*fd >= 0) {
		make_tag(&m, *manifest, tag);
		return ERR_NONE;
	}
	return errno == ENOENT ? fault_set(fault, ERR_NOT_FOUND, "there is no archive %s", text)
			       : fault_set(fault, ERR_IO, "cannot open the archive %s: %s", text, strerror(errno));
}

void api_archive_get(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct fault fault;
	bool manifest = false;
	char tag[TAG_LEN];
	struct file *f = malloc(sizeof *f);
	if (api_refuse_full(x)) {
		free(f);
		return;
	}
	enum err err =
		f != NULL ? open_archive(arg, request_segment(x), &manifest, &f->fd, tag, &fault) : fault_nomem(&fault);
	if (err) {
		free(f);
	} else {
		err = send_file_take(x, f, tag, manifest ? "application/json" : "application/zstd", &fault);
	}
	if (err)
		request_fault(x, &fault);
	request_done(x);
}

/* --- delete --- */

static void on_deleted(struct archiver_job *job)
{
	struct http_request *x = ((struct archive_request *)job)->request;
	if (job->err)
		request_fault(x, &job->fault);
	else
		request_status(x, 204, "application/json");
	request_done(x);
}

/* Refuses to delete an archive that does not satisfy the conditions of the request. For a missing archive there is no
 * tag; deleting it answers 404. */
static bool refuse_condition(struct api *api, struct http_request *x, const char *file)
{
	struct manifest m;
	char tag[TAG_LEN];
	if (!archive_set_named(store_archives(api->store), file, &m))
		return false;
	make_tag(&m, false, tag);
	if (!api_answer_condition(x, tag, 0, NULL))
		return false;
	request_done(x);
	return true;
}

void api_archive_delete(void *arg, struct http_request *x, struct reader *reader)
{
	(void)reader;
	struct fault fault;
	struct archiver_job job = {.done = on_deleted};
	char text[ARCHIVE_NAME_LEN];
	bool manifest;
	if (json_body_refuse(x))
		return;
	enum err err = parse_name(request_segment(x), text, job.file, &manifest, &fault);
	if (!err && manifest)
		err = fault_set(&fault, ERR_NOT_FOUND, "a manifest is deleted with its archive: delete %s", job.file);
	if (!err && refuse_condition(arg, x, job.file))
		return;
	if (!err)
		err = submit(arg, x, job, &fault);
	if (err)
		api_fault_done(x, &fault);
}

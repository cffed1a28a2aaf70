#include "store/archive/archive_check.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "store/archive/archive_manifest.h"

enum { CHUNK = 1 << 18 };

/* --- the file --- */

static void take_digest(struct sha256 *sha, char text[SHA256_TEXT_LEN + 1])
{
	unsigned char digest[SHA256_LEN];
	sha256_end(sha, digest);
	sha256_text(digest, text);
}

/* The digest of the file; with `a`, without its embedded manifest. *bytes: its length. */
static enum err digest_file(const char *path, const struct archive *a, uint64_t *bytes, char text[SHA256_TEXT_LEN + 1],
			    struct fault *fault)
{
	char *chunk = malloc(CHUNK);
	struct sha256 *sha = sha256_create();
	enum err err = chunk != NULL && sha != NULL ? ERR_NONE : fault_nomem(fault);
	int fd = err ? -1 : open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	ssize_t n = 0;
	*bytes = 0;
	while (fd >= 0 && (n = read(fd, chunk, CHUNK)) > 0) {
		if (a != NULL)
			archive_manifest_pass(a, sha, *bytes, (struct slice){chunk, (size_t)n});
		else
			sha256_add(sha, chunk, (size_t)n);
		*bytes += (uint64_t)n;
	}
	if (!err && (fd < 0 || n < 0))
		err = fault_set(fault, ERR_IO, "cannot be read: %s", strerror(errno));
	if (fd >= 0)
		close(fd);
	if (!err)
		take_digest(sha, text);
	sha256_destroy(sha);
	free(chunk);
	return err;
}

/* --- its events --- */

struct check_run {
	const struct archive_check *check;
	struct manifest *out;
	struct fault *fault;
	bool consecutive; /* no event may be left out */
};

/* Adds the event to a fault, in place of the file name that faults of frames have already. */
static enum err at_event(struct check_run *r, const struct archive *a, enum err err)
{
	char where[48];
	char *text = r->fault != NULL ? r->fault->text : "";
	size_t name = strlen(archive_file(a));
	uint64_t next = r->out->count > 0 ? r->out->last + 1 : r->check->expected != NULL ? r->check->expected->first : 0;
	if (next == 0)
		return err; /* the first event is not known */
	if (strncmp(text, archive_file(a), name) == 0 && text[name] == ':')
		memmove(text, text + name + 2, strlen(text + name + 2) + 1);
	snprintf(where, sizeof where, "event %" PRIu64, next);
	return fault_in(r->fault, where, err);
}

static enum err read_line(struct check_run *r, struct slice line)
{
	struct manifest *m = r->out;
	struct envelope e;
	int64_t time_ms;
	if (!envelope_read(line, &e) || e.seq == 0 || !clock_parse(e.time, &time_ms))
		return fault_set(r->fault, ERR_CORRUPT, "the line is not an event: %.*s",
				 (int)(line.len < 60 ? line.len : 60), line.p);
	if (m->count > 0 && (e.seq <= m->last || (r->consecutive && e.seq != m->last + 1)))
		return fault_set(r->fault, ERR_CORRUPT, "event %" PRIu64 " was found in its place", e.seq);
	if (m->count > 0 && time_ms < m->last_ms)
		return fault_set(r->fault, ERR_CORRUPT, "event %" PRIu64 " is older than the one before it", e.seq);
	if (m->count == 0) {
		m->first = e.seq;
		m->first_ms = time_ms;
	}
	if (r->check->each != NULL) {
		enum err err = r->check->each(r->check->arg, &e, line, time_ms, r->fault);
		if (err)
			return err;
	}
	m->last = e.seq;
	m->last_ms = time_ms;
	m->count++;
	assert(m->first <= m->last && m->count <= m->last - m->first + 1);
	return ERR_NONE;
}

static enum err read_frames(struct check_run *r, struct archive *a, struct sha256 *content)
{
	enum err err = ERR_NONE;
	for (uint32_t f = 0; !err && f < archive_frames(a); f++) {
		struct archive_lines lines;
		err = archive_unpack(a, f, &lines, r->fault);
		for (uint32_t i = 0; !err && i < lines.count; i++)
			err = read_line(r, archive_line(&lines, i));
		if (err)
			return at_event(r, a, err);
		sha256_add(content, lines.bytes.p, lines.bytes.len);
		r->out->raw_bytes += lines.bytes.len;
		r->out->frames++;
		if (r->check->progress != NULL)
			r->check->progress(r->check->arg, r->out->raw_bytes, archive_raw(a));
	}
	return err;
}

/* --- against the manifest --- */

static enum err differs(const char *what, uint64_t is, uint64_t should, struct fault *fault)
{
	return fault_set(fault, ERR_CORRUPT, "%s is %" PRIu64 ", its manifest says %" PRIu64, what, is, should);
}

static enum err compare(const struct manifest *is, const struct manifest *should, struct fault *fault)
{
	if (is->first != should->first)
		return differs("the first event", is->first, should->first, fault);
	if (is->last != should->last)
		return differs("the last event", is->last, should->last, fault);
	if (is->count != should->count)
		return differs("the number of events", is->count, should->count, fault);
	if (is->first_ms != should->first_ms || is->last_ms != should->last_ms)
		return fault_set(fault, ERR_CORRUPT, "the range of times is not what its manifest says");
	if (strcmp(is->chain, should->chain) != 0)
		return fault_set(fault, ERR_CORRUPT,
				 "events %" PRIu64 " to %" PRIu64
				 " are not those that its manifest was made for: the chain differs",
				 is->first, is->last);
	if (is->raw_bytes != should->raw_bytes)
		return differs("the length of all lines", is->raw_bytes, should->raw_bytes, fault);
	if (is->frames != should->frames)
		return differs("the number of frames", is->frames, should->frames, fault);
	if (is->bytes != should->bytes)
		return differs("the length of the file", is->bytes, should->bytes, fault);
	if (strcmp(is->sha256, should->sha256) != 0 || strcmp(is->packed_sha256, should->packed_sha256) != 0)
		return fault_set(fault, ERR_CORRUPT, "its SHA-256 is not what its manifest says");
	return ERR_NONE;
}

/* The embedded manifest, if the format has one, must be the same. */
static enum err check_inside(struct archive *a, const struct manifest *should, struct fault *fault)
{
	struct manifest inside;
	if (should->format < MANIFEST_FORMAT)
		return ERR_NONE;
	enum err err = archive_manifest_inside(a, &inside, fault);
	if (err == ERR_NOT_FOUND)
		return fault_set(fault, ERR_CORRUPT, "the embedded manifest is missing");
	if (!err && !manifest_same(&inside, should))
		err = fault_set(fault, ERR_CORRUPT, "the embedded manifest differs from the manifest file");
	return err;
}

/* Adds the file to a fault, unless it is there already. */
static void name_file(const struct archive *a, enum err err, struct fault *fault)
{
	const char *file = archive_file(a);
	if (fault != NULL && strncmp(fault->text, file, strlen(file)) != 0)
		fault_in(fault, file, err);
}

/* The members that the content does not determine. */
static void begin(struct manifest *out, const struct manifest *expected)
{
	*out = (struct manifest){.format = MANIFEST_FORMAT_BESIDE};
	memset(out->previous, '0', SHA256_TEXT_LEN);
	if (expected == NULL)
		return;
	out->format = expected->format;
	memcpy(out->previous, expected->previous, sizeof out->previous);
	memcpy(out->epoch, expected->epoch, sizeof out->epoch);
	memcpy(out->lines, expected->lines, sizeof out->lines);
	out->line_count = expected->line_count;
}

/* Fills in the digests that the format has. */
static enum err digest(const char *path, const struct archive *a, struct sha256 *content, struct manifest *out,
		       struct fault *fault)
{
	unsigned char raw[SHA256_LEN];
	sha256_end(content, raw);
	if (out->format < MANIFEST_FORMAT) {
		sha256_text(raw, out->chain);
		return digest_file(path, NULL, &out->bytes, out->sha256, fault);
	}
	sha256_text(raw, out->sha256);
	if (!chain_of(out->previous, raw, out->chain))
		return fault_nomem(fault);
	return digest_file(path, a, &out->bytes, out->packed_sha256, fault);
}

enum err archive_check(const char *path, const struct archive_check *s, struct manifest *out, struct fault *fault)
{
	const struct manifest *expected = s->expected;
	struct check_run r = {s, out, fault,
			      expected == NULL ? !s->selection : expected->count == expected->last - expected->first + 1};
	struct archive *a = NULL;
	struct sha256 *content = sha256_create();
	enum err err = content != NULL ? ERR_NONE : fault_nomem(fault);
	begin(out, expected);
	if (!err)
		err = archive_open(path, &a, fault);
	if (!err) {
		if (out->format < MANIFEST_FORMAT)
			chain_begin(content, out->previous);
		err = read_frames(&r, a, content);
		if (!err)
			err = digest(path, a, content, out, fault);
		archive_name(out->file, out->first, out->last, ARCHIVE_ENDING);
		if (!err && expected != NULL)
			err = compare(out, expected, fault);
		if (!err && expected != NULL)
			err = check_inside(a, expected, fault);
		if (err)
			name_file(a, err, fault);
	}
	archive_close(a);
	sha256_destroy(content);
	return err;
}

#include "store/archive/manifest.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <unistd.h>

#include "base/system/atomic_file.h"
#include "base/system/clock.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "base/units.h"
#include "store/archive/seekable.h"
#include "json/json.h"

enum { MANIFEST_MAX = SEEKABLE_MANIFEST };

enum member_kind { MEMBER_NUMBER, MEMBER_TIME, MEMBER_FILE, MEMBER_HEX, MEMBER_LINES };

/* The members, for reading and for writing. */
static const struct member {
	const char *name;
	enum member_kind kind;
	size_t offset;
	size_t size; /* of a text, with its NUL; one of hexadecimal digits fills it */
	int format;  /* since which format; 0: the first */
} members[] = {
	{"file", MEMBER_FILE, offsetof(struct manifest, file), ARCHIVE_NAME_LEN, 0},
	{"epoch", MEMBER_HEX, offsetof(struct manifest, epoch), LINE_EPOCH_LEN + 1, 0},
	{"first", MEMBER_NUMBER, offsetof(struct manifest, first), 0, 0},
	{"last", MEMBER_NUMBER, offsetof(struct manifest, last), 0, 0},
	{"count", MEMBER_NUMBER, offsetof(struct manifest, count), 0, 0},
	{"first_time", MEMBER_TIME, offsetof(struct manifest, first_ms), 0, 0},
	{"last_time", MEMBER_TIME, offsetof(struct manifest, last_ms), 0, 0},
	{"raw_bytes", MEMBER_NUMBER, offsetof(struct manifest, raw_bytes), 0, 0},
	{"bytes", MEMBER_NUMBER, offsetof(struct manifest, bytes), 0, 0},
	{"frames", MEMBER_NUMBER, offsetof(struct manifest, frames), 0, 0},
	{"sha256", MEMBER_HEX, offsetof(struct manifest, sha256), SHA256_TEXT_LEN + 1, 0},
	{"packed_sha256", MEMBER_HEX, offsetof(struct manifest, packed_sha256), SHA256_TEXT_LEN + 1, 3},
	{"previous", MEMBER_HEX, offsetof(struct manifest, previous), SHA256_TEXT_LEN + 1, 0},
	{"chain", MEMBER_HEX, offsetof(struct manifest, chain), SHA256_TEXT_LEN + 1, 0},
	{"lines", MEMBER_LINES, 0, 0, 0},
};

enum { MEMBERS = sizeof members / sizeof *members };

/* Appends the sum of the manifest that begins at `start`. */
static void write_sum(struct buf *out, size_t start)
{
	unsigned char digest[SHA256_LEN];
	char text[SHA256_TEXT_LEN + 1];
	struct sha256 *sha = sha256_create();
	if (sha == NULL || buf_failed(out)) {
		sha256_destroy(sha);
		out->failed = true;
		return;
	}
	sha256_add(sha, out->data + start, out->len - start);
	sha256_end(sha, digest);
	sha256_destroy(sha);
	sha256_text(digest, text);
	buf_printf(out, ",\"sum\":\"%s\"}", text);
}

enum err manifest_set_lines(struct manifest *m, const struct lineage *l, struct fault *fault)
{
	uint32_t from = lineage_span(l, m->first > 1 ? m->first - 1 : 1, m->last, &m->line_count);
	if (m->line_count > MANIFEST_LINES_MAX)
		return fault_set(fault, ERR_INVALID,
				 "events %" PRIu64 " to %" PRIu64 " are on more than %d lines of history: take fewer",
				 m->first, m->last, MANIFEST_LINES_MAX);
	if (m->line_count == 0)
		return fault_set(fault, ERR_CONFLICT, "events %" PRIu64 " to %" PRIu64 " are on no line of history",
				 m->first, m->last);
	memcpy(m->lines, l->lines + from, m->line_count * sizeof *m->lines);
	memcpy(m->epoch, m->lines[m->line_count - 1].epoch, sizeof m->epoch);
	return ERR_NONE;
}

bool manifest_is_on(const struct manifest *m, const struct lineage *l)
{
	return lineage_is(l, m->first > 1 ? m->first - 1 : 1, m->last, m->lines, m->line_count);
}

static bool same_lines(const struct manifest *a, const struct manifest *b)
{
	bool same = a->line_count == b->line_count;
	for (uint32_t i = 0; same && i < a->line_count; i++)
		same = a->lines[i].first == b->lines[i].first && strcmp(a->lines[i].epoch, b->lines[i].epoch) == 0;
	return same;
}

/* Allocates nothing: a failure would make a sound archive look damaged. */
bool manifest_same(const struct manifest *a, const struct manifest *b)
{
	bool same = a->format == b->format;
	for (int i = 0; same && i < MEMBERS; i++) {
		const char *x = (const char *)a + members[i].offset;
		const char *y = (const char *)b + members[i].offset;
		if ((uint64_t)members[i].format > a->format)
			continue;
		switch (members[i].kind) {
		case MEMBER_NUMBER: same = memcmp(x, y, sizeof(uint64_t)) == 0; break;
		case MEMBER_TIME: same = memcmp(x, y, sizeof(int64_t)) == 0; break;
		case MEMBER_FILE: break;
		case MEMBER_HEX: same = strcmp(x, y) == 0; break;
		case MEMBER_LINES: same = same_lines(a, b); break;
		}
	}
	return same;
}

const char *manifest_digest(const struct manifest *m)
{
	return m->format >= MANIFEST_FORMAT ? m->packed_sha256 : m->sha256;
}

void manifest_write(struct buf *out, const struct manifest *m)
{
	size_t start = out->len;
	buf_printf(out, "{\"format\":%d", (int)m->format);
	for (int i = 0; i < MEMBERS; i++) {
		if ((uint64_t)members[i].format > m->format)
			continue;
		const char *at = (const char *)m + members[i].offset;
		buf_printf(out, ",\"%s\":", members[i].name);
		switch (members[i].kind) {
		case MEMBER_NUMBER: buf_printf(out, "%" PRIu64, *(const uint64_t *)(const void *)at); break;
		case MEMBER_TIME: clock_write(out, *(const int64_t *)(const void *)at); break;
		case MEMBER_FILE:
		case MEMBER_HEX: buf_json(out, slice_of(at)); break;
		case MEMBER_LINES: lineage_write(out, m->lines, m->line_count); break;
		}
	}
	write_sum(out, start);
}

static bool read_text(struct slice value, char *out, size_t size)
{
	if (json_kind(value) != JSON_STRING || value.len < 2 || value.len - 2 >= size)
		return false;
	memcpy(out, value.p + 1, value.len - 2);
	out[value.len - 2] = '\0';
	return json_plain_text(slice_of(out)) && strchr(out, '\\') == NULL;
}

static bool is_hex(const char *text, size_t len)
{
	return strspn(text, "0123456789abcdef") == len && text[len] == '\0';
}

/* The name of a line: not all zeros. */
static bool is_epoch(const char *text)
{
	return is_hex(text, LINE_EPOCH_LEN) && strspn(text, "0") < LINE_EPOCH_LEN;
}

/* A name, not a path. */
static bool is_file(const char *text)
{
	return text[0] != '\0' && text[0] != '.' && strchr(text, '/') == NULL;
}

static bool read_line(struct slice value, struct line *out)
{
	struct slice epoch;
	struct slice first;
	return json_kind(value) == JSON_OBJECT && json_member(value, "epoch", &epoch) &&
	       read_text(epoch, out->epoch, sizeof out->epoch) && is_epoch(out->epoch) &&
	       json_member(value, "first", &first) && json_sequence(first, &out->first);
}

/* Does it begin after the lines before it, with a name that none of them has? */
static bool goes_on(const struct line *lines, uint32_t count, const struct line *next)
{
	for (uint32_t i = 0; i < count; i++)
		if (strcmp(lines[i].epoch, next->epoch) == 0)
			return false;
	return next->first > (count > 0 ? lines[count - 1].first : 0);
}

bool manifest_read_lines(struct slice array, struct line *out, uint32_t max, uint32_t *count)
{
	*count = 0;
	if (json_kind(array) != JSON_ARRAY)
		return false;
	for (struct json_walk w = json_walk(array); json_next(&w); (*count)++)
		if (*count == max || !read_line(w.value, &out[*count]) || !goes_on(out, *count, &out[*count]))
			return false;
	return true;
}

static bool read_member(struct slice object, const struct member *member, struct manifest *m)
{
	struct slice value;
	char *at = (char *)m + member->offset;
	if (!json_member(object, member->name, &value))
		return false;
	switch (member->kind) {
	case MEMBER_NUMBER: return json_sequence(value, (uint64_t *)(void *)at);
	case MEMBER_TIME:
		return json_kind(value) == JSON_STRING &&
		       clock_parse((struct slice){value.p + 1, value.len - 2}, (int64_t *)(void *)at);
	case MEMBER_FILE: return read_text(value, at, member->size) && is_file(at);
	case MEMBER_HEX: return read_text(value, at, member->size) && is_hex(at, member->size - 1);
	case MEMBER_LINES: return manifest_read_lines(value, m->lines, MANIFEST_LINES_MAX, &m->line_count);
	}
	return false;
}

/* Writing it again must give the same text, with the same sum. */
static enum err check_sum(struct slice object, const struct manifest *m, struct fault *fault)
{
	struct buf again;
	buf_init(&again);
	manifest_write(&again, m);
	enum err err = ERR_NONE;
	if (buf_failed(&again))
		err = fault_nomem(fault);
	else if (!slice_eq(object, buf_slice(&again)))
		err = fault_set(fault, ERR_CORRUPT, "the manifest is damaged: its sum does not match");
	buf_finish(&again);
	return err;
}

enum err manifest_parse(char *text, size_t len, struct manifest *m, struct fault *fault)
{
	*m = (struct manifest){0};
	struct json_error error;
	uint64_t format;
	struct slice value;
	if (!json_minify(text, len, text, &len, &error))
		return fault_set(fault, ERR_CORRUPT, "the manifest is damaged: %s at byte %zu", error.what, error.offset);
	struct slice object = {text, len};
	if (json_kind(object) != JSON_OBJECT || !json_member(object, "format", &value) || !json_sequence(value, &format) ||
	    format == 0)
		return fault_set(fault, ERR_CORRUPT, "the manifest is damaged: it has no format");
	if (format < MANIFEST_FORMAT_BESIDE)
		return fault_set(fault, ERR_CORRUPT,
				 "the archive has format %" PRIu64
				 ", which was never released: this version reads %d and %d",
				 format, MANIFEST_FORMAT_BESIDE, MANIFEST_FORMAT);
	if (format > MANIFEST_FORMAT)
		return fault_set(fault, ERR_NEWER, "the archive has format %" PRIu64 ", this version reads up to %d", format,
				 MANIFEST_FORMAT);
	m->format = format;
	for (int i = 0; i < MEMBERS; i++)
		if ((uint64_t)members[i].format <= format && !read_member(object, &members[i], m))
			return fault_set(fault, ERR_CORRUPT, "the manifest is damaged: its %s is missing or wrong",
					 members[i].name);
	if (m->first == 0 || m->last < m->first || m->count == 0 || m->count > m->last - m->first + 1)
		return fault_set(fault, ERR_CORRUPT,
				 "the manifest is damaged: its range and its count contradict each other");
	const struct line *newest = m->line_count > 0 ? &m->lines[m->line_count - 1] : NULL;
	if (newest == NULL || newest->first > m->last || m->lines[0].first > m->first ||
	    strcmp(newest->epoch, m->epoch) != 0)
		return fault_set(fault, ERR_CORRUPT,
				 "the manifest is damaged: its lines and its epoch contradict each other");
	return check_sum(object, m, fault);
}

bool manifest_path(const char *archive, char out[PATH_MAX])
{
	size_t len = strlen(archive);
	size_t ending = strlen(ARCHIVE_ENDING);
	bool named = len > ending && strcmp(archive + len - ending, ARCHIVE_ENDING) == 0;
	return path_format(out, "%.*s%s", (int)(named ? len - ending : len), archive, MANIFEST_ENDING);
}

enum err manifest_read(const char *archive, struct manifest *out, struct fault *fault)
{
	char path[PATH_MAX];
	char text[MANIFEST_MAX];
	if (!manifest_path(archive, path))
		return fault_set(fault, ERR_INVALID, "the path is too long: %.100s…", archive);
	int fd = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);
	if (fd < 0)
		return errno == ENOENT ? fault_set(fault, ERR_NOT_FOUND, "%s does not exist", path)
				       : sys_fail(fault, "cannot open", path, errno);
	ssize_t n = read(fd, text, sizeof text);
	int why = errno;
	close(fd);
	if (n < 0)
		return sys_fail(fault, "cannot read", path, why);
	enum err err = manifest_parse(text, (size_t)n, out, fault);
	return err ? fault_in(fault, path, err) : ERR_NONE;
}

enum err manifest_save(const char *archive, const struct manifest *m, struct fault *fault)
{
	char path[PATH_MAX];
	struct buf text;
	if (!manifest_path(archive, path))
		return fault_set(fault, ERR_INVALID, "the path is too long: %.100s…", archive);
	assert(m->count > 0 && m->count - 1 <= m->last - m->first); /* as manifest_parse wants it */
	buf_init(&text);
	manifest_write(&text, m);
	buf_addc(&text, '\n');
	enum err err =
		buf_failed(&text) ? fault_nomem(fault) : atomic_file_save(path, ATOMIC_FILE_NEW, buf_slice(&text), fault);
	buf_finish(&text);
	return err;
}

static void read_digest(const char text[SHA256_TEXT_LEN], unsigned char out[SHA256_LEN])
{
	for (int i = 0; i < SHA256_LEN; i++)
		out[i] = (unsigned char)(units_hex(text[2 * i]) << 4 | units_hex(text[2 * i + 1]));
}

void chain_begin(struct sha256 *s, const char previous[SHA256_TEXT_LEN])
{
	unsigned char digest[SHA256_LEN];
	read_digest(previous, digest);
	sha256_add(s, digest, sizeof digest);
}

bool chain_of(const char previous[SHA256_TEXT_LEN], const unsigned char content[SHA256_LEN], char out[SHA256_TEXT_LEN + 1])
{
	unsigned char both[2 * SHA256_LEN];
	unsigned char digest[SHA256_LEN];
	read_digest(previous, both);
	memcpy(both + SHA256_LEN, content, SHA256_LEN);
	if (!sha256_of((struct slice){(const char *)both, sizeof both}, digest))
		return false;
	sha256_text(digest, out);
	return true;
}

void archive_name(char out[ARCHIVE_NAME_LEN], uint64_t first, uint64_t last, const char *ending)
{
	snprintf(out, ARCHIVE_NAME_LEN, "%" PRIu64 "-%" PRIu64 "%s", first, last, ending);
}

bool archive_name_parse(const char *name, const char *ending, uint64_t *first, uint64_t *last)
{
	char again[ARCHIVE_NAME_LEN];
	const char *dash = strchr(name, '-');
	size_t len = strlen(name);
	size_t tail = strlen(ending);
	if (dash == NULL || len <= tail || dash + 1 > name + len - tail)
		return false;
	struct slice from = {name, (size_t)(dash - name)};
	struct slice to = {dash + 1, (size_t)(name + len - tail - dash - 1)};
	if (!json_sequence(from, first) || !json_sequence(to, last) || *first == 0 || *last < *first)
		return false;
	archive_name(again, *first, *last, ending);
	return strcmp(name, again) == 0; /* no leading zeros: one range has one name */
}

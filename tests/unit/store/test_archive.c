/* Archives as files: what is written is read back, also by zstd itself, and no lie of a seek table, a manifest, a name or a
 * line is believed.
 *
 * Shown to fail without the protection: where seekable_table does not ask whether the frames fill the file. */
#include "event/envelope.h"
#include "store/archive/archive_manifest.h"
#include "store/archive/seekable.h"
#include "unit/store/archives.h"
#include "unit/temp_dir.h"

static char dir[TEMP_DIR_LEN];
static char path[128];

static void set_up(void)
{
	temp_dir_make(dir);
	snprintf(path, sizeof path, "%s/file.ndjson.zst", dir);
}

static void tear_down(void)
{
	temp_dir_remove(dir);
}

static struct slice slice_at(const struct buf *b, size_t from)
{
	return (struct slice){b->data + from, b->len - from};
}

/* --- the seek table --- */

enum { FRAMES = 3, TABLE_LEN = 8 + FRAMES * 12 + SEEKABLE_FOOTER };

/* Frames that end in their checksum, and the table; returns where it begins. */
static size_t three_frames(struct buf *file)
{
	static const char *const frames[FRAMES] = {"aaaaaaaaaa1234", "b4321", "cccc...."};
	struct buf entries;
	buf_init(&entries);
	for (uint32_t i = 0; i < FRAMES; i++) {
		buf_adds(file, frames[i]);
		seekable_add(&entries, slice_of(frames[i]), 100 + i);
	}
	size_t at = file->len;
	seekable_end(&entries, file);
	buf_finish(&entries);
	return at;
}

static enum err read_table(const struct buf *file, struct seek_table *t)
{
	uint64_t len;
	if (file->len < SEEKABLE_FOOTER)
		return ERR_CORRUPT;
	enum err err =
		seekable_footer((const unsigned char *)file->data + file->len - SEEKABLE_FOOTER, file->len, &len, &fault);
	return err ? err : seekable_table(slice_at(file, file->len - len), file->len, t, &fault);
}

static void a_seek_table_comes_back(void)
{
	struct buf file;
	struct seek_table t;
	buf_init(&file);
	CHECK(three_frames(&file) == 27 && file.len == 27 + TABLE_LEN);
	CHECK(read_table(&file, &t) == ERR_NONE);
	CHECK(t.count == FRAMES && t.has_sums && t.raw == 303);
	CHECK(t.frames[0].at == 0 && t.frames[0].packed == 14 && t.frames[0].raw == 100);
	CHECK(t.frames[1].at == 14 && t.frames[1].packed == 5 && t.frames[1].raw == 101);
	CHECK(t.frames[2].at == 19 && t.frames[2].packed == 8 && t.frames[2].raw == 102);
	CHECK(memcmp(&t.frames[0].sum, "1234", 4) == 0 && memcmp(&t.frames[1].sum, "4321", 4) == 0);
	seekable_finish(&t);
	buf_finish(&file);
}

static void a_table_without_sums_is_read(void)
{
	/* One frame of 4 bytes that holds 9. */
	static const char bytes[] = "abcd\x5e\x2a\x4d\x18\x11\0\0\0\x04\0\0\0\x09\0\0\0\x01\0\0\0\0\xb1\xea\x92\x8f";
	struct buf file;
	struct seek_table t;
	buf_init(&file);
	buf_add(&file, bytes, sizeof bytes - 1);
	CHECK(read_table(&file, &t) == ERR_NONE && t.count == 1 && !t.has_sums && t.frames[0].packed == 4 && t.raw == 9);
	seekable_finish(&t);
	buf_finish(&file);
}

static void a_lying_seek_table_is_refused(void)
{
	/* Where in the table, and what is put there. */
	static const struct {
		size_t at;
		const char *bytes;
		size_t len;
	} lies[] = {
		{0, "\x50", 1},                         /* another skippable frame */
		{4, "\xff\xff\xff\xff", 4},             /* longer than the file */
		{4, "\x2c", 1},                         /* shorter than it is */
		{8, "\xff\xff\xff\xff", 4},             /* a frame that is larger than the file */
		{8, "\0\0\0\0", 4},                     /* a frame of nothing */
		{8, "\x0f", 1},                         /* a byte more */
		{12, "\xff\xff\xff\xff", 4},            /* that unpacks to 4 GiB */
		{12, "\x01\0\0\x08", 4},                /* to a byte more than there can be */
		{TABLE_LEN - 9, "\0\0\0\0", 4},         /* no frames */
		{TABLE_LEN - 9, "\x02", 1},             /* too few */
		{TABLE_LEN - 9, "\x04", 1},             /* too many */
		{TABLE_LEN - 9, "\xff\xff\xff\xff", 4}, /* billions of them */
		{TABLE_LEN - 5, "\0", 1},               /* entries without sums */
		{TABLE_LEN - 5, "\xc0", 1},             /* a reserved bit */
		{TABLE_LEN - 5, "\x84", 1},             /* another */
		{TABLE_LEN - 4, "\xb0", 1},             /* no footer */
	};
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++) {
		struct buf file;
		struct seek_table t;
		buf_init(&file);
		size_t at = three_frames(&file);
		memcpy(file.data + at + lies[i].at, lies[i].bytes, lies[i].len);
		fault = (struct fault){0};
		enum err err = read_table(&file, &t);
		if (err != ERR_CORRUPT)
			fprintf(stderr, "lie %zu: %s\n", i, err_name(err));
		CHECK(err == ERR_CORRUPT && strstr(fault.text, "seek table") != NULL);
		buf_finish(&file);
	}
}

static void a_file_cut_short_anywhere_is_refused(void)
{
	struct buf file;
	struct manifest m;
	struct archive *a;
	set_up();
	buf_init(&file);
	make_archive(&file, 1, 20, 40, 7, (struct archive_options){.level = 3, .threads = 0}, NULL, &m);
	for (size_t len = 0; len < file.len; len++) {
		write_file(path, (struct slice){file.data, len});
		enum err err = archive_open(path, &a, &fault);
		CHECK(err == ERR_CORRUPT && strstr(fault.text, "file.ndjson.zst") != NULL);
	}
	buf_finish(&file);
	CHECK(archive_open("/tmp/tidemark-unit-no-such", &a, &fault) == ERR_NOT_FOUND);
	CHECK(archive_open(dir, &a, &fault) == ERR_INVALID);
	tear_down();
}

/* --- round trips --- */

/* The lines of an archive, by our reader; frames hold whole lines. */
static void read_lines(struct archive *a, struct buf *out)
{
	for (uint32_t f = 0; f < archive_frames(a); f++) {
		struct archive_lines lines;
		CHECK(archive_unpack(a, f, &lines, &fault) == ERR_NONE && lines.count > 0);
		CHECK(lines.bytes.p[0] == '{' && lines.bytes.p[lines.bytes.len - 1] == '\n');
		CHECK(lines.ends[lines.count - 1] == lines.bytes.len);
		for (uint32_t i = 0; i < lines.count; i++) {
			struct slice line = archive_line(&lines, i);
			buf_add(out, line.p, line.len);
			buf_addc(out, '\n');
		}
	}
}

static void check_unzstd(struct slice wanted)
{
	char command[600];
	char plain[160];
	snprintf(plain, sizeof plain, "%s/plain", dir);
	write_file(plain, wanted);
	snprintf(command, sizeof command, "zstd -dcq %s | cmp - %s && zstd -tq %s", path, plain, path);
	CHECK(system(command) == 0);
}

static void round_trip(uint64_t first, uint64_t last, size_t size, uint64_t page_events, struct archive_options options)
{
	struct buf file;
	struct buf wanted;
	struct buf got;
	struct manifest m;
	struct manifest found;
	struct archive *a;
	set_up();
	buf_init(&file);
	buf_init(&wanted);
	buf_init(&got);
	make_archive(&file, first, last, size, page_events, options, NULL, &m);
	write_file(path, buf_slice(&file));
	for (uint64_t seq = first; seq <= last; seq++) {
		write_envelope(&wanted, seq, size);
		buf_addc(&wanted, '\n');
	}
	CHECK(m.first == first && m.last == last && m.count == last - first + 1 && m.bytes == file.len);
	CHECK(m.raw_bytes == wanted.len && strcmp(m.epoch, EPOCH) == 0);
	CHECK(archive_open(path, &a, &fault) == ERR_NONE);
	CHECK(archive_raw(a) == wanted.len && archive_frames(a) == m.frames);
	read_lines(a, &got);
	CHECK(slice_eq(buf_slice(&got), buf_slice(&wanted)));
	/* Frames end soon after ARCHIVE_FRAME: none is many times as large, unless an event is. */
	CHECK(m.frames >= wanted.len / (ARCHIVE_FRAME + 2 * size + 256) && m.frames <= wanted.len / ARCHIVE_FRAME + 1);
	for (uint64_t seq = first; seq <= last; seq += 1 + (last - first) / 50) {
		uint32_t frame;
		struct archive_lines lines;
		struct slice time;
		uint64_t begins;
		CHECK(archive_seek(a, seq, &frame, &fault) == ERR_NONE);
		CHECK(archive_unpack(a, frame, &lines, &fault) == ERR_NONE);
		CHECK(envelope_read_start(archive_line(&lines, 0), &begins, &time));
		CHECK(begins <= seq && seq < begins + lines.count);
		int64_t at = INT64_C(1000) * BEGIN_MS + (int64_t)(seq / 2);
		CHECK(archive_seek_time(a, at, &frame, &fault) == ERR_NONE);
		CHECK(archive_unpack(a, frame, &lines, &fault) == ERR_NONE);
		CHECK(envelope_read_start(archive_line(&lines, 0), &begins, &time));
		CHECK(begins <= seq && (frame == 0 || begins / 2 < seq / 2));
	}
	archive_close(a);
	CHECK(archive_check(path, &(struct archive_check){.expected = &m}, &found, &fault) == ERR_NONE);
	CHECK(strcmp(found.chain, m.chain) == 0 && strcmp(found.sha256, m.sha256) == 0);
	check_unzstd(buf_slice(&wanted));
	buf_finish(&file);
	buf_finish(&wanted);
	buf_finish(&got);
	tear_down();
}

static void what_is_written_is_read_back(void)
{
	static const struct archive_options options[] = {{3, 0, false}, {3, 2, false}, {1, 1, false}, {9, 3, false}};
	for (size_t i = 0; i < sizeof options / sizeof *options; i++) {
		round_trip(1, 1, 10, 1, options[i]);
		round_trip(1000, 21000, 150, 700, options[i]);
	}
	round_trip(7, 9, 3 * ARCHIVE_FRAME, 1, options[0]); /* each a frame of its own */
	round_trip(7, 9, 3 * ARCHIVE_FRAME, 3, options[1]);
}

static void threads_do_not_change_a_byte(void)
{
	struct buf one;
	struct buf other;
	struct manifest m;
	buf_init(&one);
	buf_init(&other);
	make_archive(&one, 1, 9000, 700, 500, (struct archive_options){.level = 3, .threads = 0}, NULL, &m);
	make_archive(&other, 1, 9000, 700, 500, (struct archive_options){.level = 3, .threads = 4}, NULL, &m);
	CHECK(m.frames > 5 && slice_eq(buf_slice(&one), buf_slice(&other)));
	buf_finish(&one);
	buf_finish(&other);
}

static enum err full(void *arg, struct slice bytes, struct fault *f)
{
	(void)arg;
	(void)bytes;
	return fault_set(f, ERR_FULL, "full");
}

static void a_sink_that_fails_ends_it(void)
{
	for (int threads = 0; threads < 3; threads++) {
		struct archive_writer *w;
		struct manifest m;
		CHECK(archive_writer_create((struct archive_options){.level = 3, .threads = threads}, &archives_lineage,
					    NULL, (struct archive_output){full, NULL}, &w, &fault) == ERR_NONE);
		enum err err = ERR_NONE;
		for (uint64_t seq = 1; !err && seq < 100000; seq += 500) {
			struct page *p = page_of(seq, seq + 499, 700);
			err = archive_writer_add(w, p, &fault);
			page_unref(p);
		}
		CHECK((err ? err : archive_writer_end(w, &m, &fault)) == ERR_FULL);
		archive_writer_destroy(w);
	}
}

static void an_archive_of_nothing_holds_nothing(void)
{
	struct buf file;
	struct manifest m;
	struct manifest found;
	struct archive *a;
	set_up();
	buf_init(&file);
	make_archive(&file, 5, 4, 1, 1, (struct archive_options){.level = 3, .threads = 0}, NULL, &m);
	write_file(path, buf_slice(&file));
	CHECK(m.count == 0 && m.bytes == file.len);
	CHECK(archive_open(path, &a, &fault) == ERR_NONE && archive_frames(a) == 0 && archive_raw(a) == 0);
	archive_close(a);
	CHECK(archive_check(path, &(struct archive_check){0}, &found, &fault) == ERR_NONE && found.count == 0);
	check_unzstd((struct slice){"", 0});
	buf_finish(&file);
	tear_down();
}

/* --- manifests --- */

static enum err parse(const char *text, struct manifest *m)
{
	char *copy = strdup(text);
	enum err err = manifest_parse(copy, strlen(copy), m, &fault);
	free(copy);
	return err;
}

/* `from` replaced by `to` wherever it stands. */
static enum err parse_changed(const char *text, const char *from, const char *to)
{
	struct manifest m;
	struct buf changed;
	const char *at = strstr(text, from);
	CHECK(at != NULL);
	buf_init(&changed);
	buf_add(&changed, text, (size_t)(at - text));
	buf_adds(&changed, to);
	buf_adds(&changed, at + strlen(from));
	buf_addc(&changed, '\0');
	fault = (struct fault){0};
	enum err err = parse(changed.data, &m);
	if (err == ERR_NONE)
		fprintf(stderr, "accepted: %s\n", changed.data);
	buf_finish(&changed);
	return err;
}

static void a_manifest_comes_back(void)
{
	struct buf file;
	struct buf text;
	struct manifest m;
	struct manifest again;
	char with_space[2048];
	buf_init(&file);
	buf_init(&text);
	make_archive(&file, 8, 20, 40, 7, (struct archive_options){.level = 3, .threads = 0},
		     "00112233445566778899aabbccddeeff00112233445566778899aabbccddeeff", &m);
	manifest_write(&text, &m);
	buf_addc(&text, '\0');
	CHECK(parse(text.data, &again) == ERR_NONE && memcmp(&m, &again, sizeof m) == 0);
	snprintf(with_space, sizeof with_space, " \n%s \n", text.data);
	CHECK(parse(with_space, &again) == ERR_NONE && again.last == 20);
	static const char *const members[] = {"format",        "file",      "epoch",     "first", "last",   "count",
					      "first_time",    "last_time", "raw_bytes", "bytes", "frames", "sha256",
					      "packed_sha256", "previous",  "chain",     "lines", "sum"};
	for (size_t i = 0; i < sizeof members / sizeof *members; i++) {
		char from[32];
		char to[64];
		snprintf(from, sizeof from, "\"%s\":", members[i]);
		snprintf(to, sizeof to, "\"%s_\":", members[i]);
		CHECK(parse_changed(text.data, from, to) == ERR_CORRUPT && strstr(fault.text, members[i]) != NULL);
		snprintf(to, sizeof to, "\"%s\":{},\"x\":", members[i]);
		CHECK(parse_changed(text.data, from, to) == ERR_CORRUPT && strstr(fault.text, members[i]) != NULL);
	}
	static const struct {
		const char *from;
		const char *to;
	} lies[] = {
		{"\"format\":3", "\"format\":0"},
		{"\"format\":3", "\"format\":-1"},
		{"\"format\":3", "\"format\":1"},
		{"\"format\":3", "\"format\":2"},
		{"\"first\":8", "\"first\":0"},
		{"\"first\":8", "\"first\":21"},
		{"\"first\":8", "\"first\":9"},
		{"\"first\":8", "\"first\":8.0"},
		{"\"count\":13", "\"count\":14"},
		{"\"count\":13", "\"count\":0"},
		{"\"count\":13", "\"count\":\"13\""},
		{"\"previous\":\"00", "\"previous\":\""},
		{"\"previous\":\"00", "\"previous\":\"zz"},
		{"aabbcc", "AAbbcc"},
		{"0123456789abcdef", "0123456789abcdeg"},
		{"0123456789abcdef", "0123456789abcdef0"},
		{"8-20.ndjson.zst", "8-21.ndjson.zst"},
		{"8-20.ndjson.zst", "../8-20"},
		{"\"lines\":[{", "\"lines\":[],\"x\":[{"},
		{"[{\"epoch\":\"0123456789abcdef\"", "[{\"epoch\":\"0123456789abcdee\""},
		{"\"first\":1}", "\"first\":21}"},
		{"\"first\":1}", "\"first\":1},{\"epoch\":\"0123456789abcdef\",\"first\":1}"},
		{"\"first_time\":\"2", "\"first_time\":\"3"},
		{"{", "["},
		{"}", ""},
		{"}", "}}"},
	};
	for (size_t i = 0; i < sizeof lies / sizeof *lies; i++)
		CHECK(parse_changed(text.data, lies[i].from, lies[i].to) == ERR_CORRUPT && fault.text[0] != '\0');
	CHECK(parse_changed(text.data, "\"format\":3", "\"format\":4") == ERR_NEWER);
	CHECK(parse("", &again) == ERR_CORRUPT && parse("null", &again) == ERR_CORRUPT);
	buf_finish(&file);
	buf_finish(&text);
}

/* Inside is what is beside it, whatever the file is called; and one byte more in a number is still counted. */
static void the_manifest_is_inside(void)
{
	uint64_t before = 0;
	for (uint64_t last = 9; last < 120; last++) {
		struct buf file;
		struct manifest m;
		struct manifest found;
		struct archive *a;
		set_up();
		buf_init(&file);
		make_archive(&file, 1, last, 40, 7, (struct archive_options){.level = 3}, NULL, &m);
		write_file(path, buf_slice(&file));
		CHECK(m.bytes == file.len && m.bytes > before);
		before = m.bytes < 1100 ? m.bytes : 0; /* zstd may become better with more */
		CHECK(manifest_read(path, &found, &fault) == ERR_NOT_FOUND);
		CHECK(archive_manifest_find(path, &found, &fault) == ERR_NONE && memcmp(&m, &found, sizeof m) == 0);
		CHECK(archive_check(path, &(struct archive_check){.expected = &found}, &m, &fault) == ERR_NONE);
		CHECK(archive_open(path, &a, &fault) == ERR_NONE && archive_frames(a) == 1);
		archive_close(a);
		snprintf(found.file, sizeof found.file, "another");
		CHECK(manifest_same(&m, &found));
		found.previous[0] = 'a';
		CHECK(!manifest_same(&m, &found));
		buf_finish(&file);
		tear_down();
	}
}

/* One of format 2, of before manifests were inside, and one that nothing is said of. */
static void an_archive_without_a_manifest_inside_is_read(void)
{
	struct buf file;
	struct manifest m;
	struct manifest found;
	uint64_t at;
	uint64_t len;
	struct archive *a;
	set_up();
	buf_init(&file);
	make_archive(&file, 1, 20, 40, 7, (struct archive_options){.level = 3}, NULL, &m);
	write_file(path, buf_slice(&file));
	CHECK(archive_open(path, &a, &fault) == ERR_NONE);
	archive_hidden_at(a, &at, &len);
	archive_close(a);
	CHECK(at + len < file.len && len > 300);
	/* The frames, and a table of one entry less. */
	struct buf old;
	buf_init(&old);
	buf_add(&old, file.data, at);
	size_t table = file.len - at - len;
	buf_add(&old, file.data + at + len, table - 9 - 12);
	buf_add(&old, file.data + file.len - 9, 9);
	old.data[at + 4] = (char)(old.data[at + 4] - 12);
	old.data[old.len - 9] = (char)(old.data[old.len - 9] - 1);
	write_file(path, buf_slice(&old));
	CHECK(archive_manifest_find(path, &found, &fault) == ERR_NOT_FOUND);
	CHECK(archive_check(path, &(struct archive_check){0}, &found, &fault) == ERR_NONE && found.format == 2);
	CHECK(found.count == 20 && strcmp(found.chain, m.chain) != 0 && strcmp(found.sha256, m.sha256) != 0);
	CHECK(manifest_set_lines(&found, &archives_lineage, &fault) == ERR_NONE);
	CHECK(manifest_save(path, &found, &fault) == ERR_NONE && archive_manifest_find(path, &m, &fault) == ERR_NONE);
	CHECK(memcmp(&m, &found, sizeof m) == 0);
	CHECK(archive_check(path, &(struct archive_check){.expected = &m}, &found, &fault) == ERR_NONE);
	buf_finish(&old);
	buf_finish(&file);
	tear_down();
}

static void one_range_has_one_name(void)
{
	static const char *const wrong[] = {
		"",
		"-",
		".json",
		"1-.json",
		"-1.json",
		"0-1.json",
		"2-1.json",
		"01-2.json",
		"1-02.json",
		"1-2.JSON",
		"1-2.json.json",
		"1-2.ndjson.zst",
		"../1-2.json",
		"1-2-3.json",
		"+1-2.json",
		" 1-2.json",
		"1-9007199254740992.json",
		"1-99999999999999999999999999999999999999999999999999999999999999999999999999.json"};
	char name[ARCHIVE_NAME_LEN];
	uint64_t first = 0;
	uint64_t last = 0;
	archive_name(name, 1, (UINT64_C(1) << 53) - 1, ARCHIVE_ENDING);
	CHECK(strcmp(name, "1-9007199254740991.ndjson.zst") == 0);
	CHECK(archive_name_parse(name, ARCHIVE_ENDING, &first, &last) && first == 1 && last == (UINT64_C(1) << 53) - 1);
	CHECK(archive_name_parse("5-5.json", MANIFEST_ENDING, &first, &last) && first == 5 && last == 5);
	for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
		CHECK(!archive_name_parse(wrong[i], MANIFEST_ENDING, &first, &last));
}

int main(void)
{
	RUN(a_seek_table_comes_back);
	RUN(a_table_without_sums_is_read);
	RUN(a_lying_seek_table_is_refused);
	RUN(a_file_cut_short_anywhere_is_refused);
	RUN(what_is_written_is_read_back);
	RUN(threads_do_not_change_a_byte);
	RUN(a_sink_that_fails_ends_it);
	RUN(an_archive_of_nothing_holds_nothing);
	RUN(a_manifest_comes_back);
	RUN(the_manifest_is_inside);
	RUN(an_archive_without_a_manifest_inside_is_read);
	RUN(one_range_has_one_name);
	return check_end();
}

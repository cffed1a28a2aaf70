/* One flipped bit anywhere in an archive or its manifest is found and named; so is a part that was taken out, put in or
 * moved by somebody who mended the seek table afterwards.
 *
 * Shown to fail without the protection: without the digest of the file in archive_check.c, and without the chain. */
#include <stddef.h>

#include "store/archive/archive_manifest.h"
#include "store/archive/packer.h"
#include "store/archive/seekable.h"
#include "unit/store/archives.h"
#include "unit/temp_dir.h"

enum { FRAMES = 3, LINES = 4 }; /* of a frame: an archive of 12 events */

static char dir[TEMP_DIR_LEN];
static char path[128];
static char manifest_file[128];

struct packing {
	struct buf *file;
	struct buf entries;
};

static enum err on_frame(void *arg, struct slice frame, struct slice raw, struct fault *f)
{
	(void)f;
	struct packing *to = arg;
	seekable_add(&to->entries, frame, (uint32_t)raw.len);
	buf_add(to->file, frame.p, frame.len);
	return ERR_NONE;
}

/* An archive whose frame i holds the LINES events from firsts[i] on: small frames, which the writer of archives would not
 * make. ends[i] is where that frame ends in the file. */
static void make_frames(struct buf *file, const uint64_t *firsts, size_t *ends)
{
	struct packer *p;
	struct packing to = {.file = file};
	CHECK(packer_create(3, 0, on_frame, &to, &p, &fault) == ERR_NONE);
	for (int i = 0; i < FRAMES; i++) {
		for (uint64_t seq = firsts[i]; seq < firsts[i] + LINES; seq++) {
			write_envelope(packer_input(p), seq, 20);
			buf_addc(packer_input(p), '\n');
		}
		CHECK(packer_submit(p, &fault) == ERR_NONE);
		ends[i] = file->len;
	}
	seekable_end(&to.entries, file);
	buf_finish(&to.entries);
	packer_destroy(p);
}

static void set_up(struct buf *file, struct manifest *m, size_t *ends)
{
	static const uint64_t firsts[FRAMES] = {1, 5, 9};
	temp_dir_make(dir);
	snprintf(path, sizeof path, "%s/1-12.ndjson.zst", dir);
	snprintf(manifest_file, sizeof manifest_file, "%s/1-12.json", dir);
	buf_init(file);
	make_frames(file, firsts, ends);
	write_file(path, buf_slice(file));
	CHECK(archive_check(path, &(struct archive_check){0}, m, &fault) == ERR_NONE);
	CHECK(m->count == FRAMES * LINES && m->frames == FRAMES);
	CHECK(manifest_set_lines(m, &archives_lineage, &fault) == ERR_NONE);
	write_manifest(manifest_file, m);
	CHECK(survey_with_manifest(path) == ERR_NONE);
}

static void tear_down(struct buf *file)
{
	buf_finish(file);
	temp_dir_remove(dir);
}

static void expect_found(const char *name, size_t bit)
{
	enum err err = survey_with_manifest(path);
	if ((err != ERR_CORRUPT && err != ERR_NEWER) || strstr(fault.text, name) == NULL) {
		fprintf(stderr, "bit %zu of %s: %s, %s\n", bit, name, err_name(err), fault.text);
		CHECK(false);
	}
}

/* Between the bits that are flipped; odd, so that it comes to each of a byte. */
static size_t stride(void)
{
	return (size_t)(1 / test_scale()) | 1;
}

static void every_flipped_bit_of_an_archive_is_found(void)
{
	struct buf file;
	struct manifest m;
	size_t ends[FRAMES];
	size_t unnamed = 0;
	set_up(&file, &m, ends);
	for (size_t bit = 0; bit < file.len * 8; bit += stride()) {
		file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
		write_file(path, buf_slice(&file));
		file.data[bit / 8] = (char)(file.data[bit / 8] ^ 1 << bit % 8);
		expect_found("1-12.ndjson.zst", bit);
		int frame = 0;
		while (frame < FRAMES && bit / 8 >= ends[frame])
			frame++;
		if (frame == FRAMES)
			continue;
		/* The frame proves all of its events at once: the first of them is named. */
		char event[32];
		snprintf(event, sizeof event, "event %d:", frame * LINES + 1);
		unnamed += strstr(fault.text, event) == NULL;
	}
	/* A few bits of a frame mean nothing to its content, such as those of an unused code: only the digest of the file
	 * knows them. */
	CHECK(unnamed * 50 < ends[FRAMES - 1] * 8);
	tear_down(&file);
}

/* With its manifest inside, and beside it or not. Where a bit makes another frame of the manifest's, there is none. */
static void every_flipped_bit_around_a_manifest_inside_is_found(void)
{
	struct buf file;
	struct buf whole = {0};
	struct manifest m;
	struct manifest inside;
	struct manifest found;
	size_t ends[FRAMES];
	size_t missed = 0;
	set_up(&file, &m, ends);
	make_archive(&whole, 1, 12, 36, 12, (struct archive_options){.level = 3}, NULL, &m);
	write_manifest(manifest_file, &m);
	for (int beside = 1; beside >= 0; beside--) {
		for (size_t bit = 0; bit < whole.len * 8; bit += stride()) {
			whole.data[bit / 8] = (char)(whole.data[bit / 8] ^ 1 << bit % 8);
			write_file(path, buf_slice(&whole));
			whole.data[bit / 8] = (char)(whole.data[bit / 8] ^ 1 << bit % 8);
			if (beside != 0) {
				expect_found("1-12.ndjson.zst", bit);
				continue;
			}
			enum err err = archive_manifest_find(path, &inside, &fault);
			if (!err)
				err = archive_check(path, &(struct archive_check){.expected = &inside}, &found, &fault);
			CHECK(err == ERR_CORRUPT || err == ERR_NEWER || err == ERR_NOT_FOUND);
			missed += err == ERR_NOT_FOUND;
		}
		CHECK(unlink(manifest_file) == 0 || beside == 0);
	}
	CHECK(missed <= 2 * 12 * 8); /* of the entry in the table, and of the frame's own header */
	buf_finish(&whole);
	tear_down(&file);
}

static void every_flipped_bit_of_a_manifest_is_found(void)
{
	struct buf file;
	struct buf text;
	struct manifest m;
	size_t ends[FRAMES];
	set_up(&file, &m, ends);
	buf_init(&text);
	manifest_write(&text, &m);
	for (size_t bit = 0; bit < text.len * 8; bit += stride()) {
		text.data[bit / 8] = (char)(text.data[bit / 8] ^ 1 << bit % 8);
		write_file(manifest_file, buf_slice(&text));
		text.data[bit / 8] = (char)(text.data[bit / 8] ^ 1 << bit % 8);
		expect_found("1-12.json", bit);
	}
	write_file(manifest_file, (struct slice){"", 0});
	CHECK(survey_with_manifest(path) == ERR_CORRUPT);
	CHECK(unlink(manifest_file) == 0 && survey_with_manifest(path) == ERR_NOT_FOUND);
	buf_finish(&text);
	tear_down(&file);
}

/* The sum of such a manifest is right. */
static void a_manifest_of_other_numbers_is_found(void)
{
	static const size_t numbers[] = {
		offsetof(struct manifest, first),   offsetof(struct manifest, last),
		offsetof(struct manifest, count),   offsetof(struct manifest, first_ms),
		offsetof(struct manifest, last_ms), offsetof(struct manifest, raw_bytes),
		offsetof(struct manifest, frames),  offsetof(struct manifest, bytes),
	};
	struct buf file;
	struct manifest m;
	struct manifest found;
	size_t ends[FRAMES];
	set_up(&file, &m, ends);
	for (size_t i = 0; i < sizeof numbers / sizeof *numbers; i++) {
		struct manifest other = m;
		uint64_t *number = (uint64_t *)(void *)((char *)&other + numbers[i]);
		*number += 1;
		CHECK(archive_check(path, &(struct archive_check){.expected = &other}, &found, &fault) == ERR_CORRUPT);
	}
	struct manifest other = m;
	other.sha256[0] = other.sha256[0] == '0' ? '1' : '0';
	CHECK(archive_check(path, &(struct archive_check){.expected = &other}, &found, &fault) == ERR_CORRUPT);
	tear_down(&file);
}

/* Frames in another order under a seek table that fits them: every checksum is right, but the events are not in theirs. */
static void frames_that_were_moved_are_found(void)
{
	static const struct {
		uint64_t firsts[FRAMES];
		const char *says;
	} cases[] = {
		{{5, 1, 9}, "event 1 "},   {{1, 9, 5}, "event 9 "},     {{1, 5, 5}, "event 5 "},
		{{1, 5, 13}, "event 13 "}, {{5, 9, 13}, "first event"}, {{1, 6, 10}, "event 6 "},
	};
	for (size_t i = 0; i < sizeof cases / sizeof *cases; i++) {
		struct buf file;
		struct buf moved;
		struct manifest m;
		struct manifest found;
		size_t ends[FRAMES];
		set_up(&file, &m, ends);
		buf_init(&moved);
		make_frames(&moved, cases[i].firsts, ends);
		write_file(path, buf_slice(&moved));
		enum err err = archive_check(path, &(struct archive_check){.expected = &m}, &found, &fault);
		if (err != ERR_CORRUPT || strstr(fault.text, cases[i].says) == NULL)
			fprintf(stderr, "case %zu: %s\n", i, fault.text);
		CHECK(err == ERR_CORRUPT && strstr(fault.text, cases[i].says) != NULL);
		buf_finish(&moved);
		tear_down(&file);
	}
}

/* The archive of other events under the same name and with the same range: the chain and the digest tell. */
static void an_archive_of_other_events_is_found(void)
{
	struct buf file;
	struct buf other;
	struct manifest m;
	struct manifest found;
	size_t ends[FRAMES];
	set_up(&file, &m, ends);
	buf_init(&other);
	make_archive(&other, 1, 12, 36, 12, (struct archive_options){.level = 3, .threads = 0}, NULL, &found);
	write_file(path, buf_slice(&other));
	CHECK(survey_with_manifest(path) == ERR_CORRUPT && strstr(fault.text, "chain") != NULL);
	/* The same events behind another archive. */
	write_file(path, buf_slice(&file));
	memset(m.previous, 'a', SHA256_TEXT_LEN);
	write_manifest(manifest_file, &m);
	CHECK(survey_with_manifest(path) == ERR_CORRUPT && strstr(fault.text, "chain") != NULL);
	buf_finish(&other);
	tear_down(&file);
}

/* Frames that are zstd, but hold no events. */
static void ndjson_that_are_no_events_are_found(void)
{
	static const char *const lines[] = {
		"\n",
		"no newline",
		"{}\n",
		"{\"seq\":1}\n",
		"{\"seq\":0,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":\"s\",\"type\":\"t\",\"data\":1}\n",
		"{\"seq\":1,\"time\":\"2026-11-32T18:00:00.123Z\",\"stream\":\"s\",\"type\":\"t\",\"data\":1}\n",
		"{\"seq\":1,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":\"s\",\"type\":\"t\",\"data\":1\n",
		"{\"seq\":1,\"time\":\"2026-11-22T18:00:00.123Z\",\"stream\":\"s\",\"data\":1}\n",
		"\xff\xfe\n",
	};
	for (size_t i = 0; i < sizeof lines / sizeof *lines; i++) {
		struct buf file;
		struct buf other = {0};
		struct packing to = {.file = &other};
		struct manifest m;
		struct manifest found;
		struct packer *p;
		size_t ends[FRAMES];
		set_up(&file, &m, ends);
		CHECK(packer_create(3, 0, on_frame, &to, &p, &fault) == ERR_NONE);
		buf_adds(packer_input(p), lines[i]);
		CHECK(packer_submit(p, &fault) == ERR_NONE);
		seekable_end(&to.entries, &other);
		packer_destroy(p);
		write_file(path, buf_slice(&other));
		CHECK(archive_check(path, &(struct archive_check){0}, &found, &fault) == ERR_CORRUPT);
		CHECK(strstr(fault.text, "1-12.ndjson.zst") != NULL);
		buf_finish(&other);
		buf_finish(&to.entries);
		tear_down(&file);
	}
}

/* A frame that unpacks into very many lines is turned away at the first, before anything is kept for each. */
static void a_frame_of_newlines_is_turned_away(void)
{
	struct buf file;
	struct buf bomb = {0};
	struct packing to = {.file = &bomb};
	struct manifest m;
	struct packer *p;
	struct archive *a;
	struct archive_lines lines;
	size_t ends[FRAMES];
	set_up(&file, &m, ends);
	CHECK(packer_create(3, 0, on_frame, &to, &p, &fault) == ERR_NONE);
	for (int i = 0; i < 1 << 20; i++)
		buf_addc(packer_input(p), '\n');
	CHECK(packer_submit(p, &fault) == ERR_NONE);
	seekable_end(&to.entries, &bomb);
	packer_destroy(p);
	write_file(path, buf_slice(&bomb));
	CHECK(archive_open(path, &a, &fault) == ERR_NONE);
	CHECK(archive_unpack(a, 0, &lines, &fault) == ERR_CORRUPT && strstr(fault.text, "not an event") != NULL);
	archive_close(a);
	buf_finish(&bomb);
	buf_finish(&to.entries);
	tear_down(&file);
}

int main(void)
{
	RUN(every_flipped_bit_of_an_archive_is_found);
	RUN(every_flipped_bit_around_a_manifest_inside_is_found);
	RUN(every_flipped_bit_of_a_manifest_is_found);
	RUN(a_manifest_of_other_numbers_is_found);
	RUN(frames_that_were_moved_are_found);
	RUN(an_archive_of_other_events_is_found);
	RUN(ndjson_that_are_no_events_are_found);
	RUN(a_frame_of_newlines_is_turned_away);
	return check_end();
}

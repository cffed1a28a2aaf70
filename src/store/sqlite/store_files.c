#include "store/sqlite/store_files.h"

#include <assert.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/data/checksum.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/sqlite/db.h"
#include "store/sqlite/db_file.h"

enum { HEAD_LEN = 34 }; /* two numbers of 16 hexadecimal digits, the seq and its sum, a space and a newline */

void store_files_init(struct store_files *p, const char *path)
{
	*p = (struct store_files){.head_fd = -1};
	path_format(p->db.path, "%s", path);
	path_format(p->wal.path, "%s-wal", path);
}

void store_files_finish(struct store_files *p)
{
	if (p->head_fd >= 0)
		close(p->head_fd);
	p->head_fd = -1;
}

enum err store_files_sync_names(const char *dir, struct fault *fault)
{
	return sys_sync_dir(dir) == 0 ? ERR_NONE : sys_fail(fault, "cannot sync", dir, errno);
}

enum err store_files_make_dir(const char *dir, struct fault *fault)
{
	char path[PATH_MAX];
	path_format(path, "%s", dir);
	for (char *slash = path + 1;; slash++) {
		slash = strchrnul(slash, '/');
		bool end = *slash == '\0';
		*slash = '\0';
		bool made = mkdir(path, 0700) == 0;
		if ((!made && errno != EEXIST) || (made && sys_sync_parent(path) != 0))
			return sys_fail(fault, "cannot make the directory", path, errno);
		if (end)
			return ERR_NONE;
		*slash = '/';
	}
}

void store_files_db(const char *dir, char out[PATH_MAX])
{
	path_format(out, "%s/" STORE_FILES_DB, dir);
}

bool store_files_has_store(const char *dir)
{
	char path[PATH_MAX];
	store_files_db(dir, path);
	return access(path, F_OK) == 0;
}

enum err store_files_lock(const char *dir, int *fd, struct fault *fault)
{
	char path[PATH_MAX];
	char owner[32] = "";
	path_format(path, "%s/lock", dir);
	bool locked = sys_lock_dir(dir, "lock", false, fd) == 0;
	int why = errno;
	int note = open(path, locked ? O_RDWR | O_CREAT | O_CLOEXEC : O_RDONLY | O_CLOEXEC, 0600);
	enum err err = ERR_NONE;
	if (locked && note < 0) {
		err = sys_fail(fault, "cannot open", path, errno);
		close(*fd);
		*fd = -1;
	} else if (locked) {
		int n = snprintf(owner, sizeof owner, "%ld\n", (long)getpid());
		/* Only for the message below: the lock does not depend on it. */
		if (ftruncate(note, 0) == 0 && pwrite(note, owner, (size_t)n, 0) != n)
			(void)ftruncate(note, 0);
	} else if (why != EWOULDBLOCK) {
		err = sys_fail(fault, "cannot lock", dir, why);
	} else {
		ssize_t n = note >= 0 ? read(note, owner, sizeof owner - 1) : 0;
		owner[n > 0 ? n : 0] = '\0';
		owner[strcspn(owner, "\n")] = '\0';
		err = fault_set(fault, ERR_LOCKED, "%s is in use by another Tidemark server (process %s)", dir,
				owner[0] != '\0' ? owner : "unknown");
	}
	if (note >= 0)
		close(note);
	return err;
}

static const char *const marks[] = {[STORE_FILES_NEW_COPY] = "new\n", [STORE_FILES_OLD_COPY] = "old\n"};

static void mark_path(const char *dir, char out[PATH_MAX])
{
	path_format(out, "%s/backup.part", dir);
}

enum err store_files_mark(const char *dir, enum store_files_mark mark, struct fault *fault)
{
	char path[PATH_MAX];
	assert(mark != STORE_FILES_NO_MARK);
	mark_path(dir, path);
	unlink(path);
	int fd = sys_create(path);
	bool fine = fd >= 0 && sys_write(fd, marks[mark], strlen(marks[mark])) == 0 && sys_sync(fd) == 0 &&
		    sys_sync_dir(dir) == 0;
	enum err err = fine ? ERR_NONE : sys_fail(fault, "cannot make", path, errno);
	if (fd >= 0)
		close(fd);
	return err;
}

enum store_files_mark store_files_marked(const char *dir)
{
	char path[PATH_MAX];
	char text[8] = "";
	mark_path(dir, path);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return STORE_FILES_NO_MARK;
	(void)!read(fd, text, sizeof text - 1);
	close(fd);
	return strcmp(text, marks[STORE_FILES_OLD_COPY]) == 0 ? STORE_FILES_OLD_COPY : STORE_FILES_NEW_COPY;
}

enum err store_files_unmark(const char *dir, struct fault *fault)
{
	char path[PATH_MAX];
	mark_path(dir, path);
	bool fine = sys_remove(path) == 0 && sys_sync_dir(dir) == 0;
	return fine ? ERR_NONE : sys_fail(fault, "cannot remove", path, errno);
}

void store_files_remove(const char *dir)
{
	static const char *const files[] = {STORE_FILES_DB, STORE_FILES_DB "-wal", STORE_FILES_DB "-shm", "head", "lock"};
	for (size_t i = 0; i < sizeof files / sizeof *files; i++) {
		char path[PATH_MAX];
		path_format(path, "%s/%s", dir, files[i]);
		unlink(path);
	}
	rmdir(dir);
}

/* --- the file head --- */

static uint64_t sum_of(uint64_t head)
{
	return checksum_name((struct slice){(const char *)&head, sizeof head});
}

/* 0: the file is empty or damaged. */
static uint64_t read_head_file(int fd)
{
	char text[HEAD_LEN + 1];
	uint64_t head;
	uint64_t sum;
	ssize_t n = pread(fd, text, HEAD_LEN, 0);
	text[n > 0 ? n : 0] = '\0';
	return sscanf(text, "%16" SCNx64 " %16" SCNx64, &head, &sum) == 2 && sum == sum_of(head) ? head : 0;
}

enum err store_files_open_head(struct store_files *p, const char *dir, uint64_t *head, struct fault *fault)
{
	char path[PATH_MAX];
	path_format(path, "%s/head", dir);
	assert(p->head_fd < 0);
	p->head_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
	if (p->head_fd < 0)
		return sys_fail(fault, "cannot open", path, errno);
	*head = read_head_file(p->head_fd);
	return ERR_NONE;
}

uint64_t store_files_saved_head(const char *dir)
{
	char path[PATH_MAX];
	path_format(path, "%s/head", dir);
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	uint64_t head = fd >= 0 ? read_head_file(fd) : 0;
	if (fd >= 0)
		close(fd);
	return head;
}

/* If this fails, the file stays older, which is allowed. */
void store_files_save_head(struct store_files *p, uint64_t head)
{
	char text[HEAD_LEN + 1];
	snprintf(text, sizeof text, "%016" PRIx64 " %016" PRIx64 "\n", head, sum_of(head));
	if (p->head_fd >= 0 && pwrite(p->head_fd, text, HEAD_LEN, 0) != HEAD_LEN)
		(void)!ftruncate(p->head_fd, 0);
}

void store_files_keep_first(struct store_files *p, sqlite3 *db)
{
	char page[DB_FILE_PAGE];
	if (p->head_fd >= 0 && !p->kept && db_read_first(db, page) && db_file_proves(page))
		p->kept = pwrite(p->head_fd, page, sizeof page, DB_FILE_PAGE) == sizeof page;
}

/* A number in the header of a database (its file format, 1.3). */
static void put(unsigned char *page, int at, uint32_t n)
{
	for (int i = 0; i < 4; i++)
		page[at + i] = (unsigned char)(n >> (24 - 8 * i));
}

bool store_files_read_first(const struct store_files *p, uint64_t bytes, void *page)
{
	enum { CHANGES = 24, PAGES = 28, FREE = 32, FREE_COUNT = 36, PAGES_VALID_FOR = 92 };
	if (p->head_fd < 0 || pread(p->head_fd, page, DB_FILE_PAGE, DB_FILE_PAGE) != DB_FILE_PAGE || !db_file_proves(page))
		return false;
	/* The fields that change without the schema are set again: the size, and an empty list of free pages. */
	memcpy((char *)page + PAGES_VALID_FOR, (char *)page + CHANGES, 4);
	put(page, PAGES, (uint32_t)(bytes / DB_FILE_PAGE));
	put(page, FREE, 0);
	put(page, FREE_COUNT, 0);
	return true;
}

/* --- the files --- */

static void remember(struct store_files_file *f)
{
	struct stat st;
	bool there = stat(f->path, &st) == 0;
	f->known = true;
	f->device = there ? st.st_dev : 0;
	f->inode = there ? st.st_ino : 0;
}

static enum err check(const struct store_files_file *f, struct fault *fault)
{
	struct stat st;
	if (!f->known)
		return ERR_NONE;
	if (stat(f->path, &st) != 0)
		return fault_set(fault, ERR_IO, "%s is not there any more: %s", f->path, strerror(errno));
	if (st.st_dev == f->device && st.st_ino == f->inode)
		return ERR_NONE;
	return fault_set(fault, ERR_IO, "%s is another file than the one in use", f->path);
}

void store_files_remember(struct store_files *p)
{
	remember(&p->db);
	remember(&p->wal);
}

enum err store_files_check(const struct store_files *p, struct fault *fault)
{
	enum err err = check(&p->db, fault);
	return err ? err : check(&p->wal, fault);
}

enum err store_files_check_db(const struct store_files *p, struct fault *fault)
{
	return check(&p->db, fault);
}

#include "store/open/database_swap.h"

#include <errno.h>
#include <stdio.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "base/system/clock.h"
#include "base/system/path.h"
#include "base/system/sys.h"
#include "store/sqlite/store_files.h"

struct paths {
	char from[PATH_MAX];
	char old[PATH_MAX];
};

static struct paths paths_of(const char *dir)
{
	struct paths p;
	path_format(p.from, "%s/replacement", dir);
	path_format(p.old, "%s/replacement/old", dir);
	return p;
}

static enum err fail_move(const char *from, const char *to, struct fault *fault)
{
	char what[PATH_MAX + sizeof "cannot move  to"];
	snprintf(what, sizeof what, "cannot move %s to", from);
	return sys_fail(fault, what, to, errno);
}

/* A file that does not exist was moved by an earlier attempt. */
static enum err move(const char *from, const char *to, const char *name, struct fault *fault)
{
	char source[PATH_MAX];
	char target[PATH_MAX];
	path_format(source, "%s/%s", from, name);
	path_format(target, "%s/%s", to, name);
	if (sys_rename(source, target) == 0 || errno == ENOENT)
		return ERR_NONE;
	return fail_move(source, target, fault);
}

enum err database_swap_decide(const char *dir, const char *made, struct fault *fault)
{
	struct paths p = paths_of(dir);
	if (sys_rename(made, p.from) != 0)
		return fail_move(made, p.from, fault);
	return store_files_sync_names(dir, fault);
}

/* Moves the old database away. Until the new one is in place, an existing database is the old one. */
static enum err move_old(const char *dir, const struct paths *p, struct fault *fault)
{
	static const char *const files[] = {STORE_FILES_DB "-wal", STORE_FILES_DB "-shm", "head", STORE_FILES_DB};
	if (mkdir(p->old, 0700) != 0 && errno != EEXIST)
		return sys_fail(fault, "cannot make", p->old, errno);
	/* The directory must survive a power loss before files are moved into it. */
	enum err err = store_files_sync_names(p->from, fault);
	for (size_t i = 0; !err && i < sizeof files / sizeof *files; i++)
		err = move(dir, p->old, files[i], fault);
	return err ? err : store_files_sync_names(p->old, fault);
}

enum err database_swap_finish(const char *dir, char *old_dir, struct fault *fault)
{
	struct paths p = paths_of(dir);
	char name[PATH_MAX];
	char stamp[32];
	struct tm tm;
	time_t now = (time_t)(clock_wall_ms() / 1000);
	if (access(p.from, F_OK) != 0)
		return ERR_NONE;
	enum err err = ERR_NONE;
	if (store_files_has_store(p.from)) {
		err = move_old(dir, &p, fault);
		if (!err)
			err = move(p.from, dir, STORE_FILES_DB, fault);
		if (!err)
			err = store_files_sync_names(dir, fault);
	}
	if (err)
		return err;
	strftime(stamp, sizeof stamp, "%Y%m%dT%H%M%SZ", gmtime_r(&now, &tm));
	path_format(name, "%s/damaged-%s", dir, stamp);
	if (sys_rename_new(p.old, name) != 0 && errno != ENOENT)
		return fail_move(p.old, name, fault);
	if (old_dir != NULL)
		path_format(old_dir, "%s", name);
	err = store_files_sync_names(dir, fault);
	if (!err)
		store_files_remove(p.from);
	return err;
}

#include "store/new_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/random.h"
#include "base/sys.h"

enum { SYNC_AHEAD = 8 * 1024 * 1024 };

static enum err failed(const char *path, const char *what, struct fault *fault)
{
	int why = errno;
	enum err err = why == ENOSPC || why == EDQUOT ? ERR_FULL : why == EEXIST ? ERR_CONFLICT : ERR_IO;
	return fault_set(fault, err, "%s: %s: %s", path, what, strerror(why));
}

enum err new_file_create(struct new_file *f, const char *path, struct fault *fault)
{
	char random[17];
	random_hex(random, 4);
	*f = (struct new_file){.fd = -1};
	if (snprintf(f->path, sizeof f->path, "%s", path) >= (int)sizeof f->path)
		return fault_set(fault, ERR_INVALID, "the path is too long: %.100s…", path);
	snprintf(f->part, sizeof f->part, "%s.%s" NEW_FILE_ENDING, path, random);
	if (access(path, F_OK) == 0)
		return fault_set(fault, ERR_CONFLICT, "%s exists already, and is not overwritten", path);
	f->fd = sys_create(f->part);
	return f->fd >= 0 ? ERR_NONE : failed(f->part, "cannot be made", fault);
}

enum err new_file_write(void *file, struct slice bytes, struct fault *fault)
{
	struct new_file *f = file;
	if (sys_write(f->fd, bytes.p, bytes.len) != 0)
		return failed(f->part, "cannot be written", fault);
	f->len += bytes.len;
	if (f->len - f->begun >= SYNC_AHEAD) {
		sys_begin_sync(f->fd, f->begun, f->len - f->begun);
		f->begun = f->len;
	}
	return ERR_NONE;
}

enum err new_file_commit(struct new_file *f, struct fault *fault)
{
	enum err err = ERR_NONE;
	if (sys_sync(f->fd) != 0)
		err = failed(f->part, "cannot be synced", fault);
	else if (sys_rename_new(f->part, f->path) != 0)
		err = failed(f->path, "cannot be put in its place", fault);
	if (err) {
		new_file_abandon(f);
		return err;
	}
	close(f->fd);
	f->fd = -1;
	return sys_sync_parent(f->path) == 0 ? ERR_NONE : failed(f->path, "its directory cannot be synced", fault);
}

void new_file_abandon(struct new_file *f)
{
	if (f->fd < 0)
		return;
	close(f->fd);
	f->fd = -1;
	sys_remove(f->part);
}

enum err new_file_whole(const char *path, struct slice bytes, struct fault *fault)
{
	struct new_file f;
	enum err err = new_file_create(&f, path, fault);
	if (err)
		return err;
	err = new_file_write(&f, bytes, fault);
	if (!err)
		return new_file_commit(&f, fault);
	new_file_abandon(&f);
	return err;
}
